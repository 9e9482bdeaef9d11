package provisioning_test

import (
	"slices"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestARotationWithoutOverlapEndsTheOldSecretAndTheSessions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, old := f.create(t, sensor("a"))
	c, secret, receipt, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Comment: "lost key"})
	if err != nil || len(c.Secrets) != 1 || c.Secrets[0].Comment != "lost key" || receipt.Sessions != 1 || c.Version != 2 {
		t.Fatalf("got %+v, %+v, error %v", c, receipt, err)
	}
	f.rejects(t, "a", old.Reveal(), provisioning.ReasonWrongSecret)
	f.authenticates(t, "a", secret)
	if !slices.Equal(f.gate.closed, []string{"a: secrets rotated"}) {
		t.Errorf("sessions were closed: %q", f.gate.closed)
	}
}

func TestARotationWithOverlapNeedsNoOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, old := f.create(t, sensor("a"))
	_, secret, receipt, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour, ExpiresAt: epoch.Add(2 * time.Hour)})
	if err != nil || receipt != (provisioning.Receipt{}) || len(f.gate.closed) != 0 || f.revocations.Len() != 0 {
		t.Fatalf("got %+v, error %v, closed %q", receipt, err, f.gate.closed)
	}
	f.authenticates(t, "a", old)
	f.authenticates(t, "a", secret)
	f.clock.advance(time.Hour - time.Millisecond)
	f.authenticates(t, "a", old)
	f.clock.advance(time.Millisecond)
	f.rejects(t, "a", old.Reveal(), provisioning.ReasonSecretExpired)
	f.authenticates(t, "a", secret)
	f.clock.advance(time.Hour)
	f.rejects(t, "a", secret.Reveal(), provisioning.ReasonSecretExpired)
	// The next rotation clears away what has expired.
	c, _, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour})
	if err != nil || len(c.Secrets) != 1 {
		t.Fatalf("got %+v, error %v", c, err)
	}
}

func TestAnOverlapNeverLengthensALife(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := sensor("a")
	n.SecretExpiresAt = epoch.Add(time.Minute)
	_, old := f.create(t, n)
	c, _, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour})
	if err != nil || !c.Secrets[0].ExpiresAt.Equal(epoch.Add(time.Minute)) || !c.Secrets[1].ExpiresAt.IsZero() {
		t.Fatalf("got %+v, error %v", c.Secrets, err)
	}
	f.clock.advance(time.Minute)
	f.rejects(t, "a", old.Reveal(), provisioning.ReasonSecretExpired)
}

func TestRotationsOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.create(t, sensor("a"))
	for field, opts := range map[string]provisioning.RotateOptions{
		"overlap":           {Overlap: provisioning.MaxRotateOverlap + 1},
		"secret_expires_at": {ExpiresAt: epoch},
	} {
		_, _, _, err := f.Rotate(t.Context(), "a", opts)
		wantFields(t, err, field)
	}
	_, _, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: -time.Second})
	wantFields(t, err, "overlap")
	_, _, _, err = f.Rotate(t.Context(), "a", provisioning.RotateOptions{Comment: "a\nb"})
	wantFields(t, err, "secrets[0].comment")
	for range provisioning.MaxSecrets - 1 {
		if _, _, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, _, err = f.Rotate(t.Context(), "a", provisioning.RotateOptions{Overlap: time.Hour})
	wantFields(t, err, "secrets")
	if c, _, _, err := f.Rotate(t.Context(), "a", provisioning.RotateOptions{}); err != nil || len(c.Secrets) != 1 {
		t.Fatalf("got %+v, error %v", c, err)
	}
}
