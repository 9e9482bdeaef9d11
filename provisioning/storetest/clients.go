package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

func testCreatedClient(t *testing.T, s provisioning.Store) {
	gone(t, s, "a", provisioning.ErrNotFound)
	full, bare := newClient("a"), bareClient("b")
	apply(t, s, put(full), put(bare))
	readBack(t, s, full)
	readBack(t, s, bare)
	refuse(t, s, put(bareClient("a")), provisioning.ErrExists)
	readBack(t, s, full)
}

func testOwnership(t *testing.T, s provisioning.Store) {
	given := newClient("a")
	want := given.Clone()
	apply(t, s, put(given))
	given.Labels["site"], given.Grants[0].Scopes[0], given.Secrets[0].Hash = "other", "other", "other"
	given.Certificates[0].Thumbprint = "other"
	readBack(t, s, want)
	got, err := s.Client(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got.Labels["site"], got.Grants[0].Scopes[0], got.Secrets[0].Hash = "other", "other", "other"
	got.Certificates[0].Thumbprint = "other"
	readBack(t, s, want)
	role := newRole("r")
	apply(t, s, putRole(role))
	role.Grants[0].Scopes[0] = "other"
	for range 2 {
		got, err := s.Role(context.Background(), "r")
		if err != nil {
			t.Fatal(err)
		}
		if difference := compare(got, newRole("r")); difference != "" {
			t.Fatalf("role: %s", difference)
		}
		got.Grants[0].Scopes[0] = "other"
	}
}

func testVersions(t *testing.T, s provisioning.Store) {
	first := newClient("a")
	second := next(first, func(c *provisioning.Client) { c.Name = "second" })
	third := next(second, func(c *provisioning.Client) { c.Name, c.Labels, c.Secrets = "third", nil, nil })
	refuse(t, s, put(second), provisioning.ErrNotFound)
	apply(t, s, put(first))
	refuse(t, s, put(third), provisioning.ErrConflict)
	refuse(t, s, bury(tombstone(second)), provisioning.ErrConflict)
	readBack(t, s, first)
	apply(t, s, put(second))
	refuse(t, s, put(next(first, func(c *provisioning.Client) { c.Name = "late" })), provisioning.ErrConflict)
	readBack(t, s, second)
	apply(t, s, put(third))
	readBack(t, s, third)
}

func testTombstone(t *testing.T, s provisioning.Store) {
	c := newClient("a")
	refuse(t, s, bury(tombstone(c)), provisioning.ErrNotFound)
	apply(t, s, put(c), bury(tombstone(c)))
	gone(t, s, "a", provisioning.ErrDeleted)
	gone(t, s, "a", provisioning.ErrNotFound)
	refuse(t, s, put(bareClient("a")), provisioning.ErrExists, provisioning.ErrDeleted)
	refuse(t, s, put(next(c, func(*provisioning.Client) {})), provisioning.ErrDeleted)
	other := tombstone(c)
	other.DeletedAt = epoch.AddDate(1, 0, 0)
	refuse(t, s, bury(other), provisioning.ErrDeleted)
	if page, err := s.Clients(context.Background(), provisioning.Query{}); err != nil || len(page.Clients) != 0 {
		t.Fatalf("a list after the deletion holds %d clients, error %v", len(page.Clients), err)
	}
}

func testIdempotence(t *testing.T, s provisioning.Store) {
	first := newClient("a")
	second := next(first, func(c *provisioning.Client) { c.Labels = map[string]string{"site": "garage-2"} })
	role := newRole("r")
	key := provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: newKey("k", "sig")}}}
	sets := []provisioning.ChangeSet{put(first), put(second), bury(tombstone(second)), putRole(role), dropRole("r", 1), key}
	for i, set := range sets {
		set.ID = fmt.Sprint("set ", i)
		apply(t, s, set, set)
	}
	gone(t, s, "a", provisioning.ErrDeleted)

	// A set that others have overtaken is refused.
	older := put(newClient("b"))
	older.ID = "older"
	newer := put(next(older.Clients[0].Client, func(c *provisioning.Client) { c.Name = "newer" }))
	newer.ID = "newer"
	apply(t, s, older, newer)
	refuse(t, s, older, provisioning.ErrExists)
	// Another set of that ID, of which a part is there, is none that was applied.
	more := newer
	more.Clients = append(more.Clients, put(newClient("c")).Clients...)
	refuse(t, s, more, provisioning.ErrConflict)
	readBack(t, s, newer.Clients[0].Client)
	gone(t, s, "c", provisioning.ErrNotFound)
}

