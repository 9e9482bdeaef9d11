package broker

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnPacketEncode has the last word on a packet. It runs before mochi takes the
// client's lock, so this is where packets may wait; messages wait in the outbox.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	p := h.broker.peers.of(cl)
	if p == nil {
		return pk
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return h.encodePublish(p, pk)
	case packets.Reserved: // withheld by the intake or an attached hook
		if !p.established.Load() {
			return p.swallow(pk)
		}
		return pk
	default:
		p.conn.room()
		return h.encodeControl(p, pk)
	}
}

// encodeControl mends what mochi gets wrong in packets that are no messages.
func (h *hook) encodeControl(p *peer, pk packets.Packet) packets.Packet {
	five := p.client.Properties.ProtocolVersion == 5
	switch pk.FixedHeader.Type {
	case packets.Connack:
		if !five {
			return connack3(pk)
		}
		pk.Properties.MaximumPacketSize = h.broker.limits.MaxPacketSize // mochi holds it but does not tell
	case packets.Puback, packets.Pubrec:
		return p.encodeAck(pk)
	case packets.Pubrel:
		if !p.window.isOpen() {
			return p.swallow(pk)
		}
	case packets.Pubcomp:
		if !p.established.Load() { // left over from an earlier connection: not resent (MQTT 5 §4.4)
			return p.swallow(pk)
		}
		pk.PacketID = p.session.inbound.back(pk.PacketID)
	case packets.Suback, packets.Unsuback:
		if pk.PacketID == 0 { // the server itself has ended a subscription
			return suppress(pk)
		}
		pk.PacketID = p.session.inbound.back(pk.PacketID)
	case packets.Disconnect:
		if !five { // 3.1.1 has none from the server
			return suppress(pk)
		}
	}
	return pk
}

// connack3 gives a refusal one of the five return codes of MQTT 3.1.1 (§3.2.2.3); mochi would send most reason codes of MQTT 5 as
// they are. For a protocol error there is none, and the connection is closed without a word ([MQTT-3.1.4-1]).
func connack3(pk packets.Packet) packets.Packet {
	switch pk.ReasonCode {
	case packets.ErrClientIdentifierNotValid.Code, packets.ErrUnspecifiedError.Code: // the latter is mochi's for an empty one ([MQTT-3.1.3-8])
		pk.ReasonCode = packets.Err3ClientIdentifierNotValid.Code
	case packets.ErrNotAuthorized.Code:
		pk.ReasonCode = packets.Err3NotAuthorized.Code
	case packets.ErrServerBusy.Code, packets.ErrQuotaExceeded.Code:
		pk.ReasonCode = packets.Err3ServerUnavailable.Code
	}
	if pk.ReasonCode > packets.Err3NotAuthorized.Code {
		return suppress(pk)
	}
	return pk
}

// OnPacketSent notes what the client knows now.
func (h *hook) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type != packets.Publish || !pk.Properties.TopicAliasFlag {
		return
	}
	if p := h.broker.peers.of(cl); p != nil {
		p.aliases.written(pk)
	}
}

func (h *hook) encodePublish(p *peer, pk packets.Packet) packets.Packet {
	pk.Mods.DisallowProblemInfo = false // a message's own user properties are no problem information (MQTT 5 §3.1.2.11.7)
	own := isOwnWrite(pk)
	if pk.FixedHeader.Qos > 0 {
		if !own {
			switch p.window.admit(pk.PacketID, p.conn.roomy()) {
			case standIn:
				return p.swallow(pk)
			case holdOver:
				p.relay()
				return suppress(pk)
			case holdBack:
				return suppress(pk)
			case writeNow:
			}
		}
		if tooLarge(pk) {
			return h.discard(p, pk)
		}
	}
	if !own { // aliases are the write loop's
		p.aliases.apply(&pk)
	}
	return pk
}

// discard completes the delivery of a message that the client does not take (MQTT 5 §3.1.2.11.4).
func (h *hook) discard(p *peer, pk packets.Packet) packets.Packet {
	p.window.release(pk.PacketID)
	h.broker.dropMessage(p.client, pk.PacketID)
	return suppress(pk)
}

// encodeAck holds the answer to a PUBLISH until OnPublished, and mends an
// answer that mochi gets wrong.
func (p *peer) encodeAck(pk packets.Packet) packets.Packet {
	if !p.established.Load() { // left over from an earlier connection: not resent (MQTT 5 §4.4)
		return p.swallow(pk)
	}
	if p.inbound.active {
		p.inbound.active = false
		if pk.ReasonCode < packets.ErrUnspecifiedError.Code {
			p.inbound.deferred, p.inbound.ack = true, pk
			return p.swallow(pk)
		}
		if pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code && p.inbound.again {
			// The client repeats a QoS 2 message because our PUBREC was lost (MQTT 5 §4.3.3).
			pk.ReasonCode, pk.Properties.ReasonString = packets.CodeSuccess.Code, ""
		}
	}
	pk.PacketID = p.session.inbound.back(pk.PacketID)
	return pk
}

// swallow puts a packet that is never written in pk's place; see conn.swallow.
func (p *peer) swallow(pk packets.Packet) packets.Packet {
	p.conn.swallow()
	return packets.Packet{ProtocolVersion: pk.ProtocolVersion, FixedHeader: packets.FixedHeader{Type: packets.Pingresp}}
}

// suppress makes mochi's WritePacket refuse the packet, where that does no harm.
func suppress(pk packets.Packet) packets.Packet {
	pk.FixedHeader.Type = packets.Reserved
	return pk
}
