package authhook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// refusals are the codes of a CONNACK that refuses, for MQTT 5.0 and for 3.1.1.
type refusals struct{ v5, v3 byte }

var (
	badToken      = refusals{0x86, 4}
	notAuthorized = refusals{0x87, 5}
	badClientID   = refusals{0x85, 2}
	unavailable   = refusals{0x88, 3}
)

func (r refusals) of(version byte) byte {
	if version == 5 {
		return r.v5
	}
	return r.v3
}

// expectRefused connects a client that must be refused with this code and learn nothing else, and returns the event.
func (g *gate) expectRefused(tb testing.TB, version byte, id, token string, want refusals, rule string,
	change ...func(*packets.Packet),
) authhook.Event {
	tb.Helper()
	g.events.forget()
	w, ack := g.connect(tb, version, id, token, change...)
	if ack.ReasonCode != want.of(version) {
		tb.Errorf("CONNACK 0x%02x, want 0x%02x", ack.ReasonCode, want.of(version))
	}
	if ack.SessionPresent {
		tb.Error("the refusal says that a session is present")
	}
	if strings.Contains(ack.Properties.ReasonString, rule) || len(ack.Properties.User) > 0 {
		tb.Errorf("the client learns more than a code: %q %v", ack.Properties.ReasonString, ack.Properties.User)
	}
	w.expectClosed(tb)
	e := g.events.expect(tb, authhook.KindConnect, rule)
	if e.Allowed || e.ReasonCode != want.v5 {
		tb.Errorf("the event says allowed=%v, code 0x%02x", e.Allowed, e.ReasonCode)
	}
	return e
}

func TestAValidTokenIsLetIn(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{3, 4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			t.Parallel()
			g := openGate(t)
			w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:a/b"))
			if code := w.publish(t, "a/b", 1, false); code != 0 {
				t.Errorf("PUBACK 0x%02x, want success", code)
			}
			g.expectHeard(t, "a/b")
			e := g.events.expect(t, authhook.KindConnect, authhook.RuleGranted)
			if !e.Allowed || e.ClientID != "sensor-1" || e.MQTTClientID != "sensor-1" || e.Remote == "" || e.Time.IsZero() {
				t.Errorf("the event is %+v", e)
			}
		})
	}
}

func TestATokenMayComeAsAuthenticationData(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for _, method := range []string{"OAUTH2-JWT", "CUSTOM-JWT"} {
		token := g.token(t, "sensor-1")
		_, ack := g.connect(t, 5, "sensor-1", "", func(pk *packets.Packet) {
			pk.Properties.AuthenticationMethod, pk.Properties.AuthenticationData = method, []byte(token)
		})
		if ack.ReasonCode != 0 || ack.Properties.AuthenticationMethod != method {
			t.Errorf("%s: CONNACK 0x%02x with method %q", method, ack.ReasonCode, ack.Properties.AuthenticationMethod)
		}
		_, ack = g.connect(t, 5, "sensor-1", token, func(pk *packets.Packet) { pk.Properties.AuthenticationMethod = method })
		if ack.ReasonCode != 0 {
			t.Errorf("%s with the token as password: CONNACK 0x%02x", method, ack.ReasonCode)
		}
	}
	_, ack := g.connect(t, 5, "sensor-1", g.token(t, "sensor-1"))
	if ack.ReasonCode != 0 || ack.Properties.AuthenticationMethod != "" {
		t.Errorf("without a method: CONNACK 0x%02x with method %q", ack.ReasonCode, ack.Properties.AuthenticationMethod)
	}
	method := func(method, data string) func(*packets.Packet) {
		return func(pk *packets.Packet) {
			pk.Properties.AuthenticationMethod, pk.Properties.AuthenticationData = method, []byte(data)
		}
	}
	g.expectRefused(t, 5, "sensor-1", g.token(t, "sensor-1"), refusals{v5: 0x8c}, authhook.RuleMethod, method("SCRAM-SHA-1", "x"))
	g.expectRefused(t, 5, "sensor-1", g.token(t, "sensor-1"), refusals{v5: 0x8c}, authhook.RuleMethod, method("oauth2-jwt", "x"))
	g.expectRefused(t, 5, "sensor-1", g.token(t, "sensor-1"), refusals{v5: 0x82}, authhook.RuleMethod, method("", "x"))
	g.expectRefused(t, 5, "sensor-1", g.token(t, "sensor-1"), badToken, "token-malformed", method("OAUTH2-JWT", "x"))
}

