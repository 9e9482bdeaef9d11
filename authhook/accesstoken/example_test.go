package accesstoken_test

import (
	"context"
	"fmt"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

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
