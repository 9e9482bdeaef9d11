package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/storetest"
)

// sightingStore counts the sets that it takes, and fails or waits if told to.
type sightingStore struct {
	provisioning.Store
	mu      sync.Mutex
	err     error
	hold    chan struct{} // closed to let writes go on; nil holds none
	sets    int
	largest int
}

func (s *sightingStore) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		<-s.hold
	}
	if s.err != nil {
		return s.err
	}
	s.sets++
	s.largest = max(s.largest, len(set.Seen))
	return s.Store.Apply(ctx, set)
}

func (s *sightingStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sightingStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets
}

// recording is a recorder that runs inside a bubble of synctest, on a store in
// memory with clients "c0", "c1" and so on.
type recording struct {
	*provisioning.Recorder
	store *sightingStore
	log   *strings.Builder
	stop  func() error
}

func startRecorder(tb testing.TB, clients, limit int) *recording {
	tb.Helper()
	r := &recording{store: &sightingStore{Store: storetest.NewMemory()}, log: &strings.Builder{}}
	var set provisioning.ChangeSet
	for i := range clients {
		set.Clients = append(set.Clients, provisioning.ClientChange{Client: &provisioning.Client{
			ID: fmt.Sprint("c", i), Version: 1, Secrets: []provisioning.Secret{{ID: "old"}, {ID: "new"}},
		}})
	}
	wantNoError(tb, r.store.Store.Apply(tb.Context(), set))
	var err error
	r.Recorder, err = provisioning.NewRecorder(provisioning.RecorderConfig{
		Store: r.store, Limit: limit, Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: r.log}, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = func() error {
		cancel()
		return <-ended
	}
	return r
}

// client returns a client as the store has it.
func (r *recording) client(tb testing.TB, id string) *provisioning.Client {
	tb.Helper()
	c, err := r.store.Client(context.Background(), id)
	wantNoError(tb, err)
	return c
}

// pass lets time go by until the recorder waits again.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func wantNoError(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestARecorderWritesTheLatestOfEachClientInOneSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRecorder(t, 2, 0)
		for i := range 100 {
			at := epoch.Add(time.Duration(i%60)*time.Second + 999*time.Millisecond)
			r.Message("c0", at)
			r.Connected("c0", at.Add(-time.Hour))
		}
		r.Token("c0", "old", epoch.Add(time.Second))
		r.Token("c0", "new", epoch.Add(2*time.Second))
		r.Connected("not an ID", epoch)
		r.Connected("unknown", epoch)
		pass(provisioning.DefaultRecorderInterval - time.Millisecond)
		if n := r.store.count(); n != 0 {
			t.Fatalf("%d sets were written before the interval was over", n)
		}
		pass(time.Millisecond)
		c := r.client(t, "c0")
		if !c.LastMessageAt.Equal(epoch.Add(59*time.Second)) || !c.LastConnectedAt.Equal(epoch.Add(59*time.Second-time.Hour)) ||
			!c.LastTokenAt.Equal(epoch.Add(2*time.Second)) || !c.Secrets[0].LastUsedAt.Equal(epoch.Add(time.Second)) ||
			!c.Secrets[1].LastUsedAt.Equal(epoch.Add(2*time.Second)) {
			t.Errorf("got %+v", c)
		}
		if c := r.client(t, "c1"); !c.LastMessageAt.IsZero() || !c.LastTokenAt.IsZero() {
			t.Errorf("a client that was not seen is %+v", c)
		}
		pass(10 * provisioning.DefaultRecorderInterval)
		wantNoError(t, r.stop())
		if n := r.store.count(); n != 1 {
			t.Errorf("%d sets were written", n)
		}
	})
}

func TestARecorderWritesOnceMoreWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRecorder(t, 1, 0)
		r.Message("c0", epoch)
		wantNoError(t, r.stop())
		if c := r.client(t, "c0"); !c.LastMessageAt.Equal(epoch) {
			t.Errorf("got %+v", c)
		}
	})
}

func TestARecorderKeepsWhatAFailingStoreRefusesAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRecorder(t, 1, 0)
		broken := errors.New("the disk is full")
		for streak := 1; streak <= 2; streak++ {
			base := epoch.Add(time.Duration(streak) * time.Hour)
			r.store.fail(broken)
			r.Token("c0", "new", base)
			r.Message("c0", base.Add(time.Minute))
			pass(provisioning.DefaultRecorderInterval)
			r.Message("c0", base)
			r.Connected("c0", base)
			pass(3 * provisioning.DefaultRecorderInterval)
			if got := strings.Count(r.log.String(), broken.Error()); got != streak {
				t.Errorf("the log mentions %d failures after %d of their rows: %s", got, streak, r.log)
			}
			r.store.fail(nil)
			pass(provisioning.DefaultRecorderInterval)
			c := r.client(t, "c0")
			if !c.LastMessageAt.Equal(base.Add(time.Minute)) || !c.LastConnectedAt.Equal(base) || !c.Secrets[1].LastUsedAt.Equal(base) {
				t.Errorf("after the failures: %+v", c)
			}
		}
		r.store.fail(broken)
		r.Message("c0", epoch.Add(24*time.Hour))
		wantError(t, r.stop(), broken)
	})
}

