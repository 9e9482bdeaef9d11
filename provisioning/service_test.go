package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestACreatedClientGetsASecretThatIsItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := sensor("a")
	n.Grants = []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:x/{client_id}"}}}
	c, secret := f.create(t, n)
	if c.ID != "a" || c.Version != 1 || c.Status != provisioning.StatusActive || !c.CreatedAt.Equal(epoch) || len(c.Secrets) != 1 {
		t.Fatalf("got %+v", c)
	}
	if !secret.Valid() {
		t.Fatal("the secret has not the form of one")
	}
	f.authenticates(t, "a", secret)
	// What was given belongs to the caller still.
	n.Labels["site"], n.Roles[0], n.Grants[0].Scopes[0] = "other", "other", "other"
	stored, err := f.registry.Client(t.Context(), "a")
	if err != nil || stored.Labels["site"] != "garage-1" || stored.Grants[0].Scopes[0] != "pub:x/{client_id}" {
		t.Fatalf("got %+v, error %v", stored, err)
	}
}

func TestAnIDIsGeneratedIfNoneIsGiven(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	seen := map[string]bool{}
	for _, kind := range []provisioning.Kind{provisioning.KindDevice, provisioning.KindService, provisioning.KindOperator} {
		for range 3 {
			c, _ := f.create(t, provisioning.NewClient{Kind: kind})
			if !strings.HasPrefix(c.ID, string(kind)+"-") || seen[c.ID] {
				t.Errorf("got ID %q", c.ID)
			}
			seen[c.ID] = true
		}
	}
}

func TestATakenIDIsRefusedAndNeverUsedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, secret := f.create(t, sensor("a"))
	_, _, err := f.Create(t.Context(), sensor("a"))
	wantError(t, err, provisioning.ErrExists)
	f.authenticates(t, "a", secret)
	if _, err := f.Delete(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	_, _, err = f.Create(t.Context(), sensor("a"))
	wantError(t, err, provisioning.ErrExists)
	wantError(t, err, provisioning.ErrDeleted)
	if !strings.Contains(err.Error(), "never used again") {
		t.Errorf("the error does not say why: %v", err)
	}
	_, err = f.registry.Client(t.Context(), "a")
	wantError(t, err, provisioning.ErrDeleted)
	wantError(t, err, provisioning.ErrNotFound)
	for name, write := range map[string]func() error{
		"update": func() error {
			_, _, err := f.Update(t.Context(), "a", 0, func(*provisioning.Client) error { return nil })
			return err
		},
		"disable": func() error { _, _, err := f.Disable(t.Context(), "a", 0); return err },
		"enable":  func() error { _, _, err := f.Enable(t.Context(), "a", 0); return err },
		"delete":  func() error { _, err := f.Delete(t.Context(), "a", 0); return err },
		"rotate": func() error {
			_, _, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{})
			return err
		},
	} {
		if err := write(); !errors.Is(err, provisioning.ErrDeleted) {
			t.Errorf("%s of a deleted client returned %v", name, err)
		}
	}
	if len(f.gate.closed) != 1 {
		t.Errorf("sessions were closed: %q", f.gate.closed)
	}
}

func TestAnUpdateChangesWhatItMayAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	before, secret := f.create(t, sensor("a"))
	f.clock.advance(time.Minute)
	after, _, err := f.Update(t.Context(), "a", 1, func(c *provisioning.Client) error {
		c.Name, c.TokenTTL, c.Roles = "new", time.Hour, nil
		c.Labels["floor"] = "b2"
		c.MQTTClientIDs = []string{"a:*"}
		c.Version, c.CreatedAt, c.UpdatedAt, c.LastTokenAt, c.Secrets = 77, time.Time{}, time.Time{}, epoch, nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after.Version != 2 || !after.CreatedAt.Equal(before.CreatedAt) || !after.UpdatedAt.Equal(epoch.Add(time.Minute)) ||
		!after.LastTokenAt.IsZero() || len(after.Secrets) != 1 || after.Name != "new" || after.Labels["floor"] != "b2" {
		t.Fatalf("got %+v", after)
	}
	f.authenticates(t, "a", secret)
	_, _, err = f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error {
		c.ID, c.Kind, c.Status, c.Name = "b", provisioning.KindService, provisioning.StatusDisabled, "\x00"
		return nil
	})
	wantFields(t, err, "name", "id", "kind", "status")
	_, _, err = f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error {
		c.Roles = []string{"nobody"}
		return nil
	})
	wantFields(t, err, "roles[0]")
	own := errors.New("no")
	_, _, err = f.Update(t.Context(), "a", 0, func(*provisioning.Client) error { return own })
	wantError(t, err, own)
	if len(f.gate.closed) != 0 {
		t.Errorf("an update closed sessions: %q", f.gate.closed)
	}
}

func TestAnUpdateThatChangesNothingWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	f.clock.advance(time.Minute)
	c, _, err := f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error {
		c.Grants, c.Name = []provisioning.Grant{}, "Sensor a"
		return nil
	})
	if err != nil || c.Version != 1 || !c.UpdatedAt.Equal(epoch) {
		t.Fatalf("got %+v, error %v", c, err)
	}
}

func TestAWriteForAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	rename := func(c *provisioning.Client) error { c.Name += "!"; return nil }
	if _, _, err := f.Update(t.Context(), "a", 1, rename); err != nil {
		t.Fatal(err)
	}
	_, _, err := f.Update(t.Context(), "a", 1, rename)
	wantError(t, err, provisioning.ErrConflict)
	_, _, err = f.Disable(t.Context(), "a", 1)
	wantError(t, err, provisioning.ErrConflict)
	_, err = f.Delete(t.Context(), "a", 3)
	wantError(t, err, provisioning.ErrConflict)
	_, _, _, err = f.Rotate(t.Context(), "a", provisioning.RotateOptions{IfVersion: 1})
	wantError(t, err, provisioning.ErrConflict)
	if len(f.gate.closed) != 0 {
		t.Errorf("a refused write closed sessions: %q", f.gate.closed)
	}
}

func TestConcurrentUpdatesAreAllMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			_, _, err := f.Update(context.Background(), "a", 0, func(c *provisioning.Client) error {
				c.Labels[fmt.Sprint("k", i)] = "x"
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, err := f.registry.Client(t.Context(), "a")
	if err != nil || len(c.Labels) != 33 || c.Version != 33 {
		t.Fatalf("got %+v, error %v", c, err)
	}
}

// overtaken is a store in which another writer is always a little faster.
type overtaken struct {
	provisioning.Store
	overtake func() // is called before each write but its own
	busy     bool
}

func (o *overtaken) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	if o.overtake != nil && !o.busy {
		o.busy = true
		o.overtake()
		o.busy = false
	}
	return o.Store.Apply(ctx, set)
}

func TestAnOvertakenUpdateRunsAgainOnWhatTheOtherWrote(t *testing.T) {
	t.Parallel()
	store := &overtaken{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { store.Store = s; return store })
	f.create(t, sensor("a"))
	runs := 0
	bump := func() {
		c, err := store.Client(context.Background(), "a")
		if err != nil {
			t.Error(err)
			return
		}
		c.Version++
		c.Labels["n"] += "x"
		err = store.Store.Apply(context.Background(), provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: c.Version - 1, Client: c}}})
		if err != nil {
			t.Error(err)
		}
	}
	store.overtake = func() {
		if runs < 3 {
			bump()
		}
	}
	c, _, err := f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error {
		runs++
		c.Labels["n"] += "!"
		return nil
	})
	if err != nil || runs != 3 || c.Labels["n"] != "xx!" {
		t.Fatalf("after %d runs: got %+v, error %v", runs, c, err)
	}
	// Whoever names a version does not want another one to be overwritten.
	runs = 0
	_, _, err = f.Update(t.Context(), "a", c.Version, func(c *provisioning.Client) error { runs++; c.Name = "new"; return nil })
	wantError(t, err, provisioning.ErrConflict)
	if runs != 1 {
		t.Errorf("the update ran %d times", runs)
	}
	store.overtake = bump
	_, _, err = f.Update(t.Context(), "a", 0, func(c *provisioning.Client) error { c.Name = "new"; return nil })
	wantError(t, err, provisioning.ErrConflict)
}

func TestDisablingClosesTheSessionsAfterTheWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, secret := f.create(t, sensor("a"))
	ctx, cancel := context.WithCancel(t.Context())
	f.gate.onClose = func(ctx context.Context, sel provisioning.Selection) {
		cancel() // the caller has gone away
		if ctx.Err() != nil {
			t.Error("the context of a request that has ended keeps sessions open")
		}
		if c, err := f.store.Client(ctx, sel.ClientID); err != nil || c.Status != provisioning.StatusDisabled {
			t.Errorf("the sessions were closed before the write: %+v, %v", c, err)
		}
	}
	c, receipt, err := f.Disable(ctx, "a", 0)
	want := provisioning.Receipt{Sessions: 1, Subscriptions: 2, Queued: 3, Wills: 1}
	if err != nil || c.Status != provisioning.StatusDisabled || c.Version != 2 || receipt != want {
		t.Fatalf("got %+v, %+v, error %v", c, receipt, err)
	}
	f.rejects(t, "a", secret.Reveal(), provisioning.ReasonClientDisabled)
	f.rejects(t, "a", "bg_wrong", provisioning.ReasonWrongSecret)
	f.gate.onClose = nil
	if c, _, err = f.Disable(t.Context(), "a", 0); err != nil || c.Version != 2 {
		t.Fatalf("disabling again: got %+v, error %v", c, err)
	}
	c, _, err = f.Enable(t.Context(), "a", 0)
	if err != nil || c.Version != 3 {
		t.Fatalf("got %+v, error %v", c, err)
	}
	f.authenticates(t, "a", secret)
	if want := []string{"a: client disabled", "a: client disabled", "a: client enabled"}; !slices.Equal(f.gate.closed, want) {
		t.Errorf("sessions were closed: %q", f.gate.closed)
	}
}

func TestDeletingClosesTheSessionsAfterTheWrite(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, secret := f.create(t, sensor("a"))
	f.gate.onClose = func(ctx context.Context, sel provisioning.Selection) {
		c, err := f.store.Client(ctx, sel.ClientID)
		if err != nil || c.Status != provisioning.StatusDisabled || len(c.Secrets) != 0 {
			t.Errorf("the sessions were closed before the write: %+v, error %v", c, err)
		}
	}
	receipt, err := f.Delete(t.Context(), "a", 1)
	want := provisioning.Receipt{Sessions: 1, Subscriptions: 2, Queued: 3, Wills: 1, Retained: 4, Secrets: 1}
	if err != nil || receipt != want || !slices.Equal(f.gate.closed, []string{"a: client deleted"}) || !slices.Equal(f.gate.removed, []string{"a"}) {
		t.Fatalf("got %+v, error %v, closed %q, removed from %q", receipt, err, f.gate.closed, f.gate.removed)
	}
	f.rejects(t, "a", secret.Reveal(), provisioning.ReasonUnknownClient)
}

func TestAServiceWithoutItsPartsIsRefusedWithAllNamed(t *testing.T) {
	t.Parallel()
	_, err := provisioning.NewService(t.Context(), provisioning.Config{})
	for _, part := range []string{"Store", "Scopes", "Revocations", "Rand", "Logger"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
}

func TestASecondServiceOnAStoreKnowsTheSecretsOfTheFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, secret := f.create(t, sensor("a"))
	again, err := provisioning.NewService(t.Context(), f.config())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := again.Registry().Authenticate(t.Context(), "a", secret.Reveal()); err != nil {
		t.Fatal(err)
	}
	keys, err := f.store.Keys(t.Context(), provisioning.UseSecretHMAC)
	if err != nil || len(keys) != 1 {
		t.Fatalf("got %d keys, error %v", len(keys), err)
	}
	roles, err := f.registry.Roles(t.Context())
	if err != nil || len(roles) != len(provisioning.BuiltInRoles()) {
		t.Fatalf("got %d roles, error %v", len(roles), err)
	}
	for _, role := range roles {
		if role.Version != 1 {
			t.Errorf("the second start wrote role %s", role.ID)
		}
	}
}

func TestAStoreThatLostItsKeyIsNotGivenANewOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	keys, err := f.store.Keys(t.Context(), provisioning.UseSecretHMAC)
	if err != nil {
		t.Fatal(err)
	}
	err = f.store.Apply(t.Context(), provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: keys[0], Delete: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provisioning.NewService(t.Context(), f.config()); err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Fatalf("NewService returned %v", err)
	}
}

func TestNothingIsWrittenWithoutRandomness(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	broken := errors.New("broken")
	cfg := f.config()
	cfg.Rand = iotest.ErrReader(broken)
	s, err := provisioning.NewService(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Create(t.Context(), sensor("a"))
	wantError(t, err, broken)
	_, err = f.registry.Client(t.Context(), "a")
	wantError(t, err, provisioning.ErrNotFound)
}

func TestAWriterThatGaveUpLeavesTheTurnToTheNext(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	inside, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := f.Update(context.Background(), "a", 0, func(c *provisioning.Client) error {
			close(inside)
			<-release
			c.Name = "first"
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := f.Update(ctx, "a", 0, func(*provisioning.Client) error { return nil })
	wantError(t, err, context.Canceled)
	close(release)
	wg.Wait()
	c, _, err := f.Update(t.Context(), "a", 2, func(c *provisioning.Client) error { c.Name = "second"; return nil })
	if err != nil || c.Name != "second" {
		t.Fatalf("got %+v, error %v", c, err)
	}
}
