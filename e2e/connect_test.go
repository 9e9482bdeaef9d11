package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Design §6, CONNECT: who is let in, and what is said to whom of those who are not.

func TestATokenInThePasswordLetsAClientIn(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	c := s.Service("meter", "pub:meter/#", "sub:meter/#")
	token := s.Token(c)
	harness.EachClient(t, func(t *testing.T, _ byte, connect harness.ConnectFunc) {
		for _, user := range []string{"", "meter", "anything at all"} {
			d := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "meter", User: user, Password: token})
			if code := d.Subscribe(1, "meter/#"); code != 1 {
				t.Errorf("user name %q: SUBACK 0x%02x, want 1", user, code)
			}
			if code := d.Publish(harness.Message{Topic: "meter/power", Payload: "7", QoS: 1}); code != 0 {
				t.Errorf("user name %q: PUBACK 0x%02x, want success", user, code)
			}
			d.Until("meter/power")
			d.Leave()
		}
	})
}

func TestATokenMayComeAsAuthenticationData(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:meter/#"))
	for _, method := range []string{"OAUTH2-JWT", "CUSTOM-JWT"} {
		for what, h := range map[string]harness.Hello{
			"data":     {ID: "meter", Method: method, Data: token},
			"password": {ID: "meter", Method: method, Password: token},
			"both":     {ID: "meter", Method: method, Data: token, Password: "not a token"},
		} {
			d := harness.MustConnect(t, harness.ConnectPaho5, s.TCP(), h)
			if p5, ok := d.(*harness.Paho5); !ok || p5.Ack.Properties.AuthMethod != method {
				t.Errorf("%s with the token as %s: CONNACK does not name the method", method, what)
			}
			d.Leave()
		}
	}
	for what, h := range map[string]harness.Hello{
		"another method":       {Method: "SCRAM-SHA-1", Data: token},
		"another letter case":  {Method: "oauth2-jwt", Data: token},
		"a token beside it":    {Method: "GS2-KRB5", Password: token},
		"data without method":  {Data: token},
		"data and no method":   {Data: token, Password: token},
		"a bad token":          {Method: "OAUTH2-JWT", Data: token + "x"},
		"nothing":              {Method: "OAUTH2-JWT"},
		"bad data, good token": {Method: "OAUTH2-JWT", Data: "x", Password: token},
	} {
		want, rule := harness.BadMethod, "authentication-method"
		switch {
		case h.Method == "":
			want = harness.ProtocolError
		case h.Method == "OAUTH2-JWT" && h.Data == "":
			want, rule = harness.BadToken, "no-token"
		case h.Method == "OAUTH2-JWT":
			want, rule = harness.BadToken, "token-malformed"
		}
		h.ID = "meter"
		t.Run(what, func(t *testing.T) { harness.ExpectRefused(t, s.In(t), 5, h, want, rule) })
	}
}

func TestAnMQTTClientIDBelongsToItsClient(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter"))
	tester := s.Token(s.Create("services", "--id", "tester", "--scope", "pub:tester/#", "--mqtt-client-id", "*"))
	gateway := s.Token(s.Create("services", "--id", "gateway", "--scope", "pub:gateway/#", "--mqtt-client-id", "gw-*", "--mqtt-client-id", "*-spare"))
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		for _, h := range []harness.Hello{
			{ID: "meter", Password: meter},
			{ID: "meter:1", Password: meter},
			{ID: "meter:eu:west-1", Password: meter},
			{ID: "tester", Password: tester},
			{ID: "what ever/you+like#", Password: tester},
			{ID: "gw-7", Password: gateway},
			{ID: "eu-spare", Password: gateway},
		} {
			harness.MustConnect(t, connect, s.TCP(), h).Leave()
		}
		for _, h := range []harness.Hello{
			{ID: "other", Password: meter},
			{ID: "tester", Password: meter},
			{ID: "meter:", Password: meter},
			{ID: "meter2", Password: meter},
			{ID: "mete", Password: meter},
			{ID: "Meter", Password: meter},
			{ID: "x:meter", Password: meter},
			{ID: "gateway", Password: gateway},
			{ID: "a-gw-7", Password: gateway},
		} {
			harness.ExpectRefused(t, s.In(t), version, h, harness.NotAuthorized, "mqtt-client-id")
		}
		harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: strings.Repeat("x", 300), Password: tester}, harness.BadClientID, "mqtt-client-id")
	})
}

