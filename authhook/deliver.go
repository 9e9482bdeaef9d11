package authhook

import (
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// mayReceive reports whether a message on this topic may be given to the session now or, while it is offline, be kept for it.
func (s *session) mayReceive(topic string) bool {
	flags := s.flags.Load()
	switch {
	case flags&(revoked|dropped) != 0:
		return false
	case flags&restored != 0:
		s.reloadGrants()
	case flags&offline != 0: // whether the token is still valid is the next CONNECT's affair
	case flags&ended != 0:
		return false
	case s.expired():
		s.expireSoon()
		return false
	}
	return s.grants.Load().Deliver(topic)
}

// OnPacketEncode has the last word on what is written to a client. It withholds messages that the session may not have: what was
// queued or permitted earlier, what is sent again, what another hook permitted.
func (h *Hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		s := h.session(cl)
		if s == nil || !s.mayReceive(pk.TopicName) {
			return h.withhold(cl, s, pk)
		}
		return s.setAlias(pk)
	case packets.Puback, packets.Pubrec:
		if s := h.session(cl); s != nil {
			return s.answerRefused(pk)
		}
	case packets.Connack:
		if s := h.session(cl); s != nil && pk.ReasonCode == packets.CodeSuccess.Code {
			return h.completeConnack(s, pk)
		}
	}
	return pk
}

// withhold returns what makes mochi write nothing, and gives back what the message held of the client's quota.
func (h *Hook) withhold(cl *mqtt.Client, s *session, pk packets.Packet) packets.Packet {
	if s != nil {
		h.reportWithheld(s, pk.TopicName)
	}
	if pk.FixedHeader.Qos > 0 {
		h.dropQueued(cl, func(queued packets.Packet) bool { return queued.PacketID == pk.PacketID })
		cl.State.Inflight.IncreaseSendQuota()
	}
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Reserved}}
}

// dropQueued takes out of a client's queue the messages for which drop is true and returns how many there were. Stores hear of it in
// OnQosDropped: mochi is made to believe that they have expired, which is its only way to drop single messages.
func (h *Hook) dropQueued(cl *mqtt.Client, drop func(packets.Packet) bool) int {
	dropped := 0
	for _, queued := range cl.State.Inflight.GetAll(false) {
		if queued.FixedHeader.Type != packets.Publish || !drop(queued) {
			continue
		}
		queued.ProtocolVersion, queued.Expiry, queued.Payload = 5, 1, nil
		if cl.State.Inflight.Set(queued) { // it had just been acknowledged
			atomic.AddInt64(&h.server.Info.Inflight, 1)
		}
		dropped++
	}
	if dropped > 0 {
		cl.ClearExpiredInflights(time.Now().Unix(), 0)
	}
	return dropped
}

// setAlias gives a message to an MQTT 5.0 client a topic alias, if the client takes them.
func (s *session) setAlias(pk packets.Packet) packets.Packet {
	if s.outbound.limit == 0 {
		return pk
	}
	s.mu.Lock()
	alias, known := s.outbound.use(pk.TopicName)
	s.mu.Unlock()
	if alias > 0 {
		pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = alias, true
		if known {
			pk.TopicName = ""
		}
	}
	return pk
}

// OnPacketSent learns that a client was greeted, and which topic aliases it knows.
func (h *Hook) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	switch {
	case pk.FixedHeader.Type == packets.Connack:
		if s := h.session(cl); s != nil {
			s.greet()
		}
	case pk.FixedHeader.Type == packets.Publish && pk.Properties.TopicAliasFlag && pk.TopicName != "":
		if s := h.session(cl); s != nil {
			s.mu.Lock()
			s.outbound.sent(pk.Properties.TopicAlias)
			s.mu.Unlock()
		}
	}
}

// completeConnack opens the session to everybody else, and says in a CONNACK what only the hook knows: how many topic aliases a
// client may set (MQTT 5.0 §3.2.2.3.8), by which method it was authenticated (§3.2.2.3.17), and that a session that was thrown away
// is not present.
func (h *Hook) completeConnack(s *session, pk packets.Packet) packets.Packet {
	s.raise(established)
	if s.is(fresh) {
		pk.SessionPresent = false
	}
	if s.protocol == 5 {
		pk.Properties.TopicAliasMaximum = uint16(h.aliasLimit())
		pk.Properties.AuthenticationMethod = s.method
	}
	return pk
}
