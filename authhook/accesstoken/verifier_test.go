package accesstoken_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

func TestAGoodTokenIsReadInFull(t *testing.T) {
	t.Parallel()
	kids := map[string]string{"EdDSA": edKeyID, "ES256": ecKeyID, "RS256": rsaKeyID}
	for alg, text := range goodTokens(t) {
		got, err := verifier(t, nil).Verify(t.Context(), text)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if got.Claims["department"] != "sales" || got.Claims["exp"] != json.Number(fmt.Sprint(noon.Add(time.Hour).Unix())) {
			t.Errorf("%s: claims %v", alg, got.Claims)
		}
		got.Claims = nil
		want := &accesstoken.Token{
			ID: "t-1", Issuer: issuerURL, Subject: "dev-1", ClientID: "dev-1", KeyID: kids[alg], Audience: []string{audience},
			Scopes: []string{"pub:a/#", "sub:b"}, IssuedAt: noon.Add(-time.Minute).Local(), NotBefore: noon.Add(-time.Minute).Local(),
			ExpiresAt: noon.Add(time.Hour).Local(),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", alg, got, want)
		}
	}
}

func TestTwoReadingsOfATokenShareNothing(t *testing.T) {
	t.Parallel()
	text := signEd(t, edHeader, goodClaims().with("aud", []string{audience, "x"}).json(t))
	v := verifier(t, nil)
	first, err := v.Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	first.Scopes[0], first.Audience[0], first.Claims["aud"].([]any)[0] = "pub:#", "changed", "changed"
	first.Claims["scp"] = "changed"
	second, err := v.Verify(t.Context(), text)
	if err != nil || second.Scopes[0] != "pub:a/#" || second.Audience[0] != audience || second.Claims["aud"].([]any)[0] != audience {
		t.Errorf("the second reading is %+v, %v", second, err)
	}
}

func TestThePrincipalIsTheClientIDAndNothingElse(t *testing.T) {
	t.Parallel()
	good := goodClaims()
	tried := map[string]refusal{
		"client_id missing":   {signEd(t, edHeader, good.without("client_id").json(t)), accesstoken.ErrClaims},
		"sub of another":      {signEd(t, edHeader, good.with("sub", "dev-2").json(t)), accesstoken.ErrClaims},
		"sub in another case": {signEd(t, edHeader, good.with("sub", "DEV-1").json(t)), accesstoken.ErrClaims},
	}
	for _, name := range []string{"client_id", "sub", "jti"} {
		for _, value := range []any{"", nil, 1, true, []string{"dev-1"}, "dev\x00", "dev\n1", "dev 1", "dev\u0085", strings.Repeat("x", 1025)} {
			tried[fmt.Sprintf("%s %q", name, value)] = refusal{signEd(t, edHeader, good.with(name, value).json(t)), accesstoken.ErrClaims}
		}
	}
	v := verifier(t, nil)
	checkRefusals(t, v, tried)
	token, err := v.Verify(t.Context(), signEd(t, edHeader, good.without("sub", "jti").json(t)))
	if err != nil || token.ClientID != "dev-1" || token.Subject != "" || token.ID != "" {
		t.Errorf("without sub and jti: %+v, %v", token, err)
	}
}

func TestATamperedTokenIsRefused(t *testing.T) {
	t.Parallel()
	v := verifier(t, nil)
	for alg, text := range goodTokens(t) {
		parts := strings.Split(text, ".")
		wider := encode(goodClaims().with("scp", []string{"pub:#"}).with("scope", "pub:#").json(t))
		checkRefusals(t, v, map[string]refusal{
			alg + " payload":         {parts[0] + "." + wider + "." + parts[2], accesstoken.ErrSignature},
			alg + " short signature": {parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])/2/4*4], accesstoken.ErrSignature},
			alg + " long signature":  {parts[0] + "." + parts[1] + "." + "AAAA" + parts[2], accesstoken.ErrSignature},
			alg + " zero signature":  {parts[0] + "." + parts[1] + "." + encode(strings.Repeat("\x00", 64)), accesstoken.ErrSignature},
		})
	}
}

