package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// transports are the ways to reach a broker with TLS. Each gives a connection of
// a client with these certificates.
var transports = map[string]func(r *running, certs ...tls.Certificate) net.Conn{
	"TCP": func(r *running, _ ...tls.Certificate) net.Conn { return dialTCP(r.tb, r.addr()) },
	"TLS": func(r *running, certs ...tls.Certificate) net.Conn {
		c, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true, Certificates: certs})
		must(r.tb, err)
		return c
	},
	"WebSocket over HTTP": func(r *running, _ ...tls.Certificate) net.Conn {
		server := httptest.NewServer(r.WebSocket())
		r.tb.Cleanup(server.Close)
		return dialWS(r.tb, server.URL, http.DefaultClient)
	},
	"WebSocket over HTTPS": func(r *running, certs ...tls.Certificate) net.Conn {
		server := httptest.NewUnstartedServer(r.WebSocket())
		server.TLS = r.TLSConfig()
		server.StartTLS()
		r.tb.Cleanup(server.Close)
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}}
		r.tb.Cleanup(transport.CloseIdleConnections)
		return dialWS(r.tb, server.URL, &http.Client{Transport: transport})
	},
}

func dialWS(tb testing.TB, url string, client *http.Client) net.Conn {
	tb.Helper()
	ws, _, err := websocket.Dial(tb.Context(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPClient: client})
	must(tb, err)
	tb.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(-1)
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
}

// newCertificate is a self-signed certificate of a client.
func newCertificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sensor"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(tb, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// presented is the certificate that a client presented, found as a hook finds it.
func presented(cl *mqtt.Client) []byte {
	for c := cl.Net.Conn; c != nil; {
		if secure, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
			if certs := secure.ConnectionState().PeerCertificates; len(certs) > 0 {
				return certs[0].Raw
			}
		}
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = wrapper.NetConn()
	}
	return nil
}

func TestAHookSeesTheCertificateOfAClient(t *testing.T) {
	t.Parallel()
	seen := make(chan []byte, 1)
	r := start(t, withTLS(newCertFiles(t)), func(s *setup) {
		s.hook.onPublish = func(cl *mqtt.Client, _ packets.Packet) { seen <- presented(cl) }
	})
	certificate := newCertificate(t)
	for name, dial := range transports {
		for _, certs := range [][]tls.Certificate{nil, {certificate}} {
			var want []byte
			if len(certs) > 0 && (name == "TLS" || name == "WebSocket over HTTPS") {
				want = certificate.Certificate[0]
			}
			c := r.wrap(dial(r, certs...))
			if ack := c.connect("c"); ack.ReasonCode != 0 {
				t.Errorf("%s with %d certificates: CONNACK 0x%02x", name, len(certs), ack.ReasonCode)
			}
			c.send(message("a", "x", 0))
			if got := receive(t, seen); !bytes.Equal(got, want) {
				t.Errorf("%s with %d certificates: the hook sees one of %d bytes, want %d", name, len(certs), len(got), len(want))
			}
			c.disconnect()
		}
	}
}

func TestAHalfClosedConnectionIsStillRead(t *testing.T) {
	t.Parallel()
	for name, dial := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withTLS(newCertFiles(t)))
			witness, _ := r.connect("witness")
			witness.subscribe("heard", 0)
			c := r.wrap(dial(r))
			c.connect("c", v5)
			c.subscribe("a", 0)
			large := strings.Repeat("x", 200<<10) // more than the connection buffers
			must(t, r.Publish(t.Context(), "a", []byte(large), 0, false))
			cl, _ := r.Server().Clients.Get("c")
			eventually(t, "the message is on its way", func() bool { return r.Server().Info.Clone().MessagesSent > 0 })

			half, ok := cl.Net.Conn.(interface{ CloseWrite() error })
			if !ok {
				t.Fatal("the connection cannot be half-closed")
			}
			for range 2 {
				must(t, half.CloseWrite())
			}
			if _, err := cl.Net.Conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("what is written after it: %v", err)
			}
			for range 3 {
				c.send(message("heard", "still there", 0))
				witness.expectMessage("still there")
			}
			c.expectMessage(large)
			if pk, err := c.read(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last message came %+v, %v", pk, err)
			}
			_ = c.Close()
			eventually(t, "the connection is over", func() bool {
				_, there := r.Server().Clients.Get("c")
				return !there
			})
		})
	}
}

func TestACloseAfterAHalfCloseEndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, dial := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withTLS(newCertFiles(t)))
			c := r.wrap(dial(r))
			c.connect("c", v5)
			cl, _ := r.Server().Clients.Get("c")
			half, _ := cl.Net.Conn.(interface{ CloseWrite() error })
			must(t, half.CloseWrite())
			cl.Stop(packets.ErrAdministrativeAction)
			eventually(t, "the connection is over", func() bool {
				_, there := r.Server().Clients.Get("c")
				return !there
			})
			c.expectEnd()
			r.stop()
		})
	}
}
