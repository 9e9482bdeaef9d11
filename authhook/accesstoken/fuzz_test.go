package accesstoken_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// FuzzVerify gives Verify arbitrary text: what was not signed is never accepted, and what is accepted golang-jwt accepts too.
func FuzzVerify(f *testing.F) {
	v := verifier(f, nil)
	signed := map[string]bool{}
	for _, token := range goodTokens(f) {
		f.Add(token)
		f.Add(token + "=")
		f.Add(" " + token)
		f.Add(strings.Replace(token, ".", "..", 1))
		signed[token[:strings.LastIndexByte(token, '.')]] = true
	}
	payload := goodClaims().json(f)
	for _, header := range []string{`{"alg":"none","kid":"ed-1","typ":"at+jwt"}`, `{"alg":"HS256","kid":"ed-1","typ":"at+jwt"}`, `{}`, `[]`, ""} {
		f.Add(encode(header) + "." + encode(payload) + ".AAAA")
	}
	f.Add("")
	f.Add("..")
	f.Add("a.b.c.d.e")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := v.Verify(t.Context(), text)
		if err != nil {
			if token != nil || accesstoken.Rule(err) == "token-refused" || accesstoken.Rule(err) == "token-keys-unavailable" {
				t.Fatalf("%+v, %v: no rule of this package", token, err)
			}
			return
		}
		if last := strings.LastIndexByte(text, '.'); !signed[text[:last]] {
			t.Fatalf("%q was never signed", text)
		}
		checkWithLibrary(t, text)
	})
}

// FuzzClaims signs arbitrary header and payload text: nothing panics, what is accepted means the same to encoding/json, and the same to
// a Verifier alone and among others.
func FuzzClaims(f *testing.F) {
	v, issuers := verifier(f, nil), twoIssuers(f)
	good := goodClaims()
	bare := good.without("scp", "scope")
	f.Add(edHeader, bare.with("scope", encode(`[["a/#",["pub"]]]`)).json(f))
	f.Add(edHeader, bare.with("scope", `[["a/#",["pub"]]]`).with("scp", []string{}).json(f))
	f.Add(edHeader, bare.with("scope", json.RawMessage(`[["a/#",["pub"]],[]]`)).json(f))
	f.Add(edHeader, good.with("cnf", claims{"x5t#S256": strings.Repeat("A", 43)}).json(f))
	f.Add(edHeader, good.with("cnf", claims{"jkt": "x"}).with("credential_id", "s-1").json(f))
	f.Add(edHeader, good.with("iss", otherIssuer).json(f))
	f.Add(edHeader, good.json(f))
	f.Add(edHeader, good.without("scp").json(f))
	f.Add(edHeader, good.without("exp").json(f))
	f.Add(edHeader, strings.TrimSuffix(good.json(f), "}")+`,"exp":1}`)
	f.Add(edHeader, strings.TrimSuffix(good.json(f), "}")+`,"EXP":1,"x":[[[{}]]]}`)
	f.Add(edHeader, `{"\ud800":1}`)
	f.Add(edHeader, "[")
	f.Add(`{"alg":"EdDSA","kid":"ed-1","typ":"at+jwt","crit":["exp"]}`, "{}")
	f.Add("\xff", "\x00")
	f.Fuzz(func(t *testing.T, header, payload string) {
		text := signEd(t, header, payload)
		token, err := v.Verify(t.Context(), text)
		if among, fault := issuers.Verify(t.Context(), text); (err == nil) != (fault == nil) || !reflect.DeepEqual(token, among) {
			t.Fatalf("%+v, %v; among other issuers %+v, %v", token, err, among, fault)
		}
		if err != nil {
			if token != nil || accesstoken.Rule(err) == "token-refused" {
				t.Fatalf("%+v, %v: no rule of this package", token, err)
			}
			return
		}
		checkWithLibrary(t, text)
		if token.AIF != nil && (len(token.Scopes) > 0 || json.Unmarshal(token.AIF, new([][]any)) != nil) {
			t.Fatalf("the scopes %q and the AIF %q", token.Scopes, token.AIF)
		}
		if _, bound := token.Claims["cnf"]; bound != (len(token.Thumbprint) == 43) {
			t.Fatalf("%q binds to the thumbprint %q", payload, token.Thumbprint)
		}
		var plain map[string]any
		if err := json.Unmarshal([]byte(payload), &plain); err != nil || len(plain) != len(token.Claims) {
			t.Fatalf("%q is accepted as %v; encoding/json says %v, %v", payload, token.Claims, plain, err)
		}
		if plain["client_id"] != token.ClientID || plain["iss"] != token.Issuer || token.ClientID == "" || token.ExpiresAt.Before(noon.Add(-time.Minute)) {
			t.Fatalf("%q is read as %+v", payload, token)
		}
	})
}

