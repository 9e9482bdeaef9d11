package oauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// fetch returns the answer to a request without a body.
func fetch(tb testing.TB, r *http.Request) (*http.Response, string) {
	tb.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response, string(body)
}

func TestTheMetadataNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		response, body := fetch(t, newRequest(t, http.MethodGet, w.url+path, "", ""))
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"issuer":                                issuerURL,
			"token_endpoint":                        issuerURL + "/oauth/token",
			"jwks_uri":                              issuerURL + "/.well-known/jwks.json",
			"response_types_supported":              []any{},
			"grant_types_supported":                 []any{"client_credentials"},
			"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post"},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is\n%v, want\n%v", path, got, want)
		}
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: answer is %d of type %s", path, response.StatusCode, response.Header.Get("Content-Type"))
		}
	}
}

func TestTheEndpointsFollowAnIssuerWithAPath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, issuer := range []string{"https://example.org/gate", "https://example.org/gate/"} {
		cfg := w.config()
		cfg.Issuer = issuer
		handler, err := oauth.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		recorder := serveInProcess(newMux(handler), newRequest(t, http.MethodGet, "/.well-known/oauth-authorization-server", "", ""))
		if body := recorder.Body.String(); !strings.Contains(body, `"issuer":"`+issuer+`"`) ||
			!strings.Contains(body, `"token_endpoint":"https://example.org/gate/oauth/token"`) {
			t.Errorf("the metadata of %s is %s", issuer, body)
		}
	}
}

func TestARevokedSigningKeyLeavesTheKeySetAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	old := w.token(t, w.postForm(t, c.form()), provisioning.AudienceMQTT).KeyID
	path := w.url + "/.well-known/jwks.json"
	response, body := fetch(t, newRequest(t, http.MethodGet, path, "", ""))
	if !strings.Contains(body, old) {
		t.Fatalf("the key set %s has not the key %s", body, old)
	}
	if err := w.issuer.Revoke(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	again := newRequest(t, http.MethodGet, path, "", "")
	again.Header.Set("If-None-Match", response.Header.Get("ETag"))
	successor := w.token(t, w.postForm(t, c.form()), provisioning.AudienceMQTT).KeyID
	if response, body := fetch(t, again); response.StatusCode != http.StatusOK || strings.Contains(body, old) || !strings.Contains(body, successor) {
		t.Errorf("the answer is %d %s, want the key set with %s in place of %s", response.StatusCode, body, successor, old)
	}
}

func TestPublicDocumentsCanBeCachedAndRevalidated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{
		"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
	} {
		response, body := fetch(t, newRequest(t, http.MethodGet, w.url+path, "", ""))
		tag := response.Header.Get("ETag")
		if response.StatusCode != http.StatusOK || tag == "" || !strings.HasPrefix(response.Header.Get("Cache-Control"), "public, max-age=") {
			t.Errorf("%s: answer is %d with %v", path, response.StatusCode, response.Header)
		}
		if path == "/.well-known/jwks.json" && body != string(w.issuer.JWKS()) {
			t.Errorf("the key set is %s, want %s", body, w.issuer.JWKS())
		}
		for name := range response.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: header %s", path, name)
			}
		}
		again := newRequest(t, http.MethodGet, w.url+path, "", "")
		again.Header.Set("If-None-Match", tag)
		if response, body := fetch(t, again); response.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s: the answer to a known ETag is %d", path, response.StatusCode)
		}
		head, empty := fetch(t, newRequest(t, http.MethodHead, w.url+path, "", ""))
		if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(body)) || head.Header.Get("ETag") != tag || empty != "" {
			t.Errorf("%s: the answer to HEAD is %d with %v", path, head.StatusCode, head.Header)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			response, _ := fetch(t, newRequest(t, method, w.url+path, "", ""))
			if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: answer is %d with %v", method, path, response.StatusCode, response.Header)
			}
		}
	}
}
