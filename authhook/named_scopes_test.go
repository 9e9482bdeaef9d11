package authhook_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook"
)

// speaking makes one's own issuer and the partner's speak these named scopes.
func speaking(tb testing.TB, own, partner map[string][]string) func(*settings) {
	tb.Helper()
	return func(s *settings) {
		besidePartner(tb, func(i *authhook.Issuer) { i.Scopes = partner })(s)
		s.Issuers[testIssuer] = authhook.Issuer{Scopes: own}
		s.Clients = nil
	}
}

// granted returns the topic scopes that a token stands for.
func (g *gate) granted(tb testing.TB, token string) []string {
	tb.Helper()
	return g.explain(tb, authhook.Question{Token: token, Action: "receive", Topic: "x"}).Grants
}

func TestANamedScopeStandsForItsTemplates(t *testing.T) {
	t.Parallel()
	named := map[string][]string{
		"telemetry:write": {"pub:p/{claims.site}/{client_id}/+?qos=1", "pub:p/{client_id}/info"},
		"telemetry:read":  {"sub:p/{claims.site|+}/#"},
		"unit":            {"pub:u/{claims.unit}/{claims.live}"},
	}
	g := openGate(t, speaking(t, named, named))
	for _, c := range []struct {
		claims jwt.MapClaims
		want   []string
	}{
		{jwt.MapClaims{"scp": []string{"telemetry:write"}, "site": "north"}, []string{"pub:p/north/sensor-1/+?qos=1", "pub:p/sensor-1/info"}},
		{jwt.MapClaims{"scp": []string{"telemetry:write"}}, []string{"pub:p/sensor-1/info"}},
		{jwt.MapClaims{"scp": []string{"telemetry:read"}}, []string{"sub:p/+/#"}},
		{jwt.MapClaims{"scp": []string{"telemetry:read"}, "site": "north"}, []string{"sub:p/north/#"}},
		{jwt.MapClaims{"scp": []string{"unit"}, "unit": 12, "live": true}, []string{"pub:u/12/true"}},
		{jwt.MapClaims{"scp": []string{"unit"}, "unit": 1.5, "live": false}, []string{"pub:u/1.5/false"}},
		{jwt.MapClaims{"scp": []string{"Telemetry:read", "telemetry", "elsewhere:read"}}, nil},
		{jwt.MapClaims{"scope": "telemetry:read unit", "scp": "telemetry:read unit", "unit": "a b", "live": "é"}, []string{"sub:p/+/#", "pub:u/a%20b/%C3%A9"}},
	} {
		if got := g.granted(t, g.tokenWith(t, "sensor-1", c.claims)); !slices.Equal(got, c.want) {
			t.Errorf("%v: one's own: %q, want %q", c.claims, got, c.want)
		}
		if got := g.granted(t, g.partnerToken(t, "sensor-1", c.claims)); !slices.Equal(got, c.want) {
			t.Errorf("%v: the partner's: %q, want %q", c.claims, got, c.want)
		}
	}
}

