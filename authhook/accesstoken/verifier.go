package accesstoken

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenSize bounds the text of a token, in bytes.
const MaxTokenSize = 8 << 10

const (
	// defaultMaxLifetime bounds a token's lifetime where the configuration does not.
	defaultMaxLifetime = 24 * time.Hour
	// maxLeeway bounds the configured leeway: clocks that differ by more need repair.
	maxLeeway = 10 * time.Minute
)

// KeySet finds the public key for a token's header. Key may be called concurrently. The key returned is not modified by either
// side. An unknown kid is an error for which errors.Is(err, ErrUnknownKey) or errors.Is(err, fs.ErrNotExist) holds, a key for another
// algorithm one that wraps ErrAlgorithm; any other error means that the set could not answer, and must not hold the kid.
type KeySet interface {
	Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error)
}

// Config says which tokens a Verifier accepts.
type Config struct {
	// Issuer and Audience are what iss must be and aud must hold, byte by byte. Both are required.
	Issuer, Audience string
	// Keys are the issuer's keys. Required.
	Keys KeySet
	// Algorithms is the allow-list, of EdDSA (Ed25519), ES256 and RS256. Required.
	Algorithms []string
	// Types is the allow-list of the header's typ, compared without regard to letter case (RFC 7515 §4.1.9). The default is at+jwt
	// and application/at+jwt (RFC 9068 §4).
	Types []string
	// ClientIDClaim names the claim that holds the client ID, azp or sub for example. sub may say what it likes then, and so may client_id
	// beside sub; beside any other claim it must say the same. The default "" is the rule of RFC 9068 §2.2 for clients that act for
	// themselves: client_id, and sub, if there is one, says the same.
	ClientIDClaim string
	// RequiredClaims must all be in the token, each a string with this value or a number written so. With ClientIDClaim, they are how
	// an issuer's tokens for clients are told from those for users.
	RequiredClaims map[string]string
	// RequireTokenID refuses tokens without jti, which cannot be revoked one by one.
	RequireTokenID bool
	// Leeway is how far clocks may differ, at most ten minutes.
	Leeway time.Duration
	// MaxLifetime bounds the time from iat, or from now if there is no iat, to exp. 0 stands for 24 hours.
	MaxLifetime time.Duration
	// Now is the clock; nil stands for time.Now.
	Now func() time.Time
}

// Verifier verifies access tokens. Its methods may be called concurrently.
type Verifier struct {
	issuer, audience string
	keys             KeySet
	methods          map[string]jwt.SigningMethod
	types            []string
	clientIDClaim    string // "" for the default rule
	required         map[string]string
	requireTokenID   bool
	names            []string // of all claims that are read
	leeway           time.Duration
	maxLifetime      time.Duration
	now              func() time.Time
}

// New returns a Verifier, or an error that names every fault of the configuration.
func New(cfg Config) (*Verifier, error) {
	methods, faults := allowedMethods(cfg.Algorithms)
	fault := func(wrong bool, what string) {
		if wrong {
			faults = append(faults, errors.New(what))
		}
	}
	fault(cfg.Issuer == "", "issuer is missing")
	fault(cfg.Audience == "", "audience is missing")
	fault(cfg.Keys == nil, "keys are missing")
	fault(slices.Contains(cfg.Types, ""), "a token type is empty")
	fault(slices.Contains([]string{"iss", "aud", "exp", "nbf", "iat", "jti", "scope", "scp", "cnf"}, cfg.ClientIDClaim),
		"the claim named for the client ID is one of another meaning")
	_, nameless := cfg.RequiredClaims[""]
	fault(nameless, "a required claim has no name")
	fault(cfg.Leeway < 0 || cfg.Leeway > maxLeeway, "leeway is negative or more than "+maxLeeway.String())
	fault(cfg.MaxLifetime < 0, "maximal lifetime is negative")
	if len(faults) > 0 {
		return nil, fmt.Errorf("configuring token verification: %w", errors.Join(faults...))
	}
	v := &Verifier{
		issuer: cfg.Issuer, audience: cfg.Audience, keys: cfg.Keys, methods: methods,
		types: []string{"at+jwt", "application/at+jwt"}, clientIDClaim: cfg.ClientIDClaim, required: maps.Clone(cfg.RequiredClaims),
		requireTokenID: cfg.RequireTokenID, leeway: cfg.Leeway, maxLifetime: cmp.Or(cfg.MaxLifetime, defaultMaxLifetime), now: time.Now,
	}
	v.names = append(slices.Collect(maps.Keys(v.required)), registered[:]...)
	if v.clientIDClaim != "" {
		v.names = append(v.names, v.clientIDClaim)
	}
	if len(cfg.Types) > 0 {
		v.types = slices.Clone(cfg.Types)
	}
	if cfg.Now != nil {
		v.now = cfg.Now
	}
	return v, nil
}

// allowedMethods maps the allow-list to what checks signatures.
func allowedMethods(algorithms []string) (map[string]jwt.SigningMethod, []error) {
	if len(algorithms) == 0 {
		return nil, []error{errors.New("algorithms are missing")}
	}
	var faults []error
	methods := make(map[string]jwt.SigningMethod, len(algorithms))
	for _, algorithm := range algorithms {
		method, err := signingMethod(algorithm)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		methods[algorithm] = method
	}
	return methods, faults
}

// Issuer returns the issuer whose tokens the Verifier accepts.
func (v *Verifier) Issuer() string { return v.issuer }

// Verify returns what the token says if it is acceptable now. Otherwise the error wraps one of the package's sentinels; it says
// which rule the token broke, and never holds text of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	return v.verify(ctx, parts)
}

func (v *Verifier) verify(ctx context.Context, parts compact) (*Token, error) {
	head, err := parseHeader(parts.header)
	if err != nil {
		return nil, err
	}
	method, allowed := v.methods[head.algorithm]
	if !allowed {
		return nil, ErrAlgorithm
	}
	if !v.allowsType(head.typ) {
		return nil, ErrType
	}
	key, err := v.key(ctx, head)
	if err != nil {
		return nil, err
	}
	if method.Verify(parts.signed, parts.signature, key) != nil {
		return nil, ErrSignature
	}
	claims, err := parseObject(parts.payload)
	if err != nil {
		return nil, refuse(ErrMalformed, "payload: "+err.Error())
	}
	return v.judge(claims, head.keyID)
}

func (v *Verifier) allowsType(typ string) bool {
	return slices.ContainsFunc(v.types, func(t string) bool { return strings.EqualFold(t, typ) })
}

// key returns the key that the header names, if it fits the algorithm. An unknown key's ID is the sender's text: it stays out of
// the error, and so does what the KeySet says about it.
func (v *Verifier) key(ctx context.Context, head header) (crypto.PublicKey, error) {
	if !isIdentifier(head.keyID, maxKeyIDLength) {
		return nil, refuse(ErrUnknownKey, "key ID missing or malformed")
	}
	key, err := v.keys.Key(ctx, head.keyID, head.algorithm)
	switch {
	case errors.Is(err, ErrUnknownKey), errors.Is(err, fs.ErrNotExist):
		return nil, ErrUnknownKey
	case errors.Is(err, ErrAlgorithm):
		return nil, refuse(ErrAlgorithm, "the key is for another algorithm")
	case errors.Is(err, ErrKeysUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	fits, err := algorithmOf(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAlgorithm, err)
	}
	if fits != head.algorithm {
		return nil, refuse(ErrAlgorithm, "the key is for another algorithm")
	}
	return key, nil
}
