package provisioning_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// certificate makes one with every name that an entry can speak of.
func certificate(tb testing.TB) *x509.Certificate {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.Add(time.Hour),
		Subject:  pkix.Name{CommonName: "sensor, one", Organization: []string{"Example"}},
		DNSNames: []string{"Sensor.example"}, EmailAddresses: []string{"sensor@example"},
		IPAddresses: []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")},
		URIs:        []*url.URL{{Scheme: "urn", Opaque: "sensor:1"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// certified is a sensor that is known by a certificate.
func certified(id string, entries ...provisioning.Certificate) provisioning.NewClient {
	n := sensor(id)
	n.Certificates = entries
	return n
}

func TestAClientIsKnownByAnyOneOfItsCertificates(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	cert := certificate(t)
	thumbprint := provisioning.Thumbprint(cert)
	for id, c := range map[string]struct {
		entry   provisioning.Certificate
		trusted bool // needs a trusted chain
	}{
		"thumbprint": {provisioning.Certificate{Thumbprint: thumbprint}, false},
		"subject":    {provisioning.Certificate{SubjectDN: `CN=sensor\, one,O=Example`}, true},
		"dns":        {provisioning.Certificate{DNS: "sensor.EXAMPLE"}, true},
		"uri":        {provisioning.Certificate{URI: "urn:sensor:1"}, true},
		"ip":         {provisioning.Certificate{IP: "192.0.2.7"}, true},
		"ip6":        {provisioning.Certificate{IP: "2001:DB8:0::7"}, true},
		"email":      {provisioning.Certificate{Email: "sensor@example"}, true},
	} {
		f.create(t, certified(id, provisioning.Certificate{DNS: "another.example"}, c.entry))
		got, credential, err := f.registry.AuthenticateCertificate(t.Context(), id, cert, true)
		if err != nil || got.ID != id || credential != "x5t:"+thumbprint {
			t.Errorf("%s: got %+v, %q, error %v", id, got, credential, err)
		}
		_, _, err = f.registry.AuthenticateCertificate(t.Context(), id, cert, false)
		if wrong := refusedFor(err, provisioning.ReasonWrongCertificate); wrong != c.trusted || !wrong && err != nil {
			t.Errorf("%s, of an unknown CA: got error %v", id, err)
		}
	}
}

func refusedFor(err error, reason provisioning.AuthenticationReason) bool {
	var refused *provisioning.AuthenticationError
	return errors.Is(err, provisioning.ErrUnauthenticated) && errors.As(err, &refused) && refused.Reason == reason
}

func TestO2_EveryKindOfWrongCertificateIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	cert := certificate(t)
	own := provisioning.Certificate{Thumbprint: provisioning.Thumbprint(cert)}
	f.create(t, certified("a", own))
	f.create(t, certified("disabled", own))
	if _, _, err := f.Disable(t.Context(), "disabled", 0); err != nil {
		t.Fatal(err)
	}
	f.create(t, certified("names", provisioning.Certificate{DNS: "*.example"}, provisioning.Certificate{SubjectDN: "CN=sensor"},
		provisioning.Certificate{IP: "192.0.2.8"}, provisioning.Certificate{URI: "urn:sensor"}, provisioning.Certificate{Email: "SENSOR@example"}))
	f.create(t, sensor("bare"))
	wrong := func(id string, cert *x509.Certificate, want provisioning.AuthenticationReason) {
		t.Helper()
		if c, _, err := f.registry.AuthenticateCertificate(t.Context(), id, cert, true); c != nil || !refusedFor(err, want) {
			t.Errorf("%q: got %v, error %v, want %q", id, c, err, want)
		}
	}
	wrong("a", certificate(t), provisioning.ReasonWrongCertificate) // the same names, another key
	wrong("names", cert, provisioning.ReasonWrongCertificate)
	wrong("bare", cert, provisioning.ReasonWrongCertificate)
	wrong("disabled", cert, provisioning.ReasonClientDisabled)
	for _, id := range []string{"", "nobody", "A", strings.Repeat("a", 1<<16)} {
		wrong(id, cert, provisioning.ReasonUnknownClient)
	}
	f.clock.advance(time.Hour + time.Second)
	wrong("a", cert, provisioning.ReasonCertificateExpired)
	f.clock.advance(-3 * time.Hour)
	wrong("a", cert, provisioning.ReasonCertificateExpired)
}

func TestO2_AnUnknownClientWithACertificateTakesTheWorkOfAKnownOne(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	cert := certificate(t)
	f.create(t, certified("a", provisioning.Certificate{Thumbprint: provisioning.Thumbprint(cert)}))
	for _, id := range []string{"a", "nobody", "Not An ID"} {
		w.found, w.missing = 0, 0
		if _, _, err := f.registry.AuthenticateCertificate(t.Context(), id, cert, false); (err == nil) != (id == "a") {
			t.Errorf("%q: got error %v", id, err)
		}
		if w.found != 1 || w.missing != 1 {
			t.Errorf("for %q, %d records were read and %d not found, want one each", id, w.found, w.missing)
		}
	}
	w.found, w.missing = 0, 0
	if _, _, err := f.registry.AuthenticateCertificate(t.Context(), "a", certificate(t), false); err == nil || w.found != 1 || w.missing != 1 {
		t.Errorf("for another certificate, %d records were read and %d not found, want one each; error %v", w.found, w.missing, err)
	}
	w.fail = errors.New("disk on fire")
	for _, id := range []string{"a", "nobody"} {
		_, _, err := f.registry.AuthenticateCertificate(t.Context(), id, certificate(t), false)
		if !errors.Is(err, w.fail) || errors.Is(err, provisioning.ErrUnauthenticated) {
			t.Errorf("%q: got error %v", id, err)
		}
	}
}

func TestTheFaultsOfCertificatesAreNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	thumbprint := strings.Repeat("A", 43)
	for _, c := range []struct {
		entries []provisioning.Certificate
		field   string // "" if they are good
	}{
		{[]provisioning.Certificate{{Thumbprint: thumbprint}, {SubjectDN: "CN=a,O=b"}, {DNS: "a.example"}, {URI: "urn:a"}, {IP: "::1"}, {Email: "a@b"}}, ""},
		{[]provisioning.Certificate{{}}, "certificates[0]"},
		{[]provisioning.Certificate{{DNS: "a.example", IP: "::1"}}, "certificates[0]"},
		{[]provisioning.Certificate{{DNS: "a.example"}, {DNS: "a.example"}}, "certificates[1]"},
		{[]provisioning.Certificate{{Thumbprint: "abc"}}, "certificates[0].x5t#S256"},
		{[]provisioning.Certificate{{Thumbprint: thumbprint + "="}}, "certificates[0].x5t#S256"},
		{[]provisioning.Certificate{{Thumbprint: strings.Repeat("A", 42) + "B"}}, "certificates[0].x5t#S256"},
		{[]provisioning.Certificate{{SubjectDN: "sensor"}}, "certificates[0].subject_dn"},
		{[]provisioning.Certificate{{SubjectDN: "CN=a,"}}, "certificates[0].subject_dn"},
		{[]provisioning.Certificate{{SubjectDN: "CN= a"}}, "certificates[0].subject_dn"},
		{[]provisioning.Certificate{{SubjectDN: "CN=a\n"}}, "certificates[0].subject_dn"},
		{[]provisioning.Certificate{{SubjectDN: "CN=a, O=b"}}, "certificates[0].subject_dn"},
		{[]provisioning.Certificate{{SubjectDN: "CN=" + strings.Repeat("a", 1024)}}, "certificates[0].subject_dn"},
		{[]provisioning.Certificate{{DNS: "https://a.example"}}, "certificates[0].san_dns"},
		{[]provisioning.Certificate{{URI: "a.example"}}, "certificates[0].san_uri"},
		{[]provisioning.Certificate{{IP: "1.2.3"}}, "certificates[0].san_ip"},
		{[]provisioning.Certificate{{IP: "fe80::1%eth0"}}, "certificates[0].san_ip"},
		{[]provisioning.Certificate{{Email: "a.example"}}, "certificates[0].san_email"},
		{make([]provisioning.Certificate, 9), "certificates"},
	} {
		_, _, err := f.Create(t.Context(), certified("", c.entries...))
		if c.field == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.entries, err)
			}
			continue
		}
		t.Logf("%+v", c.entries)
		wantFields(t, err, c.field)
	}
}

