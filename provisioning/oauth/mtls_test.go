package oauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// bound fails the test unless the answer is a token for that client which only the holder of the certificate may use.
func (w *tlsWorld) bound(tb testing.TB, a answer, id string, certificate *tls.Certificate) {
	tb.Helper()
	token, thumbprint := w.token(tb, a, provisioning.AudienceMQTT), provisioning.Thumbprint(certificate.Leaf)
	if token.ClientID != id || token.Thumbprint != thumbprint || token.CredentialID != "x5t:"+thumbprint {
		tb.Errorf("the token is of %s, bound to %q, fetched with %q; want %s and the thumbprint %s",
			token.ClientID, token.Thumbprint, token.CredentialID, id, thumbprint)
	}
	if event := w.journal.last(tb); !event.Issued() || event.CredentialID != token.CredentialID || event.ClientID != id {
		tb.Errorf("the event is %+v, want a token for %s by %s", event, id, token.CredentialID)
	}
}

func TestACertificateOfATrustedAuthorityAuthenticatesItsClient(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	certificate := w.ca.issue(t, everyName(t, "sensor-1"))
	for name, entry := range map[string]provisioning.Certificate{
		"subject": {SubjectDN: "CN=sensor-1,O=Example"}, "dns": {DNS: "sensor-1.example"}, "uri": {URI: "urn:device:sensor-1"},
		"ip": {IP: "192.0.2.7"}, "email": {Email: "sensor-1@example.org"},
		"thumbprint": {Thumbprint: provisioning.Thumbprint(certificate.Leaf)},
	} {
		w.register(t, "by-"+name, entry)
		w.bound(t, w.with(t, certificate, bare("by-"+name)), "by-"+name, certificate)
	}
	w.register(t, "json", provisioning.Certificate{DNS: "sensor-1.example"})
	r := newRequest(t, http.MethodPost, w.url+"/oauth/token", jsonType, `{"grant_type":"client_credentials","client_id":"json","client_secret":""}`)
	w.bound(t, w.send(t, certificate, r), "json", certificate)
}

func TestARegisteredSelfSignedCertificateAuthenticatesItsClient(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, func(cfg *oauth.Config) { cfg.ClientCAs = nil })
	certificate, successor := selfSigned(t, "sensor-1"), selfSigned(t, "sensor-1")
	w.register(t, "sensor-1", provisioning.Certificate{Thumbprint: provisioning.Thumbprint(certificate.Leaf)},
		provisioning.Certificate{Thumbprint: provisioning.Thumbprint(successor.Leaf)})
	w.bound(t, w.with(t, certificate, bare("sensor-1")), "sensor-1", certificate)
	w.bound(t, w.with(t, successor, bare("sensor-1")), "sensor-1", successor)
	w.with(t, selfSigned(t, "sensor-1"), bare("sensor-1")).refused(t, http.StatusUnauthorized, "invalid_client", "certificate is wrong")
}

func TestAnIntermediateAuthorityIsFollowedOnlyIfItIsShown(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	w.register(t, "sensor-1", provisioning.Certificate{DNS: "sensor-1.example"})
	certificate := newAuthority(t, "plant", newAuthority(t, "region", w.ca)).issue(t, everyName(t, "sensor-1"))
	w.bound(t, w.with(t, certificate, bare("sensor-1")), "sensor-1", certificate)
	alone := *certificate
	alone.Certificate = alone.Certificate[:1]
	w.with(t, &alone, bare("sensor-1")).refused(t, http.StatusUnauthorized, "invalid_client", "certificate is wrong")
	long := *certificate
	long.Certificate = slices.Concat(long.Certificate, slices.Repeat(long.Certificate[1:2], 7))
	w.with(t, &long, bare("sensor-1")).refused(t, http.StatusUnauthorized, "invalid_client", "certificate is wrong")
}

