package accesstoken_test

import (
	"crypto"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

const otherIssuer = "https://other.example"

// twoIssuers are gate.example, whose key is keys().ed, and other.example, whose key is keys().otherEd under the same ID. Each has an
// audience and a type of its own.
func twoIssuers(tb testing.TB) *accesstoken.Issuers {
	tb.Helper()
	set, err := accesstoken.NewStaticKeys(map[string]crypto.PublicKey{edKeyID: keys().otherEd.Public()})
	if err != nil {
		tb.Fatal(err)
	}
	issuers, err := accesstoken.NewIssuers(verifier(tb, nil), verifier(tb, func(c *accesstoken.Config) {
		c.Issuer, c.Audience, c.Keys, c.Types = otherIssuer, "other:mqtt", set, []string{"JWT"}
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return issuers
}

func TestEachIssuersTokensAreVerifiedByItsOwnRules(t *testing.T) {
	t.Parallel()
	issuers := twoIssuers(t)
	const jwtHeader = `{"alg":"EdDSA","kid":"ed-1","typ":"JWT"}`
	good := goodClaims()
	other := good.with("iss", otherIssuer).with("aud", "other:mqtt")
	for want, text := range map[string]string{
		issuerURL:   signEd(t, edHeader, good.json(t)),
		otherIssuer: sign(t, jwt.SigningMethodEdDSA, keys().otherEd, jwtHeader, other.json(t)),
	} {
		if token, err := issuers.Verify(t.Context(), text); err != nil || token.Issuer != want {
			t.Errorf("a token of %s: %+v, %v", want, token, err)
		}
	}
	checkRefusals(t, issuers, map[string]refusal{
		"the other's audience": {signEd(t, edHeader, good.with("aud", "other:mqtt").json(t)), accesstoken.ErrAudience},
		"the other's type":     {signEd(t, jwtHeader, good.json(t)), accesstoken.ErrType},
	})
}

func TestJ3_OneIssuersKeySignsNoTokenOfAnother(t *testing.T) {
	t.Parallel()
	good := goodClaims()
	const jwtHeader = `{"alg":"EdDSA","kid":"ed-1","typ":"JWT"}`
	other := good.with("iss", otherIssuer).with("aud", "other:mqtt")
	byOther := func(header, payload string) string {
		return sign(t, jwt.SigningMethodEdDSA, keys().otherEd, header, payload)
	}
	unsigned := strings.TrimSuffix(good.json(t), "}")
	checkRefusals(t, twoIssuers(t), map[string]refusal{
		"A's token by B's key":       {byOther(edHeader, good.json(t)), accesstoken.ErrSignature},
		"B's token by A's key":       {signEd(t, jwtHeader, other.json(t)), accesstoken.ErrSignature},
		"A's rules for B's token":    {byOther(edHeader, other.json(t)), accesstoken.ErrType},
		"a stranger's token":         {signEd(t, edHeader, good.with("iss", "https://evil.example").json(t)), accesstoken.ErrIssuer},
		"no issuer":                  {signEd(t, edHeader, good.without("iss").json(t)), accesstoken.ErrIssuer},
		"an empty issuer":            {signEd(t, edHeader, good.with("iss", "").json(t)), accesstoken.ErrIssuer},
		"a list of issuers":          {signEd(t, edHeader, good.with("iss", []string{issuerURL, otherIssuer}).json(t)), accesstoken.ErrIssuer},
		"a null issuer":              {signEd(t, edHeader, good.with("iss", nil).json(t)), accesstoken.ErrIssuer},
		"an issuer with a slash":     {signEd(t, edHeader, good.with("iss", issuerURL+"/").json(t)), accesstoken.ErrIssuer},
		"two issuers":                {byOther(jwtHeader, unsigned+`,"iss":"`+otherIssuer+`"}`), accesstoken.ErrMalformed},
		"two issuers, one escaped":   {byOther(jwtHeader, unsigned+`,"\u0069ss":"`+otherIssuer+`"}`), accesstoken.ErrMalformed},
		"an issuer in another case":  {signEd(t, edHeader, good.with("Iss", otherIssuer).json(t)), accesstoken.ErrClaims},
		"an issuer below":            {signEd(t, edHeader, claims{"x": good}.json(t)), accesstoken.ErrIssuer},
		"a payload that is no JSON":  {signEd(t, edHeader, "x"), accesstoken.ErrMalformed},
		"a payload that is a list":   {signEd(t, edHeader, "["+good.json(t)+"]"), accesstoken.ErrMalformed},
		"trailing bytes":             {signEd(t, edHeader, good.json(t)+"{}"), accesstoken.ErrMalformed},
		"deep JSON":                  {signEd(t, edHeader, unsigned+`,"x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+"}"), accesstoken.ErrMalformed},
		"a large token":              {signEd(t, edHeader, unsigned+`,"x":"`+strings.Repeat("x", 8<<10)+`"}`), accesstoken.ErrTooLarge},
		"an unsigned token":          {encode(`{"alg":"none"}`) + "." + encode(good.json(t)) + ".", accesstoken.ErrMalformed},
		"no algorithm but signature": {encode(`{"alg":"none"}`) + "." + encode(good.json(t)) + ".AAAA", accesstoken.ErrAlgorithm},
		"nothing":                    {"", accesstoken.ErrMalformed},
	})
}

func TestJ5_EveryFaultAmongTheIssuersIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	if _, err := accesstoken.NewIssuers(); err == nil {
		t.Error("no issuer at all is accepted")
	}
	v := verifier(t, nil)
	_, err := accesstoken.NewIssuers(nil, v, nil, v)
	if err == nil {
		t.Fatal("a nil and a repeated issuer are accepted")
	}
	for _, fault := range []string{"verifier 1 is nil", "verifier 3 is nil", `"` + v.Issuer() + `"`} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("%v does not name %s", err, fault)
		}
	}
}
