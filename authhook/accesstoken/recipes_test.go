package accesstoken_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// A product is an issuer that people have: where its keys are, what its tokens look like, and the configuration that accepts them.
// Names of issuers, clients and audiences are made up, and their shape is the product's.
type product struct {
	keysPath string
	keySet   func(testing.TB) []byte
	header   string
	claims   claims // without times
	config   accesstoken.Config
	clientID string
	// user are the claims that a token for a user has instead, for the same audience and by the same keys: refused. It is nil where
	// the client ID is sub, which is the user's own then.
	user claims
}

var products = map[string]product{
	"Auth0": {
		keysPath: "/.well-known/jwks.json", keySet: setOfAuth0, header: `{"alg":"RS256","typ":"JWT","kid":"rsa-1"}`,
		claims: claims{
			"iss": "https://tenant.eu.auth0.com/", "sub": "aBcD1234@clients", "aud": "https://mqtt.example", "azp": "aBcD1234",
			"scope": "telemetry:write commands:read", "gty": "client-credentials",
		},
		config: accesstoken.Config{
			Issuer: "https://tenant.eu.auth0.com/", Audience: "https://mqtt.example", ClientIDClaim: "azp",
			RequiredClaims: map[string]string{"gty": "client-credentials"}, Types: []string{"JWT"},
		},
		clientID: "aBcD1234",
		user:     claims{"sub": "auth0|123456", "gty": nil},
	},
	"Auth0 with the RFC 9068 profile": {
		keysPath: "/.well-known/jwks.json", keySet: setOfAuth0, header: `{"alg":"RS256","typ":"at+jwt","kid":"rsa-1"}`,
		claims: claims{
			"iss": "https://tenant9068.eu.auth0.com/", "sub": "aBcD1234@clients", "aud": "https://mqtt.example", "client_id": "aBcD1234",
			"jti": "73WakrfVbNJBaAmhQtEeDv", "scope": "telemetry:write commands:read",
		},
		config: accesstoken.Config{
			Issuer: "https://tenant9068.eu.auth0.com/", Audience: "https://mqtt.example", ClientIDClaim: "sub", RequireTokenID: true,
		},
		clientID: "aBcD1234@clients",
	},
	"Stytch": {
		keysPath: "/v1/sessions/jwks/project-live-1", keySet: setOfOneKey, header: `{"alg":"RS256","kid":"rsa-1","typ":"JWT"}`,
		claims: claims{
			"iss": "stytch.com/project-live-1", "sub": "m2m-client-live-d731954d", "aud": []string{"project-live-1"},
			"scope": "telemetry:write commands:read", "https://example.com/site": "lot-7",
		},
		config: accesstoken.Config{
			Issuer: "stytch.com/project-live-1", Audience: "project-live-1", ClientIDClaim: "sub", Types: []string{"JWT"},
		},
		clientID: "m2m-client-live-d731954d",
	},
	"LoginRadius": {
		keysPath: "/service/oauth/app/jwks", keySet: setOfOneKey, header: `{"alg":"RS256","kid":"rsa-1","typ":"JWT"}`,
		claims: claims{
			"iss": "https://site.hub.loginradius.com/", "sub": "40c4bf81@client", "aud": []string{"https://mqtt.example"}, "cid": "40c4bf81",
			"sid": "6a046f38", "jti": "ab9b169a", "gty": "client_credentials", "scp": []string{"telemetry:write", "commands:read"},
		},
		config: accesstoken.Config{
			Issuer: "https://site.hub.loginradius.com/", Audience: "https://mqtt.example", ClientIDClaim: "cid",
			RequiredClaims: map[string]string{"gty": "client_credentials"}, RequireTokenID: true, Types: []string{"JWT"},
		},
		clientID: "40c4bf81",
		user:     claims{"sub": "e2a19b161ba2", "gty": nil, "amr": []string{"pwd"}},
	},
	"SuperTokens": {
		keysPath: "/auth/jwt/jwks.json", keySet: setOfSuperTokens, header: `{"alg":"RS256","typ":"JWT","kid":"rsa-1"}`,
		claims: claims{
			"iss": "https://auth.example/auth", "sub": "stcl_7f3a", "client_id": "stcl_7f3a", "aud": []string{"https://mqtt.example"}, "jti": "0b6c",
			"scp": []string{"telemetry:write", "commands:read"}, "stt": json.Number("1.0"),
		},
		config: accesstoken.Config{
			Issuer: "https://auth.example/auth", Audience: "https://mqtt.example", RequiredClaims: map[string]string{"stt": "1"},
			RequireTokenID: true, Types: []string{"JWT"},
		},
		clientID: "stcl_7f3a",
		user:     claims{"sub": "b1f7-user", "rsub": "b1f7-user", "sessionHandle": "1"},
	},
}

