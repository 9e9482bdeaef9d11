package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// Design §6, CONNECT: who is let in, and what is said to whom of those who are not.

func TestATokenInThePasswordLetsAClientIn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.service("meter", "pub:meter/#", "sub:meter/#")
	token := s.token(c)
	eachClient(t, func(t *testing.T, _ byte, connect connectFunc) {
		for _, user := range []string{"", "meter", "anything at all"} {
			d := mustConnect(t, connect, s.tcp(), hello{id: "meter", user: user, password: token})
			if code := d.subscribe(1, "meter/#"); code != 1 {
				t.Errorf("user name %q: SUBACK 0x%02x, want 1", user, code)
			}
			if code := d.publish(message{topic: "meter/power", payload: "7", qos: 1}); code != 0 {
				t.Errorf("user name %q: PUBACK 0x%02x, want success", user, code)
			}
			d.until("meter/power")
			d.leave()
		}
	})
}

func TestATokenMayComeAsAuthenticationData(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "pub:meter/#"))
	for _, method := range []string{"OAUTH2-JWT", "CUSTOM-JWT"} {
		for what, h := range map[string]hello{
			"data":     {id: "meter", method: method, data: token},
			"password": {id: "meter", method: method, password: token},
			"both":     {id: "meter", method: method, data: token, password: "not a token"},
		} {
			d := mustConnect(t, connectPaho5, s.tcp(), h)
			if p5, ok := d.(*paho5); !ok || p5.ack.Properties.AuthMethod != method {
				t.Errorf("%s with the token as %s: CONNACK does not name the method", method, what)
			}
			d.leave()
		}
	}
	for what, h := range map[string]hello{
		"another method":       {method: "SCRAM-SHA-1", data: token},
		"another letter case":  {method: "oauth2-jwt", data: token},
		"a token beside it":    {method: "GS2-KRB5", password: token},
		"data without method":  {data: token},
		"data and no method":   {data: token, password: token},
		"a bad token":          {method: "OAUTH2-JWT", data: token + "x"},
		"nothing":              {method: "OAUTH2-JWT"},
		"bad data, good token": {method: "OAUTH2-JWT", data: "x", password: token},
	} {
		want, rule := badMethod, "authentication-method"
		switch {
		case h.method == "":
			want = protocolError
		case h.method == "OAUTH2-JWT" && h.data == "":
			want, rule = badToken, "no-token"
		case h.method == "OAUTH2-JWT":
			want, rule = badToken, "token-malformed"
		}
		h.id = "meter"
		t.Run(what, func(t *testing.T) { expectRefused(t, s.in(t), 5, h, want, rule) })
	}
}

func TestAnMQTTClientIDBelongsToItsClient(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter"))
	tester := s.token(s.create("services", "--id", "tester", "--scope", "pub:tester/#", "--mqtt-client-id", "*"))
	gateway := s.token(s.create("services", "--id", "gateway", "--scope", "pub:gateway/#", "--mqtt-client-id", "gw-*", "--mqtt-client-id", "*-spare"))
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		for _, h := range []hello{
			{id: "meter", password: meter},
			{id: "meter:1", password: meter},
			{id: "meter:eu:west-1", password: meter},
			{id: "tester", password: tester},
			{id: "what ever/you+like#", password: tester},
			{id: "gw-7", password: gateway},
			{id: "eu-spare", password: gateway},
		} {
			mustConnect(t, connect, s.tcp(), h).leave()
		}
		for _, h := range []hello{
			{id: "other", password: meter},
			{id: "tester", password: meter},
			{id: "meter:", password: meter},
			{id: "meter2", password: meter},
			{id: "mete", password: meter},
			{id: "Meter", password: meter},
			{id: "x:meter", password: meter},
			{id: "gateway", password: gateway},
			{id: "a-gw-7", password: gateway},
		} {
			expectRefused(t, s.in(t), version, h, notAuthorized, "mqtt-client-id")
		}
		expectRefused(t, s.in(t), version, hello{id: strings.Repeat("x", 300), password: tester}, badClientID, "mqtt-client-id")
	})
}

