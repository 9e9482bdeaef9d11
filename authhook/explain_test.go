package authhook_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// explain asks a question that must have an answer.
func (g *gate) explain(tb testing.TB, q authhook.Question) authhook.Explanation {
	tb.Helper()
	answer, err := g.hook.Explain(tb.Context(), q)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

// outcome is what a test expects of an explanation.
type outcome struct {
	rule   string
	failed string // the name of the check that failed
	v5, v3 byte
	grant  string
	fix    string // part of it
}

func (o outcome) compare(tb testing.TB, what string, got authhook.Explanation) {
	tb.Helper()
	allowed := o.rule == authhook.RuleGranted
	if got.Allowed != allowed || got.Rule != o.rule || got.ReasonCode != o.v5 || got.ReturnCode != o.v3 || got.Grant != o.grant {
		tb.Errorf("%s: %+v, want %+v", what, got, o)
	}
	if !strings.Contains(got.Fix, o.fix) || (got.Fix == "") != allowed {
		tb.Errorf("%s: the fix is %q, want %q", what, got.Fix, o.fix)
	}
	for i, check := range got.Checks {
		last := i == len(got.Checks)-1
		if check.Name == "" || check.Detail == "" || check.Passed != (allowed || !last) || !check.Passed && check.Name != o.failed {
			tb.Errorf("%s: check %d is %+v, want failing %q; all: %+v", what, i, check, o.failed, got.Checks)
		}
	}
	if len(got.Checks) == 0 {
		tb.Errorf("%s: no checks", what)
	}
}

func publishing(topic string, qos byte, retain bool) authhook.Question {
	return authhook.Question{Action: authhook.ActionPublish, Topic: topic, QoS: qos, Retain: retain}
}

func subscribing(filter string) authhook.Question {
	return authhook.Question{Action: authhook.ActionSubscribe, Topic: filter, QoS: 2}
}

func receiving(topic string) authhook.Question {
	return authhook.Question{Action: authhook.ActionReceive, Topic: topic}
}

func connecting(mqttID string, will *authhook.WillQuestion) authhook.Question {
	return authhook.Question{Connect: &authhook.ConnectQuestion{MQTTClientID: mqttID, Will: will}}
}

func TestExplainSaysWhatDecidedAboutAnAction(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	scopes := []string{"pub:a/+", "pub:low?qos=0", "pub:forget?retain=false", "sub:a/+", "sub:slow?qos=1", "sub:x/y/z"}
	g.clients.set("sensor-1", authhook.Status{Active: true, Scopes: scopes})
	token := g.token(t, "sensor-1", scopes...)
	for _, c := range []struct {
		q    authhook.Question
		want outcome
	}{
		{publishing("a/b", 2, true), outcome{rule: "granted", grant: "pub:a/+"}},
		{publishing("a/b/c", 1, false), outcome{rule: "no-grant", failed: "grants", v5: 0x87, fix: "covers pub:a/b/c, e.g. in one of its roles; a/b/c is not inside any grant, nearest: pub:a/+"}},
		{publishing("other", 0, false), outcome{rule: "no-grant", failed: "grants", fix: "covers pub:other"}},
		{publishing("low", 1, false), outcome{rule: "qos-above-limit", failed: "grants", v5: 0x87, grant: "pub:low?qos=0", fix: "QoS 0 at most"}},
		{publishing("forget", 1, true), outcome{rule: "retain-not-allowed", failed: "grants", v5: 0x87, grant: "pub:forget?retain=false", fix: "without the retain flag"}},
		{publishing("$SYS/x", 1, false), outcome{rule: "reserved-topic", failed: "grants", v5: 0x87, fix: "nobody may publish"}},
		{publishing("a/#", 1, false), outcome{rule: "malformed-topic", failed: "topic", v5: 0x82, fix: "another topic"}},
		{publishing("a/\x01", 1, false), outcome{rule: "malformed-topic", failed: "grants", v5: 0x87, fix: "another topic"}},
		{subscribing("a/+"), outcome{rule: "granted", grant: "sub:a/+"}},
		{subscribing("slow"), outcome{rule: "granted", grant: "sub:slow?qos=1"}},
		{subscribing("$share/g/a/b"), outcome{rule: "granted", grant: "sub:a/+"}},
		{subscribing("a/#"), outcome{rule: "no-grant", failed: "grants", v5: 0x87, v3: 0x80, fix: "a/# is not inside any grant, nearest: sub:a/+"}},
		{subscribing("$share/g/x/y/#"), outcome{rule: "no-grant", failed: "grants", v5: 0x87, v3: 0x80, fix: "covers sub:x/y/#"}},
		{subscribing("a#"), outcome{rule: "malformed-filter", failed: "grants", v5: 0x8f, v3: 0x80, fix: "malformed filter"}},
		{receiving("a/b"), outcome{rule: "granted", grant: "sub:a/+"}},
		{receiving("b"), outcome{rule: "not-covered", failed: "grants", fix: "covers sub:b"}},
	} {
		byToken, byClient := c.q, c.q
		byToken.Token, byClient.ClientID = token, "sensor-1"
		what := c.q.Action + " " + c.q.Topic
		c.want.compare(t, what, g.explain(t, byToken))
		c.want.compare(t, what+", as a client", g.explain(t, byClient))
	}
	answer := g.explain(t, authhook.Question{Token: token, Action: authhook.ActionReceive, Topic: "a/b"})
	if answer.ClientID != "sensor-1" || answer.Issuer != "" || !slices.Equal(answer.Grants, scopes) {
		t.Errorf("the explanation is of %q of %q with %q", answer.ClientID, answer.Issuer, answer.Grants)
	}
}

func TestExplainTellsTheTokensGrantsFromTheClients(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.clients.set("sensor-1", authhook.Status{Active: true, Scopes: []string{"pub:kept", "pub:new", "sub:kept", "sub:new"}})
	token := g.token(t, "sensor-1", "pub:kept", "pub:lost", "sub:kept", "sub:lost")
	for _, ask := range []func(string) authhook.Question{
		func(topic string) authhook.Question { return publishing(topic, 0, false) }, subscribing, receiving,
	} {
		lost, fresh := ask("lost"), ask("new")
		lost.Token, fresh.Token = token, token
		for _, c := range []struct {
			q           authhook.Question
			failed, fix string
		}{{lost, "held", "does not hold it any longer"}, {fresh, "grants", "let it get a fresh one"}} {
			answer := g.explain(t, c.q)
			if last := answer.Checks[len(answer.Checks)-1]; answer.Allowed || last.Name != c.failed || !strings.Contains(answer.Fix, c.fix) {
				t.Errorf("%s %s: %+v", c.q.Action, c.q.Topic, answer)
			}
		}
	}
}

// A register is a Revocations that has one token.
type register string

func (r register) Revoked(token *accesstoken.Token) bool { return token.ID == string(r) }

func TestExplainSaysWhyAConnectIsRefused(t *testing.T) {
	t.Parallel()
	kept := &shelf{}
	g, _ := openLimited(t, authhook.Limits{Sessions: 2, ConnectsPerMinute: 6, Retained: 1}, func(s *settings) {
		s.Revocations, s.Retained, s.options.InlineClient = register("jti-revoked"), kept, true
	})
	good := g.token(t, "sensor-1", "pub:a")
	past := jwt.MapClaims{"iat": g.clock.unix(-3 * time.Hour), "exp": g.clock.unix(-2 * time.Hour)}
	g.clients.set("sensor-1", authhook.Status{Active: true, Scopes: []string{"pub:a"}})
	g.clients.set("disabled", authhook.Status{})
	g.clients.set("owner", authhook.Status{Active: true, MQTTClientIDs: []string{"*"}})
	g.clients.set("wide", authhook.Status{Active: true, MQTTClientIDs: []string{"*"}})
	g.enter(t, 5, "pump", g.token(t, "owner"))
	busy := g.token(t, "busy", "pub:a")
	for _, id := range []string{"busy:1", "busy:2"} {
		g.enter(t, 5, id, busy)
	}
	hasty := g.token(t, "hasty")
	for range 6 {
		g.enter(t, 5, "hasty", hasty)
	}
	kept.retained.Store(1)
	bound := g.tokenWith(t, "sensor-1", jwt.MapClaims{"cnf": map[string]any{"x5t#S256": strings.Repeat("A", 43)}})
	will := func(topic string, retain bool) *authhook.WillQuestion {
		return &authhook.WillQuestion{Topic: topic, Retain: retain}
	}
	for _, c := range []struct {
		name  string
		token string
		q     authhook.Question
		want  outcome
	}{
		{"good", good, connecting("sensor-1:x", nil), outcome{rule: "granted"}},
		{"assigned", good, connecting("", nil), outcome{rule: "granted"}},
		{"good will", good, connecting("sensor-1", will("a", false)), outcome{rule: "granted", grant: "pub:a"}},
		{"no token", "x", connecting("sensor-1", nil), outcome{rule: "token-malformed", failed: "token", v5: 0x86, v3: 4, fix: "get a token"}},
		{"expired", g.tokenWith(t, "sensor-1", past), connecting("sensor-1", nil), outcome{rule: "token-expired", failed: "token", v5: 0x86, v3: 4, fix: "fresh token"}},
		{"revoked", g.token(t, "revoked"), connecting("revoked", nil), outcome{rule: "revoked", failed: "revocation", v5: 0x86, v3: 4, fix: "fresh token"}},
		{"bound", bound, connecting("sensor-1", nil), outcome{rule: "token-confirmation", failed: "certificate", v5: 0x87, v3: 5, fix: "certificate"}},
		{"disabled", g.token(t, "disabled"), connecting("disabled", nil), outcome{rule: "client-inactive", failed: "client", v5: 0x87, v3: 5, fix: "enable"}},
		{"another's ID", good, connecting("pump", nil), outcome{rule: "mqtt-client-id", failed: "mqtt-client-id", v5: 0x87, v3: 5, fix: "connect as sensor-1 or sensor-1:"}},
		{"malformed ID", good, connecting("a\x00", nil), outcome{rule: "mqtt-client-id", failed: "mqtt-client-id", v5: 0x85, v3: 2, fix: "connect as"}},
		{"too often", hasty, connecting("hasty", nil), outcome{rule: "limit-connect-rate", failed: "connect-rate", v5: 0x9f, v3: 3, fix: "max_connects_per_minute"}},
		{"too many", busy, connecting("busy:3", nil), outcome{rule: "limit-sessions", failed: "sessions", v5: 0x97, v3: 3, fix: "max_sessions"}},
		{"one of many", busy, connecting("busy:2", nil), outcome{rule: "granted"}},
		{"will", good, connecting("sensor-1", will("b", false)), outcome{rule: "will-outside-grants", failed: "will", v5: 0x87, v3: 5, fix: "covers pub:b"}},
		{"retained will", good, connecting("sensor-1", will("a", true)), outcome{rule: "limit-retained", failed: "will", v5: 0x97, v3: 3, grant: "pub:a", fix: "max_retained"}},
		{"taken", g.token(t, "wide"), connecting("pump", nil), outcome{rule: "session-owner", failed: "session-owner", v5: 0x87, v3: 5, fix: "another MQTT client ID"}},
	} {
		c.q.Token = c.token
		c.want.compare(t, c.name, g.explain(t, c.q))
		if c.want.rule == "granted" {
			continue
		}
		// The gate says the same.
		if c.q.Connect.MQTTClientID == "a\x00" {
			continue // which mochi does not read
		}
		answer := refusals{c.want.v5, c.want.v3}
		var change []func(*packets.Packet)
		if w := c.q.Connect.Will; w != nil {
			change = append(change, withWill(w.Topic, w.QoS, w.Retain))
		}
		for _, version := range []byte{4, 5} {
			g.expectRefused(t, version, c.q.Connect.MQTTClientID, c.token, answer, c.want.rule, change...)
		}
	}
	g.clients.setBroken(true)
	answer := g.explain(t, authhook.Question{Token: good, Connect: &authhook.ConnectQuestion{MQTTClientID: "sensor-1"}})
	outcome{rule: "status-unavailable", failed: "client", v5: 0x88, v3: 3, fix: "ask again"}.compare(t, "broken store", answer)
}

func TestExplainTakesNothingFromARate(t *testing.T) {
	t.Parallel()
	g, _ := openLimited(t, authhook.Limits{ConnectsPerMinute: 2, MessagesPerSecond: 2, BytesPerSecond: 30, PayloadBytes: 9})
	token := g.token(t, "sensor-1", "pub:a")
	ask := func(payload int) authhook.Explanation {
		t.Helper()
		return g.explain(t, authhook.Question{
			Token: token, Connect: &authhook.ConnectQuestion{MQTTClientID: "sensor-1"}, Action: "publish", Topic: "a", QoS: 1, PayloadBytes: payload,
		})
	}
	asks := func(when string) {
		t.Helper()
		for range 10 {
			outcome{rule: "granted", grant: "pub:a"}.compare(t, when, ask(9))
		}
	}
	asks("before")
	outcome{rule: "limit-payload", failed: "payload", v5: 0x97, grant: "pub:a", fix: "max_payload_bytes"}.compare(t, "large", ask(10))
	outcome{rule: "limit-bytes", failed: "bytes", v5: 0x97, fix: "max_bytes_per_second"}.compare(t, "huge", ask(31))
	w := g.enter(t, 5, "sensor-1", token)
	asks("connected")
	for range 2 {
		if code := w.publish(t, "a", 1, false); code != 0 {
			t.Fatalf("0x%02x", code)
		}
	}
	outcome{rule: "limit-publish-rate", failed: "publish-rate", v5: 0x97, fix: "max_messages_per_second"}.compare(t, "after", ask(1))
	g.enter(t, 5, "sensor-1", token)
	if answer := ask(1); answer.Rule != authhook.RuleLimitConnectRate {
		t.Errorf("after two CONNECTs: %+v", answer)
	}
}

func TestExplainAnswersByThePolicyAndTheSubscriptionsThereAre(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.OnDenied, s.Limits.Subscriptions = authhook.RFC9431, 1 })
	g.clients.set("sensor-1", authhook.Status{Active: true, Scopes: []string{"sub:#"}})
	token := g.token(t, "sensor-1", "sub:#")
	answer := g.explain(t, authhook.Question{Token: token, Action: "publish", Topic: "a"})
	outcome{rule: "no-grant", failed: "grants", v5: 0x87, fix: "covers pub:a"}.compare(t, "QoS 0", answer)
	g.enter(t, 5, "sensor-1", token).mustSubscribe(t, "a")
	question := subscribing("b")
	question.Token = token
	outcome{
		rule: "too-many-subscriptions", failed: "subscriptions", v5: 0x97, v3: 0x80, grant: "sub:#", fix: "max_subscriptions",
	}.compare(t, "a second", g.explain(t, question))
	question.Topic = "a"
	outcome{rule: "granted", grant: "sub:#"}.compare(t, "the first again", g.explain(t, question))
}