func TestO2_UnknownClientAndWrongCertificateCannotBeToldApart(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	right := w.ca.issue(t, everyName(t, "sensor-1"))
	w.register(t, "sensor-1", provisioning.Certificate{DNS: "sensor-1.example"})
	w.register(t, "thumb", provisioning.Certificate{Thumbprint: provisioning.Thumbprint(right.Leaf)})
	w.register(t, "nothing")
	w.register(t, "disabled", provisioning.Certificate{DNS: "sensor-1.example"})
	if _, _, err := w.service.Disable(t.Context(), "disabled", 0); err != nil {
		t.Fatal(err)
	}
	w.bound(t, w.with(t, right, bare("sensor-1")), "sensor-1", right)

	purpose, early, late := everyName(t, "sensor-1"), everyName(t, "sensor-1"), everyName(t, "sensor-1")
	purpose.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	early.NotBefore = time.Now().Add(time.Hour)
	late.NotAfter = time.Now().Add(-time.Minute)
	impostor := newAuthority(t, "factory", nil)

	wrong := func(certificate *tls.Certificate, id string) (answer, work) {
		before := w.registry.work()
		a := w.with(t, certificate, bare(id))
		return a, w.registry.work().since(before)
	}
	want, cost := wrong(selfSigned(t, "sensor-1"), "sensor-1")
	want.refused(t, http.StatusUnauthorized, "invalid_client", "unknown or its certificate is wrong")
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		id          string
	}{
		"unknown client":             {right, "sensor-9"},
		"not an ID":                  {right, "../../sensor-1"},
		"capital letters":            {right, "Sensor-1"},
		"without certificates":       {right, "nothing"},
		"disabled":                   {right, "disabled"},
		"of another device":          {w.ca.issue(t, everyName(t, "sensor-2")), "sensor-1"},
		"of a namesake authority":    {impostor.issue(t, everyName(t, "sensor-1")), "sensor-1"},
		"of itself, the same names":  {(*authority)(nil).issue(t, everyName(t, "sensor-1")), "sensor-1"},
		"for servers":                {w.ca.issue(t, purpose), "sensor-1"},
		"not yet valid":              {w.ca.issue(t, early), "sensor-1"},
		"expired":                    {w.ca.issue(t, late), "sensor-1"},
		"reissued with another key":  {w.ca.issue(t, everyName(t, "sensor-1")), "thumb"},
		"the authority's own":        {&tls.Certificate{Certificate: [][]byte{w.ca.certificate.Raw}, PrivateKey: w.ca.key}, "sensor-1"},
		"an unknown client, unknown": {selfSigned(t, "x"), "sensor-9"},
	} {
		got, gotCost := wrong(test.certificate, test.id)
		if got.status != want.status || got.body != want.body || len(got.header) != len(want.header) {
			t.Errorf("%s: answer is %d %s %v, want %d %s", name, got.status, got.body, got.header, want.status, want.body)
		}
		if gotCost != cost {
			t.Errorf("%s: the registry was asked %+v times, want %+v", name, gotCost, cost)
		}
	}
}

func TestACertificateThatHasLapsedIsRefusedThoughItIsRegistered(t *testing.T) {
	t.Parallel()
	asked := everyName(t, "sensor-1")
	certificate := (*authority)(nil).issue(t, asked)
	for name, now := range map[string]time.Time{
		"before its time": certificate.Leaf.NotBefore.Add(-time.Second),
		"after its time":  certificate.Leaf.NotAfter.Add(time.Second),
	} {
		w := newTLSWorld(t, func(cfg *oauth.Config) { cfg.Now = func() time.Time { return now } })
		w.register(t, "by-thumbprint", provisioning.Certificate{Thumbprint: provisioning.Thumbprint(certificate.Leaf)})
		w.register(t, "by-name", provisioning.Certificate{DNS: "sensor-1.example"})
		registered := w.with(t, certificate, bare("by-thumbprint"))
		registered.refused(t, http.StatusUnauthorized, "invalid_client", "certificate is wrong")
		if reason := w.journal.last(t).Reason; reason != oauth.ReasonCertificateLapsed {
			t.Errorf("%s: the operator's reason is %q", name, reason)
		}
		if issued := w.with(t, w.ca.issue(t, asked), bare("by-name")); issued.status != registered.status || issued.body != registered.body {
			t.Errorf("%s: answer is %d %s, want %s", name, issued.status, issued.body, registered.body)
		}
	}
}

