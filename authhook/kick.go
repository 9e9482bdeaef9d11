package authhook

import (
	"bytes"
	"slices"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// closeGrace is how long a client is given to take its DISCONNECT. One that does not read would hold up who closes it.
	closeGrace = 75 * time.Millisecond
	// closersAtOnce is how many connections are closed at the same time.
	closersAtOnce = 64
)

// kick ends the connection, and reports whether it was not being ended already. From its first moment nothing goes in or out any
// more but, to an MQTT 5.0 client, a DISCONNECT with this code (§3.14). It takes closeGrace at most, whatever the client does.
func (s *session) kick(code packets.Code) bool {
	if !s.raise(ended) {
		return false
	}
	if s.protocol == 5 && s.is(established) {
		forced := time.AfterFunc(closeGrace, func() { _ = s.conn.Close() }) // releases a writer that holds the lock
		<-s.welcome
		s.sayGoodbye(code)
		forced.Stop()
	}
	s.client.Stop(code)
	return true
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
	targets := h.live.withMQTTID(mqttClientID)
	if cl, ok := h.server.Clients.Get(mqttClientID); ok {
		targets = h.addTarget(targets, cl)
	}
	receipt := h.throwAway(targets, 0, Event{Kind: KindClose, Rule: RuleClosed, Detail: cause})
	return receipt, receipt.Sessions > 0
}

// CloseClient ends all sessions of a client whose rights are gone, connected or stored, with their subscriptions, queued messages
// and wills. Connected clients are told reason code 0x98. From the moment it is called nothing is accepted from these sessions and
// nothing new is given to them. Whoever calls it must first have made ClientStatus or the verifier refuse the client, or it connects
// again. The cause is for the log.
func (h *Hook) CloseClient(clientID, cause string) Receipt {
	targets := h.live.ofClient(clientID)
	for _, cl := range h.server.Clients.GetAll() {
		if h.owner(cl) == clientID {
			targets = h.addTarget(targets, cl)
		}
	}
	return h.throwAway(targets, revoked, Event{Kind: KindClose, Rule: RuleRevoked, Detail: cause})
}

// addTarget adds the session of cl, unless it is there or was thrown away before.
func (h *Hook) addTarget(targets []*session, cl *mqtt.Client) []*session {
	s := h.session(cl)
	if s == nil || s.is(dropped) || slices.Contains(targets, s) {
		return targets
	}
	return append(targets, s)
}

// throwAway ends connections and discards what the sessions held. No session is left unflagged while others are being closed.
func (h *Hook) throwAway(targets []*session, flags uint32, e Event) Receipt {
	for _, s := range targets {
		s.raise(dropped | flags)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, closersAtOnce)
	for _, s := range targets {
		if s.conn == nil || s.is(offline) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.kick(packets.ErrAdministrativeAction)
		})
	}
	wg.Wait()
	e.Allowed = true
	var total Receipt
	for _, s := range targets {
		if !s.is(established | restored) {
			continue // it never became a session, and its state is not ours to touch
		}
		r := h.clearState(s.client)
		if s.is(revoked) {
			h.cancelWill(s.client)
		}
		total.Sessions++
		total.Subscriptions += r.Subscriptions
		total.Queued += r.Queued
		h.report(s, e)
	}
	return total
}
