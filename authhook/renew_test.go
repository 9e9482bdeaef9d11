package authhook_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

const methodOAuth2 = "OAUTH2-JWT"

// withMethod makes a CONNECT one that was opened with an Authentication Method.
func withMethod(method string) func(*packets.Packet) {
	return func(pk *packets.Packet) { pk.Properties.AuthenticationMethod = method }
}

// authPacket returns an AUTH that asks for renewal.
func authPacket(method, token string) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Auth}, ReasonCode: 0x19,
		Properties: packets.Properties{AuthenticationMethod: method, AuthenticationData: []byte(token)},
	}
}

// renew renews the token of a connection, which must succeed.
func (w *wire) renew(tb testing.TB, token string) packets.Packet {
	tb.Helper()
	w.send(tb, authPacket(methodOAuth2, token))
	answer := w.expect(tb, packets.Auth)
	if answer.ReasonCode != 0 || answer.Properties.AuthenticationMethod != methodOAuth2 {
		tb.Fatalf("AUTH 0x%02x with method %q", answer.ReasonCode, answer.Properties.AuthenticationMethod)
	}
	return answer
}

// renewAfter returns what a CONNACK or AUTH says in token-renew-after, and whether it says it once.
func renewAfter(pk packets.Packet) (seconds int, once bool) {
	var values []string
	for _, p := range pk.Properties.User {
		if p.Key == "token-renew-after" {
			values = append(values, p.Val)
		}
	}
	if len(values) != 1 {
		return 0, false
	}
	seconds, err := strconv.Atoi(values[0])
	return seconds, err == nil
}

func TestS6_ATokenIsRenewedOnALiveConnection(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"OAUTH2-JWT", "CUSTOM-JWT"} {
		g := openGate(t)
		w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a", "sub:in/a"), withMethod(method))
		w.mustSubscribe(t, "in/a")
		if code := w.publish(t, "b", 1, false); code != 0x87 {
			t.Fatalf("before: PUBACK 0x%02x", code)
		}
		token := g.tokenWith(t, "sensor-1", jwt.MapClaims{"scp": []string{"pub:b", "sub:in/#"}, "jti": "second"})
		w.send(t, authPacket(method, token))
		if answer := w.expect(t, packets.Auth); answer.ReasonCode != 0 || answer.Properties.AuthenticationMethod != method {
			t.Errorf("AUTH 0x%02x with method %q", answer.ReasonCode, answer.Properties.AuthenticationMethod)
		} else if seconds, once := renewAfter(answer); !once || seconds < 2700 || seconds > 3060 {
			t.Errorf("the answer says %v", answer.Properties.User)
		}
		if code := w.publish(t, "b", 1, false); code != 0 {
			t.Errorf("after: PUBACK 0x%02x", code)
		}
		if code := w.publish(t, "a", 1, false); code != 0x87 {
			t.Errorf("the earlier token still counts: PUBACK 0x%02x", code)
		}
		w.mustSubscribe(t, "in/#")
		if s := g.hook.Sessions()[0]; s.Renewals != 1 || s.TokenID != "second" || s.Subscriptions != 2 || s.Refused != 2 {
			t.Errorf("the session is %+v", s)
		}
		if e := g.events.expect(t, authhook.KindRenew, authhook.RuleRenewed); !e.Allowed || e.ClientID != "sensor-1" {
			t.Errorf("the event is %+v", e)
		}
	}
}

func TestCONNACKSaysWhenToRenewTheToken(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	seen := map[int]bool{}
	for i := range 8 {
		token := g.tokenWith(t, "sensor-1", jwt.MapClaims{"jti": fmt.Sprint("token-", i)})
		_, ack := g.connect(t, 5, "sensor-1", token)
		seconds, once := renewAfter(ack)
		if !once || seconds < 2700 || seconds > 3060 {
			t.Errorf("of 3600 seconds: %v", ack.Properties.User)
		}
		seen[seconds] = true
	}
	if len(seen) < 3 {
		t.Errorf("eight tokens are renewed at only %d moments", len(seen))
	}
	// What is over is over.
	old := g.tokenWith(t, "sensor-1", jwt.MapClaims{"iat": g.clock.unix(-time.Hour), "exp": g.clock.unix(time.Minute)})
	_, ack := g.connect(t, 5, "sensor-1", old)
	if seconds, once := renewAfter(ack); !once || seconds != 0 {
		t.Errorf("of a token at its end: %v", ack.Properties.User)
	}
	// A client with a small Maximum Packet Size is let in without.
	_, ack = g.connect(t, 5, "sensor-1", g.token(t, "sensor-1"), func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 32 })
	if _, once := renewAfter(ack); ack.ReasonCode != 0 || once {
		t.Errorf("CONNACK 0x%02x with %v", ack.ReasonCode, ack.Properties.User)
	}
}

