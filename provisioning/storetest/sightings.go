package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func sight(sightings ...provisioning.Sighting) provisioning.ChangeSet {
	return provisioning.ChangeSet{Seen: sightings}
}

// minutes is that long after the epoch of the tests.
func minutes(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }

func testSightings(t *testing.T, s provisioning.Store) {
	want := newClient("a")
	apply(t, s, put(want, newClient("a-not-seen")))
	// Out of order, and each set twice: the latest counts.
	for _, set := range []provisioning.ChangeSet{
		sight(provisioning.Sighting{ClientID: "a", SecretID: "one", TokenAt: minutes(5)}),
		sight(provisioning.Sighting{ClientID: "a", ConnectedAt: minutes(7), MessageAt: minutes(9)}),
		sight(
			provisioning.Sighting{ClientID: "a", SecretID: "two", TokenAt: minutes(4)},
			provisioning.Sighting{ClientID: "a", SecretID: "one", TokenAt: minutes(3)},
			provisioning.Sighting{ClientID: "a", MessageAt: minutes(8)},
		),
		sight(provisioning.Sighting{ClientID: "a", TokenAt: minutes(6)}),
		sight(),
	} {
		apply(t, s, set, set)
	}
	want.LastTokenAt, want.LastConnectedAt, want.LastMessageAt = minutes(6), minutes(7), minutes(9)
	want.Secrets[0].LastUsedAt, want.Secrets[1].LastUsedAt = minutes(5), minutes(4)
	readBack(t, s, want)
	readBack(t, s, newClient("a-not-seen"))
}

func testSightingsOfNobody(t *testing.T, s provisioning.Store) {
	c := newClient("a")
	apply(t, s, sight(provisioning.Sighting{ClientID: "a", SecretID: "one", TokenAt: minutes(1)}), put(c))
	readBack(t, s, c)
	want := c.Clone()
	want.LastTokenAt = minutes(2)
	apply(t, s, sight(
		provisioning.Sighting{ClientID: "nobody", MessageAt: minutes(2)},
		provisioning.Sighting{ClientID: "a", SecretID: "three", TokenAt: minutes(2)},
	))
	readBack(t, s, want)
	gone(t, s, "nobody", provisioning.ErrNotFound)

	// A deletion takes the clocks along, and nothing brings them back.
	apply(t, s, bury(tombstone(c)), sight(provisioning.Sighting{ClientID: "a", MessageAt: minutes(3)}))
	gone(t, s, "a", provisioning.ErrDeleted)
	if found := pages(t, s, provisioning.Query{}); len(found) != 0 {
		t.Fatalf("a list holds %v after the deletion", found)
	}
	refuse(t, s, put(newClient("a")), provisioning.ErrDeleted)
}

// testSightingsBesideChanges has records and sightings in one set.
func testSightingsBesideChanges(t *testing.T, s provisioning.Store) {
	c := newClient("a")
	created := put(c, newClient("b"))
	created.ID = "created"
	created.Seen = []provisioning.Sighting{{ClientID: "a", SecretID: "two", TokenAt: minutes(1)}}
	want := c.Clone()
	want.LastTokenAt, want.Secrets[1].LastUsedAt = minutes(1), minutes(1)
	for range 2 {
		apply(t, s, created)
		readBack(t, s, want)
	}

	refused := put(newClient("a"))
	refused.Seen = []provisioning.Sighting{{ClientID: "a", MessageAt: minutes(2)}, {ClientID: "b", MessageAt: minutes(2)}}
	refuse(t, s, refused, provisioning.ErrExists)
	readBack(t, s, want)
	readBack(t, s, newClient("b"))

	// The clocks of a written client are those that are stored, whatever it holds.
	update := next(want, func(c *provisioning.Client) {
		c.LastTokenAt, c.LastMessageAt = time.Time{}, minutes(60)
		c.Secrets = c.Secrets[1:]
		c.Secrets[0].LastUsedAt = minutes(60)
	})
	replaced := put(update)
	replaced.ID = "replaced"
	replaced.Seen = []provisioning.Sighting{{ClientID: "a", SecretID: "one", TokenAt: minutes(3)}}
	want = update.Clone()
	want.LastTokenAt, want.LastMessageAt, want.Secrets[0].LastUsedAt = minutes(3), time.Time{}, minutes(1)
	for range 2 {
		apply(t, s, replaced)
		readBack(t, s, want)
	}

	buried := bury(tombstone(update))
	buried.Seen = []provisioning.Sighting{{ClientID: "a", MessageAt: minutes(4)}}
	apply(t, s, buried)
	gone(t, s, "a", provisioning.ErrDeleted)
}

