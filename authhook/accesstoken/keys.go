package accesstoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms that this package knows (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	algorithmEdDSA = "EdDSA"
	algorithmES256 = "ES256"
	algorithmRS256 = "RS256"
)

// Bounds on RSA keys, in bits. Smaller ones can be factored; larger ones cost the verifier too much.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// signingMethod returns what checks signatures of this algorithm.
func signingMethod(algorithm string) (jwt.SigningMethod, error) {
	switch algorithm {
	case algorithmEdDSA:
		return jwt.SigningMethodEdDSA, nil
	case algorithmES256:
		return jwt.SigningMethodES256, nil
	case algorithmRS256:
		return jwt.SigningMethodRS256, nil
	default:
		return nil, fmt.Errorf("algorithm %q is not supported: use EdDSA, ES256 or RS256", algorithm)
	}
}

// algorithmOf returns the one algorithm for which a public key may be used, or what is wrong with the key. It is cheap: whether an
// ECDSA key lies on its curve is found out where the key is used.
func algorithmOf(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return "", errors.New("the Ed25519 key has a wrong length")
		}
		return algorithmEdDSA, nil
	case *ecdsa.PublicKey:
		return algorithmES256, checkECDSA(k)
	case *rsa.PublicKey:
		return algorithmRS256, checkRSA(k)
	case crypto.Signer:
		return "", errors.New("the key is private: only its public half belongs here")
	default:
		return "", errors.New("the key is neither Ed25519, ECDSA on P-256 nor RSA")
	}
}

func checkECDSA(k *ecdsa.PublicKey) error {
	if k == nil || k.Curve != elliptic.P256() {
		return errors.New("the ECDSA key is not on the curve P-256")
	}
	if k.X == nil || k.Y == nil { //nolint:staticcheck // nothing else tells such a key, and checking a signature with it panics
		return errors.New("the ECDSA key has no coordinates")
	}
	return nil
}

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits {
		return fmt.Errorf("the RSA key has not between %d and %d bits", minRSABits, maxRSABits)
	}
	if k.E < 3 || k.E%2 == 0 {
		return errors.New("the RSA key has a bad exponent")
	}
	return nil
}

// errKeyIDTwice says that a set names two keys alike.
var errKeyIDTwice = errors.New("the key ID is given twice")

// StaticKeys is a KeySet that never changes. Its methods may be called concurrently.
type StaticKeys struct {
	keys map[string]staticKey
}

type staticKey struct {
	public    crypto.PublicKey
	algorithm string
}

// NewStaticKeys returns a set of public keys by key ID: ed25519.PublicKey, *ecdsa.PublicKey on P-256, or *rsa.PublicKey of at least
// 2,048 bits. The keys are copied. An error names every key that cannot be used; an empty set is an error.
func NewStaticKeys(keys map[string]crypto.PublicKey) (*StaticKeys, error) {
	if len(keys) == 0 {
		return nil, errors.New("the key set is empty")
	}
	set := &StaticKeys{keys: make(map[string]staticKey, len(keys))}
	var faults []error
	for _, kid := range slices.Sorted(maps.Keys(keys)) {
		if err := set.add(kid, keys[kid]); err != nil {
			faults = append(faults, fmt.Errorf("key %q: %w", kid, err))
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("reading keys: %w", errors.Join(faults...))
	}
	return set, nil
}

func (s *StaticKeys) add(kid string, key crypto.PublicKey) error {
	if !isIdentifier(kid, maxKeyIDLength) {
		return errors.New("the key ID is missing or malformed")
	}
	algorithm, err := algorithmOf(key)
	if err != nil {
		return err
	}
	if _, twice := s.keys[kid]; twice {
		return errKeyIDTwice
	}
	public, err := clonePublic(key)
	if err != nil {
		return err
	}
	s.keys[kid] = staticKey{public, algorithm}
	return nil
}

// Key returns the key with this ID. The error wraps ErrUnknownKey if there is none, and ErrAlgorithm if it is for another
// algorithm.
func (s *StaticKeys) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	key, ok := s.keys[kid]
	if !ok {
		return nil, ErrUnknownKey
	}
	if key.algorithm != alg {
		return nil, refuse(ErrAlgorithm, "the key is for another algorithm")
	}
	return key.public, nil
}

// clonePublic copies a key that algorithmOf accepts, so that nobody else can change it.
func clonePublic(key crypto.PublicKey) (crypto.PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return slices.Clone(k), nil
	case *rsa.PublicKey:
		return &rsa.PublicKey{N: new(big.Int).Set(k.N), E: k.E}, nil
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, errors.New("the ECDSA key is not a point of its curve")
		}
		return ecdsa.ParseUncompressedPublicKey(k.Curve, point)
	default:
		return nil, errors.New("the key is of an unknown kind")
	}
}
