package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/boomgate/boomgate/provisioning"
)

// basic returns the request with the credentials as RFC 6749 §2.3.1 wants them in the header.
func basic(r *http.Request, c credential) *http.Request {
	r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	return r
}

func TestEveryWayToAskGetsTheSameToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	target := w.url + "/oauth/token"
	for name, request := range map[string]*http.Request{
		"form":                       newRequest(t, http.MethodPost, target, formType, c.form().Encode()),
		"form with charset":          newRequest(t, http.MethodPost, target, formType+"; charset=UTF-8", c.form().Encode()),
		"form with an odd parameter": newRequest(t, http.MethodPost, target, formType+"; charset", c.form().Encode()),
		"JSON": newRequest(t, http.MethodPost, target, jsonType,
			`{"grant_type":"client_credentials","client_id":"`+c.id+`","client_secret":"`+c.secret+`"}`),
		"JSON with charset": newRequest(t, http.MethodPost, target, "Application/JSON; charset=utf-8",
			`{"grant_type":"client_credentials","client_id":"`+c.id+`","client_secret":"`+c.secret+`"}`),
		"Basic and form": basic(newRequest(t, http.MethodPost, target, formType, "grant_type=client_credentials"), c),
		"Basic and JSON": basic(newRequest(t, http.MethodPost, target, jsonType, `{"grant_type":"client_credentials"}`), c),
		"Basic and the same client_id": basic(newRequest(t, http.MethodPost, target, formType,
			"grant_type=client_credentials&client_id="+c.id), c),
		"unknown parameters": newRequest(t, http.MethodPost, target, formType, c.form("organization", "x", "Scope", "y").Encode()),
		"unknown members": newRequest(t, http.MethodPost, target, jsonType, `{"grant_type":"client_credentials","client_id":"`+c.id+
			`","client_secret":"`+c.secret+`","x":{"client_id":[1,{"a":null}]},"SCOPE":7}`),
		"an unknown parameter in the URL": newRequest(t, http.MethodPost, target+"?trace=1", formType, c.form().Encode()),
		"parameters without a value": newRequest(t, http.MethodPost, target, formType,
			c.form("scope", "", "audience", "", "client_assertion", "").Encode()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := send(t, request)
			token := w.token(t, a, provisioning.AudienceMQTT)
			if token.Subject != c.id || token.ClientID != c.id || len(token.Scopes) != 6 {
				t.Errorf("the token is of %s with %v, want all that %s holds", token.Subject, token.Scopes, c.id)
			}
			if a.TokenType != "Bearer" || !strings.Contains(a.body, `"expires_in":3600`) {
				t.Errorf("answer is %s, want a Bearer token with expires_in as a number", a.body)
			}
			if got := token.ExpiresAt.Sub(token.IssuedAt); got != time.Hour {
				t.Errorf("the token lives %v, want an hour", got)
			}
		})
	}
}

func TestTheClientsLifetimeAndAttributesReachTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create(t, provisioning.NewClient{
		ID: "billing", Kind: provisioning.KindService, TokenTTL: 90 * time.Second,
		Grants:     []provisioning.Grant{{Audience: "https://calendar.example", Scopes: []string{"events:read"}}},
		Attributes: map[string]string{"department": "sales"},
	})
	a := w.postForm(t, c.form("audience", "https://calendar.example"))
	token := w.token(t, a, "https://calendar.example")
	if token.ExpiresAt.Sub(token.IssuedAt) != 90*time.Second || (a.ExpiresIn != "90" && a.ExpiresIn != "89") {
		t.Errorf("the token lives %v and expires_in is %s, want 90 s", token.ExpiresAt.Sub(token.IssuedAt), a.ExpiresIn)
	}
	if token.Claims["department"] != "sales" {
		t.Errorf("claims are %v, want the attribute in them", token.Claims)
	}
}

func TestScopeAndAudienceMayBeAStringOrAnArray(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "two-topics", "pub:a/#", "sub:b/#")
	for name, a := range map[string]answer{
		"form":         w.postForm(t, c.form("scope", "sub:b/# pub:a/#", "audience", "boomgate:mqtt")),
		"JSON strings": w.postJSON(t, c.object("scope", "sub:b/# pub:a/#", "audience", "boomgate:mqtt")),
		"JSON arrays":  w.postJSON(t, c.object("scope", []string{"sub:b/#", "pub:a/#"}, "audience", []string{"boomgate:mqtt"})),
		"repetitions": w.postJSON(t, c.object("scope", []string{"sub:b/#", "pub:a/#", "sub:b/#"},
			"audience", []string{"boomgate:mqtt", "boomgate:mqtt"})),
		"more spaces": w.postForm(t, c.form("scope", " sub:b/#  pub:a/# ")),
	} {
		if token := w.token(t, a, provisioning.AudienceMQTT); !slices.Equal(token.Scopes, []string{"sub:b/#", "pub:a/#"}) {
			t.Errorf("%s: scopes are %v, want the two as asked", name, token.Scopes)
		}
	}
}

func TestANarrowerScopeIsGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "narrow", "pub:a/#?qos=1", "sub:+/b")
	for _, scope := range []string{
		"pub:a/b?qos=1", "pub:a/b?qos=0&retain=false", "pub:a?qos=0", "pub:a/+/c?qos=1", "sub:x/b?qos=0", "sub:+/b sub:a/b",
	} {
		if token := w.token(t, w.postForm(t, c.form("scope", scope)), provisioning.AudienceMQTT); strings.Join(token.Scopes, " ") != scope {
			t.Errorf("asked for %q, got %v", scope, token.Scopes)
		}
	}
}

func TestO5_NoRequestWidensTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	w.sensor(t, "lot1-b2-018")
	own := "parking/v1/lot1/lot1-b2-017"
	for _, scope := range []string{
		"pub:parking/v1/lot1/lot1-b2-018/state", "pub:parking/v1/lot1/+/state", "pub:parking/v1/+/lot1-b2-017/state",
		"pub:#", "sub:#", "pub:+/#", "pub:" + own, "pub:" + own + "/#", "pub:" + own + "/+", "pub:" + own + "/ack/#",
		"pub:" + own + "/state/", "pub:" + own + "/State", "sub:" + own + "/state", "pub:" + own + "/cmd/+",
		"sub:" + own + "/cmd/#", "sub:$share/g/" + own + "/state", "pub:$SYS/x", "PUB:" + own + "/state", "publish:" + own + "/state",
		"pub:parking/v1/{labels.site}/{client_id}/state", "pub:parking/v1/lot1/{client_id}/state", "pub:" + own + "/stat%65/x",
		"devices:read", "*", "pub:" + own + "/state?qos=9", "pub:" + own + "/state sub:#", "sub:# pub:" + own + "/state",
	} {
		w.postForm(t, c.form("scope", scope)).refused(t, http.StatusBadRequest, "invalid_scope", "outside")
	}
	for _, audience := range []string{
		"boomgate:fleet", "Boomgate:mqtt", "boomgate:mqt", "boomgate:mqtt/", "https://calendar.example",
	} {
		w.postForm(t, c.form("audience", audience)).refused(t, http.StatusBadRequest, "invalid_target", "holds nothing")
		w.postJSON(t, c.object("audience", []string{"boomgate:mqtt", audience})).
			refused(t, http.StatusBadRequest, "invalid_target", "holds nothing")
	}
	w.postForm(t, c.form("audience", "boomgate:mqtt boomgate:fleet")).refused(t, http.StatusBadRequest, "invalid_target", "without spaces")
}

func TestAScopeTornApartAtAPlusIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "plus", "sub:a/+/b", "sub:+/c", "sub:a/+", "sub:a/", "pub:x")
	form := c.form().Encode()
	for _, scope := range []string{
		"sub:a/+/b", "sub:+/c", "sub:a/+", "sub:+", "pub:x+sub:a/+", "sub:a/++pub:x", "sub:a/+?qos=1", "sub:a/+/+/b", "pub:x+sub:+/c+pub:x",
	} {
		w.post(t, formType, form+"&scope="+scope).refused(t, http.StatusBadRequest, "invalid_scope", "%2B")
		if reason := w.journal.last(t).Reason; reason != "scope-torn-at-plus" {
			t.Errorf("%s: the operator's reason is %q", scope, reason)
		}
	}
	// A plus between scopes is a space as it should be; so is a level that is empty on purpose.
	for _, scope := range []string{"sub:a/%2B/b+sub:%2B/c", "sub:a/+pub:x", "pub:x+sub:a/", "pub:x++sub:a/%2B"} {
		if a := w.post(t, formType, form+"&scope="+scope); a.status != http.StatusOK {
			t.Errorf("scope=%s: answer is %d %s, want a token", scope, a.status, a.body)
		}
	}
	w.token(t, w.postJSON(t, c.object("scope", "sub:a/+/b")), provisioning.AudienceMQTT)
}

func TestATokenForSeveralAudiencesCarriesOnlyWhatIsHeldForEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const a, b, c = "https://a.example", "https://b.example", "https://c.example"
	client := w.create(t, provisioning.NewClient{ID: "both", Kind: provisioning.KindService, Grants: []provisioning.Grant{
		{Audience: a, Scopes: []string{"events:read", "events:write", "pub:x/#"}},
		{Audience: b, Scopes: []string{"rooms:read", "events:read", "pub:x/y"}},
		{Audience: c, Scopes: []string{"mail:send"}},
	}})
	ask := func(audiences []string, scope ...any) answer {
		return w.postJSON(t, client.object(append([]any{"audience", audiences}, scope...)...))
	}
	token := w.token(t, ask([]string{a, b}), a)
	if !slices.Equal(token.Audience, []string{a, b}) || !slices.Equal(token.Scopes, []string{"events:read", "pub:x/y"}) {
		t.Errorf("the token is for %v with %v, want what both audiences have in common", token.Audience, token.Scopes)
	}
	w.token(t, ask([]string{a, b}, "scope", "events:read"), b)
	w.token(t, ask([]string{a, b}, "scope", "pub:x/y"), b)
	for _, scope := range []string{"events:write", "rooms:read", "pub:x/z", "events:read rooms:read"} {
		ask([]string{a, b}, "scope", scope).refused(t, http.StatusBadRequest, "invalid_scope", "outside")
	}
	ask([]string{a, c}).refused(t, http.StatusBadRequest, "invalid_target", "one token for each")
}

func TestAClientThatCanGetNothingIsToldWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nothing := w.create(t, provisioning.NewClient{ID: "no-grants"})
	w.postForm(t, nothing.form()).refused(t, http.StatusBadRequest, "unauthorized_client", "no grant")
	siteless := w.create(t, provisioning.NewClient{ID: "siteless", Roles: []string{provisioning.RoleParkingSensor}})
	w.postForm(t, siteless.form()).refused(t, http.StatusBadRequest, "invalid_scope", "label")
	operator := w.create(t, provisioning.NewClient{
		ID: "operator", Kind: provisioning.KindOperator, Roles: []string{provisioning.RoleFleetViewer},
	})
	w.postForm(t, operator.form()).refused(t, http.StatusBadRequest, "invalid_target", "default audience boomgate:mqtt")
	token := w.token(t, w.postForm(t, operator.form("audience", provisioning.AudienceFleet)), provisioning.AudienceFleet)
	if !slices.Contains(token.Scopes, "devices:read") || slices.Contains(token.Scopes, "devices:write") {
		t.Errorf("a viewer's token has the scopes %v", token.Scopes)
	}
}

func TestATokenThatNoVerifierWouldTakeIsNotIssued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	scopes := make([]string, 200)
	for n := range scopes {
		scopes[n] = fmt.Sprintf("pub:a/rather/long/topic/of/its/own/number/%d", n)
	}
	c := w.holder(t, "many", scopes...)
	w.postForm(t, c.form()).refused(t, http.StatusBadRequest, "invalid_scope", "fewer scopes")
	w.token(t, w.postForm(t, c.form("scope", strings.Join(scopes[:50], " "))), provisioning.AudienceMQTT)
}

func TestTheWorkOfComparingScopesIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	held := make([]string, 256)
	for n := range held {
		held[n] = fmt.Sprintf("pub:%d/#", n)
	}
	c := w.holder(t, "many", held...)
	ask := func(count int, format string) answer {
		scopes := make([]string, count)
		for n := range scopes {
			scopes[n] = fmt.Sprintf(format, n)
		}
		return w.postForm(t, c.form("scope", strings.Join(scopes, " ")))
	}
	ask(1100, "pub:1/%d").refused(t, http.StatusBadRequest, "invalid_scope", "too many scopes to compare")
	w.token(t, ask(200, "pub:1/%d"), provisioning.AudienceMQTT)
	w.token(t, ask(256, "pub:%d/#"), provisioning.AudienceMQTT)
}

func TestADisabledOrDeletedClientIsUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	w.token(t, w.postForm(t, c.form()), provisioning.AudienceMQTT)
	if _, _, err := w.service.Disable(t.Context(), c.id, 0); err != nil {
		t.Fatal(err)
	}
	disabled := w.postForm(t, c.form())
	disabled.refused(t, http.StatusUnauthorized, "invalid_client", "")
	if reason := w.journal.last(t).Reason; reason != "client-disabled" {
		t.Errorf("the operator's reason is %q, want client-disabled", reason)
	}
	if _, err := w.service.Delete(t.Context(), c.id, 0); err != nil {
		t.Fatal(err)
	}
	deleted := w.postForm(t, c.form())
	if deleted.status != disabled.status || deleted.body != disabled.body {
		t.Errorf("deleted: %d %s, disabled: %d %s", deleted.status, deleted.body, disabled.status, disabled.body)
	}
}

// TestTheOAuth2LibraryGetsItsToken asks with the client that most Go programs use, in all its styles.
func TestTheOAuth2LibraryGetsItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.holder(t, "library", "sub:a/+/b", "pub:c")
	for name, style := range map[string]oauth2.AuthStyle{
		"detected": oauth2.AuthStyleAutoDetect, "header": oauth2.AuthStyleInHeader, "body": oauth2.AuthStyleInParams,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientcredentials.Config{
				ClientID: c.id, ClientSecret: c.secret, TokenURL: w.url + "/oauth/token", AuthStyle: style,
				Scopes: []string{"sub:a/+/b", "pub:c?qos=1&retain=false"}, EndpointParams: url.Values{"audience": {"boomgate:mqtt"}},
			}
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, new(http.Client))
			token, err := client.Token(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !token.Valid() || token.Type() != "Bearer" || token.Extra("scope") != "sub:a/+/b pub:c?qos=1&retain=false" {
				t.Errorf("the library's token is of type %s, scope %v", token.Type(), token.Extra("scope"))
			}
			client.ClientSecret = "wrong"
			var refused *oauth2.RetrieveError
			if _, err := client.Token(ctx); !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" {
				t.Errorf("a wrong secret: error is %v, want invalid_client", err)
			}
		})
	}
}
