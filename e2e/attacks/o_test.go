package attacks_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on the token endpoint, O2, O3 and O5.

const tokenPath = "/oauth/token"

var (
	asForm = http.Header{"Content-Type": {harness.Form}}
	asJSON = http.Header{"Content-Type": {"application/json"}}
)

// basic is HTTP Basic as it is written.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// tokenForm is the form of a good request.
func tokenForm(c harness.Credential) string {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}.Encode()
}

// expectNoToken wants a token request refused with an error of RFC 6749 §5.2 that repeats nothing, and is not kept by anybody.
func expectNoToken(tb testing.TB, got harness.Answer, status int, code string) {
	tb.Helper()
	if got.Status != status || !strings.Contains(got.Body, `"error":"`+code+`"`) {
		tb.Errorf("the answer is %d %s, want %d %s", got.Status, got.Body, status, code)
	}
	if strings.Contains(got.Body, "access_token") || strings.Contains(got.Body, "bg_") {
		tb.Errorf("the answer holds a token or a secret: %s", got.Body)
	}
	if kept := got.Header.Get("Cache-Control"); kept != "no-store" {
		tb.Errorf("Cache-Control is %q, want no-store", kept)
	}
}

func TestO2_WhoeverFailsToAuthenticateLearnsNothing(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:a")
	disabled, deleted, bare := s.Service("disabled"), s.Service("deleted"), s.Provision("services", map[string]any{"id": "bare"})
	s.Disable("disabled")
	s.Change(http.MethodDelete, "/v1/services/deleted", nil)
	s.Change(http.MethodDelete, "/v1/services/bare/secrets/"+s.Secrets("services", "bare")[0], nil)
	wrong := func(c harness.Credential) harness.Credential {
		last := len(meter.ClientSecret) - 1
		c.ClientSecret = meter.ClientSecret[:last] + nextCharacter(meter.ClientSecret[last])
		return c
	}
	first := s.AskToken(wrong(meter))
	expectNoToken(t, first, http.StatusUnauthorized, "invalid_client")
	for what, c := range map[string]harness.Credential{
		"an unknown client":                    {ClientID: "nobody", ClientSecret: meter.ClientSecret},
		"an ID that nobody can have":           {ClientID: "../root", ClientSecret: meter.ClientSecret},
		"an ID in capitals":                    {ClientID: "METER", ClientSecret: meter.ClientSecret},
		"a very long ID":                       {ClientID: strings.Repeat("x", 10_000), ClientSecret: meter.ClientSecret},
		"a disabled client, the right secret":  disabled,
		"a disabled client, a wrong secret":    wrong(disabled),
		"a deleted client":                     deleted,
		"a client without secrets":             bare,
		"another client's secret":              {ClientID: "root", ClientSecret: meter.ClientSecret},
		"a part of the secret":                 {ClientID: "meter", ClientSecret: meter.ClientSecret[:20]},
		"the secret and more":                  {ClientID: "meter", ClientSecret: meter.ClientSecret + "x"},
		"the secret in capitals":               {ClientID: "meter", ClientSecret: strings.ToUpper(meter.ClientSecret)},
		"a space behind the secret":            {ClientID: "meter", ClientSecret: meter.ClientSecret + " "},
		"a very long secret":                   {ClientID: "meter", ClientSecret: strings.Repeat("x", 30_000)},
		"a NUL in the secret":                  {ClientID: "meter", ClientSecret: meter.ClientSecret + "\x00"},
		"what a store could hold for a secret": {ClientID: "meter", ClientSecret: "$argon2id$v=19$m=4194304,t=1000,p=1$AAAA$AAAA"},
	} {
		t.Run(what, func(t *testing.T) {
			got := s.In(t).AskToken(c)
			if got.Status != first.Status || got.Body != first.Body {
				t.Errorf("the answer is %d %s, want that to a wrong secret, %d %s", got.Status, got.Body, first.Status, first.Body)
			}
			for name := range got.Header {
				if varies := name == "Date" || name == "X-Request-Id"; !varies && got.Header.Get(name) != first.Header.Get(name) {
					t.Errorf("%s is %q, to a wrong secret %q", name, got.Header.Get(name), first.Header.Get(name))
				}
			}
		})
	}
}

