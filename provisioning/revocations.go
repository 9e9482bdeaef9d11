package provisioning

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// TokenFacts are what a revocation can speak of, taken from a verified token.
type TokenFacts struct {
	ClientID     string
	TokenID      string
	CredentialID string
	KeyID        string
	IssuedAt     time.Time
}

// Revocations holds every revocation in memory, to be asked at each CONNECT and
// each request. The Service that it is given to keeps it up to date.
type Revocations struct {
	now func() time.Time
	// shapes has the bit s set if there may be a revocation of the shape s. It is
	// read without the lock: while nothing is revoked, nothing is locked.
	shapes atomic.Uint32
	mu     sync.RWMutex
	// covered says of which tokens each pattern covers.
	covered map[pattern]coverage
}

// pattern is what a revocation says of a token but for its age. There is one
// revocation of a pattern at most: another one widens it.
type pattern struct{ clientID, tokenID, credentialID, keyID string }

// shape says which fields of a pattern are not empty, a bit for each. A token is
// looked up once for every shape there is, 15 at most, however many revocations
// there are.
type shape uint8

const (
	namesClient shape = 1 << iota
	namesToken
	namesCredential
	namesKey
)

// coverage is in Unix milliseconds.
type coverage struct {
	before  int64 // of a token's iat
	expires int64 // of the last token that is covered
}

// anyAge is later than every iat.
const anyAge = math.MaxInt64

// revocationsPerRead is how many are read from the store at once, and deleted.
const revocationsPerRead = 1000

// OpenRevocations reads what a store holds; now may be nil and is time.Now then.
func OpenRevocations(ctx context.Context, store RevocationReader, now func() time.Time) (*Revocations, error) {
	if now == nil {
		now = time.Now
	}
	r := &Revocations{now: now, covered: map[pattern]coverage{}}
	err := eachRevocations(ctx, store, func(page []Revocation) error {
		r.add(page...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// eachRevocations visits all revocations of a store, page by page.
func eachRevocations(ctx context.Context, store RevocationReader, visit func(page []Revocation) error) error {
	for after := ""; ; {
		page, err := store.Revocations(ctx, after, revocationsPerRead)
		if err != nil {
			return fmt.Errorf("reading the revocations: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		after = page[len(page)-1].ID
		if err := visit(page); err != nil {
			return err
		}
	}
}

// Revoked reports whether a revocation covers a token. A token without iat is
// covered by one of any age. It allocates nothing, takes a shared lock at most,
// and takes as long whatever the number of revocations.
func (r *Revocations) Revoked(token TokenFacts) bool {
	shapes := r.shapes.Load()
	if shapes == 0 {
		return false
	}
	issued := token.IssuedAt.UnixMilli()
	r.mu.RLock()
	defer r.mu.RUnlock()
	for ; shapes != 0; shapes &= shapes - 1 {
		p, ok := token.pattern(shape(bits.TrailingZeros32(shapes)))
		if !ok {
			continue
		}
		if c, found := r.covered[p]; found && issued < c.before {
			return true
		}
	}
	return false
}

// pattern is the only one of that shape that could cover the token; ok is false
// if there is none.
func (t TokenFacts) pattern(s shape) (p pattern, ok bool) {
	if s&namesClient != 0 {
		p.clientID = t.ClientID
	}
	if s&namesToken != 0 {
		p.tokenID = t.TokenID
	}
	if s&namesCredential != 0 {
		p.credentialID = t.CredentialID
	}
	if s&namesKey != 0 {
		p.keyID = t.KeyID
	}
	return p, p.shape() == s
}

func (p pattern) shape() (s shape) {
	if p.clientID != "" {
		s |= namesClient
	}
	if p.tokenID != "" {
		s |= namesToken
	}
	if p.credentialID != "" {
		s |= namesCredential
	}
	if p.keyID != "" {
		s |= namesKey
	}
	return s
}

// Len returns how many revocations there are.
func (r *Revocations) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.covered)
}

// requireRoom returns [ErrTooManyRevocations] if no more are to be added.
func (r *Revocations) requireRoom() error {
	if r.Len() < MaxRevocations {
		return nil
	}
	return fmt.Errorf("%w: there are %d, until their tokens have expired; disabling or deleting a client works still",
		ErrTooManyRevocations, MaxRevocations)
}

// add takes up revocations that are in the store.
func (r *Revocations) add(list ...Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, revocation := range list {
		p := revocation.pattern()
		r.covered[p] = r.covered[p].widen(revocation.coverage())
		r.shapes.Or(1 << p.shape())
	}
}

// widened returns a revocation that covers, beside its own, what the one of its
// pattern covers that there is.
func (r *Revocations) widened(revocation Revocation) Revocation {
	r.mu.RLock()
	c, found := r.covered[revocation.pattern()]
	r.mu.RUnlock()
	if !found {
		return revocation
	}
	c = c.widen(revocation.coverage())
	revocation.ExpiresAt = time.UnixMilli(c.expires).UTC()
	revocation.IssuedBefore = time.Time{}
	if c.before != anyAge {
		revocation.IssuedBefore = time.UnixMilli(c.before).UTC()
	}
	return revocation
}

// forget drops revocations that have been deleted from the store, unless one was
// widened meanwhile.
func (r *Revocations) forget(list []Revocation) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, revocation := range list {
		p := revocation.pattern()
		if c, found := r.covered[p]; found && c.forgettable(now) {
			delete(r.covered, p)
		}
	}
}

func (c coverage) widen(other coverage) coverage {
	return coverage{before: max(c.before, other.before), expires: max(c.expires, other.expires)}
}

func (c coverage) forgettable(now time.Time) bool {
	return now.UnixMilli() >= c.expires+RevocationGrace.Milliseconds()
}