func TestExplainOfAForeignClientNeedsItsToken(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePartner(t))
	answer := g.explain(t, authhook.Question{Token: g.partnerToken(t, "sensor-1", nil), Action: "publish", Topic: "b"})
	outcome{rule: "no-grant", failed: "grants", fix: "let the issuer give"}.compare(t, "by its token", answer)
	if answer.Issuer != "partner" || answer.ClientID != "sensor-1" {
		t.Errorf("the explanation is of %q of %q", answer.ClientID, answer.Issuer)
	}
	for name, q := range map[string]authhook.Question{
		"foreign":         {ClientID: "partner/sensor-1", Action: "publish", Topic: "b"},
		"nobody":          {Action: "publish", Topic: "b"},
		"both":            {Token: "x", ClientID: "x", Action: "publish", Topic: "b"},
		"nothing":         {ClientID: "x"},
		"unknown action":  {ClientID: "x", Action: "delete", Topic: "b"},
		"no topic":        {ClientID: "x", Action: "publish"},
		"no action":       {ClientID: "x", Topic: "b", Connect: &authhook.ConnectQuestion{}},
		"QoS 3":           {ClientID: "x", Action: "publish", Topic: "b", QoS: 3},
		"will at QoS 3":   {ClientID: "x", Connect: &authhook.ConnectQuestion{Will: &authhook.WillQuestion{Topic: "a", QoS: 3}}},
		"negative length": {ClientID: "x", Action: "publish", Topic: "b", PayloadBytes: -1},
		"no client ID":    {ClientID: "a\x00", Action: "publish", Topic: "b"},
	} {
		if _, err := g.hook.Explain(t.Context(), q); !errors.Is(err, authhook.ErrQuestion) {
			t.Errorf("%s: %v, want ErrQuestion", name, err)
		}
	}
}

