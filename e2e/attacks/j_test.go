package attacks_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks by forged tokens, J1, J3 and J4. Every token is genuine but for one thing.

// forgery makes a forged token of a genuine one.
type forgery struct {
	make func(f harness.Forger, genuine string) string
	rule string // that refuses it at the broker
}

// tryForgeries presents each forged token to the broker, in every way there is, and to the fleet
// API. It proves first that the forger's tokens are let in while nothing is wrong with them.
func tryForgeries(t *testing.T, forgeries map[string]forgery) {
	t.Helper()
	s, f := harness.StartForging(t)
	genuine := s.Token(s.Service("meter", "pub:a"))
	fleet := s.OperatorToken()
	for _, token := range []string{genuine, f.Alter(genuine, nil), f.AlterHeader(genuine, nil)} {
		for _, version := range harness.Versions {
			harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token}).Leave()
		}
		harness.Enter(t, s, 5, harness.Hello{ID: "meter", Method: "OAUTH2-JWT", Data: token}).Leave()
	}
	for _, token := range []string{fleet, f.Alter(fleet, nil), f.AlterHeader(fleet, nil)} {
		if status, answer := s.FleetAs(token, http.MethodGet, "/v1/services", nil); status != http.StatusOK {
			t.Fatalf("the fleet API refuses a good token: %d %s", status, answer)
		}
	}
	for what, forged := range forgeries {
		t.Run(what, func(t *testing.T) {
			s, f := s.In(t), f.In(t)
			token := forged.make(f, genuine)
			for _, version := range harness.Versions {
				harness.ExpectRefused(t, s, version, harness.Hello{ID: "meter", Password: token}, harness.BadToken, forged.rule)
			}
			if token != "" {
				harness.ExpectRefused(t, s, 5, harness.Hello{ID: "meter", Method: "OAUTH2-JWT", Data: token}, harness.BadToken, forged.rule)
			}
			token = forged.make(f, fleet)
			if strings.ContainsAny(token, "\r\n\x00") {
				return // cannot be sent in a header
			}
			status, _ := s.FleetAs(token, http.MethodGet, "/v1/services", nil)
			if tooLong := len(token) > 30_000 && status == http.StatusRequestHeaderFieldsTooLarge; status != http.StatusUnauthorized && !tooLong {
				t.Errorf("the fleet API answers %d", status)
			}
		})
	}
}

// hs256 signs with a shared secret.
func hs256(secret []byte) func(string) []byte {
	return func(text string) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
}

