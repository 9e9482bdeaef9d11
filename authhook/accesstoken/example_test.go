package accesstoken_test

import (
	"context"
	"fmt"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// With keys that are at hand, no network is needed.
func ExampleVerifier_Verify() {
	keys, err := accesstoken.ParseJWKS([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"k1",
		"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := accesstoken.New(accesstoken.Config{
		Issuer: "https://gate.example", Audience: "boomgate:mqtt", Keys: keys, Algorithms: []string{"EdDSA"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = v.Verify(context.Background(), "not a token")
	fmt.Println(accesstoken.Rule(err))
	// Output:
	// token-malformed
}

// A gateway that accepts the tokens of Boomgate's own server and those of an Auth0 tenant. Nothing is fetched before the first token
// comes, so the program starts even while an issuer is out of reach.
func ExampleNewIssuers() {
	own, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "https://gate.example/.well-known/jwks.json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tenant, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "https://tenant.eu.auth0.com/.well-known/jwks.json"})
	if err != nil {
		fmt.Println(err)
		return
	}
	gate, err := accesstoken.New(accesstoken.Config{
		Issuer: "https://gate.example", Audience: "boomgate:mqtt", Keys: own, Algorithms: []string{"EdDSA"}, RequireTokenID: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth0, err := accesstoken.New(accesstoken.Config{
		Issuer: "https://tenant.eu.auth0.com/", Audience: "https://mqtt.example", Keys: tenant, Algorithms: []string{"RS256"},
		Types: []string{"JWT"}, ClientIDClaim: "azp", RequiredClaims: map[string]string{"gty": "client-credentials"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	issuers, err := accesstoken.NewIssuers(gate, auth0)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = issuers.Verify(context.Background(), "e30.eyJpc3MiOiJodHRwczovL2V2aWwuZXhhbXBsZSJ9.AAAA")
	fmt.Println(accesstoken.Rule(err))
	// Output:
	// token-issuer
}

// An address at which others could change the keys is refused at the start.
func ExampleNewRemoteKeys() {
	_, err := accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: "http://issuer.example/jwks.json"})
	fmt.Println(err)
	// Output:
	// configuring remote keys: URL is neither https nor http on a loopback address
}
