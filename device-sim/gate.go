package devicesim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// gate keeps a thousand sensors that all want to connect from doing so at once: it admits so many a second, and so many at a
// time.
type gate struct {
	pace  *rate.Limiter
	slots *semaphore.Weighted
}

func newGate(perSecond float64, atOnce int) *gate {
	return &gate{pace: rate.NewLimiter(rate.Limit(perSecond), 1), slots: semaphore.NewWeighted(int64(atOnce))}
}

// enter waits for its turn and for a slot, to be given back with leave. It fails only when the context ends.
func (g *gate) enter(ctx context.Context) error {
	if err := g.pace.Wait(ctx); err != nil {
		return fmt.Errorf("waiting to connect: %w", err)
	}
	return g.reenter(ctx)
}

// reenter waits for a slot only. It is for those who have just been through enter and must not queue again.
func (g *gate) reenter(ctx context.Context) error {
	if err := g.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting to connect: %w", err)
	}
	return nil
}

// leave gives the slot back.
func (g *gate) leave() { g.slots.Release(1) }

// backoff draws how long one sensor waits after a failure.
type backoff struct {
	retry    Retry
	rand     *rand.Rand
	failures int // in a row
}

// mostDoublings keeps the shifts below from overflowing; Retry.Most is reached long before.
const mostDoublings = 20

// next draws the next wait. After a refused credential it is long, and never short by chance.
func (b *backoff) next(refused bool) time.Duration {
	doublings := min(b.failures, mostDoublings)
	b.failures++
	if refused {
		least := min(b.retry.Refused<<doublings, 10*b.retry.Refused)
		return least + b.below(least)
	}
	return b.below(min(b.retry.First<<doublings, b.retry.Most))
}

func (b *backoff) below(limit time.Duration) time.Duration {
	return time.Duration(b.rand.Float64() * float64(limit))
}

// reset forgets the failures.
func (b *backoff) reset() { b.failures = 0 }
