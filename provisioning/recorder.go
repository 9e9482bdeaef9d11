package provisioning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of [RecorderConfig].
const (
	DefaultRecorderInterval = 10 * time.Second
	DefaultRecorderLimit    = 1 << 16
)

const (
	// sightingsPerSet keeps a set small, so that other writes get between two.
	sightingsPerSet = 1000
	// lastFlushPatience bounds the write when a Recorder ends.
	lastFlushPatience = 10 * time.Second
)

// RecorderConfig says where a Recorder writes, and how often.
type RecorderConfig struct {
	Store Applier
	// Interval is the time between two writes; 0 means [DefaultRecorderInterval].
	Interval time.Duration
	// Limit is how many clients and secrets are remembered at most between two
	// writes; at half of it, a write is made early. 0 means [DefaultRecorderLimit].
	Limit  int
	Logger *slog.Logger
}

// Recorder gathers in memory when clients are seen and writes the latest of each
// to the store from time to time: a message costs no write. What it has gathered
// since the last write is lost if the process is killed.
//
// Token, Connected and Message may be called concurrently and never wait for the
// store. Times are kept in whole seconds.
type Recorder struct {
	cfg   RecorderConfig
	early chan struct{} // asks Run for a write before its time

	mu   sync.Mutex
	seen map[subject]*clocks // since the last write

	// The rest belongs to Run.
	unwritten map[subject]*clocks // left by a write that failed
	failing   bool
}

// subject is whom or what a sighting is of: a client, or a client with one of
// its secrets, since two may be in use at once.
type subject struct{ clientID, secretID string }

// clocks are Unix times in seconds, 0 for never.
type clocks [3]int64

const (
	tokenClock = iota
	connectedClock
	messageClock
)

// NewRecorder returns a recorder, which writes while Run runs.
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	if cfg.Store == nil || cfg.Logger == nil {
		return nil, errors.New("provisioning.RecorderConfig: Store or Logger is missing")
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultRecorderInterval
	}
	if cfg.Limit <= 0 {
		cfg.Limit = DefaultRecorderLimit
	}
	return &Recorder{
		cfg: cfg, early: make(chan struct{}, 1), seen: map[subject]*clocks{}, unwritten: map[subject]*clocks{},
	}, nil
}

// Token notes that a client got a token with a secret.
func (r *Recorder) Token(clientID, secretID string, at time.Time) {
	r.see(subject{clientID, secretID}, tokenClock, at)
}

// Connected notes that a client has connected to the broker.
func (r *Recorder) Connected(clientID string, at time.Time) {
	r.see(subject{clientID: clientID}, connectedClock, at)
}

// Message notes that a client has published.
func (r *Recorder) Message(clientID string, at time.Time) {
	r.see(subject{clientID: clientID}, messageClock, at)
}

func (r *Recorder) see(who subject, clock int, at time.Time) {
	second := at.Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.seen[who]
	if c == nil {
		if c = r.add(who); c == nil {
			return
		}
	}
	c[clock] = max(c[clock], second)
}

// add begins to remember somebody. It returns nil for what cannot be a client of
// the registry, and where the store is so slow that the limit is reached.
func (r *Recorder) add(who subject) *clocks {
	if !validID(who.clientID) || len(r.seen) >= r.cfg.Limit {
		return nil
	}
	c := new(clocks)
	// The caller's strings may be parts of a larger one, such as a request.
	r.seen[subject{strings.Clone(who.clientID), strings.Clone(who.secretID)}] = c
	if len(r.seen) == (r.cfg.Limit+1)/2 {
		select {
		case r.early <- struct{}{}:
		default:
		}
	}
	return c
}

// Run writes what has been seen until the context ends, then once more. It is
// called once. What a failing store does not take is kept and written with what
// comes; the log says so once for each row of failures. Run returns the error of
// the last write.
func (r *Recorder) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.finish(ctx)
		case <-ticker.C:
		case <-r.early:
		}
		err := r.flush(ctx)
		if err != nil && ctx.Err() == nil && !r.failing {
			r.cfg.Logger.WarnContext(ctx, "when clients were seen could not be written and is kept in memory", logError, err)
		}
		r.failing = err != nil
	}
}

func (r *Recorder) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlushPatience)
	defer cancel()
	if err := r.flush(ctx); err != nil {
		return fmt.Errorf("writing when clients were last seen: %w", err)
	}
	return nil
}

// flush writes what has been seen and what was left before.
func (r *Recorder) flush(ctx context.Context) error {
	r.mu.Lock()
	fresh := r.seen
	r.seen = map[subject]*clocks{}
	r.mu.Unlock()
	r.keep(fresh)
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(r.unwritten)), sightingsPerSet) {
		set := ChangeSet{Seen: make([]Sighting, len(chunk))}
		for i, who := range chunk {
			set.Seen[i] = r.unwritten[who].sighting(who)
		}
		if err := r.cfg.Store.Apply(ctx, set); err != nil {
			return err
		}
		for _, who := range chunk {
			delete(r.unwritten, who)
		}
	}
	return nil
}

// keep adds to what is to be written, within the limit.
func (r *Recorder) keep(fresh map[subject]*clocks) {
	for who, c := range fresh {
		before := r.unwritten[who]
		switch {
		case before != nil:
			for i := range before {
				before[i] = max(before[i], c[i])
			}
		case len(r.unwritten) < r.cfg.Limit:
			r.unwritten[who] = c
		}
	}
}

func (c *clocks) sighting(who subject) Sighting {
	return Sighting{
		ClientID: who.clientID, SecretID: who.secretID,
		TokenAt: fromUnix(c[tokenClock]), ConnectedAt: fromUnix(c[connectedClock]), MessageAt: fromUnix(c[messageClock]),
	}
}

func fromUnix(second int64) time.Time {
	if second == 0 {
		return time.Time{}
	}
	return time.Unix(second, 0).UTC()
}
