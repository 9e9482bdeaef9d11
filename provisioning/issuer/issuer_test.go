package issuer_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/issuer"
)

const issuerURL = "https://gate.example"

// memory keeps keys as the store contract demands it of KeyChange.
type memory struct {
	mu   sync.Mutex
	keys map[string]provisioning.Key
}

func (m *memory) Keys(_ context.Context, use string) ([]provisioning.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []provisioning.Key
	for _, key := range m.keys {
		if key.Use == use {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b provisioning.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return keys, nil
}

func (m *memory) Apply(_ context.Context, set provisioning.ChangeSet) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, change := range set.Keys {
		if _, exists := m.keys[change.Key.ID]; exists && !change.Delete {
			return provisioning.ErrExists
		}
	}
	if m.keys == nil {
		m.keys = make(map[string]provisioning.Key)
	}
	for _, change := range set.Keys {
		m.keys[change.Key.ID] = change.Key
		if change.Delete {
			delete(m.keys, change.Key.ID)
		}
	}
	return nil
}

// start is the time of every test: with a fraction, so that rounding shows.
func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 700_000_000, time.UTC) }

func config(store issuer.Keys) issuer.Config {
	return issuer.Config{Issuer: issuerURL, Store: store, Now: start, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler)}
}

func open(tb testing.TB, store issuer.Keys) *issuer.Issuer {
	tb.Helper()
	i, err := issuer.Open(tb.Context(), config(store))
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

func sensorToken() provisioning.AccessToken {
	return provisioning.AccessToken{
		ClientID: "lot1-b2-017",
		Audience: []string{provisioning.AudienceMQTT},
		Scopes:   []string{"pub:parking/v1/lot1/lot1-b2-017/state", "sub:parking/v1/lot1/lot1-b2-017/cmd/+"},
		Lifetime: time.Hour,
	}
}

func mint(tb testing.TB, i *issuer.Issuer, token provisioning.AccessToken) string {
	tb.Helper()
	text, _, err := i.Mint(tb.Context(), token)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// decode returns header and payload of a token without looking at its signature.
func decode(tb testing.TB, text string) (header, payload map[string]any) {
	tb.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		tb.Fatalf("a token has %d parts, want 3", len(parts))
	}
	for i, into := range []*map[string]any{&header, &payload} {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			tb.Fatal(err)
		}
	}
	return header, payload
}

// verify checks the signature with the key that the JWK Set names, as an outside verifier does.
func verify(tb testing.TB, i *issuer.Issuer, text string) {
	tb.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(i.JWKS(), &set); err != nil {
		tb.Fatal(err)
	}
	header, _ := decode(tb, text)
	keys := set.Key(header["kid"].(string))
	if len(keys) != 1 {
		tb.Fatalf("the JWK Set has %d keys with the token's kid, want 1", len(keys))
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(keys[0].Algorithm)})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := signed.Verify(keys[0]); err != nil {
		tb.Fatal(err)
	}
}

func TestMintFollowsTheDefaultProfile(t *testing.T) {
	t.Parallel()
	i := open(t, new(memory))
	token := sensorToken()
	token.Attributes = map[string]string{"department": "sales", "a \"quoted\" name": "<é>"}
	text, expires, err := i.Mint(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, i, text)
	header, payload := decode(t, text)
	if len(header) != 3 || header["alg"] != "EdDSA" || header["typ"] != "at+jwt" || header["kid"] == "" {
		t.Errorf("header is %v, want alg, kid and typ alone", header)
	}
	if id, err := base64.RawURLEncoding.DecodeString(payload["jti"].(string)); err != nil || len(id) != 16 {
		t.Errorf("jti is %v, want 128 bits in base64url", payload["jti"])
	}
	delete(payload, "jti")
	issued := start().Unix()
	want := map[string]any{
		"iss": issuerURL, "sub": "lot1-b2-017", "client_id": "lot1-b2-017", "aud": "boomgate:mqtt",
		"iat": float64(issued), "nbf": float64(issued), "exp": float64(issued + 3600),
		"scope": "pub:parking/v1/lot1/lot1-b2-017/state sub:parking/v1/lot1/lot1-b2-017/cmd/+",
		"gty":   "client-credentials", "department": "sales", "a \"quoted\" name": "<é>",
	}
	scopes := payload["scp"].([]any)
	delete(payload, "scp")
	if !maps.Equal(payload, want) {
		t.Errorf("payload is\n%v, want\n%v", payload, want)
	}
	if len(scopes) != 2 || scopes[0] != token.Scopes[0] || scopes[1] != token.Scopes[1] {
		t.Errorf("scp is %v, want %v", scopes, token.Scopes)
	}
	if expires.Unix() != issued+3600 || expires.Nanosecond() != 0 {
		t.Errorf("the expiry returned is %v, want that of the token", expires)
	}
}

