package authhook_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	mqttv3 "github.com/eclipse/paho.mqtt.golang"
	"github.com/golang-jwt/jwt/v5"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// newBroker is a broker of one's own that lets in who has a token of this issuer, in thirty lines. jwks is the issuer's JWK set.
func newBroker(jwks []byte) (server *mqtt.Server, address string, err error) {
	keys, err := accesstoken.ParseJWKS(jwks)
	if err != nil {
		return nil, "", err
	}
	verifier, err := accesstoken.New(accesstoken.Config{
		Issuer: "https://issuer.example", Audience: "boomgate:mqtt", Keys: keys, Algorithms: []string{"EdDSA"},
	})
	if err != nil {
		return nil, "", err
	}
	server = mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	hook, err := authhook.New(server, authhook.Config{Verifier: verifier})
	if err != nil {
		return nil, "", err
	}
	if err := server.AddHook(hook, nil); err != nil {
		return nil, "", err
	}
	tcp := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	if err := server.AddListener(tcp); err != nil {
		return nil, "", err
	}
	return server, tcp.Address(), server.Serve()
}

func Example() {
	server, address, err := newBroker(issuerKeys())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	connect := func(clientID, token string) (mqttv3.Client, error) {
		client := mqttv3.NewClient(mqttv3.NewClientOptions().AddBroker("tcp://" + address).
			SetClientID(clientID).SetUsername(clientID).SetPassword(token))
		connected := client.Connect()
		connected.Wait()
		return client, connected.Error()
	}

	device, err := connect("sensor-1", issueToken("sensor-1", "pub:lot/sensor-1/#", "sub:lot/+/state"))
	fmt.Println("CONNECT with its own token:", err)
	defer device.Disconnect(0)
	for _, filter := range []string{"lot/+/state", "lot/#"} {
		token, _ := device.Subscribe(filter, 1, nil).(*mqttv3.SubscribeToken)
		token.Wait()
		fmt.Printf("SUBSCRIBE %s: 0x%02x\n", filter, token.Result()[filter])
	}
	_, err = connect("sensor-1", issueToken("sensor-2"))
	fmt.Println("CONNECT with another's token:", err)

	// Output:
	// CONNECT with its own token: <nil>
	// SUBSCRIBE lot/+/state: 0x01
	// SUBSCRIBE lot/#: 0x80
	// CONNECT with another's token: not Authorized
}

// issuerKeys returns the JWK set of the issuer of the example.
func issuerKeys() []byte {
	public, _ := testKey.Public().(ed25519.PublicKey)
	return fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"key-1","x":%q}]}`,
		base64.RawURLEncoding.EncodeToString(public))
}

// issueToken signs what an issuer would.
func issueToken(clientID string, scopes ...string) string {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "https://issuer.example", "aud": "boomgate:mqtt", "sub": clientID, "client_id": clientID, "scp": append([]string{}, scopes...),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	token.Header["kid"], token.Header["typ"] = "key-1", "at+jwt"
	text, _ := token.SignedString(testKey) // a broken token would be refused
	return text
}
