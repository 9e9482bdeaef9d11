package devicesim

import (
	"context"
	"sync/atomic"
	"time"
)

// clock turns real time into virtual time. It never runs ahead of the lot: until an event has been handed out, virtual time stays
// at or before it, however late the machine is. Safe for concurrent use.
type clock struct {
	wall   func() time.Time
	origin time.Time // real
	start  time.Time // virtual
	speed  float64
	limit  atomic.Int64 // nanoseconds of virtual time since start
}

func newClock(wall func() time.Time, start time.Time, speed float64) *clock {
	return &clock{wall: wall, origin: wall(), start: start, speed: speed}
}

// now gives the virtual time.
func (c *clock) now() time.Time {
	passed := time.Duration(float64(c.wall().Sub(c.origin)) * c.speed)
	return c.start.Add(min(passed, time.Duration(c.limit.Load())))
}

// advanceTo allows virtual time to run up to at, and waits until it is there. It ends early, with the context's error, when the
// context does.
func (c *clock) advanceTo(ctx context.Context, at time.Time) error {
	passed := at.Sub(c.start)
	c.limit.Store(int64(passed))
	due := c.origin.Add(time.Duration(float64(passed) / c.speed))
	return pause(ctx, due.Sub(c.wall()))
}

// wait waits for a span of virtual time.
func (c *clock) wait(ctx context.Context, span time.Duration) error {
	return pause(ctx, time.Duration(float64(span)/c.speed))
}

// pause waits, unless the context ends first; then it gives the context's error.
func pause(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
