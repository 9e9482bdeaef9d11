package fleetapi_test

import (
	"net/http"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestARetiredSecretEndsWithItsTokensAndSessionsAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.create("services", object{"id": "s"})
	second := decode[fleetapi.Credential](f.do(http.MethodPost, "/v1/services/s/rotate", object{"overlap": 3600}).is(http.StatusOK))
	old, young := second.Client.Secrets[0].ID, second.Client.Secrets[1].ID
	works := func(secret string) bool {
		_, _, err := f.registry.Authenticate(t.Context(), "s", secret)
		return err == nil
	}
	f.sessions.open(fleetapi.Session{ID: "s:old", ClientID: "s", Subscriptions: 2}, fleetapi.Session{ID: "s:young", ClientID: "s"})
	f.sessions.credentials = map[string]string{"s:old": old, "s:young": young}

	a := f.do(http.MethodDelete, "/v1/services/s/secrets/"+old, nil, "If-Match", `"2"`).is(http.StatusOK)
	change := decode[fleetapi.ClientChange](a)
	if len(change.Client.Secrets) != 1 || change.Client.Secrets[0].ID != young || a.header.Get("ETag") != `"3"` {
		t.Errorf("retiring answered %s with ETag %s", a.text, a.header.Get("ETag"))
	}
	if change.Receipt != (fleetapi.Receipt{Sessions: 1, Subscriptions: 2, Secrets: 1}) {
		t.Errorf("the receipt is %+v", change.Receipt)
	}
	if works(first.ClientSecret) || !works(second.ClientSecret) {
		t.Error("the retired secret works, or the other does not")
	}
	facts := provisioning.TokenFacts{ClientID: "s", CredentialID: old, IssuedAt: f.clock.Now()}
	if !f.revoked.Revoked(facts) {
		t.Error("a token that was got with the retired secret is not revoked")
	}
	facts.CredentialID = young
	if f.revoked.Revoked(facts) {
		t.Error("a token that was got with the other secret is revoked")
	}
	last := decode[fleetapi.ClientChange](f.do(http.MethodDelete, "/v1/services/s/secrets/"+young, nil).is(http.StatusOK))
	if len(last.Client.Secrets) != 0 || works(second.ClientSecret) {
		t.Errorf("after the last secret was retired the record is %+v", last.Client)
	}
	f.do(http.MethodPost, "/v1/services/s/rotate", nil).is(http.StatusOK)
}

func TestASecretIsRetiredOnlyWhereItIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.create("devices", object{"id": "d"}).Client.Secrets[0].ID
	other := f.create("devices", object{"id": "e"}).Client.Secrets[0].ID
	for _, path := range []string{
		"/v1/devices/d/secrets/" + other, "/v1/devices/d/secrets/none", "/v1/devices/nobody/secrets/" + secret,
		"/v1/services/d/secrets/" + secret, "/v1/operators/d/secrets/" + secret, "/v1/devices/d/secrets/..%2F" + secret,
	} {
		f.do(http.MethodDelete, path, nil).isProblem(http.StatusNotFound, "not-found")
	}
	path := "/v1/devices/d/secrets/" + secret
	f.do(http.MethodDelete, path, nil, "If-Match", "1").isProblem(http.StatusBadRequest, "bad-request")
	f.do(http.MethodDelete, path, nil, "If-Match", `"2"`).isProblem(http.StatusPreconditionFailed, "version-mismatch")
	f.do(http.MethodDelete, path+"?all=true", nil).isProblem(http.StatusUnprocessableEntity, "invalid")
	f.do(http.MethodDelete, path, nil, f.as("other", "services:write", "operators:write")...).
		isProblem(http.StatusForbidden, "insufficient-scope")
	record := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/devices/d", nil).is(http.StatusOK))
	if record.Version != 1 || len(record.Secrets) != 1 {
		t.Errorf("a refused request changed the record: %+v", record)
	}
	f.do(http.MethodDelete, path, nil).is(http.StatusOK)
	f.do(http.MethodDelete, path, nil).isProblem(http.StatusNotFound, "not-found")
}
