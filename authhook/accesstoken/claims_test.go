package accesstoken_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

func TestTheClientIDIsTheClaimThatTheConfigurationNames(t *testing.T) {
	t.Parallel()
	bare := goodClaims().without("client_id")
	azp := verifier(t, func(c *accesstoken.Config) { c.ClientIDClaim = "azp" })
	sub := verifier(t, func(c *accesstoken.Config) { c.ClientIDClaim = "sub" })
	named := verifier(t, func(c *accesstoken.Config) { c.ClientIDClaim = "client_id" })
	for what, c := range map[string]struct {
		v      *accesstoken.Verifier
		claims claims
		want   string
	}{
		"azp":                        {azp, bare.with("azp", "dev-1").with("sub", "dev-1@clients"), "dev-1"},
		"azp and client_id":          {azp, bare.with("azp", "dev-1").with("client_id", "dev-1").with("sub", "x"), "dev-1"},
		"azp without sub":            {azp, bare.with("azp", "dev-1").without("sub"), "dev-1"},
		"sub":                        {sub, bare.with("sub", "dev-1"), "dev-1"},
		"sub of another client_id":   {sub, bare.with("sub", "dev-1@clients").with("client_id", "dev-1"), "dev-1@clients"},
		"client_id with another sub": {named, bare.with("client_id", "dev-1").with("sub", "service-account-1"), "dev-1"},
	} {
		token, err := c.v.Verify(t.Context(), signEd(t, edHeader, c.claims.json(t)))
		if err != nil || token.ClientID != c.want {
			t.Errorf("%s: %+v, %v; want the client %q", what, token, err, c.want)
		}
	}
	refused := func(c claims) refusal { return refusal{signEd(t, edHeader, c.json(t)), accesstoken.ErrClaims} }
	checkRefusals(t, azp, map[string]refusal{
		"azp missing":               refused(bare),
		"azp missing, client_id is": refused(goodClaims()),
		"azp empty":                 refused(bare.with("azp", "")),
		"azp a list":                refused(bare.with("azp", []string{"dev-1"})),
		"azp with a line break":     refused(bare.with("azp", "dev\n1")),
		"client_id of another":      refused(bare.with("azp", "dev-1").with("client_id", "dev-2")),
		"client_id null":            refused(bare.with("azp", "dev-1").with("client_id", nil)),
		"client_id an object":       refused(bare.with("azp", "dev-1").with("client_id", claims{"dev-1": 1})),
		"AZP beside azp":            refused(bare.with("azp", "dev-1").with("AZP", "dev-2")),
		"AZP alone":                 refused(bare.with("AZP", "dev-1")),
	})
	checkRefusals(t, sub, map[string]refusal{"sub missing": refused(bare.without("sub"))})
}

func TestARequiredClaimTellsClientsFromUsers(t *testing.T) {
	t.Parallel()
	required := map[string]string{"gty": "client-credentials", "stt": "1"}
	v := verifier(t, func(c *accesstoken.Config) { c.RequiredClaims = required })
	required["gty"] = "changed afterwards"
	good := goodClaims().with("stt", 1)
	for what, stt := range map[string]any{"a number": 1, "a number as Java writes it": json.Number("1.0"), "a string": "1"} {
		if _, err := v.Verify(t.Context(), signEd(t, edHeader, good.with("stt", stt).json(t))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	tried := map[string]refusal{}
	for what, c := range map[string]claims{
		"gty missing": good.without("gty"), "gty of a user": good.with("gty", "password"), "gty null": good.with("gty", nil),
		"gty in a list": good.with("gty", []string{"client-credentials"}), "stt missing": good.without("stt"), "stt 2": good.with("stt", 2),
		"stt true": good.with("stt", true), "stt 1e999": good.with("stt", json.Number("1e999")), "STT beside stt": good.with("STT", 1),
	} {
		tried[what] = refusal{signEd(t, edHeader, c.json(t)), accesstoken.ErrClaims}
	}
	checkRefusals(t, v, tried)
}

func TestATokenIDMayBeRequired(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *accesstoken.Config) { c.RequireTokenID = true })
	if _, err := v.Verify(t.Context(), signEd(t, edHeader, goodClaims().json(t))); err != nil {
		t.Errorf("a token with jti: %v", err)
	}
	checkRefusals(t, v, map[string]refusal{"without jti": {signEd(t, edHeader, goodClaims().without("jti").json(t)), accesstoken.ErrClaims}})
}

func TestJ5_AClaimOfAnotherMeaningHoldsNoClientID(t *testing.T) {
	t.Parallel()
	for _, claim := range []string{"iss", "aud", "exp", "nbf", "iat", "jti", "scope", "scp", "cnf"} {
		cfg := config(t)
		cfg.ClientIDClaim = claim
		if _, err := accesstoken.New(cfg); err == nil {
			t.Errorf("%s is accepted", claim)
		}
	}
	cfg := config(t)
	cfg.RequiredClaims = map[string]string{"": "x"}
	if _, err := accesstoken.New(cfg); err == nil {
		t.Error("a required claim without a name is accepted")
	}
}

func TestTheCredentialIsReadFromTheToken(t *testing.T) {
	t.Parallel()
	v := verifier(t, nil)
	token, err := v.Verify(t.Context(), signEd(t, edHeader, goodClaims().with("credential_id", "s-1").json(t)))
	if err != nil || token.CredentialID != "s-1" {
		t.Errorf("%+v, %v; want the credential s-1", token, err)
	}
	tried := map[string]refusal{}
	for what, id := range map[string]any{"empty": "", "null": nil, "number": 1, "line break": "s\n1"} {
		tried[what] = refusal{signEd(t, edHeader, goodClaims().with("credential_id", id).json(t)), accesstoken.ErrClaims}
	}
	checkRefusals(t, v, tried)
}

