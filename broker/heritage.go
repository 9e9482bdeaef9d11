package broker

import (
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// heritage is what reaches a session by way of a client that has it no more.
// When a client returns, mochi copies the old one's Inflight and then clears it:
// what is published to the old one after that would be lost.
type heritage struct {
	owner atomic.Pointer[mqtt.Client] // who has the session; nil when it is over

	mu       sync.Mutex
	messages []bequest
	passing  bool // mochi is copying
}

// bequest is a message with its number among the session's.
type bequest struct {
	packet packets.Packet
	number uint64
}

// pass makes a client the owner of the session. mochi copies its state afterwards.
func (h *heritage) pass(to *mqtt.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.passing = true
	h.owner.Store(to)
}

// bequeath gives the session a message that mochi has given a former owner.
func (b *Broker) bequeath(s *session, from *mqtt.Client, pk packets.Packet) {
	b.removeMessage(from, pk.PacketID)
	s.heritage.mu.Lock()
	defer s.heritage.mu.Unlock()
	s.heritage.messages = append(s.heritage.messages, bequest{pk, s.backlog.next()})
	if !s.heritage.passing {
		b.inheritLocked(s)
	}
}

// inherit gives the owner what was bequeathed, now that mochi has copied the rest.
func (b *Broker) inherit(s *session) {
	s.heritage.mu.Lock()
	defer s.heritage.mu.Unlock()
	s.heritage.passing = false
	b.inheritLocked(s)
}

func (b *Broker) inheritLocked(s *session) {
	for _, m := range s.heritage.messages {
		owner := s.heritage.owner.Load()
		if owner == nil {
			break
		}
		if copied, there := owner.State.Inflight.Get(m.packet.PacketID); there && sameMessage(copied, m.packet) {
			s.backlog.renumber(m.packet.PacketID, m.number) // it was in time
			continue
		}
		b.enqueue(owner, m)
	}
	s.heritage.messages = nil
}

// sameMessage reports whether two packets are one delivery: mochi copies the payload for each.
func sameMessage(a, b packets.Packet) bool {
	if a.TopicName != b.TopicName || a.Created != b.Created || len(a.Payload) != len(b.Payload) {
		return false
	}
	return len(a.Payload) == 0 || &a.Payload[0] == &b.Payload[0]
}

// enqueue does for one message what mochi does when it publishes to a client.
func (b *Broker) enqueue(cl *mqtt.Client, m bequest) {
	id, err := cl.NextPacketID()
	if err != nil || cl.State.Inflight.Len() >= int(b.limits.MaxInflight) {
		atomic.AddInt64(&b.server.Info.InflightDropped, 1)
		return
	}
	m.packet.PacketID = uint16(id)
	if cl.State.Inflight.Set(m.packet) {
		atomic.AddInt64(&b.server.Info.Inflight, 1)
	}
	b.queued(cl, m.packet, m.number)
	if p := b.peers.of(cl); p != nil {
		p.window.hold(m.packet.PacketID)
		p.relay()
	}
}
