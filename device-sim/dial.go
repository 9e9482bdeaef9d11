package devicesim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/coder/websocket"
)

// dial opens the transport connection that the broker's URL asks for. Unlike paho's own, it ends with the context.
func dial(ctx context.Context, c *Config, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if u.Scheme == "ws" || u.Scheme == "wss" {
		return dialWebSocket(ctx, c, u)
	}
	conn, err := c.Dial(ctx, "tcp", u.Host)
	if err != nil || u.Scheme == "mqtt" || u.Scheme == "tcp" {
		return conn, err
	}
	config := c.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	orDefault(&config.ServerName, u.Hostname())
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", u.Host, err)
	}
	return secure, nil
}

// dialWebSocket opens a connection for MQTT over WebSocket: binary frames under the subprotocol mqtt (MQTT 3.1.1 §6).
func dialWebSocket(ctx context.Context, c *Config, u *url.URL) (net.Conn, error) {
	const protocol = "mqtt"
	transport := &http.Transport{TLSClientConfig: c.TLS.Clone(), DialContext: c.Dial}
	//nolint:bodyclose // the library owns the body: "You never need to close resp.Body yourself."
	socket, answer, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{protocol},
	})
	if err != nil {
		if answer != nil {
			return nil, fmt.Errorf("opening a WebSocket at %s: status %d", u.Host, answer.StatusCode)
		}
		return nil, fmt.Errorf("opening a WebSocket at %s: %w", u.Host, err)
	}
	if socket.Subprotocol() != protocol {
		_ = socket.CloseNow()
		return nil, fmt.Errorf("the WebSocket at %s does not speak %s", u.Host, protocol)
	}
	living, end := context.WithCancel(context.WithoutCancel(ctx))
	return webSocketConn{Conn: websocket.NetConn(living, socket, websocket.MessageBinary), socket: socket, end: end}, nil
}

// webSocketConn is a WebSocket that is closed at once, without waiting for the peer's farewell: MQTT has said its own.
type webSocketConn struct {
	net.Conn

	socket *websocket.Conn
	end    context.CancelFunc
}

// Close closes the connection.
func (c webSocketConn) Close() error {
	defer c.end()
	return c.socket.CloseNow()
}

// line is a transport connection that can be cut from this side. paho takes the error of a connection that was closed on purpose
// for its own doing and goes on waiting; a cut line gives another one.
type line struct {
	net.Conn

	cut atomic.Bool
}

var errCut = errors.New("the line was cut")

// Read reads from the connection.
func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil && l.cut.Load() {
		err = errCut
	}
	return n, err
}

func (l *line) sever() {
	l.cut.Store(true)
	l.Conn.Close()
}
