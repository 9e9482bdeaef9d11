package e2e_test

import (
	"net/http"
	"slices"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

func connectSection() denySection {
	return denySection{
		title: "CONNECT",
		intro: "A token that is not good is one thing (0x86, or 4), a good one without the right is another (0x87, or 5). A refused CONNECT has no effect on\n" +
			"what exists under its MQTT client ID.",
		paths: slices.Concat(tokenPaths(), identityPaths(), methodPaths(), willPaths(), connectLimitPaths(), connectPacketPaths()),
	}
}

// A connectTry makes the CONNECT of a trial.
type connectTry func(g *denyGate, at denyCell) harness.Hello

// refuse sends the CONNECT, from an address of its own, and tells what comes.
func (try connectTry) refuse(g *denyGate, at denyCell) string {
	g.tb.Helper()
	hello := try(g, at)
	return g.refuseConnect(harness.DialAsStranger(g.tb, g.MQTT, at.version), at, hello.Encode(at.version))
}

func (g *denyGate) refuseConnect(w *harness.Wire, at denyCell, connect []byte) string {
	g.tb.Helper()
	w.Send(connect)
	p, err := w.Read()
	if err != nil {
		g.expectRule(at, "remote="+w.Remote()+" ")
		return spell(nil, true)
	}
	if p.Kind == harness.TypeConnack && p.Code() == 0 {
		return spell([]harness.Packet{p}, false)
	}
	more, closed := g.collect(w, 0)
	g.expectRule(at, "event=connect", "remote="+w.Remote()+" ")
	return spell(append([]harness.Packet{p}, more...), closed)
}

func tokenPaths() []denyPath {
	with := func(alter func(g *denyGate, who denySubject) string) func(*denyGate, denyCell) string {
		return connectTry(func(g *denyGate, _ denyCell) harness.Hello {
			who := g.client()
			return harness.Hello{ID: who.id, Password: alter(g, who)}
		}).refuse
	}
	claims := func(changes harness.Claims) func(*denyGate, denyCell) string {
		return with(func(g *denyGate, who denySubject) string { return g.forger.Alter(who.token, changes) })
	}
	revoked := func(take func(g *denyGate, who denySubject)) func(*denyGate, denyCell) string {
		return with(func(g *denyGate, who denySubject) string { take(g, who); return who.token })
	}
	hour := func(n float64) float64 { return harness.SecondsFromNow(time.Duration(n * float64(time.Hour))) }
	return once(
		denyPath{what: "no token", rule: "no-token", try: with(func(*denyGate, denySubject) string { return "" })},
		denyPath{what: "something else than a token, such as the client's secret", rule: "token-malformed", try: with(func(_ *denyGate, who denySubject) string { return who.ClientSecret })},
		denyPath{what: "a token with a bad signature", rule: "token-signature", try: with(func(_ *denyGate, who denySubject) string { return who.token[:len(who.token)-6] + "AAAAAA" })},
		denyPath{what: "a token of an unknown key", rule: "token-unknown-key", try: with(func(g *denyGate, who denySubject) string {
			return g.forger.AlterHeader(who.token, harness.Claims{"kid": "another"})
		})},
		denyPath{what: "an expired token", rule: "token-expired", try: claims(harness.Claims{"iat": hour(-2), "nbf": nil, "exp": hour(-1)})},
		denyPath{what: "a token that is not valid yet", rule: "token-not-yet-valid", try: claims(harness.Claims{"nbf": hour(0.5)})},
		denyPath{what: "a token of another issuer", rule: "token-issuer", try: claims(harness.Claims{"iss": "https://elsewhere.example"})},
		denyPath{what: "a token for another API", rule: "token-audience", try: claims(harness.Claims{"aud": "boomgate:fleet"})},
		denyPath{what: "a revoked token", rule: "revoked", try: revoked(func(g *denyGate, who denySubject) {
			g.Revoke(harness.Claims{"token_id": g.forger.Claim(who.token, "jti")})
		})},
		denyPath{what: "a token of before its client was disabled, when it is enabled again", rule: "revoked", try: revoked(func(g *denyGate, who denySubject) {
			g.Disable(who.id)
			g.Change(http.MethodPost, "/v1/services/"+who.id+"/enable", nil)
		})},
		denyPath{what: "a token that is bound to a certificate, without the certificate", rule: "token-confirmation", try: claims(harness.Claims{
			"cnf": map[string]string{"x5t#S256": harness.Encode("0123456789abcdef0123456789abcdef")},
		})},
	)
}

func identityPaths() []denyPath {
	as := func(id string) connectTry {
		return func(g *denyGate, _ denyCell) harness.Hello {
			return harness.Hello{ID: id, Password: g.client().token}
		}
	}
	gone := func(method, path string) connectTry {
		return func(g *denyGate, _ denyCell) harness.Hello {
			who := g.client()
			g.Change(method, "/v1/services/"+who.id+path, nil)
			return harness.Hello{ID: who.id, Password: who.token}
		}
	}
	occupied := func(g *denyGate, at denyCell) harness.Hello {
		owner := g.client()
		g.enter(at, harness.Hello{ID: owner.id, Password: owner.token})
		id := g.nextID()
		body := harness.Grants(id)
		body["mqtt_client_ids"] = []string{"*"}
		return harness.Hello{ID: owner.id, Password: g.subject(body).token}
	}
	nameless := func(g *denyGate, _ denyCell) harness.Hello {
		return harness.Hello{Password: g.client().token, Keep: true}
	}
	return once(
		denyPath{what: "a disabled client", rule: "client-inactive", try: gone(http.MethodPost, "/disable").refuse},
		denyPath{what: "a deleted client", rule: "client-inactive", try: gone(http.MethodDelete, "").refuse},
		denyPath{what: "an MQTT client ID that is not the client's", rule: "mqtt-client-id", try: as("watch").refuse},
		denyPath{what: "an MQTT client ID under which another client has a session", rule: "session-owner", try: connectTry(occupied).refuse},
		denyPath{what: "no MQTT client ID, and a session that is to be kept", only: 4, try: connectTry(nameless).refuse},
	)
}

func methodPaths() []denyPath {
	with := func(method string) connectTry {
		return func(g *denyGate, _ denyCell) harness.Hello {
			who := g.client()
			return harness.Hello{ID: who.id, Method: method, Data: who.token}
		}
	}
	return once(
		denyPath{what: "an unknown authentication method", rule: "authentication-method", only: 5, try: with("SCRAM-SHA-256").refuse},
		denyPath{what: "authentication data without a method", rule: "authentication-method", only: 5, try: with("").refuse},
	)
}

func willPaths() []denyPath {
	with := func(scope string, limits denyLimits, will harness.Message) connectTry {
		return func(g *denyGate, at denyCell) harness.Hello {
			who := g.under(limits, scope)
			will := will
			will.QoS = at.qos
			return harness.Hello{ID: who.id, Password: who.token, Will: &will}
		}
	}
	return []denyPath{
		{what: "a will outside the grants", rule: "will-outside-grants", try: with("pub:own/#", nil, harness.Message{Topic: "other/state", Payload: "lost"}).refuse},
		{what: "a will above the QoS of the grant", rule: "will-outside-grants", qos: []byte{1, 2}, try: with("pub:own/#?qos=0", nil, harness.Message{Topic: "own/state", Payload: "lost"}).refuse},
		{what: "a retained will where the grant forbids it", rule: "will-outside-grants", try: with("pub:own/#?retain=false", nil, harness.Message{Topic: "own/state", Payload: "lost", Retain: true}).refuse},
		{what: "a will for a topic that begins with `$`", rule: "will-outside-grants", try: with("pub:#", nil, harness.Message{Topic: "$SYS/state", Payload: "lost"}).refuse},
		{what: "a will larger than `max_payload_bytes`", rule: "limit-payload", try: with("pub:own/#", denyLimits{"max_payload_bytes": 10}, harness.Message{Topic: "own/state", Payload: "lost for a long time"}).refuse},
	}
}

func connectLimitPaths() []denyPath {
	full := func(g *denyGate, at denyCell) harness.Hello {
		who := g.under(denyLimits{"max_sessions": 1}, "pub:own/#")
		g.enter(at, harness.Hello{ID: who.id + ":1", Password: who.token})
		return harness.Hello{ID: who.id + ":2", Password: who.token}
	}
	hasty := func(g *denyGate, at denyCell) harness.Hello {
		who := g.under(denyLimits{"max_connects_per_minute": 1}, "pub:own/#")
		hello := harness.Hello{ID: who.id, Password: who.token}
		g.enter(at, hello).Leave()
		return hello
	}
	return once(
		denyPath{what: "more sessions than `max_sessions`", rule: "limit-sessions", try: connectTry(full).refuse},
		denyPath{what: "more often than `max_connects_per_minute`", rule: "limit-connect-rate", try: connectTry(hasty).refuse},
		denyPath{what: "a bad token, from an address from which too many came", rule: "limit-connect-rate", try: (*denyGate).guess},
	)
}

// guess tries bad tokens from one address until that is answered otherwise than the first time.
func (g *denyGate) guess(at denyCell) string {
	g.tb.Helper()
	from := harness.StrangeAddress(g.tb)
	connect := harness.Hello{ID: "client", Password: "no token"}.Encode(at.version)
	try := func() string {
		return g.refuseConnect(harness.DialFrom(g.tb, from, g.MQTT, at.version), denyCell{version: at.version}, connect)
	}
	first := try()
	for range 1000 {
		if answer := try(); answer != first {
			g.expectRule(at, "event=connect", "remote="+from.String()+":")
			return answer
		}
	}
	g.tb.Error("a thousand bad tokens were all answered in the same way")
	return first
}

func connectPacketPaths() []denyPath {
	first := func(packet func(at denyCell) []byte) func(*denyGate, denyCell) string {
		return func(g *denyGate, at denyCell) string {
			return g.refuseConnect(harness.DialAsStranger(g.tb, g.MQTT, at.version), at, packet(at))
		}
	}
	reserved := func(at denyCell) []byte {
		packet := harness.Hello{ID: "client", Password: "no token"}.Encode(at.version)
		packet[9] |= 0x01 // of the Connect Flags (MQTT 5.0 §3.1.2.3)
		return packet
	}
	publish := func(at denyCell) []byte { return harness.Message{Topic: "a"}.Encode(at.version, 1) }
	return once(
		denyPath{what: "a malformed CONNECT", try: first(reserved)},
		denyPath{what: "another packet before CONNECT", try: first(publish)},
	)
}
