package attacks_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks with tokens that are bound to a certificate (RFC 8705), J1: a stolen one is worth nothing without the key.

// bound is a server that knows clients by their certificates.
type bound struct {
	harness.TLSServer
	authority *harness.Authority
}

func startBound(tb testing.TB) bound {
	tb.Helper()
	authority := harness.NewAuthority(tb)
	return bound{harness.StartHTTPS(tb, "--tls-client-ca", authority.CertFile), authority}
}

// client creates a client that is known by certificates.
func (b bound) client(kind, id string, scopes map[string][]string, certificates ...map[string]string) harness.Credential {
	grants := []any{}
	for audience, list := range scopes {
		grants = append(grants, map[string]any{"audience": audience, "scopes": list})
	}
	return b.Provision(kind, map[string]any{"id": id, "grants": grants, "certificates": certificates})
}

// token gets a token by a certificate alone.
func (b bound) token(tb testing.TB, id string, c *harness.ClientCertificate, extra ...string) string {
	tb.Helper()
	got := b.Presenting(tb, c).AskToken(harness.Credential{ClientID: id}, extra...)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if got.Status != http.StatusOK {
		tb.Fatalf("a token for %s by its certificate: %d %s", id, got.Status, got.Body)
	}
	harness.Must(tb, json.Unmarshal([]byte(got.Body), &answer))
	return answer.AccessToken
}

func thumbprintOf(c *harness.ClientCertificate) map[string]string {
	return map[string]string{"x5t#S256": c.Thumbprint}
}

var mqttScopes = map[string][]string{"boomgate:mqtt": {"pub:{client_id}/#", "sub:{client_id}/#"}}

func TestJ1_AStolenTokenIsWorthNothingWithoutItsCertificate(t *testing.T) {
	t.Parallel()
	b := startBound(t)
	own, thief := harness.SelfSigned(t), harness.SelfSigned(t)
	b.client("services", "meter", mqttScopes, thumbprintOf(own))
	token := b.token(t, "meter", own)
	var claims struct {
		Confirmation map[string]string `json:"cnf"`
	}
	_, payload := harness.Forger{}.In(t).Open(token)
	harness.Must(t, json.Unmarshal([]byte(payload), &claims))
	if len(claims.Confirmation) != 1 || claims.Confirmation["x5t#S256"] != own.Thumbprint {
		t.Errorf("the token is bound to %v, want the certificate %s", claims.Confirmation, own.Thumbprint)
	}
	n := 0
	for what, certificate := range map[string]*harness.ClientCertificate{"its own": own, "the thief's": thief, "no": nil} {
		for _, version := range harness.Versions {
			for _, way := range []string{overTLS, overHTTPS, overTCP} {
				n++
				id := fmt.Sprint("meter:", n)
				t.Run(fmt.Sprintf("%s certificate, %s, version %d", what, way, version), func(t *testing.T) {
					ack := b.dial(t, way, certificate, version).Connect(harness.Hello{ID: id, Password: token})
					if certificate == own && way != overTCP {
						if ack.Code() != 0 {
							t.Errorf("CONNACK 0x%02x", ack.Code())
						}
						return
					}
					if ack.Code() != harness.NotAuthorized.In(version) {
						t.Fatalf("CONNACK 0x%02x, want 0x%02x", ack.Code(), harness.NotAuthorized.In(version))
					}
					b.Log.Wait(t, "msg=refused", "rule=token-confirmation ", "mqtt_client_id="+id+" ")
				})
			}
		}
	}
}

// The ways to the broker.
const (
	overTLS   = "TLS"
	overHTTPS = "WebSocket over HTTPS"
	overTCP   = "TCP"
)

func (b bound) dial(tb testing.TB, way string, certificate *harness.ClientCertificate, version byte) *harness.Wire {
	tb.Helper()
	if way == overTCP {
		return harness.Dial(tb, b.MQTT, version)
	}
	return b.Over(tb, way == overHTTPS, certificate, version)
}

