package badgerstore_test

import (
	"context"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/storetest"
)

// open opens the store in a folder and closes it when the test ends.
func open(tb testing.TB, dir string) *badgerstore.Store {
	tb.Helper()
	s, err := badgerstore.Open(context.Background(), badgerstore.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

func openNew(tb testing.TB) provisioning.Store {
	tb.Helper()
	return open(tb, tb.TempDir())
}

func TestTheStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, openNew)
}

func TestTheStoreIsDurable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storetest.RunReopen(t,
		func(tb testing.TB) provisioning.Store {
			tb.Helper()
			return open(tb, dir)
		},
		func(tb testing.TB, s provisioning.Store) provisioning.Store {
			tb.Helper()
			if err := s.Close(); err != nil {
				tb.Fatal(err)
			}
			return open(tb, dir)
		})
}

func TestAClientThatWasReadIsInMemoryUntilItIsWritten(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	ctx := t.Context()
	apply := func(set provisioning.ChangeSet) {
		t.Helper()
		if err := s.Apply(ctx, set); err != nil {
			t.Fatal(err)
		}
	}
	c := storetest.Device(1)
	c.Roles = nil
	apply(provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Client: c}}})
	if s.Cached(c.ID) != nil {
		t.Error("a client that nobody has read takes memory")
	}
	for range 2 {
		if _, err := s.Client(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if cached := s.Cached(c.ID); cached == nil || !cached.LastTokenAt.IsZero() || !cached.Secrets[0].LastUsedAt.IsZero() {
			t.Fatalf("in memory is %+v", cached)
		}
		// Whoever is active is seen all the time, and stays.
		apply(provisioning.ChangeSet{Seen: []provisioning.Sighting{{ClientID: c.ID, SecretID: c.Secrets[0].ID, TokenAt: c.CreatedAt}}})
		if s.Cached(c.ID) == nil {
			t.Fatal("a sighting has put a client out of memory")
		}
	}
	c.Version++
	apply(provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: 1, Client: c}}})
	if cached := s.Cached(c.ID); cached != nil {
		t.Errorf("after a write, version %d is in memory", cached.Version)
	}
}
