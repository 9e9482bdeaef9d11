package provisioning_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestATokenFromBeforeADisablingStaysDeadAfterEnabling(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.clock.advance(time.Hour + 500*time.Millisecond)
	before := token(c, "before", f.clock.Now())
	if _, _, err := f.Disable(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	f.wantRevoked(t, true, before)
	// A request that had been let in was answered while the client was disabled.
	f.clock.advance(10 * time.Second)
	overtaken := token(c, "overtaken", f.clock.Now())
	f.clock.advance(10 * time.Second)
	if _, _, err := f.Enable(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	after := token(c, "after", f.clock.Now())
	for range 2 {
		f.wantRevoked(t, true, before, overtaken)
		f.wantRevoked(t, false, after)
		f.restart(t)
	}
}

func TestATokenOfTheSecondOfADisablingIsRefusedRatherThanGuessedAt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	f.clock.advance(999 * time.Millisecond)
	if _, _, err := f.Disable(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Enable(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	f.wantRevoked(t, true, token(c, "t", f.clock.Now()))
	f.clock.advance(time.Millisecond)
	f.wantRevoked(t, false, token(c, "t", f.clock.Now()))
}

func TestDisablingAgainEndsWhatAFailureHasLeft(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, _ := f.create(t, sensor("a"))
	c.Version, c.Status = 2, provisioning.StatusDisabled
	// Disabled, but for what should have ended with it.
	if err := f.store.Apply(t.Context(), provisioning.ChangeSet{Clients: []provisioning.ClientChange{{Before: 1, Client: c}}}); err != nil {
		t.Fatal(err)
	}
	got, receipt, err := f.Disable(t.Context(), "a", 0)
	if err != nil || got.Version != 2 || receipt.Sessions != 1 {
		t.Fatalf("got %+v, %+v, error %v", got, receipt, err)
	}
	f.wantRevoked(t, true, token(c, "t", epoch))
}

func TestARotationWithoutOverlapRevokesTheTokensOfTheOldSecretsAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	before, _ := f.create(t, sensor("a"))
	after, _, receipt, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{})
	if err != nil || receipt.Secrets != 1 || receipt.Sessions != 1 {
		t.Fatalf("got %+v, error %v", receipt, err)
	}
	f.wantRevoked(t, true, token(before, "t", epoch), token(before, "late", epoch.Add(time.Minute)))
	f.wantRevoked(t, false, token(after, "t", epoch))
}

func TestARetiredSecretTakesItsTokensAndSessionsAlong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	c, other, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour})
	if err != nil || len(c.Secrets) != 2 {
		t.Fatalf("got %+v, error %v", c, err)
	}
	lost := c.Secrets[0].ID
	_, _, err = f.RetireSecret(t.Context(), "a", lost, 1)
	wantError(t, err, provisioning.ErrConflict)
	_, _, err = f.RetireSecret(t.Context(), "a", "secret-of-nobody", 0)
	wantError(t, err, provisioning.ErrNotFound)
	_, _, err = f.RetireSecret(t.Context(), "nobody", lost, 0)
	wantError(t, err, provisioning.ErrNotFound)
	got, receipt, err := f.RetireSecret(t.Context(), "a", lost, c.Version)
	if err != nil || len(got.Secrets) != 1 || got.Secrets[0].ID != c.Secrets[1].ID || receipt.Secrets != 1 || receipt.Sessions != 1 {
		t.Fatalf("got %+v, %+v, error %v", got, receipt, err)
	}
	if want := (provisioning.Selection{ClientID: "a", CredentialID: lost}); !slices.Equal(f.gate.selected, []provisioning.Selection{want}) {
		t.Errorf("sessions of %+v were closed", f.gate.selected)
	}
	f.authenticates(t, "a", other)
	f.wantRevoked(t, true, token(c, "t", epoch), token(c, "got meanwhile", epoch.Add(time.Hour)))
	f.wantRevoked(t, false, token(got, "t", epoch))

	// The last one may go as well, and a rotation brings a new one.
	got, _, err = f.RetireSecret(t.Context(), "a", got.Secrets[0].ID, 0)
	if err != nil || len(got.Secrets) != 0 {
		t.Fatalf("got %+v, error %v", got, err)
	}
	f.rejects(t, "a", other.Reveal(), provisioning.ReasonWrongSecret)
	_, secret, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.authenticates(t, "a", secret)
}

