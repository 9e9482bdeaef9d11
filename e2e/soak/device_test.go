package soak_test

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

const (
	method = "OAUTH2-JWT"
	// beat is the time between two things that a device does.
	beat = 15 * time.Millisecond
	// renewalsMost of one connection are no flood.
	renewalsMost = 8
	// willTopic ends the topics of wills.
	willTopic = "/lost"
	// shortest and longest life of a token that is to expire.
	shortest, longest = 300 * time.Millisecond, 2 * time.Second
)

// A device is one MQTT client ID of a client. It has one connection at a time, or two while it takes itself over.
type device struct {
	world  *world
	client *client
	id     string
	random *rand.Rand
	token  *token

	lastID  uint16 // of a packet; a session that is resumed may hold the earlier ones
	mu      sync.Mutex
	filters []string // guarded by mu: all that it has ever asked for
}

func (d *device) nextID() uint16 {
	d.lastID = max(1, d.lastID+1)
	return d.lastID
}

// live does what devices do until ctx ends.
func (d *device) live(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var earlier *link
	for ctx.Err() == nil {
		<-tick.C
		if !d.refresh(ctx) {
			continue
		}
		l := d.connect(ctx)
		if earlier != nil {
			d.giveUp(earlier, l != nil)
			earlier = nil
		}
		if l == nil {
			if d.random.IntN(2) == 0 {
				d.token = nil // it may have been the token
			}
			continue
		}
		for n := d.random.IntN(60); n > 0 && ctx.Err() == nil && !l.ended(); n-- {
			d.act(ctx, l)
			<-tick.C
		}
		if d.random.IntN(2) == 0 {
			d.linger(ctx, l)
		}
		if !l.ended() && d.random.IntN(4) == 0 {
			earlier = l // and is taken over by the next one
			l.forgiven.Store(true)
			d.world.saw("device takes itself over")
			continue
		}
		d.part(l)
	}
	if earlier != nil {
		d.part(earlier)
	}
}

// giveUp ends a connection that another has taken the place of, if that was accepted: then the server has to close it.
func (d *device) giveUp(l *link, takenOver bool) {
	if takenOver && l.pause == 0 {
		select {
		case <-l.done:
		case <-time.After(harness.Patience):
			d.world.faultf("%s was taken over and is still there", l)
		}
	}
	d.part(l)
}

// linger stays connected until the token has expired, if that is soon.
func (d *device) linger(ctx context.Context, l *link) {
	left := time.Until(l.tokens.last().expires) + leeway
	if left > longest+leeway {
		return
	}
	late := time.NewTimer(left + harness.Patience)
	defer late.Stop()
	select {
	case <-l.done:
	case <-ctx.Done():
	case <-late.C:
		d.world.faultf("%s outlives its token", l)
	}
}

// refresh sees to it that the device has a token, which need not be good.
func (d *device) refresh(ctx context.Context) bool {
	if d.token != nil && d.random.IntN(3) > 0 && time.Now().Before(d.token.expires.Add(-shortest)) {
		return true
	}
	t := d.world.fetch(ctx, d.client)
	if t == nil {
		return d.token != nil && ctx.Err() == nil
	}
	if d.random.IntN(2) == 0 {
		t = d.world.shorten(d.client, t, shortest+time.Duration(d.random.Int64N(int64(longest-shortest))))
	}
	d.token = t
	return true
}

// connect opens a connection that the device reads from.
func (d *device) connect(ctx context.Context) *link {
	l := d.connectWith(ctx, d.hello)
	if l == nil {
		return nil
	}
	if d.random.IntN(8) == 0 {
		d.world.saw("slow reader")
		l.pause = 20 * time.Millisecond
		l.forgiven.Store(true)
	}
	go l.read()
	return l
}

// connectWith opens a connection and judges the answer; nil if it is refused.
func (d *device) connectWith(ctx context.Context, hello func(*link) harness.Hello) *link {
	w := d.world
	webSocket := d.random.IntN(3) == 0
	conn, err := w.dial(ctx, webSocket)
	if err != nil {
		w.faultf("%s cannot connect: %v", d.id, err)
		return nil
	}
	l := &link{
		world: w, device: d, number: w.lastLink.Add(1), version: harness.Versions[d.random.IntN(2)], conn: conn,
		tokens: holding(d.token), began: time.Now(), done: make(chan struct{}), hurry: make(chan struct{}), waiting: map[uint16]chan harness.Packet{},
		renewed: make(chan harness.Packet, 16),
	}
	l.proven.Store(&l.began)
	w.links.Store(l.number, l)
	h := hello(l)
	in, ack, err := greet(conn, l.version, h)
	if !d.judgeConnack(l, h, ack, err) {
		_ = conn.Close()
		return nil
	}
	l.in = in
	w.saw(map[byte]string{4: "connection of MQTT 3.1.1", 5: "connection of MQTT 5"}[l.version])
	if webSocket {
		w.saw("connection over WebSocket")
	}
	if ack.Present() {
		w.saw("session resumed")
	}
	return l
}

