package authhook

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxIdleMeters is how many principals without sessions have their rates remembered.
	maxIdleMeters = 4096
	// idleMeterLife is how long they are remembered: by then all their buckets are full again.
	idleMeterLife = 2 * time.Minute
	// refusalLogged is how often the log says that a principal is over one and the same limit.
	refusalLogged = 10 * time.Second
	// flapInterval and flapsReported say when an MQTT client ID counts as flapping: so many takeovers within the interval.
	flapInterval  = time.Minute
	flapsReported = 4
	// maxFlapping is how many MQTT client IDs of one principal are watched for it.
	maxFlapping = 16
)

// meters are the meters of all principals.
type meters struct {
	mu   sync.Mutex
	busy map[string]*meter      // guarded by mu: by owner, of those with sessions
	idle recent[string, *meter] // guarded by mu: of others that have connected lately
}

// A meter measures what all sessions of one principal do together.
type meter struct {
	allowance atomic.Pointer[allowance]
	used      time.Time // guarded by the mutex of meters

	mu        sync.Mutex
	sessions  map[*session]struct{}      // guarded by mu
	takeovers recent[string, *takeovers] // guarded by mu: by MQTT client ID
	logged    map[string]time.Time       // guarded by mu: when the log last spoke of a rule
}

// An allowance is what a principal may do, and what is left of it at the moment. A bucket holds what is allowed at once; it is nil
// where there is no limit.
type allowance struct {
	Limits

	connects *rate.Limiter // of CONNECTs, filled in a minute
	messages *rate.Limiter // of messages, filled in a second
	bytes    *rate.Limiter // of bytes in topics and payloads, filled in a second
}

// takeovers counts the takeovers of one MQTT client ID within an interval.
type takeovers struct {
	since time.Time
	count int
}

func newMeters() *meters {
	return &meters{busy: make(map[string]*meter), idle: recent[string, *meter]{limit: maxIdleMeters}}
}

func newMeter() *meter {
	return &meter{sessions: make(map[*session]struct{}, 1), takeovers: recent[string, *takeovers]{limit: maxFlapping}}
}

// of returns the meter of a principal, which may be a new one, and sets its limits.
func (ms *meters) of(owner string, limits Limits, now time.Time) *meter {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.idle.trim(func(m *meter) bool { return now.Sub(m.used) > idleMeterLife })
	m := ms.find(owner)
	if m == nil {
		m = newMeter()
		ms.idle.put(owner, m)
	}
	m.used = now
	m.limit(limits)
	return m
}

// find returns the meter of a principal, nil if it has none. ms.mu is held.
func (ms *meters) find(owner string) *meter {
	if m, ok := ms.busy[owner]; ok {
		return m
	}
	m, _ := ms.idle.get(owner)
	return m
}

// allowance returns what a principal may do that has these limits. It belongs to the principal's meter if it has one with the same.
func (ms *meters) allowance(owner string, limits Limits) *allowance {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.find(owner); m != nil {
		return m.allowance.Load().with(limits)
	}
	return new(allowance).with(limits)
}

// full reports whether a principal that has these limits may not connect under another MQTT client ID.
func (ms *meters) full(owner, mqttID string, limits Limits) bool {
	ms.mu.Lock()
	m := ms.busy[owner]
	ms.mu.Unlock()
	if m == nil || limits.Sessions == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.full(mqttID, limits.Sessions)
}

// enter adds a session to those of its principal, unless there are as many as are allowed. One whose connection is gone already is not
// added: nothing would remove it.
func (ms *meters) enter(s *session, m *meter) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if s.is(offline) {
		return true
	}
	if known := ms.find(s.owner); known != nil {
		m = known
	}
	if !m.add(s) {
		return false
	}
	ms.idle.remove(s.owner)
	ms.busy[s.owner] = m
	return true
}

// leave removes a session that has ended from those of its principal. It may be called again.
func (ms *meters) leave(s *session, now time.Time) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.busy[s.owner]
	if m == nil || !m.remove(s) {
		return
	}
	delete(ms.busy, s.owner)
	m.used = now
	ms.idle.put(s.owner, m)
}

// stand sets where a session stands, and with it the limits of its principal.
func (s *session) stand(st *standing) {
	s.standing.Store(st)
	if m := s.meter.Load(); m != nil {
		m.limit(st.limits)
	}
}

// rates returns the allowance of a meter, nil if there is no meter.
func (m *meter) rates() *allowance {
	if m == nil {
		return nil
	}
	return m.allowance.Load()
}

// limit sets the limits. It may be called concurrently with all else.
func (m *meter) limit(limits Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.allowance.Store(m.allowance.Load().with(limits))
}

// with returns an allowance with other limits. Buckets whose limit stays the same keep what is in them.
func (a *allowance) with(limits Limits) *allowance {
	if a == nil {
		a = new(allowance)
	}
	if a.Limits == limits {
		return a
	}
	next := &allowance{Limits: limits, connects: a.connects, messages: a.messages, bytes: a.bytes}
	if n := limits.ConnectsPerMinute; n != a.ConnectsPerMinute {
		next.connects = bucket(n, time.Minute)
	}
	if n := limits.MessagesPerSecond; n != a.MessagesPerSecond {
		next.messages = bucket(n, time.Second)
	}
	if n := limits.BytesPerSecond; n != a.BytesPerSecond {
		next.bytes = bucket(n, time.Second)
	}
	return next
}

// add adds a session, unless it would be one too many: under its own MQTT client ID it takes over what there is.
func (m *meter) add(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if limit := m.allowance.Load().Sessions; limit > 0 && m.full(s.mqttID, limit) {
		return false
	}
	m.sessions[s] = struct{}{}
	s.meter.Store(m)
	return true
}

// full reports whether the principal is connected under so many MQTT client IDs, not counting this one. m.mu is held.
func (m *meter) full(mqttID string, limit int) bool {
	ids := make(map[string]struct{}, min(limit, len(m.sessions)))
	for s := range m.sessions {
		if s.mqttID != mqttID && !s.is(ended|offline) {
			ids[s.mqttID] = struct{}{}
		}
	}
	return len(ids) >= limit
}

// remove removes a session and reports whether it was the last.
func (m *meter) remove(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.sessions)
	delete(m.sessions, s)
	return before > 0 && len(m.sessions) == 0
}

// takenOver notes that a session takes over another of its principal, and reports whether that has happened so often that somebody
// should know: once an interval.
func (m *meter) takenOver(mqttID string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen, ok := m.takeovers.get(mqttID)
	if !ok {
		seen = &takeovers{since: now}
		m.takeovers.put(mqttID, seen)
	}
	if now.Sub(seen.since) >= flapInterval {
		*seen = takeovers{since: now}
	}
	seen.count++
	return seen.count == flapsReported
}

// mayLog reports whether the log has not spoken of this rule lately.
func (m *meter) mayLog(rule string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.logged[rule]; ok && now.Sub(last) < refusalLogged {
		return false
	}
	if m.logged == nil {
		m.logged = make(map[string]time.Time)
	}
	m.logged[rule] = now
	return true
}