func TestJ1_AStolenTokenOpensNoFleetAPI(t *testing.T) {
	t.Parallel()
	b := startBound(t)
	own, thief := harness.SelfSigned(t), harness.SelfSigned(t)
	b.client("operators", "boss", map[string][]string{"boomgate:fleet": {"services:read"}}, thumbprintOf(own))
	token := b.token(t, "boss", own, "audience", "boomgate:fleet")
	for what, test := range map[string]struct {
		certificate *harness.ClientCertificate
		want        int
	}{"its own": {own, http.StatusOK}, "the thief's": {thief, http.StatusUnauthorized}, "none": {nil, http.StatusUnauthorized}} {
		if status, answer := b.Presenting(t, test.certificate).FleetAs(token, http.MethodGet, "/v1/services", nil); status != test.want {
			t.Errorf("with the certificate %s: %d %s, want %d", what, status, answer, test.want)
		}
	}
}

func TestJ1_ARenewalByABoundTokenNeedsItsCertificateToo(t *testing.T) {
	t.Parallel()
	b := startBound(t)
	one, two := harness.SelfSigned(t), harness.SelfSigned(t)
	c := b.client("services", "meter", mqttScopes, thumbprintOf(one), thumbprintOf(two)) // both are the client's
	bearer, byOne, byTwo := b.Server.Token(c), b.token(t, "meter", one), b.token(t, "meter", two)
	for what, test := range map[string]struct {
		certificate *harness.ClientCertificate
		first, next string
		accepted    bool
	}{
		"its own":                         {one, byOne, byOne, true},
		"a bearer token by a bound one":   {one, bearer, byOne, true},
		"a bound token by a bearer token": {one, byOne, bearer, true}, // which whoever has it may use anywhere
		"the client's other certificate":  {one, byOne, byTwo, false},
		"no certificate":                  {nil, bearer, byOne, false},
	} {
		t.Run(what, func(t *testing.T) {
			w := b.Over(t, false, test.certificate, 5)
			if ack := w.Connect(harness.Hello{ID: "meter", Method: oauth2JWT, Data: test.first}); ack.Code() != 0 {
				t.Fatalf("CONNACK 0x%02x", ack.Code())
			}
			if test.accepted {
				w.MustRenew(oauth2JWT, test.next)
				w.Leave()
				return
			}
			if p := w.Renew(oauth2JWT, test.next); p.Kind != harness.TypeDisconnect || p.Code() != 0x87 {
				t.Errorf("a packet of type %d, code 0x%02x; want DISCONNECT 0x87", p.Kind, p.Code())
			}
			b.Log.Wait(t, "event=renew", "rule=token-confirmation ", "remote="+w.Remote()+" ")
		})
	}
}

func TestJ1_ABindingThatIsNotUnderstoodIsNotPassedOver(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	genuine := s.Token(s.Service("meter", "pub:a"))
	thumb := harness.SelfSigned(t).Thumbprint
	for what, cnf := range map[string]any{
		"a key":                              harness.Claims{"jwk": harness.Claims{"kty": "OKP"}},
		"the thumbprint of a key (DPoP)":     harness.Claims{"jkt": thumb},
		"another hash of a certificate":      harness.Claims{"x5t": thumb},
		"a certificate and a key":            harness.Claims{"x5t#S256": thumb, "jkt": thumb},
		"the member in another letter case":  harness.Claims{"X5T#s256": thumb},
		"no member":                          harness.Claims{},
		"an empty thumbprint":                harness.Claims{"x5t#S256": ""},
		"a short thumbprint":                 harness.Claims{"x5t#S256": thumb[:20]},
		"a thumbprint with padding":          harness.Claims{"x5t#S256": thumb + "="},
		"a thumbprint with stray bits":       harness.Claims{"x5t#S256": thumb[:42] + nextCharacter(thumb[42])},
		"a thumbprint that is a list":        harness.Claims{"x5t#S256": []string{thumb}},
		"a thumbprint that is null":          harness.Claims{"x5t#S256": nil},
		"null":                               harness.Null,
		"a text":                             thumb,
		"a list":                             []any{harness.Claims{"x5t#S256": thumb}},
		"false":                              false,
		"a name for the confirmation itself": harness.Claims{"kid": "key-1"},
	} {
		t.Run(what, func(t *testing.T) {
			token := f.In(t).Alter(genuine, harness.Claims{"cnf": cnf})
			for _, version := range harness.Versions {
				harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "meter", Password: token}, harness.BadToken, "token-confirmation")
			}
		})
	}
	const ofNothing = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" // the SHA-256 of no bytes
	for _, presented := range []string{thumb, ofNothing} {          // well-formed, and in the wrong hands
		token := f.Alter(genuine, harness.Claims{"cnf": harness.Claims{"x5t#S256": presented}})
		harness.ExpectRefused(t, s, 5, harness.Hello{ID: "meter", Password: token}, harness.NotAuthorized, "token-confirmation")
	}
	token := f.Append(genuine, fmt.Sprintf(`"CNF":{"x5t#S256":%q}`, thumb))
	harness.ExpectRefused(t, s, 5, harness.Hello{ID: "meter", Password: token}, harness.BadToken, "token-claims")
}

