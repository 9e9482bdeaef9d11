package fleetapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// A thumbprint, and another one.
const (
	thumbprint      = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"
	otherThumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

func TestAClientIsKnownByTheCertificatesOfItsRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	certificates := []object{
		{"x5t#S256": otherThumbprint},
		{"subject_dn": "CN=d,O=Example"},
		{"san_dns": "d.example"},
		{"san_uri": "urn:example:d"},
		{"san_ip": "192.0.2.1"},
		{"san_email": "d@example.com"},
	}
	want := []fleetapi.Certificate{
		{Thumbprint: otherThumbprint}, {SubjectDN: "CN=d,O=Example"}, {DNS: "d.example"}, {URI: "urn:example:d"}, {IP: "192.0.2.1"}, {Email: "d@example.com"},
	}
	created := f.create("devices", object{"id": "d", "certificates": certificates})
	shown := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/devices/d", nil).is(http.StatusOK))
	if !slices.Equal(created.Client.Certificates, want) || !slices.Equal(shown.Certificates, want) {
		t.Errorf("created with %+v, shown with %+v", created.Client.Certificates, shown.Certificates)
	}
	f.do(http.MethodPatch, "/v1/devices/d", object{"name": "x"}).is(http.StatusOK)
	patched := decode[fleetapi.UpdatedClient](f.do(http.MethodPatch, "/v1/devices/d", object{"certificates": certificates[1:2]}).is(http.StatusOK))
	if !slices.Equal(patched.Certificates, want[1:2]) {
		t.Errorf("patched to %+v", patched.Certificates)
	}
	if a := f.do(http.MethodPatch, "/v1/devices/d", `{"certificates":null}`).is(http.StatusOK); !strings.Contains(a.text, `"certificates":[]`) {
		t.Errorf("without certificates the record is %s", a.text)
	}
}

func TestACertificateThatIsNotSaidInOneWayIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := `{"x5t#S256":"` + otherThumbprint + `"}`
	cases := []struct {
		certificates string
		status       int
		problem      string
	}{
		{`[{}]`, 422, "invalid"},
		{`[{"x5t#S256":"` + otherThumbprint + `","san_dns":"d.example"}]`, 422, "invalid"},
		{`[{"x5t#S256":"too-short"}]`, 422, "invalid"},
		{`[{"san_ip":"300.0.0.1"}]`, 422, "invalid"},
		{`[{"serial":"1"}]`, 422, "invalid"},
		{`["` + otherThumbprint + `"]`, 422, "invalid"},
		{`[` + strings.Repeat(one+",", 8) + one + `]`, 422, "invalid"},
		{`[{"x5t#s256":"` + otherThumbprint + `"}]`, 400, "bad-request"},
		{`[{"X5T#S256":"` + otherThumbprint + `"}]`, 400, "bad-request"},
		{`[{"x5t#S256":"` + otherThumbprint + `","x5t#s256":"` + thumbprint + `"}]`, 400, "bad-request"},
		{`[{"x5t#S256":"` + otherThumbprint + `","x5t#S256":"` + thumbprint + `"}]`, 400, "bad-request"},
		{`[` + one + `]`, 201, ""},
	}
	for _, c := range cases {
		a := f.do(http.MethodPost, "/v1/devices", `{"certificates":`+c.certificates+`}`)
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.certificates, a.status, c.status, a.text)
		}
		if c.problem != "" {
			a.isProblem(c.status, c.problem)
		}
	}
}

func TestO6_ACertificateIsGivenOnlyByWhoHoldsTheRightsOfTheClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("operators", object{"id": "helper", "roles": []string{"fleet-viewer"}})
	f.create("devices", object{"id": "plain"})
	f.create("devices", object{"id": "trusted", "grants": grant(provisioning.AudienceFleet, "audit:read"), "certificates": []object{{"san_dns": "a.example"}, {"san_dns": "b.example"}}})
	mine := func(names ...string) object {
		var list []object
		for _, name := range names {
			list = append(list, object{"san_dns": name})
		}
		return object{"certificates": list}
	}
	cases := []struct {
		name, path string
		body       object
		scopes     []string
		status     int
	}{
		{"to root", "operators/root", mine("mine.example"), []string{"operators:write"}, 403},
		{"to oneself, with a narrow token", "operators/helper", mine("mine.example"), []string{"operators:write"}, 403},
		{"to who has no rights here", "devices/plain", mine("mine.example"), []string{"devices:write"}, 200},
		{"with a right that it is to protect", "devices/plain", object{"certificates": mine("x.example")["certificates"], "grants": grant(provisioning.AudienceFleet, "keys:write")}, []string{"devices:write"}, 403},
		{"in place of another", "devices/trusted", mine("a.example", "mine.example"), []string{"devices:write"}, 403},
		{"beside the others", "devices/trusted", mine("a.example", "b.example", "mine.example"), []string{"devices:write"}, 403},
		{"by who holds the rights", "devices/trusted", mine("a.example", "b.example", "c.example"), []string{"devices:write", "audit:read"}, 200},
		{"the same in another order", "devices/trusted", mine("b.example", "a.example", "c.example"), []string{"devices:write"}, 200},
		{"fewer", "devices/trusted", mine("a.example"), []string{"devices:write"}, 200},
	}
	for _, c := range cases {
		a := f.do(http.MethodPatch, "/v1/"+c.path, c.body, f.as("helper", c.scopes...)...)
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, a.status, c.status, a.text)
		}
		if c.status == http.StatusForbidden {
			a.isProblem(http.StatusForbidden, "escalation")
		}
	}
	if root := decode[fleetapi.Client](f.do(http.MethodGet, "/v1/operators/root", nil)); len(root.Certificates) != 0 {
		t.Errorf("a refused change was made: %+v", root.Certificates)
	}
}
