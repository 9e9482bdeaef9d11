package provisioning

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// NewRevocation is what a revocation is made from.
type NewRevocation struct {
	// At least one of these four is given.
	ClientID     string
	TokenID      string
	CredentialID string
	KeyID        string
	// IssuedBefore is not in the future. As iat has whole seconds, a time within a
	// second covers the whole of it: a token that is issued later in that second is
	// refused too. Zero means tokens of any age, future ones too; but if nothing
	// than a client is named, now.
	IssuedBefore time.Time
	// ExpiresAt is when the last token that is meant has expired; zero means after
	// [MaxTokenTTL], the longest life of a token.
	ExpiresAt time.Time
	Reason    string
	// By is the client that asks for it.
	By string
}

// Revoke ends tokens and closes the sessions that were opened with them. When it
// returns, none of them opens another, after a restart either. What is revoked
// already is covered still, and longer if need be. Of a signing key it ends the
// tokens alone: the key is the issuer's to withdraw, before.
//
// It returns an [InvalidError], or [ErrTooManyRevocations]. After any other error
// it may or may not have happened, and is to be repeated.
func (s *Service) Revoke(ctx context.Context, n NewRevocation) (*Revocation, Receipt, error) {
	start := s.now()
	now := instant(s.now)
	if err := n.check(now); err != nil {
		return nil, Receipt{}, err
	}
	if err := s.revocations.requireRoom(); err != nil {
		return nil, Receipt{}, err
	}
	list, err := s.applyRevoking(ctx, ChangeSet{}, []Revocation{n.revocation(now)})
	if err != nil {
		return nil, Receipt{}, fmt.Errorf("writing a revocation: %w", err)
	}
	r := list[0]
	s.log.InfoContext(ctx, "revoked tokens", logRevocation, r.ID)
	return &r, s.took(start, s.closeSessions(ctx, r.selection(), CauseRevoked)), nil
}

func (n NewRevocation) revocation(now time.Time) Revocation {
	r := pattern{n.ClientID, n.TokenID, n.CredentialID, n.KeyID}.revocation(now, n.Reason)
	r.CreatedBy = n.By
	if !n.ExpiresAt.IsZero() {
		r.ExpiresAt = roundUp(n.ExpiresAt, time.Millisecond)
	}
	switch {
	case !n.IssuedBefore.IsZero():
		r.IssuedBefore = roundUp(n.IssuedBefore, time.Second)
	case r.pattern().shape() == namesClient:
		return r.issuedUntil(now)
	}
	return r
}

func roundUp(t time.Time, unit time.Duration) time.Time {
	down := t.UTC().Truncate(unit)
	if down.Equal(t) {
		return down
	}
	return down.Add(unit)
}

func (n NewRevocation) check(now time.Time) error {
	var f faults
	for _, field := range []struct{ name, value string }{
		{"client_id", n.ClientID}, {"token_id", n.TokenID}, {"credential_id", n.CredentialID}, {"key_id", n.KeyID}, {"by", n.By},
	} {
		f.text(field.name, field.value, maxRevocationField)
	}
	f.text("reason", n.Reason, maxRevocationReason)
	if n.ClientID == "" && n.TokenID == "" && n.CredentialID == "" && n.KeyID == "" {
		f.add("client_id", "is missing, and so are token_id, credential_id and key_id: name one at least")
	}
	if n.IssuedBefore.After(roundUp(now, time.Second)) {
		f.add("issued_before", "must not lie in the future")
	}
	switch {
	case n.ExpiresAt.IsZero():
	case !n.ExpiresAt.After(now):
		f.add("expires_at", "must lie in the future")
	case n.ExpiresAt.Sub(now) > MaxRevocationLife:
		f.addf("expires_at", "must lie %d days ahead at most", MaxRevocationLife/(24*time.Hour))
	}
	return f.err()
}