func TestO2_ARequestSaysWhoItIsInOneWay(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:a")
	form, id, secret := tokenForm(meter), meter.ClientID, meter.ClientSecret
	const grant = "grant_type=client_credentials"
	with := func(authorization ...string) http.Header {
		return http.Header{"Content-Type": {harness.Form}, "Authorization": authorization}
	}
	for what, test := range map[string]struct {
		method, path string
		header       http.Header
		body         string
		status       int
		code         string
	}{
		"GET":                          {http.MethodGet, tokenPath + "?" + form, nil, "", http.StatusMethodNotAllowed, "invalid_request"},
		"PUT":                          {http.MethodPut, tokenPath, asForm, form, http.StatusMethodNotAllowed, "invalid_request"},
		"the secret in the query":      {http.MethodPost, tokenPath + "?client_secret=" + secret, asForm, grant + "&client_id=meter", http.StatusBadRequest, "invalid_request"},
		"all in the query":             {http.MethodPost, tokenPath + "?" + form, asForm, "", http.StatusBadRequest, "invalid_request"},
		"a scope in the query":         {http.MethodPost, tokenPath + "?scope=pub:a", asForm, form, http.StatusBadRequest, "invalid_request"},
		"a torn query":                 {http.MethodPost, tokenPath + "?%zz", asForm, form, http.StatusBadRequest, "invalid_request"},
		"Basic and the body":           {http.MethodPost, tokenPath, with(basic(id, secret)), form, http.StatusBadRequest, "invalid_request"},
		"Basic and another client_id":  {http.MethodPost, tokenPath, with(basic(id, secret)), grant + "&client_id=root", http.StatusBadRequest, "invalid_request"},
		"Basic twice":                  {http.MethodPost, tokenPath, with(basic(id, secret), basic("root", secret)), grant, http.StatusBadRequest, "invalid_request"},
		"Basic and an assertion":       {http.MethodPost, tokenPath, with(basic(id, secret)), grant + "&client_assertion=x", http.StatusBadRequest, "invalid_request"},
		"the body and an assertion":    {http.MethodPost, tokenPath, asForm, form + "&client_assertion_type=x", http.StatusBadRequest, "invalid_request"},
		"an assertion alone":           {http.MethodPost, tokenPath, asForm, grant + "&client_assertion=x&client_id=meter", http.StatusUnauthorized, "invalid_client"},
		"a bearer token":               {http.MethodPost, tokenPath, with("Bearer " + secret), grant, http.StatusUnauthorized, "invalid_client"},
		"Basic that is none":           {http.MethodPost, tokenPath, with("Basic %%%"), grant, http.StatusUnauthorized, "invalid_client"},
		"Basic, wrongly form-encoded":  {http.MethodPost, tokenPath, with(basic(id, secret+"%zz")), grant, http.StatusUnauthorized, "invalid_client"},
		"Basic without a colon":        {http.MethodPost, tokenPath, with("Basic " + base64.StdEncoding.EncodeToString([]byte(id))), grant, http.StatusUnauthorized, "invalid_client"},
		"the client ID twice":          {http.MethodPost, tokenPath, asForm, form + "&client_id=root", http.StatusBadRequest, "invalid_request"},
		"the scope twice":              {http.MethodPost, tokenPath, asForm, form + "&scope=pub:a&scope=pub:a", http.StatusBadRequest, "invalid_request"},
		"the grant type twice":         {http.MethodPost, tokenPath, asForm, form + "&" + grant, http.StatusBadRequest, "invalid_request"},
		"a foreign parameter twice":    {http.MethodPost, tokenPath, asForm, form + "&x=1&x=2", http.StatusBadRequest, "invalid_request"},
		"no grant type":                {http.MethodPost, tokenPath, asForm, strings.ReplaceAll(form, grant, "x=y"), http.StatusBadRequest, "invalid_request"},
		"a password's grant type":      {http.MethodPost, tokenPath, asForm, strings.ReplaceAll(form, grant, "grant_type=password"), http.StatusBadRequest, "unsupported_grant_type"},
		"no content type":              {http.MethodPost, tokenPath, nil, form, http.StatusBadRequest, "invalid_request"},
		"two content types":            {http.MethodPost, tokenPath, http.Header{"Content-Type": {harness.Form, "application/json"}}, form, http.StatusBadRequest, "invalid_request"},
		"a form with files":            {http.MethodPost, tokenPath, http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, form, http.StatusBadRequest, "invalid_request"},
		"a compressed body":            {http.MethodPost, tokenPath, http.Header{"Content-Type": {harness.Form}, "Content-Encoding": {"gzip"}}, form, http.StatusBadRequest, "invalid_request"},
		"semicolons between the parts": {http.MethodPost, tokenPath, asForm, strings.ReplaceAll(form, "&", ";"), http.StatusBadRequest, "invalid_request"},
	} {
		t.Run(what, func(t *testing.T) {
			expectNoToken(t, s.In(t).Ask(test.method, test.path, test.header, test.body), test.status, test.code)
		})
	}
	encoded := strings.ReplaceAll(url.QueryEscape(id), "e", "%65") // RFC 6749 §2.3.1: both parts are form-encoded
	if got := s.Ask(http.MethodPost, tokenPath, with(basic(encoded, secret)), grant); got.Status != http.StatusOK {
		t.Errorf("a form-encoded client ID in Basic: %d %s", got.Status, got.Body)
	}
}

