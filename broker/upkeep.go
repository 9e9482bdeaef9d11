package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"golang.org/x/time/rate"
)

const (
	upkeepEvery  = time.Second
	collectEvery = 10 * time.Minute
)

// upkeep does what is due from time to time.
type upkeep struct {
	broker *Broker
	full   rate.Sometimes // what may be logged of messages without room
	lost   int64          // messages without room, as last logged

	mu      sync.Mutex
	doubted []*peer                      // connections that mochi may have lost sight of
	waiting []restoredSession            // 3.1.1 sessions from the store, until their client returns
	counts  [2]map[*mqtt.Client]struct{} // sessions that are recounted at the tick after the next, and at the next
	former  [2][]*mqtt.Client            // clients whose sessions have passed to others, likewise
}

// restoredSession ends at a time that mochi does not know.
type restoredSession struct {
	client *mqtt.Client
	ends   int64 // Unix seconds
}

// mend asks for a look whether mochi still has the connection in its table.
func (u *upkeep) mend(p *peer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.doubted = append(u.doubted, p)
}

// recount has a session's messages counted anew, once whoever drops some has finished.
func (u *upkeep) recount(cl *mqtt.Client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts[0] == nil {
		u.counts[0] = map[*mqtt.Client]struct{}{}
	}
	u.counts[0][cl] = struct{}{}
}

// forget has a client forgotten whose session has passed to another, once what was on its way to it has arrived.
func (u *upkeep) forget(cl *mqtt.Client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.former[0] = append(u.former[0], cl)
}

// watch ends a restored session at its time, unless its client returns before.
func (u *upkeep) watch(cl *mqtt.Client, ends int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = append(u.waiting, restoredSession{cl, ends})
}

// run works until ctx ends.
func (u *upkeep) run(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	collect := time.NewTicker(collectEvery)
	defer collect.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			u.once()
			u.report()
		case <-collect.C:
			u.broker.sessions.sweep(u.broker.server.Clients)
			if u.broker.keeper.store != nil {
				u.broker.keeper.store.collect(ctx)
			}
		}
	}
}

// once does what is due now.
func (u *upkeep) once() {
	u.mu.Lock()
	doubted := u.doubted
	u.doubted = nil
	due, former := u.counts[1], u.former[1]
	u.counts = [2]map[*mqtt.Client]struct{}{nil, u.counts[0]}
	u.former = [2][]*mqtt.Client{nil, u.former[0]}
	now := u.broker.cfg.Now().Unix()
	var over, waiting []restoredSession
	for _, s := range u.waiting {
		switch current, ok := u.broker.server.Clients.Get(s.client.ID); {
		case !ok || current != s.client: // resumed or ended
		case s.ends <= now:
			over = append(over, s)
		default:
			waiting = append(waiting, s)
		}
	}
	u.waiting = waiting
	u.mu.Unlock()

	for _, p := range doubted {
		u.readd(p)
	}
	for cl := range due {
		u.broker.recount(cl)
	}
	for _, cl := range former {
		u.broker.sessions.end(cl)
	}
	for _, s := range over {
		u.broker.dropSession(s.client)
		if current, ok := u.broker.server.Clients.Get(s.client.ID); ok && current == s.client {
			u.broker.server.Clients.Delete(s.client.ID)
		}
	}
}

// report tells the operator, now and then, that sessions hold more than they may.
func (u *upkeep) report() {
	lost := atomic.LoadInt64(&u.broker.server.Info.InflightDropped)
	if lost == u.lost {
		return
	}
	u.full.Do(func() {
		u.broker.log.Warn("messages are dropped: sessions have too many unacknowledged, or too large ones", keyDropped, lost-u.lost)
		u.lost = lost
	})
}

// readd puts a live connection back into mochi's table.
func (u *upkeep) readd(p *peer) {
	cl := p.client
	if u.broker.live.holder(cl.ID) != p || cl.Closed() {
		return
	}
	if _, ok := u.broker.server.Clients.Get(cl.ID); !ok {
		u.broker.server.Clients.Add(cl)
	}
}
