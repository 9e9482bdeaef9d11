package provisioning_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestTheJSONOfAClientHasTheNamesOfTheDesign(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := sensor("a")
	n.TokenTTL, n.Attributes = 5*time.Minute, map[string]string{"department": "sales"}
	n.SecretExpiresAt = epoch.Add(time.Hour)
	c, _ := f.create(t, n)
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	got := string(data)
	id := c.Secrets[0].ID
	want := `{"id":"a","kind":"device","name":"Sensor a","labels":{"site":"garage-1"},"roles":["parking-sensor"],"grants":[],` +
		`"status":"active","secrets":[{"id":"` + id + `","expires_at":"2026-03-01T13:00:00Z","created_at":"2026-03-01T12:00:00Z"}],` +
		`"attributes":{"department":"sales"},"mqtt_client_ids":[],"certificates":[],"version":1,"created_at":"2026-03-01T12:00:00Z",` +
		`"updated_at":"2026-03-01T12:00:00Z","token_ttl":300}`
	if got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	var back provisioning.Client
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.TokenTTL != 5*time.Minute || back.ID != "a" || !back.CreatedAt.Equal(epoch) || back.Secrets[0].Hash != "" {
		t.Fatalf("read back %+v", back)
	}
}

func TestTheEmptyListsOfAClientAreNotNull(t *testing.T) {
	t.Parallel()
	for _, v := range []any{provisioning.Client{}, &provisioning.Client{}, []provisioning.Client{{}}} {
		data, err := json.Marshal(v)
		if err != nil || strings.Contains(string(data), "null") || !strings.Contains(string(data), `"labels":{}`) {
			t.Errorf("got %s, error %v", data, err)
		}
	}
}

func TestACloneSharesNothing(t *testing.T) {
	t.Parallel()
	c := &provisioning.Client{
		Labels: map[string]string{"a": "1"}, Attributes: map[string]string{"a": "1"}, Roles: []string{"r"},
		Grants:  []provisioning.Grant{{Audience: "x", Scopes: []string{"s"}}},
		Secrets: []provisioning.Secret{{ID: "s"}}, MQTTClientIDs: []string{"m"},
	}
	d := c.Clone()
	if !reflect.DeepEqual(c, d) {
		t.Fatalf("the clone is %+v", d)
	}
	d.Labels["a"], d.Attributes["a"], d.Roles[0], d.Grants[0].Scopes[0], d.Secrets[0].ID, d.MQTTClientIDs[0] = "", "", "", "", "", ""
	d.Grants[0].Audience = ""
	if c.Labels["a"] == "" || c.Attributes["a"] == "" || c.Roles[0] == "" || c.Grants[0].Scopes[0] == "" ||
		c.Grants[0].Audience == "" || c.Secrets[0].ID == "" || c.MQTTClientIDs[0] == "" {
		t.Fatalf("a change of the clone changed %+v", c)
	}
}
