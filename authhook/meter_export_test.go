package authhook

import (
	"fmt"
	"net/netip"
	"time"
)

// AddressOf returns what failed authentications of a network address are metered by.
func AddressOf(remote string) (netip.Prefix, bool) { return addressOf(remote) }

// RememberedAddresses returns how many of n addresses with a failed authentication are remembered.
func RememberedAddresses(n int) int {
	f := newFailures(1)
	for i := range n {
		f.count(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256), time.Unix(1, 0))
	}
	return len(f.left.byKey)
}

// RememberedPrincipals returns how many of n principals are remembered that have connected once.
func RememberedPrincipals(n int) int {
	ms := newMeters()
	for i := range n {
		ms.of(fmt.Sprint(i), Limits{}, time.Unix(1, 0))
	}
	return len(ms.busy) + len(ms.idle.byKey)
}

// Metered returns how many sessions are counted, and of how many principals with sessions.
func (h *Hook) Metered() (sessions, principals int) {
	h.meters.mu.Lock()
	defer h.meters.mu.Unlock()
	for _, m := range h.meters.busy {
		m.mu.Lock()
		sessions += len(m.sessions)
		m.mu.Unlock()
	}
	return sessions, len(h.meters.busy)
}

// CoarseNow returns the time as messages are told it.
func (h *Hook) CoarseNow() time.Time { return h.clock.now() }
