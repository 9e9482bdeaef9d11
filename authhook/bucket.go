package authhook

import (
	"time"

	"golang.org/x/time/rate"
)

// bucket returns a full bucket of n that takes so long to fill again, nil if n is 0: no limit.
func bucket(n int, fills time.Duration) *rate.Limiter {
	if n == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(n)/fills.Seconds()), n)
}

// A draw takes n from a bucket, unless there is less in it, and reports whether it did. What is no bucket has no bottom.
type draw func(bucket *rate.Limiter, now time.Time, n int) bool

// take is the draw of the gate.
func take(bucket *rate.Limiter, now time.Time, n int) bool {
	return bucket == nil || bucket.AllowN(now, n)
}

// look is the draw of those who only want to know: it takes nothing.
func look(bucket *rate.Limiter, now time.Time, n int) bool {
	return bucket == nil || n <= bucket.Burst() && bucket.TokensAt(now) >= float64(n)
}
