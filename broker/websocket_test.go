package broker_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// serveHTTP mounts the broker's WebSocket handler and gives its ws:// URL.
func (r *running) serveHTTP() string {
	r.tb.Helper()
	mux := http.NewServeMux()
	mux.Handle("/mqtt", r.WebSocket())
	server := httptest.NewServer(mux)
	r.tb.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/mqtt"
}

func (r *running) dialWebSocket(url string) *raw {
	r.tb.Helper()
	ws, _, err := websocket.Dial(r.tb.Context(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	must(r.tb, err)
	r.tb.Cleanup(func() { _ = ws.CloseNow() })
	return r.wrap(websocket.NetConn(context.Background(), ws, websocket.MessageBinary))
}

func TestMQTTIsSpokenOverWebSocket(t *testing.T) {
	t.Parallel()
	r := start(t)
	c := r.dialWebSocket(r.serveHTTP())
	if ack := c.connect("ws"); ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %#x", ack.ReasonCode)
	}
	c.subscribe("a", 1)
	large := strings.Repeat("x", 100<<10)
	tcp, _ := r.connect("tcp")
	tcp.publish(message("a", large, 1))
	c.sendAck(packets.Puback, c.expectMessage(large).PacketID)
	c.publish(message("b", "x", 2))
	if cl, _ := r.Server().Clients.Get("ws"); !strings.HasPrefix(cl.Net.Remote, "127.0.0.1:") {
		t.Errorf("the remote address is %q", cl.Net.Remote)
	}
	c.disconnect()
}

func TestP2_AWebSocketFromAForeignOriginIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) { s.Origins = []string{"https://app.example"} })
	url := r.serveHTTP()
	own := "http" + strings.TrimPrefix(strings.TrimSuffix(url, "/mqtt"), "ws")
	for origin, want := range map[string]int{
		"":                           http.StatusSwitchingProtocols,
		own:                          http.StatusSwitchingProtocols,
		"https://app.example":        http.StatusSwitchingProtocols,
		"http://app.example":         http.StatusForbidden,
		"https://app.example:8443":   http.StatusForbidden,
		"https://app.example.evil":   http.StatusForbidden,
		"https://evil.example":       http.StatusForbidden,
		"https://evil.app.example":   http.StatusForbidden,
		"null":                       http.StatusForbidden,
		"https://app.example, x://y": http.StatusForbidden,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPHeader: header})
		if resp == nil {
			t.Errorf("origin %q: %v", origin, err)
			continue
		}
		if resp.StatusCode != want {
			t.Errorf("origin %q: status %d, want %d", origin, resp.StatusCode, want)
		}
		if ws != nil {
			_ = ws.CloseNow()
		}
	}
}

func TestAWebSocketWithoutTheSubprotocolIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t)
	url := r.serveHTTP()
	_, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"chat"}})
	if err == nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %v, %v", resp, err)
	}
	plain, err := http.Get("http" + strings.TrimPrefix(url, "ws"))
	must(t, err)
	defer plain.Body.Close()
	if plain.StatusCode < 400 || plain.StatusCode >= 500 {
		t.Errorf("a plain GET is answered %d", plain.StatusCode)
	}
}

func TestP1_AWebSocketWithoutConnectIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, hasty)
	c := r.dialWebSocket(r.serveHTTP())
	if got := c.expectEnd(); len(got) != 0 {
		t.Errorf("the broker sent %v", got)
	}
}

func TestP1_AWebSocketWithTextOrABrokenPacketIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t)
	url := r.serveHTTP()
	ws, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	must(t, err)
	defer func() { _ = ws.CloseNow() }()
	must(t, ws.Write(t.Context(), websocket.MessageText, []byte("hello")))
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("text was answered")
	}

	broken := r.dialWebSocket(url)
	broken.connect("broken", v5)
	_, err = broken.Write([]byte{0x82, 6, 0, 9, 0, 0, 1, 'a'})
	must(t, err)
	broken.expectEnd()
	other, _ := r.connect("other")
	other.ping()
}

func TestAStopEndsWebSockets(t *testing.T) {
	t.Parallel()
	r := start(t)
	url := r.serveHTTP()
	c, silent := r.dialWebSocket(url), r.dialWebSocket(url)
	c.connect("ws", v5)
	r.stop()
	got := c.expectEnd()
	if len(got) != 1 || got[0].ReasonCode != packets.ErrServerShuttingDown.Code {
		t.Errorf("the client was sent %v, want DISCONNECT 0x8B", got)
	}
	silent.expectEnd()
	_, resp, err := websocket.Dial(context.Background(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err == nil {
		t.Errorf("a WebSocket was accepted after the stop: %v", resp.Status)
	}
}

func TestAWebSocketIsRefusedBeforeTheBrokerRuns(t *testing.T) {
	t.Parallel()
	r := open(t)
	_, resp, err := websocket.Dial(t.Context(), r.serveHTTP(), &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestWhatAClosedClientStillSendsIsIgnored(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{KickTimeout: time.Minute}))
	listener, _ := r.connect("listener")
	listener.subscribe("#", 0)
	c := r.dialWebSocket(r.serveHTTP())
	c.connect("ws")
	cl, _ := r.Server().Clients.Get("ws")
	cl.Stop(packets.ErrAdministrativeAction)
	must(t, c.trySend(message("a", "too late", 0)))
	c.expectEnd()
	must(t, r.Publish(t.Context(), "a", []byte("marker"), 0, false))
	listener.expectMessage("marker")
}

func TestWebSocketsCountAmongTheConnections(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxConnections: 1}))
	url := r.serveHTTP()
	first := r.dialWebSocket(url)
	first.connect("first")
	_, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v, %v", resp, err)
	}
	if second := r.dial(); second != nil {
		second.expectEnd()
	}
}

func TestAWebSocketThatVanishesFreesItsPlace(t *testing.T) {
	t.Parallel()
	r := start(t)
	url := r.serveHTTP()
	witness, _ := r.connect("witness")
	witness.subscribe("wills", 0)
	ws, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	must(t, err)
	c := r.wrap(websocket.NetConn(context.Background(), ws, websocket.MessageBinary))
	c.connect("gone", will("wills", "lost", 0))
	_ = ws.CloseNow()
	witness.expectMessage("lost")
	eventually(t, "the client is gone", func() bool {
		_, there := r.Server().Clients.Get("gone")
		return !there
	})
}

func TestAWebSocketIsRefusedWithoutAnUpgradeableServer(t *testing.T) {
	t.Parallel()
	r := start(t)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/mqtt", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqtt",
	} {
		req.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { defer close(done); r.WebSocket().ServeHTTP(answer, req) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the handler does not return")
	}
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if len(body) == 0 && answer.Code == http.StatusOK {
		t.Error("the request was accepted")
	}
	conn, err := net.Dial("tcp", r.addr())
	must(t, err)
	must(t, conn.Close())
}
