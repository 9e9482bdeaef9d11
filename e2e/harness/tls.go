package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Certificate is a self-signed certificate of this machine's loopback address, in two files.
type Certificate struct {
	CertFile, KeyFile string
	Roots             *x509.CertPool
	Serial            *big.Int
}

// NewCertificate makes a certificate and its files.
func NewCertificate(tb testing.TB) *Certificate {
	tb.Helper()
	dir := tb.TempDir()
	c := &Certificate{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), Roots: x509.NewCertPool()}
	c.Renew(tb)
	return c
}

// Renew writes a new key and certificate into the same files.
func (c *Certificate) Renew(tb testing.TB) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Must(tb, err)
	c.Serial, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	Must(tb, err)
	template := &x509.Certificate{
		SerialNumber: c.Serial, Subject: pkix.Name{CommonName: "boomgate test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Must(tb, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	Must(tb, err)
	parsed, err := x509.ParseCertificate(der)
	Must(tb, err)
	c.Roots.AddCert(parsed)
	ReplaceFile(tb, c.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	ReplaceFile(tb, c.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// ReplaceFile puts a new file in the place of the old one at once, as certificate tools do.
func ReplaceFile(tb testing.TB, path string, text []byte) {
	tb.Helper()
	Must(tb, os.WriteFile(path+".new", text, 0o600))
	Must(tb, os.Rename(path+".new", path))
}

// client is the TLS configuration that trusts the certificate.
func (c *Certificate) client() *tls.Config {
	return &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
}

// TLSServer is a server with a certificate, and a client's token.
type TLSServer struct {
	*Server
	Cert  *Certificate
	Token string
}

// StartTLS starts a server with a certificate.
func StartTLS(tb testing.TB) TLSServer {
	tb.Helper()
	cert := NewCertificate(tb)
	s := StartServer(tb, cert.flags(tb)...)
	return TLSServer{s, cert, s.Token(s.Service("meter", "pub:meter/#", "sub:meter/#"))}
}

func (c *Certificate) flags(tb testing.TB) []string {
	tb.Helper()
	return []string{"--mqtts", FreeAddr(tb), "--tls-cert", c.CertFile, "--tls-key", c.KeyFile}
}

// Target is the server's MQTT address over TLS.
func (s TLSServer) Target() Target { return Target{URL: "mqtts://" + s.MQTTS, tls: s.Cert.client()} }

// ServedSerial is the serial number of the certificate that a new connection sees.
func (s TLSServer) ServedSerial() *big.Int {
	s.tb.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: Patience}, "tcp", s.MQTTS, s.Cert.client())
	Must(s.tb, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// Eventually asks again and again until something holds that no event tells of.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	late := time.After(Patience)
	for !holds() {
		select {
		case <-again.C:
		case <-late:
			tb.Fatalf("in vain waited until %s", what)
		}
	}
}

// WebsocketURL is where the server speaks MQTT over WebSocket.
func (s *Server) WebsocketURL() string { return "ws" + strings.TrimPrefix(s.HTTP, "http") + "/mqtt" }
