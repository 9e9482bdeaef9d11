package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestAClientHoldsTheScopesOfItsRolesAndItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := sensor("a")
	n.Attributes = map[string]string{"department": "sales"}
	n.Grants = []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{
			"pub:parking/v1/{labels.site}/{client_id}/state", "sub:{kind}/{attributes.department}/#?qos=0", "sub:x",
		}},
		{Audience: "https://calendar.example", Scopes: []string{"read:calendar", "{client_id}"}},
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"sub:x", "pub:y"}},
	}
	c, _ := f.create(t, n)
	scopes, err := f.registry.Scopes(t.Context(), c, provisioning.AudienceMQTT)
	if err != nil || len(scopes) != 9 || !slices.Equal(scopes[6:], []string{"sub:device/sales/#?qos=0", "sub:x", "pub:y"}) {
		t.Errorf("got %q, error %v", scopes, err)
	}
	scopes, err = f.registry.Scopes(t.Context(), c, "https://calendar.example")
	if err != nil || !slices.Equal(scopes, []string{"read:calendar", "{client_id}"}) {
		t.Errorf("the scopes of another audience are no templates: got %q, error %v", scopes, err)
	}
	if scopes, err = f.registry.Scopes(t.Context(), c, "https://other.example"); err != nil || len(scopes) != 0 {
		t.Errorf("got %q, error %v for an audience without grants", scopes, err)
	}
	audiences, err := f.registry.Audiences(t.Context(), c)
	if err != nil || !slices.Equal(audiences, []string{provisioning.AudienceMQTT, "https://calendar.example"}) {
		t.Errorf("got audiences %q, error %v", audiences, err)
	}
}

func TestA6_AValueThatIsMissingOrUnsuitableGrantsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if _, err := f.CreateRole(t.Context(), provisioning.NewRole{ID: "r", Grants: []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:a/{labels.site}/#", "sub:fixed"}},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"+", "#", "a/b", "", "a+", "{client_id}#"} {
		n := sensor("")
		n.Labels, n.Roles = map[string]string{"site": site}, []string{"r"}
		c, _ := f.create(t, n)
		scopes, err := f.registry.Scopes(t.Context(), c, provisioning.AudienceMQTT)
		if err != nil || !slices.Equal(scopes, []string{"sub:fixed"}) {
			t.Errorf("with site %q: got %q, error %v", site, scopes, err)
		}
		problems, err := f.registry.ScopeProblems(t.Context(), c, provisioning.AudienceMQTT)
		if err != nil || len(problems) != 1 || problems[0].Source != "r" || problems[0].Scope != "pub:a/{labels.site}/#" || problems[0].Err == nil {
			t.Errorf("with site %q: got problems %+v, error %v", site, problems, err)
		}
	}
	n := sensor("own")
	n.Labels, n.Roles = nil, nil
	n.Grants = []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:{attributes.x}"}}}
	c, _ := f.create(t, n)
	problems, err := f.registry.ScopeProblems(t.Context(), c, provisioning.AudienceMQTT)
	if err != nil || len(problems) != 1 || problems[0].Source != "" {
		t.Errorf("got problems %+v, error %v", problems, err)
	}
}

func TestTemplatesAreExpandedRightHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	clients := make([]*provisioning.Client, 6) // with more templates than are kept
	for i := range clients {
		n := sensor(fmt.Sprint("a", i))
		n.Roles, n.Grants = nil, mqttGrants()
		for j := range provisioning.MaxGrantScopes {
			n.Grants[0].Scopes = append(n.Grants[0].Scopes, fmt.Sprintf("pub:%d/%d/{client_id}", i, j))
		}
		clients[i], _ = f.create(t, n)
	}
	var group sync.WaitGroup
	for i, c := range clients {
		for range 2 {
			group.Go(func() {
				scopes, err := f.registry.Scopes(t.Context(), c, provisioning.AudienceMQTT)
				if err != nil || len(scopes) != provisioning.MaxGrantScopes {
					t.Errorf("got %d scopes, error %v", len(scopes), err)
				}
				for j, scope := range scopes {
					if want := fmt.Sprintf("pub:%d/%d/%s", i, j, c.ID); scope != want {
						t.Errorf("got %q, want %q", scope, want)
					}
				}
			})
		}
	}
	group.Wait()
}

func TestWhatCannotBeAnIDIsNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, id := range []string{"", "A", "../x", "a\x00", strings.Repeat("a", 65)} {
		_, err := f.registry.Client(t.Context(), id)
		wantError(t, err, provisioning.ErrNotFound)
		_, err = f.registry.Role(t.Context(), id)
		wantError(t, err, provisioning.ErrNotFound)
	}
}

func TestO2_EveryKindOfWrongCredentialIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, secret := f.create(t, sensor("a"))
	_, other := f.create(t, sensor("b"))
	text := secret.Reveal()
	for _, wrong := range []string{"", "x", other.Reveal(), text[:len(text)-1], text + "x", strings.ToLower(text), " " + text, text + "\x00"} {
		f.rejects(t, "a", wrong, provisioning.ReasonWrongSecret)
	}
	for _, id := range []string{"", "nobody", "A", "a ", "a\x00", "\xff", strings.Repeat("a", 1<<16)} {
		f.rejects(t, id, text, provisioning.ReasonUnknownClient)
	}
	f.rejects(t, "a", strings.Repeat("x", 1<<20), provisioning.ReasonWrongSecret)
	f.authenticates(t, "a", secret)
	f.authenticates(t, "b", other)
	_, _, err := f.registry.Authenticate(t.Context(), "a", "bg_wrong")
	if strings.Contains(err.Error(), "bg_wrong") {
		t.Errorf("the error repeats the secret: %v", err)
	}
}

func TestASecretIsNotTakenBeforeItsTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, secret := f.create(t, sensor("a"))
	c.Version, c.Secrets[0].NotBefore = 2, epoch.Add(time.Hour)
	if err := f.store.Apply(t.Context(), provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: 1, Client: c}}}); err != nil {
		t.Fatal(err)
	}
	f.rejects(t, "a", secret.Reveal(), provisioning.ReasonSecretTooEarly)
	f.clock.advance(time.Hour)
	f.authenticates(t, "a", secret)
}

func TestASecretUnderAnotherKeyIsFoundOnceTheKeyIsThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, first := f.create(t, sensor("a"))
	f.authenticates(t, "a", first) // the registry has the keys in memory now
	// Another program on the same store has made a newer key.
	newer := provisioning.Key{ID: "hmac-newer", Use: provisioning.UseSecretHMAC, Alg: "hmac-sha256", Private: []byte("another key"), CreatedAt: epoch.Add(time.Hour)}
	if err := f.store.Apply(t.Context(), provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: newer}}}); err != nil {
		t.Fatal(err)
	}
	second, err := provisioning.NewService(t.Context(), f.config())
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := second.Create(t.Context(), sensor("b"))
	if err != nil {
		t.Fatal(err)
	}
	f.authenticates(t, "b", secret)
	f.authenticates(t, "a", first)
	f.rejects(t, "a", secret.Reveal(), provisioning.ReasonWrongSecret)
}

// watched counts what is read of a store, and fails on demand.
type watched struct {
	provisioning.Store
	found, missing int
	fail           error
	failApply      error
}

func (w *watched) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	if w.failApply != nil {
		return w.failApply
	}
	return w.Store.Apply(ctx, set)
}

func (w *watched) Client(ctx context.Context, id string) (*provisioning.Client, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	c, err := w.Store.Client(ctx, id)
	if err == nil {
		w.found++
	} else {
		w.missing++
	}
	return c, err
}

func TestO2_AnUnknownClientTakesTheWorkOfAKnownOne(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	_, secret := f.create(t, sensor("a"))
	f.create(t, sensor("gone"))
	if _, err := f.Delete(t.Context(), "gone", 0); err != nil {
		t.Fatal(err)
	}
	f.authenticates(t, "a", secret)
	for _, id := range []string{"a", "nobody", "gone", "Not An ID"} {
		w.found, w.missing = 0, 0
		if _, _, err := f.registry.Authenticate(t.Context(), id, "bg_wrong"); !errors.Is(err, provisioning.ErrUnauthenticated) {
			t.Errorf("Authenticate(%q) returned %v", id, err)
		}
		if w.found != 1 || w.missing != 1 {
			t.Errorf("for %q, %d records were read and %d not found, want one each", id, w.found, w.missing)
		}
	}
}

func TestARightSecretOfAClientInMemoryNeedsNoRead(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	_, secret := f.create(t, sensor("a"))
	f.authenticates(t, "a", secret)
	w.found, w.missing = 0, 0
	for range 2 {
		c, _, err := f.registry.Authenticate(t.Context(), "a", secret.Reveal())
		if err != nil || w.found != 0 || w.missing != 0 || c.Labels["site"] != "garage-1" || c.Secrets[0].Comment != "" {
			t.Fatalf("got %+v, error %v, after %d reads and %d in vain", c, err, w.found, w.missing)
		}
		c.Labels["site"], c.Secrets[0].Comment = "other", "other" // it is the caller's own
	}
}

// TestO2_WhatMemoryHoldsNeverOutlivesAWrite ends a right secret in every way while
// its client is in memory.
func TestO2_WhatMemoryHoldsNeverOutlivesAWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for id, c := range map[string]struct {
		end  func(id string) error
		want provisioning.AuthenticationReason
	}{
		"disabled": {func(id string) error { _, _, err := f.Disable(t.Context(), id, 0); return err }, provisioning.ReasonClientDisabled},
		"deleted":  {func(id string) error { _, err := f.Delete(t.Context(), id, 0); return err }, provisioning.ReasonUnknownClient},
		"rotated": {func(id string) error {
			_, _, _, err := f.Rotate(t.Context(), id, provisioning.RotateOptions{})
			return err
		}, provisioning.ReasonWrongSecret},
	} {
		_, secret := f.create(t, sensor(id))
		f.authenticates(t, id, secret)
		f.authenticates(t, id, secret)
		if err := c.end(id); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			f.rejects(t, id, secret.Reveal(), c.want)
		}
		if standing, err := f.registry.Standing(t.Context(), id); err != nil || standing.Client != nil && id == "deleted" {
			t.Errorf("%q has %+v, error %v", id, standing, err)
		}
	}
}

func TestAStoreThatFailsIsNoWrongSecret(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	_, secret := f.create(t, sensor("a"))
	w.fail = errors.New("disk on fire")
	_, _, err := f.registry.Authenticate(t.Context(), "a", secret.Reveal())
	if !errors.Is(err, w.fail) || errors.Is(err, provisioning.ErrUnauthenticated) {
		t.Fatalf("got error %v", err)
	}
}
