package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

func endSection() denySection {
	change := func(method, path string, body any) func(*denyGate, denyCell, denySubject) {
		return func(g *denyGate, _ denyCell, who denySubject) {
			g.Change(method, strings.ReplaceAll(path, "{id}", who.id), body)
		}
	}
	token := func(g *denyGate, _ denyCell, who denySubject) {
		g.Revoke(harness.Claims{"token_id": g.forger.Claim(who.token, "jti")})
	}
	secret := func(g *denyGate, _ denyCell, who denySubject) {
		g.Change(http.MethodDelete, "/v1/services/"+who.id+"/secrets/"+g.Secrets("services", who.id)[0], nil)
	}
	again := func(g *denyGate, at denyCell, who denySubject) {
		g.enter(at, harness.Hello{ID: who.id, Password: who.token})
	}
	ids := map[string]any{"mqtt_client_ids": []string{"elsewhere"}}
	return denySection{
		title: "The end of rights",
		intro: "What a connected client is told when its rights end. Its will is published where it has lost the connection, but not the right.",
		paths: once(
			denyPath{what: "its token has expired", rule: "token-expired", try: endTry{life: 2 * time.Second}.end},
			denyPath{what: "it was disabled", rule: "revoked", try: endTry{take: change(http.MethodPost, "/v1/services/{id}/disable", nil)}.end},
			denyPath{what: "it was deleted", rule: "revoked", try: endTry{take: change(http.MethodDelete, "/v1/services/{id}", nil)}.end},
			denyPath{what: "its token was revoked", rule: "revoked", try: endTry{take: token}.end},
			denyPath{what: "the secret was retired that its token was got with", rule: "revoked", try: endTry{take: secret}.end},
			denyPath{what: "it may not use its MQTT client ID any longer", rule: "mqtt-client-id", try: endTry{take: change(http.MethodPatch, "/v1/services/{id}", ids)}.end},
			denyPath{what: "an operator closed the session", rule: "closed-by-operator", try: endTry{take: change(http.MethodDelete, "/v1/sessions/{id}", nil)}.end},
			denyPath{what: "the client has connected again", rule: "session-taken-over", try: endTry{take: again}.end},
		),
	}
}

// An endTry is a connected client whose rights end: its token lives so long, or somebody takes them.
type endTry struct {
	life time.Duration
	take func(g *denyGate, at denyCell, who denySubject)
}

func (try endTry) end(g *denyGate, at denyCell) string {
	g.tb.Helper()
	who := g.client("pub:{client_id}/#", "sub:{client_id}/#")
	if try.life > 0 {
		who.token = g.forger.Lasting(who.token, try.life)
	}
	will := harness.Message{Topic: who.id + "/state", Payload: "lost", QoS: 1}
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token, Will: &will})
	w.MustSubscribe(1, who.id+"/cmd")
	if try.take != nil {
		try.take(g, at, who)
	}
	came, closed := g.collect(w, 0)
	g.expectRule(at, "session closed", "remote="+w.Remote()+" ")
	return spell(came, closed) + ", " + g.fateOfWill(w, will)
}

// fateOfWill waits until the will of a connection that has ended is published or withheld, and tells which.
func (g *denyGate) fateOfWill(w *harness.Wire, will harness.Message) string {
	g.tb.Helper()
	line := g.Log.Wait(g.tb, "event=will", "remote="+w.Remote()+" ")
	if strings.Contains(line, "msg=allowed") {
		g.watch.Until(will.Topic)
		return "will published"
	}
	for _, m := range g.arrived() {
		if m.Topic == will.Topic {
			return "will published"
		}
	}
	return "no will"
}