func TestO2_OnlyTheRightCertificateGetsAToken(t *testing.T) {
	t.Parallel()
	b := startBound(t)
	own, elsewhere := harness.SelfSigned(t), harness.NewAuthority(t)
	c := b.client("services", "meter", mqttScopes, thumbprintOf(own))
	b.client("services", "named", mqttScopes, map[string]string{"san_dns": "named.example"})
	b.client("services", "disabled", mqttScopes, thumbprintOf(own))
	b.Disable("disabled")
	named := b.authority.Issue(t, "named.example")
	b.token(t, "meter", own)
	b.token(t, "named", named)
	for what, test := range map[string]struct {
		id          string
		certificate *harness.ClientCertificate
	}{
		"no certificate": {"meter", nil},
		"another one":    {"meter", harness.SelfSigned(t)},
		"one of the authority's for somebody else":    {"meter", named},
		"another client's":                            {"named", own},
		"another name, of the authority":              {"named", b.authority.Issue(t, "other.example")},
		"a name below":                                {"named", b.authority.Issue(t, "x.named.example")},
		"a wildcard":                                  {"named", b.authority.Issue(t, "*.example")},
		"the name, of an authority that nobody knows": {"named", elsewhere.Issue(t, "named.example")},
		"a client without certificates":               {"root", own},
		"an unknown client":                           {"nobody", own},
		"a disabled client":                           {"disabled", own},
	} {
		t.Run(what, func(t *testing.T) {
			expectNoToken(t, b.Presenting(t, test.certificate).AskToken(harness.Credential{ClientID: test.id}), http.StatusUnauthorized, "invalid_client")
		})
	}
	// Where there is a secret it counts, and it must be right; and its token is bound to nothing.
	expectNoToken(t, b.Presenting(t, own).AskToken(harness.Credential{ClientID: "meter", ClientSecret: "x"}), http.StatusUnauthorized, "invalid_client")
	harness.Enter(t, b.Server, 5, harness.Hello{ID: "meter", Password: b.Presenting(t, own).Token(c)}).Leave()
}

func TestS7_WithACertificateGoItsTokensAndSessions(t *testing.T) {
	t.Parallel()
	b := startBound(t)
	lost, kept := harness.SelfSigned(t), harness.SelfSigned(t)
	b.client("services", "meter", mqttScopes, thumbprintOf(lost), thumbprintOf(kept))
	open := map[*harness.ClientCertificate]*harness.Wire{}
	tokens := map[*harness.ClientCertificate]string{}
	for _, c := range []*harness.ClientCertificate{lost, kept} {
		tokens[c] = b.token(t, "meter", c)
		open[c] = b.Over(t, false, c, 5)
		open[c].Connect(harness.Hello{ID: "meter:" + c.Thumbprint, Password: tokens[c]})
		open[c].MustSubscribe(1, "meter/x")
	}
	got := b.End(http.MethodPatch, "/v1/services/meter", map[string]any{"certificates": []any{thumbprintOf(kept)}})
	if got.Sessions != 1 || got.Subscriptions != 1 {
		t.Errorf("the receipt says %+v, want 1 session and 1 subscription", got)
	}
	open[lost].ExpectDisconnect(0x98)
	open[kept].Ping()
	w := b.Over(t, false, lost, 5)
	if ack := w.Connect(harness.Hello{ID: "meter", Password: tokens[lost]}); ack.Code() != 0x86 {
		t.Errorf("with the lost certificate and its token: CONNACK 0x%02x, want 0x86", ack.Code())
	}
	expectNoToken(t, b.Presenting(t, lost).AskToken(harness.Credential{ClientID: "meter"}), http.StatusUnauthorized, "invalid_client")
}
