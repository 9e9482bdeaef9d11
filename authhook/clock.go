package authhook

import (
	"context"
	"sync/atomic"
	"time"
)

// clockTick is how far a coarse clock may lag behind.
const clockTick = 100 * time.Millisecond

// A coarseClock is for what asks for the time with every message, of which asking would be a good part of the cost. Timers end sessions
// on time; the messages only find out when a timer is slow, because the machine was asleep or its clock was set. An injected clock is
// exact.
type coarseClock struct {
	exact  func() time.Time
	system bool         // it is the machine's own, and may be kept
	last   atomic.Int64 // Unix time in nanoseconds; 0 while it is not kept
}

// now returns the time, or what it was up to clockTick ago.
func (c *coarseClock) now() time.Time {
	if last := c.last.Load(); last != 0 {
		return time.Unix(0, last)
	}
	return c.exact()
}

// keep keeps the clock until the context ends.
func (c *coarseClock) keep(ctx context.Context) {
	ticker := time.NewTicker(clockTick)
	defer ticker.Stop()
	defer c.last.Store(0)
	for {
		c.last.Store(c.exact().UnixNano())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
