package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// newRevocation returns a revocation with every field set.
func newRevocation(id string) provisioning.Revocation {
	return provisioning.Revocation{
		ID: id, ClientID: "client " + id, TokenID: "token " + id, CredentialID: "credential " + id, KeyID: "key " + id,
		IssuedBefore: epoch, ExpiresAt: epoch.Add(time.Hour), CreatedAt: epoch, CreatedBy: "root", Reason: "stolen, größtenteils",
	}
}

func revoke(list ...provisioning.Revocation) provisioning.ChangeSet {
	var set provisioning.ChangeSet
	for _, r := range list {
		set.Revocations = append(set.Revocations, provisioning.RevocationChange{Revocation: r})
	}
	return set
}

func forget(r provisioning.Revocation) provisioning.ChangeSet {
	return provisioning.ChangeSet{Revocations: []provisioning.RevocationChange{{Revocation: r, Delete: true}}}
}

// wantRevocations checks that a store has these, in this order, and no others.
func wantRevocations(tb testing.TB, s provisioning.Store, want ...provisioning.Revocation) {
	tb.Helper()
	got, err := s.Revocations(context.Background(), "", 1000)
	if err != nil {
		tb.Fatal(err)
	}
	if difference := compare(got, want); difference != "" {
		tb.Fatalf("revocations%s", difference)
	}
}

func testRevocations(t *testing.T, s provisioning.Store) {
	ctx := context.Background()
	wantRevocations(t, s)
	a, b, bare := newRevocation("a"), newRevocation("b"), provisioning.Revocation{ID: "ab", TokenID: "t", ExpiresAt: epoch, CreatedAt: epoch}
	apply(t, s, revoke(b), revoke(bare, a), put(newClient("client a"))) // that client exists is nothing to it
	wantRevocations(t, s, a, bare, b)
	a.IssuedBefore, a.Reason = epoch.Add(time.Minute), ""
	for range 2 {
		apply(t, s, revoke(a)) // replaces the one with its ID
		wantRevocations(t, s, a, bare, b)
	}
	for _, page := range []struct {
		after string
		limit int
		want  []provisioning.Revocation
	}{
		{"", 0, nil},
		{"", 1, []provisioning.Revocation{a}},
		{"", 3, []provisioning.Revocation{a, bare, b}},
		{"a", 1, []provisioning.Revocation{bare}},
		{"a", 9, []provisioning.Revocation{bare, b}},
		{"aa", 9, []provisioning.Revocation{bare, b}},
		{"ab", 9, []provisioning.Revocation{b}},
		{"b", 9, nil},
		{"z", 9, nil},
	} {
		got, err := s.Revocations(ctx, page.after, page.limit)
		if err != nil || compare(got, page.want) != "" {
			t.Errorf("%d after %q: got %v, error %v, want %v", page.limit, page.after, got, err, page.want)
		}
	}
	apply(t, s, forget(bare), forget(bare))
	wantRevocations(t, s, a, b)
}

// testRevocationDeletion has a revocation renewed after somebody decided to
// forget it.
func testRevocationDeletion(t *testing.T, s provisioning.Store) {
	old := newRevocation("a")
	renewed := old
	renewed.ExpiresAt = old.ExpiresAt.Add(time.Millisecond)
	apply(t, s, revoke(old), revoke(renewed), forget(old), forget(newRevocation("b")))
	wantRevocations(t, s, renewed)
	apply(t, s, forget(renewed))
	wantRevocations(t, s)
}

// testRevocationsBesideChanges has a record and a revocation in one set.
func testRevocationsBesideChanges(t *testing.T, s provisioning.Store) {
	c, r := newClient("a"), newRevocation("x")
	both := func(id string, c *provisioning.Client) provisioning.ChangeSet {
		set := put(c)
		set.ID, set.Revocations = id, revoke(r).Revocations
		return set
	}
	apply(t, s, both("created", c), both("created", c))
	wantRevocations(t, s, r)

	// One that is there already is no part of another write.
	update := next(c, func(c *provisioning.Client) { c.Name = "new" })
	apply(t, s, both("updated", update))
	readBack(t, s, update)
	wantRevocations(t, s, r)

	// A set that is applied again writes nothing, though it is forgotten by now.
	apply(t, s, forget(r), both("updated", update))
	wantRevocations(t, s)
	// One that is refused writes nothing either.
	refuse(t, s, both("late", update), provisioning.ErrConflict)
	wantRevocations(t, s)
	buried := bury(tombstone(update))
	buried.Revocations = revoke(r).Revocations
	apply(t, s, buried)
	gone(t, s, "a", provisioning.ErrDeleted)
	wantRevocations(t, s, r)
}

// testRevocationRace has many writers revoke and forget at once, the same one too.
func testRevocationRace(t *testing.T, s provisioning.Store) {
	const writers, each = 8, 10
	ctx := context.Background()
	together(writers, func(writer int) {
		for i := range each {
			own, passing := newRevocation(fmt.Sprintf("own-%d-%d", writer, i)), newRevocation("passing")
			for _, set := range []provisioning.ChangeSet{revoke(own, passing), forget(passing)} {
				if err := s.Apply(ctx, set); err != nil {
					t.Errorf("Apply: %v", err)
				}
			}
		}
	})
	list, err := s.Revocations(ctx, "", writers*each+1)
	if err != nil || len(list) != writers*each {
		t.Fatalf("got %d revocations, error %v, want %d", len(list), err, writers*each)
	}
}
