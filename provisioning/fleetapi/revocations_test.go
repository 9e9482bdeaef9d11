package fleetapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestARevocationEndsTokensThereAreAndTheirSessions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sessions.open(fleetapi.Session{ID: "d:1", ClientID: "d", TokenID: "jti-1", Subscriptions: 3}, fleetapi.Session{ID: "e", ClientID: "e"})
	token := provisioning.TokenFacts{ClientID: "d", TokenID: "jti-1", CredentialID: "secret-1", KeyID: "key-1", IssuedAt: f.clock.Now().Add(-time.Minute)}
	if f.revoked.Revoked(token) {
		t.Fatal("a token is revoked that nobody revoked")
	}
	made := decode[fleetapi.RevocationChange](f.do(http.MethodPost, "/v1/revocations",
		object{"client_id": "d", "reason": "found on a shared drive"}).is(http.StatusCreated))
	if r := made.Revocation; r.ID == "" || r.ClientID != "d" || r.CreatedBy != "root" || r.Reason != "found on a shared drive" || !r.ExpiresAt.After(f.clock.Now()) {
		t.Errorf("the revocation is %+v", r)
	}
	if made.Receipt != (fleetapi.Receipt{Sessions: 1, Subscriptions: 3}) {
		t.Errorf("the receipt is %+v", made.Receipt)
	}
	if !f.revoked.Revoked(token) {
		t.Error("a revoked token is good")
	}
	token.IssuedAt = f.clock.Now().Add(time.Minute)
	if f.revoked.Revoked(token) {
		t.Error("a token that came later is revoked: the client is locked out")
	}
	list := decode[fleetapi.Page[fleetapi.Revocation]](f.do(http.MethodGet, "/v1/revocations", nil).is(http.StatusOK))
	if len(list.Items) != 1 || list.Items[0] != made.Revocation {
		t.Errorf("the list is %+v, want %+v", list.Items, made.Revocation)
	}
	for name, body := range map[string]object{
		"token": {"token_id": "jti-1"}, "credential": {"credential_id": "secret-1"}, "key": {"key_id": "key-1"},
		"two": {"client_id": "d", "token_id": "jti-1", "expires_at": f.clock.Now().Add(time.Hour)},
	} {
		f.do(http.MethodPost, "/v1/revocations", body).is(http.StatusCreated)
		alone := provisioning.TokenFacts{
			ClientID: "x", TokenID: fmt.Sprint(body["token_id"]), CredentialID: fmt.Sprint(body["credential_id"]), KeyID: fmt.Sprint(body["key_id"]),
			IssuedAt: f.clock.Now().Add(-time.Minute),
		}
		if !f.revoked.Revoked(alone) && name != "two" {
			t.Errorf("a token of the revoked %s is good", name)
		}
	}
}

func TestARevocationMustNameTokensThatThereAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := []struct {
		body     any
		location string
	}{
		{object{}, "body.client_id"},
		{object{"reason": "just so"}, "body.client_id"},
		{object{"issued_before": f.clock.Now()}, "body.client_id"},
		{object{"client_id": "d", "issued_before": f.clock.Now().Add(time.Hour)}, "body.issued_before"},
		{object{"client_id": "d", "issued_before": "yesterday"}, "body.issued_before"},
		{object{"client_id": "d", "expires_at": f.clock.Now().Add(-time.Hour)}, "body.expires_at"},
		{object{"client_id": "d", "expires_at": f.clock.Now().AddDate(50, 0, 0)}, "body.expires_at"},
		{object{"client_id": 5}, "body.client_id"},
		{object{"client_id": "d\n"}, "body.client_id"},
		{object{"jti": "x"}, "body.jti"},
	}
	for _, c := range cases {
		p := f.do(http.MethodPost, "/v1/revocations", c.body).isProblem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Location != c.location {
			t.Errorf("%v: errors %+v, want one at %s", c.body, p.Errors, c.location)
		}
	}
	f.do(http.MethodPost, "/v1/revocations", nil).isProblem(http.StatusBadRequest, "bad-request")
	f.do(http.MethodPost, "/v1/revocations", `{"client_id":"a","client_id":"b"}`).isProblem(http.StatusBadRequest, "bad-request")
	f.do(http.MethodDelete, "/v1/revocations", nil).isProblem(http.StatusMethodNotAllowed, "method-not-allowed")
	if list := decode[fleetapi.Page[fleetapi.Revocation]](f.do(http.MethodGet, "/v1/revocations", nil)); len(list.Items) != 0 {
		t.Errorf("a refused request revoked %+v", list.Items)
	}
}

func TestTheTokensOfAKeyAreRevokedOnlyByWhoMayWriteKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := object{"client_id": "d", "key_id": "key-1"}
	a := f.do(http.MethodPost, "/v1/revocations", body, f.as("helper", "sessions:write", "keys:read")...)
	a.isProblem(http.StatusForbidden, "insufficient-scope")
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="boomgate:fleet", error="insufficient_scope", scope="keys:write"` {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	f.do(http.MethodPost, "/v1/revocations", body, f.as("helper", "keys:write")...).isProblem(http.StatusForbidden, "insufficient-scope")
	f.do(http.MethodPost, "/v1/revocations", body, f.as("helper", "sessions:write", "keys:write")...).is(http.StatusCreated)
}

func TestARepeatedRevocationHasTheSameAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := []string{"Idempotency-Key", "revocation-1"}
	f.sessions.open(fleetapi.Session{ID: "d", ClientID: "d"})
	first := f.do(http.MethodPost, "/v1/revocations", object{"client_id": "d"}, key...).is(http.StatusCreated)
	f.clock.forward(time.Hour)
	again := f.do(http.MethodPost, "/v1/revocations", object{"client_id": "d"}, key...).is(http.StatusCreated)
	if first.text != again.text || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %s, again %s", first.text, again.text)
	}
	f.do(http.MethodPost, "/v1/revocations", object{"client_id": "e"}, key...).isProblem(http.StatusUnprocessableEntity, "idempotency-key-reused")
	key = append(key, f.as("root", "sessions:write")...)
	f.do(http.MethodPost, "/v1/revocations", object{"key_id": "k"}, key...).isProblem(http.StatusForbidden, "insufficient-scope")
}

func TestRevocationsComeInPartsInOrderOfTheirIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 7 {
		f.do(http.MethodPost, "/v1/revocations", object{"token_id": fmt.Sprint("jti-", i)}).is(http.StatusCreated)
	}
	for _, limit := range []int{1, 3, 6, 7, 8, 1000} {
		seen := pages(f, fmt.Sprint("/v1/revocations?limit=", limit), func(r fleetapi.Revocation) string { return r.ID })
		if len(seen) != 7 {
			t.Errorf("in parts of %d: saw %q", limit, seen)
		}
	}
	f.do(http.MethodGet, "/v1/revocations?cursor=%2A%2A", nil).isProblem(http.StatusUnprocessableEntity, "invalid")
	f.do(http.MethodGet, "/v1/revocations?limit=0", nil).isProblem(http.StatusUnprocessableEntity, "invalid")
}
