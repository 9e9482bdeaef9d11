package badgerstore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/storetest"
)

// refused checks that a store is not opened, why, that the text names what an
// operator needs to know, and that nothing in the folder above has changed.
func refused(tb testing.TB, cfg badgerstore.Config, want error, texts ...string) {
	tb.Helper()
	before := contents(tb, filepath.Dir(cfg.Dir))
	s, err := badgerstore.Open(context.Background(), cfg)
	if err == nil {
		tb.Fatalf("the store was opened; Close: %v", s.Close())
	}
	if !errors.Is(err, want) {
		tb.Fatalf("got error %q, want %q", err, want)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			tb.Errorf("the error %q does not say %q", err, text)
		}
	}
	if after := contents(tb, filepath.Dir(cfg.Dir)); after != before {
		tb.Errorf("the folder was changed: it held\n%s\nand holds\n%s", before, after)
	}
}

// contents lists a folder's files with their sums.
func contents(tb testing.TB, dir string) string {
	tb.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&list, "%s %d %x\n", path, len(data), sha256.Sum256(data))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return list.String()
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// closedStore makes a store of some clients and closes it.
func closedStore(tb testing.TB) (dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "store")
	s := open(tb, dir)
	create(tb, s, 0, 50)
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir
}

func create(tb testing.TB, s provisioning.Store, from, count int) {
	tb.Helper()
	for i := range count {
		if err := s.Apply(context.Background(), creation(from+i)); err != nil {
			tb.Fatal(err)
		}
	}
}

// creation is the change set that makes one client without roles.
func creation(i int) provisioning.ChangeSet {
	c := storetest.Device(i)
	c.Roles = nil
	return provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Client: c}}}
}

// holds checks which of the clients are there.
func holds(tb testing.TB, s provisioning.Store, want int) {
	tb.Helper()
	page, err := s.Clients(context.Background(), provisioning.Query{Limit: provisioning.MaxPageSize})
	if err != nil || len(page.Clients) != want {
		tb.Fatalf("the store holds %d clients, error %v, want %d", len(page.Clients), err, want)
	}
	for i, c := range page.Clients {
		if c.ID != storetest.Device(i).ID || c.Version != 1 || len(c.Labels) != 2 || len(c.Secrets) != 1 {
			tb.Fatalf("client %d is %+v", i, c)
		}
	}
}

func TestAFileInPlaceOfTheFolderIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "mine")
	refused(t, badgerstore.Config{Dir: path}, badgerstore.ErrFolder, path, "is a file", "choose a folder")
	refused(t, badgerstore.Config{Dir: filepath.Join(path, "store")}, badgerstore.ErrFolder, "choose another folder")
	refused(t, badgerstore.Config{}, badgerstore.ErrFolder, "no folder is given")
}

func TestAnUnwritableFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Nothing is forbidden to root but what the kernel itself keeps.
		dir = "/proc/self"
		if _, err := os.Stat(dir); err != nil {
			dir = "/dev/fd"
		}
	}
	plenty := func(string) (int64, error) { return 1 << 30, nil }
	s, err := badgerstore.Open(context.Background(), badgerstore.Config{Dir: dir, FreeSpace: plenty})
	if !errors.Is(err, badgerstore.ErrFolder) || !strings.Contains(err.Error(), "let the user that runs this program write to it") {
		t.Fatalf("got store %v, error %v", s, err)
	}
}

func TestALockedStoreIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir)
	create(t, s, 0, 3)
	process := fmt.Sprintf("process %d", os.Getpid())
	refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrLocked, dir, process, "stop that process")
	create(t, s, 3, 3)
	holds(t, s, 6)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, dir), 6)
}

func TestANewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	format := filepath.Join(dir, "FORMAT")
	known, err := os.ReadFile(format)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(known), fmt.Sprint(badgerstore.Format), fmt.Sprint(badgerstore.Format+1), 1)
	write(t, format, newer)
	refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrNewerFormat, dir, "has format 3", "reads 2", "use the newer program")
	write(t, format, string(known))
	holds(t, open(t, dir), 50)
}

func TestAnotherProgramsDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	if err := os.Remove(filepath.Join(dir, "FORMAT")); err != nil {
		t.Fatal(err)
	}
	refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrFolder, dir, "another program's database", "FORMAT")
}

func TestAFolderWithFilesOfOthersCanBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "notes.txt"), "mine")
	s := open(t, dir)
	create(t, s, 0, 3)
	holds(t, s, 3)
}

func TestTooLittleSpaceStopsTheStartAndWrites(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	free := int64(1 << 30)
	cfg := badgerstore.Config{Dir: dir, FreeSpace: func(string) (int64, error) { return free, nil }}
	s, err := badgerstore.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	create(t, s, 0, 1)
	free = 1 << 20
	if err := s.Apply(context.Background(), creation(1)); !errors.Is(err, badgerstore.ErrNoSpace) {
		t.Errorf("a write on a full disk returned %v", err)
	}
	holds(t, s, 1)
	free = 1 << 30
	create(t, s, 1, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	free = 1 << 20
	refused(t, cfg, badgerstore.ErrNoSpace, dir, "1 MiB free", "needs 64 MiB")
}

func TestAStartThatWasCutShortIsTakenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A process that died after it had made the file and before it wrote to it.
	write(t, filepath.Join(dir, "FORMAT"), "")
	s := open(t, dir)
	create(t, s, 0, 3)
	holds(t, s, 3)
}

func TestASetThatIsTooLargeIsRefusedWhole(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	var set provisioning.ChangeSet
	for i := range 10_000 {
		set.Clients = append(set.Clients, creation(i).Clients...)
	}
	if err := s.Apply(context.Background(), set); !errors.Is(err, provisioning.ErrTooLarge) {
		t.Fatalf("Apply returned %v", err)
	}
	holds(t, s, 0)
	create(t, s, 0, 3)
	holds(t, s, 3)
}

func TestARecordOfANewerVersionIsNotGuessedAt(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("cdevice-0000000"), []byte("\x02{}")) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := s.Client(context.Background(), storetest.Device(0).ID); !errors.Is(err, badgerstore.ErrNewerFormat) {
		t.Errorf("got error %v", err)
	}
	if _, err := s.Client(context.Background(), storetest.Device(1).ID); err != nil {
		t.Errorf("another record: %v", err)
	}
}