func TestJ1_AnAlgorithmThatWasNotChosenIsRefused(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	harness.Must(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	harness.Must(t, err)
	digest := func(text string) []byte { sum := sha256.Sum256([]byte(text)); return sum[:] }
	forgeries := map[string]forgery{
		"alg missing": {func(f harness.Forger, g string) string { return f.AlterHeader(g, harness.Claims{"alg": nil}) }, "token-algorithm"},
		"alg null":    {func(f harness.Forger, g string) string { return f.AlterHeader(g, harness.Claims{"alg": harness.Null}) }, "token-malformed"},
		"alg a list": {func(f harness.Forger, g string) string {
			return f.AlterHeader(g, harness.Claims{"alg": []string{"EdDSA"}})
		}, "token-malformed"},
		"RS256 by a key of one's own": {func(f harness.Forger, g string) string {
			return f.SignedWith(g, "RS256", func(text string) []byte {
				signature, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest(text))
				harness.Must(t, err)
				return signature
			})
		}, "token-algorithm"},
		"PS256 by a key of one's own": {func(f harness.Forger, g string) string {
			return f.SignedWith(g, "PS256", func(text string) []byte {
				signature, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, digest(text), nil)
				harness.Must(t, err)
				return signature
			})
		}, "token-algorithm"},
		"ES256 by a key of one's own": {func(f harness.Forger, g string) string {
			return f.SignedWith(g, "ES256", func(text string) []byte {
				r, s, err := ecdsa.Sign(rand.Reader, ecKey, digest(text))
				harness.Must(t, err)
				return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
			})
		}, "token-algorithm"},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		forgeries["unsigned, alg "+alg] = forgery{func(f harness.Forger, g string) string {
			_, payload := f.Open(g)
			return harness.Encode(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, f.Kid(g))) + "." + harness.Encode(payload) + "."
		}, "token-malformed"}
		forgeries["signed beside alg "+alg] = forgery{func(f harness.Forger, g string) string { return f.AlterHeader(g, harness.Claims{"alg": alg}) }, "token-algorithm"}
	}
	for _, alg := range []string{"HS256", "HS512", "RS256", "PS256", "ES256", "ES384", "Ed25519", "Ed448", "eddsa", "EDDSA", "EdDSA ", "EdDSA,none"} {
		forgeries["a good signature named "+alg] = forgery{func(f harness.Forger, g string) string { return f.AlterHeader(g, harness.Claims{"alg": alg}) }, "token-algorithm"}
	}
	for what, secret := range map[string]func(ed25519.PublicKey) []byte{
		"raw": func(key ed25519.PublicKey) []byte { return key },
		"DER": publicDER,
		"PEM": func(key ed25519.PublicKey) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(key)})
		},
		"base64": func(key ed25519.PublicKey) []byte { return []byte(harness.Encode(string(key))) },
		"empty":  func(ed25519.PublicKey) []byte { return nil },
	} {
		forgeries["HS256 with the public key, "+what] = forgery{func(f harness.Forger, g string) string {
			public, _ := f.Key.Public().(ed25519.PublicKey)
			return f.SignedWith(g, "HS256", hs256(secret(public)))
		}, "token-algorithm"}
		forgeries["HS256 under the name EdDSA, "+what] = forgery{func(f harness.Forger, g string) string {
			public, _ := f.Key.Public().(ed25519.PublicKey)
			return f.SignedWith(g, "EdDSA", hs256(secret(public)))
		}, "token-signature"}
	}
	tryForgeries(t, forgeries)
}

func publicDER(key ed25519.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // an Ed25519 key can always be encoded
	}
	return der
}

func TestJ1_AHeaderThatAsksForMoreIsRefused(t *testing.T) {
	t.Parallel()
	_, own, err := ed25519.GenerateKey(rand.Reader)
	harness.Must(t, err)
	public, _ := own.Public().(ed25519.PublicKey)
	jwk := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, harness.Encode(string(public)))
	forgeries := map[string]forgery{
		"jwk, signed by its key": {func(f harness.Forger, g string) string {
			f.Key = own
			return f.AppendHeader(g, `"jwk":`+jwk)
		}, "token-malformed"},
		"jku, signed by its key": {func(f harness.Forger, g string) string {
			f.Key = own
			return f.AppendHeader(g, `"jku":"https://evil.example/jwks.json"`)
		}, "token-malformed"},
		"another letter case of kid": {func(f harness.Forger, g string) string { return f.AppendHeader(g, `"KID":"x"`) }, "token-malformed"},
	}
	for _, member := range []string{
		`"crit":["exp"]`, `"crit":[]`, `"crit":"exp"`, `"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`, `"jwk":` + jwk,
		`"jku":"https://evil.example/jwks.json"`, `"x5u":"https://evil.example/chain"`, `"x5c":["AAAA"]`, `"x5t":"AAAA"`, `"zip":"DEF"`,
		`"cty":"JWT"`, `"enc":"A256GCM"`, `"epk":{}`, `"nonce":"1"`, `"x":1`,
	} {
		forgeries[member] = forgery{func(f harness.Forger, g string) string { return f.AppendHeader(g, member) }, "token-malformed"}
	}
	tryForgeries(t, forgeries)
}

