package e2e_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

func TestMQTTOverTLSWorksWithRealClients(t *testing.T) {
	t.Parallel()
	s := harness.StartTLS(t)
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		d := harness.MustConnect(t, connect, s.Target(), harness.Hello{ID: "meter", Password: s.Token})
		d.Subscribe(1, "meter/#")
		d.Publish(harness.Message{Topic: "meter/x", Payload: "over TLS", QoS: 1})
		d.Until("meter/x")
		if live := s.In(t).Sessions("meter"); len(live) != 1 || live[0].Listener != "tls" {
			t.Errorf("the API lists %+v, want one session over TLS", live)
		}
		d.Leave()
		if _, code := connect(t, s.Target(), harness.Hello{ID: "meter", Password: s.Token + "x"}); code != harness.BadToken.In(version) {
			t.Errorf("a bad token: 0x%02x", code)
		}
	})
	old := &tls.Config{RootCAs: s.Cert.Roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if _, err := tls.DialWithDialer(&net.Dialer{Timeout: harness.Patience}, "tcp", s.MQTTS, old); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestACertificateIsReloadedAndABadOneIsNot(t *testing.T) {
	t.Parallel()
	// The server looks at the files now and then, so both cases wait at the same time.
	renewed, spoilt := harness.StartTLS(t), harness.StartTLS(t)
	before := harness.MustConnect(t, harness.ConnectPaho5, renewed.Target(), harness.Hello{ID: "meter", Password: renewed.Token})
	renewed.Cert.Renew(t)
	harness.ReplaceFile(t, spoilt.Cert.KeyFile, []byte("no key"))

	harness.Eventually(t, "the new certificate is served", func() bool { return renewed.ServedSerial().Cmp(renewed.Cert.Serial) == 0 })
	before.Subscribe(1, "meter/#") // the connection from before goes on
	before.Publish(harness.Message{Topic: "meter/x", QoS: 1})
	before.Until("meter/x")
	harness.MustConnect(t, harness.ConnectPaho3, renewed.Target(), harness.Hello{ID: "meter:new", Password: renewed.Token}).Leave()

	reports := func() int { return len(spoilt.Log.Lines("level=ERROR", "old one stays")) }
	harness.Eventually(t, "the bad pair is reported", func() bool {
		if got := spoilt.ServedSerial(); got.Cmp(spoilt.Cert.Serial) != 0 {
			t.Fatalf("the certificate %v is served, want %v", got, spoilt.Cert.Serial)
		}
		return reports() > 0
	})
	harness.MustConnect(t, harness.ConnectPaho3, spoilt.Target(), harness.Hello{ID: "meter:new", Password: spoilt.Token}).Leave()
	if n := reports(); n != 1 {
		t.Errorf("the bad pair is reported %d times, want once", n)
	}
}

func TestMQTTOverWebSocketWorksWithRealClients(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:meter/#", "sub:meter/#"))
	tcp := harness.MustConnect(t, harness.ConnectPaho5, s.TCP(), harness.Hello{ID: "meter:tcp", Password: token})
	tcp.Subscribe(1, "meter/#")
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		s := s.In(t)
		to := harness.Target{URL: s.WebsocketURL()}
		d := harness.MustConnect(t, connect, to, harness.Hello{ID: "meter", Password: token, Keep: true})
		d.Subscribe(1, "meter/#")
		big := strings.Repeat("x", 200_000)
		d.Publish(harness.Message{Topic: "meter/big", Payload: big, QoS: 2})
		d.Publish(harness.Message{Topic: "meter/x", Payload: "over WebSocket", QoS: 1})
		for _, got := range [][]harness.Message{d.Until("meter/x"), tcp.Until("meter/x")} {
			if len(got) != 1 || got[0].Payload != big {
				t.Errorf("%d messages came, want one of %d bytes", len(got), len(big))
			}
		}
		if code := d.Publish(harness.Message{Topic: "other", QoS: 1}); version == 5 && code != 0x87 {
			t.Errorf("a foreign topic: 0x%02x", code)
		}
		if live := s.Sessions("meter"); len(live) != 2 || live[0].Listener != "ws" {
			t.Errorf("the API lists %+v, want one session over WebSocket", live)
		}
		// The session goes with its client, whatever the transport.
		d.Leave()
		harness.Resume(t, s, version, harness.Hello{ID: "meter", Password: token, Keep: true}, true).Leave()
		if _, code := connect(t, to, harness.Hello{ID: "meter", Password: token + "x"}); code != harness.BadToken.In(version) {
			t.Errorf("a bad token: 0x%02x", code)
		}
		if _, code := connect(t, to, harness.Hello{ID: "other", Password: token}); code != harness.NotAuthorized.In(version) {
			t.Errorf("another's client ID: 0x%02x", code)
		}
	})
	d := harness.MustConnect(t, harness.ConnectPaho5, harness.Target{URL: s.WebsocketURL()}, harness.Hello{ID: "meter", Password: token})
	d.Subscribe(1, "meter/#") // answered once the session is established
	s.Stop()
	if said := d.Closed(); said.Code != 0x8b {
		t.Errorf("the server said 0x%02x, want 0x8b", said.Code)
	}
}

func TestP2_APageOfAnotherSiteMayNotOpenAWebSocket(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--websocket-origins", "https://app.example,https://board.example:8443")
	token := s.Token(s.Service("meter", "pub:meter/#"))
	for origin, want := range map[string]int{
		"":                           http.StatusSwitchingProtocols, // no browser
		s.HTTP:                       http.StatusSwitchingProtocols, // the server's own page
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
		if got := s.Upgrade(map[string]string{"Origin": origin}); got != want {
			t.Errorf("origin %q: %d, want %d", origin, got, want)
		}
	}
	if got := s.Upgrade(map[string]string{"Sec-WebSocket-Protocol": "chat"}); got == http.StatusSwitchingProtocols {
		t.Log("the upgrade without the subprotocol mqtt is answered, and closed at once")
	}
	d := harness.MustConnect(t, harness.ConnectPaho3, harness.Target{URL: s.WebsocketURL(), Origin: "https://app.example"}, harness.Hello{ID: "meter", Password: token})
	d.Leave()
}