func TestAudienceIsAnArrayOnlyWhenThereAreSeveral(t *testing.T) {
	t.Parallel()
	token := sensorToken()
	token.Audience = []string{"https://a.example", "https://b.example"}
	token.Scopes = nil
	_, payload := decode(t, mint(t, open(t, new(memory)), token))
	if audience, ok := payload["aud"].([]any); !ok || len(audience) != 2 || audience[1] != "https://b.example" {
		t.Errorf("aud is %v, want both in an array", payload["aud"])
	}
	if scopes, ok := payload["scp"].([]any); !ok || len(scopes) != 0 || payload["scope"] != "" {
		t.Errorf("a token without scopes says %v and %q, want an empty array and string", payload["scp"], payload["scope"])
	}
}

func TestEveryTokenHasItsOwnID(t *testing.T) {
	t.Parallel()
	i := open(t, new(memory))
	seen := make(map[any]bool)
	for range 100 {
		_, payload := decode(t, mint(t, i, sensorToken()))
		seen[payload["jti"]] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 tokens have %d IDs", len(seen))
	}
}

func TestMintRefusesATokenThatMustNotExist(t *testing.T) {
	t.Parallel()
	i := open(t, new(memory))
	for name, spoil := range map[string]func(*provisioning.AccessToken){
		"no client":   func(a *provisioning.AccessToken) { a.ClientID = "" },
		"no audience": func(a *provisioning.AccessToken) { a.Audience = nil },
		"no lifetime": func(a *provisioning.AccessToken) { a.Lifetime = 0 },
		"half second": func(a *provisioning.AccessToken) { a.Lifetime = 500 * time.Millisecond },
		"negative":    func(a *provisioning.AccessToken) { a.Lifetime = -time.Hour },
	} {
		token := sensorToken()
		spoil(&token)
		if text, _, err := i.Mint(t.Context(), token); !errors.Is(err, issuer.ErrInvalidToken) || text != "" {
			t.Errorf("%s: got a token or the error %v, want ErrInvalidToken", name, err)
		}
	}
}

func TestWithoutRandomnessThereIsNoKeyAndNoToken(t *testing.T) {
	t.Parallel()
	broken := errors.New("no entropy")
	cfg := config(new(memory))
	cfg.Rand = iotest.ErrReader(broken)
	if _, err := issuer.Open(t.Context(), cfg); !errors.Is(err, broken) {
		t.Errorf("Open returned %v, want the reader's error", err)
	}
	cfg.Rand = io.MultiReader(io.LimitReader(rand.Reader, ed25519.SeedSize), iotest.ErrReader(broken))
	i, err := issuer.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if text, _, err := i.Mint(t.Context(), sensorToken()); !errors.Is(err, broken) || text != "" {
		t.Errorf("Mint returned %q and %v, want the reader's error", text, err)
	}
}

// TestAnExternalLibraryVerifiesTheToken keeps golang-jwt as a second opinion on every algorithm that may sign.
func TestAnExternalLibraryVerifiesTheToken(t *testing.T) {
	t.Parallel()
	i := open(t, new(memory))
	parsed, err := jwt.Parse(mint(t, i, sensorToken()), func(token *jwt.Token) (any, error) {
		return i.Key(t.Context(), token.Header["kid"].(string), token.Method.Alg())
	}, jwt.WithTimeFunc(start), jwt.WithIssuer(issuerURL), jwt.WithAudience(provisioning.AudienceMQTT), jwt.WithExpirationRequired())
	if err != nil || !parsed.Valid {
		t.Errorf("golang-jwt does not take the token: %v", err)
	}
}

func newKey(tb testing.TB, id, alg string, private crypto.Signer, created time.Time) provisioning.Key {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return provisioning.Key{ID: id, Use: provisioning.UseSignature, Alg: alg, Private: der, CreatedAt: created}
}

// threeAlgorithms is a store with one key of each algorithm.
func threeAlgorithms(tb testing.TB) *memory {
	tb.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return &memory{keys: map[string]provisioning.Key{
		"a": newKey(tb, "a", "RS256", rsa2048, start().Add(-2*time.Hour)),
		"b": newKey(tb, "b", "ES256", p256, start().Add(-time.Hour)),
		"c": newKey(tb, "c", "EdDSA", edwards, start().Add(-3*time.Hour)),
	}}
}
