package authhook

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnWill judges a will when its connection has ended, by what the client may do then. The will of a session whose token has expired
// is published: the device is lost, and its will was allowed. The will of a client whose rights are gone is not. An empty will reaches
// nobody: mochi finds no subscriber for an empty topic.
func (h *Hook) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	s := h.session(cl)
	if s == nil {
		return mqtt.Will{}, nil
	}
	s.finish()
	// Under the lock a will that is being taken over is judged after its successor's token is there, or before anybody has taken over.
	s.judging.Lock()
	st := s.currentLocked()
	s.judging.Unlock()
	e := Event{Kind: KindWill, Topic: printable(will.TopicName)}
	switch denied := h.judgePublication(s.owner, st, publicationOfWill(&will), nil); {
	case s.is(revoked):
		e.Rule = RuleRevoked
	case denied != nil:
		e.Rule, e.Detail = denied.rule, denied.detail
	case s.is(willGone): // the right to it was lost in the meantime
		e.Rule = RuleNarrowed
	default:
		e.Allowed, e.Rule = true, RuleGranted
	}
	h.report(s, e)
	if !e.Allowed {
		s.raise(willGone)
		return mqtt.Will{}, nil
	}
	if will.WillDelayInterval == 0 {
		s.raise(willGone)
	}
	return will, nil
}

// OnWillSent learns that a will with a delay was published.
func (h *Hook) OnWillSent(cl *mqtt.Client, _ packets.Packet) {
	if s := h.session(cl); s != nil {
		s.raise(willGone)
	}
}

// cancelWill makes sure that the session's will is not published, and reports whether it would have been.
func (h *Hook) cancelWill(s *session) bool {
	if s.will.Flag == 0 || !s.raise(willGone) {
		return false
	}
	if s.is(offline) {
		h.withdrawWill(s.client)
	}
	return true
}

// withdrawWill withdraws the will of an offline client that waits for its Will Delay Interval (MQTT 5.0 §3.1.3.2.2). mochi judges it
// no more, and lets go of it only over a DISCONNECT.
func (h *Hook) withdrawWill(cl *mqtt.Client) {
	// The client is gone, so there is nothing to fail.
	_ = h.server.InjectPacket(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
}
