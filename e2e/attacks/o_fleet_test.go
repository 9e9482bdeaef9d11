package attacks_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on the fleet API, O6.

// fleetOperation is one of the fleet API, as its own description has it.
type fleetOperation struct{ method, path, scope string }

// fleetOperations reads the operations from the server.
func fleetOperations(tb testing.TB, s *harness.Server) []fleetOperation {
	tb.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string `json:"security"`
		} `json:"paths"`
	}
	harness.Must(tb, json.Unmarshal([]byte(s.Ask(http.MethodGet, "/openapi.json", nil, "").Body), &document))
	var all []fleetOperation
	for path, methods := range document.Paths {
		for method, operation := range methods {
			op := fleetOperation{strings.ToUpper(method), path, ""}
			for _, requirement := range operation.Security {
				for _, scopes := range requirement {
					op.scope = strings.Join(scopes, " ")
				}
			}
			all = append(all, op)
		}
	}
	return all
}

func TestO6_EveryOperationOfTheFleetAPIAsksForItsScope(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	root := s.OperatorToken()
	all := strings.Fields(f.Claim(root, "scope"))
	operations := fleetOperations(t, s)
	if len(operations) < 40 || len(all) < 10 {
		t.Fatalf("there are %d operations and %d scopes", len(operations), len(all))
	}
	without := map[string]string{}
	for _, scope := range all {
		others := slices.DeleteFunc(slices.Clone(all), func(other string) bool { return other == scope })
		without[scope] = f.Alter(root, harness.Claims{"scope": strings.Join(others, " "), "scp": others})
	}
	mqttToken := s.Token(s.Service("meter", "pub:#"))
	for _, op := range operations {
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			if !strings.HasPrefix(op.path, "/v1/") || !slices.Contains(all, op.scope) {
				t.Fatalf("it asks for %q, which root does not hold", op.scope)
			}
			path := strings.NewReplacer("{id}", "meter", "{secret_id}", "secret-x").Replace(op.path)
			ask := func(authorization ...string) harness.Answer {
				return s.In(t).Ask(op.method, path, http.Header{"Authorization": authorization}, "")
			}
			for what, authorization := range map[string][]string{
				"no token": nil, "an empty one": {"Bearer "}, "a guess": {"Bearer x"}, "one of the broker": {"Bearer " + mqttToken},
				"Basic": {basic("root", "x")}, "another letter case of a bad one": {"bearer x"}, "two": {"Bearer " + root, "Bearer " + root},
				"one with a comma": {"Bearer " + root + ", Bearer " + root},
			} {
				if got := ask(authorization...); got.Status != http.StatusUnauthorized && (what != "two" || got.Status != http.StatusBadRequest) {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
			if got := ask("Bearer " + without[op.scope]); got.Status != http.StatusForbidden || !strings.Contains(got.Header.Get("WWW-Authenticate"), op.scope) {
				t.Errorf("with all scopes but %s: %d %s", op.scope, got.Status, got.Body)
			}
		})
	}
}

func TestO6_WhatIsNotDescribedIsNotServed(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	root := s.OperatorToken()
	for _, path := range []string{
		"/v1", "/v1/", "/v1/x", "/v1/devices/", "/v1//devices", "/v1/devices/../operators", "/v1/devices/%2e%2e/operators", "/V1/devices",
		"/v1/devices/meter%00", "/v1/devices;x=1", "/debug/pprof/", "/debug/vars", "/root.json", "/.git/config", "/metrics/../v1/devices",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, "TRACE", "CONNECT"} {
			if got := s.Ask(method, path, http.Header{"Authorization": {"Bearer " + root}}, ""); got.Status/100 == 2 {
				t.Errorf("%s %s: %d %.80s", method, path, got.Status, got.Body)
			}
		}
	}
	for _, op := range fleetOperations(t, s) {
		for name, value := range map[string]string{"X-HTTP-Method-Override": http.MethodDelete, "X-Original-URL": "/v1/operators", "X-Forwarded-User": "root"} {
			got := s.Ask(http.MethodGet, strings.ReplaceAll(op.path, "{id}", "x"), http.Header{name: {value}}, "")
			if got.Status != http.StatusUnauthorized && got.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s with %s and no token: %d", op.path, name, got.Status)
			}
		}
	}
}

