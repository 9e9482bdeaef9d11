package attacks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on the start, J5: keys and issuers that are not as they must be.

// expectNoStart wants serve to refuse a configuration, to name every one of these faults, and to have opened nothing.
func expectNoStart(t *testing.T, config string, faults ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	dataDir := filepath.Join(t.TempDir(), "data")
	cmd := exec.CommandContext(ctx, harness.Binary(), "serve", "--config", harness.ConfigFile(t, config), "--data-dir", dataDir,
		"--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
	cmd.Env = harness.CleanEnv()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("serve ended with %v, want exit code 1:\n%s", err, out)
	}
	for _, fault := range faults {
		if !strings.Contains(string(out), fault) {
			t.Errorf("the message does not hold %q:\n%s", fault, out)
		}
	}
	if strings.Contains(string(out), "mqtt://") {
		t.Errorf("it said where it listens:\n%s", out)
	}
}

func TestJ5_EveryFaultOfTheIssuersIsNamedAndNothingIsStarted(t *testing.T) {
	t.Parallel()
	expectNoStart(t, `
issuers:
  - {name: "No/Name", audience: x, jwks_url: "http://keys.example/"}
  - {name: both, issuer: "https://a.example", audience: x, jwks_url: "https://a.example/keys", jwks_file: /nowhere/keys.json}
  - {name: neither, issuer: "https://b.example", algorithms: [none, HS256, RS256]}
  - {name: both, issuer: "https://a.example", audience: x, jwks_url: "ftp://a.example/keys"}
  - {name: scopes, issuer: "https://c.example", audience: x, jwks_url: "https://c.example/keys",
     scopes: {none: [], bare: ["a/#"], torn: ["pub:a/#/b"], open: ["pub:a/{client_id"]}}
`,
		`issuers[0]: name is "No/Name"`, "issuers[0]: issuer is missing", "issuers[0]: jwks_url is",
		"issuers[1]: give one of jwks_url and jwks_file", "issuers[1]: jwks_file",
		"issuers[2]: audience is missing", "issuers[2]: give one of", `holds "none"`, `holds "HS256"`,
		`issuers[3]: name "both" is taken`, `issuers[3]: issuer "https://a.example" is there twice`, "issuers[3]: jwks_url is",
		`scope "none" stands for nothing`, `scope "bare"`, `scope "torn"`, `scope "open"`,
	)
}

func TestJ5_AnIssuersScopesKnowNoPlaceholderThatItCannotFill(t *testing.T) {
	t.Parallel()
	const issuer = `issuers: [{name: a, issuer: "https://a.example", audience: x, jwks_url: "https://a.example/keys", scopes: {x: [%q]}}]`
	for _, template := range []string{"pub:{labels.site}/#", "pub:{site}/#", "pub:{attributes.site}/#", "pub:{}/#", "pub:{claims.}/#"} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			expectNoStart(t, fmt.Sprintf(issuer, template), template)
		})
	}
}

func TestJ5_AMisspeltOrMalformedIssuerIsNotPassedOver(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct{ config, fault string }{
		"a misspelt member":      {`issuers: [{name: a, isuer: "https://a.example", audience: x, jwks_url: "https://a.example/keys"}]`, "isuer"},
		"no list":                {`issuers: {name: a}`, "issuers is no list"},
		"a list of names":        {`issuers: [auth0]`, "issuers[0]"},
		"this server itself":     {"public_url: https://gate.example\nissuers: [{name: a, issuer: \"https://gate.example\", audience: x, jwks_url: \"https://a.example/keys\"}]", "this server itself"},
		"a password in the URL":  {`issuers: [{name: a, issuer: "https://a.example", audience: x, jwks_url: "https://user:secret@a.example/keys"}]`, "jwks_url"},
		"issuers in a variable":  {`issuer: x`, "issuer"},
		"a client ID that is no": {`issuers: [{name: a, issuer: "https://a.example", audience: x, jwks_url: "https://a.example/keys", client_id_claim: exp}]`, "client ID"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			expectNoStart(t, test.config, test.fault)
		})
	}
}

func TestJ5_AKeyFileThatHoldsNoKeysStopsTheStart(t *testing.T) {
	t.Parallel()
	i := harness.NewIssuer(t, "a")
	good := i.JWK("key-1")
	for what, text := range map[string]string{
		"empty":               "",
		"no JSON":             "-----BEGIN PUBLIC KEY-----",
		"no keys":             harness.KeySet(),
		"another document":    `{"issuer":"https://a.example"}`,
		"a symmetric key":     harness.KeySet(good, `{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0"}`),
		"a private key":       harness.KeySet(good, i.JWK("key-2", `"d":"AAAA"`)),
		"a key to encrypt":    harness.KeySet(good, i.JWK("key-2", `"use":"enc"`)),
		"two keys of one ID":  harness.KeySet(good, good),
		"a key without an ID": harness.KeySet(good, i.JWK("")),
		"a cut-off key":       harness.KeySet(good, `{"kty":"OKP","crv":"Ed25519","kid":"key-2","x":"AAAA"}`),
		"the wrong curve":     harness.KeySet(good, `{"kty":"OKP","crv":"X25519","kid":"key-2","x":"`+harness.Encode(strings.Repeat("x", 32))+`"}`),
		"a megabyte":          harness.KeySet(good) + strings.Repeat(" ", 1<<20),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "keys.json")
			harness.Must(t, os.WriteFile(file, []byte(text), 0o600))
			expectNoStart(t, fmt.Sprintf(`issuers: [{name: a, issuer: "https://a.example", audience: x, jwks_file: %q}]`, file), "jwks_file", "keys.json")
		})
	}
}

func TestJ5_AnAuthorityThatIsNoneStopsTheStart(t *testing.T) {
	t.Parallel()
	cert := harness.NewCertificate(t)
	config := fmt.Sprintf("http_tls: true\ntls_cert: %s\ntls_key: %s\ntls_client_ca: ", cert.CertFile, cert.KeyFile)
	expectNoStart(t, config+cert.KeyFile, "tls_client_ca") // a key, but no certificate
	expectNoStart(t, config+"/nowhere/ca.pem", "tls_client_ca")
	expectNoStart(t, "tls_client_ca: "+cert.CertFile, "tls_client_ca needs http_tls") // where nobody could present one
}