func TestJ_ABadTokenIsRefusedWithOneCode(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	sign := func(claims jwt.MapClaims) string { return g.tokenWith(t, "sensor-1", claims) }
	good := sign(nil)
	unsigned := good[:strings.LastIndexByte(good, '.')+1]
	cases := []struct{ name, token, rule string }{
		{"no password", "", authhook.RuleNoToken},
		{"text", "let me in", "token-malformed"},
		{"J1 without a signature", unsigned, "token-malformed"},
		{"J1 alg none", "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoia2V5LTEifQ." + strings.Split(good, ".")[1] + "." + strings.Split(good, ".")[2], "token-algorithm"},
		{"J1 signature of another token", unsigned + strings.Split(sign(jwt.MapClaims{"jti": "x"}), ".")[2], "token-signature"},
		{"J3 issuer", sign(jwt.MapClaims{"iss": "https://other.example"}), "token-issuer"},
		{"J3 audience", sign(jwt.MapClaims{"aud": "boomgate:fleet"}), "token-audience"},
		{"J3 audience with a prefix", sign(jwt.MapClaims{"aud": testAudience + "2"}), "token-audience"},
		{"J3 no exp", sign(jwt.MapClaims{"exp": nil}), "token-claims"},
		{"J3 nbf in the future", sign(jwt.MapClaims{"nbf": g.clock.unix(10 * time.Minute)}), "token-not-yet-valid"},
		{"S5 expired", sign(jwt.MapClaims{"iat": g.clock.unix(-2 * time.Hour), "exp": g.clock.unix(-time.Hour)}), "token-expired"},
		{"S5 exp zero", sign(jwt.MapClaims{"exp": 0}), "token-claims"},
		{"S5 exp negative", sign(jwt.MapClaims{"exp": -1}), "token-claims"},
		{"S5 exp text", sign(jwt.MapClaims{"exp": "4102444800"}), "token-claims"},
		{"S5 exp in the far future", sign(jwt.MapClaims{"exp": int64(1) << 62}), "token-claims"},
		{"A14 scopes that disagree", sign(jwt.MapClaims{"scp": []string{"pub:a"}, "scope": "pub:b"}), "token-claims"},
		{"J4 64 KiB", strings.Repeat("x", 65535), "token-too-large"},
		{"J4 dots", strings.Repeat(".", 60000), "token-too-large"},
	}
	for _, c := range cases {
		for _, version := range []byte{4, 5} {
			t.Log(c.name, "in version", version)
			g.expectRefused(t, version, "sensor-1", c.token, badToken, c.rule)
		}
	}
}

func TestAClientThatIsNotActiveIsRefused(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.clients.set("sensor-1", authhook.Status{})
	for _, version := range []byte{4, 5} {
		g.expectRefused(t, version, "sensor-1", g.token(t, "sensor-1"), notAuthorized, authhook.RuleClientInactive)
	}
	g.clients.setBroken(true)
	for _, version := range []byte{4, 5} {
		e := g.expectRefused(t, version, "sensor-2", g.token(t, "sensor-2"), unavailable, authhook.RuleStatusUnavailable)
		if e.Detail != "the store is gone" {
			t.Errorf("the operator is told %q", e.Detail)
		}
	}
}

func TestAnMQTTClientIDMustBeTheClients(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.clients.allow("gateway", "gateway-*", "*-backup-*x")
	g.clients.allow("tester", "*")
	own := []struct{ clientID, mqttID string }{
		{"sensor-1", "sensor-1"},
		{"sensor-1", "sensor-1:a"},
		{"sensor-1", "sensor-1:a:b"},
		{"gateway", "gateway-7"},
		{"gateway", "gateway-"},
		{"gateway", "eu-backup-9xx"},
		{"tester", "what ever"},
	}
	for _, c := range own {
		g.enter(t, 5, c.mqttID, g.token(t, c.clientID))
	}
	foreign := []struct{ clientID, mqttID string }{
		{"sensor-1", "sensor-2"},
		{"sensor-1", "sensor-1:"},
		{"sensor-1", "sensor-11"},
		{"sensor-1", "Sensor-1"},
		{"sensor-1", "sensor-"},
		{"sensor-1", " sensor-1"},
		{"sensor-1", "x:sensor-1"},
		{"gateway", "gateway"},
		{"gateway", "xgateway-7"},
		{"gateway", "eu-backup-9"},
	}
	for _, c := range foreign {
		for _, version := range []byte{4, 5} {
			g.expectRefused(t, version, c.mqttID, g.token(t, c.clientID), notAuthorized, authhook.RuleMQTTClientID)
		}
	}
	for _, id := range []string{strings.Repeat("x", 257), "a\x01b", "tab\t"} {
		g.expectRefused(t, 5, id, g.token(t, "tester"), badClientID, authhook.RuleMQTTClientID)
	}
	g.expectRefused(t, 4, "inline", g.token(t, "tester"), badClientID, authhook.RuleMQTTClientID)
}

func TestS4_AnEmptyMQTTClientIDBecomesOneOfTheClients(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.clients.allow("gateway", "gateway-7")
	for _, id := range []string{"sensor-1", "gateway"} {
		_, ack := g.connect(t, 5, "", g.token(t, id), clean)
		if assigned := ack.Properties.AssignedClientID; ack.ReasonCode != 0 || !strings.HasPrefix(assigned, id+":") {
			t.Errorf("CONNACK 0x%02x, assigned %q", ack.ReasonCode, assigned)
		}
		g.enter(t, 4, "", g.token(t, id), clean)
	}
	sessions := g.hook.Sessions()
	if len(sessions) != 4 {
		t.Fatalf("there are %d sessions, want 4", len(sessions))
	}
	for _, s := range sessions {
		if !strings.HasPrefix(s.MQTTClientID, s.ClientID+":") || len(s.MQTTClientID) < len(s.ClientID)+10 {
			t.Errorf("%s was assigned %q", s.ClientID, s.MQTTClientID)
		}
	}
}

