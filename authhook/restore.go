package authhook

import (
	mqtt "github.com/mochi-mqtt/server/v2"
)

// restoredSession returns the session of a client that mochi has read from a store and that has not connected since. It begins
// without rights.
func (h *Hook) restoredSession(cl *mqtt.Client) *session {
	s := &session{
		principal: h.ownerNamed(string(cl.Properties.Username)), hook: h, client: cl, mqttID: cl.ID, assigned: true,
		shownID: printable(cl.ID), protocol: cl.Properties.ProtocolVersion,
	}
	s.standing.Store(new(standing))
	s.flags.Store(offline | restored | entered | willGone | over)
	return h.live.keep(s)
}

// OnStarted judges the sessions that the server has restored from a store: those of clients that are gone are thrown away, the others
// are held to what their owners hold now. Where nobody can be asked they keep what they have, and get no message until they are
// resumed.
func (h *Hook) OnStarted() {
	if h.clock.system {
		go h.clock.keep(h.ctx)
	}
	for _, cl := range h.server.Clients.GetAll() {
		if cl.Net.Conn != nil || cl.Net.Inline {
			continue
		}
		s := h.restoredSession(cl)
		if h.cfg.Clients == nil || s.foreign() {
			continue
		}
		switch st := s.ask(); st.barred {
		case unknown:
			h.report(s, Event{Kind: KindResume, Rule: RuleStatusUnavailable})
		case nil:
			h.prune(s, Event{Kind: KindResume, Rule: RuleNarrowed})
		default:
			h.throwAway([]*session{s}, revoked, Event{Kind: KindResume, Rule: st.barred.rule})
		}
	}
}
