package fleetapi_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

func TestADeviceLivesFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	created := f.do(http.MethodPost, "/v1/devices", object{
		"id": "sensor-1", "name": "Level 1", "labels": object{"site": "north"}, "roles": []string{"parking-sensor"},
		"attributes": object{"department": "parking"}, "token_ttl": 600, "mqtt_client_ids": []string{"sensor-1"},
		"secret_expires_at": "2027-04-01T00:00:00Z",
	}).is(http.StatusCreated)
	credential := decode[fleetapi.Credential](created)
	if credential.ClientID != "sensor-1" || credential.TokenEndpoint != tokenEndpoint || credential.MQTTURL != mqttURL {
		t.Errorf("credential %+v lacks the ID or the addresses", credential)
	}
	if _, _, err := f.registry.Authenticate(t.Context(), "sensor-1", credential.ClientSecret); err != nil {
		t.Errorf("the secret in the answer does not work: %v", err)
	}
	if end := credential.ClientSecretExpiresAt; end == nil || !end.Equal(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("client_secret_expires_at is %v", end)
	}
	if got := created.header.Get("Location"); got != "/v1/devices/sensor-1" {
		t.Errorf("Location is %q", got)
	}
	if got := created.header.Get("ETag"); got != `"1"` {
		t.Errorf("ETag is %q", got)
	}

	shown := f.do(http.MethodGet, "/v1/devices/sensor-1", nil).is(http.StatusOK)
	record := decode[fleetapi.Client](shown)
	if record.Kind != "device" || record.Status != "active" || record.TokenTTL != 600 || record.Labels["site"] != "north" ||
		!slices.Equal(record.Roles, []string{"parking-sensor"}) || record.Attributes["department"] != "parking" {
		t.Errorf("the record is %s", shown.text)
	}
	if strings.Contains(shown.text, "last_token_at") || strings.Contains(shown.text, "hash") || strings.Contains(shown.text, credential.ClientSecret) {
		t.Errorf("the record shows a zero time, a hash or a secret: %s", shown.text)
	}

	f.sessions.open(fleetapi.Session{ID: "sensor-1", ClientID: "sensor-1", Subscriptions: 2})
	disabled := decode[fleetapi.ClientChange](f.do(http.MethodPost, "/v1/devices/sensor-1/disable", nil).is(http.StatusOK))
	if disabled.Client.Status != "disabled" || disabled.Receipt != (fleetapi.Receipt{Sessions: 1, Subscriptions: 2}) {
		t.Errorf("disable answered %+v", disabled)
	}
	if _, _, err := f.registry.Authenticate(t.Context(), "sensor-1", credential.ClientSecret); err == nil {
		t.Error("a disabled device is authenticated")
	}
	enabled := f.do(http.MethodPost, "/v1/devices/sensor-1/enable", nil).is(http.StatusOK)
	if change := decode[fleetapi.ClientChange](enabled); change.Client.Status != "active" || enabled.header.Get("ETag") != `"3"` {
		t.Errorf("enable answered %s with ETag %s", enabled.text, enabled.header.Get("ETag"))
	}

	f.do(http.MethodDelete, "/v1/devices/sensor-1", nil).is(http.StatusOK)
	f.do(http.MethodGet, "/v1/devices/sensor-1", nil).isProblem(http.StatusNotFound, "not-found")
	f.do(http.MethodPost, "/v1/devices", object{"id": "sensor-1"}).isProblem(http.StatusConflict, "exists")
}

func TestADeletionThatLeavesSomethingIsRepeated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{"id": "d"})
	f.sessions.open(fleetapi.Session{ID: "d", ClientID: "d"})
	f.sessions.keeping = errors.New("the retained messages are on another disk")
	a := f.do(http.MethodDelete, "/v1/devices/d", nil)
	p := a.isProblem(http.StatusServiceUnavailable, "incomplete")
	if a.header.Get("Retry-After") == "" || !strings.Contains(p.Detail, "Repeat") || strings.Contains(a.text, "disk") {
		t.Errorf("the refusal is %s", a.text)
	}
	if !strings.Contains(f.log.String(), "on another disk") {
		t.Errorf("the log does not say what is left: %s", f.log)
	}
	lines := f.log.lines(t, "fleet API write")
	if receipt, _ := lines[1]["receipt"].(object); lines[1]["outcome"] != "incomplete" || receipt["sessions_closed"] != 1.0 {
		t.Errorf("the log says %v", lines[1])
	}
	f.sessions.keeping = nil
	removal := decode[fleetapi.Removal](f.do(http.MethodDelete, "/v1/devices/d", nil).is(http.StatusOK))
	if removal.Receipt != (fleetapi.Receipt{Retained: 4}) {
		t.Errorf("the receipt is %+v", removal.Receipt)
	}
	f.do(http.MethodGet, "/v1/devices/d", nil).isProblem(http.StatusNotFound, "not-found")
}

