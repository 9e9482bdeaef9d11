package broker

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	highWater  = 64 << 10 // buffered bytes at which packets wait for the socket
	writePiece = 16 << 10 // bytes per write: each must get through within WriteTimeout
	keepBuffer = 4 << 10  // a drained buffer of at most this size is kept for the next packet
)

// pingresp is the packet that stands in for one that must not be written (see swallow).
var pingresp = [2]byte{0xD0, 0x00}

// conn is a client's connection as mochi sees it.
//
// Writes go to a buffer that a short-lived goroutine empties, so that nobody
// waits for a socket while holding mochi's client lock: one client that does
// not read would otherwise stall everybody who publishes to it. Packets wait
// in room instead, before mochi takes the lock.
//
// Close does not wait either. What is buffered still goes out, then the sending
// side is shut, and what the client sends meanwhile is read and discarded: a
// socket closed on unread data is reset, and the reset would take the farewell
// away before the client has read it. All that is bounded by KickTimeout.
// CloseWrite is the first half of that: the connection is still read.
type conn struct {
	net.Conn          // the byte stream: TCP, TLS or WebSocket
	socket   net.Conn // the socket under it
	peer     *peer
	limits   Limits
	frames   framing
	head     []byte // bytes read before mochi
	fault    error  // what is wrong with the packet that follows

	swallowed atomic.Int32  // stand-ins on their way
	closed    chan struct{} // closed when Close is called
	flushed   chan struct{} // closed when nothing will be written any more

	mu       sync.Mutex
	drained  sync.Cond // the buffer has room, or nothing is taken any more
	buf      []byte
	deadline time.Time // what SetWriteDeadline asked for
	flushing bool
	ending   bool // nothing is to be written after the buffer
	closing  bool // and nothing is read any more
	linger   *time.Timer
}

func newConn(stream, socket net.Conn, limits Limits) *conn {
	c := &conn{
		Conn: stream, socket: socket, limits: limits,
		frames: framing{maxConnect: limits.MaxConnectSize, maxPacket: limits.MaxPacketSize, inspect: inspect},
		closed: make(chan struct{}), flushed: make(chan struct{}),
	}
	c.drained.L = &c.mu
	return c
}

// greet waits for the first bytes of a CONNECT, so that a silent socket costs
// no more than a goroutine.
func (c *conn) greet() error {
	var head [1 + maxLengthBytes]byte
	n, err := c.Read(head[:])
	if err != nil {
		return err
	}
	c.head = head[:n]
	return nil
}

// Read reads from the stream; what comes after Close is not handed on, nor is a
// packet that is not what the standard says: its sender is told when mochi has
// dealt with the packets before it.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	if c.fault != nil {
		return 0, c.refuse()
	}
	n, err := c.Conn.Read(p)
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	if n == 0 {
		return 0, err
	}
	good, fault := c.frames.check(p[:n])
	if fault == nil {
		return n, err
	}
	if c.fault = fault; good == 0 {
		return 0, c.refuse()
	}
	return good, nil
}

// refuse tells an MQTT 5 client what is wrong with its packet (MQTT 5 §4.13).
func (c *conn) refuse() error {
	var code packets.Code
	if c.frames.version != 5 || !errors.As(c.fault, &code) {
		return c.fault
	}
	if c.peer.established.Load() {
		_, _ = c.Write([]byte{packets.Disconnect << 4, 2, code.Code, 0}) // a closed connection is none of its concern
	} else {
		_, _ = c.Write([]byte{packets.Connack << 4, 3, 0, code.Code, 0})
	}
	return c.fault
}

// Write buffers p; it never waits for the peer. An error of the socket closes the connection.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == len(pingresp) && p[0] == pingresp[0] && c.swallowed.Load() > 0 {
		c.swallowed.Add(-1)
		return len(p), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return 0, net.ErrClosed
	}
	c.buf = append(c.buf, p...)
	c.flushLocked()
	return len(p), nil
}

// swallow announces that the next PINGRESP is a stand-in and must not be written.
// mochi ends the connection when a packet it resends cannot be written, so such
// a packet is replaced rather than refused. Whoever calls swallow writes the
// stand-in next, and no real PINGRESP is written at that time.
func (c *conn) swallow() { c.swallowed.Add(1) }

// room waits until the buffer has room for another packet, or takes none any more.
func (c *conn) room() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.buf) >= highWater && !c.ending {
		c.drained.Wait()
	}
}

// roomy reports whether room would not wait.
func (c *conn) roomy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.buf) < highWater || c.ending
}

// SetDeadline sets the read deadline: mochi calls it for the keep-alive, and
// writes have a deadline each.
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return net.ErrClosed
	}
	return c.SetReadDeadline(t)
}

// SetWriteDeadline shortens the time that writes may take; zero lifts it.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

// Close ends the connection; see conn. A reader returns at once, but for a
// WebSocket's, which ends when the client answers or KickTimeout is over.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.ending, c.closing = true, true
	c.linger = time.AfterFunc(c.limits.KickTimeout, func() { _ = c.socket.Close() })
	close(c.closed)
	c.drained.Broadcast()
	if _, ws := c.Conn.(*wsStream); !ws {
		_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	}
	c.flushLocked()
	return nil
}

// abort ends the connection at once.
func (c *conn) abort() {
	_ = c.socket.Close()
	_ = c.Close()
}

// finish waits until a closed connection has said farewell, and closes its socket.
func (c *conn) finish() {
	<-c.flushed
	if stream, ok := c.Conn.(*wsStream); ok {
		_ = stream.Close() // after CloseWrite the peer's answer is still to come
	}
	_ = c.socket.SetReadDeadline(time.Now().Add(c.limits.KickTimeout))
	_, _ = io.Copy(io.Discard, c.socket)
	c.linger.Stop()
	_ = c.socket.Close()
}

// flushLocked starts the goroutine that empties the buffer, if none is at work.
func (c *conn) flushLocked() {
	if c.flushing {
		return
	}
	c.flushing = true
	go c.flush()
}

// flush writes until the buffer is empty; if nothing may follow, it then says farewell.
func (c *conn) flush() {
	var out []byte
	for {
		c.mu.Lock()
		out, c.buf = c.buf, out[:0]
		c.drained.Broadcast()
		ending, closing := c.ending, c.closing
		if len(out) == 0 && !ending {
			c.keepLocked(out)
			c.flushing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if len(out) == 0 {
			c.farewell(closing)
			break
		}
		if err := c.writeOut(out); err != nil {
			c.abort()
			break
		}
	}
	close(c.flushed)
}

// keepLocked keeps one small buffer for the next packet.
func (c *conn) keepLocked(out []byte) {
	if cap(c.buf) < cap(out) && cap(out) <= keepBuffer {
		c.buf = out[:0]
	}
	if cap(c.buf) > keepBuffer {
		c.buf = nil
	}
}

// writeOut writes p in pieces, each with a deadline of its own.
func (c *conn) writeOut(p []byte) error {
	for len(p) > 0 {
		c.mu.Lock()
		by := time.Now().Add(c.limits.WriteTimeout)
		if !c.deadline.IsZero() && c.deadline.Before(by) {
			by = c.deadline
		}
		c.mu.Unlock()
		if err := c.Conn.SetWriteDeadline(by); err != nil {
			return err
		}
		n, err := c.Conn.Write(p[:min(len(p), writePiece)])
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}
