package fleetapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestARoleLivesFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	created := f.do(http.MethodPost, "/v1/roles", object{
		"id": "site-reader", "description": "Reads.", "grants": grant("boomgate:mqtt", "sub:parking/v1/{labels.site}/+/state"),
	}).is(http.StatusCreated)
	if created.header.Get("Location") != "/v1/roles/site-reader" || created.header.Get("ETag") != `"1"` {
		t.Errorf("create answered Location %q and ETag %q", created.header.Get("Location"), created.header.Get("ETag"))
	}
	shown := f.do(http.MethodGet, "/v1/roles/site-reader", nil).is(http.StatusOK)
	if shown.text != created.text {
		t.Errorf("created %s, shown %s", created.text, shown.text)
	}
	f.do(http.MethodPost, "/v1/roles", object{"id": "site-reader"}).isProblem(http.StatusConflict, "exists")

	patched := f.do(http.MethodPatch, "/v1/roles/site-reader", `{"description":null,"grants":[{"audience":"boomgate:mqtt","scopes":["sub:a"]}]}`,
		"If-Match", `"1"`).is(http.StatusOK)
	if role := decode[fleetapi.UpdatedRole](patched); role.Description != "" || role.Grants[0].Scopes[0] != "sub:a" || patched.header.Get("ETag") != `"2"` {
		t.Errorf("update answered %s with ETag %s", patched.text, patched.header.Get("ETag"))
	}
	a := f.do(http.MethodPatch, "/v1/roles/site-reader", `{"description":"x"}`, "If-Match", `"1"`)
	a.isProblem(http.StatusPreconditionFailed, "version-mismatch")
	if a.header.Get("ETag") != `"2"` {
		t.Errorf("the refusal names ETag %q, want \"2\"", a.header.Get("ETag"))
	}

	f.create("devices", object{"id": "d", "roles": []string{"site-reader"}})
	if p := f.do(http.MethodDelete, "/v1/roles/site-reader", nil).isProblem(http.StatusConflict, "role-in-use"); !strings.Contains(p.Detail, "1") {
		t.Errorf("the refusal does not say how many hold the role: %s", p.Detail)
	}
	f.do(http.MethodPatch, "/v1/devices/d", `{"roles":[]}`).is(http.StatusOK)
	f.do(http.MethodDelete, "/v1/roles/site-reader", nil).is(http.StatusOK)
	f.do(http.MethodGet, "/v1/roles/site-reader", nil).isProblem(http.StatusNotFound, "not-found")
	f.do(http.MethodDelete, "/v1/roles/site-reader", nil).isProblem(http.StatusNotFound, "not-found")
}

func TestTheLimitsOfARoleAreSetChangedAndTakenAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := object{
		"max_sessions": 1, "max_connects_per_minute": 2, "max_messages_per_second": 3, "max_bytes_per_second": 4,
		"max_subscriptions": 5, "max_retained": 6, "max_payload_bytes": 7,
	}
	created := decode[fleetapi.Role](f.do(http.MethodPost, "/v1/roles", object{"id": "r", "limits": all}).is(http.StatusCreated))
	if created.Limits != (fleetapi.Limits{1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("the limits are %+v", created.Limits)
	}
	kept, err := f.registry.Role(t.Context(), "r")
	must(t, err)
	if kept.Limits != provisioning.Limits(created.Limits) {
		t.Errorf("kept are the limits %+v", kept.Limits)
	}
	steps := []struct {
		patch string
		want  fleetapi.Limits
	}{
		{`{"limits":{"max_sessions":9}}`, fleetapi.Limits{9, 2, 3, 4, 5, 6, 7}},
		{`{"limits":{"max_sessions":null,"max_retained":0}}`, fleetapi.Limits{0, 2, 3, 4, 5, 0, 7}},
		{`{"description":"x"}`, fleetapi.Limits{0, 2, 3, 4, 5, 0, 7}},
		{`{"limits":null}`, fleetapi.Limits{}},
	}
	for _, step := range steps {
		a := f.do(http.MethodPatch, "/v1/roles/r", step.patch).is(http.StatusOK)
		if role := decode[fleetapi.UpdatedRole](a); role.Limits != step.want {
			t.Errorf("%s makes the limits %+v, want %+v", step.patch, role.Limits, step.want)
		}
	}
	for _, limits := range []string{`{"max_sessions":-1}`, `{"max_sessions":1.5}`, `{"max_sessions":4294967296}`, `{"sessions":1}`, `[]`, `5`} {
		f.do(http.MethodPatch, "/v1/roles/r", `{"limits":`+limits+`}`).isProblem(http.StatusUnprocessableEntity, "invalid")
		f.do(http.MethodPost, "/v1/roles", `{"id":"s","limits":`+limits+`}`).isProblem(http.StatusUnprocessableEntity, "invalid")
	}
}

func TestAChangedRoleHasItsSessionsJudgedAnewAndSaysSo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(http.MethodPost, "/v1/roles", object{"id": "r", "grants": grant(provisioning.AudienceMQTT, "sub:a/#")}).is(http.StatusCreated)
	narrowed := decode[fleetapi.UpdatedRole](f.do(http.MethodPatch, "/v1/roles/r", object{"grants": grant(provisioning.AudienceMQTT, "sub:a")}).is(http.StatusOK))
	if narrowed.Receipt != (fleetapi.Receipt{Rejudged: 1}) || !slices.Contains(f.sessions.judged, provisioning.Selection{Role: "r"}) {
		t.Errorf("the receipt is %+v, judged were %+v", narrowed.Receipt, f.sessions.judged)
	}
	described := decode[fleetapi.UpdatedRole](f.do(http.MethodPatch, "/v1/roles/r", `{"description":"x"}`).is(http.StatusOK))
	if described.Receipt != (fleetapi.Receipt{}) {
		t.Errorf("a description ends something: %+v", described.Receipt)
	}
	if removal := f.do(http.MethodDelete, "/v1/roles/r", nil).is(http.StatusOK); !strings.Contains(removal.text, `"receipt":{`) {
		t.Errorf("a deletion answers %s", removal.text)
	}
}

func TestBuiltInRolesAreListedAndStayAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ids []string
	for _, role := range decode[fleetapi.Page[fleetapi.Role]](f.do(http.MethodGet, "/v1/roles", nil).is(http.StatusOK)).Items {
		if !role.BuiltIn || len(role.Grants) == 0 {
			t.Errorf("%+v is not built in or grants nothing", role)
		}
		ids = append(ids, role.ID)
	}
	if want := []string{"fleet-admin", "fleet-viewer", "parking-sensor", "telemetry-reader"}; !slices.Equal(ids, want) {
		t.Errorf("roles %q, want %q", ids, want)
	}
	f.do(http.MethodPatch, "/v1/roles/fleet-viewer", object{"grants": grant(provisioning.AudienceMQTT, "pub:#")}).isProblem(http.StatusConflict, "built-in-role")
	f.do(http.MethodDelete, "/v1/roles/fleet-viewer", nil).isProblem(http.StatusConflict, "built-in-role")
}