// TestA6_NoValueOfAClaimWidensATemplate tries what a token may hold in a claim, in templates with and without a default.
func TestA6_NoValueOfAClaimWidensATemplate(t *testing.T) {
	t.Parallel()
	named := map[string][]string{"w": {"pub:p/{claims.v}/x", "sub:{claims.v|+}/y"}}
	g := openGate(t, speaking(t, named, named))
	for _, value := range []any{
		"+", "#", "a/b", "", "\x00", "a\x1f", "\u0085", strings.Repeat("a", 257), "/", "a/#", "$share/g/a+",
		[]string{"a"},
		[]string{},
		map[string]any{"a": "b"},
		nil, "1e+2/",
	} {
		claims := jwt.MapClaims{"scp": []string{"w"}, "v": value}
		if value == nil {
			claims["v"] = jwt.MapClaims(nil) // null: signToken leaves out what is nil
		}
		if got := g.granted(t, g.tokenWith(t, "sensor-1", claims)); len(got) != 0 {
			t.Errorf("%q grants %q", value, got)
		}
	}
	for _, value := range []string{"{client_id}", "{claims.scp}", ".*", "%2F", "{sub}", "a?qos=2", "a b", "é", "e\u0301", "$SYS"} {
		got := g.granted(t, g.tokenWith(t, "sensor-1", jwt.MapClaims{"scp": []string{"w"}, "v": value}))
		for _, scope := range got {
			if strings.ContainsAny(scope, "+#") || strings.Contains(scope, "sensor-1") {
				t.Errorf("%q grants %q", value, got)
			}
		}
		if len(got) == 0 || strings.Count(got[0], "/") != 2 {
			t.Errorf("%q grants %q, want one level in the place of the claim", value, got)
		}
	}
	// The same for the client ID.
	wide := openGate(t, speaking(t, map[string][]string{"w": {"pub:p/{client_id}/x"}}, map[string][]string{"w": {"pub:p/{client_id}/x"}}))
	for _, id := range []string{"+", "#", "a/b", "a+", "*"} {
		got := wide.granted(t, wide.partnerToken(t, id, jwt.MapClaims{"scp": []string{"w"}}))
		var want []string
		if id == "*" { // which is no wildcard of MQTT
			want = []string{"pub:p/*/x"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q grants %q, want %q", id, got, want)
		}
	}
}

func TestAForeignIssuerWithNamedScopesSpeaksThroughThemAlone(t *testing.T) {
	t.Parallel()
	named := map[string][]string{"read": {"sub:p/#"}, "pub:literal": {"pub:literal"}}
	aif := jwt.MapClaims{"scp": []string{}, "scope": base64.RawURLEncoding.EncodeToString([]byte(`[["a/#",["pub","sub"]]]`))}
	literal := jwt.MapClaims{"scp": []string{"sub:#", "pub:#", "read", "pub:literal"}}
	plain, mapped := openGate(t, speaking(t, nil, nil)), openGate(t, speaking(t, named, named))
	for _, c := range []struct {
		name   string
		g      *gate
		token  string
		grants []string
	}{
		{"partner without names", plain, plain.partnerToken(t, "x", literal), []string{"sub:#", "pub:#", "pub:literal"}},
		{"partner without names, AIF", plain, plain.partnerToken(t, "x", aif), []string{"pub:a/#", "sub:a/#"}},
		{"partner with names", mapped, mapped.partnerToken(t, "x", literal), []string{"sub:p/#", "pub:literal"}},
		{"partner with names, AIF", mapped, mapped.partnerToken(t, "x", aif), nil},
		{"own without names", plain, plain.tokenWith(t, "x", literal), []string{"sub:#", "pub:#", "pub:literal"}},
		{"own without names, AIF", plain, plain.tokenWith(t, "x", aif), []string{"pub:a/#", "sub:a/#"}},
		{"own with names", mapped, mapped.tokenWith(t, "x", literal), []string{"sub:#", "pub:#", "pub:literal", "sub:p/#"}},
		{"own with names, AIF", mapped, mapped.tokenWith(t, "x", aif), []string{"pub:a/#", "sub:a/#"}},
	} {
		if got := c.g.granted(t, c.token); !slices.Equal(got, c.grants) {
			t.Errorf("%s: %q, want %q", c.name, got, c.grants)
		}
	}
}

func TestA14_AnAIFWithAnyFaultGrantsNothing(t *testing.T) {
	t.Parallel()
	g := openGate(t, speaking(t, nil, nil))
	for _, text := range []string{`[["a",["pub"]],["b",["all"]]]`, `[["a",["pub"]],["b#",["sub"]]]`, `[["a"]]`} {
		token := g.tokenWith(t, "x", jwt.MapClaims{"scp": []string{}, "scope": base64.RawURLEncoding.EncodeToString([]byte(text))})
		if got := g.granted(t, token); len(got) != 0 {
			t.Errorf("%s grants %q", text, got)
		}
	}
}

func TestLabelsOfAClientExpandTheScopesOfItsToken(t *testing.T) {
	t.Parallel()
	own := map[string][]string{"report": {"pub:{labels.site}/{client_id}/#"}, "read": {"sub:{labels.site|+}/+"}}
	g := openGate(t, func(s *settings) { s.Issuers = map[string]authhook.Issuer{testIssuer: {Scopes: own}} })
	token := g.token(t, "sensor-1", "report", "read")
	stand := func(site string, scopes ...string) {
		status := authhook.Status{Active: true, Scopes: scopes}
		if site != "" {
			status.Labels = map[string]string{"site": site}
		}
		g.clients.set("sensor-1", status)
	}
	stand("north", "report", "read")
	w := g.enter(t, 5, "sensor-1", token)
	if code := w.publish(t, "north/sensor-1/state", 1, false); code != 0 {
		t.Errorf("its own site: 0x%02x", code)
	}
	if codes := w.subscribe(t, "north/x", "south/x"); !slices.Equal(codes, []byte{2, 0x87}) {
		t.Errorf("SUBACK %x", codes)
	}
	// A label that changes moves the client with it.
	stand("south", "report", "read")
	g.hook.Rejudge(authhook.Selection{ClientID: "sensor-1"}, "moved")
	for topic, want := range map[string]byte{"north/sensor-1/state": 0x87, "south/sensor-1/state": 0} {
		if code := w.publish(t, topic, 1, false); code != want {
			t.Errorf("after the move, %s: 0x%02x, want 0x%02x", topic, code, want)
		}
	}
	stand("", "read")
	for _, c := range []struct {
		site string
		want []string
	}{{"", []string{"sub:+/+"}}, {"+", nil}, {"a/b", nil}, {"east", []string{"sub:east/+"}}} {
		stand(c.site, "read")
		if got := g.granted(t, g.token(t, "sensor-1", "read")); !slices.Equal(got, c.want) {
			t.Errorf("site %q: %q, want %q", c.site, got, c.want)
		}
	}
}

func TestJ5_EveryFaultyTemplateIsNamed(t *testing.T) {
	t.Parallel()
	faulty := map[string]string{
		"pub:{}": "placeholder", "pub:{sub}": "placeholder", "telemetry": "not a topic scope", "pub:a#": "malformed", "{client_id}": "not a topic scope",
		"pub:{labels.site}": "no labels", "pub:{client_id": "'}'", "pub:a?qos={claims.q}": "limits",
	}
	named := map[string][]string{"good": {"pub:{claims.a}/{client_id}"}}
	for template := range faulty {
		named["bad"] = append(named["bad"], template)
	}
	_, err := authhook.New(silentServer(), authhook.Config{
		Verifier: newVerifier(t, time.Now), Issuers: map[string]authhook.Issuer{testIssuer: {}, partnerIssuer: {Name: "partner", Scopes: named}},
	})
	if err == nil {
		t.Fatal("the configuration was accepted")
	}
	for template, why := range faulty {
		if !strings.Contains(err.Error(), fmt.Sprintf("%q", template)) || !strings.Contains(err.Error(), why) {
			t.Errorf("the error does not say of %q that %q: %v", template, why, err)
		}
	}
	if strings.Contains(err.Error(), "good") {
		t.Errorf("the error complains about a good template: %v", err)
	}
	many := make([]string, 2049)
	for i := range many {
		many[i] = fmt.Sprint("pub:", i)
	}
	if _, err := authhook.New(silentServer(), authhook.Config{
		Verifier: newVerifier(t, time.Now), Issuers: map[string]authhook.Issuer{testIssuer: {Scopes: map[string][]string{"all": many}}},
	}); err == nil {
		t.Error("more topic scopes than a session can have were accepted")
	}
}
