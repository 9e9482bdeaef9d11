package broker

import (
	"errors"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// maxKeepalive is the longest keep-alive, in seconds, whose one and a half
// times fits mochi's 16-bit arithmetic.
const maxKeepalive = 43_690

// hook sees every packet of every connection. It comes after the attached
// hooks, so that it sees their verdicts.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

// ID names the hook in mochi's log.
func (h *hook) ID() string { return "boomgate-broker" }

// Provides lists the events that the hook wants.
func (h *hook) Provides(event byte) bool {
	switch event {
	case mqtt.OnConnect, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished, mqtt.OnDisconnect,
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPacketSent, mqtt.OnPacketProcessed,
		mqtt.OnPublished, mqtt.OnRetainPublished, mqtt.OnPublishDropped, mqtt.OnClientExpired,
		mqtt.OnQosPublish, mqtt.OnQosComplete, mqtt.OnQosDropped:
		return true
	default:
		return false
	}
}

// OnConnect takes over what mochi would do wrong for this client.
func (h *hook) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	p := h.broker.peers.of(cl)
	if p == nil {
		return errNotConnect
	}
	if p.emptyWill {
		cl.Properties.Will.Payload = nil
	}
	if cl.State.Keepalive > maxKeepalive { // would overflow; the TCP keep-alive finds dead peers as well
		cl.State.Keepalive = 0
	}
	props := &cl.Properties.Props
	cl.Properties.Will.WillDelayInterval = willDelay(cl.Properties.Will.WillDelayInterval, props.SessionExpiryInterval)
	if limit := int(props.ReceiveMaximum); limit > 0 && limit < int(h.broker.limits.MaxInflight) {
		p.window.size = limit
	}
	props.ReceiveMaximum = 0 // switches mochi's outbound flow control off
	cl.State.Inflight.ResetSendQuota(0)
	p.aliases.max = min(props.TopicAliasMaximum, maxAliases)
	props.TopicAliasMaximum = 0
	return nil
}

// willDelay is how long a will waits, in seconds: no longer than its session lives
// (MQTT 5 §3.1.3.2.2). mochi retains no will of a session that is gone, and looks
// once a second after both.
func willDelay(delay, sessionExpiry uint32) uint32 {
	if delay < sessionExpiry {
		return delay
	}
	return max(sessionExpiry, 1) - 1
}

// OnSessionEstablish ends the connection that has this client ID now, and begins
// a session or goes on with the one that mochi is about to pass on.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	b := h.broker
	p := b.peers.of(cl)
	p.begun.Store(true)
	b.live.takeOver(cl.ID, p)
	existing, ok := b.server.Clients.Get(cl.ID)
	if ok {
		p.lastSeen = existing.StopTime()
	}
	switch {
	case !ok:
		p.session = b.sessions.begin(cl)
	case pk.Connect.Clean || existing.Properties.Clean && existing.Properties.ProtocolVersion < 5: // as mochi decides
		p.session = b.sessions.begin(cl)
		b.sessions.end(existing)
	default:
		p.session = b.sessions.pass(existing, cl)
		b.upkeep.forget(existing)
	}
}

// OnSessionEstablished opens the flow, with what the session has unacknowledged first.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	p := h.broker.peers.of(cl)
	p.will = cl.Properties.Will
	p.late.Stop()
	p.ticket.answered()
	h.broker.inherit(p.session)
	h.broker.recount(cl)
	p.window.reopen(func() []packets.Packet { return p.session.backlog.inOrder(cl.State.Inflight.GetAll(false)) })
	p.established.Store(true)
	p.relay()
}

// OnDisconnect notes that mochi has ended the session's connection in order. A
// client that is closed while one of its packets is being processed looks to
// mochi as if it had said DISCONNECT: its will is sent here.
func (h *hook) OnDisconnect(cl *mqtt.Client, err error, _ bool) {
	p := h.broker.peers.of(cl)
	if p == nil {
		return
	}
	p.ended.Store(true)
	h.broker.recount(cl)
	if cause := cl.StopCause(); err == nil && cause != nil && !errors.Is(cause, packets.CodeDisconnect) {
		cl.Properties.Will = p.will
		h.broker.sendWill(cl)
	}
}

