package broker

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

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
		p.discardOutbox()
		b.inherit(p.session) // if it was not established
		if !p.ended.Load() {
			b.settleSession(p, cl)
		}
		if endsWithConnection(cl) {
			b.sessions.end(cl)
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
	b.sessions.end(cl)
}