func TestATokenSaysToWhichCertificateItIsBound(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("certificate"))
	thumbprint := base64.RawURLEncoding.EncodeToString(digest[:])
	bound := func(cnf any) string { return signEd(t, edHeader, goodClaims().with("cnf", cnf).json(t)) }
	v := verifier(t, nil)
	token, err := v.Verify(t.Context(), bound(claims{"x5t#S256": thumbprint}))
	if err != nil || token.Thumbprint != thumbprint {
		t.Errorf("%+v, %v; want the thumbprint %s", token, err, thumbprint)
	}
	tried := map[string]refusal{}
	for what, cnf := range map[string]any{
		"null": nil, "string": thumbprint, "list": []string{thumbprint}, "nothing": claims{}, "another binding": claims{"jkt": thumbprint},
		"a key": claims{"jwk": claims{"kty": "OKP"}}, "two bindings": claims{"x5t#S256": thumbprint, "jkt": thumbprint},
		"another hash": claims{"x5t": thumbprint}, "another letter case": claims{"X5T#S256": thumbprint}, "number": claims{"x5t#S256": 1},
		"empty": claims{"x5t#S256": ""}, "short": claims{"x5t#S256": strings.Repeat("A", 42)}, "long": claims{"x5t#S256": strings.Repeat("A", 44)},
		"padded": claims{"x5t#S256": thumbprint + "="}, "hexadecimal": claims{"x5t#S256": strings.Repeat("ab", 32)},
		"stray bits": claims{"x5t#S256": strings.Repeat("A", 42) + "B"}, "with a line break": claims{"x5t#S256": thumbprint + "\n"},
	} {
		tried[what] = refusal{bound(cnf), accesstoken.ErrConfirmation}
	}
	checkRefusals(t, v, tried)
}

func TestAScopeInAIFIsHandedOnAsItIs(t *testing.T) {
	t.Parallel()
	const aif = `[["a/#",["pub","sub"]],["b",["sub"]]]`
	bare := goodClaims().without("scp", "scope")
	v := verifier(t, nil)
	for what, c := range map[string]struct {
		claims claims
		want   string
	}{
		"base64url":              {bare.with("scope", encode(aif)), aif},
		"base64url with spaces":  {bare.with("scope", encode("[ [\"a\", [\"pub\"] ] ]")), "[ [\"a\", [\"pub\"] ] ]"},
		"text":                   {bare.with("scope", aif), aif},
		"text after a space":     {bare.with("scope", " "+aif), " " + aif},
		"JSON":                   {bare.with("scope", json.RawMessage(aif)), aif},
		"beside an empty scp":    {bare.with("scope", encode(aif)).with("scp", []string{}), aif},
		"beside an empty string": {bare.with("scope", encode(aif)).with("scp", ""), aif},
		"nothing":                {bare.with("scope", encode("[]")), "[]"},
		"a shape for others":     {bare.with("scope", encode(`[[1],[]]`)), `[[1],[]]`},
	} {
		token, err := v.Verify(t.Context(), signEd(t, edHeader, c.claims.json(t)))
		if err != nil || string(token.AIF) != c.want || len(token.Scopes) != 0 {
			t.Errorf("%s: %+v, %v; want the AIF %s and no scope", what, token, err, c.want)
		}
	}
}

func TestA14_WhatOnlyResemblesAIFIsReadAsScopesOrRefused(t *testing.T) {
	t.Parallel()
	const aif = `[["a/#",["pub"]]]`
	bare := goodClaims().without("scp", "scope")
	v := verifier(t, nil)
	for what, scope := range map[string]string{
		"a list of strings": encode(`["pub:a"]`), "an object": encode(`{"a":["pub"]}`), "padded": encode(aif+" ") + "==", "cut off": encode(aif[:8]),
		"two values": encode(aif + aif), "two members of one name": encode(`[[{"a":1,"a":2}]]`), "too deep": encode(strings.Repeat("[", 9) + strings.Repeat("]", 9)),
		"an open bracket": "[a", "a name that is base64url": "telemetry",
	} {
		token, err := v.Verify(t.Context(), signEd(t, edHeader, bare.with("scope", scope).json(t)))
		if err != nil || token.AIF != nil || !reflect.DeepEqual(token.Scopes, []string{scope}) {
			t.Errorf("%s: %+v, %v; want one scope and no AIF", what, token, err)
		}
	}
	tried := map[string]refusal{}
	for what, c := range map[string]claims{
		"beside scopes":          bare.with("scope", encode(aif)).with("scp", []string{"pub:b"}),
		"beside a scope":         bare.with("scope", json.RawMessage(aif)).with("scp", "pub:b"),
		"beside itself":          bare.with("scope", encode(aif)).with("scp", encode(aif)),
		"in scp":                 bare.with("scp", json.RawMessage(aif)),
		"text that is cut off":   bare.with("scope", aif[:8]),
		"a list of strings":      bare.with("scope", json.RawMessage(`["pub:a"]`)),
		"arrays and strings":     bare.with("scope", json.RawMessage(`[["a",["pub"]],"pub:#"]`)),
		"an object":              bare.with("scope", json.RawMessage(`{"a":["pub"]}`)),
		"a trailing space":       bare.with("scope", encode(aif)+" "),
		"AIF in the wrong claim": bare.with("SCOPE", encode(aif)),
	} {
		tried[what] = refusal{signEd(t, edHeader, c.json(t)), accesstoken.ErrClaims}
	}
	checkRefusals(t, v, tried)
}
