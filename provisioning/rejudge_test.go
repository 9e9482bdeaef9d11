package provisioning_test

import (
	"slices"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestAChangeOfRightsHasTheSessionsJudgedAnew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*provisioning.Client)
		judged bool
	}{
		"roles":           {func(c *provisioning.Client) { c.Roles = nil }, true},
		"grants":          {func(c *provisioning.Client) { c.Grants[0].Scopes[0] = "pub:b" }, true},
		"labels":          {func(c *provisioning.Client) { c.Labels["site"] = "garage-2" }, true},
		"attributes":      {func(c *provisioning.Client) { c.Attributes = map[string]string{"x": "y"} }, true},
		"MQTT client IDs": {func(c *provisioning.Client) { c.MQTTClientIDs = []string{"*"} }, true},
		"name":            {func(c *provisioning.Client) { c.Name = "new" }, false},
		"token TTL":       {func(c *provisioning.Client) { c.TokenTTL = time.Hour }, false},
		"nothing":         {func(*provisioning.Client) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil)
			n := sensor("a")
			n.Grants = []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:a"}}}
			f.create(t, n)
			_, receipt, err := f.Update(t.Context(), "a", 0, func(client *provisioning.Client) error { c.change(client); return nil })
			if err != nil || (receipt.Rejudged == 1) != c.judged || slices.Equal(f.gate.judged, []string{"a: rights changed"}) != c.judged {
				t.Errorf("got %+v, error %v, judged %q", receipt, err, f.gate.judged)
			}
			if len(f.gate.closed) != 0 {
				t.Errorf("sessions were closed: %q", f.gate.closed)
			}
		})
	}
}

func TestAChangeOfARoleHasTheSessionsOfItsHoldersJudgedAnew(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	if _, err := f.CreateRole(t.Context(), newRole("guest")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*provisioning.Role)
		judged int
	}{
		{func(r *provisioning.Role) { r.Description = "new" }, 0},
		{func(*provisioning.Role) {}, 0},
		{func(r *provisioning.Role) { r.Grants = nil }, 1},
		{func(r *provisioning.Role) { r.Limits.Sessions = 3 }, 1},
	} {
		_, receipt, err := f.UpdateRole(t.Context(), "guest", 0, func(r *provisioning.Role) error { c.change(r); return nil })
		if err != nil || receipt.Rejudged != c.judged {
			t.Errorf("got %+v, error %v, want %d judged", receipt, err, c.judged)
		}
	}
	// Who held it a moment ago may still be judged by it.
	receipt, err := f.DeleteRole(t.Context(), "guest", 0)
	if err != nil || receipt.Rejudged != 1 {
		t.Errorf("got %+v, error %v", receipt, err)
	}
	want := provisioning.Selection{Role: "guest"}
	if !slices.Equal(f.gate.selected, []provisioning.Selection{want, want, want}) {
		t.Errorf("judged were %+v", f.gate.selected)
	}
}
