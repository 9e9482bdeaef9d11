package broker_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/broker"
)

func storedKeys(tb testing.TB, dir string) []string {
	tb.Helper()
	var keys []string
	edit(tb, dir, func(txn *badger.Txn) {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, string(it.Item().KeyCopy(nil)))
		}
	})
	return keys
}

// edit opens the store of a broker that does not run.
func edit(tb testing.TB, dir string, change func(*badger.Txn)) {
	tb.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	must(tb, err)
	must(tb, db.Update(func(txn *badger.Txn) error { change(txn); return nil }))
	must(tb, db.Close())
}

func TestADamagedRecordIsSkippedAloud(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	c, _ := r.connect("c", kept)
	c.subscribe("a", 1)
	c.disconnect()
	must(t, r.Publish(t.Context(), "good", []byte("x"), 1, true))
	must(t, r.Publish(t.Context(), "bad", []byte("x"), 1, true))
	r.stop()
	edit(t, dir, func(txn *badger.Txn) {
		must(t, txn.Set([]byte("rbad"), []byte{4, 0}))
		must(t, txn.Set([]byte("sbad"), []byte("{")))
		must(t, txn.Set([]byte("f"), []byte("{}")))
		must(t, txn.Set([]byte("f\x00\x01cx"), []byte("[")))
		must(t, txn.Set([]byte("m\x00\x01c\x00\x05"), []byte{}))
		must(t, txn.Set([]byte("m\x00\x04gone\x00\x05"), []byte("left over")))
	})
	r = start(t, dataDir(dir))
	for _, kind := range []string{"retained message", "session", "subscription", "queued message"} {
		if !strings.Contains(r.log.String(), fmt.Sprintf("kind=%q", kind)) && !strings.Contains(r.log.String(), "kind="+kind) {
			t.Errorf("no word about the %s:\n%s", kind, r.log)
		}
	}
	if _, ok := r.Server().Topics.Retained.Get("good"); !ok {
		t.Error("the good message is gone")
	}
	if _, ack := r.connect("c", kept); !ack.SessionPresent {
		t.Error("the good session is gone")
	}
}

func TestADataFolderThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	start(t, dataDir(used))
	made := func(change func(dir string)) string {
		dir := t.TempDir()
		r := start(t, dataDir(dir))
		must(t, r.Publish(t.Context(), "a", []byte(strings.Repeat("x", 1<<10)), 1, true))
		r.stop()
		change(dir)
		return dir
	}
	write := func(name, content string) func(string) {
		return func(dir string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)) }
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	foreign := t.TempDir()
	write("holiday.jpg", "x")(foreign)
	for name, tt := range map[string]struct {
		dir  string
		want error
	}{
		"in use":           {used, broker.ErrLocked},
		"a file":           {file, broker.ErrFolder},
		"below a file":     {filepath.Join(file, "below"), broker.ErrFolder},
		"not ours":         {foreign, broker.ErrFolder},
		"newer":            {made(write("FORMAT", "boomgate broker 3\n")), broker.ErrNewerFormat},
		"unknown format":   {made(write("FORMAT", "what?")), broker.ErrDamaged},
		"damaged manifest": {made(write("MANIFEST", "garbage that is no manifest")), broker.ErrDamaged},
		"damaged table":    {made(damageTables(t)), broker.ErrDamaged},
	} {
		before := listing(t, tt.dir)
		b, err := broker.Open(t.Context(), broker.Config{DataDir: tt.dir, Logger: silent()})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
			if err == nil {
				must(t, b.Close())
			}
			continue
		}
		if after := listing(t, tt.dir); name == "newer" && after != before {
			t.Errorf("%s: the folder was changed:\n%s\n%s", name, before, after)
		}
	}
}

// damageTables overwrites a byte in the middle of every table.
func damageTables(tb testing.TB) func(dir string) {
	tb.Helper()
	return func(dir string) {
		tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
		must(tb, err)
		if len(tables) == 0 {
			tb.Fatal("there is no table")
		}
		for _, name := range tables {
			content, err := os.ReadFile(name)
			must(tb, err)
			content[len(content)/2] ^= 0xff
			must(tb, os.WriteFile(name, content, 0o600))
		}
	}
}

// listing describes the files of a folder.
func listing(tb testing.TB, dir string) string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var all strings.Builder
	for _, entry := range entries {
		info, err := entry.Info()
		must(tb, err)
		fmt.Fprintln(&all, entry.Name(), info.Size(), info.ModTime())
	}
	return all.String()
}

func TestMessagesThatWereDroppedDoNotComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tiny := limits(broker.Limits{MaxQueued: 2, WriteTimeout: time.Minute})
	r := start(t, dataDir(dir), tiny)
	stuck, _ := r.connect("stuck", kept)
	stuck.subscribe("flood", 1)
	payload := strings.Repeat("x", 200<<10)
	eventually(t, "messages are dropped", func() bool {
		must(t, r.Publish(t.Context(), "flood", []byte(payload), 1, false))
		return r.Server().Info.Clone().InflightDropped > 10
	})
	cl, _ := r.Server().Clients.Get("stuck")
	_ = stuck.Close()
	eventually(t, "the client is offline", cl.Closed)
	waiting := cl.State.Inflight.Len()
	r.stop()
	r = start(t, dataDir(dir), tiny)
	cl, _ = r.Server().Clients.Get("stuck")
	if n := cl.State.Inflight.Len(); n != waiting {
		t.Errorf("%d messages were restored, want %d", n, waiting)
	}
}
