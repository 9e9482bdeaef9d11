package authhook

import (
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// expiryCode returns what a client is told when its token has expired: maximum connect time (MQTT 5.0 §3.14.2.1), or not authorized
// (RFC 9431 §2.3).
func (p Policy) expiryCode() packets.Code {
	code := packets.ErrMaxConnectTime.Code
	if p == RFC9431 {
		code = packets.ErrNotAuthorized.Code
	}
	return packets.Code{Code: code, Reason: "token expired"}
}

// left returns how long the session has to live.
func (s *session) left() time.Duration { return s.standing.Load().deadline.Sub(s.hook.cfg.Now()) }

// arm starts the clock of a session, or sets it anew after a renewal, unless the connection is gone already.
func (s *session) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.is(offline):
	case s.timer == nil:
		s.timer = time.AfterFunc(s.left(), s.expire)
	default:
		s.timer.Reset(s.left())
	}
}

// expireSoon ends a session whose time is up from where nothing may block. Usually the timer has done it; but a machine that was
// asleep, or whose clock was set, has slow timers.
func (s *session) expireSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil && !s.is(ended|offline) {
		s.timer.Reset(0)
	}
}

// expire ends a session whose time is up, or waits for the rest of it.
func (s *session) expire() {
	if left := s.left(); left > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.is(ended | offline) {
			s.timer.Reset(left)
		}
		return
	}
	if code := s.hook.cfg.OnDenied.expiryCode(); s.kick(code) {
		s.hook.report(s, Event{Kind: KindExpire, Allowed: true, Rule: RuleExpired, ReasonCode: code.Code})
	}
}