func TestS6_ARenewalThatFailsEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	own := func(changed jwt.MapClaims) string { return g.tokenWith(t, "sensor-1", changed) }
	cases := []struct{ name, method, token, rule string }{
		{"another client", methodOAuth2, g.token(t, "sensor-2"), authhook.RuleRenewalPrincipal},
		{"another subject", methodOAuth2, own(jwt.MapClaims{"sub": "sensor-2"}), "token-claims"},
		{"no subject", methodOAuth2, own(jwt.MapClaims{"sub": nil}), authhook.RuleRenewalPrincipal},
		{"another issuer", methodOAuth2, own(jwt.MapClaims{"iss": "https://other.example"}), "token-issuer"},
		{"another audience", methodOAuth2, own(jwt.MapClaims{"aud": "boomgate:fleet"}), "token-audience"},
		{"expired", methodOAuth2, own(jwt.MapClaims{"iat": g.clock.unix(-2 * time.Hour), "exp": g.clock.unix(-time.Hour)}), "token-expired"},
		{"no token", methodOAuth2, "", authhook.RuleNoToken},
		{"no good token", methodOAuth2, "x", "token-malformed"},
		{"method mismatch", "CUSTOM-JWT", own(nil), authhook.RuleMethod},
		{"unknown method", "SCRAM-SHA-1", own(nil), authhook.RuleMethod},
	}
	for _, c := range cases {
		g.events.forget()
		w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a"), withMethod(methodOAuth2))
		w.send(t, authPacket(c.method, c.token))
		w.send(t, message("a", 0, false)) // behind it, and too late
		w.expectDisconnect(t, 0x87)
		if e := g.events.expect(t, authhook.KindRenew, c.rule); e.Allowed || e.ReasonCode != 0x87 || e.ClientID != "sensor-1" {
			t.Errorf("%s: the event is %+v", c.name, e)
		}
		g.porter.expect(t, "sensor-1")
		g.expectNothingHeard(t)
	}
}

func TestS6_ARenewalIsRefusedToAClientThatCouldNotConnect(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	cases := []struct {
		name   string
		change func()
		code   byte
		rule   string
	}{
		{"disabled", func() { g.clients.set("gateway", authhook.Status{}) }, 0x87, authhook.RuleClientInactive},
		{"not bound", func() { g.clients.allow("gateway", "other") }, 0x87, authhook.RuleMQTTClientID},
		{"cannot be told", func() { g.clients.setBroken(true) }, 0x89, authhook.RuleStatusUnavailable},
	}
	for _, c := range cases {
		g.clients.allow("gateway", "gateway-7")
		w := g.enter(t, 5, "gateway-7", g.token(t, "gateway"), withMethod(methodOAuth2))
		c.change()
		w.send(t, authPacket(methodOAuth2, g.token(t, "gateway")))
		w.expectDisconnect(t, c.code)
		if e := g.events.expect(t, authhook.KindRenew, c.rule); e.ReasonCode != c.code {
			t.Errorf("%s: the event is %+v", c.name, e)
		}
		g.porter.expect(t, "gateway-7")
	}
}

func TestS6_AnAuthPacketOutOfPlaceEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	token := g.token(t, "sensor-1")
	for _, c := range []struct {
		version     byte
		opened, now string
		reason      byte
	}{
		{4, "", "", 0x19},
		{4, "", methodOAuth2, 0x19},
		{5, "", methodOAuth2, 0x19},
		{5, "", "", 0x19},
		{5, methodOAuth2, "", 0x19},
		{5, methodOAuth2, methodOAuth2, 0x18},
		{5, methodOAuth2, methodOAuth2, 0x00},
	} {
		w := g.enter(t, c.version, "sensor-1", token, withMethod(c.opened))
		pk := authPacket(c.now, token)
		pk.ReasonCode = c.reason
		w.send(t, pk)
		w.expectDisconnect(t, 0x82)
	}
	before := g.dial(t, 5)
	before.send(t, authPacket(methodOAuth2, token))
	before.expectClosed(t)
	if n := len(g.hook.Sessions()); n != 0 {
		t.Errorf("%d sessions are listed", n)
	}
}

