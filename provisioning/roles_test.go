package provisioning_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

func newRole(id string) provisioning.NewRole {
	return provisioning.NewRole{ID: id, Description: "d", Grants: []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"sub:a/{labels.site}/#"}},
	}}
}

func TestARoleLivesFromItsCreationToItsDeletion(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	ctx := t.Context()
	r, err := f.CreateRole(ctx, newRole("guest"))
	if err != nil || r.Version != 1 || r.BuiltIn || !r.CreatedAt.Equal(epoch) {
		t.Fatalf("got %+v, error %v", r, err)
	}
	_, err = f.CreateRole(ctx, newRole("guest"))
	wantError(t, err, provisioning.ErrExists)
	r, _, err = f.UpdateRole(ctx, "guest", 1, func(r *provisioning.Role) error {
		r.Description, r.BuiltIn, r.Version = "changed", true, 9
		return nil
	})
	if err != nil || r.Version != 2 || r.BuiltIn || r.Description != "changed" {
		t.Fatalf("got %+v, error %v", r, err)
	}
	_, _, err = f.UpdateRole(ctx, "guest", 1, func(r *provisioning.Role) error { r.Description = "late"; return nil })
	wantError(t, err, provisioning.ErrConflict)
	if r, _, err = f.UpdateRole(ctx, "guest", 0, func(*provisioning.Role) error { return nil }); err != nil || r.Version != 2 {
		t.Fatalf("an update without a change: got %+v, error %v", r, err)
	}
	_, _, err = f.UpdateRole(ctx, "guest", 0, func(r *provisioning.Role) error {
		r.ID, r.Grants = "other", []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:#/x"}}}
		return nil
	})
	wantFields(t, err, "grants[0].scopes[0]", "id")
	wantError(t, f.deleteRole(t, "guest", 1), provisioning.ErrConflict)
	if err := f.deleteRole(t, "guest", 2); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.deleteRole(t, "guest", 0), provisioning.ErrNotFound)
	_, _, err = f.UpdateRole(ctx, "guest", 0, func(*provisioning.Role) error { return nil })
	wantError(t, err, provisioning.ErrNotFound)
	if _, err := f.CreateRole(ctx, newRole("guest")); err != nil {
		t.Fatalf("a role's ID cannot be used again: %v", err)
	}
	_, err = f.CreateRole(ctx, provisioning.NewRole{ID: "Bad", Description: "\x00", Grants: []provisioning.Grant{{}}})
	wantFields(t, err, "id", "description", "grants[0].audience", "grants[0].scopes")
}

func TestARoleThatIsHeldIsNotDeletedAndTheCountIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if _, err := f.CreateRole(t.Context(), newRole("guest")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		n := sensor(id)
		n.Roles = []string{"guest"}
		f.create(t, n)
	}
	err := f.deleteRole(t, "guest", 0)
	var inUse *provisioning.RoleInUseError
	if !errors.As(err, &inUse) || inUse.Clients != 3 || !strings.Contains(err.Error(), "3 clients hold it") {
		t.Fatalf("DeleteRole returned %v", err)
	}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := f.Delete(t.Context(), id, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.deleteRole(t, "guest", 0); err != nil {
		t.Fatal(err)
	}
}

func TestBuiltInRolesCannotBeChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, _, err := f.UpdateRole(t.Context(), provisioning.RoleFleetAdmin, 0, func(r *provisioning.Role) error { r.Grants = nil; return nil })
	wantError(t, err, provisioning.ErrBuiltIn)
	wantError(t, f.deleteRole(t, provisioning.RoleFleetViewer, 0), provisioning.ErrBuiltIn)
	_, err = f.CreateRole(t.Context(), newRole(provisioning.RoleParkingSensor))
	wantError(t, err, provisioning.ErrExists)
}