func TestAnEmptyMQTTClientIDGetsAnAssignedOne(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:meter/#", "sub:meter/#")
	token := s.Token(meter)
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		first := harness.MustConnect(t, connect, s.TCP(), harness.Hello{Password: token})
		second := harness.MustConnect(t, connect, s.TCP(), harness.Hello{Password: token})
		first.Subscribe(0, "meter/x")
		second.Publish(harness.Message{Topic: "meter/x"})
		first.Until("meter/x") // the second has not taken over the first
		if version == 5 {
			for _, d := range []harness.Device{first, second} {
				if !strings.HasPrefix(d.Assigned(), "meter:") {
					t.Errorf("the server assigned %q, which is not the client's own", d.Assigned())
				}
			}
		}
		first.Leave()
		second.Leave()
	})
}

func TestARefusedDeviceLearnsACodeAndTheOperatorTheRule(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:meter/#")
	off := s.Service("off")
	gone := s.Service("gone")
	token, offToken, goneToken := s.Token(meter), s.Token(off), s.Token(gone)
	s.Disable(off.ClientID)
	s.Change(http.MethodDelete, "/v1/services/gone", nil)
	fleetToken := s.OperatorToken()
	for what, test := range map[string]struct {
		hello harness.Hello
		want  harness.Refusal
		rule  string
	}{
		"no password":         {harness.Hello{ID: "meter", User: "meter"}, harness.BadToken, "no-token"},
		"nonsense":            {harness.Hello{ID: "meter", Password: "let me in"}, harness.BadToken, "token-malformed"},
		"the secret itself":   {harness.Hello{ID: "meter", User: "meter", Password: meter.ClientSecret}, harness.BadToken, "token-malformed"},
		"a torn token":        {harness.Hello{ID: "meter", Password: token[:len(token)-2]}, harness.BadToken, "token-signature"},
		"a fleet API token":   {harness.Hello{ID: "root", Password: fleetToken}, harness.BadToken, "token-audience"},
		"a disabled client":   {harness.Hello{ID: "off", Password: offToken}, harness.NotAuthorized, "client-inactive"},
		"a deleted client":    {harness.Hello{ID: "gone", Password: goneToken}, harness.NotAuthorized, "client-inactive"},
		"another's client ID": {harness.Hello{ID: "off", Password: token}, harness.NotAuthorized, "mqtt-client-id"},
		"a will not granted":  {harness.Hello{ID: "meter", Password: token, Will: &harness.Message{Topic: "off/state", Payload: "x"}}, harness.NotAuthorized, "will-outside-grants"},
	} {
		t.Run(what, func(t *testing.T) {
			harness.EachVersion(t, func(t *testing.T, version byte) {
				harness.ExpectRefused(t, s.In(t), version, test.hello, test.want, test.rule)
			})
		})
	}
	for _, secret := range []string{token, meter.ClientSecret, offToken, fleetToken} {
		if strings.Contains(s.Log.String(), secret[len(secret)-20:]) {
			t.Error("a token or a secret is in the log")
		}
	}
}

func TestRealClientsSeeTheCodeOfARefusal(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter"))
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		if _, code := connect(t, s.TCP(), harness.Hello{ID: "meter", Password: token + "x"}); code != harness.BadToken.In(version) {
			t.Errorf("a bad token: 0x%02x", code)
		}
		if _, code := connect(t, s.TCP(), harness.Hello{ID: "other", Password: token}); code != harness.NotAuthorized.In(version) {
			t.Errorf("another's client ID: 0x%02x", code)
		}
	})
}

func TestTheWillOfALostDeviceIsPublished(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:meter/$state"))
	reader := s.Token(s.Service("reader", "sub:meter/#", "pub:meter/marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
		watch.MustSubscribe(1, "meter/#")
		will := &harness.Message{Topic: "meter/$state", Payload: "lost", QoS: 1}
		harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: meter, Will: will}).Drop()
		watch.Until("meter/$state")

		harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: meter, Will: will}).Leave()
		watch.Publish(harness.Message{Topic: "meter/marker", QoS: 1})
		watch.ExpectTopics("meter/marker")
	})
}