func TestAnEmptyMQTTClientIDGetsAnAssignedOne(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.service("meter", "pub:meter/#", "sub:meter/#")
	token := s.token(meter)
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		first := mustConnect(t, connect, s.tcp(), hello{password: token})
		second := mustConnect(t, connect, s.tcp(), hello{password: token})
		first.subscribe(0, "meter/x")
		second.publish(message{topic: "meter/x"})
		first.until("meter/x") // the second has not taken over the first
		if version == 5 {
			for _, d := range []device{first, second} {
				if !strings.HasPrefix(d.assigned(), "meter:") {
					t.Errorf("the server assigned %q, which is not the client's own", d.assigned())
				}
			}
		}
		first.leave()
		second.leave()
	})
}

func TestARefusedDeviceLearnsACodeAndTheOperatorTheRule(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.service("meter", "pub:meter/#")
	off := s.service("off")
	gone := s.service("gone")
	token, offToken, goneToken := s.token(meter), s.token(off), s.token(gone)
	s.disable(off.ClientID)
	s.change(http.MethodDelete, "/v1/services/gone", nil)
	fleetToken := s.operatorToken()
	for what, test := range map[string]struct {
		hello hello
		want  refusal
		rule  string
	}{
		"no password":         {hello{id: "meter", user: "meter"}, badToken, "no-token"},
		"nonsense":            {hello{id: "meter", password: "let me in"}, badToken, "token-malformed"},
		"the secret itself":   {hello{id: "meter", user: "meter", password: meter.ClientSecret}, badToken, "token-malformed"},
		"a torn token":        {hello{id: "meter", password: token[:len(token)-2]}, badToken, "token-signature"},
		"a fleet API token":   {hello{id: "root", password: fleetToken}, badToken, "token-audience"},
		"a disabled client":   {hello{id: "off", password: offToken}, notAuthorized, "client-inactive"},
		"a deleted client":    {hello{id: "gone", password: goneToken}, notAuthorized, "client-inactive"},
		"another's client ID": {hello{id: "off", password: token}, notAuthorized, "mqtt-client-id"},
		"a will not granted":  {hello{id: "meter", password: token, will: &message{topic: "off/state", payload: "x"}}, notAuthorized, "will-outside-grants"},
	} {
		t.Run(what, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version byte) { expectRefused(t, s.in(t), version, test.hello, test.want, test.rule) })
		})
	}
	for _, secret := range []string{token, meter.ClientSecret, offToken, fleetToken} {
		if strings.Contains(s.log.String(), secret[len(secret)-20:]) {
			t.Error("a token or a secret is in the log")
		}
	}
}

func TestRealClientsSeeTheCodeOfARefusal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter"))
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		if _, code := connect(t, s.tcp(), hello{id: "meter", password: token + "x"}); code != badToken.in(version) {
			t.Errorf("a bad token: 0x%02x", code)
		}
		if _, code := connect(t, s.tcp(), hello{id: "other", password: token}); code != notAuthorized.in(version) {
			t.Errorf("another's client ID: 0x%02x", code)
		}
	})
}

func TestTheWillOfALostDeviceIsPublished(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:meter/$state"))
	reader := s.token(s.service("reader", "sub:meter/#", "pub:meter/marker"))
	eachVersion(t, func(t *testing.T, version byte) {
		watch := enter(t, s, version, hello{id: "reader", password: reader})
		watch.mustSubscribe(1, "meter/#")
		will := &message{topic: "meter/$state", payload: "lost", qos: 1}
		enter(t, s, version, hello{id: "meter", password: meter, will: will}).drop()
		watch.until("meter/$state")

		enter(t, s, version, hello{id: "meter", password: meter, will: will}).leave()
		watch.publish(message{topic: "meter/marker", qos: 1})
		watch.expectTopics("meter/marker")
	})
}