func deliverySection() denySection {
	narrowRole := func(g *denyGate, who denySubject) {
		g.Change(http.MethodPatch, "/v1/roles/"+who.id, harness.Rights("sub:{client_id}/left", "sub:{client_id}/marker"))
	}
	queued := []byte{1, 2}
	return denySection{
		title: "Delivery outside the grants",
		intro: "A subscription is no right. What is outside the grants at the moment of delivery does not come, and nothing is said about it.",
		paths: []denyPath{
			{what: "a live message, after the client's role was narrowed", rule: "narrowed", try: deliveryTry{narrow: narrowRole}.withheld},
			{what: "a live message, after a renewal with a narrower token", rule: "narrowed", only: 5, try: deliveryTry{renew: true}.withheld},
			{what: "a message for a shared subscription, after the role of its only member was narrowed", rule: "narrowed", try: deliveryTry{share: "$share/group/", narrow: narrowRole}.withheld},
			{what: "a queued message, after the role was narrowed", rule: "narrowed", qos: queued, try: deliveryTry{away: true, narrow: narrowRole}.withheld},
			{what: "a queued message, when the client comes back with a narrower token", rule: "narrowed", qos: queued, try: deliveryTry{away: true}.withheld},
			{what: "a retained message, when its filter is refused", rule: "no-grant", try: retainedWithheld},
			{what: "a message on a topic that begins with `$`, for `#`", try: reservedWithheld},
		},
	}
}

// A deliveryTry is a client with a subscription that loses the right to it.
type deliveryTry struct {
	share  string
	away   bool // when the message is published
	renew  bool // with a narrower token
	narrow func(g *denyGate, who denySubject)
}

// withheld tells what the client gets of a message that it may have no longer, before one that it may have.
func (try deliveryTry) withheld(g *denyGate, at denyCell) string {
	g.tb.Helper()
	who := g.holding(nil, "sub:{client_id}/#")
	narrower := g.Token(who.Credential, "scope", "sub:"+who.id+"/left sub:"+who.id+"/marker")
	hello := harness.Hello{ID: who.id, Password: who.token, Keep: true}
	if try.renew {
		hello.Method = denyMethod
	}
	w := g.enter(at, hello)
	lost, marker := who.id+"/lost", who.id+"/marker"
	w.MustSubscribe(at.qos, try.share+lost, marker)
	if try.away {
		w.Leave()
		g.author.Publish(harness.Message{Topic: lost, Payload: "queued", QoS: at.qos})
	}
	switch {
	case try.narrow != nil:
		try.narrow(g, who)
	case try.renew:
		w.MustRenew(denyMethod, narrower)
	default:
		hello.Password = narrower
	}
	if try.away {
		w = harness.Resume(g.tb, g.Server, at.version, hello, true)
	} else {
		g.author.Publish(harness.Message{Topic: lost, Payload: "live", QoS: at.qos})
	}
	g.author.Publish(harness.Message{Topic: marker, QoS: 1})
	g.expectRule(at, "client_id="+who.id+" ")
	return delivered(w, lost, marker)
}

// delivered tells whether a message comes before the marker.
func delivered(w *harness.Wire, topic, marker string) string {
	if slices.Contains(harness.Topics(w.Until(marker)), topic) {
		return "PUBLISH"
	}
	return spell(nil, false)
}

func retainedWithheld(g *denyGate, at denyCell) string {
	g.tb.Helper()
	who := g.client("sub:{client_id}/left/#")
	kept, marker := who.id+"/kept", who.id+"/left/marker"
	g.author.Publish(harness.Message{Topic: kept, Payload: "kept", QoS: at.qos, Retain: true})
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token})
	refused := w.Subscribe(at.qos, kept)[0]
	w.MustSubscribe(at.qos, marker)
	g.author.Publish(harness.Message{Topic: marker, QoS: at.qos})
	g.expectRule(at, "remote="+w.Remote()+" ")
	if refused < 0x80 {
		g.tb.Errorf("SUBACK 0x%02x", refused)
	}
	return delivered(w, kept, marker)
}

func reservedWithheld(g *denyGate, at denyCell) string {
	g.tb.Helper()
	who := g.client("sub:#")
	w := g.enter(at, harness.Hello{ID: who.id, Password: who.token})
	w.MustSubscribe(at.qos, "#")
	g.author.Publish(harness.Message{Topic: "$other/a", QoS: at.qos})
	marker := who.id + "/marker"
	g.author.Publish(harness.Message{Topic: marker, QoS: at.qos})
	return delivered(w, "$other/a", marker)
}