func TestALostCertificateTakesItsTokensAndSessionsAlong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	cert := certificate(t)
	byThumbprint, byName := provisioning.Certificate{Thumbprint: provisioning.Thumbprint(cert)}, provisioning.Certificate{DNS: "sensor.example"}
	c, _ := f.create(t, certified("a", byThumbprint, byName))
	_, credential, err := f.registry.AuthenticateCertificate(t.Context(), "a", cert, false)
	if err != nil {
		t.Fatal(err)
	}
	certified, secret := token(c, "t1", epoch), token(c, "t2", epoch)
	certified.CredentialID = credential
	set := func(entries ...provisioning.Certificate) provisioning.Receipt {
		t.Helper()
		_, receipt, err := f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error { c.Certificates = entries; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return receipt
	}
	if receipt := set(byName, byThumbprint, provisioning.Certificate{IP: "::1"}); receipt != (provisioning.Receipt{}) {
		t.Errorf("one more certificate ended %+v", receipt)
	}
	if receipt := set(byName, provisioning.Certificate{IP: "::1"}); receipt.Sessions != 1 {
		t.Errorf("got %+v", receipt)
	}
	f.wantRevoked(t, true, certified)
	f.wantRevoked(t, false, secret)
	if want := (provisioning.Selection{ClientID: "a", CredentialID: credential}); f.gate.selected[0] != want {
		t.Errorf("sessions of %+v were closed", f.gate.selected)
	}
	// Which certificate had that name is not known.
	set(provisioning.Certificate{IP: "::1"})
	f.wantRevoked(t, true, certified, secret)
	f.clock.advance(time.Second)
	f.wantRevoked(t, false, token(c, "t3", f.clock.Now()))
	if want := []string{"a: credential retired", "a: credential retired"}; !slices.Equal(f.gate.closed, want) {
		t.Errorf("sessions were closed: %q", f.gate.closed)
	}
}