// judgeConnack reports whether a CONNECT was accepted, which must be as it should.
func (d *device) judgeConnack(l *link, h harness.Hello, ack harness.Packet, err error) bool {
	w, moment := d.world, span{l.began, time.Now()}
	needed := connecting
	if h.Will != nil {
		needed = publishing(h.Will.Topic)
	}
	v := d.client.judge(l.tokens, moment, needed)
	switch {
	case err != nil:
		w.saw("CONNECT without an answer")
		if !v.mayNot && !d.client.disturbedIn(moment) {
			w.faultf("%s got no answer to its CONNECT: %v", l, err)
		}
	case ack.Kind != harness.TypeConnack:
		w.faultf("%s got a packet of type %d for its CONNECT", l, ack.Kind)
	case ack.Code() != 0:
		w.saw("CONNECT refused")
		if !v.mayNot {
			w.faultf("%s was refused with 0x%02x", l, ack.Code())
		}
	default:
		w.saw("CONNECT accepted")
		if !v.may {
			w.faultf("%s was let in", l)
		}
		return true
	}
	return false
}

// hello makes the CONNECT of a link.
func (d *device) hello(l *link) harness.Hello {
	h := harness.Hello{ID: d.id, Keep: d.random.IntN(2) == 0}
	if l.version == 5 && d.random.IntN(2) == 0 {
		h.Method, h.Data, l.method = method, d.token.text, true
	} else {
		h.Password = d.token.text
	}
	if d.random.IntN(2) == 0 {
		h.Will = &harness.Message{Topic: d.own() + willTopic, Payload: l.payload(0), QoS: byte(d.random.IntN(3)), Retain: d.random.IntN(4) == 0}
	}
	return h
}

// own is where the device writes: usually what its role lets it, as far as it knows.
func (d *device) own() string {
	may := d.client.role.held.last().of(d.client.id).pub
	if d.random.IntN(6) > 0 && len(may) > 0 {
		return strings.TrimSuffix(may[d.random.IntN(len(may))], "/#")
	}
	return "plant/" + areas[d.random.IntN(len(areas))] + "/" + d.client.id
}

// part ends a connection in one of the ways of devices.
func (d *device) part(l *link) {
	ended := l.ended()
	close(l.hurry)
	switch {
	case ended:
	case d.random.IntN(2) == 0:
		_ = l.write(harness.EncodeDisconnect())
	case l.number%2 == 0:
		if tcp, ok := l.conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = l.conn.Close()
	default:
		_ = l.conn.Close()
	}
	select {
	case <-l.done:
	case <-time.After(harness.Patience):
		d.world.faultf("%s: the server does not close the connection", l)
	}
	_ = l.conn.Close()
	if ended {
		d.judgeEnd(l)
	}
}

func (l *link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// judgeEnd wants a reason for a connection that the server has closed.
func (d *device) judgeEnd(l *link) {
	w := d.world
	lifetime := span{l.began, time.Now()}
	v := d.client.judge(l.tokens, lifetime, connecting)
	switch code := l.code.Load(); {
	case code == 0xa0:
		w.saw("told: token expired")
	case code == 0x98:
		w.saw("told: administrative action")
	case code == 0x8e:
		w.saw("told: taken over")
	case code == 0x87:
		w.saw("told: not authorized")
	case code == 0 && l.version == 5 && !l.forgiven.Load():
		w.saw("closed without a word")
	case code == 0:
	default:
		w.faultf("%s was told 0x%02x", l, code)
	}
	if !v.mayNot && !d.client.disturbedIn(lifetime) && !l.forgiven.Load() {
		w.faultf("%s was closed with 0x%02x and had given no reason", l, l.code.Load())
	}
}

// disturbedIn says whether an operator has closed sessions of the client within a span.
func (c *client) disturbedIn(s span) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.disturbed, func(other span) bool { _, both := s.overlap(other); return both })
}