func TestACreationWithoutABodyOfWishesGetsDefaults(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for plural, kind := range map[string]string{"devices": "device", "services": "service", "operators": "operator"} {
		a := f.do(http.MethodPost, "/v1/"+plural, object{}).is(http.StatusCreated)
		credential := decode[fleetapi.Credential](a)
		if credential.Client.Kind != kind || !strings.HasPrefix(credential.ClientID, kind+"-") {
			t.Errorf("%s: created %+v", plural, credential.Client)
		}
		for _, want := range []string{`"client_secret_expires_at":null`, `"labels":{}`, `"roles":[]`, `"grants":[]`, `"attributes":{}`, `"mqtt_client_ids":[]`} {
			if !strings.Contains(a.text, want) {
				t.Errorf("%s: the answer lacks %s: %s", plural, want, a.text)
			}
		}
	}
}

func TestAClientIsFoundUnderItsOwnKindOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kinds := []string{"devices", "services", "operators"}
	for _, plural := range kinds {
		f.create(plural, object{"id": "of-" + plural})
	}
	requests := []struct{ method, suffix, body string }{
		{http.MethodGet, "", ""},
		{http.MethodPatch, "", `{"name":"x"}`},
		{http.MethodDelete, "", ""},
		{http.MethodPost, "/disable", ""},
		{http.MethodPost, "/enable", ""},
		{http.MethodPost, "/rotate", ""},
		{http.MethodDelete, "/secrets/secret-1", ""},
	}
	for _, plural := range kinds {
		for _, other := range kinds {
			if other == plural {
				continue
			}
			for _, r := range requests {
				f.do(r.method, "/v1/"+other+"/of-"+plural+r.suffix, orNil(r.body)).isProblem(http.StatusNotFound, "not-found")
			}
		}
		if list := decode[fleetapi.Page[fleetapi.Client]](f.do(http.MethodGet, "/v1/"+plural, nil)); slices.ContainsFunc(list.Items,
			func(c fleetapi.Client) bool { return c.Kind != strings.TrimSuffix(plural, "s") }) {
			t.Errorf("the list of %s holds other kinds: %+v", plural, list.Items)
		}
		record := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/"+plural+"/of-"+plural, nil).is(http.StatusOK))
		if record.Version != 1 || record.Status != "active" {
			t.Errorf("a request under another kind reached %+v", record)
		}
	}
}

func orNil(body string) any {
	if body == "" {
		return nil
	}
	return body
}

func TestAPatchMergesAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("devices", object{
		"id": "d", "name": "before", "labels": object{"site": "north", "floor": "1"}, "roles": []string{"parking-sensor"},
		"attributes": object{"a": "1"}, "token_ttl": 600, "grants": grant("boomgate:mqtt", "pub:a/b"), "mqtt_client_ids": []string{"x"},
	})
	steps := []struct {
		name, patch string
		holds       func(c fleetapi.Client) bool
	}{
		{"a label is changed, another taken, a third added", `{"labels":{"site":"south","floor":null,"spot":"7"}}`, func(c fleetapi.Client) bool {
			return len(c.Labels) == 2 && c.Labels["site"] == "south" && c.Labels["spot"] == "7" && c.Name == "before" && len(c.Roles) == 1
		}},
		{"a list is replaced", `{"grants":[{"audience":"boomgate:mqtt","scopes":["sub:x"]}]}`, func(c fleetapi.Client) bool {
			return len(c.Grants) == 1 && c.Grants[0].Scopes[0] == "sub:x"
		}},
		{"null takes away", `{"name":null,"labels":null,"roles":null,"grants":null,"attributes":null,"token_ttl":null,"mqtt_client_ids":null}`, func(c fleetapi.Client) bool {
			return c.Name == "" && len(c.Labels)+len(c.Roles)+len(c.Grants)+len(c.Attributes)+len(c.MQTTClientIDs) == 0 && c.TokenTTL == 0
		}},
		{"maps come back", `{"labels":{"site":"west"},"token_ttl":60}`, func(c fleetapi.Client) bool {
			return c.Labels["site"] == "west" && c.TokenTTL == 60
		}},
	}
	for i, step := range steps {
		contentType := []string{"application/merge-patch+json", "application/json", "application/json; charset=utf-8", ""}[i]
		a := f.do(http.MethodPatch, "/v1/devices/d", step.patch, "Content-Type", contentType).is(http.StatusOK)
		record := decode[fleetapi.UpdatedClient](a).Client
		if !step.holds(record) || record.Version != uint64(i+2) || record.Secrets[0].ID == "" {
			t.Errorf("%s: the record is %s", step.name, a.text)
		}
	}
	if a := f.do(http.MethodPatch, "/v1/devices/d", `{}`).is(http.StatusOK); a.header.Get("ETag") != `"5"` {
		t.Errorf("a patch that changes nothing made version %s", a.header.Get("ETag"))
	}
	for _, patch := range []string{`{"id":"e"}`, `{"kind":"operator"}`, `{"status":"disabled"}`, `{"secrets":[]}`, `{"version":9}`, `[]`, `"x"`, `null`, `{"labels":{"a":{"b":"c"}}}`, `{"roles":"x"}`} {
		f.do(http.MethodPatch, "/v1/devices/d", patch).isProblem(http.StatusUnprocessableEntity, "invalid")
	}
}

func TestARotationShowsTheNewSecretAndEndsTheOld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.create("services", object{"id": "s"})
	works := func(secret string) bool {
		_, _, err := f.registry.Authenticate(t.Context(), "s", secret)
		return err == nil
	}

	overlapping := decode[fleetapi.Credential](f.do(http.MethodPost, "/v1/services/s/rotate",
		object{"overlap": 3600, "comment": "quarterly", "secret_expires_at": "2028-01-01T00:00:00Z"}).is(http.StatusOK))
	if !works(first.ClientSecret) || !works(overlapping.ClientSecret) {
		t.Error("within the overlap one of the two secrets does not work")
	}
	newest := overlapping.Client.Secrets[1]
	if len(overlapping.Client.Secrets) != 2 || newest.Comment != "quarterly" || overlapping.ClientSecretExpiresAt == nil {
		t.Errorf("rotate answered %+v", overlapping)
	}
	f.clock.forward(time.Hour)
	if works(first.ClientSecret) || !works(overlapping.ClientSecret) {
		t.Error("after the overlap the old secret works, or the new one does not")
	}

	f.sessions.open(fleetapi.Session{ID: "s:1", ClientID: "s"})
	a := f.do(http.MethodPost, "/v1/services/s/rotate", nil).is(http.StatusOK)
	last := decode[fleetapi.Credential](a)
	if works(overlapping.ClientSecret) || !works(last.ClientSecret) || len(last.Client.Secrets) != 1 {
		t.Errorf("a rotation without a body left %+v", last.Client.Secrets)
	}
	if last.Receipt == nil || last.Receipt.Sessions != 1 || a.header.Get("ETag") != `"3"` {
		t.Errorf("rotate answered %s with ETag %s", a.text, a.header.Get("ETag"))
	}
	f.do(http.MethodPost, "/v1/services/s/rotate", object{"secret_expires_at": "2020-01-01T00:00:00Z"}).
		isProblem(http.StatusUnprocessableEntity, "invalid")
}

