package fleetapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// oddIDs are MQTT client IDs that try a path: MQTT takes any UTF-8.
var oddIDs = []string{"plain", "with space", "a/b", "a/../b", "..", "a//b", "äöü", "100%", "q?x=1#f", "disable", strings.Repeat("x", 300)}

func TestSessionsAreListedShownAndClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range oddIDs {
		f.sessions.open(fleetapi.Session{ID: id, ClientID: "device-1", Protocol: "5", Subscriptions: 3})
	}
	other := fleetapi.Session{ID: "other", ClientID: "device-2", Protocol: "3.1.1", TokenID: "jti-1", Renewals: 2, Refused: 3}
	f.sessions.open(other)

	list := decode[fleetapi.Page[fleetapi.Session]](f.do(http.MethodGet, "/v1/sessions?client_id=device-2", nil).is(http.StatusOK))
	if len(list.Items) != 1 || list.Items[0] != other || list.NextCursor != "" {
		t.Errorf("sessions of device-2: %+v", list)
	}
	for _, id := range oddIDs {
		path := "/v1/sessions/" + strings.ReplaceAll(url.PathEscape(id), ".", "%2E")
		if session := decode[fleetapi.Session](f.do(http.MethodGet, path, nil).is(http.StatusOK)); session.ID != id {
			t.Errorf("GET %s shows %q", path, session.ID)
		}
		removal := decode[fleetapi.Removal](f.do(http.MethodDelete, path, nil).is(http.StatusOK))
		if removal.Receipt != (fleetapi.Receipt{Sessions: 1, Subscriptions: 3}) {
			t.Errorf("DELETE %s answered %+v", path, removal)
		}
		f.do(http.MethodGet, path, nil).isProblem(http.StatusNotFound, "not-found")
		f.do(http.MethodDelete, path, nil).isProblem(http.StatusNotFound, "not-found")
	}
	for _, line := range f.log.lines(t, "fleet API write") {
		if target := line["target"]; target != "device-1" && target != "" {
			t.Errorf("the log repeats what a device named itself: %v", line)
		}
	}
}

func TestSessionsComeInPartsInOrderOfTheirIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range oddIDs {
		f.sessions.open(fleetapi.Session{ID: id, ClientID: "d"})
	}
	seen := pages(f, "/v1/sessions?client_id=d&limit=2", func(s fleetapi.Session) string { return s.ID })
	if len(seen) != len(oddIDs) {
		t.Errorf("saw %d sessions, want %d: %q", len(seen), len(oddIDs), seen)
	}
	f.do(http.MethodGet, "/v1/sessions?cursor=%2A%2A", nil).isProblem(http.StatusUnprocessableEntity, "invalid")
	if a := f.do(http.MethodGet, "/v1/sessions?client_id=nobody", nil).is(http.StatusOK); !strings.Contains(a.text, `"items":[]`) {
		t.Errorf("an empty list is %s", a.text)
	}
}