func TestARecorderIsBoundedAndWritesEarlyWhenMuchIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 3000
		r := startRecorder(t, 2*limit, limit)
		see := func(from, to int) {
			for i := from; i < to; i++ {
				r.Message(fmt.Sprint("c", i), epoch)
			}
		}
		see(0, limit/2-1)
		synctest.Wait()
		if n := r.store.count(); n != 0 {
			t.Fatalf("%d sets were written below half of the limit", n)
		}
		see(limit/2-1, limit/2)
		synctest.Wait()
		if n := r.store.count(); n != 2 || r.store.largest != 1000 {
			t.Fatalf("%d sets of up to %d were written at half of the limit", n, r.store.largest)
		}
		r.store.fail(errors.New("the disk is full"))
		see(0, 2*limit)
		pass(provisioning.DefaultRecorderInterval)
		see(0, 2*limit)
		pass(provisioning.DefaultRecorderInterval)
		r.store.fail(nil)
		before := r.store.count()
		wantNoError(t, r.stop())
		if n := r.store.count() - before; n != limit/1000 {
			t.Errorf("%d sets of 1,000 were kept, want %d", n, limit/1000)
		}
	})
}

func TestARecorderDoesNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startRecorder(t, 2, 0)
		r.store.hold = make(chan struct{})
		r.Message("c0", epoch)
		pass(provisioning.DefaultRecorderInterval) // the write hangs now
		r.Message("c0", epoch.Add(time.Second))
		r.Token("c1", "new", epoch)
		close(r.store.hold)
		wantNoError(t, r.stop())
		if c := r.client(t, "c0"); !c.LastMessageAt.Equal(epoch.Add(time.Second)) {
			t.Errorf("what was seen during the write is lost: %+v", c)
		}
		if c := r.client(t, "c1"); !c.LastTokenAt.Equal(epoch) {
			t.Errorf("who was seen during the write is lost: %+v", c)
		}
	})
}

func TestARecorderTakesSightingsFromManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers, each = 8, 200
		r := startRecorder(t, workers, 0)
		var wg sync.WaitGroup
		for worker := range workers {
			wg.Go(func() {
				for i := range each {
					r.Message("c0", epoch.Add(time.Duration(i)*time.Second))
					r.Connected(fmt.Sprint("c", worker), epoch.Add(time.Duration(i)*time.Second))
					if i%50 == 0 {
						<-time.After(provisioning.DefaultRecorderInterval)
					}
				}
			})
		}
		wg.Wait()
		wantNoError(t, r.stop())
		for worker := range workers {
			if c := r.client(t, fmt.Sprint("c", worker)); !c.LastConnectedAt.Equal(epoch.Add((each - 1) * time.Second)) {
				t.Errorf("client %d was last connected at %v", worker, c.LastConnectedAt)
			}
		}
		if c := r.client(t, "c0"); !c.LastMessageAt.Equal(epoch.Add((each - 1) * time.Second)) {
			t.Errorf("the last message was at %v", c.LastMessageAt)
		}
	})
}

func TestARecorderNeedsAStoreAndALogger(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]provisioning.RecorderConfig{
		"store":  {Logger: slog.New(slog.DiscardHandler)},
		"logger": {Store: storetest.NewMemory()},
	} {
		if _, err := provisioning.NewRecorder(cfg); err == nil {
			t.Errorf("there is a recorder without a %s", name)
		}
	}
}

// BenchmarkRecorder measures what a message costs, from one connection and from
// all processors at once.
func BenchmarkRecorder(b *testing.B) {
	newRecorder := func(b *testing.B) *provisioning.Recorder {
		b.Helper()
		r, err := provisioning.NewRecorder(provisioning.RecorderConfig{
			Store: storetest.NewMemory(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("device-%07d", i)
	}
	b.Run("one", func(b *testing.B) {
		r := newRecorder(b)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r.Message(ids[i%len(ids)], epoch.Add(time.Duration(i)*time.Millisecond))
		}
	})
	b.Run("parallel", func(b *testing.B) {
		r := newRecorder(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				r.Message(ids[i%len(ids)], epoch.Add(time.Duration(i)*time.Millisecond))
			}
		})
	})
}