// OnPacketRead sees a client's packet before mochi acts on it.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := h.broker.peers.of(cl)
	if p == nil { // only CONNECT comes before the binding, see framing
		if c, ok := cl.Net.Conn.(*conn); ok {
			h.broker.peers.bind(cl, c.peer)
			if pk.Connect.WillFlag && len(pk.Connect.WillPayload) == 0 { // legal (MQTT 5 §3.1.3.4), but mochi takes it for none
				c.peer.emptyWill = true
				pk.Connect.WillPayload = []byte{0}
			}
		}
		return pk, nil
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		p.inbound.active = pk.FixedHeader.Qos > 0
		p.inbound.again = pk.FixedHeader.Dup
		pk.PacketID = p.session.inbound.enter(pk.PacketID, cl, &p.session.backlog)
	case packets.Subscribe, packets.Unsubscribe:
		pk.PacketID = p.session.inbound.enter(pk.PacketID, cl, &p.session.backlog)
	case packets.Pingreq:
		p.replay.answered(p.conn.closed)
	case packets.Pubrel:
		pk.PacketID = p.session.inbound.of(pk.PacketID)
	case packets.Puback:
		p.window.release(pk.PacketID)
	case packets.Pubrec:
		if pk.ReasonCode >= packets.ErrUnspecifiedError.Code || !pk.ReasonCodeValid() { // ends the flow, MQTT 5 §4.3.3
			p.window.release(pk.PacketID)
		}
	case packets.Pubcomp:
		p.window.release(pk.PacketID)
		cl.State.Inflight.DecreaseReceiveQuota() // mochi raises it, though it is the other direction's
	case packets.Disconnect:
		pk.ReasonCode = max(pk.ReasonCode, p.conn.frames.parting)
		longest := uint32(h.broker.limits.MaxSessionExpiry / time.Second)
		pk.Properties.SessionExpiryInterval = min(pk.Properties.SessionExpiryInterval, longest)
	}
	return pk, nil
}

// OnPacketProcessed sees a client's packet after mochi has acted on it.
func (h *hook) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, _ error) {
	p := h.broker.peers.of(cl)
	if p == nil {
		return
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		p.inbound.active = false
	case packets.Pubrec:
		if flow, ok := cl.State.Inflight.Get(pk.PacketID); ok && flow.FixedHeader.Type == packets.Pubrel {
			cl.State.Inflight.IncreaseReceiveQuota() // mochi lowered it, though it is the other direction's
			p.session.backlog.shrink(pk.PacketID)
		}
		p.goOn()
	case packets.Puback, packets.Pubcomp:
		p.goOn()
	}
}

// OnPublished answers a PUBLISH. mochi answers before it hands the message on;
// here the answer has waited until the message is where a crash does not lose it.
func (h *hook) OnPublished(cl *mqtt.Client, _ packets.Packet) {
	if p := h.broker.peers.of(cl); p != nil && p.inbound.deferred {
		p.inbound.deferred = false
		_ = cl.WritePacket(p.inbound.ack) // a closed connection ends the reader by itself
	}
}

// OnRetainPublished keeps a wildcard SUBSCRIBE from overrunning the client's own queues.
func (h *hook) OnRetainPublished(cl *mqtt.Client, pk packets.Packet) {
	if p := h.broker.peers.of(cl); p != nil {
		l := &h.broker.limits
		p.replay.wait(contentSize(&pk), int64(l.MaxQueued)/2, l.MaxQueueBytes/2, p.conn.closed)
		p.conn.room()
	}
}

// OnClientExpired ends a session whose time is over; mochi would leave its
// subscriptions to the next client of that ID.
func (h *hook) OnClientExpired(cl *mqtt.Client) { h.broker.expire(cl) }
