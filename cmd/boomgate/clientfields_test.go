package main

import (
	"encoding/json"
	"testing"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning"
)

func TestAnUpdateSendsWhatWasGivenAndNothingElse(t *testing.T) {
	t.Parallel()

	record := provisioning.Client{Grants: []provisioning.Grant{
		{Audience: "boomgate:mqtt", Scopes: []string{"pub:old"}},
		{Audience: "https://calendar.example", Scopes: []string{"read"}},
	}}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a label set, one removed", []string{"--label", "site=north", "--label", "floor-"}, `{"labels":{"floor":null,"site":"north"}}`},
		{"a label that is empty", []string{"--label", "note="}, `{"labels":{"note":""}}`},
		{"a value with an equals sign and a hyphen", []string{"--attribute", "a=b=c-"}, `{"attributes":{"a":"b=c-"}}`},
		{"roles replaced", []string{"--role", "a", "--role", "b"}, `{"roles":["a","b"]}`},
		{"roles emptied", []string{"--role", ""}, `{"roles":[]}`},
		{"the default life of tokens", []string{"--token-ttl", "0"}, `{"token_ttl":null}`},
		{"patterns emptied", []string{"--mqtt-client-id", ""}, `{"mqtt_client_ids":[]}`},
		{
			"scopes replaced in their audience",
			[]string{"--scope", "pub:new"},
			`{"grants":[{"audience":"https://calendar.example","scopes":["read"]},{"audience":"boomgate:mqtt","scopes":["pub:new"]}]}`,
		},
		{
			"scopes of another audience removed",
			[]string{"--scope", "", "--audience", "https://calendar.example"},
			`{"grants":[{"audience":"boomgate:mqtt","scopes":["pub:old"]}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var fields clientFields
			cmd := &cobra.Command{}
			fields.addFlags(&app{}, cmd, devices, &connection{})
			if err := cmd.ParseFlags(c.args); err != nil {
				t.Fatal(err)
			}
			patch, err := fields.patch(cmd.Flags(), record)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(patch)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s (%v), want %s", got, err, c.want)
			}
		})
	}
}