// testListsShowSightings has two of three clients of a list seen.
func testListsShowSightings(t *testing.T, s provisioning.Store) {
	const count = 30
	seen := func(i int) bool { return i%3 != 1 }
	var set provisioning.ChangeSet
	for i := range count {
		c := bareClient(fmt.Sprintf("c%02d", i))
		c.Labels = map[string]string{"part": fmt.Sprint(i % 7)}
		apply(t, s, put(c))
		if seen(i) {
			set.Seen = append(set.Seen, provisioning.Sighting{ClientID: c.ID, MessageAt: minutes(i + 1)})
		}
	}
	apply(t, s, set)
	for _, q := range []provisioning.Query{
		{}, {Limit: 7}, {Limit: 1}, {Kind: provisioning.KindService, Limit: 4}, {Labels: map[string]string{"part": "2"}, Limit: 3},
	} {
		for _, c := range pages(t, s, q) {
			var i int
			if _, err := fmt.Sscanf(c.ID, "c%d", &i); err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if seen(i) {
				want = minutes(i + 1)
			}
			if !c.LastMessageAt.Equal(want) {
				t.Errorf("%+v: client %s was seen at %v, want %v", q, c.ID, c.LastMessageAt, want)
			}
		}
	}
}

// testSightingsRace has a client seen by some while others write it: no write is
// refused for a sighting, and no sighting is lost for a write.
func testSightingsRace(t *testing.T, s provisioning.Store) {
	const each = 20
	ctx := context.Background()
	apply(t, s, put(newClient("a")))
	together(4, func(worker int) {
		for i := 1; i <= each; i++ {
			set := sight(provisioning.Sighting{ClientID: "a", SecretID: "one", TokenAt: minutes(i), MessageAt: minutes(each - i)})
			if worker == 0 {
				c, err := s.Client(ctx, "a")
				if err != nil {
					t.Error(err)
					return
				}
				set = put(next(c, func(c *provisioning.Client) { c.Name += "." }))
			}
			if err := s.Apply(ctx, set); err != nil {
				t.Errorf("worker %d, step %d: %v", worker, i, err)
				return
			}
		}
	})
	c, err := s.Client(ctx, "a")
	if err != nil || c.Version != each+1 || !c.LastTokenAt.Equal(minutes(each)) ||
		!c.LastMessageAt.Equal(minutes(each-1)) || !c.Secrets[0].LastUsedAt.Equal(minutes(each)) {
		t.Fatalf("got %+v, error %v", c, err)
	}
}

// testSightingsOfTheDying has clients seen while they are deleted.
func testSightingsOfTheDying(t *testing.T, s provisioning.Store) {
	ctx := context.Background()
	for round := range 20 {
		c := newClient(fmt.Sprint("c", round))
		apply(t, s, put(c))
		together(3, func(worker int) {
			set := sight(provisioning.Sighting{ClientID: c.ID, SecretID: "one", TokenAt: minutes(worker)})
			if worker == 0 {
				set = bury(tombstone(c))
			}
			if err := s.Apply(ctx, set); err != nil {
				t.Errorf("worker %d: %v", worker, err)
			}
		})
		if _, err := s.Client(ctx, c.ID); !errors.Is(err, provisioning.ErrDeleted) {
			t.Fatalf("reading the deleted client returned %v", err)
		}
	}
	if found := pages(t, s, provisioning.Query{}); len(found) != 0 {
		t.Fatalf("a list holds %d deleted clients", len(found))
	}
}
