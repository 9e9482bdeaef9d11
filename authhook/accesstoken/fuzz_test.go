package accesstoken_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

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

// FuzzClaims signs arbitrary header and payload text: nothing panics, and what is accepted means the same to encoding/json.
func FuzzClaims(f *testing.F) {
	v := verifier(f, nil)
	good := goodClaims()
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
		if err != nil {
			if token != nil || accesstoken.Rule(err) == "token-refused" {
				t.Fatalf("%+v, %v: no rule of this package", token, err)
			}
			return
		}
		checkWithLibrary(t, text)
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
