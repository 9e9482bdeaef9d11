package badgerstore

import (
	"fmt"
	"strings"
	"testing"
)

// These tests are internal: in the store, the order of steps that matters here is
// a matter of luck.

// read puts a record in as the store does.
func read(c *cache[string], id, text string, size int) {
	c.put(id, c.claim(id), &text, size)
}

// holds checks what a cache has under an ID, "" for nothing.
func holds(tb testing.TB, c *cache[string], id, want string) {
	tb.Helper()
	got := ""
	if record := c.get(id); record != nil {
		got = *record
	}
	if got != want {
		tb.Errorf("the cache holds %q under %q, want %q", got, id, want)
	}
}

func TestARecordReadBeforeAWriteStaysOut(t *testing.T) {
	t.Parallel()
	for _, steps := range []string{"put hold release", "hold put release", "hold release put", "hold release hold put release"} {
		t.Run(steps, func(t *testing.T) {
			t.Parallel()
			c := newCache[string](100)
			old, claim := "old", c.claim("a")
			for step := range strings.FieldsSeq(steps) {
				switch step {
				case "put":
					c.put("a", claim, &old, 1)
				case "hold":
					c.hold([]string{"a"})
				case "release":
					c.release([]string{"a"})
				}
			}
			holds(t, c, "a", "")
			read(c, "a", "new", 1)
			c.put("a", claim, &old, 1) // a claim counts once
			holds(t, c, "a", "new")
			if len(c.claims) != 0 {
				t.Errorf("%d claims are left", len(c.claims))
			}
		})
	}
}

func TestARecordReadDuringItsWriteStaysOut(t *testing.T) {
	t.Parallel()
	c := newCache[string](100)
	read(c, "a", "old", 1)
	read(c, "b", "other", 1)
	c.hold([]string{"a"})
	holds(t, c, "a", "")
	holds(t, c, "b", "other")
	read(c, "a", "old", 1)
	holds(t, c, "a", "")
	c.release([]string{"a"})
	read(c, "a", "new", 1)
	holds(t, c, "a", "new")
}

func TestOneOfTwoReadersPutsARecordIn(t *testing.T) {
	t.Parallel()
	c := newCache[string](100)
	first, second, record := c.claim("a"), c.claim("a"), "x"
	c.put("a", second, &record, 1)
	holds(t, c, "a", "")
	c.put("a", first, &record, 1)
	holds(t, c, "a", "x")
}

func TestAReaderThatFindsNothingLeavesNothing(t *testing.T) {
	t.Parallel()
	c := newCache[string](100)
	for range 3 {
		c.put("a", c.claim("a"), nil, 0)
		holds(t, c, "a", "")
	}
	if len(c.claims) != 0 || c.room != 100 {
		t.Errorf("%d claims are left, and %d bytes of room", len(c.claims), c.room)
	}
}

func TestWhatWasNotAskedForLatelyMakesRoom(t *testing.T) {
	t.Parallel()
	c := newCache[string](100)
	for i := range 10 {
		read(c, fmt.Sprint(i), "x", 10)
	}
	holds(t, c, "0", "x")
	read(c, "more", "x", 20)
	for id, want := range map[string]string{"0": "x", "1": "", "2": "", "3": "x", "more": "x"} {
		holds(t, c, id, want)
	}
	read(c, "0", "larger", 40) // in place of itself
	if c.room < 0 || c.records.Len() != 6 {
		t.Errorf("%d records are left, and %d bytes of room", c.records.Len(), c.room)
	}
	read(c, "all", "x", 101)
	holds(t, c, "all", "")
	if c.records.Len() != 0 || c.room != 100 {
		t.Errorf("%d records are left, and %d bytes of room", c.records.Len(), c.room)
	}
}
