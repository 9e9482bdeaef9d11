package provisioning_test

import (
	"errors"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

func TestTheFirstStartCreatesRootAndTheSecondDoesNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	var kept provisioning.ClearSecret
	c, secret, created, err := f.EnsureRoot(t.Context(), func(c *provisioning.Client, s provisioning.ClearSecret) error {
		if _, err := f.registry.Client(t.Context(), c.ID); !errors.Is(err, provisioning.ErrNotFound) {
			t.Errorf("root was written before its credential was kept: %v", err)
		}
		kept = s
		return nil
	})
	if err != nil || !created || c.ID != "root" || c.Kind != provisioning.KindOperator || kept != secret {
		t.Fatalf("got %+v, created %v, error %v", c, created, err)
	}
	f.authenticates(t, "root", secret)
	scopes, err := f.registry.Scopes(t.Context(), c, provisioning.AudienceFleet)
	if err != nil || len(scopes) != len(provisioning.FleetScopes()) {
		t.Fatalf("root holds %q, error %v", scopes, err)
	}
	if c, _, created, err := f.EnsureRoot(t.Context(), nil); c != nil || created || err != nil {
		t.Fatalf("the second start: got %+v, created %v, error %v", c, created, err)
	}
	f.authenticates(t, "root", secret)
}

func TestRootIsNotWrittenIfItsCredentialCannotBeKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	full := errors.New("disk full")
	_, _, created, err := f.EnsureRoot(t.Context(), func(*provisioning.Client, provisioning.ClearSecret) error { return full })
	if created || !errors.Is(err, full) {
		t.Fatalf("created %v, error %v", created, err)
	}
	if _, _, created, err := f.EnsureRoot(t.Context(), nil); !created || err != nil {
		t.Fatalf("the next start: created %v, error %v", created, err)
	}
}

func TestADeletedRootDoesNotComeBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if _, _, _, err := f.EnsureRoot(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.create(t, provisioning.NewClient{ID: "ada", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetAdmin}})
	if _, err := f.Delete(t.Context(), "root", 0); err != nil {
		t.Fatal(err)
	}
	if _, _, created, err := f.EnsureRoot(t.Context(), nil); created || err != nil {
		t.Fatalf("created %v, error %v", created, err)
	}
}

func TestADisabledRootIsNotReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if _, _, _, err := f.EnsureRoot(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.create(t, provisioning.NewClient{ID: "ada", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetAdmin}})
	if _, _, err := f.Disable(t.Context(), "root", 0); err != nil {
		t.Fatal(err)
	}
	if _, _, created, err := f.EnsureRoot(t.Context(), nil); created || err != nil {
		t.Fatalf("created %v, error %v", created, err)
	}
}

func TestAnIDThatIsTakenStopsTheCreationOfRoot(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("root"))
	if _, _, created, err := f.EnsureRoot(t.Context(), nil); created || err == nil {
		t.Fatalf("created %v, error %v", created, err)
	}
}

func TestTheLastCredentialOfTheLastOperatorCannotBeRetired(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ctx := t.Context()
	root, _, _, err := f.EnsureRoot(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = f.RetireSecret(ctx, "root", root.Secrets[0].ID, 0)
	wantError(t, err, provisioning.ErrLastOperator)
	ada, _ := f.create(t, provisioning.NewClient{ID: "ada", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetAdmin}})
	if _, _, err = f.RetireSecret(ctx, "root", root.Secrets[0].ID, 0); err != nil {
		t.Fatal(err)
	}
	// Now root can undo nothing, though it is active and has the role.
	_, _, err = f.RetireSecret(ctx, "ada", ada.Secrets[0].ID, 0)
	wantError(t, err, provisioning.ErrLastOperator)
	_, _, err = f.Disable(ctx, "ada", 0)
	wantError(t, err, provisioning.ErrLastOperator)
}

func TestTheLastOperatorCannotLockEverybodyOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ctx := t.Context()
	if _, _, _, err := f.EnsureRoot(ctx, nil); err != nil {
		t.Fatal(err)
	}
	f.create(t, provisioning.NewClient{ID: "viewer", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetViewer}})
	f.create(t, provisioning.NewClient{ID: "service", Kind: provisioning.KindService, Roles: []string{provisioning.RoleFleetAdmin}})
	dropRoles := func(c *provisioning.Client) error { c.Roles = nil; return nil }
	attempts := func() []error {
		_, _, disable := f.Disable(ctx, "root", 0)
		_, remove := f.Delete(ctx, "root", 0)
		_, _, demote := f.Update(ctx, "root", 0, dropRoles)
		return []error{disable, remove, demote}
	}
	for _, err := range attempts() {
		wantError(t, err, provisioning.ErrLastOperator)
	}
	if len(f.gate.closed) != 0 {
		t.Errorf("a refused write closed sessions: %q", f.gate.closed)
	}
	f.create(t, provisioning.NewClient{ID: "ada", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetAdmin}})
	if _, _, err := f.Disable(ctx, "ada", 0); err != nil {
		t.Fatal(err)
	}
	for _, err := range attempts() {
		wantError(t, err, provisioning.ErrLastOperator)
	}
	if _, _, err := f.Enable(ctx, "ada", 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Update(ctx, "root", 0, dropRoles); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Delete(ctx, "root", 0); err != nil {
		t.Fatal(err)
	}
	_, err := f.Delete(ctx, "ada", 0)
	wantError(t, err, provisioning.ErrLastOperator)
}
