package broker

import (
	"crypto/tls"
	"net"
)

// NetConn is the byte stream under the connection: TCP, TLS or WebSocket. A hook
// that wants to know how a client is connected asks it, and what is under it in turn.
func (c *conn) NetConn() net.Conn { return c.Conn }

// ConnectionState is the state of the TLS connection that carries the client,
// over WebSocket that of the HTTP request; the zero state if there is none. The
// client's certificate, if it presented one, is not verified against anything.
func (c *conn) ConnectionState() tls.ConnectionState {
	if secure, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return secure.ConnectionState()
	}
	return tls.ConnectionState{}
}

// CloseWrite ends the sending half of the connection once what is buffered is
// out: the client sees the end, and its packets are still read. It does not wait.
// Whatever is written afterwards is refused with net.ErrClosed.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return nil
	}
	c.ending = true
	c.drained.Broadcast()
	c.flushLocked()
	return nil
}

// farewell shuts the sending side, each transport in its way. For good means
// that nothing is read any more either.
func (c *conn) farewell(forGood bool) {
	switch stream := c.Conn.(type) {
	case *wsStream:
		if forGood {
			_ = stream.Close()
		} else {
			_ = stream.CloseWrite()
		}
		return
	case *tls.Conn:
		_ = stream.CloseWrite()
	}
	if half, ok := c.socket.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
