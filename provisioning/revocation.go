package provisioning

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Bounds of revocations.
const (
	// MaxRevocations is how many there may be before more are refused; those that
	// come with the disabling or deletion of a client never are.
	MaxRevocations = 1_000_000
	// MaxRevocationLife is how far ExpiresAt may lie ahead.
	MaxRevocationLife = 400 * 24 * time.Hour
	// RevocationGrace is how long a revocation is kept after ExpiresAt: verifiers
	// take a token a little longer than it says, for clocks that disagree.
	RevocationGrace = 10 * time.Minute

	maxRevocationField  = 256 // bytes
	maxRevocationReason = 1024
)

// Revocation ends tokens before they expire: those that match in every field
// that is not empty. At least one of the first four fields after the ID is given.
type Revocation struct {
	// ID follows from these four fields: what is revoked twice is one revocation.
	ID           string `json:"id"`
	ClientID     string `json:"client_id,omitempty"`
	TokenID      string `json:"token_id,omitempty"`
	CredentialID string `json:"credential_id,omitempty"`
	KeyID        string `json:"key_id,omitempty"`
	// IssuedBefore, a whole second, spares tokens whose iat is not earlier. Zero
	// spares none.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// ExpiresAt is when the last token that it covers has expired.
	ExpiresAt time.Time `json:"expires_at"`
	CreatedAt time.Time `json:"created_at"`
	// CreatedBy is who asked for it; empty if it came with a change of the client.
	CreatedBy string `json:"created_by,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

func (r Revocation) pattern() pattern {
	return pattern{r.ClientID, r.TokenID, r.CredentialID, r.KeyID}
}

func (r Revocation) coverage() coverage {
	c := coverage{before: anyAge, expires: r.ExpiresAt.UnixMilli()}
	if !r.IssuedBefore.IsZero() {
		c.before = r.IssuedBefore.UnixMilli()
	}
	return c
}

func (r Revocation) selection() Selection {
	return Selection{
		ClientID: r.ClientID, TokenID: r.TokenID, CredentialID: r.CredentialID, KeyID: r.KeyID, IssuedBefore: r.IssuedBefore,
	}
}

// id is a sum over the pattern. Each text is preceded by its length, so that
// different patterns never sum up alike.
func (p pattern) id() string {
	hash := sha256.New()
	for _, text := range []string{p.clientID, p.tokenID, p.credentialID, p.keyID} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		hash.Write(length[:])
		hash.Write([]byte(text))
	}
	const size = 16
	return "revocation-" + hex.EncodeToString(hash.Sum(nil)[:size])
}

// revocation makes one of the tokens that are alive now, and so dead within
// [MaxTokenTTL].
func (p pattern) revocation(now time.Time, reason string) Revocation {
	return Revocation{
		ID: p.id(), ClientID: p.clientID, TokenID: p.tokenID, CredentialID: p.credentialID, KeyID: p.keyID,
		ExpiresAt: now.Add(MaxTokenTTL), CreatedAt: now, Reason: reason,
	}
}

// issuedUntil makes the revocation cover what has been issued until a time. As
// iat has whole seconds, it covers the whole second that has begun: a token that
// is issued later in it is refused too, rather than an earlier one accepted.
func (r Revocation) issuedUntil(now time.Time) Revocation {
	r.IssuedBefore = now.UTC().Truncate(time.Second).Add(time.Second)
	return r
}
