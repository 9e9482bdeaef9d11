package broker

import (
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// outbox writes what had to wait: messages of QoS 0 that wait for the socket, and
// those of QoS 1 and 2 that wait for it or for the window. mochi's write loop
// itself never waits, so its queue, which counts no bytes, is always short.
//
// A message is judged by the attached hooks when it is written, not when it
// begins to wait.
type outbox struct {
	mu      sync.Mutex
	loose   []packets.Packet // of QoS 0, the oldest first
	working chan struct{}    // closed when the goroutine that writes them ends; nil if there is none
	more    bool             // it shall look again before it ends
	closed  bool
}

// ownWrite marks a PUBLISH that the outbox writes. The field has a meaning in a
// CONNACK only (MQTT 5 §3.2.2.1.1) and is not encoded elsewhere.
func ownWrite(pk packets.Packet) packets.Packet {
	pk.SessionPresent = true
	return pk
}

// isOwnWrite reports whether the outbox writes the PUBLISH.
func isOwnWrite(pk packets.Packet) bool { return pk.SessionPresent }

// intake is the hook that sees a message before the attached ones, when mochi's
// write loop has taken it from its queue.
type intake struct {
	mqtt.HookBase
	broker *Broker
}

// ID names the hook in mochi's log.
func (i *intake) ID() string { return "boomgate-intake" }

// Provides lists the events that the hook wants.
func (i *intake) Provides(event byte) bool { return event == mqtt.OnPacketEncode }

// OnPacketEncode takes a message out of the way that cannot be written now.
func (i *intake) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type != packets.Publish || isOwnWrite(pk) {
		return pk
	}
	p := i.broker.peers.of(cl)
	if p == nil {
		return pk
	}
	if pk.FixedHeader.Retain {
		p.replay.left(contentSize(&pk))
	}
	switch {
	case pk.FixedHeader.Qos == 0:
		if p.detain(pk) {
			return suppress(pk)
		}
	case p.established.Load() && !p.session.backlog.has(pk.PacketID): // dropped, expired or acknowledged meanwhile
		return suppress(pk)
	}
	return pk
}

// detain puts a message of QoS 0 into the outbox, if it cannot be written at
// once; it is dropped if there is no room for it.
func (p *peer) detain(pk packets.Packet) bool {
	b, o := p.broker, &p.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.loose) == 0 && p.established.Load() && p.conn.roomy() {
		return false
	}
	if o.closed || len(o.loose) >= int(b.limits.MaxQueued) || !p.session.backlog.hold(contentSize(&pk)) {
		atomic.AddInt64(&b.server.Info.MessagesDropped, 1)
		b.tooSlow(p.client)
		return true
	}
	o.loose = append(o.loose, pk)
	p.relayLocked()
	return true
}

// relay starts the goroutine that writes what waits, if none is at work.
func (p *peer) relay() {
	p.outbox.mu.Lock()
	defer p.outbox.mu.Unlock()
	p.relayLocked()
}

func (p *peer) relayLocked() {
	o := &p.outbox
	switch {
	case o.closed:
	case o.working != nil:
		o.more = true
	default:
		o.working = make(chan struct{})
		go p.relayAll(o.working)
	}
}

// goOn writes what an acknowledgement has made room for in the window.
func (p *peer) goOn() {
	if p.window.waits() {
		p.relay()
	}
}

// relayAll writes until nothing waits that may be written.
func (p *peer) relayAll(done chan struct{}) {
	defer close(done)
	defer func() {
		if cause := recover(); cause != nil {
			p.broker.reportPanic(p, cause)
			p.conn.abort()
		}
	}()
	for {
		for p.established.Load() && !p.client.Closed() && p.relayNext() {
		}
		p.outbox.mu.Lock()
		if !p.outbox.more || p.outbox.closed {
			p.outbox.working = nil
			p.outbox.mu.Unlock()
			return
		}
		p.outbox.more = false
		p.outbox.mu.Unlock()
	}
}

// relayNext writes the next message of each kind, and reports whether there was one.
func (p *peer) relayNext() bool {
	p.conn.room()
	held := p.relayHeld()
	return p.relayLoose() || held
}

// relayHeld writes the next message that waits in the window, if the window allows.
func (p *peer) relayHeld() bool {
	id, old, ok := p.window.next()
	if !ok {
		return false
	}
	defer p.window.passed()
	pk, ok := p.client.State.Inflight.Get(id)
	if !ok || !isOutbound(pk) { // acknowledged, expired or dropped meanwhile
		p.window.release(id)
		return true
	}
	if pk.FixedHeader.Type == packets.Publish { // MQTT 5 §3.3.1.1
		pk = ownWrite(pk)
		pk.FixedHeader.Dup = old && pk.Created <= p.lastSeen
	}
	if p.client.WritePacket(pk) != nil { // withheld, or the connection is closed
		p.window.release(id)
	}
	return true
}

// relayLoose writes the oldest message of QoS 0. It stays where it is until it is written, so that none overtakes it.
func (p *peer) relayLoose() bool {
	o := &p.outbox
	o.mu.Lock()
	if len(o.loose) == 0 {
		o.mu.Unlock()
		return false
	}
	pk := o.loose[0]
	o.mu.Unlock()

	_ = p.client.WritePacket(ownWrite(pk)) // withheld, or the connection is closed
	p.session.backlog.let(contentSize(&pk))

	o.mu.Lock()
	defer o.mu.Unlock()
	o.loose[0] = packets.Packet{}
	if o.loose = o.loose[1:]; len(o.loose) == 0 {
		o.loose = nil
	}
	return true
}

// discardOutbox forgets what waits for the socket of a closed connection, and waits for the goroutine that wrote it.
func (p *peer) discardOutbox() {
	o := &p.outbox
	o.mu.Lock()
	o.closed = true
	working := o.working
	o.mu.Unlock()
	if working != nil {
		<-working
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.loose {
		p.session.backlog.let(contentSize(&o.loose[i]))
	}
	o.loose = nil
}
