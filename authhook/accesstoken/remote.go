package accesstoken

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Defaults of RemoteConfig.
const (
	defaultMinInterval = 30 * time.Second
	defaultMaxAge      = 10 * time.Minute
	defaultMaxStale    = 24 * time.Hour
	defaultTimeout     = 3 * time.Second
	defaultMaxKeys     = 100
)

// maxMaxSize bounds the configured size of a set, in bytes.
const maxMaxSize = 16 << 20

// Keys of log attributes.
const (
	keyURL        = "url"
	keyError      = "error"
	keyAge        = "age"
	keyKeys       = "keys"
	keyPassedOver = "passed_over"
)

// RemoteConfig says where a JWK set is and how it is fetched. Only URL is required.
type RemoteConfig struct {
	// URL is the address of the JWK set: https, or http on a loopback address.
	URL string
	// Client sends the requests; its CheckRedirect is not used. nil stands for one that keeps no connection and goes through no proxy.
	Client *http.Client
	// MinInterval is the shortest time from the begin of one fetch to the next, whatever their reason and outcome. For so long a key ID
	// that was not in the set stays unknown. 0 stands for 30 seconds.
	MinInterval time.Duration
	// MaxAge is how old the set may become before it is fetched anew: a key that its issuer withdraws is refused after so long. It is
	// not shorter than MinInterval. 0 stands for ten minutes.
	MaxAge time.Duration
	// MaxStale is how old the set may become while fetching it fails. It is not shorter than MaxAge. 0 stands for 24 hours.
	MaxStale time.Duration
	// Timeout bounds one fetch, redirects and body included. 0 stands for three seconds.
	Timeout time.Duration
	// MaxSize bounds the text of the set, in bytes, at most 16 MiB. 0 stands for 256 KiB.
	MaxSize int64
	// MaxKeys bounds the number of keys in the set, unusable ones included. 0 stands for 100.
	MaxKeys int
	// Now is the clock; nil stands for time.Now.
	Now func() time.Time
	// Logger hears when the set changes, and of failures that no caller sees because older keys serve. nil is silent.
	Logger *slog.Logger
}

// RemoteKeys is a KeySet that is fetched over HTTP, when the first key is asked for, when an unknown one is, and when the set has
// become old. Callers wait for a fetch that they need, together for one, and no longer than their contexts last. While fetching fails,
// the keys of the last set serve on. Its methods may be called concurrently.
//
// A set may hold keys that are of no use here, for encryption for example (RFC 7517 §5): they are passed over, and so are symmetric and
// private ones, and usable ones that share a key ID. A set without any usable key counts as a failure.
type RemoteKeys struct {
	cfg    RemoteConfig // complete
	flight singleflight.Group
	mu     sync.Mutex
	state  remoteState // guarded by mu
}

// A remoteState is what is known of the set at one moment.
type remoteState struct {
	keys      *StaticKeys // nil before the first success
	asOf      time.Time   // when the fetch that brought keys began
	digest    [32]byte    // of the text that held keys
	attempted time.Time   // when the last fetch began, zero before the first
	fetching  bool
	fault     error // of the last fetch, nil if it succeeded
}

// NewRemoteKeys returns a RemoteKeys, or an error that names every fault of the configuration. It fetches nothing yet: an issuer that
// cannot be reached at the start keeps nobody from starting.
func NewRemoteKeys(cfg RemoteConfig) (*RemoteKeys, error) {
	cfg.MinInterval = cmp.Or(cfg.MinInterval, defaultMinInterval)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, defaultMaxAge)
	cfg.MaxStale = cmp.Or(cfg.MaxStale, defaultMaxStale)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.MaxSize = cmp.Or(cfg.MaxSize, maxJWKSSize)
	cfg.MaxKeys = cmp.Or(cfg.MaxKeys, defaultMaxKeys)
	cfg.Client = confined(cfg.Client)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var faults []error
	fault := func(wrong bool, what string) {
		if wrong {
			faults = append(faults, errors.New(what))
		}
	}
	if err := checkURL(cfg.URL); err != nil {
		faults = append(faults, err)
	}
	fault(cfg.MinInterval < 0, "minimal interval is negative")
	fault(cfg.MaxAge < cfg.MinInterval, "maximal age is shorter than the minimal interval")
	fault(cfg.MaxStale < cfg.MaxAge, "maximal staleness is shorter than the maximal age")
	fault(cfg.Timeout < 0, "timeout is negative")
	fault(cfg.MaxSize < 0 || cfg.MaxSize > maxMaxSize, fmt.Sprintf("maximal size is negative or more than %d bytes", maxMaxSize))
	fault(cfg.MaxKeys < 0, "maximal number of keys is negative")
	if len(faults) > 0 {
		return nil, fmt.Errorf("configuring remote keys: %w", errors.Join(faults...))
	}
	return &RemoteKeys{cfg: cfg}, nil
}

