package authhook

import (
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// mayHave reports whether the session has a right to messages on this topic, now or when it comes back.
func (s *session) mayHave(topic string) bool {
	return !s.is(revoked|dropped) && s.delivered.mayHave(s.current(), topic)
}

// reachable reports whether anything may be written to the client at this moment.
func (s *session) reachable() bool {
	if s.is(ended | offline) {
		return false
	}
	if s.expired() {
		s.expireSoon()
		return false
	}
	return true
}

// OnPacketEncode has the last word on what is written to a client. A client that is being closed gets nothing more, and keeps what
// is queued for it. A message that the session has no right to is withheld: it was queued or permitted earlier, is sent again, or
// another hook permitted it.
func (h *Hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	s := h.session(cl)
	switch {
	case pk.FixedHeader.Type == packets.Publish && s == nil:
		return nothing()
	case s == nil:
		return pk
	case s.is(ended):
		return h.withholdAll(s, pk)
	}
	switch pk.FixedHeader.Type {
	case packets.Unsuback:
		if pk.PacketID == 0 {
			return nothing() // the answer to what narrow has injected: no client may use that packet identifier
		}
	case packets.Publish:
		switch {
		case !s.reachable() || s.is(revoked|dropped): // its queue is dealt with as a whole
			return nothing()
		case !s.mayHave(pk.TopicName):
			return h.withhold(s, pk)
		}
		if s.outbound.limit > 0 {
			return s.setAlias(pk)
		}
		return pk
	case packets.Puback, packets.Pubrec:
		return s.answerRefused(pk)
	case packets.Connack:
		if pk.ReasonCode == packets.CodeSuccess.Code {
			return h.completeConnack(s, pk)
		}
	}
	return pk
}

// nothing returns what makes mochi write nothing.
func nothing() packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Reserved}}
}

// withholdAll keeps every packet from a client that is being closed. If that was thrown away before it had its CONNACK, nobody has yet
// thrown away what it has inherited.
func (h *Hook) withholdAll(s *session, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack && s.is(dropped) {
		h.clearState(s.client)
	}
	return nothing()
}

// withhold keeps a message from a client and takes it out of its queue.
func (h *Hook) withhold(s *session, pk packets.Packet) packets.Packet {
	h.reportWithheld(s, pk.TopicName)
	if pk.FixedHeader.Qos > 0 {
		h.dropQueued(s.client, func(queued packets.Packet) bool { return queued.PacketID == pk.PacketID })
		s.client.State.Inflight.IncreaseSendQuota()
	}
	return nothing()
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

// roomForAdvice is the Maximum Packet Size from which a CONNACK is sure to have room for a user property, in bytes.
const roomForAdvice = 512

// completeConnack opens the session to everybody else, and says in a CONNACK what only the hook knows: how many topic aliases a
// client may set (MQTT 5.0 §3.2.2.3.8), by which method it was authenticated (§3.2.2.3.17), when it should renew its token, and that
// a session that was thrown away is not present.
func (h *Hook) completeConnack(s *session, pk packets.Packet) packets.Packet {
	s.raise(established)
	switch { // what happened while others could not see what the session has inherited
	case s.is(dropped):
		h.clearState(s.client)
	case s.current() != s.judged.Load():
		h.prune(s, Event{Kind: KindRejudge, Rule: RuleNarrowed})
	}
	if s.is(fresh) {
		pk.SessionPresent = false
	}
	if s.protocol == 5 {
		pk.Properties.TopicAliasMaximum = uint16(h.aliasLimit())
		pk.Properties.AuthenticationMethod = s.method
		if most := s.client.Properties.Props.MaximumPacketSize; most == 0 || most >= roomForAdvice { // [MQTT-3.2.2-20]
			pk.Properties.User = append(pk.Properties.User, s.renewAfter())
		}
	}
	return pk
}
