package accesstoken

import "context"

type pauseKey struct{}

// WithPause returns a context for Verify with which it tells that it is about to wait for an issuer's keys: pause is called before, on
// the same goroutine, and what it returns afterwards. Whoever verifies a bounded number of tokens at a time can let others go on
// meanwhile, who need no keys of that issuer.
func WithPause(ctx context.Context, pause func() (resume func())) context.Context {
	return context.WithValue(ctx, pauseKey{}, pause)
}

// paused says that the caller is about to wait, and returns what to call when it is over.
func paused(ctx context.Context) (resume func()) {
	if pause, ok := ctx.Value(pauseKey{}).(func() func()); ok {
		return pause()
	}
	return func() {}
}
