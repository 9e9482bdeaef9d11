package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// together runs a function in many goroutines at once and waits for all.
func together(count int, run func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range count {
		wg.Go(func() {
			<-start
			run(i)
		})
	}
	close(start)
	wg.Wait()
}

func testLostUpdates(t *testing.T, s provisioning.Store) {
	const writers, each = 8, 10
	ctx := context.Background()
	c := newClient("a")
	c.Attributes = map[string]string{"count": "0"}
	apply(t, s, put(c))
	together(writers, func(int) {
		for done := 0; done < each; {
			current, err := s.Client(ctx, "a")
			if err != nil {
				t.Error(err)
				return
			}
			count, _ := strconv.Atoi(current.Attributes["count"])
			err = s.Apply(ctx, put(next(current, func(c *provisioning.Client) {
				c.Attributes["count"] = strconv.Itoa(count + 1)
				c.Labels = map[string]string{"count": strconv.Itoa(count + 1)}
			})))
			switch {
			case err == nil:
				done++
			case !errors.Is(err, provisioning.ErrConflict):
				t.Error(err)
				return
			}
		}
	})
	want := strconv.Itoa(writers * each)
	got, err := s.Client(ctx, "a")
	if err != nil || got.Attributes["count"] != want || got.Version != writers*each+1 {
		t.Fatalf("got %+v, error %v, want a count of %s", got, err, want)
	}
	if found := pages(t, s, provisioning.Query{Labels: map[string]string{"count": want}}); len(found) != 1 {
		t.Fatalf("the index of the last update holds %d clients", len(found))
	}
	if found := pages(t, s, provisioning.Query{Labels: map[string]string{"count": "1"}}); len(found) != 0 {
		t.Fatalf("the index of an earlier update holds %d clients", len(found))
	}
}

func testCreateRace(t *testing.T, s provisioning.Store) {
	var created atomic.Int32
	winner := make(chan *provisioning.Client, 16)
	together(16, func(i int) {
		c := newClient("a")
		c.Name = fmt.Sprint("made by ", i)
		switch err := s.Apply(context.Background(), put(c)); {
		case err == nil:
			created.Add(1)
			winner <- c
		case !errors.Is(err, provisioning.ErrExists):
			t.Errorf("Apply: %v", err)
		}
	})
	if n := created.Load(); n != 1 {
		t.Fatalf("%d creations of one ID succeeded", n)
	}
	readBack(t, s, <-winner)
}

// testRoleRace lets clients be given a role while that is being deleted: either
// there is a client then and the role remains, or the role is gone and nobody
// holds it.
func testRoleRace(t *testing.T, s provisioning.Store) {
	ctx := context.Background()
	for round := range 20 {
		role := fmt.Sprint("r", round)
		apply(t, s, putRole(newRole(role)))
		var deleted atomic.Bool
		var held atomic.Int32
		together(5, func(i int) {
			if i == 0 {
				err := s.Apply(ctx, dropRole(role, 1))
				deleted.Store(err == nil)
				if err != nil && !errors.Is(err, provisioning.ErrRoleInUse) {
					t.Errorf("deleting the role: %v", err)
				}
				return
			}
			c := newClient(fmt.Sprintf("%s-%d", role, i))
			c.Roles = []string{role}
			err := s.Apply(ctx, put(c))
			if err == nil {
				held.Add(1)
			} else if !errors.Is(err, provisioning.ErrConflict) {
				t.Errorf("creating a holder: %v", err)
			}
		})
		if deleted.Load() && held.Load() > 0 {
			t.Fatalf("the role was deleted and %d clients hold it", held.Load())
		}
		if _, err := s.Role(ctx, role); (err != nil) != deleted.Load() {
			t.Fatalf("deleted: %v, but reading the role returns %v", deleted.Load(), err)
		}
	}
}

// testReadersSeeWholeSets moves a pair of clients from label to label in one set
// while lists are read: every list must show both or none.
func testReadersSeeWholeSets(t *testing.T, s provisioning.Store) {
	const moves = 30
	a, b := newClient("a"), newClient("b")
	label := func(i int) map[string]string { return map[string]string{"place": strconv.Itoa(i % 3)} }
	a.Labels, b.Labels = label(0), label(0)
	apply(t, s, put(a, b))
	var finished atomic.Bool
	together(3, func(reader int) {
		if reader == 0 {
			defer finished.Store(true)
			for i := 1; i <= moves; i++ {
				a = next(a, func(c *provisioning.Client) { c.Labels = label(i) })
				b = next(b, func(c *provisioning.Client) { c.Labels = label(i) })
				if err := s.Apply(context.Background(), put(a, b)); err != nil {
					t.Errorf("Apply: %v", err)
					return
				}
			}
			return
		}
		for i := 0; !finished.Load(); i++ {
			page, err := s.Clients(context.Background(), provisioning.Query{Labels: label(i)})
			if err != nil || len(page.Clients) == 1 {
				t.Errorf("a list shows %d of 2 clients, error %v", len(page.Clients), err)
				return
			}
			for _, c := range page.Clients {
				if c.Labels["place"] != label(i)["place"] || c.Version != page.Clients[0].Version {
					t.Errorf("a list shows %+v among %v", c, label(i))
				}
			}
		}
	})
	readBack(t, s, a)
	readBack(t, s, b)
}

// testReadsAfterWrites writes a client and a role together while readers ask for
// either in every way there is. No answer may be older than what a finished write
// has left, or than what the same reader was shown before.
func testReadsAfterWrites(t *testing.T, s provisioning.Store) {
	const writes = 60
	c, r := newClient("a"), newRole("r")
	write := func() error {
		set := put(c)
		set.Roles = putRole(r).Roles
		return s.Apply(context.Background(), set)
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	var written atomic.Uint64
	var finished atomic.Bool
	together(4, func(worker int) {
		if worker == 0 {
			defer finished.Store(true)
			for range writes {
				c, r = next(c, func(*provisioning.Client) {}), r.Clone()
				r.Version++
				if err := write(); err != nil {
					t.Errorf("Apply: %v", err)
					return
				}
				written.Store(c.Version)
			}
			return
		}
		var last uint64
		for way := worker; !finished.Load(); way++ {
			last = max(last, written.Load())
			version, err := readVersion(s, way)
			if err != nil || version < last {
				t.Errorf("read %d shows version %d after version %d, error %v", way%3, version, last, err)
				return
			}
			last = version
		}
	})
	readBack(t, s, c)
	apply(t, s, bury(tombstone(c)))
	gone(t, s, "a", provisioning.ErrDeleted)
}

// readVersion reads the version of client "a", from memory if it is there, or of
// role "r".
func readVersion(s provisioning.Store, way int) (uint64, error) {
	switch way % 3 {
	case 0:
		r, err := s.Role(context.Background(), "r")
		if err != nil {
			return 0, err
		}
		return r.Version, nil
	case 1:
		if c := s.Cached("a"); c != nil {
			return c.Version, nil
		}
	}
	c, err := s.Client(context.Background(), "a")
	if err != nil {
		return 0, err
	}
	return c.Version, nil
}
