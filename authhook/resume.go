package authhook

import (
	"fmt"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// OnSessionEstablish prepares what mochi is about to hand over to a client: the connection that is being taken over ends, and what
// the new token does not cover goes, or all of it if the session was another client's or was thrown away.
func (h *Hook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	s := h.session(cl)
	if s == nil {
		return
	}
	existing, found := h.server.Clients.Get(s.mqttID)
	for _, earlier := range h.live.withMQTTID(s.mqttID) {
		if earlier != s && earlier.is(established) {
			h.supersede(earlier, s, earlier.client == existing)
		}
	}
	if !found {
		return
	}
	if h.owner(existing) != s.clientID || h.abandoned(existing) {
		h.clearState(existing)
		s.raise(fresh)
	} else {
		h.narrow(existing, s.grants.Load())
	}
	h.stored.Delete(existing)
}

// supersede ends a connection whose session another takes over. mochi closes it in a moment if it knows of it; until it has marked
// it as taken over, a connection that ends could take the new client out of mochi's list.
func (h *Hook) supersede(earlier, next *session, known bool) {
	end := earlier.kick
	if known {
		end = earlier.dismiss
	}
	if end(packets.ErrSessionTakenOver) {
		h.report(earlier, Event{
			Kind: KindClose, Allowed: true, Rule: RuleTakenOver, ReasonCode: packets.ErrSessionTakenOver.Code,
			Detail: "by " + next.client.Net.Remote,
		})
	}
}

// owner returns the client ID of the client that owns a session, empty if nobody is known to.
func (h *Hook) owner(cl *mqtt.Client) string {
	if s := h.session(cl); s != nil {
		return s.clientID
	}
	return ""
}

// abandoned reports whether the state of a session was thrown away. mochi keeps the empty session until it expires; only so do other
// hooks learn that it is gone.
func (h *Hook) abandoned(cl *mqtt.Client) bool {
	s := h.session(cl)
	return s != nil && s.is(dropped)
}

// clearState throws away the subscriptions and queued messages of a session and counts them.
func (h *Hook) clearState(cl *mqtt.Client) Receipt {
	r := Receipt{Subscriptions: cl.State.Subscriptions.Len()}
	for _, queued := range cl.State.Inflight.GetAll(false) {
		if queued.FixedHeader.Type == packets.Publish {
			r.Queued++
		}
	}
	h.server.UnsubscribeClient(cl)
	cl.ClearInflights()
	return r
}

// narrow holds an offline session to grants: from now on what is queued is judged by them, and what they do not cover is taken out.
func (h *Hook) narrow(cl *mqtt.Client, grants *topicacl.Grants) {
	s := h.session(cl)
	if s == nil {
		return
	}
	s.grants.Store(grants)
	var removed packets.Subscriptions
	for filter, sub := range cl.State.Subscriptions.GetAll() {
		verdict := grants.Subscribe(filter)
		switch {
		case !verdict.Allowed:
			removed = append(removed, sub)
		case verdict.MaxQoS < sub.Qos:
			sub.Qos = verdict.MaxQoS
			h.server.Topics.Subscribe(cl.ID, sub)
			cl.State.Subscriptions.Add(filter, sub)
		}
	}
	if len(removed) > 0 {
		// As an UNSUBSCRIBE it reaches the other hooks. Its answer finds no connection, which is the only error.
		_ = h.server.InjectPacket(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, Filters: removed})
	}
	queued := h.dropQueued(cl, func(queued packets.Packet) bool { return !grants.Deliver(queued.TopicName) })
	if len(removed) > 0 || queued > 0 {
		h.report(s, Event{
			Kind: KindResume, Rule: RuleNarrowed, Detail: fmt.Sprintf("%d subscriptions and %d queued messages dropped", len(removed), queued),
		})
	}
}
