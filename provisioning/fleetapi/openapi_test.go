package fleetapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// specOperation is an operation of the OpenAPI document.
type specOperation struct {
	method, path string

	OperationID, Summary, Description string
	Tags                              []string
	Security                          []map[string][]string
	Parameters                        []struct{ Name, In, Description string }
	RequestBody                       *struct {
		Content map[string]struct{ Example any }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct {
			Example  any
			Examples map[string]any
		}
	}
}

// operations returns every operation of the document.
func (f *fixture) operations() []specOperation {
	f.tb.Helper()
	document := struct {
		Paths map[string]map[string]specOperation
	}{}
	must(f.tb, json.Unmarshal([]byte(f.do(http.MethodGet, "/openapi.json", nil, "Authorization", "").is(http.StatusOK).text), &document))
	var all []specOperation
	for path, methods := range document.Paths {
		for method, op := range methods {
			op.method, op.path = strings.ToUpper(method), path
			all = append(all, op)
		}
	}
	if len(all) < 3*9+5+2+3+2+2+2 {
		f.tb.Fatalf("the document has %d operations only", len(all))
	}
	return all
}

// filled is the path of the operation with an ID in it.
func (op specOperation) filled(id string) string {
	return strings.NewReplacer("{id}", id, "{secret_id}", id).Replace(op.path)
}

// wantedScope is what an operation must ask for: to read or to write what its path
// names, or what that belongs to.
func (op specOperation) wantedScope() string {
	resource := strings.Split(op.path, "/")[2]
	if owner, ok := map[string]string{"revocations": "sessions", "explain": "sessions", "signing-keys": "keys"}[resource]; ok {
		resource = owner
	}
	if op.method == http.MethodGet || slices.Contains([]string{"explain", "preview-role-change"}, op.OperationID) {
		return resource + ":read"
	}
	return resource + ":write"
}

func TestO6_EveryOperationAsksForATokenWithItsScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, op := range f.operations() {
		path, scope := op.filled("some-id"), op.wantedScope()
		if len(op.Security) != 1 || !slices.Equal(op.Security[0]["boomgate"], []string{scope}) || !slices.Contains(provisioning.FleetScopes(), scope) {
			t.Errorf("%s %s documents the security %v, want the scope %s", op.method, op.path, op.Security, scope)
		}
		body := orNil(map[bool]string{true: `{"no such member":1}`}[op.RequestBody != nil])

		f.do(op.method, path, body, "Authorization", "").isProblem(http.StatusUnauthorized, "unauthenticated")
		f.do(op.method, path, body, "Authorization", "Bearer forged").isProblem(http.StatusUnauthorized, "unauthenticated")
		var others []string
		for _, other := range provisioning.FleetScopes() {
			if other != scope {
				others = append(others, other)
			}
		}
		a := f.do(op.method, path, body, f.as("nosy", append(others, scope+"x", strings.ToUpper(scope), "", "*")...)...)
		a.isProblem(http.StatusForbidden, "insufficient-scope")
		if got, want := a.header.Get("WWW-Authenticate"), `Bearer realm="boomgate:fleet", error="insufficient_scope", scope="`+scope+`"`; got != want {
			t.Errorf("%s %s: WWW-Authenticate %q, want %q", op.method, op.path, got, want)
		}
		if a := f.do(op.method, path, body, f.as("welcome", scope)...); a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
			t.Errorf("%s %s: status %d with the scope: %s", op.method, op.path, a.status, a.text)
		}
	}
}

func TestEveryRouteIsInTheDocument(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	documented := map[string]bool{}
	for _, op := range f.operations() {
		documented[op.method+" "+op.path] = true
	}
	segments := []string{"", "/last", "/{id}", "/{id}/disable", "/{id}/enable", "/{id}/rotate", "/{id}/preview", "/{id}/secrets", "/{id}/secrets/{secret_id}"}
	for _, resource := range []string{
		"devices", "services", "operators", "roles", "sessions", "revocations", "signing-keys", "explain", "keys", "audit",
	} {
		for _, segment := range segments {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
				path := "/v1/" + resource + segment
				if segment == "/last" && resource != "explain" {
					continue // an ID like any other
				}
				a := f.do(method, specOperation{path: path}.filled("x"), nil, "Authorization", "")
				if guarded := a.status == http.StatusUnauthorized; guarded != documented[method+" "+path] {
					t.Errorf("%s %s answers %d; in the document: %v", method, path, a.status, !guarded)
				}
			}
		}
	}
}

