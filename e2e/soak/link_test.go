package soak_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/boomgate/boomgate/e2e/harness"
)

// A link is an accepted connection of a device. What comes is read by a goroutine of its own, which acknowledges it and holds it
// against the model.
type link struct {
	world    *world
	device   *device
	number   int64
	version  byte
	conn     net.Conn
	in       *bufio.Reader
	began    time.Time // before the CONNECT was sent
	tokens   *timeline[*token]
	renewals int
	method   bool          // of authentication: it can be renewed
	pause    time.Duration // between two packets that are read

	proven   atomic.Pointer[time.Time] // what comes from now on was sent later than that
	forgiven atomic.Bool               // the device itself has given reason to be closed
	code     atomic.Int32              // of the DISCONNECT that came
	done     chan struct{}             // closed when nothing comes any more
	hurry    chan struct{}             // closed when the device has done with it, however slowly it has read so far

	writing sync.Mutex
	mu      sync.Mutex
	waiting map[uint16]chan harness.Packet // guarded by mu: for acknowledgements
	pings   []time.Time                    // guarded by mu: sent and not yet answered
	renewed chan harness.Packet            // answers to AUTH
}

// dial opens a connection over TCP or WebSocket.
func (w *world) dial(ctx context.Context, webSocket bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), harness.Patience)
	defer cancel()
	if !webSocket {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", w.MQTT)
	}
	ws, _, err := websocket.Dial(ctx, w.WebsocketURL(), &websocket.DialOptions{
		Subprotocols: []string{"mqtt"}, HTTPClient: w.http,
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(1 << 20)
	return stream{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws}, nil
}

// A stream is a WebSocket that ends as a socket does, without waiting for the other side's farewell.
type stream struct {
	net.Conn
	ws *websocket.Conn
}

func (s stream) Close() error { return s.ws.CloseNow() }

// greet sends a CONNECT and reads what comes first.
func greet(conn net.Conn, version byte, hello harness.Hello) (in *bufio.Reader, ack harness.Packet, err error) {
	_ = conn.SetDeadline(time.Now().Add(harness.Patience))
	if _, err := conn.Write(hello.Encode(version)); err != nil {
		return nil, ack, err
	}
	in = bufio.NewReader(conn)
	ack, err = harness.ReadPacket(in, version)
	_ = conn.SetDeadline(time.Time{})
	return in, ack, err
}

// read reads until the connection ends.
func (l *link) read() {
	defer close(l.done)
	defer l.conn.Close()
	tick := time.NewTicker(cmp.Or(l.pause, time.Hour))
	defer tick.Stop()
	for {
		p, err := harness.ReadPacket(l.in, l.version)
		if err != nil {
			if strings.Contains(err.Error(), "torn") {
				l.world.faultf("%s: %v", l, err)
			}
			return
		}
		if l.pause > 0 {
			select {
			case <-tick.C:
			case <-l.hurry:
			}
		}
		l.take(p)
		if answer := harness.Acknowledgement(p); answer != nil && l.write(answer) != nil {
			return
		}
	}
}

// acknowledgements end what a client has begun.
var acknowledgements = []byte{harness.TypePuback, harness.TypePubrec, harness.TypePubcomp, harness.TypeSuback, harness.TypeUnsuback}

// take deals with a packet.
func (l *link) take(p harness.Packet) {
	switch {
	case p.Kind == harness.TypePublish:
		l.receive(p)
	case p.Kind == harness.TypePingresp:
		l.mu.Lock()
		if len(l.pings) > 0 {
			sent := l.pings[0]
			l.pings = l.pings[1:]
			l.proven.Store(&sent)
		}
		l.mu.Unlock()
	case p.Kind == harness.TypeDisconnect:
		l.code.Store(int32(p.Code()))
	case p.Kind == harness.TypeAuth:
		l.renewed <- p
	case p.Kind == harness.TypePubrec && p.Code() < 0x80:
	case slices.Contains(acknowledgements, p.Kind):
		l.mu.Lock()
		answer := l.waiting[p.ID()]
		delete(l.waiting, p.ID())
		l.mu.Unlock()
		if answer != nil {
			answer <- p
		}
	}
}

func (l *link) write(packet []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(harness.Patience))
	_, err := l.conn.Write(packet)
	return err
}