func TestO1_ExplainNeverRepeatsAToken(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	token := g.token(t, "sensor-1")
	for _, text := range []string{token, token + "x", "secret." + token, strings.Repeat("secret", 10)} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		answer, err := g.hook.Explain(ctx, authhook.Question{Token: text, Action: "publish", Topic: "a"})
		cancel()
		if said := fmt.Sprintf("%+v %v", answer, err); strings.Contains(said, text) || strings.Contains(said, "secret") {
			t.Errorf("the explanation repeats the token: %s", said)
		}
	}
}

// TestExplainAndTheGateAgree asks both about random grants, held scopes and topics. The gate is asked over the wire.
func TestExplainAndTheGateAgree(t *testing.T) {
	t.Parallel()
	g, _ := openLimited(t, authhook.Limits{PayloadBytes: 8})
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 11))
		pick := func(from ...string) string { return from[random.IntN(len(from))] }
		filter := func(levels ...string) string {
			text := pick(levels...)
			for range random.IntN(3) {
				text += "/" + pick(levels...)
			}
			return text
		}
		scopes := func(n int) []string {
			found := make([]string, 0, n)
			for range n {
				limits := pick("", "", "?qos=0", "?qos=1")
				scope := pick("pub:", "sub:") + strings.TrimSuffix(filter("a", "b", "+", "$x")+pick("", "/#"), "/") + limits
				found = append(found, scope)
			}
			return found
		}
		id := fmt.Sprint("client-", seed)
		granted, held := scopes(5), scopes(2)
		g.clients.set(id, authhook.Status{Active: true, Scopes: append(held, granted[random.IntN(5):]...)})
		token := g.token(t, id, granted...)
		w := g.enter(t, 5, id, token)
		for range 40 {
			topic, retain, qos := filter("a", "b", "c", "$x"), random.IntN(2) == 0, byte(1+random.IntN(2))
			q := authhook.Question{Token: token, Action: "publish", Topic: topic, QoS: qos, Retain: retain, PayloadBytes: len("payload")}
			answer := g.explain(t, q)
			if code := w.publish(t, topic, qos, retain); code != answer.ReasonCode || answer.Allowed != (code == 0) {
				t.Errorf("seed %d, publish %s: the gate says 0x%02x, Explain %+v", seed, topic, code, answer)
			}
			sub := filter("a", "b", "+", "$x") + pick("", "", "/#")
			answer = g.explain(t, authhook.Question{Token: token, Action: "subscribe", Topic: sub, QoS: 2})
			code := w.subscribeQuietly(t, sub)
			if want := answer.ReasonCode; answer.Allowed != (code <= 2) || !answer.Allowed && code != want {
				t.Errorf("seed %d, subscribe %s: the gate says 0x%02x, Explain %+v", seed, sub, code, answer)
			}
		}
	}
}

// subscribeQuietly subscribes to what nobody publishes to in between, takes the subscription back, and returns the code.
func (w *wire) subscribeQuietly(tb testing.TB, filter string) byte {
	tb.Helper()
	w.send(tb, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 98,
		Filters: packets.Subscriptions{{Filter: filter, Qos: 2, RetainHandling: 2}},
	})
	code := w.expect(tb, packets.Suback).ReasonCodes[0]
	w.send(tb, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 97, Filters: packets.Subscriptions{{Filter: filter}},
	})
	w.expect(tb, packets.Unsuback)
	return code
}
