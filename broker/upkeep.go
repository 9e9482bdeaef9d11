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
	doubted []*peer           // connections that mochi may have lost sight of
	waiting []restoredSession // 3.1.1 sessions from the store, until their client returns
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
		u.broker.log.Warn("messages are dropped: sessions have too many unacknowledged", keyDropped, lost-u.lost)
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
