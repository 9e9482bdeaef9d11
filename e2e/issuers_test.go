package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/e2e/harness"
)

// machineTokens are what the products give to a machine, without times; the names are made up.
var machineTokens = map[string]jwt.MapClaims{
	"auth0": {
		"iss": "https://tenant.eu.auth0.com/", "sub": "aBcD1234@clients", "aud": "https://gate.example", "azp": "aBcD1234",
		"scope": "telemetry:write commands:read", "gty": "client-credentials",
	},
	"stytch": {
		"iss": "stytch.com/project-live-1", "sub": "m2m-client-live-d731954d", "aud": []string{"project-live-1"},
		"scope": "telemetry:write commands:read",
	},
	"loginradius": {
		"iss": "https://site.hub.loginradius.com/", "sub": "40c4bf81@client", "aud": []string{"https://gate.example"}, "cid": "40c4bf81",
		"sid": "6a046f38", "jti": "ab9b169a", "gty": "client_credentials", "scp": []string{"telemetry:write", "commands:read"},
	},
	"supertokens": {
		"iss": "https://auth.example/auth", "sub": "stcl_7f3a", "client_id": "stcl_7f3a", "aud": []string{"https://gate.example"},
		"jti": "0b6c", "scp": []string{"telemetry:write", "commands:read"}, "stt": 1,
	},
}

// machineIDs are the client IDs in them.
var machineIDs = map[string]string{
	"auth0": "aBcD1234", "stytch": "m2m-client-live-d731954d", "loginradius": "40c4bf81", "supertokens": "stcl_7f3a",
}

func TestTheRecipesForOtherIssuersLetTheirTokensIn(t *testing.T) {
	t.Parallel()

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	harness.Must(t, err)
	recipes := issuerRecipes(t)
	for name, claims := range machineTokens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recipe, ok := recipes[name]
			if !ok {
				t.Fatalf("docs/issuers.md has no recipe for %s", name)
			}
			s := startWithIssuer(t, recipe, key)
			id := machineIDs[name]
			token := mintForeign(t, key, claims, nil)
			harness.EachVersion(t, func(t *testing.T, version byte) {
				w := harness.Enter(t, s.In(t), version, harness.Hello{ID: id, Password: token})
				if code := w.Publish(harness.Message{Topic: "plant/" + id + "/temperature", QoS: 1}); code != 0 {
					t.Errorf("its own topic: 0x%02x", code)
				}
				if code := w.Publish(harness.Message{Topic: "plant/another/temperature", QoS: 1}); version == 5 && code != 0x87 {
					t.Errorf("another's topic: 0x%02x, want 0x87", code)
				}
				if live := s.In(t).Sessions(name + "/" + id); len(live) != 1 {
					t.Errorf("the API lists %+v, want one session of %s/%s", live, name, id)
				}
				w.Leave()
				for what, wrong := range map[string]jwt.MapClaims{
					"another audience": {"aud": "https://elsewhere.example"},
					"an expired one":   {"exp": time.Now().Add(-time.Hour).Unix()},
					"another issuer":   {"iss": "https://elsewhere.example/"},
				} {
					w := harness.Dial(t, s.MQTT, version)
					if ack := w.Connect(harness.Hello{ID: id, Password: mintForeign(t, key, claims, wrong)}); ack.Code() != harness.BadToken.In(version) {
						t.Errorf("%s: CONNACK 0x%02x", what, ack.Code())
					}
				}
			})
		})
	}
}

// issuerRecipes are the settings in docs/issuers.md, by the issuer's name.
func issuerRecipes(tb testing.TB) map[string]string {
	tb.Helper()
	text, err := os.ReadFile("../docs/issuers.md")
	harness.Must(tb, err)
	recipes := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`- name: (\S+)`).FindStringSubmatch(block[1])
		recipes[name[1]] = block[1]
	}
	return recipes
}

// startWithIssuer starts a server with these settings, whose keys are served by an issuer on this machine.
func startWithIssuer(tb testing.TB, settings string, key *rsa.PrivateKey) *harness.Server {
	tb.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "rsa-1", Algorithm: "RS256", Use: "sig"}}})
	harness.Must(tb, err)
	issuer := httptest.NewServer(harness.Serve(string(set)))
	tb.Cleanup(issuer.Close)
	settings = regexp.MustCompile(`jwks_url: \S+`).ReplaceAllString(settings, "jwks_url: "+issuer.URL+"/keys")
	return harness.StartServer(tb, "--config", harness.ConfigFile(tb, settings))
}

// mintForeign signs a product's token, with some claims changed.
func mintForeign(tb testing.TB, key *rsa.PrivateKey, claims, changed jwt.MapClaims) string {
	tb.Helper()
	now := time.Now()
	minted := jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for _, from := range []jwt.MapClaims{claims, changed} {
		maps.Copy(minted, from)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, minted)
	token.Header["kid"] = "rsa-1"
	text, err := token.SignedString(key)
	harness.Must(tb, err)
	return text
}