func TestO3_ABodyThatCouldBeReadInTwoWaysIsNotRead(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:a", "pub:b")
	good := fmt.Sprintf(`"grant_type":"client_credentials","client_id":%q,"client_secret":%q`, meter.ClientID, meter.ClientSecret)
	without := func(name string) string { return strings.Replace(good, `"`+name+`"`, `"x"`, 1) }
	if got := s.Ask(http.MethodPost, tokenPath, asJSON, "{"+good+"}"); got.Status != http.StatusOK {
		t.Fatalf("a good request in JSON: %d %s", got.Status, got.Body)
	}
	for what, test := range map[string]struct {
		body, code string
		status     int
	}{
		"a secret that is a number":          {"{" + without("client_secret") + `,"client_secret":1}`, "invalid_request", 400},
		"a secret that is null":              {"{" + without("client_secret") + `,"client_secret":null}`, "invalid_request", 400},
		"a secret that is a list":            {"{" + without("client_secret") + `,"client_secret":["x"]}`, "invalid_request", 400},
		"a client ID that is an object":      {"{" + without("client_id") + `,"client_id":{"$ne":""}}`, "invalid_request", 400},
		"a client ID that is true":           {"{" + without("client_id") + `,"client_id":true}`, "invalid_request", 400},
		"a grant type that is a list":        {"{" + without("grant_type") + `,"grant_type":["client_credentials"]}`, "invalid_request", 400},
		"no secret":                          {"{" + without("client_secret") + "}", "invalid_client", 401},
		"the secret in another letter case":  {"{" + strings.Replace(good, "client_secret", "Client_Secret", 1) + "}", "invalid_client", 401},
		"the secret twice":                   {"{" + good + `,"client_secret":"x"}`, "invalid_request", 400},
		"the secret twice, escaped":          {"{" + good + `,"client_secr\u0065t":"x"}`, "invalid_request", 400},
		"the client ID twice":                {"{" + good + `,"client_id":"root"}`, "invalid_request", 400},
		"a foreign member twice":             {"{" + good + `,"x":1,"x":2}`, "invalid_request", 400},
		"a scope that is a number":           {"{" + good + `,"scope":1}`, "invalid_request", 400},
		"a scope that is null":               {"{" + good + `,"scope":null}`, "invalid_request", 400},
		"a scope that is an object":          {"{" + good + `,"scope":{"pub:a":true}}`, "invalid_request", 400},
		"a scope among scopes that is null":  {"{" + good + `,"scope":["pub:a",null]}`, "invalid_request", 400},
		"a scope of scopes":                  {"{" + good + `,"scope":["pub:a",["pub:b"]]}`, "invalid_request", 400},
		"no scope at all":                    {"{" + good + `,"scope":[]}`, "invalid_scope", 400},
		"an empty scope among scopes":        {"{" + good + `,"scope":["pub:a",""]}`, "invalid_scope", 400},
		"two scopes in one of the list":      {"{" + good + `,"scope":["pub:a pub:b"]}`, "invalid_scope", 400},
		"an audience that is a number":       {"{" + good + `,"audience":1}`, "invalid_request", 400},
		"no audience at all":                 {"{" + good + `,"audience":[]}`, "invalid_target", 400},
		"an array":                           {"[{" + good + "}]", "invalid_request", 400},
		"a string":                           {`"` + meter.ClientSecret + `"`, "invalid_request", 400},
		"null":                               {"null", "invalid_request", 400},
		"nothing":                            {"", "invalid_request", 400},
		"two objects":                        {"{" + good + "}{" + good + "}", "invalid_request", 400},
		"something behind the object":        {"{" + good + "}x", "invalid_request", 400},
		"an object that is not closed":       {"{" + good, "invalid_request", 400},
		"a comma too many":                   {"{" + good + ",}", "invalid_request", 400},
		"a comment":                          {"{/* */" + good + "}", "invalid_request", 400},
		"not UTF-8":                          {"{" + good + ",\"x\":\"\xff\"}", "invalid_request", 400},
		"a byte order mark":                  {"\ufeff{" + good + "}", "invalid_request", 400},
		"UTF-16":                             {"\xff\xfe{\x00}\x00", "invalid_request", 400},
		"very deep arrays":                   {"{" + good + `,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", "invalid_request", 400},
		"a megabyte":                         {"{" + good + `,"x":"` + strings.Repeat("x", 1<<20) + `"}`, "invalid_request", 413},
		"a megabyte of brackets":             {strings.Repeat("[", 1<<20), "invalid_request", 413},
		"a form under the name of JSON":      {tokenForm(meter), "invalid_request", 400},
		"more scopes than a token can carry": {"{" + good + `,"scope":["pub:a"` + strings.Repeat(`,"pub:a"`, 3000) + "]}", "invalid_scope", 400},
	} {
		t.Run(what, func(t *testing.T) {
			expectNoToken(t, s.In(t).Ask(http.MethodPost, tokenPath, asJSON, test.body), test.status, test.code)
		})
	}
	if got := s.Ask(http.MethodPost, tokenPath, asForm, "{"+good+"}"); got.Status == http.StatusOK {
		t.Errorf("JSON under the name of a form: %d", got.Status)
	}
}

func TestO5_NobodyGetsAScopeThatIsNotHeld(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Provision("services", map[string]any{"id": "meter", "labels": map[string]string{"site": "north"}, "grants": []any{
		map[string]any{"audience": "boomgate:mqtt", "scopes": []string{"pub:own/{client_id}/+", "sub:{labels.site}/+/state?qos=1", "pub:once?retain=false"}},
		map[string]any{"audience": "https://calendar.example", "scopes": []string{"events:read"}},
	}})
	for _, scope := range []string{"pub:own/meter/+", "pub:own/meter/x", "pub:own/meter/x?qos=0", "sub:north/b1/state?qos=0", "pub:once?retain=false&qos=1"} {
		if got := s.AskToken(meter, "scope", scope); got.Status != http.StatusOK {
			t.Errorf("%s, which it holds: %d %s", scope, got.Status, got.Body)
		}
	}
	for what, scope := range map[string]string{
		"everything":                   "pub:#",
		"a wider wildcard":             "pub:own/meter/#",
		"a level more":                 "pub:own/meter/x/y",
		"a level less":                 "pub:own/meter",
		"another client's":             "pub:own/other/x",
		"any client's":                 "pub:own/+/x",
		"a placeholder":                "pub:own/{client_id}/x",
		"a level of dots":              "pub:own/meter/../other/x",
		"the other action":             "sub:own/meter/x",
		"another site":                 "sub:south/b1/state?qos=1",
		"a higher QoS":                 "sub:north/b1/state?qos=2",
		"no limit of the QoS":          "sub:north/b1/state",
		"retained where it may not":    "pub:once",
		"another letter case":          "PUB:own/meter/x",
		"a level, percent-encoded":     "pub:own/meter%2Fx",
		"a wildcard, percent-encoded":  "pub:own/meter/%23",
		"an action of both":            "pubsub:own/meter/x",
		"a scope of another audience":  "events:read",
		"a fleet scope":                "services:write",
		"one that is held and another": "pub:own/meter/x pub:#",
		"a shared group":               "sub:$share/g/north/b1/state?qos=1",
		"a topic of the server":        "sub:$SYS/#",
		"AIF that says more":           harness.Encode(`[["#",["pub"]]]`),
		"AIF in plain text":            `[["own/meter/#",["pub"]]]`,
	} {
		t.Run(what, func(t *testing.T) {
			expectNoToken(t, s.In(t).AskToken(meter, "scope", scope), http.StatusBadRequest, "invalid_scope")
		})
	}
	for _, audience := range []string{"boomgate:fleet", "https://calendar.example/", "https://other.example", "BOOMGATE:MQTT", "boomgate:*"} {
		expectNoToken(t, s.AskToken(meter, "audience", audience), http.StatusBadRequest, "invalid_target")
	}
	// A scope of one audience does not count at the other.
	expectNoToken(t, s.AskToken(meter, "audience", "https://calendar.example", "scope", "pub:own/meter/x"), http.StatusBadRequest, "invalid_scope")
	both := fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q,"audience":["boomgate:mqtt","https://calendar.example"]}`,
		meter.ClientID, meter.ClientSecret)
	expectNoToken(t, s.Ask(http.MethodPost, tokenPath, asJSON, both), http.StatusBadRequest, "invalid_target")
}
