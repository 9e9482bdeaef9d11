package issuer_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning/issuer"
)

func TestAnAttributeNeverReplacesARegisteredClaim(t *testing.T) {
	t.Parallel()
	token := sensorToken()
	token.CredentialID, token.Thumbprint = "s1", "x"
	_, plain := decode(t, mint(t, open(t, new(memory)), token))
	for _, claim := range []string{"credential_id", "cnf"} {
		if _, ok := plain[claim]; !ok {
			t.Errorf("the token has no claim %s", claim)
		}
	}
	token.Attributes = map[string]string{"department": "sales"}
	for name := range plain {
		token.Attributes[name] = "attacker"
		token.Attributes[strings.ToUpper(name)] = "attacker"
	}
	text := mint(t, open(t, new(memory)), token)
	_, payload := decode(t, text)
	if len(payload) != len(plain)+1 || payload["department"] != "sales" {
		t.Errorf("payload is %v, want the registered claims and department", payload)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if bytes.Contains(raw, []byte("attacker")) {
		t.Errorf("an attribute took the name of a registered claim: %s", raw)
	}
}

func TestO5_AnAttributeNeverStandsForAClaimThatIsLeftOut(t *testing.T) {
	t.Parallel()
	token := sensorToken()
	token.Attributes = map[string]string{"credential_id": "s9", "cnf": "x", "CNF": "x", "Credential_ID": "s9", "scp": "sub:#", "SCP": "sub:#"}
	cfg := config(new(memory))
	cfg.FormatAIF = func([]string) ([]byte, error) { return []byte("[]"), nil }
	i, err := issuer.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, token.AIF = range []bool{false, true} {
		_, payload := decode(t, mint(t, i, token))
		for _, name := range []string{"credential_id", "cnf", "CNF", "Credential_ID", "SCP"} {
			if value, there := payload[name]; there {
				t.Errorf("an attribute has become the claim %s: %v", name, value)
			}
		}
		if scopes, there := payload["scp"]; there == token.AIF {
			t.Errorf("in a token with AIF %v, scp is %v", token.AIF, scopes)
		}
	}
}

func TestATokenSaysWhichCredentialFetchedItAndWhoMayHoldIt(t *testing.T) {
	t.Parallel()
	token := sensorToken()
	token.CredentialID, token.Thumbprint = "x5t:bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2", "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"
	_, payload := decode(t, mint(t, open(t, new(memory)), token))
	if payload["credential_id"] != token.CredentialID {
		t.Errorf("credential_id is %v, want %s", payload["credential_id"], token.CredentialID)
	}
	if cnf, ok := payload["cnf"].(map[string]any); !ok || len(cnf) != 1 || cnf["x5t#S256"] != token.Thumbprint {
		t.Errorf("cnf is %v, want the thumbprint as x5t#S256 alone", payload["cnf"])
	}
}

func TestScopesCanBeSaidAsAuthorizationInformation(t *testing.T) {
	t.Parallel()
	token := sensorToken()
	token.AIF = true
	cfg := config(new(memory))
	var asked []string
	cfg.FormatAIF = func(scopes []string) ([]byte, error) {
		asked = scopes
		return []byte(`[["a/+",["pub"]]]`), nil
	}
	i, err := issuer.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, payload := decode(t, mint(t, i, token))
	if got, err := base64.RawURLEncoding.DecodeString(payload["scope"].(string)); err != nil || string(got) != `[["a/+",["pub"]]]` {
		t.Errorf("scope is %v, want the authorization information in base64url", payload["scope"])
	}
	if !slices.Equal(asked, token.Scopes) {
		t.Errorf("written were the scopes %v, want %v", asked, token.Scopes)
	}
}

func TestScopesThatAuthorizationInformationCannotSayGetNoToken(t *testing.T) {
	t.Parallel()
	token := sensorToken()
	token.AIF = true
	limits := errors.New("limits")
	for name, format := range map[string]func([]string) ([]byte, error){
		"no such format": nil,
		"unspeakable":    func([]string) ([]byte, error) { return nil, limits },
	} {
		cfg := config(new(memory))
		cfg.FormatAIF = format
		i, err := issuer.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := i.Mint(t.Context(), token)
		if !errors.Is(err, issuer.ErrInvalidToken) || text != "" || format != nil && !errors.Is(err, limits) {
			t.Errorf("%s: got %q and the error %v, want ErrInvalidToken with its cause", name, text, err)
		}
	}
}
