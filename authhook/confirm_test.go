package authhook_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// selfSigned returns a certificate and its thumbprint.
func selfSigned(tb testing.TB) (tls.Certificate, string) {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"broker"},
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, base64.RawURLEncoding.EncodeToString(sum[:])
}

// A wrapped connection hides what it wraps behind NetConn.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// dialTLS opens a TLS connection that presents these certificates.
func (g *gate) dialTLS(tb testing.TB, version byte, certificates ...tls.Certificate) *wire {
	tb.Helper()
	server, _ := selfSigned(tb)
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	g.establish("tls", wrapped{tls.Server(accepted, &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13,
	})})
	roots := x509.NewCertPool()
	certificate, err := x509.ParseCertificate(server.Certificate[0])
	if err != nil {
		tb.Fatal(err)
	}
	roots.AddCert(certificate)
	return newWire(tb, tls.Client(conn, &tls.Config{
		Certificates: certificates, RootCAs: roots, ServerName: "broker", MinVersion: tls.VersionTLS13,
	}), version)
}

func TestABoundTokenIsGoodWithItsCertificateAlone(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	own, thumbprint := selfSigned(t)
	stranger, _ := selfSigned(t)
	bound := g.tokenWith(t, "sensor-1", jwt.MapClaims{"cnf": map[string]string{"x5t#S256": thumbprint}})
	connect := func(w *wire, token string) byte {
		w.send(t, connectPacket(w.version, "sensor-1", token, withMethod(methodOAuth2)))
		return w.expect(t, packets.Connack).ReasonCode
	}
	for _, version := range []byte{4, 5} {
		if code := connect(g.dialTLS(t, version, own), bound); code != 0 {
			t.Errorf("with its certificate: CONNACK 0x%02x", code)
		}
		for _, w := range []*wire{g.dial(t, version), g.dialTLS(t, version), g.dialTLS(t, version, stranger)} {
			g.events.forget()
			if code := connect(w, bound); code != notAuthorized.of(version) {
				t.Errorf("CONNACK 0x%02x", code)
			}
			w.expectClosed(t)
			g.events.expect(t, authhook.KindConnect, authhook.RuleConfirmation)
		}
		if code := connect(g.dialTLS(t, version, stranger), g.token(t, "sensor-1")); code != 0 {
			t.Errorf("a token that is not bound: CONNACK 0x%02x", code)
		}
	}
	// The same holds for a renewal.
	w := g.dialTLS(t, 5, own)
	if code := connect(w, g.token(t, "sensor-1")); code != 0 {
		t.Fatalf("CONNACK 0x%02x", code)
	}
	w.renew(t, bound)
	w = g.dial(t, 5)
	if code := connect(w, g.token(t, "sensor-1")); code != 0 {
		t.Fatalf("CONNACK 0x%02x", code)
	}
	w.send(t, authPacket(methodOAuth2, bound))
	w.expectDisconnect(t, 0x87)
	g.events.expect(t, authhook.KindRenew, authhook.RuleConfirmation)
}

func TestTheEndOfATLSStreamFollowsTheDisconnectAtOnce(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.CloseGrace = time.Minute })
	w := g.dialTLS(t, 5)
	w.send(t, connectPacket(5, "sensor-1", g.token(t, "sensor-1")))
	w.expect(t, packets.Connack)
	g.revoke("sensor-1")
	w.expectDisconnect(t, 0x98)
	_ = w.conn.Close()
	g.porter.expect(t, "sensor-1")
}
