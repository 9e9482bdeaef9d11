package fleetapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// previewFixture has a role of two audiences with three holders, one of whom
// holds all topics anyway.
func previewFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.do(http.MethodPost, "/v1/roles", object{"id": "reader", "grants": []object{
		{"audience": provisioning.AudienceMQTT, "scopes": []string{"sub:a/{client_id}/+"}},
		{"audience": "https://calendar.example", "scopes": []string{"calendar:read"}},
	}}).is(http.StatusCreated)
	for _, id := range []string{"d-1", "d-2"} {
		f.create("devices", object{"id": id, "roles": []string{"reader"}})
	}
	f.create("services", object{"id": "s-all", "roles": []string{"reader"}, "grants": grant(provisioning.AudienceMQTT, "sub:#")})
	f.create("devices", object{"id": "d-none"})
	return f
}

func topics(scopes ...string) []fleetapi.Grant {
	return []fleetapi.Grant{{Audience: provisioning.AudienceMQTT, Scopes: scopes}}
}

func TestAPreviewShowsWhoWouldGainAndLoseWhatAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := previewFixture(t)
	query := "?" + url.Values{"scope": {"sub:a/{client_id}/x", "sub:b/{client_id}"}}.Encode()
	byQuery := f.do(http.MethodGet, "/v1/roles/reader/preview"+query, nil).is(http.StatusOK)
	byBody := f.do(http.MethodPost, "/v1/roles/reader/preview", object{"grants": []object{
		{"audience": "https://calendar.example", "scopes": []string{"calendar:read"}},
		{"audience": provisioning.AudienceMQTT, "scopes": []string{"sub:a/{client_id}/x", "sub:b/{client_id}"}},
	}}).is(http.StatusOK)
	want := fleetapi.RolePreview{Unchanged: 1, Items: []fleetapi.ClientDiff{
		{ID: "d-1", Gains: topics("sub:b/d-1"), Loses: topics("sub:a/d-1/+")},
		{ID: "d-2", Gains: topics("sub:b/d-2"), Loses: topics("sub:a/d-2/+")},
	}}
	for _, a := range []answer{byQuery, byBody} {
		if got := decode[fleetapi.RolePreview](a); !reflect.DeepEqual(got, want) {
			t.Errorf("%s answers %s, want %+v", a.what, a.text, want)
		}
	}
	if role := decode[fleetapi.Role](f.do(http.MethodGet, "/v1/roles/reader", nil)); role.Version != 1 {
		t.Errorf("a preview changed the role: %+v", role)
	}
	if lines := f.log.lines(t, "fleet API write"); len(lines) != 5 {
		t.Errorf("a preview is logged as a write: %v", lines)
	}
}

func TestThePreviewOfADeletionShowsWhatAllWouldLose(t *testing.T) {
	t.Parallel()
	f := previewFixture(t)
	byQuery := decode[fleetapi.RolePreview](f.do(http.MethodGet, "/v1/roles/reader/preview?delete=true", nil).is(http.StatusOK))
	byBody := decode[fleetapi.RolePreview](f.do(http.MethodPost, "/v1/roles/reader/preview", object{"delete": true}).is(http.StatusOK))
	if len(byQuery.Items) != 3 || !reflect.DeepEqual(byQuery, byBody) {
		t.Errorf("by query %+v, by body %+v", byQuery, byBody)
	}
	for _, diff := range byQuery.Items {
		if len(diff.Gains) != 0 || len(diff.Loses) == 0 {
			t.Errorf("by a deletion %s would gain %v and lose %v", diff.ID, diff.Gains, diff.Loses)
		}
	}
}

func TestAPreviewComesInParts(t *testing.T) {
	t.Parallel()
	f := previewFixture(t)
	for i := range 5 {
		f.create("devices", object{"id": fmt.Sprint("e-", i), "roles": []string{"reader"}})
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		var body any
		query := "limit=3"
		if method == http.MethodGet {
			query += "&scope=sub%3Az"
		} else {
			body = object{"grants": grant(provisioning.AudienceMQTT, "sub:z")}
		}
		seen, unchanged, cursor := 0, 0, ""
		for {
			a := f.do(method, "/v1/roles/reader/preview?"+query+cursor, body).is(http.StatusOK)
			preview := decode[fleetapi.RolePreview](a)
			if part := len(preview.Items) + preview.Unchanged; part > 3 {
				t.Fatalf("%s: a part of %d clients", a.what, part)
			}
			if more := a.header.Get("Link") != ""; method == http.MethodGet && more != (preview.NextCursor != "") {
				t.Errorf("Link is %q, next_cursor is %q", a.header.Get("Link"), preview.NextCursor)
			}
			seen, unchanged = seen+len(preview.Items), unchanged+preview.Unchanged
			if preview.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + url.QueryEscape(preview.NextCursor)
		}
		if seen+unchanged != 8 {
			t.Errorf("%s: saw %d changed and %d unchanged clients, want 8 in all", method, seen, unchanged)
		}
	}
}

func TestAPreviewOfNothingOrOfNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	f := previewFixture(t)
	for query, location := range map[string]string{
		"":                           "query.scope",
		"audience=boomgate%3Afleet":  "query.scope",
		"scope=sub%3Aa&delete=true":  "query.scope",
		"delete=perhaps":             "query.delete",
		"scope=sub%3Aa&limit=0":      "query.limit",
		"scope=sub%3Aa&cursor=none":  "query.cursor",
		"scope=sub%3Aa&scopes=sub:b": "query.scopes",
	} {
		p := f.do(http.MethodGet, "/v1/roles/reader/preview?"+query, nil).isProblem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) == 0 || p.Errors[0].Location != location {
			t.Errorf("%q: errors %+v, want one at %s", query, p.Errors, location)
		}
	}
	for _, body := range []any{
		object{"grants": grant(provisioning.AudienceMQTT, "sub:a"), "delete": true},
		object{"grants": grant(provisioning.AudienceMQTT, "sub:a/#/b")},
		object{"grants": grant(provisioning.AudienceFleet, "everything")},
		object{"scopes": []string{"sub:a"}},
	} {
		f.do(http.MethodPost, "/v1/roles/reader/preview", body).isProblem(http.StatusUnprocessableEntity, "invalid")
	}
	f.do(http.MethodGet, "/v1/roles/none/preview?delete=true", nil).isProblem(http.StatusNotFound, "not-found")
	f.do(http.MethodPost, "/v1/roles/none/preview", object{}).isProblem(http.StatusNotFound, "not-found")
	f.do(http.MethodGet, "/v1/roles/parking-sensor/preview?delete=true", nil).isProblem(http.StatusConflict, "built-in-role")
}
