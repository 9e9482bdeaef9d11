package provisioning

import (
	"context"
	"fmt"
	"time"
)

// RotateOptions say how secrets are replaced.
type RotateOptions struct {
	// IfVersion is the version that the client must have, 0 for any.
	IfVersion uint64
	// Overlap is how long the secrets that are valid now stay so, at most
	// [MaxRotateOverlap]. With 0 they end at once, and so do live sessions.
	Overlap time.Duration
	// ExpiresAt is the end of the new secret's life; zero for none.
	ExpiresAt time.Time
	Comment   string
}

// Rotate gives a client a new secret, which is returned here and never again,
// and ends the others after the overlap. Without one, the tokens that were got
// with them are revoked too. Errors are those of Update, and an [InvalidError] if
// there are too many secrets.
func (s *Service) Rotate(ctx context.Context, id string, opts RotateOptions) (*Client, ClearSecret, Receipt, error) {
	if opts.Overlap < 0 || opts.Overlap > MaxRotateOverlap {
		return nil, "", Receipt{}, Invalid("overlap", fmt.Sprintf("must be 0 to %d seconds", MaxRotateOverlap/time.Second))
	}
	start, now := s.now(), instant(s.now)
	secret, text, err := s.newSecret(now, opts.ExpiresAt, opts.Comment)
	if err != nil {
		return nil, "", Receipt{}, err
	}
	if err := expiryFault(opts.ExpiresAt, now).err(); err != nil {
		return nil, "", Receipt{}, err
	}
	if opts.Overlap == 0 {
		err = s.revocations.requireRoom()
	}
	if err != nil {
		return nil, "", Receipt{}, err
	}
	removed := 0
	c, err := s.write(ctx, id, opts.IfVersion, func(before *Client) (clientEdit, error) {
		edit := clientEdit{client: before.Clone()}
		kept := outgoing(before.Secrets, now, opts.Overlap)
		removed = len(before.Secrets) - len(kept)
		if opts.Overlap == 0 {
			edit.revoked = s.revokeCredentials(id, CauseRotated, secretIDs(before.Secrets)...)
		}
		kept = append(kept, secret)
		edit.client.Secrets = kept
		var f faults
		f.secrets(edit.client.Secrets)
		return edit, f.err()
	})
	if err != nil {
		return nil, "", Receipt{}, err
	}
	s.log.InfoContext(ctx, "rotated the secret of a client", logClient, id, logOverlap, opts.Overlap.String())
	receipt := Receipt{Secrets: removed}
	if opts.Overlap == 0 {
		receipt.add(s.closeSessions(ctx, Selection{ClientID: id}, CauseRotated))
	}
	return c, text, s.took(start, receipt), nil
}

// newSecret draws a secret and its record.
func (s *Service) newSecret(now, expiresAt time.Time, comment string) (Secret, ClearSecret, error) {
	id, err := s.rand.id("secret-")
	if err != nil {
		return Secret{}, "", err
	}
	text, err := NewSecretText(s.rand)
	if err != nil {
		return Secret{}, "", err
	}
	if !expiresAt.IsZero() {
		expiresAt = instant(func() time.Time { return expiresAt })
	}
	return Secret{
		ID: id, Hash: hashSecret(s.hmacKey, text), CreatedAt: now, ExpiresAt: expiresAt, Comment: comment,
	}, text, nil
}

func secretIDs(secrets []Secret) []string {
	ids := make([]string, len(secrets))
	for i, secret := range secrets {
		ids[i] = secret.ID
	}
	return ids
}

// outgoing returns the old secrets that live on for a while, with their ends
// brought forward to it.
func outgoing(secrets []Secret, now time.Time, overlap time.Duration) []Secret {
	end := now.Add(overlap)
	var kept []Secret
	for _, old := range secrets {
		if old.expired(now) || !old.NotBefore.Before(end) || overlap == 0 {
			continue
		}
		if old.ExpiresAt.IsZero() || old.ExpiresAt.After(end) {
			old.ExpiresAt = end
		}
		kept = append(kept, old)
	}
	return kept
}

func expiryFault(expiresAt, now time.Time) faults {
	var f faults
	if !expiresAt.IsZero() && !expiresAt.After(now) {
		f.add("secret_expires_at", "must lie in the future")
	}
	return f
}
