package accesstoken_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// jwks writes a set of keys.
func jwks(tb testing.TB, set ...jose.JSONWebKey) []byte {
	tb.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: set})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func goodJWKS(tb testing.TB) []byte {
	tb.Helper()
	k := keys()
	return jwks(tb,
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: edKeyID, Algorithm: "EdDSA", Use: "sig"},
		jose.JSONWebKey{Key: k.ec.Public(), KeyID: ecKeyID, Algorithm: "ES256"},
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: rsaKeyID},
	)
}

func TestTheKeysOfAJWKSetVerifyTokens(t *testing.T) {
	t.Parallel()
	set, err := accesstoken.ParseJWKS(goodJWKS(t))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, func(c *accesstoken.Config) { c.Keys = set })
	for alg, text := range goodTokens(t) {
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestJ5_AFaultyJWKSetIsAnError(t *testing.T) {
	t.Parallel()
	k := keys()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	one := func(key jose.JSONWebKey) []byte { return jwks(t, key) }
	members := func(text string) []byte { return []byte(`{"keys":[` + text + `]}`) }
	const ed = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	for what, text := range map[string][]byte{
		"nothing":            nil,
		"HTML":               []byte("<html></html>"),
		"array":              []byte("[]"),
		"no keys":            []byte("{}"),
		"empty":              members(""),
		"keys no array":      []byte(`{"keys":{}}`),
		"key no object":      members(`"x"`),
		"two sets":           append(goodJWKS(t), goodJWKS(t)...),
		"duplicate keys":     []byte(`{"keys":[{` + ed + `,"kid":"a"}],"keys":[]}`),
		"duplicate member":   members(`{` + ed + `,"kid":"a","kid":"b"}`),
		"huge":               append(bytes.Repeat([]byte(" "), 256<<10), goodJWKS(t)...),
		"symmetric":          one(jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "a", Algorithm: "HS256"}),
		"private EdDSA":      one(jose.JSONWebKey{Key: k.ed, KeyID: "a"}),
		"private ES256":      one(jose.JSONWebKey{Key: k.ec, KeyID: "a"}),
		"private RS256":      one(jose.JSONWebKey{Key: k.rsa, KeyID: "a"}),
		"for encryption":     one(jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "a", Use: "enc"}),
		"no key ID":          one(jose.JSONWebKey{Key: k.ed.Public()}),
		"P-384":              one(jose.JSONWebKey{Key: k.ec384.Public(), KeyID: "a"}),
		"RSA of 1024 bits":   one(jose.JSONWebKey{Key: small.Public(), KeyID: "a"}),
		"alg of another key": one(jose.JSONWebKey{Key: k.ed.Public(), KeyID: "a", Algorithm: "RS256"}),
		"alg PS256":          one(jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "a", Algorithm: "PS256"}),
		"one key ID twice":   jwks(t, jose.JSONWebKey{Key: k.ed.Public(), KeyID: "a"}, jose.JSONWebKey{Key: k.otherEd.Public(), KeyID: "a"}),
		"one bad among good": jwks(t, jose.JSONWebKey{Key: k.ed.Public(), KeyID: "a"}, jose.JSONWebKey{Key: k.ec384.Public(), KeyID: "b"}),
		"use no string":      members(`{` + ed + `,"kid":"a","use":["sig"]}`),
		"key_ops sign":       members(`{` + ed + `,"kid":"a","key_ops":["sign"]}`),
		"key_ops no array":   members(`{` + ed + `,"kid":"a","key_ops":"verify"}`),
		"unknown kty":        members(`{"kty":"XYZ","kid":"a"}`),
		"kty missing":        members(`{"kid":"a"}`),
		"X25519":             members(`{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}`),
		"short Ed25519":      members(`{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"a"}`),
		"point off the curve": members(`{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
			`"y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`),
	} {
		if set, err := accesstoken.ParseJWKS(text); err == nil || set != nil {
			t.Errorf("%s: the set is accepted", what)
		}
	}
	usable := members(`{` + ed + `,"kid":"a","use":"sig","key_ops":["verify"]}`)
	if _, err := accesstoken.ParseJWKS(usable); err != nil {
		t.Errorf("a key for verifying: %v", err)
	}
}

func TestJ5_EveryFaultyKeyOfASetIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	k := keys()
	_, err := accesstoken.NewStaticKeys(map[string]crypto.PublicKey{
		"private": k.ed, "secret": []byte("canary"), "short": ed25519.PublicKey{1}, "curve": k.ec384.Public(), "nil": nil, "nil-rsa": (*rsa.PublicKey)(nil),
		"nil-ec": (*ecdsa.PublicKey)(nil), "off": offCurve(),
		"even": &rsa.PublicKey{N: k.rsa.N, E: 2}, "": k.ed.Public(), "good": k.ed.Public(),
	})
	if err == nil {
		t.Fatal("a set full of faults is accepted")
	}
	for _, kid := range []string{"private", "secret", "short", "curve", "nil", "nil-rsa", "nil-ec", "off", "even", ""} {
		if !strings.Contains(err.Error(), fmt.Sprintf("%q", kid)) {
			t.Errorf("%v does not name key %q", err, kid)
		}
	}
	if strings.Contains(err.Error(), "good") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v says too much", err)
	}
	if _, err := accesstoken.NewStaticKeys(nil); err == nil {
		t.Error("an empty set is accepted")
	}
}

// offCurve is a key whose point is not on its curve.
func offCurve() *ecdsa.PublicKey {
	//nolint:staticcheck // no other way makes such a key
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
}

func TestStaticKeysAnswerByKeyIDAndAlgorithm(t *testing.T) {
	t.Parallel()
	set, err := accesstoken.NewStaticKeys(publicKeys())
	if err != nil {
		t.Fatal(err)
	}
	if key, err := set.Key(t.Context(), edKeyID, "EdDSA"); err != nil || !keys().ed.Public().(ed25519.PublicKey).Equal(key) {
		t.Errorf("Key = %v, %v", key, err)
	}
	if _, err := set.Key(t.Context(), "x", "EdDSA"); !errors.Is(err, accesstoken.ErrUnknownKey) {
		t.Errorf("an unknown key ID: %v", err)
	}
	if _, err := set.Key(t.Context(), edKeyID, "RS256"); !errors.Is(err, accesstoken.ErrAlgorithm) {
		t.Errorf("another algorithm: %v", err)
	}
}

func TestChangingAKeyAfterwardsChangesNoSet(t *testing.T) {
	t.Parallel()
	edKey := bytes.Clone(keys().ed.Public().(ed25519.PublicKey))
	rsaKey := &rsa.PublicKey{N: new(big.Int).Set(keys().rsa.N), E: keys().rsa.E}
	set, err := accesstoken.NewStaticKeys(map[string]crypto.PublicKey{edKeyID: ed25519.PublicKey(edKey), rsaKeyID: rsaKey, ecKeyID: keys().ec.Public()})
	if err != nil {
		t.Fatal(err)
	}
	clear(edKey)
	rsaKey.N.SetInt64(1)
	v := verifier(t, func(c *accesstoken.Config) { c.Keys = set })
	for alg, text := range goodTokens(t) {
		if _, err := v.Verify(t.Context(), text); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
