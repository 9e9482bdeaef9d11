package attacks_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on the renewal of a live connection, S6.

const oauth2JWT = "OAUTH2-JWT"

// enterByMethod lets a client in that can renew its token.
func enterByMethod(tb testing.TB, s *harness.Server, id, token string) *harness.Wire {
	tb.Helper()
	return harness.Enter(tb, s, 5, harness.Hello{ID: id, Method: oauth2JWT, Data: token})
}

func TestS6_ARenewalWithAnotherTokenThanOnesOwnEndsTheConnection(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	own := s.Token(s.Service("meter", "pub:meter/#", "sub:meter/#"))
	other := s.Token(s.Service("other", "pub:meter/#", "sub:meter/#"))
	for what, test := range map[string]struct{ token, rule string }{
		"another client's":         {other, "renewal-principal"},
		"another subject's":        {f.Alter(own, harness.Claims{"sub": "other"}), "token-claims"},
		"another client_id":        {f.Alter(own, harness.Claims{"client_id": "other"}), "token-claims"},
		"another issuer's":         {f.Alter(own, harness.Claims{"iss": "https://elsewhere.example"}), "token-issuer"},
		"for the fleet API":        {f.Alter(own, harness.Claims{"aud": "boomgate:fleet"}), "token-audience"},
		"expired":                  {f.Alter(own, harness.Claims{"iat": harness.SecondsFromNow(-2 * time.Hour), "nbf": nil, "exp": harness.SecondsFromNow(-time.Hour)}), "token-expired"},
		"not valid yet":            {f.Alter(own, harness.Claims{"nbf": harness.SecondsFromNow(5 * time.Minute)}), "token-not-yet-valid"},
		"unsigned":                 {own[:strings.LastIndexByte(own, '.')+1], "token-malformed"},
		"with a wrong signature":   {own[:len(own)-8] + "AAAAAAAA"[:4] + own[len(own)-4:], "token-signature"},
		"with an unknown key":      {f.AlterHeader(own, harness.Claims{"kid": "other"}), "token-unknown-key"},
		"for the lifetime of ages": {f.Alter(own, harness.Claims{"exp": harness.SecondsFromNow(1000 * time.Hour)}), "token-lifetime"},
		"without an end":           {f.Alter(own, harness.Claims{"exp": nil}), "token-claims"},
		"larger than any":          {strings.Repeat("x", 60_000), "token-too-large"},
		"none":                     {"", "no-token"},
	} {
		t.Run(what, func(t *testing.T) {
			w := enterByMethod(t, s, "meter", own)
			w.MustSubscribe(1, "meter/news")
			if p := w.Renew(oauth2JWT, test.token); p.Kind != harness.TypeDisconnect || p.Code() != 0x87 {
				t.Errorf("answered with a packet of type %d, code 0x%02x; want DISCONNECT 0x87", p.Kind, p.Code())
			}
			w.ExpectClosed()
			s.Log.Wait(t, "msg=refused", "event=renew", "rule="+test.rule+" ", "remote="+w.Remote()+" ")
			again := enterByMethod(t, s, "meter", own) // the token that it had is as good as before
			again.MustRenew(oauth2JWT, own)
			again.Leave()
		})
	}
}

func TestS6_ARenewalWithAnotherMethodThanTheConnectsEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:a"))
	for what, test := range map[string]struct {
		opened, renewed string
		code            byte
	}{
		"the other name of the method": {oauth2JWT, "CUSTOM-JWT", 0x87},
		"and the reverse":              {"CUSTOM-JWT", oauth2JWT, 0x87},
		"an unknown method":            {oauth2JWT, "SCRAM-SHA-256", 0x87},
		"another letter case":          {oauth2JWT, "oauth2-jwt", 0x87},
		"no method":                    {oauth2JWT, "", 0x82},
		"a connection without a method, renewed with one": {"", oauth2JWT, 0x82},
		"a connection without a method, and none":         {"", "", 0x82},
	} {
		t.Run(what, func(t *testing.T) {
			w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: token, Method: test.opened})
			w.Send(harness.EncodeAuth(harness.ReAuthenticate, test.renewed, token))
			w.ExpectDisconnect(test.code)
		})
	}
}