func TestTheDocumentIsOpenAPI31AndGoodToRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do(http.MethodGet, "/openapi.json", nil, "Authorization", "").is(http.StatusOK)
	var document struct {
		OpenAPI    string
		Info       struct{ Title, Version, Description string }
		Tags       []struct{ Name, Description string }
		Components struct {
			Schemas         map[string]json.RawMessage
			Examples        map[string]json.RawMessage
			SecuritySchemes map[string]struct {
				Type  string
				Flows struct {
					ClientCredentials struct {
						TokenURL string
						Scopes   map[string]string
					}
				}
			}
		}
	}
	must(t, json.Unmarshal([]byte(a.text), &document))
	if !strings.HasPrefix(document.OpenAPI, "3.1.") || document.Info.Title == "" || document.Info.Version == "" || document.Info.Description == "" {
		t.Errorf("openapi %q, info %+v", document.OpenAPI, document.Info)
	}
	flow := document.Components.SecuritySchemes["boomgate"].Flows.ClientCredentials
	if flow.TokenURL != tokenEndpoint || len(flow.Scopes) != len(provisioning.FleetScopes()) {
		t.Errorf("the security scheme is %+v", flow)
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"#/components/(\w+)/([\w-]+)"`).FindAllStringSubmatch(a.text, -1) {
		held := map[string]map[string]json.RawMessage{"schemas": document.Components.Schemas, "examples": document.Components.Examples}
		if held[ref[1]][ref[2]] == nil {
			t.Errorf("the document refers to %s of the %s, which it does not hold", ref[2], ref[1])
		}
	}
	if strings.Contains(a.text, "ErrorModel") || document.Components.Schemas["Problem"] == nil {
		t.Error("errors are not described as Problem")
	}
	var fromYAML any
	must(t, yaml.Unmarshal([]byte(f.do(http.MethodGet, "/openapi.yaml", nil, "Authorization", "").is(http.StatusOK).text), &fromYAML))

	ids := map[string]bool{}
	for _, op := range f.operations() {
		what := op.method + " " + op.path
		if op.OperationID == "" || ids[op.OperationID] {
			t.Errorf("%s: the operation ID %q is empty or taken", what, op.OperationID)
		}
		ids[op.OperationID] = true
		if op.Summary == "" || len(op.Description) < 20 || len(op.Tags) != 1 {
			t.Errorf("%s: summary %q, description %q, tags %q", what, op.Summary, op.Description, op.Tags)
		}
		for _, p := range op.Parameters {
			if p.Description == "" {
				t.Errorf("%s: the parameter %s has no description", what, p.Name)
			}
		}
		if op.RequestBody != nil {
			for mediaType, content := range op.RequestBody.Content {
				if content.Example == nil {
					t.Errorf("%s: the body %s has no example", what, mediaType)
				}
			}
		}
		succeeds := false
		for status, response := range op.Responses {
			for mediaType, content := range response.Content {
				if status < "300" && content.Example != nil {
					succeeds = true
				}
				if status >= "400" && (mediaType != "application/problem+json" || len(content.Examples) == 0) {
					t.Errorf("%s: the answer %s is %s with %d examples", what, status, mediaType, len(content.Examples))
				}
			}
		}
		if !succeeds {
			t.Errorf("%s: no answer has an example", what)
		}
		for _, status := range []string{"401", "403", "422", "500"} {
			if _, ok := op.Responses[status]; !ok {
				t.Errorf("%s: the answer %s is not described", what, status)
			}
		}
	}
}

func TestTheExamplesOfTheDocumentWorkAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ops := f.operations()
	order := []string{"create", "list", "get", "explain", "preview", "update", "disable", "enable", "rotate", "retire", "revoke", "delete"}
	rank := func(op specOperation) int {
		verb, _, _ := strings.Cut(op.OperationID, "-")
		return slices.Index(order, verb)
	}
	slices.SortFunc(ops, func(x, y specOperation) int { return rank(x) - rank(y) })
	f.keys.keys = []fleetapi.SigningKey{{ID: "signing-key", Alg: "EdDSA", Current: true}}
	f.gate.answer = fleetapi.Explanation{Rule: "granted", Grant: "pub:a", ClientID: "d", Checks: []fleetapi.Check{{}}}
	created, secrets := map[string]string{"signing-keys": "signing-key"}, map[string]string{} // IDs by resource
	for _, op := range ops {
		resource := strings.Split(op.path, "/")[2]
		if resource == "sessions" {
			continue
		}
		var body any
		if op.RequestBody != nil {
			body = op.RequestBody.Content["application/json"].Example
		}
		path := strings.NewReplacer("{id}", created[resource], "{secret_id}", secrets[resource]).Replace(op.path)
		if query := map[string]string{"preview-role": "?delete=true", "list-refusals": "?client_id=x"}[op.OperationID]; query != "" {
			path += query
		}
		a := f.do(op.method, path, body)
		documented, ok := op.Responses[strconv.Itoa(a.status)]
		if !ok || a.status >= 300 {
			t.Fatalf("%s: status %d: %s", op.OperationID, a.status, a.text)
		}
		var got any
		must(t, json.Unmarshal([]byte(a.text), &got))
		sameMembers(t, op.OperationID, documented.Content["application/json"].Example, got)
		if id, ok := got.(object)["id"].(string); ok && rank(op) == 0 {
			created[resource] = id
		}
		if id, ok := got.(object)["client_id"].(string); ok && op.OperationID != "explain" {
			created[resource] = id
			secrets[resource] = decode[fleetapi.Credential](a).Client.Secrets[0].ID
		}
	}
}

// sameMembers checks that an example has no member that the answer lacks; labels
// are named freely.
func sameMembers(tb testing.TB, where string, example, got any) {
	tb.Helper()
	if members, ok := example.(object); ok {
		answered, _ := got.(object)
		for name, value := range members {
			if _, ok := answered[name]; !ok && name != "next_cursor" {
				tb.Errorf("%s: the example has the member %s, the answer has not", where, name)
			}
			if name != "labels" {
				sameMembers(tb, where+"."+name, value, answered[name])
			}
		}
	}
}

func TestThePageForPeopleIsWholeInItself(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do(http.MethodGet, "/docs", nil, "Authorization", "").is(http.StatusOK)
	if a.header.Get("Content-Type") != "text/html; charset=utf-8" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", a.header)
	}
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(a.text)
	hash := sha256.Sum256([]byte(style[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := a.header.Get("Content-Security-Policy"); got != want {
		t.Errorf("Content-Security-Policy %q, want %q", got, want)
	}
	if strings.Contains(a.text, "<script") || strings.Contains(a.text, "style=") || strings.Contains(a.text, "<link") || strings.Contains(a.text, "<img") {
		t.Error("the page runs or loads something")
	}
	anchors := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(a.text, -1) {
		if anchors[id[1]] {
			t.Errorf("the anchor %s is there twice", id[1])
		}
		anchors[id[1]] = true
	}
	for _, link := range regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllStringSubmatch(a.text, -1) {
		target, err := url.Parse(link[1])
		must(t, err)
		if target.Host != "" || target.Path == "" && !anchors[target.Fragment] {
			t.Errorf("the link %s leads out or nowhere", link[1])
		}
	}
	for _, op := range f.operations() {
		if !anchors[op.OperationID] || !strings.Contains(a.text, op.Summary) || !strings.Contains(a.text, op.Security[0]["boomgate"][0]) {
			t.Errorf("the page lacks %s or its scope", op.OperationID)
		}
	}
	problem := decode[fleetapi.Problem](f.do(http.MethodGet, "/v1/x", nil))
	if !anchors[strings.TrimPrefix(problem.Type, "/docs#")] {
		t.Errorf("the type %s of a problem leads nowhere", problem.Type)
	}
}
