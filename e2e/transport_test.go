package e2e_test

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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate is a self-signed certificate of this machine's loopback address, in two files.
type certificate struct {
	certFile, keyFile string
	roots             *x509.CertPool
	serial            *big.Int
}

func newCertificate(tb testing.TB) *certificate {
	tb.Helper()
	dir := tb.TempDir()
	c := &certificate{certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"), roots: x509.NewCertPool()}
	c.renew(tb)
	return c
}

// renew writes a new key and certificate into the same files.
func (c *certificate) renew(tb testing.TB) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	c.serial, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	must(tb, err)
	template := &x509.Certificate{
		SerialNumber: c.serial, Subject: pkix.Name{CommonName: "boomgate test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(tb, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(tb, err)
	parsed, err := x509.ParseCertificate(der)
	must(tb, err)
	c.roots.AddCert(parsed)
	replaceFile(tb, c.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	replaceFile(tb, c.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// replaceFile puts a new file in the place of the old one at once, as certificate tools do.
func replaceFile(tb testing.TB, path string, text []byte) {
	tb.Helper()
	must(tb, os.WriteFile(path+".new", text, 0o600))
	must(tb, os.Rename(path+".new", path))
}

// client is the TLS configuration that trusts the certificate.
func (c *certificate) client() *tls.Config {
	return &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12}
}

func TestMQTTOverTLSWorksWithRealClients(t *testing.T) {
	t.Parallel()
	s := startTLS(t)
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		d := mustConnect(t, connect, s.target(), hello{id: "meter", password: s.token})
		d.subscribe(1, "meter/#")
		d.publish(message{topic: "meter/x", payload: "over TLS", qos: 1})
		d.until("meter/x")
		if live := s.in(t).sessions("meter"); len(live) != 1 || live[0].Listener != "tls" {
			t.Errorf("the API lists %+v, want one session over TLS", live)
		}
		d.leave()
		if _, code := connect(t, s.target(), hello{id: "meter", password: s.token + "x"}); code != badToken.in(version) {
			t.Errorf("a bad token: 0x%02x", code)
		}
	})
	old := &tls.Config{RootCAs: s.cert.roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if _, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.mqtts, old); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestACertificateIsReloadedAndABadOneIsNot(t *testing.T) {
	t.Parallel()
	// The server looks at the files now and then, so both cases wait at the same time.
	renewed, spoilt := startTLS(t), startTLS(t)
	before := mustConnect(t, connectPaho5, renewed.target(), hello{id: "meter", password: renewed.token})
	renewed.cert.renew(t)
	replaceFile(t, spoilt.cert.keyFile, []byte("no key"))

	eventually(t, "the new certificate is served", func() bool { return renewed.servedSerial().Cmp(renewed.cert.serial) == 0 })
	before.subscribe(1, "meter/#") // the connection from before goes on
	before.publish(message{topic: "meter/x", qos: 1})
	before.until("meter/x")
	mustConnect(t, connectPaho3, renewed.target(), hello{id: "meter:new", password: renewed.token}).leave()

	reports := func() int { return len(spoilt.log.lines("level=ERROR", "old one stays")) }
	eventually(t, "the bad pair is reported", func() bool {
		if got := spoilt.servedSerial(); got.Cmp(spoilt.cert.serial) != 0 {
			t.Fatalf("the certificate %v is served, want %v", got, spoilt.cert.serial)
		}
		return reports() > 0
	})
	mustConnect(t, connectPaho3, spoilt.target(), hello{id: "meter:new", password: spoilt.token}).leave()
	if n := reports(); n != 1 {
		t.Errorf("the bad pair is reported %d times, want once", n)
	}
}

// tlsServer is a server with a certificate, and a client's token.
type tlsServer struct {
	*server
	cert  *certificate
	token string
}

func startTLS(tb testing.TB) tlsServer {
	tb.Helper()
	cert := newCertificate(tb)
	s := startServer(tb, "--mqtts", freeAddr(tb), "--tls-cert", cert.certFile, "--tls-key", cert.keyFile)
	return tlsServer{s, cert, s.token(s.service("meter", "pub:meter/#", "sub:meter/#"))}
}

func (s tlsServer) target() target { return target{url: "mqtts://" + s.mqtts, tls: s.cert.client()} }

// servedSerial is the serial number of the certificate that a new connection sees.
func (s tlsServer) servedSerial() *big.Int {
	s.tb.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.mqtts, s.cert.client())
	must(s.tb, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// eventually asks again and again until something holds that no event tells of.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-again.C:
		case <-late:
			tb.Fatalf("in vain waited until %s", what)
		}
	}
}

// websocketURL is where the server speaks MQTT over WebSocket.
func (s *server) websocketURL() string { return "ws" + strings.TrimPrefix(s.http, "http") + "/mqtt" }

func TestMQTTOverWebSocketWorksWithRealClients(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "pub:meter/#", "sub:meter/#"))
	tcp := mustConnect(t, connectPaho5, s.tcp(), hello{id: "meter:tcp", password: token})
	tcp.subscribe(1, "meter/#")
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		s := s.in(t)
		to := target{url: s.websocketURL()}
		d := mustConnect(t, connect, to, hello{id: "meter", password: token, keep: true})
		d.subscribe(1, "meter/#")
		big := strings.Repeat("x", 200_000)
		d.publish(message{topic: "meter/big", payload: big, qos: 2})
		d.publish(message{topic: "meter/x", payload: "over WebSocket", qos: 1})
		for _, got := range [][]message{d.until("meter/x"), tcp.until("meter/x")} {
			if len(got) != 1 || got[0].payload != big {
				t.Errorf("%d messages came, want one of %d bytes", len(got), len(big))
			}
		}
		if code := d.publish(message{topic: "other", qos: 1}); version == 5 && code != 0x87 {
			t.Errorf("a foreign topic: 0x%02x", code)
		}
		if live := s.sessions("meter"); len(live) != 2 || live[0].Listener != "ws" {
			t.Errorf("the API lists %+v, want one session over WebSocket", live)
		}
		// The session goes with its client, whatever the transport.
		d.leave()
		resume(t, s, version, hello{id: "meter", password: token, keep: true}, true).leave()
		if _, code := connect(t, to, hello{id: "meter", password: token + "x"}); code != badToken.in(version) {
			t.Errorf("a bad token: 0x%02x", code)
		}
		if _, code := connect(t, to, hello{id: "other", password: token}); code != notAuthorized.in(version) {
			t.Errorf("another's client ID: 0x%02x", code)
		}
	})
	d := mustConnect(t, connectPaho5, target{url: s.websocketURL()}, hello{id: "meter", password: token})
	s.stop()
	if said := d.closed(); said.code != 0x8b {
		t.Errorf("the server said 0x%02x, want 0x8b", said.code)
	}
}

