package broker

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Errors of the gate.
var (
	errTooManyConnections = errors.New("too many connections")
	errTooManyFromAddress = errors.New("too many connections from one address")
)

// gate counts the sockets. The half-open ones, whose CONNECT is not answered
// yet, have a bound of their own that no attacker can fill for long: at the
// bound the oldest gives way if it has had its fair time, and else the next one
// waits. So a herd of devices that all return at once is slowed down, not thrown out.
type gate struct {
	limits Limits

	mu      sync.Mutex
	total   int
	perAddr map[netip.Prefix]int
	pending list.List     // of *ticket, the oldest first
	freed   chan struct{} // closed and made anew when a half-open place becomes free
}

// ticket is one socket's place.
type ticket struct {
	gate  *gate
	addr  netip.Prefix
	since time.Time
	evict func()        // ends the socket
	place *list.Element // among the half-open ones; nil once answered
}

func newGate(limits Limits) *gate {
	return &gate{limits: limits, perAddr: map[netip.Prefix]int{}, freed: make(chan struct{})}
}

// enter admits a socket, waiting for a half-open place if there is none. evict
// ends the socket if it has to give way before its CONNECT was answered.
func (g *gate) enter(ctx context.Context, remote string, evict func()) (*ticket, error) {
	t := &ticket{gate: g, addr: addressOf(remote), evict: evict}
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		if g.total >= g.limits.MaxConnections {
			return nil, errTooManyConnections
		}
		if g.perAddr[t.addr] >= g.limits.MaxConnectionsPerIP {
			return nil, errTooManyFromAddress
		}
		wait := g.makeRoomLocked()
		if wait <= 0 {
			break
		}
		if err := g.waitLocked(ctx, wait); err != nil {
			return nil, err
		}
	}
	g.total++
	g.perAddr[t.addr]++
	t.since = time.Now()
	t.place = g.pending.PushBack(t)
	return t, nil
}

// makeRoomLocked says how long to wait before asking again for a half-open
// place; not above zero if there is one now.
func (g *gate) makeRoomLocked() time.Duration {
	if g.pending.Len() < g.limits.MaxPending {
		return 0
	}
	oldest, _ := g.pending.Front().Value.(*ticket)
	fairTime := g.limits.ConnectTimeout / 4
	if wait := fairTime - time.Since(oldest.since); wait > 0 {
		return wait
	}
	g.freeLocked(oldest)
	oldest.evict()
	return 0
}

// waitLocked waits, without the lock, for a free place or for the time to pass.
func (g *gate) waitLocked(ctx context.Context, wait time.Duration) error {
	freed := g.freed
	g.mu.Unlock()
	defer g.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-freed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (g *gate) freeLocked(t *ticket) {
	if t.place == nil {
		return
	}
	g.pending.Remove(t.place)
	t.place = nil
	close(g.freed)
	g.freed = make(chan struct{})
}

// answered says that the socket's CONNECT has been answered: it is half-open no longer.
func (t *ticket) answered() {
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	t.gate.freeLocked(t)
}

// leave gives the place back. It is called once.
func (t *ticket) leave() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.freeLocked(t)
	g.total--
	if g.perAddr[t.addr]--; g.perAddr[t.addr] == 0 {
		delete(g.perAddr, t.addr)
	}
}

// addressOf is the address that connections are counted by: an IPv4 address,
// or an IPv6 network of 64 bits, which is what one customer holds.
func addressOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // not an IP transport: counted together
	}
	addr, bits := ap.Addr().Unmap(), 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
