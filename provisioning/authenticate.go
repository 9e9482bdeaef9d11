package provisioning

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// MaxSecretText is the longest text that is taken for a secret, in bytes.
const MaxSecretText = 512

// Authenticate returns the client whose secret that is, without its clocks, and
// the ID of the secret. If it is not, the error is an [AuthenticationError], whose
// reason is for the operators; any other error says that the store could not be
// read.
//
// The work is the same for an unknown client, a deleted or disabled one and a
// wrong or expired secret: whatever is in memory, one record is read from the
// store and one is not found, and twice one hash is computed and [MaxSecrets]
// hashes are compared. A right secret takes less if its client is in memory.
func (r *Registry) Authenticate(ctx context.Context, clientID, secret string) (*Client, string, error) {
	if len(secret) > MaxSecretText {
		return nil, "", &AuthenticationError{ReasonWrongSecret}
	}
	return r.authenticate(ctx, clientID, func(c *Client) (string, error) { return r.checkSecret(ctx, c, secret) })
}

// checkSecret returns the ID of the client's secret that has that text.
func (r *Registry) checkSecret(ctx context.Context, c *Client, text string) (string, error) {
	matched, err := r.match(ctx, c.Secrets, text)
	if err != nil {
		return "", fmt.Errorf("reading the keys of secrets: %w", err)
	}
	switch now := r.now(); {
	case matched < 0:
		return "", &AuthenticationError{ReasonWrongSecret}
	case c.Status != StatusActive:
		return "", &AuthenticationError{ReasonClientDisabled}
	case c.Secrets[matched].notYetValid(now):
		return "", &AuthenticationError{ReasonSecretTooEarly}
	case c.Secrets[matched].expired(now):
		return "", &AuthenticationError{ReasonSecretExpired}
	}
	return c.Secrets[matched].ID, nil
}

// authenticate returns the client whose credential satisfies check, which returns
// the ID of the credential and may be called twice.
//
// Who is refused must not learn from the time it takes whether the client exists,
// or is in memory. So memory only ever lets in, and who is refused is refused by
// what the store says; and where memory has no such client, check runs all the same.
func (r *Registry) authenticate(ctx context.Context, id string, check func(*Client) (credentialID string, err error),
) (*Client, string, error) {
	c, known := r.cachedOrDecoy(id)
	if credentialID, err := check(c); err == nil && known {
		r.decoy.Store(&id)
		return c.WithoutClocks(), credentialID, nil
	}
	c, known, err := r.clientOrDecoy(ctx, id)
	if err != nil {
		return nil, "", fmt.Errorf("reading the client: %w", err)
	}
	credentialID, err := check(c)
	switch {
	case err != nil && !errors.Is(err, ErrUnauthenticated):
		return nil, "", err
	case !known:
		return nil, "", &AuthenticationError{ReasonUnknownClient}
	case err != nil:
		return nil, "", err
	}
	return c.WithoutClocks(), credentialID, nil
}

// cachedOrDecoy returns a client from memory, and in place of one that is not there
// the one that was found last, or a client without anything.
func (r *Registry) cachedOrDecoy(id string) (c *Client, known bool) {
	if !validID(id) {
		id = nobody
	}
	if c := r.store.Cached(id); c != nil {
		return c, true
	}
	if decoy := r.decoy.Load(); decoy != nil {
		if c := r.store.Cached(*decoy); c != nil {
			return c, false
		}
	}
	return &Client{}, false
}

// nobody is an ID that no client can have.
const nobody = "-"

// clientOrDecoy reads a client and, so that this takes the same work whether or
// not there is one, reads twice: what is there and what is not. Beside a client
// that exists it looks for nobody, and beside one that does not it reads the
// client that was found last.
func (r *Registry) clientOrDecoy(ctx context.Context, id string) (c *Client, known bool, err error) {
	if !validID(id) {
		id = nobody
	}
	c, err = r.store.Client(ctx, id)
	known = err == nil
	second := nobody
	switch decoy := r.decoy.Load(); {
	case known:
		r.decoy.Store(&id)
	case !errors.Is(err, ErrNotFound):
		return nil, false, err
	case decoy != nil:
		second = *decoy
	}
	other, err := r.store.Client(ctx, second)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, false, err
	case known:
		return c, true, nil
	case err == nil:
		return other, false, nil
	}
	return &Client{}, false, nil
}

// match returns the index of the secret whose hash is that of text, -1 for none.
// It compares as often whatever the secrets are.
func (r *Registry) match(ctx context.Context, secrets []Secret, text string) (int, error) {
	keys, err := r.hashKeys(ctx, secrets)
	if err != nil {
		return -1, err
	}
	sums := make(map[string][]byte, len(keys))
	for id, key := range keys {
		sums[id] = hmacSum(key, text)
	}
	found := -1
	nothing := make([]byte, sha256.Size)
	for i := range MaxSecrets {
		keyID, want, known := "", nothing, false
		if i < len(secrets) {
			keyID, want, known = secrets[i].Hash.hmacParts()
		}
		got, hasKey := sums[keyID]
		if !known || !hasKey {
			want, got = nothing, nothing[:sha256.Size-1]
		}
		if subtle.ConstantTimeCompare(want, got) == 1 {
			found = i
		}
	}
	return found, nil
}

// hashKeys returns the keys of hashes by ID, read again if a secret names one
// that is not known.
func (r *Registry) hashKeys(ctx context.Context, secrets []Secret) (map[string]Key, error) {
	if cached := r.keys.Load(); cached != nil && knowsAll(*cached, secrets) {
		return *cached, nil
	}
	list, err := r.store.Keys(ctx, UseSecretHMAC)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]Key, len(list))
	for _, key := range list {
		keys[key.ID] = key
	}
	r.keys.Store(&keys)
	return keys, nil
}

func knowsAll(keys map[string]Key, secrets []Secret) bool {
	for _, s := range secrets {
		if id, _, ok := s.Hash.hmacParts(); ok {
			if _, known := keys[id]; !known {
				return false
			}
		}
	}
	return true
}