func TestJ2_AnUnusableKeyIDIsAnUnknownKey(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	tried := map[string]refusal{"absent": {signEd(t, `{"alg":"EdDSA","typ":"at+jwt"}`, payload), accesstoken.ErrUnknownKey}}
	for _, kid := range []string{"", "unknown", "../../etc/passwd", "ed-1' OR 1=1", "ED-1", "ed-1 ", "ed-1\x00", "ed-1\n", strings.Repeat("x", 257)} {
		header := fmt.Sprintf(`{"alg":"EdDSA","kid":%s,"typ":"at+jwt"}`, quote(t, kid))
		tried["kid "+kid] = refusal{signEd(t, header, payload), accesstoken.ErrUnknownKey}
	}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestTheKeySetsAnswerDecidesTheRule(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("connection refused")
	answer := func(key crypto.PublicKey, err error) accesstoken.KeySet {
		return keySetFunc(func(context.Context, string, string) (crypto.PublicKey, error) { return key, err })
	}
	tokens := goodTokens(t)
	weak := sign(t, jwt.SigningMethodRS256, small, rsaHeader, goodClaims().json(t))
	for what, c := range map[string]struct {
		keys  accesstoken.KeySet
		token string
		want  error
	}{
		"unknown":              {answer(nil, fmt.Errorf("kid x: %w", accesstoken.ErrUnknownKey)), tokens["EdDSA"], accesstoken.ErrUnknownKey},
		"not found":            {answer(nil, fmt.Errorf("kid x: %w", fs.ErrNotExist)), tokens["EdDSA"], accesstoken.ErrUnknownKey},
		"unavailable":          {answer(nil, cause), tokens["EdDSA"], accesstoken.ErrKeysUnavailable},
		"no key":               {answer(nil, nil), tokens["EdDSA"], accesstoken.ErrAlgorithm},
		"short key":            {answer(ed25519.PublicKey{1}, nil), tokens["EdDSA"], accesstoken.ErrAlgorithm},
		"secret key":           {answer([]byte("secret"), nil), tokens["EdDSA"], accesstoken.ErrAlgorithm},
		"private key":          {answer(keys().ed, nil), tokens["EdDSA"], accesstoken.ErrAlgorithm},
		"another kind":         {answer(keys().rsa.Public(), nil), tokens["EdDSA"], accesstoken.ErrAlgorithm},
		"wrong curve":          {answer(keys().ec384.Public(), nil), tokens["ES256"], accesstoken.ErrAlgorithm},
		"no point":             {answer(&ecdsa.PublicKey{Curve: keys().ec.Curve}, nil), tokens["ES256"], accesstoken.ErrAlgorithm},
		"no curve":             {answer(&ecdsa.PublicKey{}, nil), tokens["ES256"], accesstoken.ErrAlgorithm},
		"empty RSA key":        {answer(&rsa.PublicKey{}, nil), tokens["RS256"], accesstoken.ErrAlgorithm},
		"RSA key of 1024 bits": {answer(small.Public(), nil), weak, accesstoken.ErrAlgorithm},
		"bad exponent":         {answer(&rsa.PublicKey{N: keys().rsa.N, E: 1}, nil), tokens["RS256"], accesstoken.ErrAlgorithm},
	} {
		v := verifier(t, func(cfg *accesstoken.Config) { cfg.Keys = c.keys })
		if token, err := v.Verify(t.Context(), c.token); !errors.Is(err, c.want) || token != nil {
			t.Errorf("%s: %+v, %v; want it refused as %v", what, token, err, c.want)
		}
	}
	v := verifier(t, func(cfg *accesstoken.Config) { cfg.Keys = answer(nil, cause) })
	if _, err := v.Verify(t.Context(), tokens["EdDSA"]); !errors.Is(err, cause) {
		t.Errorf("%v does not hold the cause", err)
	}
	v = verifier(t, func(cfg *accesstoken.Config) {
		cfg.Keys = answer(nil, fmt.Errorf("%w: %w", accesstoken.ErrKeysUnavailable, cause))
	})
	if _, err := v.Verify(t.Context(), tokens["EdDSA"]); !errors.Is(err, cause) || strings.Count(err.Error(), "unavailable") != 1 {
		t.Errorf("%v does not say once that keys are unavailable, and why", err)
	}
}

func TestJ5_EveryFaultOfTheConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := accesstoken.New(accesstoken.Config{
		Algorithms: []string{"none", "HS256", "EdDSA"}, Types: []string{""}, Leeway: -1, MaxLifetime: -1,
	})
	if err == nil {
		t.Fatal("a configuration full of faults is accepted")
	}
	for _, fault := range []string{"issuer", "audience", "keys", `"none"`, `"HS256"`, "type", "leeway", "lifetime"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%v does not name %s", err, fault)
		}
	}
	if _, err := accesstoken.New(accesstoken.Config{}); err == nil || !strings.Contains(err.Error(), "algorithms are missing") {
		t.Errorf("%v does not name the missing algorithms", err)
	}
	cfg := config(t)
	cfg.Leeway = 11 * time.Minute
	if _, err := accesstoken.New(cfg); err == nil {
		t.Error("a leeway of eleven minutes is accepted")
	}
}

