package badgerstore_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning/badgerstore"
)

// crashedStore returns a copy of the files of a store that is open, as a process
// that was killed leaves them: each of its clients is a write of its own, in the log.
func crashedStore(tb testing.TB, clients int) (dir string) {
	tb.Helper()
	live := tb.TempDir()
	s := open(tb, live)
	create(tb, s, 0, clients)
	dir = filepath.Join(tb.TempDir(), "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	files, err := os.ReadDir(live)
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(live, file.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		if filepath.Ext(file.Name()) == ".mem" || filepath.Ext(file.Name()) == ".vlog" {
			// A log's 32 MiB are zeros but for the first few thousand bytes.
			data = append(bytes.TrimRight(data, "\x00"), make([]byte, 4096)...)
		}
		write(tb, filepath.Join(dir, file.Name()), string(data))
	}
	return dir
}

// fileOf returns the only file of a kind.
func fileOf(tb testing.TB, dir, pattern string) string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		tb.Fatalf("%s: got files %v, error %v", pattern, files, err)
	}
	return files[0]
}

// change rewrites a file.
func change(tb testing.TB, path string, edit func(data []byte) []byte) {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	write(tb, path, string(edit(data)))
}

func flip(tb testing.TB, path string, at int) {
	tb.Helper()
	change(tb, path, func(data []byte) []byte {
		data[at] ^= 0x40
		return data
	})
}

// nth returns where the text occurs for the n-th time, from 0.
func nth(tb testing.TB, data []byte, text string, n int) int {
	tb.Helper()
	at := 0
	for ; n >= 0; n-- {
		next := bytes.Index(data[at:], []byte(text))
		if next < 0 {
			tb.Fatalf("%q occurs too seldom", text)
		}
		at += next + len(text)
	}
	return at - len(text)
}

func TestADamagedStoreIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]struct {
		file string
		edit func(data []byte) []byte // nil removes the file
		say  string
	}{
		"format garbled":    {"FORMAT", func([]byte) []byte { return []byte("hello") }, "FORMAT"},
		"format empty":      {"FORMAT", func([]byte) []byte { return nil }, "FORMAT"},
		"format no number":  {"FORMAT", func([]byte) []byte { return []byte("boomgate registry format x\n") }, "FORMAT"},
		"manifest garbled":  {"MANIFEST", func(data []byte) []byte { return bytes.Repeat([]byte("x"), len(data)) }, "MANIFEST"},
		"manifest flipped":  {"MANIFEST", func(data []byte) []byte { data[len(data)-3] ^= 1; return data }, "MANIFEST"},
		"manifest cut":      {"MANIFEST", func(data []byte) []byte { return data[:len(data)-3] }, "MANIFEST is cut short"},
		"manifest cut more": {"MANIFEST", func(data []byte) []byte { return data[:8] }, "MANIFEST is cut short"},
		"manifest empty":    {"MANIFEST", func([]byte) []byte { return nil }, "MANIFEST"},
		"manifest lost":     {"MANIFEST", nil, "MANIFEST is lost"},
		"table flipped":     {"*.sst", func(data []byte) []byte { data[100] ^= 1; return data }, ".sst"},
		"table's end":       {"*.sst", func(data []byte) []byte { data[len(data)-2] ^= 1; return data }, ".sst"},
		"table cut":         {"*.sst", func(data []byte) []byte { return data[:len(data)/2] }, ".sst"},
		"table empty":       {"*.sst", func([]byte) []byte { return nil }, ".sst"},
		"table zeroed":      {"*.sst", func(data []byte) []byte { return make([]byte, len(data)) }, ".sst"},
		"table lost":        {"*.sst", nil, "is lost"},
		"keys garbled":      {"KEYREGISTRY", func(data []byte) []byte { return bytes.Repeat([]byte("x"), len(data)) }, "Badger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := closedStore(t)
			path := fileOf(t, dir, damage.file)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if damage.edit == nil {
				err = os.Remove(path)
			} else {
				change(t, path, damage.edit)
			}
			if err != nil {
				t.Fatal(err)
			}
			refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrDamaged, dir, damage.say, "restore a backup")
			write(t, path, string(whole))
			holds(t, open(t, dir), 50)
		})
	}
}

func TestALogThatIsDamagedBeforeLaterWritesIsRefused(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(data []byte) int{
		"in a record":                  func(data []byte) int { return nth(t, data, "device-0000004", 2) },
		"in the first record":          func(data []byte) int { return nth(t, data, "device-0000000", 2) },
		"in the end of a write":        func(data []byte) int { return nth(t, data, "!badger!txn", 4) },
		"in the length of an entry":    func(data []byte) int { return nth(t, data, "cdevice-0000004", 0) - 3 },
		"in the write before the last": func(data []byte) int { return nth(t, data, "device-0000008", 2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashedStore(t, 10)
			path := fileOf(t, dir, "*.mem")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := damage(data)
			flip(t, path, at)
			refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrDamaged, dir, ".mem", "later writes follow", "truncate -s")
			flip(t, path, at)
			holds(t, open(t, dir), 10)
		})
	}
}

func TestWhatFollowsADamageCanBeGivenUpAsTheErrorSays(t *testing.T) {
	t.Parallel()
	dir := crashedStore(t, 10)
	path := fileOf(t, dir, "*.mem")
	change(t, path, func(data []byte) []byte {
		data[nth(t, data, "device-0000004", 2)] ^= 1
		return data
	})
	_, err := badgerstore.Open(context.Background(), badgerstore.Config{Dir: dir})
	advice := regexp.MustCompile(`truncate -s ([0-9]+)`).FindStringSubmatch(fmt.Sprint(err))
	if advice == nil {
		t.Fatalf("got error %v", err)
	}
	size, err := strconv.ParseInt(advice[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, dir), 4)
}

func TestAWriteThatWasCutShortIsDropped(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(data []byte) []byte{
		"its end is missing": func(data []byte) []byte {
			clear(data[nth(t, data, "!badger!txn", 9):])
			return data
		},
		"its middle is missing": func(data []byte) []byte {
			at := nth(t, data, "device-0000009", 2)
			clear(data[at : at+20])
			return data
		},
		"its beginning is missing": func(data []byte) []byte {
			at := nth(t, data, "!badger!txn", 8) + 30
			clear(data[at : at+40])
			return data
		},
		"the file ends in it": func(data []byte) []byte { return data[:nth(t, data, "device-0000009", 2)] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := crashedStore(t, 10)
			change(t, fileOf(t, dir, "*.mem"), edit)
			s := open(t, dir)
			holds(t, s, 9)
			create(t, s, 9, 1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			holds(t, open(t, dir), 10)
		})
	}
}

func TestALogThatIsCutThoughALaterOneFollowsIsRefused(t *testing.T) {
	t.Parallel()
	dir := crashedStore(t, 10)
	first := fileOf(t, dir, "*.mem")
	later := strings.Replace(first, "00001.mem", "00002.mem", 1)
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	write(t, later, string(data))
	change(t, first, func(data []byte) []byte {
		data[nth(t, data, "device-0000009", 2)] ^= 1
		return data
	})
	refused(t, badgerstore.Config{Dir: dir}, badgerstore.ErrDamaged, "00001.mem is damaged at its end")
}

func TestEmptyLogsThatACrashLeavesDoNoHarm(t *testing.T) {
	t.Parallel()
	dir := crashedStore(t, 10)
	write(t, filepath.Join(dir, "00002.mem"), "")
	write(t, filepath.Join(dir, "000002.vlog"), "")
	holds(t, open(t, dir), 10)
}
