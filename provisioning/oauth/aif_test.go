package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

func base64url(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// information returns the scopes of a token that says them as authorization information, in the answer and to its verifier.
func (w *world) information(tb testing.TB, a answer) (*accesstoken.Token, []string) {
	tb.Helper()
	told, err := base64.RawURLEncoding.DecodeString(a.Scope)
	if err != nil {
		tb.Fatalf("the answer is %d %s, want a scope in base64url", a.status, a.body)
	}
	a.Scope = "" // as the token has no scopes in words
	token := w.token(tb, a, provisioning.AudienceMQTT)
	if string(token.AIF) != string(told) {
		tb.Errorf("the answer says scope %s, the token %s", told, token.AIF)
	}
	if scp, there := token.Claims["scp"]; there {
		tb.Errorf("beside the authorization information, scp is %v", scp)
	}
	scopes, err := topicacl.ParseAIF(told)
	if err != nil {
		tb.Fatal(err)
	}
	return token, scopes
}

func TestAScopeMayBeAuthorizationInformationInEveryWayToSayIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "device", "pub:a/#", "sub:b/+/c", "sub:d")
	const text = `[["a/#",["pub"]],["b/+/c",["sub"]]]`
	nested := []any{[]any{"a/#", []string{"pub"}}, []any{"b/+/c", []string{"sub"}}}
	for name, a := range map[string]answer{
		"form, text":              w.postForm(t, c.form("scope", text)),
		"form, text with spaces":  w.postForm(t, c.form("scope", "  [ [ \"a/#\" , [ \"pub\" ] ],\n[\"b/+/c\",[\"sub\"]] ]")),
		"form, base64url":         w.postForm(t, c.form("scope", base64url(text))),
		"form, base64url, padded": w.postForm(t, c.form("scope", base64.URLEncoding.EncodeToString([]byte(text)))),
		"JSON, text":              w.postJSON(t, c.object("scope", text)),
		"JSON, base64url":         w.postJSON(t, c.object("scope", base64url(text))),
		"JSON, array":             w.postJSON(t, c.object("scope", nested, "audience", "boomgate:mqtt")),
	} {
		token, scopes := w.information(t, a)
		if !slices.Equal(scopes, []string{"pub:a/#", "sub:b/+/c"}) || token.ClientID != c.id {
			t.Errorf("%s: the token of %s says %v, want what was asked for", name, token.ClientID, scopes)
		}
		if event := w.journal.last(t); !event.Issued() {
			t.Errorf("%s: the event is %+v", name, event)
		}
	}
}

func TestO5_AuthorizationInformationDoesNotWidenTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "device", "pub:a/+", "sub:b/#?qos=1", "pub:c?retain=false", "sub:d/{client_id}/x")
	_, scopes := w.information(t, w.postForm(t, c.form("scope", `[["a/x",["pub"]],["d/device/x",["sub"]]]`)))
	if !slices.Equal(scopes, []string{"pub:a/x", "sub:d/device/x"}) {
		t.Errorf("a narrower scope was granted as %v", scopes)
	}
	for _, scope := range []string{
		`[["#",["pub"]]]`, `[["a/#",["pub"]]]`, `[["a/+",["sub"]]]`, `[["a/+",["pub","sub"]]]`, `[["a/x",["pub"]],["#",["sub"]]]`,
		`[["b/x",["sub"]]]`, `[["c",["pub"]]]`, `[["d/other/x",["sub"]]]`, `[["d/+/x",["sub"]]]`, `[["d/{client_id}/x",["sub"]]]`,
		`[["$share/g/#",["sub"]]]`, `[["$SYS/#",["sub"]]]`,
	} {
		for name, text := range map[string]string{"text": scope, "base64url": base64url(scope)} {
			a := w.postForm(t, c.form("scope", text))
			if a.status != http.StatusBadRequest || a.Error != "invalid_scope" {
				t.Errorf("%s as %s: answer is %d %s, want invalid_scope", scope, name, a.status, a.body)
			}
		}
	}
	w.postForm(t, c.form("scope", `[["a/x",["pub"]]]`, "audience", provisioning.AudienceFleet)).
		refused(t, http.StatusBadRequest, "invalid_target", "holds nothing")
}

func TestO3_MalformedAuthorizationInformationIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "device", "pub:#", "sub:#")
	for _, scope := range []string{
		`["a"]`, `[["a"]]`, `[["a",[]]]`, `[["a","pub"]]`, `[["a",["pub"],1]]`, `[["a",["pub","own"]]]`, `[["a",["PUB"]]]`, `[["a",3]]`,
		`[["a",["pub"]]`, `[["a",["pub"]]]]`, `[["a",["pub"]],null]`, `[["a#",["pub"]]]`, `[["",["pub"]]]`, `[["a",["pub"]],["b"]]`,
		`[[["a"],["pub"]]]`, `["a",["pub"]]`, "[[\"a\xff\",[\"pub\"]]]", `[{"a":["pub"]}]`,
		"[" + strings.Repeat(`["a",["pub"]],`, 1000) + `["b",["own"]]]`,
	} {
		a := w.postForm(t, c.form("scope", scope))
		a.refused(t, http.StatusBadRequest, "invalid_scope", "pub and sub")
		if json.Valid([]byte(scope)) {
			a = w.postForm(t, c.form("scope", base64url(scope)))
			a.refused(t, http.StatusBadRequest, "invalid_scope", "pub and sub")
		}
		if reason := w.journal.last(t).Reason; reason != oauth.ReasonScopeMalformed {
			t.Errorf("%.40s: the operator's reason is %q", scope, reason)
		}
	}
	for _, nothing := range []any{[]any{[]any{}}, []any{[]any{"a"}}, []any{[]any{nil}}} {
		w.postJSON(t, c.object("scope", nothing)).refused(t, http.StatusBadRequest, "invalid_scope", "pub and sub")
	}
	for _, nothing := range []string{"[]", base64url("[]"), "[[]]"} {
		a := w.postForm(t, c.form("scope", nothing))
		if a.Error != "invalid_scope" {
			t.Errorf("%s: answer is %d %s, want invalid_scope and never everything", nothing, a.status, a.body)
		}
	}
}

func TestScopeNamesThatLookLikeAuthorizationInformationStayNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const audience = "https://calendar.example"
	names := []string{"[a]", "[", "W10", base64url(`["unfinished`), "Wzfoo"}
	c := w.create(t, provisioning.NewClient{
		ID: "named", Kind: provisioning.KindService, Grants: []provisioning.Grant{{Audience: audience, Scopes: names}},
	})
	for _, name := range names {
		if a := w.postForm(t, c.form("audience", audience, "scope", name)); a.status != http.StatusOK || a.Scope != name {
			t.Errorf("%s: answer is %d %s, want that scope", name, a.status, a.body)
		}
	}
}

func TestAuthorizationInformationTornApartAtAPlusIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "plus", "sub:#", "pub:#")
	form := c.form().Encode() + "&scope="
	for _, filter := range []string{"a/+/b", "+/c", "a/+", "+", "a/+/+/b", "+/+"} {
		raw := `[["x",["pub"]],["` + filter + `",["sub"]]]`
		w.post(t, formType, form+raw).refused(t, http.StatusBadRequest, "invalid_scope", "%2B")
		if reason := w.journal.last(t).Reason; reason != oauth.ReasonScopeTorn {
			t.Errorf("%s: the operator's reason is %q", raw, reason)
		}
		_, scopes := w.information(t, w.post(t, formType, form+strings.ReplaceAll(raw, "+", "%2B")))
		if !slices.Contains(scopes, "sub:"+filter) {
			t.Errorf("%s: the scopes are %v", raw, scopes)
		}
		w.information(t, w.post(t, formType, form+base64url(raw)))
		w.information(t, w.postJSON(t, c.object("scope", raw)))
	}
}

func TestAuthorizationInformationIsRefusedWhereNobodyReadsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "device", "pub:#")
	cfg := w.config()
	cfg.AIF = nil
	handler, err := oauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	form := c.form("scope", `[["a",["pub"]]]`).Encode()
	recorder := serveInProcess(newMux(handler), newRequest(t, http.MethodPost, "/oauth/token", formType, form))
	if recorder.Code != http.StatusBadRequest || !strings.Contains(recorder.Body.String(), "not supported") {
		t.Errorf("answer is %d %s, want invalid_scope", recorder.Code, recorder.Body)
	}
}
