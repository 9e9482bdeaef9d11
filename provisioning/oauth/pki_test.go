package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// authority is a certificate with its key, which issues others.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	chain       [][]byte // of the certificates that come with one that it issues
}

// template is a certificate for a client, an hour old, for a day.
func template(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		SerialNumber: big.NewInt(1),
	}
}

// newAuthority makes an authority, a root if issuer is nil.
func newAuthority(tb testing.TB, name string, issuer *authority) *authority {
	tb.Helper()
	asked := template(name)
	asked.IsCA, asked.BasicConstraintsValid, asked.KeyUsage, asked.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	issued := issuer.issue(tb, asked)
	a := &authority{certificate: issued.Leaf, key: issued.PrivateKey.(*ecdsa.PrivateKey)}
	if issuer != nil {
		a.chain = issued.Certificate
	}
	return a
}

// issue signs the certificate; nobody's are self-signed.
func (a *authority) issue(tb testing.TB, asked *x509.Certificate) *tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	parent, signer, chain := asked, key, [][]byte(nil)
	if a != nil {
		parent, signer, chain = a.certificate, a.key, a.chain
	}
	der, err := x509.CreateCertificate(rand.Reader, asked, parent, key.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}
}

// selfSigned makes a certificate that no authority vouches for.
func selfSigned(tb testing.TB, name string) *tls.Certificate {
	tb.Helper()
	var nobody *authority
	return nobody.issue(tb, template(name))
}

// tlsWorld is an authorization server behind TLS that asks for certificates.
type tlsWorld struct {
	*world
	ca     *authority
	server *httptest.Server
}

// newTLSWorld starts one that trusts a single authority; change may be nil.
func newTLSWorld(tb testing.TB, change func(*oauth.Config)) *tlsWorld {
	tb.Helper()
	w := &tlsWorld{world: newWorld(tb), ca: newAuthority(tb, "factory", nil)}
	cfg := w.config()
	cfg.Logger = slog.New(slog.NewJSONHandler(w.journal, nil))
	cfg.MutualTLS, cfg.ClientCAs = true, x509.NewCertPool()
	cfg.ClientCAs.AddCert(w.ca.certificate)
	if change != nil {
		change(&cfg)
	}
	handler, err := oauth.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	w.server = httptest.NewUnstartedServer(newMux(handler))
	w.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}
	w.server.StartTLS()
	tb.Cleanup(w.server.Close)
	w.url = w.server.URL
	return w
}

// register creates a client that is known by certificates; it gets a secret too.
func (w *tlsWorld) register(tb testing.TB, id string, certificates ...provisioning.Certificate) credential {
	tb.Helper()
	return w.create(tb, provisioning.NewClient{
		ID: id, Certificates: certificates,
		Grants: []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:a/#"}}},
	})
}

// bare returns the request of a client that shows nothing but its ID in the body.
func bare(id string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
}

// with sends the form over a connection of its own that shows the certificate, nil for none.
func (w *tlsWorld) with(tb testing.TB, certificate *tls.Certificate, form url.Values) answer {
	tb.Helper()
	return w.send(tb, certificate, newRequest(tb, http.MethodPost, w.url+"/oauth/token", formType, form.Encode()))
}

func (w *tlsWorld) send(tb testing.TB, certificate *tls.Certificate, r *http.Request) answer {
	tb.Helper()
	transport := w.server.Client().Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil
	}
	return sendThrough(tb, transport, r)
}

// everyName is a certificate that says who its holder is in every way.
func everyName(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	uri, err := url.Parse("urn:device:" + name)
	if err != nil {
		tb.Fatal(err)
	}
	asked := template(name)
	asked.DNSNames, asked.URIs = []string{name + ".example"}, []*url.URL{uri}
	asked.IPAddresses, asked.EmailAddresses = []net.IP{net.ParseIP("192.0.2.7")}, []string{name + "@example.org"}
	return asked
}
