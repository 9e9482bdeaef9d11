package provisioning_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// token is one that a client of that name got with its first secret.
func token(c *provisioning.Client, id string, issued time.Time) provisioning.TokenFacts {
	return provisioning.TokenFacts{
		ClientID: c.ID, TokenID: id, CredentialID: c.Secrets[0].ID, KeyID: "key-1", IssuedAt: issued.Truncate(time.Second),
	}
}

func (f *fixture) revoke(tb testing.TB, n provisioning.NewRevocation) *provisioning.Revocation {
	tb.Helper()
	r, _, err := f.Revoke(tb.Context(), n)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// wantRevoked checks which of the tokens are refused.
func (f *fixture) wantRevoked(tb testing.TB, want bool, tokens ...provisioning.TokenFacts) {
	tb.Helper()
	for _, token := range tokens {
		if f.revocations.Revoked(token) != want {
			tb.Errorf("token %+v is revoked: %v, want %v", token, !want, want)
		}
	}
}

func TestARevocationIsWrittenBeforeItIsAskedAndThenTheSessionsAreClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.gate.onClose = func(ctx context.Context, sel provisioning.Selection) {
		list, err := f.store.Revocations(ctx, "", 10)
		if err != nil || len(list) != 1 {
			t.Errorf("the sessions were closed before the write: %v, error %v", list, err)
		}
		f.wantRevoked(t, true, token(c, "t1", epoch))
		if sel != (provisioning.Selection{TokenID: "t1"}) {
			t.Errorf("sessions of %+v were closed", sel)
		}
	}
	r, receipt, err := f.Revoke(t.Context(), provisioning.NewRevocation{TokenID: "t1", Reason: "stolen", By: "root"})
	if err != nil || r.TokenID != "t1" || r.Reason != "stolen" || r.CreatedBy != "root" || !r.CreatedAt.Equal(epoch) ||
		!r.ExpiresAt.Equal(epoch.Add(provisioning.MaxTokenTTL)) || receipt.Sessions != 1 {
		t.Fatalf("got %+v, %+v, error %v", r, receipt, err)
	}
	f.wantRevoked(t, false, token(c, "t2", epoch))
	if want := []string{": token revoked"}; !slices.Equal(f.gate.closed, want) {
		t.Errorf("sessions were closed: %q", f.gate.closed)
	}
	if strings.Contains(f.log.String(), "t1") {
		t.Errorf("the log names the token: %s", f.log)
	}
}

func TestRevocationsSurviveARestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.revoke(t, provisioning.NewRevocation{TokenID: "t1"})
	f.revoke(t, provisioning.NewRevocation{KeyID: "key-2"})
	f.revoke(t, provisioning.NewRevocation{ClientID: "a", IssuedBefore: epoch.Add(-time.Hour)})
	for range 2 {
		other := token(c, "t3", epoch)
		other.KeyID = "key-2"
		f.wantRevoked(t, true, token(c, "t1", epoch), token(c, "t2", epoch.Add(-2*time.Hour)), other)
		f.wantRevoked(t, false, token(c, "t2", epoch))
		f.restart(t)
	}
}

func TestARevocationIsForgottenWhenItsLastTokenHasExpired(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.revoke(t, provisioning.NewRevocation{TokenID: "t1", ExpiresAt: epoch.Add(time.Hour)})
	f.revoke(t, provisioning.NewRevocation{TokenID: "t2"})
	forget := func(want int) {
		t.Helper()
		if count, err := f.ForgetRevocations(t.Context()); err != nil || count != want {
			t.Fatalf("forgot %d revocations, error %v, want %d", count, err, want)
		}
	}
	// A verifier takes the token a little longer than it says.
	f.clock.advance(time.Hour + provisioning.RevocationGrace - time.Millisecond)
	forget(0)
	f.wantRevoked(t, true, token(c, "t1", epoch), token(c, "t2", epoch))
	f.clock.advance(time.Millisecond)
	forget(1)
	f.wantRevoked(t, true, token(c, "t2", epoch))
	f.wantRevoked(t, false, token(c, "t1", epoch)) // it has expired, by any clock
	if f.revocations.Len() != 1 {
		t.Errorf("%d revocations are kept in memory", f.revocations.Len())
	}
	f.clock.advance(provisioning.MaxTokenTTL)
	forget(1)
	forget(0)
	if page, err := f.registry.Revocations(t.Context(), "", 0); err != nil || len(page.Revocations) != 0 {
		t.Errorf("got %+v, error %v", page, err)
	}
}

func TestManyRevocationsAreForgottenPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	const count = 2500
	for i := range count / 500 {
		var set provisioning.ChangeSet
		for _, r := range manyRevocations(i*500, (i+1)*500) {
			if i%2 == 0 {
				r.ExpiresAt = epoch.Add(-time.Hour)
			}
			set.Revocations = append(set.Revocations, provisioning.RevocationChange{Revocation: r})
		}
		if err := f.store.Apply(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	f.restart(t)
	forgotten, err := f.ForgetRevocations(t.Context())
	if err != nil || forgotten != 1500 || f.revocations.Len() != 1000 {
		t.Fatalf("forgot %d, %d are left, error %v", forgotten, f.revocations.Len(), err)
	}
}

func TestRevokingAgainWidensAndNeverNarrows(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	long := provisioning.NewRevocation{ClientID: "a", IssuedBefore: epoch.Add(-time.Hour), ExpiresAt: epoch.Add(48 * time.Hour)}
	first := f.revoke(t, long)
	second := f.revoke(t, provisioning.NewRevocation{ClientID: "a", IssuedBefore: epoch, ExpiresAt: epoch.Add(time.Hour)})
	third := f.revoke(t, long)
	if first.ID != second.ID || !second.IssuedBefore.Equal(epoch) || !third.IssuedBefore.Equal(epoch) || !third.ExpiresAt.Equal(long.ExpiresAt) {
		t.Errorf("got %+v, then %+v, then %+v", first, second, third)
	}
	f.wantRevoked(t, true, token(c, "t", epoch.Add(-time.Second)))
	f.restart(t)
	f.wantRevoked(t, true, token(c, "t", epoch.Add(-time.Second)))
	f.wantRevoked(t, false, token(c, "t", epoch))
	if f.revocations.Len() != 1 {
		t.Errorf("there are %d revocations", f.revocations.Len())
	}
}

func TestRevocationsOfOnePatternAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.clock.advance(time.Hour)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, _, err := f.Revoke(context.Background(), provisioning.NewRevocation{ClientID: "a", IssuedBefore: epoch.Add(time.Duration(i) * time.Minute)})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f.restart(t)
	f.wantRevoked(t, true, token(c, "t", epoch.Add(19*time.Minute-time.Second)))
	f.wantRevoked(t, false, token(c, "t", epoch.Add(19*time.Minute)))
}

func TestAClientsTokensAreRevokedUntilNowAndLaterOnesAreGood(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.clock.advance(300 * time.Millisecond)
	r := f.revoke(t, provisioning.NewRevocation{ClientID: "a"})
	if !r.IssuedBefore.Equal(epoch.Add(time.Second)) {
		t.Errorf("got %+v", r)
	}
	f.wantRevoked(t, true, token(c, "t", epoch))
	f.wantRevoked(t, false, token(c, "t", epoch.Add(time.Second)))
	// A time within a second covers all that was issued in it.
	f.revoke(t, provisioning.NewRevocation{KeyID: "key-1", IssuedBefore: epoch.Add(time.Millisecond)})
	f.wantRevoked(t, true, token(&provisioning.Client{ID: "b", Secrets: []provisioning.Secret{{}}}, "t", epoch))
}

func TestARevocationOutOfBoundsIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for field, n := range map[string]provisioning.NewRevocation{
		"client_id":     {IssuedBefore: epoch, Reason: "nobody is named"},
		"token_id":      {TokenID: strings.Repeat("x", 257)},
		"credential_id": {CredentialID: "a\x00b"},
		"key_id":        {KeyID: "\xff"},
		"by":            {KeyID: "k", By: "a\nb"},
		"reason":        {KeyID: "k", Reason: strings.Repeat("x", 1025)},
		"issued_before": {ClientID: "a", IssuedBefore: epoch.Add(time.Second)},
		"expires_at":    {TokenID: "t", ExpiresAt: epoch},
	} {
		_, _, err := f.Revoke(t.Context(), n)
		t.Log(field)
		wantFields(t, err, field)
	}
	_, _, err := f.Revoke(t.Context(), provisioning.NewRevocation{TokenID: "t", ExpiresAt: epoch.Add(provisioning.MaxRevocationLife + 1)})
	wantFields(t, err, "expires_at")
	if len(f.gate.closed) != 0 || f.revocations.Len() != 0 {
		t.Errorf("a refused revocation closed sessions: %q", f.gate.closed)
	}
}

func TestARevocationThatIsNotWrittenIsToldAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	w := &watched{}
	f := newFixture(t, func(s provisioning.Store) provisioning.Store { w.Store = s; return w })
	c, _ := f.create(t, sensor("a"))
	full := errors.New("disk full")
	w.failApply = full
	_, _, err := f.Revoke(t.Context(), provisioning.NewRevocation{TokenID: "t1"})
	wantError(t, err, full)
	_, _, err = f.Disable(t.Context(), "a", 0)
	wantError(t, err, full)
	_, _, err = f.RetireSecret(t.Context(), "a", c.Secrets[0].ID, 0)
	wantError(t, err, full)
	_, err = f.Delete(t.Context(), "a", 0)
	wantError(t, err, full)
	f.wantRevoked(t, false, token(c, "t1", epoch))
	if len(f.gate.selected) != 0 {
		t.Errorf("a write that failed closed sessions: %+v", f.gate.selected)
	}
	w.failApply = nil
	f.revoke(t, provisioning.NewRevocation{TokenID: "t1"})
	f.wantRevoked(t, true, token(c, "t1", epoch))
	if _, err := f.Delete(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
}

func TestTooManyRevocationsAreRefusedButNoDisabling(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.revocations = openRevocations(t, numbered(provisioning.MaxRevocations))
	service, err := provisioning.NewService(t.Context(), f.config())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = service.Revoke(t.Context(), provisioning.NewRevocation{TokenID: "t1"})
	wantError(t, err, provisioning.ErrTooManyRevocations)
	_, _, err = service.RetireSecret(t.Context(), "a", c.Secrets[0].ID, 0)
	wantError(t, err, provisioning.ErrTooManyRevocations)
	_, _, _, err = service.Rotate(t.Context(), "a", provisioning.RotateOptions{})
	wantError(t, err, provisioning.ErrTooManyRevocations)
	if _, _, _, err = service.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour}); err != nil {
		t.Errorf("a rotation that revokes nothing: %v", err)
	}
	if _, _, err := service.Disable(t.Context(), "a", 0); err != nil {
		t.Errorf("disabling: %v", err)
	}
	f.wantRevoked(t, true, token(c, "t1", epoch))
	if _, err := service.Delete(t.Context(), "a", 0); err != nil {
		t.Errorf("deleting: %v", err)
	}
}

func TestTheListOfRevocationsIsPagedInOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, id := range []string{"t1", "t2", "t3", "t4", "t5"} {
		f.revoke(t, provisioning.NewRevocation{TokenID: id})
	}
	var ids []string
	for cursor := ""; ; {
		page, err := f.registry.Revocations(t.Context(), cursor, 2)
		if err != nil || len(page.Revocations) > 2 {
			t.Fatalf("got %+v, error %v", page, err)
		}
		for _, r := range page.Revocations {
			ids = append(ids, r.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(ids) != 5 || !slices.IsSorted(ids) || len(slices.Compact(ids)) != 5 {
		t.Errorf("got %q", ids)
	}
	_, err := f.registry.Revocations(t.Context(), "", provisioning.MaxPageSize+1)
	wantFields(t, err, "limit")
	_, err = f.registry.Revocations(t.Context(), "not a cursor", 1)
	wantFields(t, err, "cursor")
}