func TestS6_AnAuthPacketWhereNoneMayComeEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	b := newBystander(t, s)
	token := s.Token(s.Service("meter", "pub:a"))
	auth := harness.EncodeAuth(harness.ReAuthenticate, oauth2JWT, token)
	connect := harness.Hello{ID: "meter", Method: oauth2JWT, Data: token}
	for what, test := range map[string]struct {
		version byte
		hello   *harness.Hello
		sent    []byte
	}{
		"before CONNECT":                  {5, nil, auth},
		"before CONNECT, in 3.1.1":        {4, nil, auth},
		"in 3.1.1":                        {4, &harness.Hello{ID: "meter", Password: token}, auth},
		"an empty one in 3.1.1":           {4, &harness.Hello{ID: "meter", Password: token}, harness.Frame(harness.TypeAuth<<4, nil)},
		"with the reason code success":    {5, &connect, harness.EncodeAuth(0x00, oauth2JWT, token)},
		"with the reason code continue":   {5, &connect, harness.EncodeAuth(0x18, oauth2JWT, token)},
		"with an unknown reason code":     {5, &connect, harness.EncodeAuth(0x42, oauth2JWT, token)},
		"without a body":                  {5, &connect, harness.Frame(harness.TypeAuth<<4, nil)},
		"with flags":                      {5, &connect, harness.Frame(harness.TypeAuth<<4|2, auth[2:])},
		"with the method twice":           {5, &connect, harness.Frame(harness.TypeAuth<<4, append([]byte{harness.ReAuthenticate, 8}, "\x15\x00\x01a\x15\x00\x01a"...))},
		"cut off in the middle of a text": {5, &connect, harness.Frame(harness.TypeAuth<<4, append([]byte{harness.ReAuthenticate, 5}, "\x15\x00\x09ab"...))},
	} {
		t.Run(what, func(t *testing.T) {
			w := harness.Dial(t, s.MQTT, test.version)
			if test.hello != nil {
				w = harness.Enter(t, s, test.version, *test.hello)
			}
			w.Send(test.sent)
			if p := w.ExpectClosed(); p.Kind != 0 && (test.version < 5 || p.Kind != harness.TypeDisconnect || p.Code() < 0x80) {
				t.Errorf("the server closed with packet type %d, code 0x%02x", p.Kind, p.Code())
			}
		})
	}
	b.expectUndisturbed(t)
}

func TestS6_AnAuthPacketBeforeConnackIsNoWayIn(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	token := s.Token(s.Service("meter", "pub:a"))
	expired := f.Alter(token, harness.Claims{"iat": harness.SecondsFromNow(-2 * time.Hour), "nbf": nil, "exp": harness.SecondsFromNow(-time.Hour)})
	bad := harness.Hello{ID: "meter", Method: oauth2JWT, Data: expired}.Encode(5)
	good := harness.Hello{ID: "meter", Method: oauth2JWT, Data: token}.Encode(5)
	renewal := harness.EncodeAuth(harness.ReAuthenticate, oauth2JWT, token)
	spoilt := harness.EncodeAuth(harness.ReAuthenticate, oauth2JWT, expired)

	w := harness.Dial(t, s.MQTT, 5)
	w.Send(append(bad, renewal...)) // a good token after a bad one, in one breath
	if p, err := w.Read(); err != nil || p.Kind != harness.TypeConnack || p.Code() != 0x86 {
		t.Errorf("a packet of type %d, code 0x%02x, %v; want CONNACK 0x86", p.Kind, p.Code(), err)
	}
	if p := w.ExpectClosed(); p.Kind != 0 {
		t.Errorf("a packet of type %d follows the refusal", p.Kind)
	}

	w = harness.Dial(t, s.MQTT, 5)
	w.Send(append(good, spoilt...)) // and the reverse
	if p, err := w.Read(); err != nil || p.Kind != harness.TypeConnack || p.Code() != 0 {
		t.Errorf("a packet of type %d, code 0x%02x, %v; want CONNACK 0", p.Kind, p.Code(), err)
	}
	w.ExpectDisconnect(0x87)
}

func TestS6_AFloodOfRenewalsEndsTheConnectionAndHarmsNobody(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	b := newBystander(t, s)
	token := s.Token(s.Service("meter", "pub:a"))
	w := enterByMethod(t, s, "meter", token)
	const sent = 500
	flood := strings.Repeat(string(harness.EncodeAuth(harness.ReAuthenticate, oauth2JWT, token)), sent)
	go func() { _, _ = w.Conn.Write([]byte(flood)) }() // which the server does not read to its end
	accepted := 0
	for {
		p, err := w.Read()
		if err != nil {
			t.Fatal("the connection ended without a word:", err)
		}
		if p.Kind == harness.TypeDisconnect {
			if p.Code() != 0x96 {
				t.Errorf("DISCONNECT 0x%02x, want 0x96", p.Code())
			}
			break
		}
		accepted++
	}
	if accepted == 0 || accepted > 20 {
		t.Errorf("%d of %d renewals were accepted", accepted, sent)
	}
	b.expectUndisturbed(t)
	enterByMethod(t, s, "meter", token).MustRenew(oauth2JWT, token)
}

func TestS6_ARenewalMovesTheEndOfTheSession(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t, "--leeway", "0s")
	genuine := s.Token(s.Service("meter", "pub:meter/#", "sub:meter/#"))
	first := f.Lasting(genuine, 1500*time.Millisecond)
	clock := harness.Enter(t, s, 5, harness.Hello{ID: "meter:clock", Password: f.Lasting(genuine, 1800*time.Millisecond)})
	var longer []*harness.Wire
	for _, method := range []string{oauth2JWT, "CUSTOM-JWT"} {
		w := harness.Enter(t, s, 5, harness.Hello{ID: harness.Name("meter:longer", method), Method: method, Data: first})
		answer := w.MustRenew(method, f.Lasting(genuine, time.Hour))
		if answer.AuthMethod() != method {
			t.Errorf("AUTH names the method %q, want %q", answer.AuthMethod(), method)
		}
		expectRenewAfter(t, answer, 2400, 3100) // of 3600 s
		longer = append(longer, w)
	}
	shorter := enterByMethod(t, s, "meter:shorter", genuine)
	expectRenewAfter(t, shorter.MustRenew(oauth2JWT, first), 0, 1)

	shorter.ExpectDisconnect(0xa0) // who asks for less gets less
	clock.ExpectDisconnect(0xa0)
	for _, w := range longer {
		w.Ping()
	}
}

