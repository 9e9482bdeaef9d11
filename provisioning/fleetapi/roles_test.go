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
	if role := decode[fleetapi.Role](patched); role.Description != "" || role.Grants[0].Scopes[0] != "sub:a" || patched.header.Get("ETag") != `"2"` {
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
