package authhook

import (
	"context"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// A slot is the right to check a token, of which there are only a few at a time.
type slot struct {
	slots chan struct{}
	held  bool
}

// takeSlot waits for a slot, and returns it with a context for the checks. While the verifier waits for the keys of an issuer the slot
// is somebody else's, so that an issuer that is slow holds up nobody but its own clients.
func takeSlot(ctx context.Context, slots chan struct{}) (context.Context, *slot, *refusal) {
	s := &slot{slots: slots}
	if s.take(ctx); !s.held {
		return ctx, nil, &refusal{connackUnavailable, RuleTimeout, ""}
	}
	return accesstoken.WithPause(ctx, func() func() {
		s.release()
		return func() { s.take(ctx) }
	}), s, nil
}

// take waits for a slot until ctx ends.
func (s *slot) take(ctx context.Context) {
	select {
	case s.slots <- struct{}{}:
		s.held = true
	case <-ctx.Done():
	}
}

// release makes room for others.
func (s *slot) release() {
	if s.held {
		s.held = false
		<-s.slots
	}
}