func TestP2_APageOfAnotherSiteMayNotOpenAWebSocket(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--websocket-origins", "https://app.example,https://board.example:8443")
	token := s.token(s.service("meter", "pub:meter/#"))
	for origin, want := range map[string]int{
		"":                           http.StatusSwitchingProtocols, // no browser
		s.http:                       http.StatusSwitchingProtocols, // the server's own page
		"https://app.example":        http.StatusSwitchingProtocols,
		"https://board.example:8443": http.StatusSwitchingProtocols,
		"https://evil.example":       http.StatusForbidden,
		"http://app.example":         http.StatusForbidden,
		"https://app.example:444":    http.StatusForbidden,
		"https://app.example.evil":   http.StatusForbidden,
		"https://evil-app.example":   http.StatusForbidden,
		"https://sub.app.example":    http.StatusForbidden,
		"https://board.example":      http.StatusForbidden,
		"http://127.0.0.1":           http.StatusForbidden,
		"http://localhost":           http.StatusForbidden,
		"null":                       http.StatusForbidden,
		"file://":                    http.StatusForbidden,
		"nonsense":                   http.StatusForbidden,
	} {
		if got := s.upgrade(map[string]string{"Origin": origin}); got != want {
			t.Errorf("origin %q: %d, want %d", origin, got, want)
		}
	}
	if got := s.upgrade(map[string]string{"Sec-WebSocket-Protocol": "chat"}); got == http.StatusSwitchingProtocols {
		t.Log("the upgrade without the subprotocol mqtt is answered, and closed at once")
	}
	d := mustConnect(t, connectPaho3, target{url: s.websocketURL(), origin: "https://app.example"}, hello{id: "meter", password: token})
	d.leave()
}

// upgrade asks for a WebSocket with these headers, and returns the status.
func (s *server) upgrade(header map[string]string) int {
	s.tb.Helper()
	req, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.http+"/mqtt", nil)
	must(s.tb, err)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "mqtt",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
	} {
		req.Header.Set(name, value)
	}
	for name, value := range header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(s.tb, err)
	must(s.tb, resp.Body.Close())
	return resp.StatusCode
}