func TestO6_AnOperatorHandsOutNoRightThatItDoesNotHold(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	all := strings.Join(strings.Fields("devices:read devices:write services:read services:write operators:read operators:write roles:read roles:write sessions:read"), " ")
	clerk := s.Provision("operators", map[string]any{"id": "clerk", "grants": []any{map[string]any{"audience": "boomgate:fleet", "scopes": strings.Fields(all)}}})
	s.Provision("operators", map[string]any{"id": "boss", "roles": []string{"fleet-admin"}})
	token := s.Token(clerk, "audience", "boomgate:fleet")
	grants := func(scopes ...string) []any {
		return []any{map[string]any{"audience": "boomgate:fleet", "scopes": scopes}}
	}
	for what, test := range map[string]struct {
		method, path string
		body         any
	}{
		"an operator with the role of all":     {http.MethodPost, "/v1/operators", map[string]any{"id": "x", "roles": []string{"fleet-admin"}}},
		"a device with the role of all":        {http.MethodPost, "/v1/devices", map[string]any{"id": "x", "roles": []string{"fleet-admin"}}},
		"an operator with a grant":             {http.MethodPost, "/v1/operators", map[string]any{"id": "x", "grants": grants("keys:write")}},
		"a role with a grant":                  {http.MethodPost, "/v1/roles", map[string]any{"id": "x", "grants": grants("sessions:write")}},
		"itself":                               {http.MethodPatch, "/v1/operators/clerk", map[string]any{"roles": []string{"fleet-admin"}}},
		"itself, by a grant":                   {http.MethodPatch, "/v1/operators/clerk", map[string]any{"grants": grants("keys:write")}},
		"the secret of one who holds more":     {http.MethodPost, "/v1/operators/boss/rotate", map[string]any{}},
		"a certificate of one who holds more":  {http.MethodPatch, "/v1/operators/boss", map[string]any{"certificates": []any{map[string]any{"x5t#S256": strings.Repeat("A", 43)}}}},
		"a built-in role":                      {http.MethodPatch, "/v1/roles/fleet-viewer", map[string]any{"grants": grants("keys:write")}},
		"a session, which it may only look at": {http.MethodDelete, "/v1/sessions/x", nil},
		"a revocation":                         {http.MethodPost, "/v1/revocations", map[string]any{"client_id": "boss"}},
		"a signing key":                        {http.MethodGet, "/v1/signing-keys", nil},
	} {
		t.Run(what, func(t *testing.T) {
			if status, answer := s.In(t).FleetAs(token, test.method, test.path, test.body); status != http.StatusForbidden && status != http.StatusConflict {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	if status, answer := s.FleetAs(token, http.MethodPost, "/v1/operators", map[string]any{"id": "y", "grants": grants("devices:read")}); status != http.StatusCreated {
		t.Errorf("what it does hold: %d %s", status, answer)
	}
	for _, kind := range []string{"devices", "services"} { // an operator is not found among them
		if status, _ := s.FleetAs(token, http.MethodPost, "/v1/"+kind+"/boss/disable", nil); status != http.StatusNotFound {
			t.Errorf("an operator among the %s: %d", kind, status)
		}
	}
}

func TestO6_NoPageOfAnotherSiteAndNoCookieSpeaksForAnOperator(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	root := s.OperatorToken()
	for _, path := range []string{"/", "/docs", "/openapi.json", "/v1/devices", "/oauth/token", "/.well-known/jwks.json", "/mqtt", "/x"} {
		got := s.Ask(http.MethodGet, path, http.Header{"Origin": {"https://evil.example"}}, "")
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if value := got.Header.Get(name); value != want {
				t.Errorf("%s: %s is %q, want %q", path, name, value, want)
			}
		}
		for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"} {
			if value := got.Header.Get(name); value != "" {
				t.Errorf("%s: %s is %q", path, name, value)
			}
		}
	}
	for name, header := range map[string]http.Header{
		"a cookie":           {"Cookie": {"token=" + root + "; access_token=" + root + "; session=" + root}},
		"a token in a query": {},
		"a preflight":        {"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"DELETE"}},
	} {
		method := http.MethodGet
		if name == "a preflight" {
			method = http.MethodOptions
		}
		if got := s.Ask(method, "/v1/devices?access_token="+root, header, ""); got.Status/100 == 2 {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	// A form of another site can be sent without asking, so it must not be read as JSON.
	for _, contentType := range []string{"text/plain", harness.Form, "multipart/form-data; boundary=x"} {
		header := http.Header{"Content-Type": {contentType}, "Authorization": {"Bearer " + root}}
		if got := s.Ask(http.MethodPost, "/v1/devices", header, `{"id":"by-form"}`); got.Status != http.StatusUnsupportedMediaType {
			t.Errorf("a body of the type %s: %d", contentType, got.Status)
		}
	}
}

func TestO6_NoSecretIsTheSameInTwoInstallations(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		s := harness.StartServer(t)
		file := filepath.Join(s.DataDir, "root.json")
		text, err := os.ReadFile(file)
		harness.Must(t, err)
		var root harness.Credential
		harness.Must(t, json.Unmarshal(text, &root))
		if len(root.ClientSecret) < 40 || seen[root.ClientSecret] {
			t.Error("the root operator's secret is short, or that of another installation")
		}
		seen[root.ClientSecret] = true
		for path, want := range map[string]os.FileMode{file: 0o600, s.DataDir: 0o700 | os.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s has the mode %v (%v), want %v", filepath.Base(path), info.Mode(), err, want)
			}
		}
		for _, guess := range []string{"", "root", "admin", "boomgate", "changeme", "bg_"} {
			if got := s.AskToken(harness.Credential{ClientID: "root", ClientSecret: guess}); got.Status != http.StatusUnauthorized {
				t.Errorf("root with %q: %d", guess, got.Status)
			}
		}
	}
}
