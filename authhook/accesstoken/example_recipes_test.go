package accesstoken_test

import (
	"fmt"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// Auth0: the audience is the API's identifier, the issuer ends with a slash, and gty keeps out tokens that users got through the same
// application. For an API with the RFC 9068 profile leave Types and RequiredClaims out and take sub, "<client>@clients", for the client
// ID.
func ExampleConfig_auth0() {
	keys, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "https://tenant.eu.auth0.com/.well-known/jwks.json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := accesstoken.New(accesstoken.Config{
		Issuer:         "https://tenant.eu.auth0.com/",
		Audience:       "https://mqtt.example",
		Keys:           keys,
		Algorithms:     []string{"RS256"},
		Types:          []string{"JWT"},
		ClientIDClaim:  "azp",
		RequiredClaims: map[string]string{"gty": "client-credentials"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Issuer())
	// Output:
	// https://tenant.eu.auth0.com/
}

// Stytch: the audience is the project, the issuer is no URL, and sub is the client ID, "m2m-client-…".
func ExampleConfig_stytch() {
	keys, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "https://api.stytch.com/v1/sessions/jwks/project-live-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := accesstoken.New(accesstoken.Config{
		Issuer:        "stytch.com/project-live-1",
		Audience:      "project-live-1",
		Keys:          keys,
		Algorithms:    []string{"RS256"},
		Types:         []string{"JWT"},
		ClientIDClaim: "sub",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Issuer())
	// Output:
	// stytch.com/project-live-1
}

// LoginRadius: cid is the client, sub the same with "@client" behind it, and gty keeps out users' tokens.
func ExampleConfig_loginRadius() {
	keys, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "https://site.hub.loginradius.com/service/oauth/app/jwks"})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := accesstoken.New(accesstoken.Config{
		Issuer:         "https://site.hub.loginradius.com/",
		Audience:       "https://mqtt.example",
		Keys:           keys,
		Algorithms:     []string{"RS256"},
		Types:          []string{"JWT"},
		ClientIDClaim:  "cid",
		RequiredClaims: map[string]string{"gty": "client_credentials"},
		RequireTokenID: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Issuer())
	// Output:
	// https://site.hub.loginradius.com/
}

// SuperTokens: stt 1 marks access tokens of its OAuth provider; client_id and sub are the same for clients and differ for users, whose
// tokens the default rule refuses.
func ExampleConfig_superTokens() {
	keys, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "https://auth.example/auth/jwt/jwks.json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := accesstoken.New(accesstoken.Config{
		Issuer:         "https://auth.example/auth",
		Audience:       "https://mqtt.example",
		Keys:           keys,
		Algorithms:     []string{"RS256"},
		Types:          []string{"JWT"},
		RequiredClaims: map[string]string{"stt": "1"},
		RequireTokenID: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Issuer())
	// Output:
	// https://auth.example/auth
}
