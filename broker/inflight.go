package broker

import (
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnQosPublish is called when mochi has put a packet into Inflight; it sends it when this returns.
func (h *hook) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	h.broker.queued(cl, pk, 0)
}

// queued counts and keeps a packet on its way to a session, or drops the message
// that is too much. Its number is the backlog's next one if it has none yet.
func (b *Broker) queued(cl *mqtt.Client, pk packets.Packet, number uint64) {
	if pk.FixedHeader.Type != packets.Publish {
		b.keeper.keep(cl.ID, pk)
		return
	}
	s := b.sessions.find(cl)
	switch {
	case s == nil: // it is over
		b.removeMessage(cl, pk.PacketID)
		return
	case !s.ownedBy(cl):
		b.bequeath(s, cl, pk)
		return
	case pk.FixedHeader.Dup: // it is sent again
		s.backlog.keep(pk.PacketID, contentSize(&pk))
	case !s.backlog.add(pk.PacketID, contentSize(&pk), number):
		b.removeMessage(cl, pk.PacketID)
		atomic.AddInt64(&b.server.Info.InflightDropped, 1)
		return
	}
	if _, there := cl.State.Inflight.Get(pk.PacketID); !there && s.ownedBy(cl) { // it was thrown away before it was counted
		s.backlog.release(pk.PacketID)
		return
	}
	b.keeper.keep(cl.ID, pk)
}

// OnQosComplete is called when a message has arrived, and for the server's own acknowledgements.
func (h *hook) OnQosComplete(cl *mqtt.Client, pk packets.Packet) {
	if !isOwnPuback(pk) {
		h.release(cl, pk.PacketID)
	}
}

// OnQosDropped is called when a message has expired or was given up. mochi also
// gives up, and does not count any more, what it has just copied for the client
// that takes a session over.
func (h *hook) OnQosDropped(cl *mqtt.Client, pk packets.Packet) {
	if cl.IsTakenOver() {
		atomic.AddInt64(&h.broker.server.Info.Inflight, 1)
	}
	h.release(cl, pk.PacketID)
}

func (h *hook) release(cl *mqtt.Client, id uint16) {
	if s := h.broker.sessions.of(cl); s != nil {
		s.backlog.release(id)
	}
}

// isOutbound reports whether a packet in Inflight is about a message to the client.
func isOutbound(pk packets.Packet) bool {
	return pk.FixedHeader.Type == packets.Publish || pk.FixedHeader.Type == packets.Pubrel
}

// isOwnPuback reports whether OnQosComplete is about the server's answer to a QoS 1 message.
func isOwnPuback(pk packets.Packet) bool {
	return pk.FixedHeader.Type == packets.Puback && pk.Created != 0
}

// OnPublishDropped is called when mochi's own queue is full. Which message it
// forgets then it does not say.
func (h *hook) OnPublishDropped(cl *mqtt.Client, _ packets.Packet) {
	h.broker.tooSlow(cl)
	h.broker.upkeep.recount(cl)
}

// tooSlow tells the operator, now and then, that a client reads too slowly.
func (b *Broker) tooSlow(cl *mqtt.Client) {
	b.dropped.Do(func() {
		b.log.Warn("messages are dropped: a client reads too slowly",
			keyRemote, cl.Net.Remote, keyDropped, b.server.Info.Clone().MessagesDropped)
	})
}

// removeMessage takes a message of QoS 1 or 2 out of mochi's Inflight.
func (b *Broker) removeMessage(cl *mqtt.Client, id uint16) {
	if cl.State.Inflight.Delete(id) {
		atomic.AddInt64(&b.server.Info.Inflight, -1)
	}
}

// dropMessage gives a message up.
func (b *Broker) dropMessage(cl *mqtt.Client, id uint16) {
	b.removeMessage(cl, id)
	if s := b.sessions.of(cl); s != nil {
		s.backlog.release(id)
	}
	b.keeper.OnQosDropped(cl, packets.Packet{PacketID: id})
}

// recount gives the messages up that mochi has dropped without saying which.
func (b *Broker) recount(cl *mqtt.Client) {
	s := b.sessions.of(cl)
	if s == nil {
		return
	}
	for _, id := range s.backlog.ids() {
		if _, there := cl.State.Inflight.Get(id); !there {
			b.dropMessage(cl, id)
		}
	}
}
