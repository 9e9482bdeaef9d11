package broker

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// subprotocol is what an MQTT client must offer (MQTT 5 §6).
const subprotocol = "mqtt"

// WebSocket is the HTTP handler that carries MQTT over WebSocket (MQTT 5 §6).
// It may be mounted at any path. A page of another origin is refused, unless
// Config.Origins lists it; a client without an Origin header is no browser.
// X-Forwarded-For is not believed: the remote address is the peer's.
func (b *Broker) WebSocket() http.Handler { return http.HandlerFunc(b.serveWebSocket) }

func (b *Broker) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if !b.accepting() {
		http.Error(w, "the broker is not running", http.StatusServiceUnavailable)
		return
	}
	if !offers(r, subprotocol) {
		http.Error(w, "the WebSocket subprotocol mqtt is required", http.StatusBadRequest)
		return
	}
	upgrade := &upgrade{ResponseWriter: w}
	ticket, err := b.gate.enter(r.Context(), r.RemoteAddr, upgrade.abort)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		b.logRefused(nameWS, r.RemoteAddr, err)
		return
	}
	ws, err := websocket.Accept(upgrade, r, &websocket.AcceptOptions{
		Subprotocols:   []string{subprotocol},
		OriginPatterns: b.cfg.Origins,
	})
	if err != nil { // it quotes the client's headers; and it is answered: 403 for a foreign origin, 4xx for what is no WebSocket
		ticket.leave()
		b.log.Debug("a WebSocket was refused", keyRemote, r.RemoteAddr)
		return
	}
	// The request's context ends with this function; so does the connection.
	// NetConn lifts the read limit of a message: it is streamed, and the limit
	// of an MQTT packet holds.
	ctx := context.WithoutCancel(r.Context())
	stream := &wsStream{
		Conn: websocket.NetConn(ctx, ws, websocket.MessageBinary), ws: ws, socket: upgrade.socket, secured: r.TLS,
	}
	p := b.newPeer(newConn(stream, upgrade.socket, b.limits), ticket)
	if !b.serving.add(p) {
		p.dismiss()
		return
	}
	b.serve(ctx, nameWS, p)
}

// offers reports whether the client offers a subprotocol (RFC 6455 §4.1).
func offers(r *http.Request, protocol string) bool {
	for _, list := range r.Header.Values("Sec-Websocket-Protocol") {
		for offered := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(offered), protocol) {
				return true
			}
		}
	}
	return false
}

// closeFrame is a whole Close frame with status 1000 (RFC 6455 §5.5.1, §7.4.1).
var closeFrame = [...]byte{0x88, 2, 1000 >> 8, 1000 & 0xff}

// wsStream is a WebSocket as a byte stream.
type wsStream struct {
	net.Conn
	ws      *websocket.Conn
	socket  net.Conn             // under it, TLS included
	secured *tls.ConnectionState // of the HTTP request; nil without TLS
}

// NetConn is the connection that the HTTP server handed over.
func (s *wsStream) NetConn() net.Conn { return s.socket }

// ConnectionState is the TLS state of the HTTP request, or the zero state.
func (s *wsStream) ConnectionState() tls.ConnectionState {
	if s.secured == nil {
		return tls.ConnectionState{}
	}
	return *s.secured
}

// CloseWrite says goodbye without waiting for the answer. The library cannot: its
// Close takes the reading over. The frame fits one write, as every control frame
// does, and the caller is the only one who writes others.
func (s *wsStream) CloseWrite() error {
	_, err := s.socket.Write(closeFrame[:])
	return err
}

// Close says goodbye in WebSocket's way. conn closes the socket under it if the peer does not answer.
func (s *wsStream) Close() error {
	_ = s.SetDeadline(time.Time{}) // stops the timers
	return s.ws.Close(websocket.StatusNormalClosure, "")
}

// upgrade is an HTTP answer that turns into a WebSocket, and the socket under it.
type upgrade struct {
	http.ResponseWriter

	mu      sync.Mutex
	socket  net.Conn
	aborted bool
}

// Hijack implements http.Hijacker.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	socket, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.socket = socket
	if u.aborted {
		_ = socket.Close()
	}
	return socket, rw, nil
}

// Close closes the socket, now or as soon as there is one.
func (u *upgrade) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.aborted = true
	if u.socket == nil {
		return nil
	}
	return u.socket.Close()
}

func (u *upgrade) abort() { _ = u.Close() }
