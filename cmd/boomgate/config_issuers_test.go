package main

import (
	"strings"
	"testing"
)

const auth0Issuer = `
issuers:
  - name: auth0
    issuer: https://tenant.eu.auth0.com/
    audience: https://gate.example
    jwks_url: https://tenant.eu.auth0.com/.well-known/jwks.json
    algorithms: [RS256]
    types: [JWT]
    client_id_claim: azp
    mqtt_client_ids: ["{client_id}", "{client_id}:*"]
    scopes:
      telemetry:write: ["pub:parking/v1/{claims.site}/{client_id}/#"]
`

func TestOtherIssuersAreReadFromTheFile(t *testing.T) {
	t.Parallel()

	cfg, err := parseConfig(t, auth0Issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Issuers) != 1 {
		t.Fatalf("got %+v", cfg.Issuers)
	}
	got := cfg.Issuers[0]
	if got.Name != "auth0" || got.ClientIDClaim != "azp" || len(got.MQTTClientIDs) != 2 || got.Scopes["telemetry:write"][0] != "pub:parking/v1/{claims.site}/{client_id}/#" {
		t.Errorf("got %+v", got)
	}
}

func TestJ5_EveryFaultOfTheIssuersIsNamedAtOnce(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		yaml    string
		environ []string
		want    []string
	}{
		"nothing said":          {"issuers:\n  - {}\n", nil, []string{"issuers[0]: name", "issuer is missing", "audience is missing", "jwks_url and jwks_file"}},
		"a misspelt key":        {"issuers:\n  - issuerr: a\n", nil, []string{`unknown key "issuerr" in issuers[0]`, "issuers[0]: issuer is missing"}},
		"no list":               {"issuers: auth0\n", nil, []string{"issuers is no list"}},
		"members that are none": {"issuers: [auth0]\n", nil, []string{"issuers[0] has no members"}},
		"twice the same": {
			auth0Issuer + strings.Replace(auth0Issuer, "\nissuers:\n", "", 1), nil,
			[]string{`issuers[1]: name "auth0" is taken`, `issuers[1]: issuer "https://tenant.eu.auth0.com/" is there twice`},
		},
		"values that are none": {
			"issuers:\n  - {name: A/b, issuer: x, audience: y, jwks_url: 'http://keys.example', algorithms: [HS256], scopes: {a: ['telemetry'], b: []}}\n", nil,
			[]string{`name is "A/b"`, "use https", `"HS256"`, `"telemetry" is no topic scope`, `scope "b" stands for nothing`},
		},
		"a file that is not there": {"issuers:\n  - {name: a, issuer: x, audience: y, jwks_file: /nowhere.json}\n", nil, []string{"/nowhere.json"}},
		"a variable":               {"", []string{"BOOMGATE_ISSUERS=auth0"}, []string{"BOOMGATE_ISSUERS", "in the file alone"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseConfig(t, test.yaml, test.environ)
			if err == nil {
				t.Fatal("the configuration was accepted")
			}
			for _, text := range test.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not name %q:\n%v", text, err)
				}
			}
		})
	}
}
