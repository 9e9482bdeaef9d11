package badgerstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
)

// formatOne is what a program of format 1 has written: a client, which is in its
// indexes, a role, a key and a tombstone.
var formatOne = map[string]string{
	"cb2-017": "\x01" + `{"change":"x1","id":"b2-017","kind":"device","name":"Sensor","labels":{"site":"garage-1"},"roles":["r"],` +
		`"grants":[{"audience":"boomgate:mqtt","scopes":["pub:a"]}],"status":"active",` +
		`"secrets":[{"id":"one","hash":"$hmac-sha256$k$c3Vt","created_at":"2026-03-01T12:00:00Z"}],"attributes":{"department":"sales"},` +
		`"token_ttl_ns":90000000000,"mqtt_client_ids":["a"],"version":3,` +
		`"created_at":"2026-03-01T12:00:00Z","updated_at":"2026-03-01T12:00:00Z"}`,
	"ik\x00\x06deviceb2-017":               "",
	"is\x00\x06activeb2-017":               "",
	"ir\x00\x01rb2-017":                    "",
	"il\x00\x04site\x00\x08garage-1b2-017": "",
	"rr":                                   "\x01" + `{"change":"x2","id":"r","description":"d","grants":[{"audience":"boomgate:mqtt","scopes":["pub:b"]}],"version":2}`,
	"k\x00\x03sigkey":                      "\x01" + `{"id":"key","use":"sig","alg":"EdDSA","private":"AAEC","created_at":"2026-03-01T12:00:00Z"}`,
	"tgone":                                "\x01" + `{"change":"x3","id":"gone","kind":"device","version":2,"deleted_at":"2026-03-01T12:00:00Z"}`,
}

// writeFormatOne makes a data folder as a program of format 1 leaves it.
func writeFormatOne(tb testing.TB) (dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "store")
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		tb.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		for key, value := range formatOne {
			if err := txn.Set([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
	write(tb, filepath.Join(dir, "FORMAT"), "boomgate registry format 1\n")
	return dir
}

func TestAStoreOfAnOlderFormatIsReadWholeAndRaised(t *testing.T) {
	t.Parallel()
	dir := writeFormatOne(t)
	s := open(t, dir)
	ctx := context.Background()
	page, err := s.Clients(ctx, provisioning.Query{Role: "r", Labels: map[string]string{"site": "garage-1"}})
	if err != nil || len(page.Clients) != 1 {
		t.Fatalf("got %+v, error %v", page, err)
	}
	c := page.Clients[0]
	if c.ID != "b2-017" || c.Version != 3 || len(c.Secrets) != 1 || c.TokenTTL != 90*time.Second || c.Certificates != nil {
		t.Errorf("got client %+v", c)
	}
	role, err := s.Role(ctx, "r")
	if err != nil || role.Version != 2 || role.Limits != (provisioning.Limits{}) {
		t.Errorf("got role %+v, error %v", role, err)
	}
	if keys, err := s.Keys(ctx, "sig"); err != nil || len(keys) != 1 || string(keys[0].Private) != "\x00\x01\x02" {
		t.Errorf("got keys %v, error %v", keys, err)
	}
	if _, err := s.Client(ctx, "gone"); !errors.Is(err, provisioning.ErrDeleted) {
		t.Errorf("reading the deleted client returned %v", err)
	}
	if list, err := s.Revocations(ctx, "", 10); err != nil || len(list) != 0 {
		t.Errorf("got revocations %v, error %v", list, err)
	}

	// What it could not hold before, it holds now, and an older program keeps off.
	c.Version, c.Certificates = 4, []provisioning.Certificate{{DNS: "a.example"}}
	set := provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: 3, Client: &c}}}
	set.Revocations = []provisioning.RevocationChange{{Revocation: provisioning.Revocation{ID: "x", ClientID: "b2-017"}}}
	if err := errors.Join(s.Apply(ctx, set), s.Close()); err != nil {
		t.Fatal(err)
	}
	format, err := os.ReadFile(filepath.Join(dir, "FORMAT"))
	if err != nil || string(format) != "boomgate registry format 2\n" {
		t.Errorf("the folder says %q, error %v", format, err)
	}
	again, err := open(t, dir).Client(ctx, "b2-017")
	if err != nil || len(again.Certificates) != 1 {
		t.Errorf("got client %+v, error %v", again, err)
	}
}

func TestADamagedStoreOfAnOlderFormatIsNotRaised(t *testing.T) {
	t.Parallel()
	dir := writeFormatOne(t)
	path := filepath.Join(dir, "MANIFEST")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "garbled")
	refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrDamaged, "MANIFEST")
	write(t, path, string(whole))
	if _, err := open(t, dir).Client(context.Background(), "b2-017"); err != nil {
		t.Error(err)
	}
}