func TestBuiltInRolesAreBroughtUpToDateAtTheStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	old, err := f.registry.Role(t.Context(), provisioning.RoleParkingSensor)
	if err != nil {
		t.Fatal(err)
	}
	want, limits := slices.Clone(old.Grants[0].Scopes), old.Limits
	if limits.Sessions == 0 || limits.PayloadBytes == 0 {
		t.Errorf("a sensor has the limits %+v", limits)
	}
	// As a program of another version has left it.
	old.Limits = provisioning.Limits{}
	old.Version, old.Grants = 2, []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:old"}}}
	if err := f.store.Apply(t.Context(), provisioning.ChangeSet{Roles: []provisioning.RoleChange{{Before: 1, Role: old}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := provisioning.NewService(t.Context(), f.config()); err != nil {
		t.Fatal(err)
	}
	r, err := f.registry.Role(t.Context(), provisioning.RoleParkingSensor)
	if err != nil || r.Version != 3 || !r.BuiltIn || r.Limits != limits || !slices.Equal(r.Grants[0].Scopes, want) {
		t.Fatalf("got %+v, error %v", r, err)
	}
}

func TestARoleOfTheOperatorsOwnIsNotReplacedByABuiltInOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	own, err := f.registry.Role(t.Context(), provisioning.RoleFleetViewer)
	if err != nil {
		t.Fatal(err)
	}
	own.Version, own.BuiltIn, own.Description = 2, false, "mine"
	if err := f.store.Apply(t.Context(), provisioning.ChangeSet{Roles: []provisioning.RoleChange{{Before: 1, Role: own}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := provisioning.NewService(t.Context(), f.config()); err != nil {
		t.Fatal(err)
	}
	r, err := f.registry.Role(t.Context(), provisioning.RoleFleetViewer)
	if err != nil || r.Description != "mine" || !strings.Contains(f.log.String(), "role of your own") {
		t.Fatalf("got %+v, error %v, log %s", r, err, f.log)
	}
}

func TestTheBuiltInRolesGrantWhatTheDesignSays(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	device, _ := f.create(t, sensor("b2-017"))
	everywhere, _ := f.create(t, provisioning.NewClient{ID: "reader", Kind: provisioning.KindService, Roles: []string{provisioning.RoleTelemetryReader}})
	n := sensor("local")
	n.Kind, n.Roles = provisioning.KindService, []string{provisioning.RoleTelemetryReader}
	local, _ := f.create(t, n)
	admin, _ := f.create(t, provisioning.NewClient{ID: "admin", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetAdmin}})
	viewer, _ := f.create(t, provisioning.NewClient{ID: "viewer", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetViewer}})
	for _, c := range []struct {
		client   *provisioning.Client
		audience string
		want     string
	}{
		{device, provisioning.AudienceMQTT, "pub:parking/v1/garage-1/b2-017/state pub:parking/v1/garage-1/b2-017/health " +
			"pub:parking/v1/garage-1/b2-017/info pub:parking/v1/garage-1/b2-017/$state pub:parking/v1/garage-1/b2-017/ack/+ " +
			"sub:parking/v1/garage-1/b2-017/cmd/+"},
		{device, provisioning.AudienceFleet, ""},
		{everywhere, provisioning.AudienceMQTT, "sub:parking/v1/+/+/state sub:parking/v1/+/+/health sub:parking/v1/+/+/info " +
			"sub:parking/v1/+/+/$state sub:parking/v1/+/+/ack/+ sub:parking/v1/+/$summary"},
		{local, provisioning.AudienceMQTT, "sub:parking/v1/garage-1/+/state sub:parking/v1/garage-1/+/health " +
			"sub:parking/v1/garage-1/+/info sub:parking/v1/garage-1/+/$state sub:parking/v1/garage-1/+/ack/+ sub:parking/v1/garage-1/$summary"},
		{admin, provisioning.AudienceFleet, "devices:read services:read operators:read roles:read sessions:read keys:read audit:read " +
			"devices:write services:write operators:write roles:write sessions:write keys:write audit:write"},
		{viewer, provisioning.AudienceFleet, "devices:read services:read operators:read roles:read sessions:read keys:read audit:read"},
	} {
		scopes, err := f.registry.Scopes(t.Context(), c.client, c.audience)
		if err != nil || strings.Join(scopes, " ") != c.want {
			t.Errorf("%s holds for %s\n%q\nwant\n%q, error %v", c.client.ID, c.audience, scopes, c.want, err)
		}
	}
}