func TestACertificateDoesNotOutliveItsAuthority(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // the clock, in nanoseconds
	w := newTLSWorld(t, func(cfg *oauth.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	w.register(t, "sensor-1", provisioning.Certificate{DNS: "sensor-1.example"})
	asked := everyName(t, "sensor-1")
	asked.NotAfter = w.ca.certificate.NotAfter.Add(48 * time.Hour)
	certificate := w.ca.issue(t, asked)
	if a := w.with(t, certificate, bare("sensor-1")); a.status != http.StatusOK {
		t.Errorf("answer is %d %s, want a token", a.status, a.body)
	}
	ahead.Store(int64(25 * time.Hour))
	w.with(t, certificate, bare("sensor-1")).refused(t, http.StatusUnauthorized, "invalid_client", "certificate is wrong")
}

func TestO2_ACertificateBesideASecretIsNoSecondAuthentication(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	certificate := w.ca.issue(t, everyName(t, "sensor-1"))
	c := w.register(t, "sensor-1", provisioning.Certificate{DNS: "sensor-1.example"})
	target := w.url + "/oauth/token"
	header := basic(newRequest(t, http.MethodPost, target, formType, "grant_type=client_credentials"), c)
	for name, a := range map[string]answer{"body": w.with(t, certificate, c.form()), "header": w.send(t, certificate, header)} {
		token := w.token(t, a, provisioning.AudienceMQTT)
		if token.Thumbprint != "" || token.CredentialID == "" || strings.HasPrefix(token.CredentialID, "x5t:") {
			t.Errorf("%s: the token is bound to %q, fetched with %q; want one by the secret alone", name, token.Thumbprint, token.CredentialID)
		}
	}
	wrong := basic(newRequest(t, http.MethodPost, target, formType, "grant_type=client_credentials"), credential{c.id, "wrong"})
	empty := basic(newRequest(t, http.MethodPost, target, formType, "grant_type=client_credentials&client_id="+c.id), credential{c.id, ""})
	for name, a := range map[string]answer{
		"a wrong secret in the body":   w.with(t, certificate, credential{c.id, "wrong"}.form()),
		"a wrong secret in the header": w.send(t, certificate, wrong),
		"no secret in the header":      w.send(t, certificate, empty),
	} {
		a.refused(t, http.StatusUnauthorized, "invalid_client", "secret is wrong")
		if asked := w.registry.work().certificate; asked != 0 {
			t.Errorf("%s: the certificate was looked at", name)
		}
	}
	assertion := bare(c.id)
	assertion.Set("client_assertion", "x")
	w.with(t, certificate, assertion).refused(t, http.StatusUnauthorized, "invalid_client", "TLS client certificate")
	bearer := newRequest(t, http.MethodPost, target, formType, bare(c.id).Encode())
	bearer.Header.Set("Authorization", "Bearer x")
	w.send(t, certificate, bearer).refused(t, http.StatusUnauthorized, "invalid_client", "HTTP Basic")
}

func TestWithoutIDOrCertificateOrMutualTLSNobodyIsAuthenticated(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	certificate := w.ca.issue(t, everyName(t, "sensor-1"))
	entry := provisioning.Certificate{DNS: "sensor-1.example"}
	w.register(t, "sensor-1", entry)
	w.with(t, nil, bare("sensor-1")).refused(t, http.StatusUnauthorized, "invalid_client", "TLS client certificate")
	w.with(t, certificate, bare("")).refused(t, http.StatusUnauthorized, "invalid_client", "TLS client certificate")
	off := newTLSWorld(t, func(cfg *oauth.Config) { cfg.MutualTLS, cfg.ClientCAs = false, nil })
	off.register(t, "sensor-1", entry)
	off.with(t, off.ca.issue(t, everyName(t, "sensor-1")), bare("sensor-1")).
		refused(t, http.StatusUnauthorized, "invalid_client", "or with HTTP Basic")
}

func TestO5_ACertificateGivesNoMoreThanItsClientHolds(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	w.register(t, "sensor-1", provisioning.Certificate{DNS: "sensor-1.example"})
	certificate := w.ca.issue(t, everyName(t, "sensor-1"))
	form := bare("sensor-1")
	form.Set("scope", "sub:#")
	w.with(t, certificate, form).refused(t, http.StatusBadRequest, "invalid_scope", "outside")
	form = bare("sensor-1")
	form.Set("audience", provisioning.AudienceFleet)
	w.with(t, certificate, form).refused(t, http.StatusBadRequest, "invalid_target", "holds nothing")
}

func TestO1_NothingThatACertificateSaysReachesTheLogOrAnError(t *testing.T) {
	t.Parallel()
	w := newTLSWorld(t, nil)
	const marker = "xq7-marker"
	w.register(t, "sensor-1", provisioning.Certificate{DNS: marker + ".example"})
	certificate := w.ca.issue(t, everyName(t, marker))
	w.bound(t, w.with(t, certificate, bare("sensor-1")), "sensor-1", certificate)
	for _, a := range []answer{
		w.with(t, certificate, bare("sensor-2")), w.with(t, selfSigned(t, marker), bare("sensor-1")), w.with(t, certificate, bare(marker+".example")),
	} {
		a.refused(t, http.StatusUnauthorized, "invalid_client", "certificate is wrong")
		if strings.Contains(a.body+fmt.Sprint(a.header), marker) {
			t.Errorf("the answer shows the certificate: %s", a.body)
		}
	}
	if seen := w.journal.text() + fmt.Sprintf("%+v", w.journal.events); strings.Contains(seen, marker) || !strings.Contains(seen, "token refused") {
		t.Errorf("the operator's view shows the certificate, or nothing: %s", seen)
	}
}

func TestTheMetadataTellsOfMutualTLSWhereThereIsSome(t *testing.T) {
	t.Parallel()
	secrets := []any{"client_secret_basic", "client_secret_post"}
	for name, test := range map[string]struct {
		change  func(*oauth.Config)
		methods []any
		bound   any
	}{
		"authorities": {nil, append(slices.Clone(secrets), "tls_client_auth", "self_signed_tls_client_auth"), true},
		"thumbprints": {func(cfg *oauth.Config) { cfg.ClientCAs = nil }, append(slices.Clone(secrets), "self_signed_tls_client_auth"), true},
		"off":         {func(cfg *oauth.Config) { cfg.MutualTLS, cfg.ClientCAs = false, nil }, secrets, nil},
	} {
		w := newTLSWorld(t, test.change)
		r := newRequest(t, http.MethodGet, "/.well-known/oauth-authorization-server", "", "")
		recorder := serveInProcess(w.server.Config.Handler, r)
		var got map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got["token_endpoint_auth_methods_supported"]) != fmt.Sprint(test.methods) ||
			got["tls_client_certificate_bound_access_tokens"] != test.bound {
			t.Errorf("%s: the metadata is %v, want the methods %v, bound tokens %v", name, got, test.methods, test.bound)
		}
	}
}