func TestW1_AWillOutsideTheGrantsIsRefused(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	scopes := []string{"pub:own/#?qos=1&retain=false", "pub:#", "sub:read/only"}
	cases := []struct {
		scopes []string
		topic  string
		qos    byte
		retain bool
	}{
		{scopes[:1], "other/topic", 0, false},
		{scopes[:1], "own/state", 2, false},
		{scopes[:1], "own/state", 1, true},
		{scopes[2:], "read/only", 0, false},
		{nil, "any", 0, false},
		{scopes, "own/#", 0, false},
		{scopes, "own/+", 0, false},
		{scopes, "$SYS/broker", 0, false},
		{scopes, "$sys/broker", 0, true},
		{scopes, "$share/group/own/state", 0, false},
		{scopes, "$other/x", 0, false},
		{scopes, strings.Repeat("a/", 2000), 0, false},
	}
	for _, c := range cases {
		for _, version := range []byte{4, 5} {
			e := g.expectRefused(t, version, "sensor-1", g.token(t, "sensor-1", c.scopes...), notAuthorized, authhook.RuleWill,
				withWill(c.topic, c.qos, c.retain))
			if e.Detail == "" {
				t.Errorf("will on %q: the operator is not told why", c.topic)
			}
		}
	}
	g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", scopes[0]), withWill("own/state", 1, false))
}

func TestTheOperatorIsToldOfScopesThatGrantNothing(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a/#/b", "telemetry:write", "pub:a"))
	if e := g.events.expect(t, authhook.KindConnect, authhook.RuleGranted); !strings.HasPrefix(e.Detail, "1 topic scopes") {
		t.Errorf("the event says %q", e.Detail)
	}
}

func TestTokensNeverReachTheLog(t *testing.T) {
	t.Parallel()
	seen := &snoop{passwords: make(chan string, 64)}
	g := openGate(t, func(s *settings) { s.after = append(s.after, seen) })
	token := g.token(t, "sensor-1")
	asData := func(pk *packets.Packet) {
		pk.Properties.AuthenticationMethod, pk.Properties.AuthenticationData = "OAUTH2-JWT", []byte(token)
	}
	for _, change := range []func(*packets.Packet){func(*packets.Packet) {}, asData} {
		for _, version := range []byte{4, 5} {
			w := g.enter(t, version, "sensor-1", token, change)
			w.send(t, connectPacket(version, "sensor-1", token, change)) // a second CONNECT, which mochi logs whole
			w.expectDisconnect(t, 0x82)
		}
	}
	for _, version := range []byte{4, 5} {
		w := g.enter(t, version, "sensor-1", token, asData)
		w.send(t, packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Auth}, ReasonCode: 0x19,
			Properties: packets.Properties{AuthenticationMethod: "OAUTH2-JWT", AuthenticationData: []byte(token)},
		})
		if version == 5 {
			w.expect(t, packets.Auth)
			continue
		}
		w.expectDisconnect(t, 0x82)
	}
	close(seen.passwords)
	for password := range seen.passwords {
		if strings.Trim(password, "\x00") != "" {
			t.Errorf("another hook saw the token %.10q", password)
		}
	}
	g.expectRefused(t, 5, "sensor-1", token+"x", badToken, "token-malformed")
	g.expectRefused(t, 5, token[:80], token, notAuthorized, authhook.RuleMQTTClientID)
	if e := g.expectRefused(t, 5, token[:40]+" "+token[40:80], "bad", badToken, "token-malformed"); e.MQTTClientID != "" {
		t.Errorf("the event shows %q, which a stranger has chosen", e.MQTTClientID)
	}

	log := g.log.String()
	signature := token[strings.LastIndexByte(token, '.')+1:]
	for _, secret := range []string{token, signature, decimals(token[:16]), decimals(signature[:16])} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.20s…", secret)
		}
	}
	if !strings.Contains(log, "second connect") {
		t.Error("the log does not mention the second CONNECT: the test proves nothing")
	}
}

// A snoop is a hook that looks at the CONNECTs that were accepted.
type snoop struct {
	mqtt.HookBase
	passwords chan string
}

func (s *snoop) ID() string                { return "snoop" }
func (s *snoop) Provides(method byte) bool { return method == mqtt.OnConnect }

func (s *snoop) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	s.passwords <- string(pk.Connect.Password) + string(pk.Properties.AuthenticationData) + string(cl.Properties.Props.AuthenticationData)
	return nil
}

// decimals writes bytes as mochi's logs do.
func decimals(text string) string { return strings.Trim(fmt.Sprint([]byte(text)), "[]") }
