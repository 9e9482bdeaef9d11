package authhook

import (
	"runtime"
	"slices"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// receiptPatience is how long a Receipt waits for clients that do not read. Their connections are closed after goodbyeTimeout.
const receiptPatience = 50 * time.Millisecond

// Close ends the session with this MQTT client ID, connected or stored, with its subscriptions and queued messages, and reports
// whether there was one. A connected client is told reason code 0x98, and its will is published if it is inside the grants. The
// cause is for the log.
func (h *Hook) Close(mqttClientID, cause string) (Receipt, bool) {
	start := h.cfg.Now()
	receipt := h.throwAway(h.alive(h.live.withMQTTID(mqttClientID)), 0, Event{Kind: KindClose, Rule: RuleClosed, Detail: cause})
	receipt.Took = h.cfg.Now().Sub(start)
	return receipt, receipt.Sessions > 0
}

// Revoke ends the sessions whose rights are gone, connected or stored, with their subscriptions, queued messages and wills, even those
// that are only connecting. Connected clients are told reason code 0x98. When it returns, nothing is accepted from these sessions and
// nothing is given to them. Whoever calls it must first have made ClientStatus, Revocations or the verifier refuse them, or they
// connect again. The cause is for the log.
func (h *Hook) Revoke(sel Selection, cause string) Receipt {
	start := h.cfg.Now()
	receipt := h.throwAway(h.alive(h.live.meant(sel)), revoked, Event{Kind: KindClose, Rule: RuleRevoked, Detail: cause})
	receipt.Took = h.cfg.Now().Sub(start)
	return receipt
}

// Rejudge holds sessions to what their clients hold now. Every session that is meant asks ClientStatus before its next verdict, from
// the first moment on; then the subscriptions, queued messages and wills that are not covered any longer are taken from it. Sessions of
// clients that are no longer active, or may no longer use the MQTT client ID, end as Revoke ends them. The cause is for the log.
func (h *Hook) Rejudge(sel Selection, cause string) Receipt {
	start := h.cfg.Now()
	sessions := h.alive(h.live.meant(sel))
	for _, s := range sessions {
		s.raise(stale)
	}
	var total Receipt
	fallen := make(map[string][]*session) // by the rule that bars them
	var mu sync.Mutex
	inParallel(sessions, func(s *session) {
		st := s.ask()
		var receipt Receipt
		switch {
		case st.barred == unknown:
			h.report(s, Event{Kind: KindRejudge, Rule: RuleStatusUnavailable, Detail: cause})
		case st.barred == nil && !s.is(dropped):
			receipt = h.prune(s, Event{Kind: KindRejudge, Rule: RuleNarrowed, Detail: cause})
			receipt.Rejudged = 1
		}
		mu.Lock()
		defer mu.Unlock()
		total.add(receipt)
		if st.barred != nil && st.barred != unknown {
			fallen[st.barred.rule] = append(fallen[st.barred.rule], s)
		}
	})
	for rule, sessions := range fallen {
		total.add(h.throwAway(sessions, revoked, Event{Kind: KindClose, Rule: rule, Detail: cause}))
	}
	total.Took = h.cfg.Now().Sub(start)
	return total
}

// inParallel does something to each session, on as many processors as there are.
func inParallel(sessions []*session, do func(*session)) {
	next := make(chan *session)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(sessions)) {
		workers.Go(func() {
			for s := range next {
				do(s)
			}
		})
	}
	for _, s := range sessions {
		next <- s
	}
	close(next)
	workers.Wait()
}

// alive leaves out the sessions that others have taken the place of.
func (h *Hook) alive(sessions []*session) []*session { return slices.DeleteFunc(sessions, h.replaced) }

// throwAway ends connections and discards what the sessions held. No session is left unflagged while others are being closed.
func (h *Hook) throwAway(sessions []*session, flags uint32, e Event) Receipt {
	var total Receipt
	mine := make([]*session, 0, len(sessions)) // the others were thrown away before, but may have left a will
	for _, s := range sessions {
		s.raise(flags)
		if s.raise(dropped) {
			mine = append(mine, s)
		}
		if flags&revoked != 0 && s.is(established) && h.cancelWill(s) {
			total.Wills++
		}
	}
	var closing sync.WaitGroup
	for _, s := range mine {
		if s.is(established | restored) {
			total.add(holdings(s.client)) // before mochi throws them away with the connection
			total.Sessions++
		}
		if s.conn != nil && !s.is(offline) {
			closing.Go(func() { s.kick(packets.ErrAdministrativeAction) })
		}
	}
	e.Allowed = true
	for _, s := range mine {
		if !s.is(established | restored) {
			continue // it never became a session, and its state is not ours to touch
		}
		h.clearState(s.client)
		h.report(s, e)
	}
	told := make(chan struct{})
	go func() {
		closing.Wait()
		close(told)
	}()
	await(told, receiptPatience)
	return total
}

// holdings counts the subscriptions and queued messages of a session.
func holdings(cl *mqtt.Client) Receipt {
	r := Receipt{Subscriptions: cl.State.Subscriptions.Len()}
	for _, queued := range cl.State.Inflight.GetAll(false) {
		if queued.FixedHeader.Type == packets.Publish {
			r.Queued++
		}
	}
	return r
}

// clearState throws the subscriptions and queued messages of a session away.
func (h *Hook) clearState(cl *mqtt.Client) {
	h.server.UnsubscribeClient(cl)
	cl.ClearInflights()
}