// applyRevoking writes a change set together with revocations, then has them
// asked at every CONNECT. It returns the revocations as they are now, which may
// be wider. Live sessions are the caller's to close, afterwards.
func (s *Service) applyRevoking(ctx context.Context, set ChangeSet, list []Revocation) ([]Revocation, error) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = "revocation/" + list[i].ID
	}
	// Who widens the same revocation waits, or one would undo what the other did.
	giveBack, err := s.turns.takeAll(ctx, names)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	for i := range list {
		list[i] = s.revocations.widened(list[i])
		set.Revocations = append(set.Revocations, RevocationChange{Revocation: list[i]})
	}
	if err := s.applySet(ctx, set); err != nil {
		return nil, err
	}
	s.revocations.add(list...)
	return list, nil
}

// ForgetRevocations deletes those whose last token has expired, and returns how
// many they were. It is meant to be called at the start and every hour. After an
// error it may be repeated.
func (s *Service) ForgetRevocations(ctx context.Context) (int, error) {
	now, count := s.now(), 0
	err := eachRevocations(ctx, s.store, func(page []Revocation) error {
		page = slices.DeleteFunc(page, func(r Revocation) bool { return !r.coverage().forgettable(now) })
		if len(page) == 0 {
			return nil
		}
		var set ChangeSet
		for _, r := range page {
			set.Revocations = append(set.Revocations, RevocationChange{Revocation: r, Delete: true})
		}
		if err := s.applySet(ctx, set); err != nil {
			return fmt.Errorf("deleting revocations: %w", err)
		}
		s.revocations.forget(page)
		count += len(page)
		return nil
	})
	if count > 0 {
		s.log.InfoContext(ctx, "forgot revocations whose tokens have expired", logCount, count)
	}
	return count, err
}

// took is a receipt with the time since a call began.
func (s *Service) took(start time.Time, receipt Receipt) Receipt {
	receipt.Took = s.now().Sub(start)
	return receipt
}

// RetireSecret takes a secret from a client, revokes the tokens that were got
// with it and closes their sessions. The last one may be retired: the client gets
// no more tokens by secret then, until it is rotated. Errors are those of Update,
// [ErrTooManyRevocations], and [ErrNotFound] for a secret that the client has not.
func (s *Service) RetireSecret(ctx context.Context, clientID, secretID string, ifVersion uint64) (*Client, Receipt, error) {
	start := s.now()
	if err := s.revocations.requireRoom(); err != nil {
		return nil, Receipt{}, err
	}
	c, err := s.write(ctx, clientID, ifVersion, func(before *Client) (clientEdit, error) {
		after := before.Clone()
		after.Secrets = slices.DeleteFunc(after.Secrets, func(secret Secret) bool { return secret.ID == secretID })
		if len(after.Secrets) == len(before.Secrets) {
			return clientEdit{}, fmt.Errorf("client %q has no such secret: %w", clientID, ErrNotFound)
		}
		return clientEdit{client: after, revoked: s.revokeCredentials(clientID, CauseRetired, secretID)}, nil
	})
	if err != nil {
		return nil, Receipt{}, err
	}
	s.log.InfoContext(ctx, "retired a secret of a client", logClient, clientID, logSecret, secretID)
	receipt := s.closeSessions(ctx, Selection{ClientID: clientID, CredentialID: secretID}, CauseRetired)
	receipt.Secrets++
	return c, s.took(start, receipt), nil
}

// revokeCredentials makes the revocations of the tokens that were got with some
// credentials of a client.
func (s *Service) revokeCredentials(clientID, reason string, credentialIDs ...string) []Revocation {
	now := instant(s.now)
	list := make([]Revocation, len(credentialIDs))
	for i, id := range credentialIDs {
		list[i] = pattern{clientID: clientID, credentialID: id}.revocation(now, reason)
	}
	return list
}

// revokeClient makes the revocation of all tokens of a client, issued until now.
func (s *Service) revokeClient(clientID, reason string) Revocation {
	now := instant(s.now)
	return pattern{clientID: clientID}.revocation(now, reason).issuedUntil(now)
}