func TestALongerLifetimeMayBeConfigured(t *testing.T) {
	t.Parallel()
	week := signEd(t, edHeader, goodClaims().with("exp", noon.Add(7*24*time.Hour-time.Minute).Unix()).json(t))
	checkRefusals(t, verifier(t, nil), map[string]refusal{"by default": {week, accesstoken.ErrLifetime}})
	longer := verifier(t, func(c *accesstoken.Config) { c.MaxLifetime = 7 * 24 * time.Hour })
	if _, err := longer.Verify(t.Context(), week); err != nil {
		t.Errorf("a week: %v", err)
	}
}

func TestWithoutAClockTheVerifierUsesTheSystems(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *accesstoken.Config) { c.Now = nil })
	fresh := goodClaims().without("nbf", "iat").with("exp", time.Now().Add(time.Minute).Unix())
	if _, err := v.Verify(t.Context(), signEd(t, edHeader, fresh.json(t))); err != nil {
		t.Error(err)
	}
}

func TestEveryRefusalHasARuleOfItsOwn(t *testing.T) {
	t.Parallel()
	names := map[error]string{
		nil: "", errors.New("x"): "token-refused",
		accesstoken.ErrMalformed: "token-malformed", accesstoken.ErrTooLarge: "token-too-large", accesstoken.ErrAlgorithm: "token-algorithm",
		accesstoken.ErrType: "token-type", accesstoken.ErrUnknownKey: "token-unknown-key", accesstoken.ErrKeysUnavailable: "token-keys-unavailable",
		accesstoken.ErrSignature: "token-signature", accesstoken.ErrIssuer: "token-issuer", accesstoken.ErrAudience: "token-audience",
		accesstoken.ErrExpired: "token-expired", accesstoken.ErrNotYetValid: "token-not-yet-valid", accesstoken.ErrClaims: "token-claims",
		accesstoken.ErrLifetime: "token-lifetime", accesstoken.ErrConfirmation: "token-confirmation",
	}
	for err, want := range names {
		if got := accesstoken.Rule(err); got != want {
			t.Errorf("Rule(%v) = %q, want %q", err, got, want)
		}
		if err != nil {
			if got := accesstoken.Rule(fmt.Errorf("connecting: %w", err)); got != want {
				t.Errorf("Rule of %v wrapped = %q, want %q", err, got, want)
			}
		}
	}
}

func TestO1_NoErrorHoldsTextOfTheToken(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	good := goodClaims()
	v := verifier(t, nil)
	for what, text := range map[string]string{
		"no token":    canary,
		"header":      signEd(t, `{"alg":"canary","kid":"ed-1","typ":"at+jwt"}`, "{}"),
		"type":        signEd(t, `{"alg":"EdDSA","kid":"ed-1","typ":"canary"}`, "{}"),
		"key ID":      signEd(t, `{"alg":"EdDSA","kid":"canary","typ":"at+jwt"}`, "{}"),
		"parameter":   signEd(t, `{"alg":"EdDSA","kid":"ed-1","typ":"at+jwt","canary":"canary"}`, "{}"),
		"broken JSON": signEd(t, edHeader, `{"canary":canary}`),
		"two members": signEd(t, edHeader, `{"canary":1,"canary":2}`),
		"issuer":      signEd(t, edHeader, good.with("iss", canary).json(t)),
		"audience":    signEd(t, edHeader, good.with("aud", canary).json(t)),
		"exp":         signEd(t, edHeader, good.with("exp", canary).json(t)),
		"client":      signEd(t, edHeader, good.with("client_id", canary).json(t)),
		"scope":       signEd(t, edHeader, good.with("scope", canary).json(t)),
		"cnf":         signEd(t, edHeader, good.with("cnf", claims{canary: canary}).json(t)),
	} {
		if _, err := v.Verify(t.Context(), text); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want an error without the token's text", what, err)
		}
	}
}