// testSameChange has two writers make the very same change: the second must
// learn that the first was there before, or one of two increments is lost.
func testSameChange(t *testing.T, s provisioning.Store) {
	for i, ids := range [][2]string{{"one", "other"}, {"", ""}} {
		c, role := newClient(fmt.Sprint("c", i)), newRole(fmt.Sprint("r", i))
		update := next(c, func(c *provisioning.Client) { c.Name = "once more" })
		for _, change := range []struct {
			set  provisioning.ChangeSet
			want error
		}{
			{put(c), provisioning.ErrExists},
			{put(update), provisioning.ErrConflict},
			{bury(tombstone(update)), provisioning.ErrDeleted},
			{putRole(role), provisioning.ErrExists},
		} {
			first, second := change.set, change.set
			first.ID, second.ID = ids[0], ids[1]
			apply(t, s, first)
			refuse(t, s, second, change.want)
		}
	}
}

func testAtomicity(t *testing.T, s provisioning.Store) {
	there := newClient("b")
	apply(t, s, put(there))
	set := put(newClient("a"), bareClient("b"), newClient("c"))
	set.Roles = []provisioning.RoleChange{{Role: newRole("r")}}
	set.Keys = []provisioning.KeyChange{{Key: newKey("k", "sig")}}
	refuse(t, s, set, provisioning.ErrExists)
	readBack(t, s, there)
	gone(t, s, "a", provisioning.ErrNotFound)
	gone(t, s, "c", provisioning.ErrNotFound)
	ctx := context.Background()
	if roles, err := s.Roles(ctx); err != nil || len(roles) != 0 {
		t.Fatalf("the refused set left %d roles, error %v", len(roles), err)
	}
	if keys, err := s.Keys(ctx, "sig"); err != nil || len(keys) != 0 {
		t.Fatalf("the refused set left %d keys, error %v", len(keys), err)
	}
	page, err := s.Clients(ctx, provisioning.Query{Labels: map[string]string{"site": "garage-1"}})
	if err != nil || len(page.Clients) != 1 {
		t.Fatalf("a list after the refused set holds %d clients, error %v", len(page.Clients), err)
	}
}

func testMalformed(t *testing.T, s provisioning.Store) {
	c := newClient("a")
	skipped := next(next(c, func(*provisioning.Client) {}), func(*provisioning.Client) {})
	role := newRole("r")
	role.Version = 7
	for name, set := range map[string]provisioning.ChangeSet{
		"neither client nor tombstone": {Clients: []provisioning.ClientChange{{}}},
		"client and tombstone":         {Clients: []provisioning.ClientChange{{Client: c, Tombstone: tombstone(c)}}},
		"a version left out":           {Clients: []provisioning.ClientChange{{Before: 1, Client: skipped}}},
		"a creation at version 3":      {Clients: []provisioning.ClientChange{{Client: skipped}}},
		"a deletion of nothing":        {Clients: []provisioning.ClientChange{{Tombstone: &provisioning.Tombstone{ID: "a", Version: 1}}}},
		"a client twice":               put(c, c),
		"a role at version 7":          {Roles: []provisioning.RoleChange{{Role: role}}},
		"a sighting of no client":      sight(provisioning.Sighting{MessageAt: epoch}),
		"a revocation without an ID":   revoke(provisioning.Revocation{ClientID: "a"}),
		"a revocation twice":           revoke(newRevocation("x"), newRevocation("x")),
		"a role twice":                 {Roles: []provisioning.RoleChange{{Role: newRole("r")}, {Role: newRole("r")}}},
	} {
		if err := s.Apply(context.Background(), set); err == nil {
			t.Errorf("%s: Apply succeeded", name)
		}
	}
	gone(t, s, "a", provisioning.ErrNotFound)
}

func testLargeSet(t *testing.T, s provisioning.Store) {
	clients := make([]*provisioning.Client, 1000)
	for i := range clients {
		clients[i] = newClient(fmt.Sprintf("device-%04d", i))
	}
	apply(t, s, put(clients...))
	readBack(t, s, clients[0])
	readBack(t, s, clients[999])
	page, err := s.Clients(context.Background(), provisioning.Query{Limit: provisioning.MaxPageSize})
	if err != nil || len(page.Clients) != 1000 || page.Next != "" {
		t.Fatalf("a list of all holds %d clients and cursor %q, error %v", len(page.Clients), page.Next, err)
	}
}

