package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// ClientCertificate is what a client presents on a TLS connection.
type ClientCertificate struct {
	tls.Certificate
	Thumbprint string // x5t#S256 (RFC 8705 §3.1)
}

// Authority signs certificates of clients.
type Authority struct {
	CertFile string
	own      *ClientCertificate
}

// NewAuthority makes an authority and the file of its certificate.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{filepath.Join(tb.TempDir(), "authority.pem"), newClientCertificate(tb, nil, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})}
	ReplaceFile(tb, a.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.own.Leaf.Raw}))
	return a
}

// Issue makes a certificate with a DNS name.
func (a *Authority) Issue(tb testing.TB, name string) *ClientCertificate {
	tb.Helper()
	return newClientCertificate(tb, a.own, &x509.Certificate{DNSNames: []string{name}})
}

// SelfSigned makes a certificate that nobody else has signed.
func SelfSigned(tb testing.TB) *ClientCertificate {
	tb.Helper()
	return newClientCertificate(tb, nil, &x509.Certificate{})
}

func newClientCertificate(tb testing.TB, parent *ClientCertificate, template *x509.Certificate) *ClientCertificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must(tb, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	Must(tb, err)
	template.Subject = pkix.Name{CommonName: "client " + template.SerialNumber.String()}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.KeyUsage |= x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	signer, signerKey := template, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	Must(tb, err)
	leaf, err := x509.ParseCertificate(der)
	Must(tb, err)
	sum := sha256.Sum256(der)
	return &ClientCertificate{
		tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, base64.RawURLEncoding.EncodeToString(sum[:]),
	}
}

// StartHTTPS starts a server that speaks TLS at every address but the plain one for MQTT.
func StartHTTPS(tb testing.TB, flags ...string) TLSServer {
	tb.Helper()
	cert := NewCertificate(tb)
	s := StartServer(tb, append(append(flags, "--http-tls"), cert.flags(tb)...)...)
	s.https = newHTTPS(tb, cert.client())
	return TLSServer{Server: s, Cert: cert}
}

// Presenting is the server as a client sees it that presents this certificate over HTTPS; nil for none.
func (s TLSServer) Presenting(tb testing.TB, c *ClientCertificate) *Server {
	tb.Helper()
	view := s.In(tb)
	view.https = newHTTPS(tb, s.tls(c))
	return view
}

// Over opens a connection for MQTT to the server over TLS or, with webSocket, HTTPS, that presents this certificate; nil for none.
func (s TLSServer) Over(tb testing.TB, webSocket bool, c *ClientCertificate, version byte) *Wire {
	tb.Helper()
	to := Target{URL: "mqtts://" + s.MQTTS, tls: s.tls(c)}
	if webSocket {
		to.URL = s.WebsocketURL()
	}
	return newWire(tb, to.dial(tb), version)
}

func (s TLSServer) tls(c *ClientCertificate) *tls.Config {
	config := s.Cert.client()
	if c != nil {
		config.Certificates = []tls.Certificate{c.Certificate}
	}
	return config
}

// web is what asks the server over HTTP.
func (s *Server) web() *http.Client {
	if s.https != nil {
		return s.https
	}
	return plainHTTP
}

// plainHTTP has the connections of all tests.
var plainHTTP = &http.Client{Transport: http.DefaultTransport}

func newHTTPS(tb testing.TB, config *tls.Config) *http.Client {
	tb.Helper()
	transport := &http.Transport{TLSClientConfig: config}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
