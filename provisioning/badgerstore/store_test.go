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
