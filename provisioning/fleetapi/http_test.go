package fleetapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestWhatNoOperationMatchesIsAProblemToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, path := range []string{"/v1/", "/v1/nothing", "/v1/devices/", "/v1/devices/x/y", "/v1/devices/x/disable/", "/v1/devices/a%2Fb/c", "/v1/Devices"} {
		f.do(http.MethodGet, path, nil).isProblem(http.StatusNotFound, "not-found")
	}
	for _, id := range []string{"x", "A", "a%2Fb", "..%2Froot", strings.Repeat("a", 2000), "%00", "%FF"} {
		f.do(http.MethodGet, "/v1/devices/"+id, nil).isProblem(http.StatusNotFound, "not-found")
	}
	cases := []struct{ method, path, allow string }{
		{http.MethodPut, "/v1/devices", "GET, POST"},
		{http.MethodDelete, "/v1/roles", "GET, POST"},
		{http.MethodPost, "/v1/devices/x", "GET, PATCH, DELETE"},
		{http.MethodGet, "/v1/devices/x/rotate", "POST"},
		{http.MethodOptions, "/v1/sessions", "GET"},
		{http.MethodTrace, "/v1/sessions/x", "GET, DELETE"},
		{http.MethodGet, "/v1/devices/x/secrets/y", "DELETE"},
		{http.MethodPatch, "/v1/roles/x/preview", "GET, POST"},
		{http.MethodDelete, "/v1/explain/last", "GET"},
	}
	for _, c := range cases {
		a := f.do(c.method, c.path, nil)
		a.isProblem(http.StatusMethodNotAllowed, "method-not-allowed")
		if a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, a.header.Get("Allow"), c.allow)
		}
	}
	if a := f.do(http.MethodHead, "/v1/operators/root", nil).is(http.StatusOK); a.text != "" || a.header.Get("ETag") != `"1"` {
		t.Errorf("HEAD answered %q with ETag %q", a.text, a.header.Get("ETag"))
	}
}

func TestO3_ABodyIsReadStrictlyOrNotAtAll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := []struct {
		name, body string
		status     int
		problem    string
	}{
		{"nothing", "", 400, "bad-request"},
		{"no JSON", "{", 400, "bad-request"},
		{"a form", "name=x", 400, "bad-request"},
		{"more after the end", `{} {}`, 400, "bad-request"},
		{"a member twice", `{"id":"a","id":"b"}`, 400, "bad-request"},
		{"a label twice", `{"labels":{"a":"1","a":"2"}}`, 400, "bad-request"},
		{"a member twice, escaped", `{"id":"a","\u0069d":"b"}`, 400, "bad-request"},
		{"a member in a grant twice", `{"grants":[{"audience":"a","audience":"b","scopes":["x"]}]}`, 400, "bad-request"},
		{"a member in upper case", `{"Roles":["parking-sensor"]}`, 400, "bad-request"},
		{"a member in both cases", `{"roles":[],"ROLES":["fleet-admin"]}`, 400, "bad-request"},
		{"a member in a foreign letter", `{"role` + "\u017f" + `":["fleet-admin"]}`, 400, "bad-request"},
		{"no UTF-8", "{\"name\":\"\xff\"}", 400, "bad-request"},
		{"deep nesting", strings.Repeat(`{"labels":`, 5000) + `{}` + strings.Repeat(`}`, 5000), 400, "bad-request"},
		{"deep arrays", `{"roles":` + strings.Repeat(`[`, 9) + strings.Repeat(`]`, 9) + `}`, 400, "bad-request"},
		{"null", `null`, 422, "invalid"},
		{"an array", `[]`, 422, "invalid"},
		{"a text", `"x"`, 422, "invalid"},
		{"arrays for an object", `{"labels":[["a"]]}`, 422, "invalid"},
		{"a huge number", `{"token_ttl":1e999}`, 400, "bad-request"},
		{"a fraction", `{"token_ttl":60.5}`, 422, "invalid"},
		{"a megabyte", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too-large"},
		{"labels in any case", `{"labels":{"Site":"a","site":"b"}}`, 201, ""},
		{"half a surrogate pair", `{"name":"\ud800"}`, 201, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := *f
			f.tb = t
			a := f.do(http.MethodPost, "/v1/devices", c.body)
			if c.problem == "" {
				a.is(c.status)
			} else if p := a.isProblem(c.status, c.problem); len(a.text) > 2000 {
				t.Errorf("the problem has %d bytes: %.200s", len(a.text), p.Detail)
			}
		})
	}
}

func TestABodyOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{"id": "d"})
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/cbor", "application/xml+json", "x", "a/b; c=;", "application/merge-patch+json"} {
		a := f.do(http.MethodPost, "/v1/devices", `{}`, "Content-Type", contentType)
		a.isProblem(http.StatusUnsupportedMediaType, "unsupported-media-type")
		if a.header.Get("Accept") != "application/json" {
			t.Errorf("%s: Accept is %q", contentType, a.header.Get("Accept"))
		}
	}
	a := f.do(http.MethodPatch, "/v1/devices/d", `[]`, "Content-Type", "application/json-patch+json")
	a.isProblem(http.StatusUnsupportedMediaType, "unsupported-media-type")
	if got := a.header.Get("Accept-Patch"); got != "application/json, application/merge-patch+json" {
		t.Errorf("Accept-Patch is %q", got)
	}
}

func TestATokenIsTakenFromTheHeaderOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := []struct{ name, authorization, challenge string }{
		{"none", "", `Bearer realm="boomgate:fleet"`},
		{"another scheme", "Basic cm9vdDpzZWNyZXQ=", `Bearer realm="boomgate:fleet"`},
		{"no token", "Bearer ", `Bearer realm="boomgate:fleet"`},
		{"a wrong one", "Bearer nonsense", `Bearer realm="boomgate:fleet", error="invalid_token"`},
		{"an endless one", "Bearer " + strings.Repeat("a", 9000), `Bearer realm="boomgate:fleet", error="invalid_token"`},
	}
	for _, c := range cases {
		a := f.do(http.MethodGet, "/v1/devices?access_token="+f.root, nil, "Authorization", c.authorization)
		if p := a.isProblem(http.StatusUnauthorized, "unauthenticated"); !strings.Contains(p.Detail, tokenEndpoint) {
			t.Errorf("%s: the problem does not say where to get a token: %s", c.name, p.Detail)
		}
		if got := a.header.Get("WWW-Authenticate"); got != c.challenge {
			t.Errorf("%s: WWW-Authenticate %q, want %q", c.name, got, c.challenge)
		}
	}
	f.do(http.MethodGet, "/v1/devices", nil, "Authorization", "bearer  "+f.root).is(http.StatusOK)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/v1/devices", nil)
	must(t, err)
	request.Header["Authorization"] = []string{"Bearer " + f.root, "Bearer " + f.root}
	response, err := http.DefaultTransport.RoundTrip(request)
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(response.Header.Get("WWW-Authenticate"), `error="invalid_request"`) {
		t.Errorf("two tokens: status %d, %q", response.StatusCode, response.Header.Get("WWW-Authenticate"))
	}
}

func TestAFaultOfTheServerIsLoggedAndNotTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.tokens.breakDown(errors.New("the disk of the keys is on fire"))
	a := f.do(http.MethodGet, "/v1/devices", nil)
	a.isProblem(http.StatusInternalServerError, "internal")
	if strings.Contains(a.text, "fire") || strings.Contains(f.log.String(), f.root) || len(f.log.lines(t, "an operation failed")) != 1 {
		t.Errorf("answer %s, log %s", a.text, f.log)
	}
	f.tokens.breakDown(provisioning.ErrClosed)
	f.do(http.MethodGet, "/v1/devices", nil).isProblem(http.StatusServiceUnavailable, "unavailable")
	f.tokens.breakDown(context.DeadlineExceeded)
	f.do(http.MethodGet, "/v1/devices", nil).isProblem(http.StatusInternalServerError, "internal")
}

func TestAPanicBreaksTheConnectionAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sessions.panics = true
	if a, err := f.try(http.MethodDelete, "/v1/sessions/x", nil); err == nil {
		t.Errorf("a panic is answered with %d: %s", a.status, a.text)
	}
	if lines := f.log.lines(t, "a request ended in a panic"); len(lines) != 1 || !strings.Contains(lines[0]["stack"].(string), "findSession") {
		t.Errorf("the log says %s", f.log)
	}
	if lines := f.log.lines(t, "fleet API write"); len(lines) != 1 || lines[0]["outcome"] != "aborted" {
		t.Errorf("the log says %v", lines)
	}
}

func TestO1_WhatARequestSmugglesInIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.create("devices", object{"id": "d"}).ClientSecret
	smuggled := []string{secret, f.root, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"}
	for _, s := range smuggled {
		part := s[len(s)-30:]
		answers := []answer{
			f.do(http.MethodPost, "/v1/devices", object{s: "x"}),
			f.do(http.MethodPost, "/v1/devices", object{"id": s}),
			f.do(http.MethodPost, "/v1/devices", object{"token_ttl": s}),
			f.do(http.MethodPost, "/v1/devices", object{"labels": object{s: 5}}),
			f.do(http.MethodPost, "/v1/devices", object{"labels": object{"!" + s: "x"}}),
			f.do(http.MethodPost, "/v1/devices", object{"roles": []string{s}}),
			f.do(http.MethodPost, "/v1/devices", object{"grants": grant("boomgate:mqtt", "pub:#/"+s)}),
			f.do(http.MethodPost, "/v1/devices", object{"grants": grant("boomgate:mqtt", "pub:{labels."+s)}),
			f.do(http.MethodPost, "/v1/devices", object{"grants": grant("boomgate:fleet", s)}),
			f.do(http.MethodPost, "/v1/devices", object{"grants": grant(s, `"`)}),
			f.do(http.MethodPost, "/v1/devices", object{"attributes": object{"aud": s}}),
			f.do(http.MethodPost, "/v1/devices", object{"secret_expires_at": s}),
			f.do(http.MethodPost, "/v1/devices", `{"name":"`+s),
			f.do(http.MethodPost, "/v1/devices", `{"`+s+`":1,"`+s+`":2}`),
			f.do(http.MethodPost, "/v1/devices", `{}`, "Content-Type", s),
			f.do(http.MethodPost, "/v1/devices", `{}`, "Idempotency-Key", s+" "+s),
			f.do(http.MethodPost, "/v1/devices", `{}`, "Authorization", "Bearer x"+s),
			f.do(http.MethodPatch, "/v1/devices/d", `{}`, "If-Match", s),
			f.do(http.MethodGet, "/v1/devices/"+s, nil),
			f.do(http.MethodDelete, "/v1/devices/"+s, nil),
			f.do(http.MethodGet, "/v1/devices?"+s+"=1", nil),
			f.do(http.MethodGet, "/v1/devices?cursor="+s, nil),
			f.do(http.MethodGet, "/v1/devices?label="+s, nil),
			f.do(http.MethodGet, "/v1/devices?status="+s, nil),
			f.do(http.MethodGet, "/v1/"+s, nil),
			f.do(http.MethodDelete, "/v1/sessions/"+s, nil),
		}
		for i, a := range answers {
			if a.status < 400 || strings.Contains(a.text, part) {
				t.Errorf("answer %d, status %d, is no refusal or repeats what was smuggled in: %s", i, a.status, a.text)
			}
			for name, values := range a.header {
				if strings.Contains(strings.Join(values, " "), part) {
					t.Errorf("answer %d repeats it in the header %s", i, name)
				}
			}
		}
		if strings.Contains(f.log.String(), part) {
			t.Errorf("the log repeats what was smuggled in: %s", f.log)
		}
	}
}

func TestEveryWriteLeavesOneLineInTheLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	credential := f.create("devices", object{"id": "d"})
	f.do(http.MethodGet, "/v1/devices/d", nil).is(http.StatusOK)
	f.do(http.MethodPatch, "/v1/devices/d", `{"name":"x"}`, f.as("intern", "devices:read")...).is(http.StatusForbidden)
	f.do(http.MethodPatch, "/v1/devices/d", `{"name":5}`).is(http.StatusUnprocessableEntity)
	f.do(http.MethodPatch, "/v1/devices/d", `{"name":"x"}`, "If-Match", `"9"`).is(http.StatusPreconditionFailed)
	f.do(http.MethodPost, "/v1/devices/d/rotate", nil).is(http.StatusOK)
	f.do(http.MethodDelete, "/v1/devices/nobody", nil).is(http.StatusNotFound)
	f.do(http.MethodPost, "/v1/roles", object{"id": "r"}, f.as("night-shift", "roles:write")...).is(http.StatusCreated)
	want := [][4]string{
		{"root", "create-device", "d", "done"},
		{"intern", "update-device", "", "insufficient-scope"},
		{"root", "update-device", "", "invalid"},
		{"root", "update-device", "d", "version-mismatch"},
		{"root", "rotate-device", "d", "done"},
		{"root", "delete-device", "", "not-found"},
		{"night-shift", "create-role", "r", "done"},
	}
	lines := f.log.lines(t, "fleet API write")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: %v", len(lines), len(want), lines)
	}
	for i, line := range lines {
		got := [4]string{line["caller"].(string), line["operation"].(string), line["target"].(string), line["outcome"].(string)}
		if got != want[i] || line["level"] != "INFO" {
			t.Errorf("line %d: %v, want %v", i, line, want[i])
		}
	}
	if strings.Contains(f.log.String(), credential.ClientSecret) {
		t.Error("the log holds a secret")
	}
}

func TestTheLogOfAWriteSaysWhatItEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{"id": "d"})
	f.sessions.open(fleetapi.Session{ID: "d", ClientID: "d", Subscriptions: 2})
	f.do(http.MethodPatch, "/v1/devices/d", `{"labels":{"site":"south"}}`).is(http.StatusOK)
	key := []string{"Idempotency-Key", "k"}
	f.do(http.MethodPost, "/v1/devices/d/rotate", nil, key...).is(http.StatusOK)
	f.do(http.MethodPost, "/v1/devices/d/rotate", nil, key...).is(http.StatusOK)
	f.do(http.MethodPost, "/v1/revocations", object{"token_id": "jti-1"}).is(http.StatusCreated)
	f.do(http.MethodDelete, "/v1/devices/d", nil).is(http.StatusOK)
	f.do(http.MethodDelete, "/v1/devices/d", nil).is(http.StatusNotFound)
	want := []string{
		"create-device:", "update-device: sessions_rejudged=1", "rotate-device: secrets_removed=1 sessions_closed=1 subscriptions_dropped=2",
		"rotate-device:", // repeated: nothing ended
		"create-revocation:", "delete-device: retained_removed=4 secrets_removed=1", "delete-device:",
	}
	var got []string
	for _, line := range f.log.lines(t, "fleet API write") {
		text := line["operation"].(string) + ":"
		receipt, _ := line["receipt"].(object)
		for _, name := range slices.Sorted(maps.Keys(receipt)) {
			if receipt[name] != 0.0 {
				text += fmt.Sprintf(" %s=%v", name, receipt[name])
			}
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log says\n%q, want\n%q", got, want)
	}
}

func TestTheCertificateOfAConnectionGoesToTheAuthenticator(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	leaf, issuer := &x509.Certificate{Raw: []byte("leaf")}, &x509.Certificate{Raw: []byte("issuer")}
	cases := []struct {
		state *tls.ConnectionState
		want  *x509.Certificate
	}{
		{nil, nil},
		{&tls.ConnectionState{}, nil},
		{&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, issuer}}, leaf},
	}
	for _, c := range cases {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/roles", nil)
		request.Header.Set("Authorization", "Bearer "+f.root)
		request.TLS = c.state
		recorder := httptest.NewRecorder()
		f.handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK || f.tokens.peer != c.want {
			t.Errorf("status %d; the authenticator got %v, want %v", recorder.Code, f.tokens.peer, c.want)
		}
	}
}

func TestABadConfigurationNamesEverythingThatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := fleetapi.New(fleetapi.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("New took a configuration without anything")
	}
	for _, field := range []string{"Service", "Tokens", "Sessions", "SigningKeys", "Explainer", "TokenEndpoint", "MQTTURL"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
}
