package soak_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// How large the crowd is.
const (
	roleCount     = 6
	clientsOfRole = 2
	devicesOfOne  = 2
	stuckCount    = 2
	strangerCount = 3
)

// happenings are what no soak may end without: one that has seen nothing has tried nothing.
var happenings = []string{
	"CONNECT accepted", "CONNECT refused", "connection of MQTT 3.1.1", "connection of MQTT 5", "connection over WebSocket", "session resumed",
	"device takes itself over", "subscription granted", "subscription refused", "publish acknowledged", "publish refused", "publish over a limit", "flood",
	"message got", "retained message got", "will got", "renewal accepted", "renewal refused", "slow reader", "stuck reader", "garbage", "half-open socket",
	"client disabled and enabled", "token revoked", "secret rotated", "session closed by an operator", "role changed",
	"told: administrative action", "told: token expired", "told: taken over",
}

func TestAfterACrowdHasPassedEveryCountAgrees(t *testing.T) {
	t.Parallel()
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d: go test ./e2e/soak -soak %v -seed %d", seed, *soakFor, seed)
	w := newWorld(t, seed)
	w.populate(roleCount, clientsOfRole)
	audit := newAudit(t, w)

	began := time.Now()
	w.letLoose(*soakFor)
	for _, what := range happenings {
		if w.count(what) == 0 {
			t.Errorf("nothing of this has happened: %s", what)
		}
	}
	audit.expectRatesKept(time.Since(began))
	audit.expectDecisionsCounted()
	audit.expectEmpty()
	t.Logf("in %v:\n%s", time.Since(began).Round(time.Second), w.tale())
}

// letLoose lets everybody do what they do for a while, and returns when all have stopped.
func (w *world) letLoose(duration time.Duration) {
	w.tb.Helper()
	ctx, cancel := context.WithCancel(w.tb.Context())
	defer cancel()
	var everybody sync.WaitGroup
	for i, c := range w.clients {
		for n := range devicesOfOne {
			d := &device{world: w, client: c, id: c.id, random: w.random(uint64(1000 + 10*i + n))}
			if n > 0 {
				d.id = fmt.Sprint(c.id, ":", n)
			}
			everybody.Go(func() { d.live(ctx) })
		}
	}
	everything := w.constant("reads-all", "sub:plant/#")
	for n := range stuckCount {
		d := &device{world: w, client: everything, id: fmt.Sprint(everything.id, ":", n), random: w.random(uint64(2000 + n))}
		everybody.Go(func() { d.stall(ctx) })
	}
	for n := range strangerCount {
		s := &stranger{w, w.random(uint64(3000 + n))}
		everybody.Go(func() { s.pester(ctx) })
	}
	besieger := &stranger{w, w.random(4000)}
	everybody.Go(func() { besieger.besiege(ctx) })
	o := &operator{w, w.random(5000), 60 * time.Millisecond}
	everybody.Go(func() { o.work(ctx) })
	w.watch(duration)
	cancel()
	everybody.Wait()
}

// watch returns when the time is over and everything has happened that was to happen, for which a slow machine has some more time.
func (w *world) watch(duration time.Duration) {
	w.tb.Helper()
	begun := time.Now()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for range look.C {
		waiting := slices.ContainsFunc(happenings, func(what string) bool { return w.count(what) == 0 })
		if took := time.Since(begun); took > duration && (!waiting || took > duration+harness.Patience) || w.hopeless() {
			return
		}
	}
}

// constant creates a client whose rights nobody changes.
func (w *world) constant(id string, scopes ...string) *client {
	w.tb.Helper()
	r := &role{id: id}
	r.held.set(scopes)
	c := &client{id: id, role: r, secretNumber: 1, known: map[string]*token{}, secret: w.Service(id, scopes...).ClientSecret}
	c.active.set(true)
	return c
}