func TestJ1_OnlyTheCompactFormOfASignedTokenIsRead(t *testing.T) {
	t.Parallel()
	part := func(g string, i int) string { return strings.Split(g, ".")[i] }
	header := `{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`
	malformed := map[string]func(f harness.Forger, g string) string{
		"JWE": func(_ harness.Forger, g string) string {
			return harness.Encode(`{"alg":"dir","enc":"A256GCM"}`) + ".." + part(g, 1) + "." + part(g, 2) + ".AAAA"
		},
		"five parts":             func(_ harness.Forger, g string) string { return g + ".AAAA.AAAA" },
		"four parts":             func(_ harness.Forger, g string) string { return g + ".AAAA" },
		"two parts":              func(_ harness.Forger, g string) string { return part(g, 0) + "." + part(g, 1) },
		"no signature":           func(_ harness.Forger, g string) string { return part(g, 0) + "." + part(g, 1) + "." },
		"detached payload":       func(_ harness.Forger, g string) string { return part(g, 0) + ".." + part(g, 2) },
		"a JWT in a JWT":         func(f harness.Forger, g string) string { return f.Sign(fmt.Sprintf(header, f.Kid(g)), g) },
		"a JWT in a JSON string": func(f harness.Forger, g string) string { return f.Sign(fmt.Sprintf(header, f.Kid(g)), `"`+g+`"`) },
		"an array as payload": func(f harness.Forger, g string) string {
			_, p := f.Open(g)
			return f.Sign(fmt.Sprintf(header, f.Kid(g)), "["+p+"]")
		},
		"an empty payload object":  func(f harness.Forger, g string) string { return f.Sign(fmt.Sprintf(header, f.Kid(g)), "") },
		"JSON serialisation":       func(_ harness.Forger, g string) string { return jsonForm(g, false) },
		"general JSON":             func(_ harness.Forger, g string) string { return jsonForm(g, true) },
		"padding":                  func(_ harness.Forger, g string) string { return g + "==" },
		"stray bits in the base64": func(_ harness.Forger, g string) string { return g[:len(g)-1] + nextCharacter(g[len(g)-1]) },
		"a line break":             func(_ harness.Forger, g string) string { return part(g, 0) + ".\r\n" + part(g, 1) + "." + part(g, 2) },
		"a line break at the end":  func(_ harness.Forger, g string) string { return g + "\n" },
		"standard base64":          func(_ harness.Forger, g string) string { return part(g, 0) + "." + part(g, 1) + ".+/" + part(g, 2)[2:] },
		"Bearer":                   func(_ harness.Forger, g string) string { return "Bearer " + g },
		"quotes":                   func(_ harness.Forger, g string) string { return `"` + g + `"` },
		"alg twice":                func(f harness.Forger, g string) string { return f.AppendHeader(g, `"alg":"EdDSA"`) },
		"kid twice":                func(f harness.Forger, g string) string { return f.AppendHeader(g, `"kid":"other"`) },
		"kid twice, escaped":       func(f harness.Forger, g string) string { return f.AppendHeader(g, `"k\u0069d":"other"`) },
		"exp twice":                func(f harness.Forger, g string) string { return f.Append(g, `"exp":9999999999`) },
		"iss twice":                func(f harness.Forger, g string) string { return f.Append(g, `"iss":"https://evil.example"`) },
		"client_id twice":          func(f harness.Forger, g string) string { return f.Append(g, `"client_id":"root"`) },
		"sub twice, escaped":       func(f harness.Forger, g string) string { return f.Append(g, `"s\u0075b":"root"`) },
		"one name twice below":     func(f harness.Forger, g string) string { return f.Append(g, `"x":[{"a":{"b":1,"b":2}}]`) },
	}
	forgeries := map[string]forgery{}
	for what, forge := range malformed {
		forgeries[what] = forgery{forge, "token-malformed"}
	}
	tryForgeries(t, forgeries)
}

// jsonForm is the JSON serialisation of a token (RFC 7515 §7.2), flattened or general.
func jsonForm(token string, general bool) string {
	parts := strings.Split(token, ".")
	signature := fmt.Sprintf(`"protected":%q,"signature":%q`, parts[0], parts[2])
	if general {
		return fmt.Sprintf(`{"payload":%q,"signatures":[{%s}]}`, parts[1], signature)
	}
	return fmt.Sprintf(`{"payload":%q,%s}`, parts[1], signature)
}

// nextCharacter is the one after c in base64url: at the end of a part it differs in bits that
// mean nothing.
func nextCharacter(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[(strings.IndexByte(alphabet, c)+1)%len(alphabet)])
}

func TestJ3_ATokenThatIsMeantForSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	_, other, err := ed25519.GenerateKey(rand.Reader)
	harness.Must(t, err)
	forgeries := map[string]forgery{
		"another issuer's key": {func(f harness.Forger, g string) string { f.Key = other; return f.Alter(g, nil) }, "token-signature"},
		"another issuer's token and key": {func(f harness.Forger, g string) string {
			f.Key = other
			return f.Alter(g, harness.Claims{"iss": "https://other.example"})
		}, "token-signature"},
		"another token's signature": {func(f harness.Forger, g string) string {
			signed := f.Alter(g, harness.Claims{"jti": "x"})
			return g[:strings.LastIndexByte(g, '.')] + signed[strings.LastIndexByte(signed, '.'):]
		}, "token-signature"},
		"no iss":       {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"iss": nil}) }, "token-issuer"},
		"no aud":       {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"aud": nil}) }, "token-audience"},
		"no exp":       {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"exp": nil}) }, "token-claims"},
		"no client_id": {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"client_id": nil}) }, "token-claims"},
		"another sub":  {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"sub": "another"}) }, "token-claims"},
		"sub a number": {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"sub": 1}) }, "token-claims"},
		"an empty jti": {func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"jti": ""}) }, "token-claims"},
		"nbf to come": {func(f harness.Forger, g string) string {
			return f.Alter(g, harness.Claims{"nbf": harness.SecondsFromNow(5 * time.Minute)})
		}, "token-not-yet-valid"},
		"no kid": {func(f harness.Forger, g string) string { return f.AlterHeader(g, harness.Claims{"kid": nil}) }, "token-unknown-key"},
		"the wrong kid": {func(f harness.Forger, g string) string {
			return f.AlterHeader(g, harness.Claims{"kid": "../../etc/passwd"})
		}, "token-unknown-key"},
	}
	with := func(what, rule string, change func(f harness.Forger, g string) string) {
		forgeries[what] = forgery{change, rule}
	}
	for _, iss := range []any{"", "https://other.example", "HTTP://127.0.0.1", []string{"x"}, 1, harness.Null} {
		with(fmt.Sprint("iss ", iss), "token-issuer", func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"iss": iss}) })
	}
	with("iss with a slash", "token-issuer", func(f harness.Forger, g string) string {
		return f.Alter(g, harness.Claims{"iss": f.Claim(g, "iss") + "/"})
	})
	for _, aud := range []any{
		"", "boomgate", "boomgate:", "boomgate:mqt", "boomgate:mqtt2", "boomgate:fleet2", "BOOMGATE:MQTT", "boomgate:mqtt boomgate:fleet", "*",
		[]string{},
		[]string{"https://calendar.example"},
		[]any{1},
		[]any{[]string{"boomgate:mqtt", "boomgate:fleet"}},
		harness.Null, true,
		harness.Claims{"boomgate:mqtt": true, "boomgate:fleet": true},
	} {
		with(fmt.Sprint("aud ", aud), "token-audience", func(f harness.Forger, g string) string { return f.Alter(g, harness.Claims{"aud": aud}) })
	}
	for _, typ := range []any{nil, "", "JWT", "jwt", "at+JWT ", "id+jwt", "application/jwt", "at"} {
		with(fmt.Sprint("typ ", typ), "token-type", func(f harness.Forger, g string) string { return f.AlterHeader(g, harness.Claims{"typ": typ}) })
	}
	tryForgeries(t, forgeries)
}

func TestJ3_TokensOfTheBrokerAndOfTheFleetAPIAreNotInterchangeable(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	s.Create("operators", "--id", "boss", "--role", "fleet-admin")
	mqttToken := s.Token(s.Service("meter", "pub:#"))
	fleetToken := s.OperatorToken()
	for _, version := range harness.Versions {
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "root", Password: fleetToken}, harness.BadToken, "token-audience")
	}
	if status, _ := s.FleetAs(mqttToken, http.MethodGet, "/v1/services", nil); status != http.StatusUnauthorized {
		t.Errorf("the fleet API answers %d to a token of the broker", status)
	}
	// A token for both is good at both, for what it says there.
	both := f.Alter(mqttToken, harness.Claims{"aud": []string{"boomgate:mqtt", "boomgate:fleet"}})
	harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: both}).Leave()
	if status, _ := s.FleetAs(both, http.MethodGet, "/v1/services", nil); status != http.StatusForbidden {
		t.Errorf("the fleet API answers %d to a token for both without its scopes", status)
	}
}

