package provisioning_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

func TestAStandingHoldsScopesAndTheHighestLimitOfTheRoles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for id, limits := range map[string]provisioning.Limits{
		"none":  {},
		"small": {Sessions: 1, MessagesPerSecond: 100, PayloadBytes: 10},
		"large": {Sessions: 5, ConnectsPerMinute: 6, MessagesPerSecond: 7, BytesPerSecond: 8, Subscriptions: 9, Retained: 10},
	} {
		n := newRole(id)
		n.Limits = limits
		r, err := f.CreateRole(t.Context(), n)
		if err != nil || r.Limits != limits {
			t.Fatalf("got %+v, error %v", r, err)
		}
	}
	n := sensor("a")
	n.Roles = []string{"large", "none", "small"}
	n.Grants = []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:{client_id}"}}, {Audience: "https://calendar.example", Scopes: []string{"x"}},
	}
	f.create(t, n)
	s, err := f.registry.Standing(t.Context(), "a")
	want := provisioning.Limits{
		Sessions: 5, ConnectsPerMinute: 6, MessagesPerSecond: 100, BytesPerSecond: 8, Subscriptions: 9, Retained: 10, PayloadBytes: 10,
	}
	if err != nil || s.Client.ID != "a" || s.Limits != want || !slices.Equal(s.Scopes, []string{"sub:a/garage-1/#", "pub:a"}) {
		t.Fatalf("got %+v, error %v", s, err)
	}
	if _, _, err := f.Disable(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	if s, err = f.registry.Standing(t.Context(), "a"); err != nil || s.Client.Status != provisioning.StatusDisabled {
		t.Errorf("of a disabled client: got %+v, error %v", s, err)
	}
}

func TestAStandingReadsEachRecordOnce(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	f.create(t, sensor("a"))
	w.found, w.missing = 0, 0
	s, err := f.registry.Standing(t.Context(), "a")
	if err != nil || len(s.Scopes) != 6 || w.found != 1 || w.missing != 0 {
		t.Errorf("got %+v, error %v, after %d reads and %d in vain", s, err, w.found, w.missing)
	}
}

func TestAStandingFollowsEveryWriteAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if _, err := f.CreateRole(t.Context(), newRole("guest")); err != nil {
		t.Fatal(err)
	}
	n := sensor("a")
	n.Roles = []string{"guest"}
	f.create(t, n)
	stands := func(want ...string) {
		t.Helper()
		for range 2 {
			s, err := f.registry.Standing(t.Context(), "a")
			if err != nil || !slices.Equal(s.Scopes, want) || !s.Client.LastTokenAt.IsZero() {
				t.Fatalf("got %+v, error %v, want %q", s, err, want)
			}
		}
	}
	update := func(change func(*provisioning.Client)) {
		t.Helper()
		if _, _, err := f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error { change(c); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	stands("sub:a/garage-1/#")
	update(func(c *provisioning.Client) { c.Labels["site"] = "x" })
	stands("sub:a/x/#")
	for _, scope := range []string{"pub:one", "pub:two"} {
		grants := mqttGrants(scope)
		if _, _, err := f.UpdateRole(t.Context(), "guest", 0, func(r *provisioning.Role) error { r.Grants = grants; return nil }); err != nil {
			t.Fatal(err)
		}
		stands(scope)
	}
	if err := f.store.Apply(t.Context(), provisioning.ChangeSet{Seen: []provisioning.Sighting{{ClientID: "a", TokenAt: epoch}}}); err != nil {
		t.Fatal(err)
	}
	stands("pub:two")
	// Another role may take the ID of one that is gone, and come to its version.
	update(func(c *provisioning.Client) { c.Roles = nil })
	stands()
	other := newRole("guest")
	other.Grants = mqttGrants("pub:other")
	if err := f.deleteRole(t, "guest", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateRole(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	update(func(c *provisioning.Client) { c.Roles = []string{"guest"} })
	stands("pub:other")
}

func TestWhoIsNotThereHasNoStanding(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	f.create(t, sensor("gone"))
	if _, err := f.Delete(t.Context(), "gone", 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"gone", "nobody", "Not An ID", ""} {
		s, err := f.registry.Standing(t.Context(), id)
		if err != nil || s.Client != nil || s.Scopes != nil || s.Limits != (provisioning.Limits{}) {
			t.Errorf("%q has %+v, error %v", id, s, err)
		}
	}
	w.fail = errors.New("disk on fire")
	_, err := f.registry.Standing(t.Context(), "gone")
	wantError(t, err, w.fail)
}

func TestLimitsOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := newRole("r")
	n.Limits = provisioning.Limits{
		Sessions: -1, ConnectsPerMinute: -1, MessagesPerSecond: -1, BytesPerSecond: provisioning.MaxLimit + 1,
		Subscriptions: -1, Retained: -1, PayloadBytes: -1,
	}
	_, err := f.CreateRole(t.Context(), n)
	wantFields(t, err, "limits.max_sessions", "limits.max_connects_per_minute", "limits.max_messages_per_second",
		"limits.max_bytes_per_second", "limits.max_subscriptions", "limits.max_retained", "limits.max_payload_bytes")
}
