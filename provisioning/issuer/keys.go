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

	"github.com/boomgate/boomgate/provisioning"
)

const (
	algEdDSA = "EdDSA"
	algES256 = "ES256"
	algRS256 = "RS256"

	// firstKeyID is the store's name for the first key. It is fixed, unlike the key ID in tokens (a thumbprint), so that
	// of several issuers that make a first key at once, one wins and the others find its record in their way.
	firstKeyID = "sig-eddsa-1"

	// successorPrefix and the key ID of a revoked key are the store's name for the key that follows it, for the same reason.
	successorPrefix = "sig-eddsa-after-"

	// openAttempts bounds the rounds of reading and writing until a new key is there: the second round reads what another
	// issuer has written.
	openAttempts = 3

	minRSABits = 2048 // RFC 7518 §3.3

	keyKeyID     = "key_id"
	keyAlgorithm = "algorithm"
)

// signingKey is a live key, ready for use.
type signingKey struct {
	kid     string   // RFC 7638 thumbprint
	names   []string // the store's, most often one
	alg     string
	created time.Time
	private crypto.Signer
	public  crypto.PublicKey
	header  string // the encoded JOSE header, with the dot that follows it
}

// openKeys returns the live keys in order of age; the newest for EdDSA is not the retired one, and is made if need be.
func openKeys(ctx context.Context, cfg Config, retired string) ([]*signingKey, error) {
	name, after := firstKeyID, time.Time{}
	for range openAttempts {
		keys, err := readKeys(ctx, cfg.Store)
		if err != nil {
			return nil, err
		}
		signer := newest(keys, algEdDSA)
		if signer != nil && signer.kid != retired {
			return keys, nil
		}
		if signer != nil {
			name, after = successorPrefix+signer.kid, signer.created
		}
		if err := makeKey(ctx, cfg, name, after); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("making a signing key: the name %s is taken in the store, but there is no such key", name)
}

func readKeys(ctx context.Context, store Keys) ([]*signingKey, error) {
	records, err := store.Keys(ctx, provisioning.UseSignature)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	return parseKeys(records)
}

// makeKey writes a new Ed25519 key of that name unless another issuer was faster, which is no error. It is younger than
// after, whatever the clock says.
func makeKey(ctx context.Context, cfg Config, name string, after time.Time) error {
	created := cfg.Now().UTC().Truncate(time.Millisecond)
	if !created.After(after) {
		created = after.Add(time.Millisecond)
	}
	record, key, err := drawKey(cfg.Rand, name, created)
	if err != nil {
		return err
	}
	err = cfg.Store.Apply(ctx, provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: record}}})
	if errors.Is(err, provisioning.ErrConflict) || errors.Is(err, provisioning.ErrExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keeping a signing key: %w", err)
	}
	cfg.Logger.InfoContext(ctx, "signing key made", keyKeyID, key.kid, keyAlgorithm, key.alg)
	return nil
}

// draws bounds how often a key is drawn whose ID would be taken for a flag.
const draws = 8

// drawKey makes a key. One in 64 thumbprints begins with a hyphen, which a command line would take for a flag: it is drawn again.
func drawKey(rand io.Reader, name string, created time.Time) (record provisioning.Key, key *signingKey, err error) {
	for range draws {
		seed := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(rand, seed); err != nil {
			return record, nil, fmt.Errorf("making a signing key: %w", err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
		if err != nil {
			return record, nil, fmt.Errorf("encoding a signing key: %w", err)
		}
		record = provisioning.Key{ID: name, Use: provisioning.UseSignature, Alg: algEdDSA, Private: private, CreatedAt: created}
		if key, err = parseKey(record); err != nil {
			return record, nil, fmt.Errorf("checking a new signing key: %w", err)
		}
		if key.kid[0] != '-' {
			break
		}
	}
	return record, key, nil
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
		if at := slices.IndexFunc(keys, hasID(key.kid)); at >= 0 {
			keys[at].names = append(keys[at].names, record.ID)
			continue
		}
		keys = append(keys, key)
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
		kid: kid, names: []string{record.ID}, alg: record.Alg, created: record.CreatedAt,
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

// sign returns the compact serialisation (RFC 7515 §3.1) of the payload. It is for EdDSA keys, which sign the text itself
// and need no randomness for it (RFC 8037 §3.1).
func (k *signingKey) sign(payload []byte) (string, error) {
	text := make([]byte, 0, len(k.header)+base64.RawURLEncoding.EncodedLen(len(payload)+ed25519.SignatureSize)+2)
	text = append(text, k.header...)
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signature, err := k.private.Sign(nil, text, crypto.Hash(0))
	if err != nil {
		return "", fmt.Errorf("signing with key %s: %w", k.kid, err)
	}
	text = append(text, '.')
	return string(base64.RawURLEncoding.AppendEncode(text, signature)), nil
}

// hasID returns the test for a key's ID.
func hasID(kid string) func(*signingKey) bool {
	return func(k *signingKey) bool { return k.kid == kid }
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