func testPrefixes(t *testing.T, s provisioning.Store) {
	apply(t, s, putRole(newRole("a")), putRole(newRole("ab")))
	// Labels and IDs that would be one text if they were merely joined.
	one, two := bareClient("b-c"), bareClient("c")
	one.Labels, one.Roles = map[string]string{"a": "x"}, []string{"a"}
	two.Labels, two.Roles = map[string]string{"a": "xb-"}, []string{"ab"}
	three := bareClient("x")
	three.Labels = map[string]string{"ax": ""}
	apply(t, s, put(one), put(two), put(three))
	for _, c := range []struct {
		q    provisioning.Query
		want string
	}{
		{provisioning.Query{Labels: map[string]string{"a": "x"}}, "b-c"},
		{provisioning.Query{Labels: map[string]string{"a": "xb-"}}, "c"},
		{provisioning.Query{Labels: map[string]string{"ax": ""}}, "x"},
		{provisioning.Query{Role: "a"}, "b-c"},
		{provisioning.Query{Role: "ab"}, "c"},
	} {
		page, err := s.Clients(context.Background(), c.q)
		if err != nil || len(page.Clients) != 1 || page.Clients[0].ID != c.want {
			t.Errorf("%+v: got %v, error %v, want %q alone", c.q, page.Clients, err, c.want)
		}
	}
}

func testClosed(t *testing.T, s provisioning.Store) {
	apply(t, s, put(newClient("a")))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	gone(t, s, "a", provisioning.ErrClosed)
	refuse(t, s, put(newClient("b")), provisioning.ErrClosed)
	if _, err := s.Revocations(context.Background(), "", 1); !errors.Is(err, provisioning.ErrClosed) {
		t.Errorf("Revocations returned %v", err)
	}
}

func testCancelled(t *testing.T, s provisioning.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Apply(ctx, put(newClient("a"))); err == nil {
		t.Error("Apply succeeded")
	}
	if _, err := s.Clients(ctx, provisioning.Query{}); err == nil {
		t.Error("Clients succeeded")
	}
	if _, err := s.Revocations(ctx, "", 1); err == nil {
		t.Error("Revocations succeeded")
	}
	gone(t, s, "a", provisioning.ErrNotFound)
}

func testReopen(t *testing.T, s provisioning.Store, reopen func(testing.TB, provisioning.Store) provisioning.Store) {
	kept, dead := newClient("a"), newClient("b")
	kept.Roles = []string{"r"}
	seen := sight(
		provisioning.Sighting{ClientID: "a", SecretID: "two", TokenAt: minutes(1), ConnectedAt: minutes(2), MessageAt: minutes(3)},
		provisioning.Sighting{ClientID: "b", MessageAt: minutes(1)},
	)
	key := newKey("k", "sig")
	apply(t, s, putRole(newRole("r")), put(kept, dead), seen, bury(tombstone(dead)),
		provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: key}}},
		revoke(newRevocation("x"), newRevocation("y")), forget(newRevocation("x")))
	kept.See(seen.Seen[0])
	for range 2 {
		s = reopen(t, s)
		readBack(t, s, kept)
		gone(t, s, "b", provisioning.ErrDeleted)
		keys, err := s.Keys(context.Background(), "sig")
		if err != nil || len(keys) != 1 || compare(keys[0], key) != "" {
			t.Fatalf("got keys %v, error %v", keys, err)
		}
		wantRevocations(t, s, newRevocation("y"))
		role, err := s.Role(context.Background(), "r")
		if err != nil || compare(role, newRole("r")) != "" {
			t.Fatalf("got role %+v, error %v", role, err)
		}
		page, err := s.Clients(context.Background(), provisioning.Query{Role: "r", Labels: map[string]string{"site": "garage-1"}})
		if err != nil || len(page.Clients) != 1 || compare(&page.Clients[0], kept) != "" {
			t.Fatalf("got clients %v, error %v", page.Clients, err)
		}
	}
	refuse(t, s, put(newClient("b")), provisioning.ErrDeleted)
	refuse(t, s, dropRole("r", 1), provisioning.ErrRoleInUse)
}