func TestJ4_ATokenIsBoundedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	forgeries := map[string]forgery{}
	with := func(what, rule string, change func(f harness.Forger, g string) string) {
		forgeries[what] = forgery{change, rule}
	}
	for what, text := range map[string]string{
		"64 KiB":             strings.Repeat("x", 65535),
		"64 KiB of dots":     strings.Repeat(".", 65535),
		"64 KiB of three":    strings.Repeat("a", 21000) + "." + strings.Repeat("b", 21000) + "." + strings.Repeat("c", 21000),
		"64 KiB of brackets": harness.Encode(strings.Repeat("[", 40000)) + ".e30.AAAA",
	} {
		with(what, "token-too-large", func(harness.Forger, string) string { return text })
	}
	for what, text := range map[string]string{
		"nothing but dots": strings.Repeat(".", 8000), "two dots": "..", "one dot": ".", "a NUL": "\x00.\x00.\x00", "not ASCII": "é.é.é",
		"deep JSON in the header": harness.Encode(strings.Repeat(`{"a":`, 150)+"1"+strings.Repeat("}", 150)) + ".e30.AAAA",
	} {
		with(what, "token-malformed", func(harness.Forger, string) string { return text })
	}
	with("deep arrays", "token-malformed", func(f harness.Forger, g string) string {
		return f.Append(g, `"x":`+strings.Repeat("[", 1500)+strings.Repeat("]", 1500))
	})
	with("deep objects", "token-malformed", func(f harness.Forger, g string) string {
		return f.Append(g, `"x":`+strings.Repeat(`{"a":`, 400)+"1"+strings.Repeat("}", 400))
	})
	with("trailing bytes in the payload", "token-malformed", func(f harness.Forger, g string) string {
		header, payload := f.Open(g)
		return f.Sign(header, payload+"x")
	})
	with("a second object in the payload", "token-malformed", func(f harness.Forger, g string) string {
		header, payload := f.Open(g)
		return f.Sign(header, payload+`{"exp":9999999999}`)
	})
	with("trailing bytes in the header", "token-malformed", func(f harness.Forger, g string) string {
		header, payload := f.Open(g)
		return f.Sign(header+"{}", payload)
	})
	with("not UTF-8", "token-malformed", func(f harness.Forger, g string) string { return f.Append(g, "\"x\":\"\xff\"") })
	with("a byte order mark", "token-malformed", func(f harness.Forger, g string) string {
		header, payload := f.Open(g)
		return f.Sign(header, "\ufeff"+payload)
	})
	with("a large header", "token-too-large", func(f harness.Forger, g string) string {
		return f.AlterHeader(g, harness.Claims{"kid": strings.Repeat("k", 2000)})
	})
	for _, claim := range []string{"exp", "iss", "aud", "sub", "client_id", "nbf", "iat", "jti", "scope", "scp"} {
		for _, variant := range []string{strings.ToUpper(claim), strings.ToUpper(claim[:1]) + claim[1:]} {
			with(variant+" beside "+claim, "token-claims", func(f harness.Forger, g string) string { return f.Append(g, fmt.Sprintf("%q:9999999999", variant)) })
		}
	}
	with("EXP instead of exp", "token-claims", func(f harness.Forger, g string) string {
		return f.Alter(g, harness.Claims{"exp": nil, "EXP": 9999999999})
	})
	with("a folded letter", "token-claims", func(f harness.Forger, g string) string { return f.Append(g, `"\u017fcope":"pub:#"`) }) // ſ folds to s
	tryForgeries(t, forgeries)
}

func TestJ4_TheFleetAPIBoundsATokenToo(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	for what, token := range map[string]string{"dots": strings.Repeat(".", 20_000), "letters": strings.Repeat("x", 20_000)} {
		if status, _ := s.FleetAs(token, http.MethodGet, "/v1/services", nil); status != http.StatusUnauthorized {
			t.Errorf("%s: the fleet API answers %d", what, status)
		}
	}
	if status, _ := s.FleetAs(strings.Repeat(".", 1_000_000), http.MethodGet, "/v1/services", nil); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a million dots: the fleet API answers %d", status)
	}
}
