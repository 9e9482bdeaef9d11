package authhook

import (
	"fmt"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnSessionEstablish prepares what mochi is about to hand over to a client: the connection that is being taken over ends, and what
// the new token does not cover goes, or all of it if the session was another client's or was thrown away.
func (h *Hook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	s := h.session(cl)
	if s == nil {
		return
	}
	h.live.enter(s)
	st := s.current()
	s.judged.Store(st)
	existing, found := h.server.Clients.Get(s.mqttID)
	for _, earlier := range h.live.withMQTTID(s.mqttID) {
		if earlier != s && earlier.is(established) && !earlier.is(offline) {
			h.supersede(earlier, s, st, earlier.client == existing)
		}
	}
	if !found {
		return
	}
	before := h.session(existing)
	switch {
	case before == nil || before.owner != s.owner || before.is(dropped):
		h.clearState(existing)
		s.raise(fresh)
	default:
		before.hold(st)
		if r := h.narrow(before, st.rights); r != (Receipt{}) {
			h.report(before, Event{
				Kind: KindResume, Rule: RuleNarrowed, Detail: fmt.Sprintf("%d subscriptions and %d queued messages dropped", r.Subscriptions, r.Queued),
			})
		}
	}
}

// OnSessionEstablished forgets the sessions that this one has taken the place of.
func (h *Hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	h.live.sweep(cl.ID, h.replaced)
}

// OnDisconnect forgets a session that mochi does not keep for its client's return, and a will that the client has withdrawn. One that
// was taken over waits here for its successor: until mochi has marked it, it would take the new client off mochi's list with itself.
func (h *Hook) OnDisconnect(cl *mqtt.Client, err error, expire bool) {
	if cl.Net.Conn == nil {
		return // mochi is reading it from a store
	}
	s := h.session(cl)
	if s == nil {
		return
	}
	s.finish()
	if heir := s.heir.Load(); heir != nil && expire && !h.cfg.SerialTakeover {
		await(heir.welcome, heirPatience)
	}
	switch {
	case err == nil:
		s.raise(willGone)
	case s.is(revoked|willGone) && s.will.WillDelayInterval > 0:
		h.withdrawWill(cl) // its right may have gone between OnWill and now
	}
	h.live.sweep(cl.ID, func(other *session) bool {
		return h.replaced(other) || other == s && expire && !cl.IsTakenOver()
	})
}

// OnClientExpired forgets a session when mochi does.
func (h *Hook) OnClientExpired(cl *mqtt.Client) {
	h.live.sweep(cl.ID, func(s *session) bool { return s.client == cl || h.replaced(s) })
}

// replaced reports whether a session is over: its client is gone, and mochi's list has another in its place, or none.
func (h *Hook) replaced(s *session) bool {
	if !s.is(offline) || !s.client.Closed() {
		return false // one that mochi is done with is closed: until then it may yet come on the list
	}
	listed, _ := h.server.Clients.Get(s.mqttID)
	return listed != s.client
}

// hold replaces the standing of a session by that of its successor, whose client is the same.
func (s *session) hold(st *standing) {
	s.judging.Lock()
	defer s.judging.Unlock()
	s.stand(st)
}

// supersede ends a connection whose session another takes over. If it is the same client's, its will is judged by the new token, however
// the connection ends from now on. mochi closes it in a moment if it knows of it.
func (h *Hook) supersede(earlier, next *session, st *standing, known bool) {
	earlier.judging.Lock()
	ending := !earlier.raise(ended)
	if earlier.owner == next.owner {
		earlier.stand(st)
	}
	earlier.judging.Unlock()
	if ending {
		return
	}
	dismissed := earlier.dismiss(packets.ErrSessionTakenOver)
	switch {
	case known:
		earlier.heir.Store(next)
		earlier.stopReading()
	case !dismissed:
		earlier.hangUp()
	}
	h.report(earlier, Event{
		Kind: KindClose, Allowed: true, Rule: RuleTakenOver, ReasonCode: packets.ErrSessionTakenOver.Code,
		Detail: "by " + next.client.Net.Remote,
	})
}

// owner returns who owns a session, nobody if that is not known.
func (h *Hook) owner(cl *mqtt.Client) principal {
	if s := h.session(cl); s != nil {
		return s.principal
	}
	return principal{}
}

// abandoned reports whether the state of a session was thrown away. mochi keeps the empty session until it expires; only so do other
// hooks learn that it is gone.
func (h *Hook) abandoned(cl *mqtt.Client) bool {
	s := h.session(cl)
	return s != nil && s.is(dropped)
}
