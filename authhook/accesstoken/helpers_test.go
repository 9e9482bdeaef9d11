package accesstoken_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

const (
	issuerURL = "https://gate.example"
	audience  = "boomgate:mqtt"
	edKeyID   = "ed-1"
	ecKeyID   = "ec-1"
	rsaKeyID  = "rsa-1"
)

// noon is the time at which all tests verify.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type privateKeys struct {
	ed, otherEd ed25519.PrivateKey
	ec, ec384   *ecdsa.PrivateKey
	rsa         *rsa.PrivateKey
}

// keys are made once for all tests: RSA keys take long.
var keys = sync.OnceValue(func() privateKeys {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ec384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	seed := make([]byte, ed25519.SeedSize)
	other := make([]byte, ed25519.SeedSize)
	other[0] = 1
	return privateKeys{ed25519.NewKeyFromSeed(seed), ed25519.NewKeyFromSeed(other), ec, ec384, rsaKey}
})

// publicKeys is the set of the issuer's keys.
func publicKeys() map[string]crypto.PublicKey {
	k := keys()
	return map[string]crypto.PublicKey{edKeyID: k.ed.Public(), ecKeyID: k.ec.Public(), rsaKeyID: k.rsa.Public()}
}

// config accepts the issuer's tokens of all algorithms at noon.
func config(tb testing.TB) accesstoken.Config {
	tb.Helper()
	set, err := accesstoken.NewStaticKeys(publicKeys())
	if err != nil {
		tb.Fatal(err)
	}
	return accesstoken.Config{
		Issuer: issuerURL, Audience: audience, Keys: set, Algorithms: []string{"EdDSA", "ES256", "RS256"},
		Leeway: 10 * time.Second, Now: func() time.Time { return noon },
	}
}

// verifier returns a Verifier for config, changed by change unless that is nil.
func verifier(tb testing.TB, change func(*accesstoken.Config)) *accesstoken.Verifier {
	tb.Helper()
	cfg := config(tb)
	if change != nil {
		change(&cfg)
	}
	v, err := accesstoken.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

type claims map[string]any

// goodClaims are those of a token of the default profile, one minute old.
func goodClaims() claims {
	return claims{
		"iss": issuerURL, "sub": "dev-1", "client_id": "dev-1", "aud": audience, "jti": "t-1", "gty": "client-credentials",
		"iat": noon.Add(-time.Minute).Unix(), "nbf": noon.Add(-time.Minute).Unix(), "exp": noon.Add(time.Hour).Unix(),
		"scope": "pub:a/# sub:b", "scp": []string{"pub:a/#", "sub:b"}, "department": "sales",
	}
}

// with returns the claims with one of them set.
func (c claims) with(name string, value any) claims {
	c = maps.Clone(c)
	c[name] = value
	return c
}

// without returns the claims without some of them.
func (c claims) without(names ...string) claims {
	c = maps.Clone(c)
	for _, name := range names {
		delete(c, name)
	}
	return c
}

func (c claims) json(tb testing.TB) string {
	tb.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

const (
	edHeader  = `{"alg":"EdDSA","kid":"ed-1","typ":"at+jwt"}`
	ecHeader  = `{"alg":"ES256","kid":"ec-1","typ":"at+jwt"}`
	rsaHeader = `{"alg":"RS256","kid":"rsa-1","typ":"at+jwt"}`
)

func encode(data string) string { return base64.RawURLEncoding.EncodeToString([]byte(data)) }

// sign signs header and payload as they are written.
func sign(tb testing.TB, method jwt.SigningMethod, key any, header, payload string) string {
	tb.Helper()
	text := encode(header) + "." + encode(payload)
	signature, err := method.Sign(text, key)
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// signEd signs with the issuer's Ed25519 key.
func signEd(tb testing.TB, header, payload string) string {
	tb.Helper()
	return sign(tb, jwt.SigningMethodEdDSA, keys().ed, header, payload)
}

// goodTokens are tokens that are accepted, by algorithm.
func goodTokens(tb testing.TB) map[string]string {
	tb.Helper()
	payload := goodClaims().json(tb)
	return map[string]string{
		"EdDSA": signEd(tb, edHeader, payload),
		"ES256": sign(tb, jwt.SigningMethodES256, keys().ec, ecHeader, payload),
		"RS256": sign(tb, jwt.SigningMethodRS256, keys().rsa, rsaHeader, payload),
	}
}

// keySetFunc is a KeySet made of a function.
type keySetFunc func(ctx context.Context, kid, alg string) (crypto.PublicKey, error)

func (f keySetFunc) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	return f(ctx, kid, alg)
}

// quote returns text as a JSON string.
func quote(tb testing.TB, text string) string {
	tb.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		tb.Fatal(err)
	}
	return string(quoted)
}
