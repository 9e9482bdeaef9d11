package provisioning_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
)

// epoch is when the tests begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// language is the language of scopes that the program uses.
type language struct{}

func (language) ParseTemplate(text string) (provisioning.ScopeTemplate, error) {
	return topicacl.ParseTemplate(text)
}

func (language) Covers(granted, requested string) bool { return topicacl.Covers(granted, requested) }

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// gate stands for the broker: it records whose sessions were closed or judged
// anew, and why, and answers as if each call had met one.
type gate struct {
	mu       sync.Mutex
	closed   []string
	judged   []string
	removed  []string
	selected []provisioning.Selection // of all calls
	// onClose, if set, is called for each.
	onClose func(ctx context.Context, sel provisioning.Selection)
	// failure, if set, is what the removal of retained messages returns.
	failure error
}

func (g *gate) CloseSessions(ctx context.Context, sel provisioning.Selection, cause string) provisioning.Receipt {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = append(g.closed, sel.ClientID+": "+cause)
	g.selected = append(g.selected, sel)
	if g.onClose != nil {
		g.onClose(ctx, sel)
	}
	return provisioning.Receipt{Sessions: 1, Subscriptions: 2, Queued: 3, Wills: 1}
}

func (g *gate) RejudgeSessions(ctx context.Context, sel provisioning.Selection, cause string) provisioning.Receipt {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judged = append(g.judged, sel.ClientID+sel.Role+": "+cause)
	g.selected = append(g.selected, sel)
	return provisioning.Receipt{Rejudged: 1, Subscriptions: 1}
}

func (g *gate) RemoveRetained(_ context.Context, clientID string) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure != nil {
		return 1, g.failure
	}
	g.removed = append(g.removed, clientID)
	return 4, nil
}

// fixture is a registry on a real store.
type fixture struct {
	*provisioning.Service
	registry    *provisioning.Registry
	revocations *provisioning.Revocations
	store       provisioning.Store
	clock       *clock
	gate        *gate
	log         *strings.Builder
}

// newFixture opens a registry; wrap may put something around its store.
func newFixture(tb testing.TB, wrap func(provisioning.Store) provisioning.Store) *fixture {
	tb.Helper()
	f := &fixture{
		store: openStore(tb), clock: &clock{now: epoch}, gate: &gate{}, log: &strings.Builder{},
	}
	if wrap != nil {
		f.store = wrap(f.store)
	}
	f.restart(tb)
	return f
}

// restart opens the registry again, as the program does when it starts.
func (f *fixture) restart(tb testing.TB) {
	tb.Helper()
	var err error
	f.revocations, err = provisioning.OpenRevocations(tb.Context(), f.store, f.clock.Now)
	if err != nil {
		tb.Fatal(err)
	}
	f.Service, err = provisioning.NewService(tb.Context(), f.config())
	if err != nil {
		tb.Fatal(err)
	}
	f.registry = f.Service.Registry()
}

func (f *fixture) config() provisioning.Config {
	return provisioning.Config{
		Store: f.store, Scopes: language{}, Revocations: f.revocations, Sessions: f.gate, Judge: f.gate, Retained: f.gate,
		Now: f.clock.Now, Rand: rand.Reader,
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: f.log}, nil)),
	}
}

type lockedWriter struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func openStore(tb testing.TB) *badgerstore.Store {
	tb.Helper()
	store, err := badgerstore.Open(context.Background(), badgerstore.Config{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return store
}

// sensor is a device that is created without faults.
func sensor(id string) provisioning.NewClient {
	return provisioning.NewClient{
		ID: id, Kind: provisioning.KindDevice, Name: "Sensor " + id,
		Labels: map[string]string{"site": "garage-1"}, Roles: []string{provisioning.RoleParkingSensor},
	}
}

func (f *fixture) create(tb testing.TB, n provisioning.NewClient) (*provisioning.Client, provisioning.ClearSecret) {
	tb.Helper()
	c, secret, err := f.Create(tb.Context(), n)
	if err != nil {
		tb.Fatal(err)
	}
	return c, secret
}

// deleteRole deletes a role of whose receipt nothing is asked.
func (f *fixture) deleteRole(tb testing.TB, id string, ifVersion uint64) error {
	tb.Helper()
	_, err := f.DeleteRole(tb.Context(), id, ifVersion)
	return err
}

// authenticates checks that a secret is the client's.
func (f *fixture) authenticates(tb testing.TB, id string, secret provisioning.ClearSecret) {
	tb.Helper()
	c, secretID, err := f.registry.Authenticate(tb.Context(), id, secret.Reveal())
	if err != nil || c.ID != id || !slices.ContainsFunc(c.Secrets, func(s provisioning.Secret) bool { return s.ID == secretID }) {
		tb.Fatalf("Authenticate(%q) = %+v, %q, %v", id, c, secretID, err)
	}
}

// rejects checks that a secret is refused for a reason.
func (f *fixture) rejects(tb testing.TB, id, secret string, want provisioning.AuthenticationReason) {
	tb.Helper()
	c, _, err := f.registry.Authenticate(tb.Context(), id, secret)
	var refused *provisioning.AuthenticationError
	if c != nil || !errors.Is(err, provisioning.ErrUnauthenticated) || !errors.As(err, &refused) || refused.Reason != want {
		tb.Fatalf("Authenticate(%q) = %v, %v, want the reason %q", id, c, err, want)
	}
}

// wantFields checks that an error names exactly these fields.
func wantFields(tb testing.TB, err error, fields ...string) {
	tb.Helper()
	var invalid *provisioning.InvalidError
	if !errors.Is(err, provisioning.ErrInvalid) || !errors.As(err, &invalid) {
		tb.Fatalf("got error %v, want an InvalidError", err)
	}
	var got []string
	for _, f := range invalid.Fields {
		got = append(got, f.Field)
		if f.Message == "" {
			tb.Errorf("%s: no message", f.Field)
		}
	}
	if !slices.Equal(got, fields) {
		tb.Fatalf("got faults in %q, want %q: %v", got, fields, err)
	}
}

func wantError(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
}