// checkWithLibrary fails unless golang-jwt accepts the token under the same configuration.
func checkWithLibrary(t *testing.T, text string) {
	t.Helper()
	find := func(token *jwt.Token) (any, error) { return publicKeys()[token.Header["kid"].(string)], nil }
	_, err := jwt.Parse(text, find, jwt.WithValidMethods([]string{"EdDSA", "ES256", "RS256"}), jwt.WithIssuer(issuerURL), jwt.WithAudience(audience),
		jwt.WithLeeway(11*time.Second), jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return noon }))
	if err != nil {
		t.Fatalf("%q is accepted here and refused by golang-jwt: %v", text, err)
	}
}

// FuzzJWKS reads arbitrary sets: nothing panics, a set that is read strictly is read the same when it comes from an issuer, and a key of
// either serves one algorithm alone.
func FuzzJWKS(f *testing.F) {
	k := keys()
	f.Add(goodJWKS(f))
	f.Add(setOfAuth0(f))
	f.Add(setOfSuperTokens(f))
	f.Add(jwks(f, jose.JSONWebKey{Key: k.ed.Public(), KeyID: edKeyID}, jose.JSONWebKey{Key: k.otherEd.Public(), KeyID: edKeyID}))
	f.Add(jwks(f, jose.JSONWebKey{Key: k.ed.Public(), KeyID: edKeyID}, jose.JSONWebKey{Key: []byte("secret"), KeyID: "oct"}))
	f.Add(jwks(f, jose.JSONWebKey{Key: k.rsa.Public(), KeyID: rsaKeyID, Use: "enc"}, jose.JSONWebKey{Key: k.ec384.Public(), KeyID: ecKeyID}))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"ec-1","x":"AA==","y":1}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"rsa-1","n":"","e":"AAAAAAAAAAAAAAE"}]}`))
	f.Add([]byte(`<html>`))
	s := &site{}
	f.Fuzz(func(t *testing.T, text []byte) {
		s.serve(text)
		remote := remoteKeys(t, accesstoken.RemoteConfig{URL: setURL, Client: &http.Client{Transport: s}, MaxKeys: 1 << 20})
		strict, err := accesstoken.ParseJWKS(text)
		for _, kid := range []string{edKeyID, ecKeyID, rsaKeyID, "oct"} {
			serves := 0
			for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
				key, fault := remote.Key(t.Context(), kid, alg)
				if fault == nil {
					serves++
				}
				if err != nil {
					continue
				}
				if same, refused := strict.Key(t.Context(), kid, alg); !reflect.DeepEqual(key, same) || (fault == nil) != (refused == nil) {
					t.Fatalf("key %s for %s: %v, %v; from the issuer %v, %v", kid, alg, same, refused, key, fault)
				}
			}
			if serves > 1 {
				t.Fatalf("key %s serves %d algorithms", kid, serves)
			}
		}
		if _, fault := remote.Key(t.Context(), "none", "EdDSA"); err == nil && !bytes.Contains(text, []byte("none")) && !errors.Is(fault, accesstoken.ErrUnknownKey) {
			t.Fatalf("a key ID that is not in the set: %v", fault)
		}
	})
}
