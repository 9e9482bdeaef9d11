package issuer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	algEdDSA = "EdDSA"
	algES256 = "ES256"
	algRS256 = "RS256"

	// firstKeyID is the store's name for the first key. It is fixed, unlike the key ID in tokens (a thumbprint), so that
	// of several issuers that make a first key at once, one wins and the others find its record in their way.
	firstKeyID = "sig-eddsa-1"

	// openAttempts bounds the rounds of reading and writing until the first key is there: the second round reads what
	// another issuer has written.
	openAttempts = 3

	minRSABits = 2048 // RFC 7518 §3.3

	keyKeyID     = "key_id"
	keyAlgorithm = "algorithm"
)

// signingKey is a live key, ready for use.
type signingKey struct {
	kid     string // RFC 7638 thumbprint
	alg     string
	created time.Time
	method  jwt.SigningMethod
	private crypto.Signer
	public  crypto.PublicKey
	header  string // the encoded JOSE header, with the dot that follows it
}

// openKeys returns the live keys in order of age, at least one of them for EdDSA.
func openKeys(ctx context.Context, cfg Config) ([]*signingKey, error) {
	for range openAttempts {
		records, err := cfg.Store.Keys(ctx, provisioning.UseSignature)
		if err != nil {
			return nil, fmt.Errorf("reading the signing keys: %w", err)
		}
		keys, err := parseKeys(records)
		if err != nil {
			return nil, err
		}
		if newest(keys, algEdDSA) != nil {
			return keys, nil
		}
		if err := makeFirstKey(ctx, cfg); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("making the first signing key: the name %s is taken in the store, but there is no such key", firstKeyID)
}

// makeFirstKey writes a new Ed25519 key unless another issuer was faster, which is no error.
func makeFirstKey(ctx context.Context, cfg Config) error {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(cfg.Rand, seed); err != nil {
		return fmt.Errorf("making the first signing key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return fmt.Errorf("encoding the first signing key: %w", err)
	}
	key := provisioning.Key{ID: firstKeyID, Use: provisioning.UseSignature, Alg: algEdDSA, Private: private, CreatedAt: cfg.Now().UTC().Truncate(time.Millisecond)}
	err = cfg.Store.Apply(ctx, provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: key}}})
	if errors.Is(err, provisioning.ErrConflict) || errors.Is(err, provisioning.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keeping the first signing key: %w", err)
	}
	cfg.Logger.InfoContext(ctx, "signing key made", keyKeyID, key.ID, keyAlgorithm, key.Alg)
	return nil
}

// parseKeys reads the records and orders them by age, then key ID. A record that cannot be read is an error: to leave it
// out would refuse every token that it has signed.
func parseKeys(records []provisioning.Key) ([]*signingKey, error) {
	keys := make([]*signingKey, 0, len(records))
	for _, record := range records {
		key, err := parseKey(record)
		if err != nil {
			return nil, fmt.Errorf("signing key %s in the store: %w", record.ID, err)
		}
		if !slices.ContainsFunc(keys, func(k *signingKey) bool { return k.kid == key.kid }) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b *signingKey) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		return strings.Compare(a.kid, b.kid)
	})
	return keys, nil
}

func parseKey(record provisioning.Key) (*signingKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(record.Private)
	if err != nil {
		// The parser's words are left out: they may quote what it read.
		return nil, errors.New("damaged, restore the data folder from a backup")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok || !fits(private.Public(), record.Alg) {
		return nil, fmt.Errorf("not a key for the algorithm %s, or one that this version does not know", record.Alg)
	}
	public := jose.JSONWebKey{Key: private.Public()}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("computing the thumbprint: %w", err)
	}
	kid := base64.RawURLEncoding.EncodeToString(thumbprint)
	header, err := encodeHeader(record.Alg, kid)
	if err != nil {
		return nil, err
	}
	return &signingKey{
		kid: kid, alg: record.Alg, created: record.CreatedAt, method: jwt.GetSigningMethod(record.Alg),
		private: private, public: private.Public(), header: header,
	}, nil
}

// fits tells whether the key may be used with that algorithm: one algorithm a key (RFC 8725 §3.1).
func fits(public crypto.PublicKey, alg string) bool {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return alg == algEdDSA
	case *ecdsa.PublicKey:
		return alg == algES256 && key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return alg == algRS256 && key.N.BitLen() >= minRSABits
	default:
		return false
	}
}

// encodeHeader returns the JOSE header of RFC 9068 §2.1, encoded once for all tokens of the key.
func encodeHeader(alg, kid string) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{alg, kid, "at+jwt"})
	if err != nil {
		return "", fmt.Errorf("encoding the token header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(header) + ".", nil
}

// sign returns the compact serialisation (RFC 7515 §3.1) of the payload.
func (k *signingKey) sign(payload []byte) (string, error) {
	text := make([]byte, 0, len(k.header)+base64.RawURLEncoding.EncodedLen(len(payload)+ed25519.SignatureSize)+2)
	text = append(text, k.header...)
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signature, err := k.method.Sign(string(text), k.private)
	if err != nil {
		return "", fmt.Errorf("signing with key %s: %w", k.kid, err)
	}
	text = append(text, '.')
	return string(base64.RawURLEncoding.AppendEncode(text, signature)), nil
}

// newest returns the youngest key of that algorithm, nil if there is none.
func newest(keys []*signingKey, alg string) *signingKey {
	for _, key := range slices.Backward(keys) {
		if key.alg == alg {
			return key
		}
	}
	return nil
}

// encodeJWKS returns the JWK Set document (RFC 7517 §5), keys in the given order.
func encodeJWKS(keys []*signingKey) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(keys))}
	for _, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.public, KeyID: key.kid, Algorithm: key.alg, Use: provisioning.UseSignature})
	}
	document, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encoding the JWK Set: %w", err)
	}
	return document, nil
}
