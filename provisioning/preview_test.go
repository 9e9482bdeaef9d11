package provisioning_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

func mqttGrants(scopes ...string) []provisioning.Grant {
	return []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: scopes}}
}

// guests makes the role guest and some of its holders: with a site, with another,
// with none, and with grants of its own.
func guests(t *testing.T, f *fixture) {
	t.Helper()
	_, err := f.CreateRole(t.Context(), provisioning.NewRole{ID: "guest", Grants: []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"sub:a/{labels.site}/+", "pub:b"}},
		{Audience: "https://calendar.example", Scopes: []string{"read:calendar"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for id, site := range map[string]string{"here": "x", "none": "", "there": "y"} {
		f.create(t, provisioning.NewClient{
			ID: id, Kind: provisioning.KindService, Roles: []string{"guest"}, Labels: map[string]string{"site": site},
		})
	}
	f.create(t, provisioning.NewClient{
		ID: "own", Kind: provisioning.KindService, Roles: []string{"guest"}, Labels: map[string]string{"site": "x"},
		Grants: mqttGrants("sub:a/#", "pub:#"),
	})
	f.create(t, provisioning.NewClient{ID: "stranger", Kind: provisioning.KindService})
}

func TestAPreviewNamesWhoGainsAndLosesWhat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	guests(t, f)
	got, err := f.registry.PreviewRole(t.Context(), "guest", provisioning.RoleProposal{Grants: []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"sub:a/{labels.site}/z", "pub:b", "pub:c/{client_id}"}},
	}}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	calendar := provisioning.Grant{Audience: "https://calendar.example", Scopes: []string{"read:calendar"}}
	loses := func(site string) []provisioning.Grant {
		return append([]provisioning.Grant{mqttGrants("sub:a/" + site + "/+")[0]}, calendar)
	}
	want := provisioning.RolePreview{Clients: []provisioning.ClientDiff{
		{ID: "here", Gains: mqttGrants("pub:c/here"), Loses: loses("x")},
		{ID: "none", Gains: mqttGrants("pub:c/none"), Loses: []provisioning.Grant{calendar}}, // never had the topics of a site
		{ID: "own", Loses: []provisioning.Grant{calendar}},                                   // has the topics by itself
		{ID: "there", Gains: mqttGrants("pub:c/there"), Loses: loses("y")},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestAPreviewOfAWiderGrantNamesNoLoss(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	guests(t, f)
	got, err := f.registry.PreviewRole(t.Context(), "guest", provisioning.RoleProposal{Grants: []provisioning.Grant{
		{Audience: provisioning.AudienceMQTT, Scopes: []string{"sub:a/#", "pub:b"}},
		{Audience: "https://calendar.example", Scopes: []string{"read:calendar"}},
	}}, "", 0)
	if err != nil || got.Unchanged != 1 || len(got.Clients) != 3 {
		t.Fatalf("got %+v, error %v", got, err)
	}
	for _, diff := range got.Clients {
		if len(diff.Loses) != 0 || !reflect.DeepEqual(diff.Gains, mqttGrants("sub:a/#")) {
			t.Errorf("got %+v", diff)
		}
	}
}

func TestAPreviewOfADeletionIsPagedAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	guests(t, f)
	var lost []string
	for cursor := ""; ; {
		page, err := f.registry.PreviewRole(t.Context(), "guest", provisioning.RoleProposal{Delete: true, Grants: mqttGrants("pub:x")}, cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, diff := range page.Clients {
			lost = append(lost, fmt.Sprint(diff.ID, " ", len(diff.Gains), " ", len(diff.Loses)))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if want := []string{"here 0 2", "none 0 2", "own 0 1", "there 0 2"}; !reflect.DeepEqual(lost, want) {
		t.Errorf("got %q, want %q", lost, want)
	}
	if role, err := f.registry.Role(t.Context(), "guest"); err != nil || role.Version != 1 || len(f.gate.judged) != 0 {
		t.Errorf("the preview has changed the role: %+v, error %v", role, err)
	}
}

func TestAPreviewOfWhatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	guests(t, f)
	_, err := f.registry.PreviewRole(t.Context(), "nobody", provisioning.RoleProposal{Delete: true}, "", 0)
	wantError(t, err, provisioning.ErrNotFound)
	_, err = f.registry.PreviewRole(t.Context(), provisioning.RoleFleetAdmin, provisioning.RoleProposal{Delete: true}, "", 0)
	wantError(t, err, provisioning.ErrBuiltIn)
	_, err = f.registry.PreviewRole(t.Context(), "guest", provisioning.RoleProposal{Grants: mqttGrants("pub:#/x")}, "", 0)
	wantFields(t, err, "grants[0].scopes[0]")
	_, err = f.registry.PreviewRole(t.Context(), "guest", provisioning.RoleProposal{}, "forged", 0)
	wantFields(t, err, "cursor")
	_, err = f.registry.PreviewRole(t.Context(), "guest", provisioning.RoleProposal{}, "", -1)
	wantFields(t, err, "limit")
}
