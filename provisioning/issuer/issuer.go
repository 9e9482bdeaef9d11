// Package issuer owns the signing keys: it makes them at the first start and in place of revoked ones, keeps them in the
// store, signs access tokens in the default profile (RFC 9068) and publishes the public halves as a JWK Set (RFC 7517).
//
// It signs what it is told to sign. It must not know HTTP, client secrets, grants or MQTT: whether a client may have a
// token is decided before Mint is called.
package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

var (
	// ErrUnknownKey says that no live key has the asked key ID and algorithm. It is [fs.ErrNotExist] too, for those who
	// look keys up through an interface of their own.
	ErrUnknownKey error = unknownKeyError{}
	// ErrInvalidToken says that a token was asked for that must not exist: without client, audience or lifetime, or with
	// scopes that its form cannot say.
	ErrInvalidToken = errors.New("issuer: not a mintable token")
)

type unknownKeyError struct{}

func (unknownKeyError) Error() string        { return "issuer: unknown signing key" }
func (unknownKeyError) Is(target error) bool { return target == fs.ErrNotExist }

// Keys is the part of the store that holds the signing keys. Both methods may be called concurrently, also by several
// issuers over one store.
type Keys interface {
	// Keys returns every live key of that use.
	Keys(ctx context.Context, use string) ([]provisioning.Key, error)
	// Apply writes all of the set or nothing. It returns an error that matches [provisioning.ErrConflict] or
	// [provisioning.ErrExists] when a record is not in the version that the set expects.
	Apply(ctx context.Context, changes provisioning.ChangeSet) error
}

// Config is what an Issuer needs: all of it but FormatAIF.
type Config struct {
	// Issuer is the `iss` of every token: an http or https URL without query and fragment (RFC 8414 §2).
	Issuer string
	// Store keeps the signing keys.
	Store Keys
	// Now is the clock.
	Now func() time.Time
	// Rand yields key material and token IDs; it is read concurrently.
	Rand io.Reader
	// Logger is told of signing keys that are made or revoked.
	Logger *slog.Logger
	// FormatAIF writes scopes in the authorization information format of MQTT as JSON (RFC 9431 §2.3), or says why that
	// cannot be; nil: no token says its scopes that way.
	FormatAIF func(scopes []string) ([]byte, error)
}

// Issuer mints access tokens and publishes the keys that verify them. It is safe for concurrent use.
type Issuer struct {
	cfg     Config
	ring    atomic.Pointer[keyRing]
	changes sync.Mutex // held while the keys change
}

// Open reads the signing keys, making the first one if there is none yet. Issuers that open one store at the same time
// end with the same key. Every fault of cfg is named in the error.
//
// The first start makes one Ed25519 key, which serves both built-in audiences; an RSA key would cost the start seconds
// on a small machine. ES256 and RS256 keys are made when an API asks for them; those found in the store are published.
func Open(ctx context.Context, cfg Config) (*Issuer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	keys, err := openKeys(ctx, cfg, "")
	if err != nil {
		return nil, err
	}
	i := &Issuer{cfg: cfg}
	return i, i.use(keys)
}

func (c Config) check() error {
	var faults []error
	if u, err := url.Parse(c.Issuer); err != nil || !isIssuer(u) {
		faults = append(faults, errors.New("issuer: Issuer must be an http or https URL without user, query and fragment"))
	}
	if c.Store == nil {
		faults = append(faults, errors.New("issuer: Store is missing"))
	}
	if c.Now == nil {
		faults = append(faults, errors.New("issuer: Now is missing"))
	}
	if c.Rand == nil {
		faults = append(faults, errors.New("issuer: Rand is missing"))
	}
	if c.Logger == nil {
		faults = append(faults, errors.New("issuer: Logger is missing"))
	}
	return errors.Join(faults...)
}

func isIssuer(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// JWKS returns the JWK Set document with every live key: public halves only, each with `kid`, `alg` and `use: sig`, the
// oldest first.
func (i *Issuer) JWKS() []byte { return bytes.Clone(i.ring.Load().jwks) }

// Mint signs an access token in the default profile with the newest Ed25519 key and returns it with its expiry, which is
// a whole second. It returns an error that matches [ErrInvalidToken] for a token without client ID, audience or a
// lifetime of at least a second, and for one whose scopes cannot be said in the authorization information format if they
// are to be.
func (i *Issuer) Mint(_ context.Context, t provisioning.AccessToken) (string, time.Time, error) {
	if t.ClientID == "" || len(t.Audience) == 0 || t.Lifetime < time.Second {
		return "", time.Time{}, fmt.Errorf("%w: client ID, audience and a lifetime of a second or more are needed", ErrInvalidToken)
	}
	id, err := newTokenID(i.cfg.Rand)
	if err != nil {
		return "", time.Time{}, err
	}
	issued := i.cfg.Now().Truncate(time.Second)
	expires := issued.Add(t.Lifetime.Truncate(time.Second))
	payload, err := i.encodeClaims(id, t, issued, expires)
	if err != nil {
		return "", time.Time{}, err
	}
	text, err := i.ring.Load().signer.sign(payload)
	if err != nil {
		return "", time.Time{}, err
	}
	return text, expires, nil
}