// Key returns the key with this ID. The error wraps ErrUnknownKey if the set has none, ErrAlgorithm if the key is for another
// algorithm, and ErrKeysUnavailable with the cause if the set could not be fetched and so nobody knows.
func (r *RemoteKeys) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	state := r.snapshot()
	if state.has(kid) && r.age(state) <= r.cfg.MaxAge {
		return state.keys.Key(ctx, kid, alg)
	}
	done := r.refresh(ctx)
	if state.has(kid) && r.age(state) <= r.cfg.MaxStale && state.fault != nil {
		return state.keys.Key(ctx, kid, alg) // the last fetch failed already: not everybody waits for the next
	}
	var interrupted error
	if done != nil {
		resume := paused(ctx)
		select {
		case <-done:
		case <-ctx.Done():
			interrupted = fmt.Errorf("waiting for the JWK set: %w", ctx.Err())
		}
		resume()
	}
	return r.answer(ctx, cmp.Or(interrupted, r.snapshot().fault), kid, alg)
}

// answer answers from what is at hand; fault says why that may not be the newest.
func (r *RemoteKeys) answer(ctx context.Context, fault error, kid, alg string) (crypto.PublicKey, error) {
	state := r.snapshot()
	switch age := r.age(state); {
	case state.has(kid) && age <= r.cfg.MaxStale:
		return state.keys.Key(ctx, kid, alg)
	case fault != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, fault)
	default:
		return nil, ErrUnknownKey
	}
}

// snapshot returns the present state.
func (r *RemoteKeys) snapshot() remoteState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (s remoteState) has(kid string) bool {
	if s.keys == nil {
		return false
	}
	_, ok := s.keys.keys[kid]
	return ok
}

func (r *RemoteKeys) age(s remoteState) time.Duration { return r.cfg.Now().Sub(s.asOf) }

// refresh fetches the set in the background, or joins the fetch that is in flight. The channel yields when that has ended. It is nil
// if no fetch may begin yet.
func (r *RemoteKeys) refresh(ctx context.Context) <-chan singleflight.Result {
	if state := r.snapshot(); !state.fetching && !r.due(state) {
		return nil
	}
	return r.flight.DoChan("", func() (any, error) {
		if began, ok := r.begin(); ok {
			fetched, err := r.fetch(ctx)
			r.end(ctx, began, fetched, err)
		}
		return nil, nil //nolint:nilnil // the outcome is in the state
	})
}

func (r *RemoteKeys) due(s remoteState) bool {
	return s.attempted.IsZero() || r.cfg.Now().Sub(s.attempted) >= r.cfg.MinInterval
}

// begin notes that a fetch begins, unless another one has come first.
func (r *RemoteKeys) begin() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.due(r.state) {
		return time.Time{}, false
	}
	r.state.fetching, r.state.attempted = true, r.cfg.Now()
	return r.state.attempted, true
}

// end notes what came of the fetch that began then.
func (r *RemoteKeys) end(ctx context.Context, began time.Time, fetched fetchedKeys, err error) {
	r.mu.Lock()
	before := r.state
	r.state.fetching, r.state.fault = false, err
	if err == nil {
		r.state.keys, r.state.asOf, r.state.digest = fetched.keys, began, fetched.digest
	}
	r.mu.Unlock()

	log := r.cfg.Logger.With(slog.String(keyURL, r.cfg.URL))
	switch {
	case err != nil && before.keys != nil:
		log.WarnContext(ctx, "JWK set is not renewed: older keys serve", slog.Any(keyError, err), slog.Duration(keyAge, r.age(before)))
	case err == nil && before.digest != fetched.digest:
		log.InfoContext(ctx, "JWK set is new", slog.Int(keyKeys, len(fetched.keys.keys)), slog.Any(keyPassedOver, fetched.passedOver))
	}
}