// ping asks for a sign of life.
func (l *link) ping() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	l.pings = append(l.pings, time.Now())
	l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(harness.Patience))
	_, _ = l.conn.Write(harness.EncodePing())
}

// errEnded says that the connection was closed.
var errEnded = errors.New("the connection has ended")

// request sends a packet that needs an acknowledgement, and waits for it.
func (l *link) request(encode func(id uint16) []byte) (harness.Packet, error) {
	answer := make(chan harness.Packet, 1)
	id := l.device.nextID()
	l.mu.Lock()
	l.waiting[id] = answer
	l.mu.Unlock()
	if err := l.write(encode(id)); err != nil {
		return harness.Packet{}, errEnded
	}
	return l.await(answer)
}

// await waits for an answer or the end of the connection.
func (l *link) await(answer <-chan harness.Packet) (harness.Packet, error) {
	late := time.NewTimer(harness.Patience)
	defer late.Stop()
	select {
	case p := <-answer:
		return p, nil
	case <-l.done:
		return harness.Packet{}, errEnded
	case <-late.C:
		l.world.faultf("%s: no answer came", l)
		return harness.Packet{}, errEnded
	}
}

// receive holds a message against the model: whoever wrote it might, and this client may have it.
func (l *link) receive(p harness.Packet) {
	now := time.Now()
	w := l.world
	w.saw("message got")
	if p.Retain() {
		w.saw("retained message got")
	}
	author, sent, err := l.readPayload(p)
	if err != nil {
		w.faultf("%s got %.40q on %q: %v", l, p.Payload, p.Topic, err)
		return
	}
	if author.device != nil && strings.HasSuffix(p.Topic, willTopic) {
		w.saw("will got")
	}
	earliest := sent
	for _, later := range []time.Time{l.began, *l.proven.Load()} {
		if later.After(earliest) {
			earliest = later
		}
	}
	if v := l.device.client.judge(l.tokens, span{earliest, now}, receiving(p.Topic)); !v.may {
		w.faultf("%s got a message on %q, written by %s %v ago, that it might not have for %v", l, p.Topic, author, now.Sub(sent), now.Sub(earliest))
	}
	if v := author.device.client.judge(author.tokens, span{sent, now}, publishing(p.Topic)); !v.may {
		w.faultf("%s got a message on %q that %s might not write %v ago", l, p.Topic, author, now.Sub(sent))
	}
	if len(p.Payload) > payloadMost {
		w.faultf("%s got a message of %d bytes", l, len(p.Payload))
	}
	if !l.device.asked(p.Topic) {
		w.faultf("%s got a message on %q and has no subscription for it", l, p.Topic)
	}
}

// payload says who writes a message and when.
func (l *link) payload(size int) string {
	text := fmt.Sprintf("%d %d ", l.number, time.Now().UnixNano())
	return text + strings.Repeat(".", max(0, size-len(text)))
}

func (l *link) readPayload(p harness.Packet) (author *link, sent time.Time, err error) {
	number, rest, _ := strings.Cut(p.Payload, " ")
	moment, _, _ := strings.Cut(rest, " ")
	who, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, sent, err
	}
	nanos, err := strconv.ParseInt(moment, 10, 64)
	if err != nil {
		return nil, sent, err
	}
	found, ok := l.world.links.Load(who)
	if !ok {
		return nil, sent, errors.New("nobody has written that")
	}
	return found.(*link), time.Unix(0, nanos), nil
}

func (l *link) String() string {
	return fmt.Sprintf("%s (MQTT level %d, connection %d, from %s)", l.device.id, l.version, l.number, l.conn.LocalAddr())
}
