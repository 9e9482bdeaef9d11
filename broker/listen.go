package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"syscall"
	"time"
)

// Names of the listeners.
const (
	nameTCP = "tcp"
	nameTLS = "tls"
	nameWS  = "ws"
)

const (
	firstRetry = 5 * time.Millisecond // after an Accept that failed
	lastRetry  = time.Second
)

// errConnectionBroke is why a connection ended that mochi did not end in order.
var errConnectionBroke = errors.New("the connection broke")

// bind opens the configured sockets. Nothing is accepted yet.
func (b *Broker) bind(ctx context.Context) error {
	for _, l := range []struct{ name, addr string }{{nameTCP, b.cfg.TCP}, {nameTLS, b.cfg.TLS}} {
		if l.addr == "" {
			continue
		}
		var lc net.ListenConfig // TCP keep-alive is on by default
		listener, err := lc.Listen(ctx, "tcp", l.addr)
		if err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%s listener: %w: another program listens there; stop it or choose another port", l.name, err)
			}
			return fmt.Errorf("%s listener: %w", l.name, err)
		}
		b.listeners[l.name] = listener
	}
	return nil
}

// accept serves one listener until it is closed. An Accept that fails, as for
// want of file descriptors, is tried again.
func (b *Broker) accept(ctx context.Context, name string, listener net.Listener) {
	retry := firstRetry
	for {
		socket, err := listener.Accept()
		switch {
		case err == nil:
			retry = firstRetry
			b.admit(ctx, name, socket)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			b.refused.Do(func() {
				b.log.Error("a connection cannot be accepted", keyListener, name, keyError, err)
			})
			if !pause(ctx, retry) {
				return
			}
			retry = min(2*retry, lastRetry)
		}
	}
}

// admit gives an accepted socket its place and its goroutine. It waits while
// too many sockets are half-open.
func (b *Broker) admit(ctx context.Context, name string, socket net.Conn) {
	remote := socket.RemoteAddr().String()
	ticket, err := b.gate.enter(ctx, remote, func() { _ = socket.Close() })
	if err != nil {
		_ = socket.Close()
		b.logRefused(name, remote, err)
		return
	}
	stream := socket
	if name == nameTLS {
		stream = tls.Server(socket, b.tls)
	}
	p := b.newPeer(newConn(stream, socket, b.limits), ticket)
	if !b.serving.add(p) {
		p.dismiss()
		return
	}
	go b.serve(ctx, name, p)
}

func (b *Broker) newPeer(c *conn, t *ticket) *peer {
	p := &peer{broker: b, conn: c, ticket: t, done: make(chan struct{}), replay: replay{wake: make(chan struct{}, 1)}}
	c.peer = p
	p.late = time.AfterFunc(b.limits.ConnectTimeout, c.abort)
	return p
}

// serve carries one connection from its first byte to its end. Nothing of it is left when serve returns.
func (b *Broker) serve(ctx context.Context, name string, p *peer) {
	defer b.serving.remove(p)
	defer p.ticket.leave()
	defer p.late.Stop()
	if err := b.greet(ctx, p.conn); err != nil {
		b.log.Debug("a connection ended before its CONNECT", keyListener, name, keyRemote, p.conn.RemoteAddr(), keyError, err)
	} else {
		b.establish(name, p)
	}
	_ = p.conn.Close()
	p.conn.finish()
}

// greet waits for the TLS handshake, if there is one, and the first bytes.
func (b *Broker) greet(ctx context.Context, c *conn) error {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		if err := secure.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
	}
	return c.greet()
}

// establish hands the connection to mochi and returns when it is over. A packet
// that makes mochi panic costs its sender the connection, and nobody else anything.
func (b *Broker) establish(name string, p *peer) {
	defer b.settle(p)
	defer func() {
		if cause := recover(); cause != nil {
			b.reportPanic(p, cause)
		}
	}()
	if err := b.server.EstablishConnection(name, p.conn); err != nil {
		b.log.Debug("a connection ended", keyListener, name, keyRemote, p.conn.RemoteAddr(), keyError, err)
	}
}

// reportPanic reports a fault of mochi's or a hook's that has ended a connection.
func (b *Broker) reportPanic(p *peer, cause any) {
	b.log.Error("a packet made the broker panic; its client was disconnected",
		keyRule, "panic-contained", keyRemote, p.conn.RemoteAddr(),
		keyPanic, fmt.Sprint(cause), keyStack, string(debug.Stack()))
}

// logRefused tells the operator, now and then, that sockets are turned away.
func (b *Broker) logRefused(name, remote string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	b.refused.Do(func() {
		b.log.Warn("a connection was refused", keyListener, name, keyRemote, remote, keyError, err)
	})
}

// pause waits; it reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
