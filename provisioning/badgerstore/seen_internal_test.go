package badgerstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// These tests are internal: what they look for is what no reader of the store can see.

func TestNothingIsKeptOfUnknownSecretsAndDeletedClients(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	apply := func(set provisioning.ChangeSet) {
		t.Helper()
		if err := s.Apply(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	see := func(secret string) {
		t.Helper()
		apply(provisioning.ChangeSet{Seen: []provisioning.Sighting{{ClientID: "a", SecretID: secret, TokenAt: at}}})
	}
	client := func(version uint64, secret string) provisioning.ChangeSet {
		c := &provisioning.Client{ID: "a", Version: version, Secrets: []provisioning.Secret{{ID: secret}}}
		return provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: version - 1, Client: c}}}
	}
	apply(client(1, "s0"))
	for i := range 5 {
		see(fmt.Sprint("s", i))
		see("of nobody")
		if kept := keptSecrets(t, s, "a"); len(kept) != 1 || kept[0].id != fmt.Sprint("s", i) {
			t.Fatalf("after secret %d, there are %v", i, kept)
		}
		apply(client(uint64(i+2), fmt.Sprint("s", i+1)))
	}
	apply(provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: 6, Tombstone: &provisioning.Tombstone{ID: "a", Version: 7}}}})
	see("s5")
	if keys := allKeys(t, s); len(keys) != 1 || keys[0] != "ta" {
		t.Errorf("the deleted client left %q, want its tombstone", keys)
	}
}

func keptSecrets(t *testing.T, s *Store, id string) (uses []secretUse) {
	t.Helper()
	err := s.view(t.Context(), func(txn *badger.Txn) error {
		data, _, err := load(txn, recordKey(tagSeen, id))
		if err != nil {
			return err
		}
		kept, err := decodeSeen(data)
		if err != nil {
			return err
		}
		uses = kept.secrets
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return uses
}

func allKeys(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	err := s.view(t.Context(), func(txn *badger.Txn) error {
		return scan(t.Context(), txn, nil, nil, func(key, _ []byte) (bool, error) {
			keys = append(keys, string(key))
			return true, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