func TestEveryFaultOfARecordIsNamedAtItsPlace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := []struct {
		name      string
		body      object
		locations []string
	}{
		{"ID", object{"id": "Not_An_ID"}, []string{"body.id"}},
		{"unknown role", object{"roles": []string{"parking-sensor", "no-such-role"}}, []string{"body.roles[1]"}},
		{"broken template", object{"grants": grant("boomgate:mqtt", "pub:a/#/b")}, []string{"body.grants[0].scopes[0]"}},
		{"unknown scope of this API", object{"grants": grant("boomgate:fleet", "devices:read", "everything")}, []string{"body.grants[0].scopes[1]"}},
		{"no audience", object{"grants": []object{{"scopes": []string{"pub:a"}}}}, []string{"body.grants[0]"}},
		{"lifetime", object{"token_ttl": 1}, []string{"body.token_ttl"}},
		{"lifetime of the wrong type", object{"token_ttl": "1h"}, []string{"body.token_ttl"}},
		{"reserved claim", object{"attributes": object{"aud": "x"}}, []string{"body.attributes.aud"}},
		{"past end", object{"secret_expires_at": "2001-01-01T00:00:00Z"}, []string{"body.secret_expires_at"}},
		{"no time", object{"secret_expires_at": "tomorrow"}, []string{"body.secret_expires_at"}},
		{"label that is no text", object{"labels": object{"site": 5}}, []string{"body.labels.site"}},
		{"unknown member", object{"colour": "red"}, []string{"body.colour"}},
		{"several", object{"token_ttl": 1, "labels": object{"a": nil}, "roles": 5}, []string{"body.labels.a", "body.roles", "body.token_ttl"}},
		{"several of the domain", object{"attributes": object{"sub": "x"}, "roles": []string{"nobody"}}, []string{"body.attributes.sub", "body.roles[0]"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := *f
			f.tb = t
			var locations []string
			for _, fault := range f.do(http.MethodPost, "/v1/devices", c.body).isProblem(http.StatusUnprocessableEntity, "invalid").Errors {
				if fault.Message == "" {
					t.Errorf("%s has no message", fault.Location)
				}
				locations = append(locations, fault.Location)
			}
			slices.Sort(locations)
			if !slices.Equal(locations, c.locations) {
				t.Errorf("faults at %q, want %q", locations, c.locations)
			}
		})
	}
}

func TestTheLastOperatorWithFullRightsCannotBeLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	requests := []struct{ method, suffix, body string }{
		{http.MethodDelete, "", ""},
		{http.MethodPost, "/disable", ""},
		{http.MethodPatch, "", `{"roles":["fleet-viewer"]}`},
	}
	root := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/operators/root", nil))
	requests = append(requests, struct{ method, suffix, body string }{http.MethodDelete, "/secrets/" + root.Secrets[0].ID, ""})
	f.create("operators", object{"id": "viewer", "roles": []string{"fleet-viewer"}})
	f.create("services", object{"id": "robot", "roles": []string{"fleet-admin"}})
	for _, r := range requests {
		p := f.do(r.method, "/v1/operators/root"+r.suffix, orNil(r.body)).isProblem(http.StatusConflict, "last-operator")
		if !strings.Contains(p.Detail, "another operator first") {
			t.Errorf("the refusal does not say what to do: %s", p.Detail)
		}
	}
	f.create("operators", object{"id": "second", "roles": []string{"fleet-admin"}})
	f.do(http.MethodPost, "/v1/operators/root/disable", nil).is(http.StatusOK)
	f.do(http.MethodDelete, "/v1/operators/second", nil).isProblem(http.StatusConflict, "last-operator")
	f.do(http.MethodPost, "/v1/operators/root/enable", nil).is(http.StatusOK)
	f.do(http.MethodDelete, "/v1/operators/second", nil).is(http.StatusOK)
}

