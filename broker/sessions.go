package broker

import (
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// live knows which connection holds a client ID. mochi's own table can lose a
// client that reconnects while its old connection is being cleaned up.
type live struct {
	mu   sync.Mutex
	byID map[string]*peer
}

func newLive() *live { return &live{byID: map[string]*peer{}} }

// takeOver makes p the holder of the client ID (MQTT 5 §3.1.4). A connection
// that held it is ended, and takeOver returns when everything of it is cleaned
// up, or when p itself is closed, which its connect deadline bounds.
func (l *live) takeOver(id string, p *peer) {
	l.mu.Lock()
	old := l.byID[id]
	l.byID[id] = p
	l.mu.Unlock()
	if old == nil {
		return
	}
	old.kick(packets.ErrSessionTakenOver)
	select {
	case <-old.done:
	case <-p.conn.closed:
	}
}

// holder is the connection that holds the client ID, or nil.
func (l *live) holder(id string) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

func (l *live) remove(id string, p *peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[id] == p {
		delete(l.byID, id)
	}
}

// endsWithConnection reports whether the session ends when its connection does
// (MQTT 5 §3.1.2.11.2, MQTT 3.1.1 §3.1.2.4).
func endsWithConnection(cl *mqtt.Client) bool {
	if cl.Properties.ProtocolVersion == 5 {
		return cl.Properties.Props.SessionExpiryInterval == 0
	}
	return cl.Properties.Clean
}

// settle cleans up after a connection that mochi has let go. Usually there is
// nothing left to do; but mochi returns early if CONNACK cannot be written, and
// not at all in order if a packet made it panic.
func (b *Broker) settle(p *peer) {
	if cl := p.client; cl != nil && p.begun.Load() {
		if !p.ended.Load() {
			b.settleSession(p, cl)
		}
		b.live.remove(cl.ID, p)
	}
	b.peers.forget(p)
	close(p.done)
}

func (b *Broker) settleSession(p *peer, cl *mqtt.Client) {
	if p.established.Load() {
		b.sendWill(cl)
	}
	ends := endsWithConnection(cl)
	for _, h := range b.allHooks() {
		if h.Provides(mqtt.OnDisconnect) {
			h.OnDisconnect(cl, errConnectionBroke, ends)
		}
	}
	if current, ok := b.server.Clients.Get(cl.ID); ok && current == cl && ends {
		b.dropSession(cl)
		b.server.Clients.Delete(cl.ID)
	}
}

// sendWill publishes the client's will, if it has one that was not sent or
// withdrawn. mochi does so when a second CONNECT arrives, and offers no other way.
func (b *Broker) sendWill(cl *mqtt.Client) {
	_ = b.server.InjectPacket(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}})
}

// expire ends a session whose time is over; mochi then takes its ID out of the
// table, which may meanwhile be another connection's: upkeep mends that.
func (b *Broker) expire(cl *mqtt.Client) {
	if holder := b.live.holder(cl.ID); holder != nil && holder.client != cl {
		b.upkeep.mend(holder)
	}
	b.dropSession(cl)
}

// dropSession removes what a session holds: subscriptions and queued messages.
func (b *Broker) dropSession(cl *mqtt.Client) {
	b.server.UnsubscribeClient(cl)
	cl.ClearInflights()
}
