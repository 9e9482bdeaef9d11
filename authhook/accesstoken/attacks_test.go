package accesstoken_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// A refusal is a token and the sentinel with which it must be refused.
type refusal struct {
	token string
	want  error
}

// A judge is a Verifier, or several.
type judge interface {
	Verify(ctx context.Context, token string) (*accesstoken.Token, error)
}

// checkRefusals verifies tokens by what they try.
func checkRefusals(t *testing.T, v judge, refusals map[string]refusal) {
	t.Helper()
	for what, r := range refusals {
		token, err := v.Verify(t.Context(), r.token)
		if !errors.Is(err, r.want) || token != nil {
			t.Errorf("%s: %+v, %v; want it refused as %v", what, token, err, r.want)
		}
	}
}

func TestJ1_OnlyAlgorithmsOnTheAllowListAreTrusted(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	header := func(alg string) string { return fmt.Sprintf(`{"alg":%q,"kid":"ed-1","typ":"at+jwt"}`, alg) }
	tried := map[string]refusal{
		"alg missing":   {signEd(t, `{"kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrAlgorithm},
		"alg null":      {signEd(t, `{"alg":null,"kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrMalformed},
		"alg in a list": {signEd(t, `{"alg":["EdDSA"],"kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrMalformed},
		"ALG":           {signEd(t, `{"ALG":"EdDSA","kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrMalformed},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		unsigned := encode(header(alg)) + "." + encode(payload) + "."
		tried["unsigned "+alg] = refusal{unsigned, accesstoken.ErrMalformed}
		tried["signed beside alg "+alg] = refusal{unsigned + "AAAA", accesstoken.ErrAlgorithm}
	}
	for _, alg := range []string{"HS256", "HS512", "PS256", "RS384", "ES384", "eddsa", "EDDSA", "Ed25519", "EdDSA ", "none,EdDSA"} {
		tried["alg "+alg] = refusal{signEd(t, header(alg), payload), accesstoken.ErrAlgorithm}
	}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestJ1_ASupportedAlgorithmThatIsNotConfiguredIsRefused(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *accesstoken.Config) { c.Algorithms = []string{"EdDSA"} })
	tokens := goodTokens(t)
	if _, err := v.Verify(t.Context(), tokens["EdDSA"]); err != nil {
		t.Errorf("the configured algorithm: %v", err)
	}
	checkRefusals(t, v, map[string]refusal{
		"ES256": {tokens["ES256"], accesstoken.ErrAlgorithm},
		"RS256": {tokens["RS256"], accesstoken.ErrAlgorithm},
	})
}

func TestJ1_APublicKeyIsNeverASharedSecret(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	tried := map[string]refusal{}
	for kid, key := range publicKeys() {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"at+jwt"}`, kid)
		tried[kid] = refusal{sign(t, jwt.SigningMethodHS256, der, header, payload), accesstoken.ErrAlgorithm}
	}
	raw := []byte(keys().ed.Public().(ed25519.PublicKey))
	tried["raw"] = refusal{sign(t, jwt.SigningMethodHS256, raw, `{"alg":"HS256","kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrAlgorithm}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestJ1_AKeyIsUsedForItsOwnAlgorithmAlone(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	swapped := func(alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, kid) }
	checkRefusals(t, verifier(t, nil), map[string]refusal{
		"RS256 by the key for EdDSA": {sign(t, jwt.SigningMethodRS256, keys().rsa, swapped("RS256", edKeyID), payload), accesstoken.ErrAlgorithm},
		"EdDSA by the key for ES256": {signEd(t, swapped("EdDSA", ecKeyID), payload), accesstoken.ErrAlgorithm},
		"PSS under the name RS256":   {sign(t, jwt.SigningMethodPS256, keys().rsa, rsaHeader, payload), accesstoken.ErrSignature},
		"PSS":                        {sign(t, jwt.SigningMethodPS256, keys().rsa, swapped("PS256", rsaKeyID), payload), accesstoken.ErrAlgorithm},
		"P-384 under the name ES256": {sign(t, jwt.SigningMethodES384, keys().ec384, ecHeader, payload), accesstoken.ErrSignature},
		"ES256 signature for EdDSA":  {sign(t, jwt.SigningMethodES256, keys().ec, edHeader, payload), accesstoken.ErrSignature},
	})
}

func TestJ1_NoOtherHeaderParameterIsAccepted(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	tried := map[string]refusal{}
	for _, parameter := range []string{
		`"crit":["exp"]`, `"crit":[]`, `"crit":"b64"`, `"b64":false`, `"b64":true`, `"jwk":{"kty":"OKP"}`, `"jku":"https://evil.example/jwks"`,
		`"x5u":"https://evil.example/c"`, `"x5c":["AAAA"]`, `"x5t":"AAAA"`, `"zip":"DEF"`, `"cty":"JWT"`, `"enc":"A256GCM"`, `"epk":{}`, `"Kid":"ed-1"`,
		`"":""`, `"any":"x"`,
	} {
		tried[parameter] = refusal{signEd(t, strings.TrimSuffix(edHeader, "}")+","+parameter+"}", payload), accesstoken.ErrMalformed}
	}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestJ1_OnlyTheCompactSerialisationOfAJWSIsAccepted(t *testing.T) {
	t.Parallel()
	good := goodTokens(t)["EdDSA"]
	parts := strings.Split(good, ".")
	nested := signEd(t, edHeader, `"`+good+`"`)
	checkRefusals(t, verifier(t, nil), map[string]refusal{
		"JWE":                {"a.b.c.d.e", accesstoken.ErrMalformed},
		"nested JWT":         {nested, accesstoken.ErrMalformed},
		"nested raw":         {signEd(t, edHeader, good), accesstoken.ErrMalformed},
		"JSON serialisation": {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, accesstoken.ErrMalformed},
		"detached payload":   {parts[0] + ".." + parts[2], accesstoken.ErrMalformed},
		"no signature":       {parts[0] + "." + parts[1], accesstoken.ErrMalformed},
		"empty signature":    {parts[0] + "." + parts[1] + ".", accesstoken.ErrMalformed},
		"fourth part":        {good + ".AAAA", accesstoken.ErrMalformed},
		"empty":              {"", accesstoken.ErrMalformed},
		"dots":               {"..", accesstoken.ErrMalformed},
		"Bearer":             {"Bearer " + good, accesstoken.ErrMalformed},
	})
}

func TestJ1_TwoMembersOfOneNameAreRefused(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	twice := func(member string) string { return strings.TrimSuffix(payload, "}") + "," + member + "}" }
	checkRefusals(t, verifier(t, nil), map[string]refusal{
		"alg in the header": {signEd(t, `{"alg":"EdDSA","alg":"EdDSA","kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrMalformed},
		"kid in the header": {signEd(t, `{"alg":"EdDSA","kid":"rsa-1","kid":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrMalformed},
		"escaped name":      {signEd(t, `{"alg":"EdDSA","kid":"ed-1","k\u0069d":"ed-1","typ":"at+jwt"}`, payload), accesstoken.ErrMalformed},
		"exp":               {signEd(t, edHeader, twice(`"exp":9999999999`)), accesstoken.ErrMalformed},
		"the same value":    {signEd(t, edHeader, twice(`"iss":"`+issuerURL+`"`)), accesstoken.ErrMalformed},
		"escaped claim":     {signEd(t, edHeader, twice(`"s\u0063p":["pub:#"]`)), accesstoken.ErrMalformed},
		"below":             {signEd(t, edHeader, twice(`"x":[{"a":{"b":1,"b":2}}]`)), accesstoken.ErrMalformed},
		"lone surrogates":   {signEd(t, edHeader, twice(`"\ud800":1,"\udfff":2`)), accesstoken.ErrMalformed},
	})
}

func TestJ3_ATokenOfAnotherIssuerIsRefused(t *testing.T) {
	t.Parallel()
	good := goodClaims()
	tried := map[string]refusal{
		"issuer B's key": {sign(t, jwt.SigningMethodEdDSA, keys().otherEd, edHeader, good.json(t)), accesstoken.ErrSignature},
		"missing":        {signEd(t, edHeader, good.without("iss").json(t)), accesstoken.ErrIssuer},
	}
	for _, iss := range []any{"", issuerURL + "/", "https://GATE.example", "https://gate.example.evil", "http://gate.example", nil, 1, []string{issuerURL}} {
		tried[fmt.Sprintf("iss %v", iss)] = refusal{signEd(t, edHeader, good.with("iss", iss).json(t)), accesstoken.ErrIssuer}
	}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestJ3_ATokenForAnotherAudienceIsRefused(t *testing.T) {
	t.Parallel()
	good := goodClaims()
	tried := map[string]refusal{"missing": {signEd(t, edHeader, good.without("aud").json(t)), accesstoken.ErrAudience}}
	for _, aud := range []any{
		"boomgate:fleet", "", "boomgate:mqt", "boomgate:mqtt2", "BOOMGATE:MQTT", "boomgate:mqtt ", "boomgate:fleet boomgate:mqtt", nil, 1, true,
		[]string{},
		[]string{"boomgate:fleet"},
		[]any{1},
		[]any{audience, 1},
		[]any{[]string{audience}},
		claims{audience: true},
	} {
		tried[fmt.Sprintf("aud %v", aud)] = refusal{signEd(t, edHeader, good.with("aud", aud).json(t)), accesstoken.ErrAudience}
	}
	checkRefusals(t, verifier(t, nil), tried)

	both := signEd(t, edHeader, good.with("aud", []string{"boomgate:fleet", audience}).json(t))
	if token, err := verifier(t, nil).Verify(t.Context(), both); err != nil || len(token.Audience) != 2 {
		t.Errorf("a token for two audiences: %+v, %v", token, err)
	}
}

func TestJ3_ATokenOfTheFleetAPIAndOneOfTheBrokerAreNotInterchangeable(t *testing.T) {
	t.Parallel()
	broker := verifier(t, nil)
	fleet := verifier(t, func(c *accesstoken.Config) { c.Audience = "boomgate:fleet" })
	forBroker := signEd(t, edHeader, goodClaims().json(t))
	forFleet := signEd(t, edHeader, goodClaims().with("aud", "boomgate:fleet").json(t))
	checkRefusals(t, broker, map[string]refusal{"at the broker": {forFleet, accesstoken.ErrAudience}})
	checkRefusals(t, fleet, map[string]refusal{"at the fleet API": {forBroker, accesstoken.ErrAudience}})
	for v, token := range map[*accesstoken.Verifier]string{broker: forBroker, fleet: forFleet} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("at its own place: %v", err)
		}
	}
}

func TestJ3_AnotherTypeOfTokenIsRefused(t *testing.T) {
	t.Parallel()
	payload := goodClaims().json(t)
	header := func(typ string) string { return fmt.Sprintf(`{"alg":"EdDSA","kid":"ed-1","typ":%q}`, typ) }
	tried := map[string]refusal{"typ missing": {signEd(t, `{"alg":"EdDSA","kid":"ed-1"}`, payload), accesstoken.ErrType}}
	for _, typ := range []string{"", "JWT", "jwt", "at", "at+jwt ", "id+jwt", "logout+jwt", "application/jwt", "text/at+jwt"} {
		tried["typ "+typ] = refusal{signEd(t, header(typ), payload), accesstoken.ErrType}
	}
	v := verifier(t, nil)
	checkRefusals(t, v, tried)
	for _, typ := range []string{"at+jwt", "application/at+jwt", "AT+JWT"} {
		if _, err := v.Verify(t.Context(), signEd(t, header(typ), payload)); err != nil {
			t.Errorf("typ %s: %v", typ, err)
		}
	}
	custom := verifier(t, func(c *accesstoken.Config) { c.Types = []string{"JWT"} })
	if _, err := custom.Verify(t.Context(), signEd(t, header("JWT"), payload)); err != nil {
		t.Errorf("a configured type: %v", err)
	}
	checkRefusals(t, custom, map[string]refusal{"not configured": {signEd(t, edHeader, payload), accesstoken.ErrType}})
}

func TestJ3_ATokenIsAcceptedOnlyInItsTime(t *testing.T) {
	t.Parallel()
	good := goodClaims()
	at := func(offset time.Duration) int64 { return noon.Add(offset).Unix() }
	signed := func(c claims) string { return signEd(t, edHeader, c.json(t)) }
	v := verifier(t, nil) // with a leeway of ten seconds
	checkRefusals(t, v, map[string]refusal{
		"no exp":                   {signed(good.without("exp")), accesstoken.ErrClaims},
		"exp ten seconds ago":      {signed(good.with("exp", at(-10*time.Second))), accesstoken.ErrExpired},
		"exp in 1970":              {signed(good.with("exp", 1).without("iat", "nbf")), accesstoken.ErrExpired},
		"nbf in eleven seconds":    {signed(good.with("nbf", at(11*time.Second))), accesstoken.ErrNotYetValid},
		"iat in eleven seconds":    {signed(good.with("iat", at(11*time.Second))), accesstoken.ErrNotYetValid},
		"far future":               {signed(good.with("exp", at(24*time.Hour))), accesstoken.ErrLifetime},
		"far future without iat":   {signed(good.with("exp", at(24*time.Hour+time.Second)).without("iat")), accesstoken.ErrLifetime},
		"year 9999":                {signed(good.with("exp", 253402300799)), accesstoken.ErrLifetime},
		"ends before it is issued": {signed(good.with("exp", at(-5*time.Second)).with("iat", at(-5*time.Second))), accesstoken.ErrLifetime},
		"ends before it begins":    {signed(good.with("exp", at(5*time.Second)).with("nbf", at(5*time.Second))), accesstoken.ErrLifetime},
	})
	for what, c := range map[string]claims{
		"exp nine seconds ago": good.with("exp", at(-9*time.Second)),
		"nbf in ten seconds":   good.with("nbf", at(10*time.Second)),
		"iat in ten seconds":   good.with("iat", at(10*time.Second)),
		"a day without iat":    good.with("exp", at(24*time.Hour)).without("iat"),
		"exp alone":            good.without("iat", "nbf"),
		"fractions":            good.with("exp", float64(at(0))+0.5).with("iat", float64(at(0))-0.25),
	} {
		if _, err := v.Verify(t.Context(), signed(c)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestJ3_DatesAreNumbersInASaneRange(t *testing.T) {
	t.Parallel()
	tried := map[string]refusal{}
	for _, name := range []string{"exp", "nbf", "iat"} {
		for _, value := range []string{`"1893456000"`, `null`, `true`, `[]`, `{}`, `0`, `-0`, `0.0`, `-1`, `1e400`, `1e12`, `253402300800`, `""`, `-1e-400`} {
			base := strings.TrimSuffix(goodClaims().without(name).json(t), "}")
			tried[name+" "+value] = refusal{signEd(t, edHeader, base+`,"`+name+`":`+value+`}`), accesstoken.ErrClaims}
		}
	}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestJ4_AnOversizedTokenIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	pad := func(n int) string {
		return signEd(t, edHeader, goodClaims().with("pad", strings.Repeat("x", n)).json(t))
	}
	largest := pad(0)
	n := (accesstoken.MaxTokenSize - len(largest)) * 3 / 4
	for len(pad(n)) > accesstoken.MaxTokenSize {
		n--
	}
	v := verifier(t, nil)
	if _, err := v.Verify(t.Context(), pad(n)); err != nil {
		t.Errorf("a token of %d bytes: %v", len(pad(n)), err)
	}
	checkRefusals(t, v, map[string]refusal{
		"a little too large": {pad(n + 4), accesstoken.ErrTooLarge},
		"64 KiB":             {pad(48 << 10), accesstoken.ErrTooLarge},
		"a million dots":     {strings.Repeat(".", 1_000_000), accesstoken.ErrTooLarge},
		"thousands of dots":  {strings.Repeat(".", accesstoken.MaxTokenSize), accesstoken.ErrMalformed},
		"a large header":     {signEd(t, `{"alg":"EdDSA","kid":"`+strings.Repeat("x", 2000)+`","typ":"at+jwt"}`, `{}`), accesstoken.ErrTooLarge},
	})
}

func TestJ4_DeepOrBrokenJSONIsRefused(t *testing.T) {
	t.Parallel()
	good := strings.TrimSuffix(goodClaims().json(t), "}")
	nested := func(depth int) string {
		return good + `,"x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}"
	}
	v := verifier(t, nil)
	if _, err := v.Verify(t.Context(), signEd(t, edHeader, nested(7))); err != nil {
		t.Errorf("nested as deep as allowed: %v", err)
	}
	tried := map[string]refusal{}
	for what, payload := range map[string]string{
		"a little too deep": nested(8), "deep": nested(2000), "deep objects": good + strings.Repeat(`,"y":{"x":1`, 20) + strings.Repeat("}", 21),
		"unclosed": good, "trailing bracket": good + "}}", "trailing object": good + "}{}", "trailing text": good + "} x", "trailing NUL": good + "}\x00",
		"trailing comma": good + ",}", "array": "[]", "string": `"x"`, "null": "null", "empty object in array": "[{}]", "white space": " ",
		"byte order mark": "\ufeff" + good + "}", "not UTF-8": good + ",\"x\":\"\xff\"}", "not UTF-8 name": good + ",\"\xc3\":1}", "lone surrogate": good + `,"x":"\ud800"}`,
		"comment": good + "/**/}", "single quotes": "{'iss':1}", "bare control": good + ",\"x\":\"\n\"}", "NaN": good + `,"x":NaN}`, "leading zero": good + `,"x":01}`,
	} {
		tried[what] = refusal{signEd(t, edHeader, payload), accesstoken.ErrMalformed}
	}
	for what, header := range map[string]string{
		"header array": "[]", "header null": "null", "header trailing": edHeader + " {}", "header unclosed": `{"alg":"EdDSA"`, "header not UTF-8": "{\"alg\":\"\xff\"}",
	} {
		tried[what] = refusal{signEd(t, header, good+"}"), accesstoken.ErrMalformed}
	}
	checkRefusals(t, v, tried)
}

func TestJ4_OnlyCanonicalBase64urlIsAccepted(t *testing.T) {
	t.Parallel()
	good := goodTokens(t)["EdDSA"]
	parts := strings.Split(good, ".")
	join := func(i int, text string) string {
		changed := append([]string{}, parts...)
		changed[i] = text
		return strings.Join(changed, ".")
	}
	tried := map[string]refusal{
		"leading space":    {" " + good, accesstoken.ErrMalformed},
		"trailing space":   {good + " ", accesstoken.ErrMalformed},
		"trailing newline": {good + "\n", accesstoken.ErrMalformed},
		"trailing NUL":     {good + "\x00", accesstoken.ErrMalformed},
		"stray bits":       {parts[0] + "." + parts[1] + "." + strayBits(t, parts[2]), accesstoken.ErrMalformed},
	}
	for i := range parts {
		tried[fmt.Sprint("padding ", i)] = refusal{join(i, parts[i]+"="), accesstoken.ErrMalformed}
		tried[fmt.Sprint("paddings ", i)] = refusal{join(i, parts[i]+"=="), accesstoken.ErrMalformed}
		tried[fmt.Sprint("line break ", i)] = refusal{join(i, parts[i][:4]+"\r\n"+parts[i][4:]), accesstoken.ErrMalformed}
		tried[fmt.Sprint("newline ", i)] = refusal{join(i, parts[i]+"\n"), accesstoken.ErrMalformed}
		tried[fmt.Sprint("standard alphabet ", i)] = refusal{join(i, "+/"+parts[i][2:]), accesstoken.ErrMalformed}
		tried[fmt.Sprint("one character ", i)] = refusal{join(i, "A"), accesstoken.ErrMalformed}
	}
	checkRefusals(t, verifier(t, nil), tried)
}

// strayBits returns another text for the same bytes: the last character of a text of 86 carries four bits that are not used.
func strayBits(tb testing.TB, signature string) string {
	tb.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, signature[len(signature)-1])
	stray := signature[:len(signature)-1] + string(alphabet[last+1])
	want, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		tb.Fatal(err)
	}
	if got, err := base64.RawURLEncoding.DecodeString(stray); err != nil || string(got) != string(want) {
		tb.Fatalf("the text does not stand for the same bytes: %v", err)
	}
	return stray
}

func TestJ4_AClaimInAnotherLetterCaseIsRefused(t *testing.T) {
	t.Parallel()
	tried := map[string]refusal{}
	for _, name := range []string{"EXP", "Exp", "ISS", "i\u017f\u017f", "Aud", "SUB", "Nbf", "IAT", "JTI", "Client_ID", "Scope", "SCP", "sCp", "CNF", "Credential_ID"} {
		tried[name] = refusal{signEd(t, edHeader, goodClaims().with(name, "x").json(t)), accesstoken.ErrClaims}
	}
	tried["EXP alone"] = refusal{signEd(t, edHeader, goodClaims().without("exp").with("EXP", noon.Unix()+60).json(t)), accesstoken.ErrClaims}
	checkRefusals(t, verifier(t, nil), tried)
}

func TestA14_ScopesAreReadAsTheyAreWrittenOrNotAtAll(t *testing.T) {
	t.Parallel()
	bare := goodClaims().without("scp", "scope")
	v := verifier(t, nil)
	for what, c := range map[string]struct {
		claims claims
		want   string
	}{
		"none":                      {bare, ""},
		"empty array":               {bare.with("scp", []string{}), ""},
		"empty string":              {bare.with("scope", ""), ""},
		"scp array":                 {bare.with("scp", []string{"sub:b", "pub:a"}), "sub:b pub:a"},
		"scp string":                {bare.with("scp", "sub:b pub:a"), "sub:b pub:a"},
		"scope string":              {bare.with("scope", "sub:b pub:a"), "sub:b pub:a"},
		"both in another order":     {bare.with("scope", "sub:b pub:a").with("scp", []string{"pub:a", "sub:b"}), "pub:a sub:b"},
		"repeated":                  {bare.with("scp", []string{"pub:a", "sub:b", "pub:a"}), "pub:a sub:b"},
		"both, repeated in one":     {bare.with("scope", "pub:a pub:a").with("scp", []string{"pub:a"}), "pub:a"},
		"prefixes are not resolved": {bare.with("scp", []string{"publish:a", "PUB:a"}), "publish:a PUB:a"},
		"both empty":                {bare.with("scope", "").with("scp", []string{}), ""},
	} {
		token, err := v.Verify(t.Context(), signEd(t, edHeader, c.claims.json(t)))
		if err != nil || strings.Join(token.Scopes, " ") != c.want {
			t.Errorf("%s: %+v, %v; want the scopes %q", what, token, err, c.want)
		}
	}
	tried := map[string]refusal{}
	for what, c := range map[string]claims{
		"disagree":             bare.with("scp", []string{"pub:#"}).with("scope", "pub:a"),
		"scope is narrower":    bare.with("scp", []string{"pub:a", "sub:b"}).with("scope", "pub:a"),
		"scp is empty":         bare.with("scp", []string{}).with("scope", "pub:a"),
		"scope is empty":       bare.with("scp", []string{"pub:a"}).with("scope", ""),
		"scp null":             bare.with("scp", nil),
		"scope null":           bare.with("scope", nil),
		"scp number":           bare.with("scp", 1),
		"scp object":           bare.with("scp", map[string]any{"pub:a": true}),
		"scope array":          bare.with("scope", []string{"pub:a"}),
		"numbers":              bare.with("scp", []any{"pub:a", 1}),
		"null within":          bare.with("scp", []any{nil}),
		"array within":         bare.with("scp", []any{[]string{"pub:a"}}),
		"empty element":        bare.with("scp", []string{"pub:a", ""}),
		"space within":         bare.with("scp", []string{"pub:a sub:#"}),
		"two spaces":           bare.with("scope", "pub:a  sub:b"),
		"leading space":        bare.with("scope", " pub:a"),
		"trailing space":       bare.with("scope", "pub:a "),
		"tab":                  bare.with("scope", "pub:a\tsub:b"),
		"newline":              bare.with("scp", []string{"pub:a\n"}),
		"NUL":                  bare.with("scp", []string{"pub:a\x00"}),
		"quote":                bare.with("scp", []string{`pub:"a"`}),
		"not ASCII":            bare.with("scp", []string{"pub:caf\u00e9"}),
		"SCP":                  bare.with("SCP", []string{"pub:a"}),
		"Scope":                bare.with("Scope", "pub:a"),
		"SCP beside scp":       bare.with("scp", []string{"pub:a"}).with("SCP", []string{"pub:#"}),
		"scope and Scp differ": bare.with("scope", "pub:a").with("Scp", []string{"pub:#"}),
	} {
		tried[what] = refusal{signEd(t, edHeader, c.json(t)), accesstoken.ErrClaims}
	}
	checkRefusals(t, v, tried)
}
