package issuer

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// keyRing is every live key at one instant. It never changes; the issuer replaces it as a whole.
type keyRing struct {
	keys   []*signingKey // the oldest first
	signer *signingKey
	live   map[string]*signingKey // by key ID
	jwks   []byte
}

// use makes these keys, in order of age, the live ones.
func (i *Issuer) use(keys []*signingKey) error {
	jwks, err := encodeJWKS(keys)
	if err != nil {
		return err
	}
	live := make(map[string]*signingKey, len(keys))
	for _, key := range keys {
		live[key.kid] = key
	}
	i.ring.Store(&keyRing{keys: keys, signer: newest(keys, algEdDSA), live: live, jwks: jwks})
	return nil
}

// KeyInfo describes a live signing key without its private half.
type KeyInfo struct {
	// ID is the `kid` of the tokens that the key signs: its RFC 7638 thumbprint.
	ID        string
	Alg       string
	CreatedAt time.Time
	// Current tells whether new tokens are signed with it.
	Current bool
}

// Keys returns the live keys, the oldest first.
func (i *Issuer) Keys() []KeyInfo {
	ring := i.ring.Load()
	infos := make([]KeyInfo, len(ring.keys))
	for n, key := range ring.keys {
		infos[n] = KeyInfo{ID: key.kid, Alg: key.alg, CreatedAt: key.created, Current: key == ring.signer}
	}
	return infos
}

// Key returns the public key with that key ID if it is meant for that algorithm, else an error that matches
// [ErrUnknownKey].
func (i *Issuer) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	key, ok := i.ring.Load().live[kid]
	if !ok || key.alg != alg {
		return nil, ErrUnknownKey
	}
	return key.public, nil
}

// Revoke ends a key: its tokens are refused from the moment that Revoke returns, here and by everybody who reads the JWK
// Set anew. Where the key is the current one, a new key signs before it goes, so that minting never stops. The error
// matches [ErrUnknownKey] if there is no such key; after any other error the key still verifies, and Revoke may be
// repeated, by another issuer too.
func (i *Issuer) Revoke(ctx context.Context, kid string) error {
	i.changes.Lock()
	defer i.changes.Unlock()
	keys, err := openKeys(ctx, i.cfg, kid)
	if err != nil {
		return fmt.Errorf("looking up the signing keys: %w", err)
	}
	at := slices.IndexFunc(keys, hasID(kid))
	if _, live := i.ring.Load().live[kid]; at < 0 && !live {
		return ErrUnknownKey
	}
	if at >= 0 {
		// While the store writes, tokens that would die with the old key are minted no more.
		if err := i.use(keys); err != nil {
			return err
		}
		if err := i.cfg.Store.Apply(ctx, erasure(keys[at])); err != nil {
			return fmt.Errorf("deleting signing key %s: %w", kid, err)
		}
	}
	if err := i.use(slices.DeleteFunc(slices.Clone(keys), hasID(kid))); err != nil {
		return err
	}
	i.cfg.Logger.InfoContext(ctx, "signing key revoked", keyKeyID, kid)
	return nil
}

// erasure deletes every record of the key.
func erasure(key *signingKey) provisioning.ChangeSet {
	var set provisioning.ChangeSet
	for _, name := range key.names {
		record := provisioning.Key{ID: name, Use: provisioning.UseSignature}
		set.Keys = append(set.Keys, provisioning.KeyChange{Key: record, Delete: true})
	}
	return set
}
