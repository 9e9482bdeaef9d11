package authhook

import (
	"net/netip"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/time/rate"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// maxFailing is how many addresses with failed authentications are remembered.
const maxFailing = 4096

// failures meters failed authentications by address: an IPv4 address, or the 64 bits of an IPv6 network, of which one client can
// have all. An address that is over its rate is not shut out, because others may be behind it: its CONNECTs are checked one at a time,
// and wait for each other alone.
type failures struct {
	perMinute int
	slot      chan struct{} // for the one CONNECT that is being checked of those from such addresses

	mu   sync.Mutex
	left recent[netip.Prefix, *rate.Limiter] // guarded by mu: how many may yet fail
}

func newFailures(perMinute int) *failures {
	return &failures{
		perMinute: perMinute, slot: make(chan struct{}, 1), left: recent[netip.Prefix, *rate.Limiter]{limit: maxFailing},
	}
}

// receive has a CONNECT checked: beside all others, or, if too many authentications have failed for its address, after those of other
// such addresses.
func (h *Hook) receive(cl *mqtt.Client, pk packets.Packet) *refusal {
	slots, now := h.slots, h.cfg.Now()
	suspect := h.fails.over(cl.Net.Remote, now)
	if suspect {
		slots = h.fails.slot
	}
	refused := h.admit(cl, pk, slots)
	if refused == nil {
		return nil
	}
	failed := refused.connack == connackBadToken
	if failed {
		h.fails.count(cl.Net.Remote, now)
	}
	switch {
	case !suspect, !failed && refused.rule != RuleTimeout:
		return refused
	case refused.rule == accesstoken.Rule(accesstoken.ErrExpired):
		return refused // it was good once: a device must learn that it needs another, however many strangers share its address
	default:
		return &refusal{connackRate, RuleLimitConnectRate, "too many failed authentications from this address; now " + refused.rule}
	}
}

// over reports whether so many authentications failed for an address that it is over its rate.
func (f *failures) over(remote string, now time.Time) bool {
	address, ok := addressOf(remote)
	if !ok {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter, known := f.left.get(address)
	return known && limiter.TokensAt(now) < 1
}

// count counts a failed authentication.
func (f *failures) count(remote string, now time.Time) {
	address, ok := addressOf(remote)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left.trim(func(l *rate.Limiter) bool { return l.TokensAt(now) >= float64(f.perMinute) })
	limiter, known := f.left.get(address)
	if !known {
		limiter = bucket(f.perMinute, time.Minute)
		f.left.put(address, limiter)
	}
	limiter.AllowN(now, 1)
}

// addressOf returns what a client's network address is metered by. One that is no IP address, such as a Unix socket's, is not.
func addressOf(remote string) (netip.Prefix, bool) {
	parsed, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}, false
	}
	address := parsed.Addr().Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, err := address.Prefix(bits)
	return prefix, err == nil
}