func TestR1_ADeletionThatFailsHalfwayIsToldAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	c, secret := f.create(t, sensor("a"))
	f.gate.failure = errors.New("disk on fire")
	receipt, err := f.Delete(t.Context(), "a", 1)
	wantError(t, err, provisioning.ErrIncomplete)
	wantError(t, err, f.gate.failure)
	if receipt.Sessions != 1 || receipt.Retained != 1 || receipt.Secrets != 1 {
		t.Errorf("got receipt %+v", receipt)
	}
	left, err := f.registry.Client(t.Context(), "a")
	if err != nil || left.Status != provisioning.StatusDisabled || len(left.Secrets) != 0 {
		t.Fatalf("the client that could not be deleted is %+v, error %v", left, err)
	}
	f.rejects(t, "a", secret.Reveal(), provisioning.ReasonWrongSecret)
	f.wantRevoked(t, true, token(c, "t", epoch))

	f.gate.failure = nil
	if _, err = f.Delete(t.Context(), "a", left.Version); err != nil {
		t.Fatal(err)
	}
	_, err = f.registry.Client(t.Context(), "a")
	wantError(t, err, provisioning.ErrDeleted)
	if !slices.Equal(f.gate.removed, []string{"a"}) {
		t.Errorf("retained messages were removed of %q", f.gate.removed)
	}
}

func TestADeletionIsFinishedThoughTheCallerHasGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	ctx, cancel := context.WithCancel(t.Context())
	f.gate.onClose = func(context.Context, provisioning.Selection) { cancel() }
	if _, err := f.Delete(ctx, "a", 0); err != nil {
		t.Fatal(err)
	}
	_, err := f.registry.Client(t.Context(), "a")
	wantError(t, err, provisioning.ErrDeleted)
}

func TestWithoutABrokerAClientIsDeletedAllTheSame(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	cfg := f.config()
	cfg.Sessions, cfg.Judge, cfg.Retained = nil, nil, nil
	service, err := provisioning.NewService(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.create(t, sensor("a"))
	if _, _, err := service.Update(t.Context(), "a", 0, func(c *provisioning.Client) error { c.Roles = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	receipt, err := service.Delete(t.Context(), "a", 0)
	if err != nil || receipt != (provisioning.Receipt{Secrets: 1}) {
		t.Fatalf("got %+v, error %v", receipt, err)
	}
}

// connecting is a gate that sessions enter while others are closed: who connects
// is put on the list first, and asks whether it may afterwards.
type connecting struct {
	gate
	f    *fixture
	live sync.Map // token ID -> TokenFacts
}

func (g *connecting) CloseSessions(_ context.Context, sel provisioning.Selection, _ string) (receipt provisioning.Receipt) {
	g.live.Range(func(id, value any) bool {
		token, ok := value.(provisioning.TokenFacts)
		if ok && (sel.ClientID == "" || sel.ClientID == token.ClientID) && (sel.TokenID == "" || sel.TokenID == token.TokenID) &&
			(sel.CredentialID == "" || sel.CredentialID == token.CredentialID) {
			g.live.Delete(id)
			receipt.Sessions++
		}
		return true
	})
	return receipt
}

// connect is what the broker does.
func (g *connecting) connect(t *testing.T, token provisioning.TokenFacts) {
	t.Helper()
	g.live.Store(token.TokenID, token)
	standing, err := g.f.registry.Standing(context.Background(), token.ClientID)
	if err != nil {
		t.Error(err)
	}
	if standing.Client == nil || standing.Client.Status != provisioning.StatusActive || g.f.revocations.Revoked(token) {
		g.live.Delete(token.TokenID)
	}
}

func TestS7_ARevocationThatRacesAConnectMissesNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	g := &connecting{f: f}
	cfg := f.config()
	cfg.Sessions = g
	service, err := provisioning.NewService(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"disabled", "deleted", "retired", "revoked", "token"} {
		for round := range 10 {
			c, _ := f.create(t, sensor(""))
			facts := token(c, "t", epoch)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for j := range 10 {
						mine := facts
						mine.TokenID = string(rune('a'+i)) + string(rune('a'+j))
						if end == "token" {
							mine.TokenID = facts.TokenID
						}
						g.connect(t, mine)
					}
				})
			}
			wg.Go(func() {
				var err error
				switch end {
				case "disabled":
					_, _, err = service.Disable(context.Background(), c.ID, 0)
				case "deleted":
					_, err = service.Delete(context.Background(), c.ID, 0)
				case "retired":
					_, _, err = service.RetireSecret(context.Background(), c.ID, c.Secrets[0].ID, 0)
				case "revoked":
					_, _, err = service.Revoke(context.Background(), provisioning.NewRevocation{ClientID: c.ID})
				case "token":
					_, _, err = service.Revoke(context.Background(), provisioning.NewRevocation{TokenID: facts.TokenID})
				}
				if err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			g.live.Range(func(id, _ any) bool {
				t.Errorf("%s, round %d: session %v lives on", end, round, id)
				return true
			})
			g.live.Clear()
		}
	}
}