// expectRenewAfter wants the server to ask for another token after so many seconds.
func expectRenewAfter(tb testing.TB, answer harness.Packet, from, to int) {
	tb.Helper()
	name, value, _ := strings.Cut(answer.UserProperty(), "=")
	seconds, err := strconv.Atoi(value)
	if name != "token-renew-after" || err != nil || seconds < from || seconds > to {
		tb.Errorf("the user property is %q, want token-renew-after between %d and %d", answer.UserProperty(), from, to)
	}
}

func TestS6_ARenewalJudgesTheSessionAnew(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "sub:a/#", "sub:b/#", "pub:a/#", "pub:b/#")
	full, narrow := s.Token(meter), s.Token(meter, "scope", "sub:b/#?qos=0 pub:b/#")
	other := harness.Enter(t, s, 5, harness.Hello{ID: "meter:other", Password: full})
	other.MustSubscribe(1, "a/state")

	will := &harness.Message{Topic: "a/state", Payload: "lost", QoS: 1}
	w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Method: oauth2JWT, Data: full, Will: will})
	w.MustSubscribe(1, "a/x", "b/x", "$share/g/a/x", "b/marker")
	w.Send(aliased("a/x", 1))
	w.ExpectAck(harness.TypePuback, 9)
	w.Until("a/x")
	w.MustRenew(oauth2JWT, narrow)
	w.Early = nil // the message to the shared group

	for _, topic := range []string{"a/x", "b/x", "b/marker"} {
		other.Publish(harness.Message{Topic: topic, QoS: 1})
	}
	for _, m := range w.Until("b/marker") {
		if m.Topic != "b/x" || m.QoS() != 0 {
			t.Errorf("a message on %q at QoS %d came", m.Topic, m.QoS())
		}
	}
	for _, topic := range []string{"a/x", "a", "#"} {
		if code := w.Subscribe(0, topic)[0]; code != 0x87 {
			t.Errorf("SUBSCRIBE %s: 0x%02x, want 0x87", topic, code)
		}
	}
	for _, sent := range [][]byte{aliased("", 1), aliased("a/x", 2)} {
		w.Send(sent)
		if code := w.ExpectAck(harness.TypePuback, 9); code != 0x87 {
			t.Errorf("PUBLISH to what is gone: 0x%02x, want 0x87", code)
		}
	}
	if code := w.Publish(harness.Message{Topic: "b/y", QoS: 1}); code != 0 {
		t.Errorf("PUBLISH to what is left: 0x%02x", code)
	}

	// What was lost does not come back with the rights, and they do.
	w.MustRenew(oauth2JWT, full)
	other.Publish(harness.Message{Topic: "a/x", QoS: 1})
	other.Publish(harness.Message{Topic: "b/marker", QoS: 1})
	w.ExpectTopics("b/marker")
	w.MustSubscribe(1, "a/x")
	w.Drop() // the will went with the right to it
	s.Log.Wait(t, "msg=refused", "event=will", "client_id=meter ")
	other.Publish(harness.Message{Topic: "a/state", Payload: "marker", QoS: 1})
	if m := other.Next(); m.Payload != "marker" {
		t.Errorf("the will was published: %+v", m)
	}
}

func TestS6_ARenewalGivesNothingBackThatAnOperatorHasTaken(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	meter := s.Service("meter", "pub:meter/#", "sub:meter/#")
	wide, renewal := s.Token(meter), s.Token(meter)

	w := enterByMethod(t, s, "meter", wide)
	s.Revoke(harness.Claims{"token_id": f.Claim(renewal, "jti")})
	if p := w.Renew(oauth2JWT, renewal); p.Kind != harness.TypeDisconnect || p.Code() != 0x87 {
		t.Errorf("a revoked token is answered with a packet of type %d, code 0x%02x; want DISCONNECT 0x87", p.Kind, p.Code())
	}
	s.Log.Wait(t, "event=renew", "rule=revoked ", "remote="+w.Remote()+" ")

	w = enterByMethod(t, s, "meter", wide)
	s.Change(http.MethodPatch, "/v1/services/meter", harness.Rights("pub:meter/left", "sub:meter/left"))
	w.MustRenew(oauth2JWT, wide)
	for topic, want := range map[string]byte{"meter/left": 0, "meter/gone": 0x87} {
		if code := w.Publish(harness.Message{Topic: topic, QoS: 1}); code != want {
			t.Errorf("PUBLISH to %s with the old token: 0x%02x, want 0x%02x", topic, code, want)
		}
		if code := w.Subscribe(0, topic)[0]; code != want {
			t.Errorf("SUBSCRIBE %s with the old token: 0x%02x, want 0x%02x", topic, code, want)
		}
	}
}
