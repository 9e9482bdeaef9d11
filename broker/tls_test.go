package broker_test

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

	"github.com/boomgate/boomgate/broker"
)

// certFiles is a key pair in two files.
type certFiles struct{ cert, key string }

func newCertFiles(tb testing.TB) certFiles {
	tb.Helper()
	dir := tb.TempDir()
	f := certFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.renew(tb, 1)
	return f
}

// renew writes a new self-signed pair with that serial number.
func (f certFiles) renew(tb testing.TB, serial int64) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(tb, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(tb, err)
	writePEM(tb, f.cert, "CERTIFICATE", cert)
	writePEM(tb, f.key, "PRIVATE KEY", private)
}

func writePEM(tb testing.TB, path, kind string, der []byte) {
	tb.Helper()
	must(tb, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func withTLS(f certFiles) func(*setup) {
	return func(s *setup) {
		s.TLS, s.CertFile, s.KeyFile = "127.0.0.1:0", f.cert, f.key
		s.Limits.CertificateCheck = time.Nanosecond
	}
}

// handshake connects over TLS and gives the serial number of the broker's certificate.
func (r *running) handshake() int64 {
	r.tb.Helper()
	c, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true})
	must(r.tb, err)
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestMQTTIsSpokenOverTLS(t *testing.T) {
	t.Parallel()
	r := start(t, withTLS(newCertFiles(t)))
	secure, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	c := r.wrap(secure)
	if ack := c.connect("secure"); ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %#x", ack.ReasonCode)
	}
	c.subscribe("a", 1)
	c.publish(message("b", "x", 1))
	c.disconnect()
}

func TestAnOldTLSVersionIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, withTLS(newCertFiles(t)))
	_, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Fatal("TLS 1.1 was accepted")
	}
}

func TestARenewedCertificateIsServed(t *testing.T) {
	t.Parallel()
	files := newCertFiles(t)
	r := start(t, withTLS(files))
	if serial := r.handshake(); serial != 1 {
		t.Fatalf("served certificate %d", serial)
	}
	files.renew(t, 1002)
	if serial := r.handshake(); serial != 1002 {
		t.Fatalf("served certificate %d after the renewal", serial)
	}
}

func TestABadCertificateLeavesTheOldOneInPlace(t *testing.T) {
	t.Parallel()
	files := newCertFiles(t)
	r := start(t, withTLS(files))
	for name, spoil := range map[string]func(){
		"no certificate": func() { must(t, os.WriteFile(files.cert, []byte("oops"), 0o600)) },
		"other key":      func() { files.renew(t, 3); must(t, os.Rename(newCertFiles(t).key, files.key)) },
		"no file":        func() { must(t, os.Remove(files.cert)) },
	} {
		files.renew(t, 2)
		r.handshake()
		spoil()
		before := strings.Count(r.log.String(), "cannot be used")
		for range 3 {
			if serial := r.handshake(); serial != 2 {
				t.Errorf("%s: served certificate %d", name, serial)
			}
		}
		if reports := strings.Count(r.log.String(), "cannot be used") - before; reports != 1 {
			t.Errorf("%s: reported %d times, want once", name, reports)
		}
	}
	files.renew(t, 4)
	if serial := r.handshake(); serial != 4 {
		t.Errorf("served certificate %d after the repair", serial)
	}
}

func TestABadCertificateStopsTheStart(t *testing.T) {
	t.Parallel()
	files := newCertFiles(t)
	must(t, os.WriteFile(files.key, []byte("oops"), 0o600))
	_, err := broker.Open(t.Context(), broker.Config{TLS: "127.0.0.1:0", CertFile: files.cert, KeyFile: files.key, Logger: silent()})
	if err == nil || !strings.Contains(err.Error(), files.key) {
		t.Fatalf("got %v, want an error that names the file", err)
	}
}
