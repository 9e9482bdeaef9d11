package authhook

import (
	"bytes"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// goodbyeTimeout bounds the writing of a DISCONNECT to a client that does not read.
	goodbyeTimeout = 500 * time.Millisecond
	// closersAtOnce is how many connections are closed at the same time.
	closersAtOnce = 64
)

// kick ends the connection, and reports whether it was not being ended already. From its first moment nothing goes in or out any
// more but, to an MQTT 5.0 client, a DISCONNECT with this code (§3.14). The connection is closed CloseGrace after that, and after
// goodbyeTimeout if the client does not read. mochi is left to find that out for itself: a client that mochi is told to stop can lose
// its will.
func (s *session) kick(code packets.Code) bool {
	if !s.dismiss(code) {
		return false
	}
	if !s.parts() {
		s.hangUp()
	}
	return true
}

// dismiss is kick for a connection that mochi is about to close.
func (s *session) dismiss(code packets.Code) bool {
	if !s.raise(ended) {
		return false
	}
	if s.parts() {
		end := time.AfterFunc(goodbyeTimeout, s.hangUp) // releases a writer that holds the lock, too
		<-s.welcome
		s.sayGoodbye(code)
		end.Reset(s.hook.cfg.CloseGrace)
	}
	return true
}

// parts reports whether there is a way to take leave of the client.
func (s *session) parts() bool { return s.protocol == 5 && s.is(established) }

func (s *session) hangUp() { _ = s.conn.Close() }

// drain takes the place of a packet of a client that is being closed: the rest of what it sends is read and comes to nothing.
func (s *session) drain(pk packets.Packet) (packets.Packet, error) {
	if s.is(offline) {
		return pk, packets.ErrRejectPacket
	}
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, ProtocolVersion: pk.ProtocolVersion, TopicName: refusedTopic,
	}, nil
}

// sayGoodbye writes a DISCONNECT past mochi's write buffer, in which it would be lost when the connection is closed.
func (s *session) sayGoodbye(code packets.Code) {
	props := &s.client.Properties.Props
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ProtocolVersion: 5, ReasonCode: code.Code,
		Properties: packets.Properties{ReasonString: code.Reason},
		Mods: packets.Mods{
			MaxSize: props.MaximumPacketSize, DisallowProblemInfo: props.RequestProblemInfoFlag && props.RequestProblemInfo == 0,
		},
	}
	var buf bytes.Buffer
	if pk.DisconnectEncode(&buf) != nil {
		return
	}
	s.client.Lock()
	defer s.client.Unlock()
	_, _ = s.conn.Write(buf.Bytes()) // the connection is closed either way
}

// breakOff ends a connection over what the client has done.
func (h *Hook) breakOff(s *session, code packets.Code, rule, detail string) {
	h.report(s, Event{Kind: KindClose, Rule: rule, ReasonCode: code.Code, Detail: detail})
	s.kick(code)
}

// Close ends the session with this MQTT client ID, connected or stored, with its subscriptions and queued messages, and reports
// whether there was one. A connected client is told reason code 0x98, and its will is published if it is inside the grants. The
// cause is for the log.
func (h *Hook) Close(mqttClientID, cause string) (Receipt, bool) {
	targets := newTargets(h.live.withMQTTID(mqttClientID))
	if cl, ok := h.server.Clients.Get(mqttClientID); ok {
		targets.add(h.session(cl))
	}
	receipt := h.throwAway(targets, 0, Event{Kind: KindClose, Rule: RuleClosed, Detail: cause})
	return receipt, receipt.Sessions > 0
}

// CloseClient ends all sessions of a client whose rights are gone, connected or stored, with their subscriptions, queued messages
// and wills. Connected clients are told reason code 0x98. From the moment it is called nothing is accepted from these sessions and
// nothing new is given to them. Whoever calls it must first have made ClientStatus or the verifier refuse the client, or it connects
// again. The cause is for the log.
func (h *Hook) CloseClient(clientID, cause string) Receipt {
	connected := h.live.ofClient(clientID)
	for _, s := range connected {
		s.raise(revoked)
	}
	targets := newTargets(connected)
	for _, cl := range h.server.Clients.GetAll() {
		s := h.session(cl)
		if s == nil || s.clientID != clientID {
			continue
		}
		if s.raise(revoked); s.is(offline) {
			h.cancelWill(cl)
		}
		targets.add(s)
	}
	return h.throwAway(targets, revoked, Event{Kind: KindClose, Rule: RuleRevoked, Detail: cause})
}

// targets are sessions that are about to be thrown away.
type targets map[*session]struct{}

func newTargets(sessions []*session) targets {
	t := make(targets, len(sessions))
	for _, s := range sessions {
		t.add(s)
	}
	return t
}

// add adds a session, unless it was thrown away before.
func (t targets) add(s *session) {
	if s != nil && !s.is(dropped) {
		t[s] = struct{}{}
	}
}

// throwAway ends connections and discards what the sessions held. No session is left unflagged while others are being closed.
func (h *Hook) throwAway(sessions targets, flags uint32, e Event) Receipt {
	for s := range sessions {
		s.raise(dropped | flags)
	}
	var closing sync.WaitGroup
	slots := make(chan struct{}, closersAtOnce)
	for s := range sessions {
		if s.conn == nil || s.is(offline) {
			continue
		}
		slots <- struct{}{}
		closing.Go(func() {
			defer func() { <-slots }()
			s.kick(packets.ErrAdministrativeAction)
		})
	}
	closing.Wait()
	e.Allowed = true
	var total Receipt
	for s := range sessions {
		if !s.is(established | restored) {
			continue // it never became a session, and its state is not ours to touch
		}
		r := h.clearState(s.client)
		total.Sessions++
		total.Subscriptions += r.Subscriptions
		total.Queued += r.Queued
		h.report(s, e)
	}
	return total
}