func TestTheJSONOfReceiptsAndCertificatesHasTheNamesOfTheDesign(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		`{"sessions_closed":1,"sessions_rejudged":2,"subscriptions_dropped":3,"queued_dropped":4,"wills_cancelled":5,` +
			`"retained_removed":6,"secrets_removed":7,"took_ms":1.234}`: provisioning.Receipt{
			Sessions: 1, Rejudged: 2, Subscriptions: 3, Queued: 4, Wills: 5, Retained: 6, Secrets: 7, Took: 1234 * time.Microsecond,
		},
		`{"x5t#S256":"t","subject_dn":"CN=a","san_dns":"d","san_uri":"u","san_ip":"i","san_email":"e"}`: provisioning.Certificate{
			Thumbprint: "t", SubjectDN: "CN=a", DNS: "d", URI: "u", IP: "i", Email: "e",
		},
		`{"max_sessions":1,"max_connects_per_minute":2,"max_messages_per_second":3,"max_bytes_per_second":4,"max_subscriptions":5,` +
			`"max_retained":6,"max_payload_bytes":7}`: provisioning.Limits{
			Sessions: 1, ConnectsPerMinute: 2, MessagesPerSecond: 3, BytesPerSecond: 4, Subscriptions: 5, Retained: 6, PayloadBytes: 7,
		},
	} {
		data, err := json.Marshal(value)
		if err != nil || string(data) != want {
			t.Errorf("got %s, error %v, want %s", data, err, want)
		}
	}
	var back provisioning.Receipt
	if err := json.Unmarshal([]byte(`{"sessions_closed":1,"took_ms":1.5}`), &back); err != nil ||
		back != (provisioning.Receipt{Sessions: 1, Took: 1500 * time.Microsecond}) {
		t.Errorf("read back %+v, error %v", back, err)
	}
}