func setOfOneKey(tb testing.TB) []byte {
	tb.Helper()
	return jwks(tb, jose.JSONWebKey{Key: keys().rsa.Public(), KeyID: rsaKeyID, Algorithm: "RS256", Use: "sig"})
}

// setOfAuth0 has a certificate and its thumbprint beside each key, neither of which is of use here.
func setOfAuth0(tb testing.TB) []byte {
	tb.Helper()
	return []byte(strings.Replace(string(setOfOneKey(tb)), `{"use"`, `{"x5t":"NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg","x5c":["MIIC"],"use"`, 1))
}

// setOfSuperTokens has numbers in Java's manner: with a zero in front for the sign, and base64url with padding.
func setOfSuperTokens(tb testing.TB) []byte {
	tb.Helper()
	key := keys().rsa.Public().(*rsa.PublicKey)
	text, err := json.Marshal(claims{"keys": []claims{{
		"kty": "RSA", "kid": rsaKeyID, "alg": "RS256", "use": "sig", "e": base64.URLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		"n": base64.URLEncoding.EncodeToString(append([]byte{0}, key.N.Bytes()...)),
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// mint signs the product's token with some claims changed; nil removes one.
func (p product) mint(tb testing.TB, changed claims) string {
	tb.Helper()
	minted := p.claims.with("iat", noon.Unix()).with("exp", noon.Unix()+3600)
	for name, value := range changed {
		if minted = minted.with(name, value); value == nil {
			minted = minted.without(name)
		}
	}
	return sign(tb, jwt.SigningMethodRS256, keys().rsa, p.header, minted.json(tb))
}

// start serves the product's token endpoint and its keys, and returns the address.
func (p product) start(t *testing.T) string {
	t.Helper()
	set := p.keySet(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+p.keysPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set)
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("client_id") != p.clientID {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(claims{"access_token": p.mint(t, nil), "token_type": "Bearer", "expires_in": 3600})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// fetchToken gets a token as a machine does.
func (p product) fetchToken(t *testing.T, address string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {p.clientID}, "client_secret": {"secret"}}
	answer, err := http.PostForm(address+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.AccessToken == "" {
		t.Fatalf("the token endpoint answers %s: %v", answer.Status, err)
	}
	return body.AccessToken
}

// verifierAt returns the Verifier of the product's recipe, with the keys that are served at this address.
func (p product) verifierAt(t *testing.T, address string) *accesstoken.Verifier {
	t.Helper()
	return verifier(t, func(c *accesstoken.Config) {
		now := c.Now
		*c = p.config
		c.Now, c.Algorithms = now, []string{"RS256"}
		c.Keys = remoteKeys(t, accesstoken.RemoteConfig{URL: address + p.keysPath, Now: now})
	})
}

func TestTheTokensOfOtherProductsAreVerifiedFromEndToEnd(t *testing.T) {
	t.Parallel()
	verifiers := []*accesstoken.Verifier{verifier(t, nil)}
	tokens := map[string]string{}
	for name, p := range products {
		address := p.start(t)
		verifiers = append(verifiers, p.verifierAt(t, address))
		tokens[name] = p.fetchToken(t, address)
	}
	issuers, err := accesstoken.NewIssuers(verifiers...)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range products {
		token, err := issuers.Verify(t.Context(), tokens[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if token.ClientID != p.clientID || token.Issuer != p.config.Issuer || !slices.Equal(token.Scopes, []string{"telemetry:write", "commands:read"}) {
			t.Errorf("%s: the token is read as %+v", name, token)
		}
		checkRefusals(t, issuers, map[string]refusal{
			name + ": another audience": {p.mint(t, claims{"aud": "https://calendar.example"}), accesstoken.ErrAudience},
			name + ": without a client": {p.mint(t, claims{"sub": nil, "azp": nil, "client_id": nil, "cid": nil}), accesstoken.ErrClaims},
			name + ": expired":          {p.mint(t, claims{"iat": noon.Unix() - 7200, "exp": noon.Unix() - 3600}), accesstoken.ErrExpired},
			name + ": tampered with":    {tokens[name][:len(tokens[name])-8] + "AAAAAAAA", accesstoken.ErrSignature},
		})
		if p.user != nil {
			checkRefusals(t, issuers, map[string]refusal{name + ": of a user": {p.mint(t, p.user), accesstoken.ErrClaims}})
		}
	}
}

func TestJ3_NoProductsTokenPassesForThatOfAnother(t *testing.T) {
	t.Parallel()
	for name, p := range products {
		v := p.verifierAt(t, p.start(t))
		for otherName, other := range products {
			if otherName != name { // all products of the test share one key, so the signatures are good
				checkRefusals(t, v, map[string]refusal{otherName + " at " + name: {retyped(t, p, other), accesstoken.ErrIssuer}})
			}
		}
	}
}

// retyped returns the token of one product with the header of another.
func retyped(t *testing.T, p, other product) string {
	t.Helper()
	other.header = p.header
	return other.mint(t, nil)
}