func TestS6_AFloodOfRenewalsEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	token := g.token(t, "sensor-1")
	w := g.enter(t, 5, "sensor-1", token, withMethod(methodOAuth2))
	for range 10 {
		w.renew(t, token)
	}
	g.clock.forward(5 * time.Second)
	w.renew(t, token)
	w.send(t, authPacket(methodOAuth2, token))
	w.expectDisconnect(t, 0x96)
}

func TestS6_ANarrowerTokenPrunesALiveSession(t *testing.T) {
	t.Parallel()
	seen := new(bystander)
	g := openGate(t, func(s *settings) { s.after = append(s.after, seen) })
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:a/#", "sub:b/#", "pub:will"), withMethod(methodOAuth2), withWill("will", 1, true))
	w.mustSubscribe(t, "a/#", "b/#", "$share/g/b/x")
	g.say(t, "a/1", "b/1")
	for range 2 {
		w.expect(t, packets.Publish) // neither is acknowledged
	}
	w.renew(t, g.token(t, "reader", "sub:a/#?qos=1"))
	w.ping(t) // and no UNSUBACK came
	unsubscribed, dropped, _ := seen.saw()
	if !slices.Equal(unsubscribed, []string{"reader $share/g/b/x", "reader b/#"}) || !slices.Equal(dropped, []string{"reader b/1"}) {
		t.Errorf("the other hooks were told that %q were unsubscribed and %q dropped", unsubscribed, dropped)
	}
	e := g.events.expect(t, authhook.KindRenew, authhook.RuleNarrowed)
	if e.Detail != "2 subscriptions, 1 queued messages and 1 wills dropped" {
		t.Errorf("the event says %q", e.Detail)
	}
	g.say(t, "b/2", "a/2")
	if pk := w.expectMessage(t, "a/2"); pk.FixedHeader.Qos != 1 {
		t.Errorf("delivered at QoS %d", pk.FixedHeader.Qos)
	}
	// A will once cancelled stays so, even if the right to it comes back.
	w.renew(t, g.token(t, "reader", "pub:will"))
	g.awaitOffline(t, w, "reader")
	g.events.expect(t, authhook.KindWill, authhook.RuleNarrowed)
	g.expectHeardAll(t, "a/1", "b/1", "a/2", "b/2")
}

func TestS6_ARenewalSetsTheClockAnew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		life   time.Duration // of the second token, which comes after half an hour
		leeway time.Duration
	}{
		{"longer", time.Hour, 0},
		{"shorter", 10 * time.Minute, 0},
		{"spread", time.Hour, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, c.leeway, func(t *testing.T, b *bubble) {
				w := b.enter(t, 5, "sensor-1", signToken(t, time.Now(), "sensor-1", nil), withMethod(methodOAuth2))
				<-time.After(30 * time.Minute)
				now := time.Now()
				token := signToken(t, now, "sensor-1", jwt.MapClaims{"exp": now.Add(c.life).Unix(), "jti": "second"})
				w.renew(t, token)
				_ = w.conn.SetReadDeadline(time.Time{})
				lived, code := w.untilDisconnected(t)
				if code != 0xa0 || lived < c.life+c.leeway/2 || lived > c.life+c.leeway {
					t.Errorf("the session lived for %s more, and ended with 0x%02x", lived, code)
				}
			})
		})
	}
}

func TestUnderRFC9431AnExpiredSessionIsNotAuthorized(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.OnDenied = authhook.RFC9431 })
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a"))
	g.clock.forward(2 * time.Hour)
	w.send(t, message("a", 1, false))
	if pk := w.expectDisconnect(t, 0x87); pk.Properties.ReasonString != "token expired" {
		t.Errorf("the reason is %q", pk.Properties.ReasonString)
	}
	g.expectNothingHeard(t)
}
