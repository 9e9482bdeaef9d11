package authhook

import (
	"fmt"

	"github.com/mochi-mqtt/server/v2/packets"
)

// prune takes from a session, connected or not, what its rights do not cover any longer: subscriptions, queued messages, the will. An
// event says so if there was any. Nothing is taken from a session whose rights cannot be told; one that is still connecting has nothing
// yet.
func (h *Hook) prune(s *session, e Event) Receipt {
	if !s.is(established | restored) {
		return Receipt{}
	}
	st := s.current()
	if st.barred == unknown {
		return Receipt{}
	}
	r := h.narrow(s, st.rights)
	if s.will.Flag != 0 && !st.Publish(s.will.TopicName, s.will.Qos, s.will.Retain).Allowed && h.cancelWill(s) {
		r.Wills = 1
	}
	if r != (Receipt{}) {
		taken := fmt.Sprintf("%d subscriptions, %d queued messages and %d wills dropped", r.Subscriptions, r.Queued, r.Wills)
		if e.Detail != "" {
			taken = e.Detail + ": " + taken
		}
		e.Detail = taken
		h.report(s, e)
	}
	return r
}

// narrow takes out of the subscriptions and the queue of a session what its rights do not cover.
func (h *Hook) narrow(s *session, granted rights) Receipt {
	cl := s.client
	var removed packets.Subscriptions
	for filter, sub := range cl.State.Subscriptions.GetAll() {
		verdict := granted.Subscribe(filter)
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
		// As an UNSUBSCRIBE it reaches the other hooks. Its answer reaches nobody, which is the only error.
		_ = h.server.InjectPacket(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, Filters: removed})
	}
	queued := h.dropQueued(cl, func(queued packets.Packet) bool { return !granted.Deliver(queued.TopicName) })
	return Receipt{Subscriptions: len(removed), Queued: queued}
}
