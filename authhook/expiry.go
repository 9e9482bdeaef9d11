package authhook

import (
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// errExpired is what a client is told when its token has expired (MQTT 5.0 §3.14.2.1).
var errExpired = packets.Code{Code: packets.ErrMaxConnectTime.Code, Reason: "token expired"}

// arm starts the clock of a session, unless the connection is gone already.
func (s *session) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.is(offline) {
		s.timer = time.AfterFunc(s.deadline.Sub(s.hook.cfg.Now()), s.expire)
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
	if left := s.deadline.Sub(s.hook.cfg.Now()); left > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.is(ended | offline) {
			s.timer.Reset(left)
		}
		return
	}
	if s.kick(errExpired) {
		s.hook.report(s, Event{Kind: KindExpire, Allowed: true, Rule: RuleExpired, ReasonCode: errExpired.Code})
	}
}