func TestRightsAreHandedOutOnlyByWhoHoldsThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(http.MethodPost, "/v1/roles", object{"id": "auditor", "grants": grant(provisioning.AudienceFleet, "audit:read")}).is(http.StatusCreated)
	f.do(http.MethodPost, "/v1/roles", object{"id": "reader", "grants": grant(provisioning.AudienceMQTT, "sub:a/#")}).is(http.StatusCreated)
	f.create("devices", object{"id": "plain"})
	f.create("devices", object{"id": "trusted", "grants": grant(provisioning.AudienceFleet, "audit:read", "keys:write")})
	f.create("operators", object{"id": "helper", "roles": []string{"fleet-viewer"}})

	fleet := func(scopes ...string) object { return object{"grants": grant(provisioning.AudienceFleet, scopes...)} }
	cases := []struct {
		name         string
		caller       []string
		method, path string
		body         any
		status       int
	}{
		{"a scope to a new device", []string{"devices:write"}, http.MethodPost, "devices", fleet("keys:write"), 403},
		{"a scope that the caller holds", []string{"devices:write", "keys:read"}, http.MethodPost, "devices", fleet("keys:read", "devices:write"), 201},
		{"a role of this API to a new service", []string{"services:write"}, http.MethodPost, "services", object{"roles": []string{"fleet-admin"}}, 403},
		{"a role of the broker", []string{"services:write"}, http.MethodPost, "services", object{"roles": []string{"reader"}}, 201},
		{"topics", []string{"devices:write"}, http.MethodPost, "devices", object{"grants": grant(provisioning.AudienceMQTT, "pub:#")}, 201},
		{"an operator with nothing", []string{"operators:write"}, http.MethodPost, "operators", object{}, 201},
		{"an operator with more than the caller", []string{"operators:write"}, http.MethodPost, "operators", object{"roles": []string{"auditor"}}, 403},
		{"an operator with a role whose rights the caller holds", []string{"operators:write", "audit:read"}, http.MethodPost, "operators", object{"roles": []string{"auditor"}}, 201},
		{"a role by a change", []string{"devices:write"}, http.MethodPatch, "devices/plain", object{"roles": []string{"auditor"}}, 403},
		{"a scope by a change", []string{"devices:write"}, http.MethodPatch, "devices/plain", fleet("roles:write"), 403},
		{"the caller's own record", []string{"operators:write"}, http.MethodPatch, "operators/helper", object{"roles": []string{"fleet-admin"}}, 403},
		{"a change that gives nothing new", []string{"devices:write"}, http.MethodPatch, "devices/trusted", object{"name": "renamed"}, 200},
		{"a change that takes away", []string{"devices:write"}, http.MethodPatch, "devices/trusted", fleet("audit:read", "keys:write"), 200},
		{"a change that adds to what was held", []string{"devices:write"}, http.MethodPatch, "devices/trusted", fleet("audit:read", "keys:write", "keys:read"), 403},
		{"a secret of one who holds more", []string{"devices:write"}, http.MethodPost, "devices/trusted/rotate", nil, 403},
		{"a secret of root", []string{"operators:write"}, http.MethodPost, "operators/root/rotate", nil, 403},
		{"a secret of one who holds as much", []string{"devices:write", "audit:read", "keys:write"}, http.MethodPost, "devices/trusted/rotate", nil, 200},
		{"a new role", []string{"roles:write"}, http.MethodPost, "roles", object{"id": "escalator", "grants": grant(provisioning.AudienceFleet, "keys:write")}, 403},
		{"a new role of topics", []string{"roles:write"}, http.MethodPost, "roles", object{"id": "topics", "grants": grant(provisioning.AudienceMQTT, "pub:a")}, 201},
		{"a widened role", []string{"roles:write"}, http.MethodPatch, "roles/auditor", object{"grants": grant(provisioning.AudienceFleet, "audit:read", "audit:write")}, 403},
		{"a described role", []string{"roles:write"}, http.MethodPatch, "roles/auditor", object{"description": "looks on"}, 200},
		{"a role widened by who holds it", []string{"roles:write", "audit:write"}, http.MethodPatch, "roles/auditor", object{"grants": grant(provisioning.AudienceFleet, "audit:read", "audit:write")}, 200},
	}
	for _, c := range cases {
		a := f.do(c.method, "/v1/"+c.path, c.body, f.as("helper", c.caller...)...)
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, a.status, c.status, a.text)
		}
		if c.status == http.StatusForbidden {
			a.isProblem(http.StatusForbidden, "escalation")
			if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) {
				t.Errorf("%s: WWW-Authenticate is %q", c.name, challenge)
			}
		}
	}
	if record := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/operators/helper", nil)); !slices.Equal(record.Roles, []string{"fleet-viewer"}) {
		t.Errorf("a refused change was made: %v", record.Roles)
	}
}
