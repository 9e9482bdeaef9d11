package provisioning_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestEveryFaultOfAClientIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, _, err := f.Create(t.Context(), provisioning.NewClient{
		ID: "Not an ID", Kind: "robot", Name: strings.Repeat("n", 257),
		Labels: map[string]string{"site": "a\x00b", "": "x", "two words": "x", "ok": ""},
		Roles:  []string{provisioning.RoleParkingSensor, "no-such-role", "Bad Role", provisioning.RoleParkingSensor},
		Grants: []provisioning.Grant{
			{Audience: "", Scopes: []string{"x"}},
			{Audience: provisioning.AudienceMQTT, Scopes: []string{"pub:a/{client_id}", "pub:a/#/b", "sub:{labelz.site}", ""}},
			{Audience: provisioning.AudienceFleet, Scopes: []string{"devices:read", "devices:reed"}},
			{Audience: "https://calendar.example", Scopes: []string{"read:calendar", `quo"te`, "two words"}},
			{Audience: "two words", Scopes: nil},
		},
		Attributes: map[string]string{"department": "sales", "EXP": "1", "sub": "x", "https://example/x": "ok", "bad name": "x"},
		TokenTTL:   time.Second, MQTTClientIDs: []string{"a:*", "", "b\n"}, SecretExpiresAt: epoch,
	})
	wantFields(t, err, "id", "kind", "name", `labels[""]`, "labels.site", `labels["two words"]`, "roles[2]", "roles[3]",
		"grants[0].audience", "grants[1].scopes[1]", "grants[1].scopes[2]", "grants[1].scopes[3]", "grants[2].scopes[1]",
		"grants[3].scopes[1]", "grants[3].scopes[2]", "grants[4].audience", "grants[4].scopes",
		"attributes.EXP", `attributes["bad name"]`, "attributes.sub", "token_ttl", "mqtt_client_ids[1]", "mqtt_client_ids[2]",
		"secret_expires_at", "roles[1]")
	for _, text := range []string{"{labelz.site}", "{labels.x}", `no role "no-such-role"`, "sessions:write"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

func TestEveryBoundOfAClientIsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	many := func(n int) (m map[string]string) {
		m = map[string]string{}
		for i := range n {
			m[fmt.Sprint("k", i)] = ""
		}
		return m
	}
	list := func(n int) (l []string) {
		for i := range n {
			l = append(l, fmt.Sprint("x", i))
		}
		return l
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	mqtt := func(scopes ...string) []provisioning.Grant {
		return []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: scopes}}
	}
	for _, c := range []struct {
		name  string
		set   func(n *provisioning.NewClient)
		field string // "" if it is within bounds
	}{
		{"the longest ID", func(n *provisioning.NewClient) { n.ID = long(64) }, ""},
		{"an ID too long", func(n *provisioning.NewClient) { n.ID = long(65) }, "id"},
		{"an ID with a dash first", func(n *provisioning.NewClient) { n.ID = "-a" }, "id"},
		{"an ID with a dot", func(n *provisioning.NewClient) { n.ID = "a.b" }, "id"},
		{"no kind", func(n *provisioning.NewClient) { n.Kind = "" }, "kind"},
		{"a name that is not UTF-8", func(n *provisioning.NewClient) { n.Name = "\xff" }, "name"},
		{"a name with a line break", func(n *provisioning.NewClient) { n.Name = "a\nb" }, "name"},
		{"a name of letters beyond ASCII", func(n *provisioning.NewClient) { n.Name = "Парковка 7 ✓" }, ""},
		{"the most labels", func(n *provisioning.NewClient) { n.Labels = many(64) }, ""},
		{"too many labels", func(n *provisioning.NewClient) { n.Labels = many(65) }, "labels"},
		{"the longest label", func(n *provisioning.NewClient) { n.Labels = map[string]string{long(63): long(256)} }, ""},
		{"a label's key too long", func(n *provisioning.NewClient) { n.Labels = map[string]string{long(64): ""} }, `labels["` + long(64) + `"]`},
		{"a label too long", func(n *provisioning.NewClient) { n.Labels = map[string]string{"k": long(257)} }, "labels.k"},
		{"a label with wildcards", func(n *provisioning.NewClient) { n.Labels = map[string]string{"site": "+/#"} }, ""},
		{"too many roles", func(n *provisioning.NewClient) { n.Roles = list(65) }, "roles"},
		{"the most scopes", func(n *provisioning.NewClient) { n.Grants = []provisioning.Grant{{Audience: "x", Scopes: list(256)}} }, ""},
		{"too many scopes", func(n *provisioning.NewClient) { n.Grants = []provisioning.Grant{{Audience: "x", Scopes: list(257)}} }, "grants"},
		{"a scope too long", func(n *provisioning.NewClient) { n.Grants = mqtt("pub:" + long(1021)) }, "grants[0].scopes[0]"},
		{"a scope of no placeholder's name", func(n *provisioning.NewClient) { n.Grants = mqtt("pub:{") }, "grants[0].scopes[0]"},
		{"an audience too long", func(n *provisioning.NewClient) {
			n.Grants = []provisioning.Grant{{Audience: long(257), Scopes: list(1)}}
		}, "grants[0].audience"},
		{"the most attributes", func(n *provisioning.NewClient) { n.Attributes = many(32) }, ""},
		{"too many attributes", func(n *provisioning.NewClient) { n.Attributes = many(33) }, "attributes"},
		{"an attribute too long", func(n *provisioning.NewClient) { n.Attributes = map[string]string{"k": long(1025)} }, "attributes.k"},
		{"a claim of the issuer", func(n *provisioning.NewClient) { n.Attributes = map[string]string{"Client_ID": "x"} }, "attributes.Client_ID"},
		{"the shortest lifetime", func(n *provisioning.NewClient) { n.TokenTTL = time.Minute }, ""},
		{"the longest lifetime", func(n *provisioning.NewClient) { n.TokenTTL = 24 * time.Hour }, ""},
		{"a lifetime too long", func(n *provisioning.NewClient) { n.TokenTTL = 24*time.Hour + time.Second }, "token_ttl"},
		{"a negative lifetime", func(n *provisioning.NewClient) { n.TokenTTL = -time.Hour }, "token_ttl"},
		{"a lifetime with a fraction", func(n *provisioning.NewClient) { n.TokenTTL = time.Hour + time.Millisecond }, "token_ttl"},
		{"too many MQTT client IDs", func(n *provisioning.NewClient) { n.MQTTClientIDs = list(17) }, "mqtt_client_ids"},
		{"an MQTT client ID too long", func(n *provisioning.NewClient) { n.MQTTClientIDs = []string{long(257)} }, "mqtt_client_ids[0]"},
		{"a secret that has expired", func(n *provisioning.NewClient) { n.SecretExpiresAt = epoch.Add(-time.Hour) }, "secret_expires_at"},
	} {
		n := sensor("")
		c.set(&n)
		_, _, err := f.Create(t.Context(), n)
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.field != "":
			t.Log(c.name)
			wantFields(t, err, c.field)
		}
	}
}
