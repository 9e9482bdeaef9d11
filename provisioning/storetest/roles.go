package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func newKey(id, use string) provisioning.Key {
	return provisioning.Key{ID: id, Use: use, Alg: "EdDSA", Private: []byte("private " + id), CreatedAt: epoch}
}

func testRoles(t *testing.T, s provisioning.Store) {
	ctx := context.Background()
	if _, err := s.Role(ctx, "r"); !errors.Is(err, provisioning.ErrNotFound) {
		t.Fatalf("Role returned %v", err)
	}
	first := newRole("r")
	second := first.Clone()
	second.Version, second.BuiltIn, second.Grants = 2, true, nil
	refuse(t, s, putRole(second), provisioning.ErrNotFound)
	apply(t, s, putRole(first))
	refuse(t, s, dropRole("r", 2), provisioning.ErrConflict)
	other := newRole("r")
	other.Description = "another"
	refuse(t, s, putRole(other), provisioning.ErrExists)
	apply(t, s, putRole(second))
	got, err := s.Role(ctx, "r")
	if err != nil {
		t.Fatal(err)
	}
	if difference := compare(got, second); difference != "" {
		t.Fatal(difference)
	}
	apply(t, s, putRole(newRole("a")), putRole(newRole("z")))
	roles, err := s.Roles(ctx)
	if err != nil || len(roles) != 3 || roles[0].ID != "a" || roles[1].ID != "r" || roles[2].ID != "z" {
		t.Fatalf("got %v, error %v, want a, r and z", roles, err)
	}
	apply(t, s, dropRole("r", 2))
	if _, err := s.Role(ctx, "r"); !errors.Is(err, provisioning.ErrNotFound) {
		t.Fatalf("Role returned %v for a deleted role", err)
	}
	apply(t, s, putRole(other))
}

func testRoleInUse(t *testing.T, s provisioning.Store) {
	a, b := newClient("a"), newClient("b")
	a.Roles, b.Roles = []string{"r", "q"}, []string{"r"}
	apply(t, s, putRole(newRole("r")), putRole(newRole("q")), put(a), put(b))
	err := s.Apply(context.Background(), dropRole("r", 1))
	var inUse *provisioning.RoleInUseError
	if !errors.As(err, &inUse) || inUse.Clients != 2 || inUse.Role != "r" {
		t.Fatalf("deleting a role that two clients hold returned %v", err)
	}
	free := next(a, func(c *provisioning.Client) { c.Roles = []string{"q"} })
	apply(t, s, put(free))
	refuse(t, s, dropRole("r", 1), provisioning.ErrRoleInUse)
	// The last holder gives the role up in the set that deletes it.
	last := put(next(b, func(c *provisioning.Client) { c.Roles = nil }))
	last.ID, last.Roles = "last", dropRole("r", 1).Roles
	apply(t, s, last, last)
	apply(t, s, bury(tombstone(free)), dropRole("q", 1))
}

func testUnknownRole(t *testing.T, s provisioning.Store) {
	c := newClient("a")
	c.Roles = []string{"r"}
	refuse(t, s, put(c), provisioning.ErrConflict)
	gone(t, s, "a", provisioning.ErrNotFound)
	// One set may bring the role and its first holder.
	both := put(c)
	both.Roles = putRole(newRole("r")).Roles
	apply(t, s, both)
	readBack(t, s, c)
	// None may take the role away and bring a holder.
	d := newClient("d")
	d.Roles = []string{"q"}
	apply(t, s, putRole(newRole("q")))
	both = put(d)
	both.Roles = dropRole("q", 1).Roles
	refuse(t, s, both)
	gone(t, s, "d", provisioning.ErrNotFound)
}

func testKeys(t *testing.T, s provisioning.Store) {
	ctx := context.Background()
	young, old, other := newKey("a", "sig"), newKey("b", "sig"), newKey("a", "sig2")
	old.CreatedAt = epoch.Add(-time.Hour)
	add := func(k provisioning.Key) provisioning.ChangeSet {
		return provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: k}}}
	}
	apply(t, s, add(young), add(old), add(other))
	forged := newKey("a", "sig")
	forged.Private = []byte("another")
	refuse(t, s, add(forged), provisioning.ErrExists)
	keys, err := s.Keys(ctx, "sig")
	if err != nil || len(keys) != 2 || compare(keys[0], old) != "" || compare(keys[1], young) != "" {
		t.Fatalf("got %v, error %v, want the older and the younger key", keys, err)
	}
	apply(t, s, provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: old, Delete: true}}})
	keys, err = s.Keys(ctx, "sig")
	if err != nil || len(keys) != 1 || keys[0].ID != "a" {
		t.Fatalf("got %v, error %v, want key a alone", keys, err)
	}
	if keys, err = s.Keys(ctx, "si"); err != nil || len(keys) != 0 {
		t.Fatalf("got %v, error %v for a use without keys", keys, err)
	}
}
