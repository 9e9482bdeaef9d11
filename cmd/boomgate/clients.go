package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning"
)

// clientKind is one kind of client as its commands know it; devices, services and operators share every command.
type clientKind struct {
	plural   string // the command, and the resource of the fleet API
	singular string
	audience string // of --scope, where --audience names none
	short    string
	long     string
	example  string // arguments of create that make sense for the kind
	id       string // in examples
}

var (
	devices = clientKind{
		plural: "devices", singular: "device", audience: provisioning.AudienceMQTT,
		short: "Create, show and change devices",
		long: `Devices publish and receive over MQTT, each with its own credential. A role or scopes of its own
say which topics it may use; without either it may do nothing.`,
		example: "'Bay 2, spot 17' --id b2-017 --label site=north --role parking-sensor",
		id:      "b2-017",
	}
	services = clientKind{
		plural: "services", singular: "service", audience: provisioning.AudienceMQTT,
		short: "Create, show and change backend services",
		long: `Services read telemetry and send commands over MQTT, with no more rights than they need. Replicas of
one service connect as ID:1, ID:2 and so on, with the same credential.`,
		example: "--id board --role telemetry-reader",
		id:      "board",
	}
	operators = clientKind{
		plural: "operators", singular: "operator", audience: provisioning.AudienceFleet,
		short: "Create, show and change operators",
		long: `Operators use the fleet API and these commands. The operator "root" is made at the first start of
the server; give everybody else an operator of their own.`,
		example: "--id alice --role fleet-viewer",
		id:      "alice",
	}
)

// path is the place of the kind, or of one client, in the fleet API.
func (k clientKind) path(id ...string) string {
	path := "/v1/" + k.plural
	for _, part := range id {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func newClientsCommand(a *app, kind clientKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:   kind.plural,
		Short: kind.short,
		Long:  kind.long,
		Example: strings.Join([]string{
			"  boomgate " + kind.plural + " create " + kind.example,
			"  boomgate " + kind.plural + " list",
			"  boomgate " + kind.plural + " show " + kind.id,
		}, "\n"),
	}
	cmd.AddCommand(
		newClientsCreateCommand(a, kind), newClientsListCommand(a, kind), newClientsShowCommand(a, kind),
		newClientsUpdateCommand(a, kind), newClientsDisableCommand(a, kind), newClientsEnableCommand(a, kind),
		newClientsRotateCommand(a, kind), newClientsRetireSecretCommand(a, kind), newClientsDeleteCommand(a, kind),
	)
	return cmd
}

// completionTimeout bounds what the shell waits for when it completes an ID.
const completionTimeout = 2 * time.Second

// maxCompletions is about as many as a shell can show.
const maxCompletions = 100

// completeIDs lets the shell complete IDs of a list of the fleet API. Where the server is not reached there is nothing to offer.
func completeIDs(a *app, conn *connection, path string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		api, err := newAPIClient(ctx, a.silent(), *conn)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []cobra.Completion
		_ = api.each(ctx, listing{path: path, limit: maxCompletions}, func(items []json.RawMessage) error {
			for _, item := range items {
				var record struct {
					ID string `json:"id"`
				}
				if json.Unmarshal(item, &record) == nil && strings.HasPrefix(record.ID, prefix) {
					ids = append(ids, record.ID)
				}
			}
			return nil
		})
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// getClient reads one client's record, with its ETag.
func getClient(ctx context.Context, api *apiClient, kind clientKind, id string) (provisioning.Client, apiAnswer, error) {
	answer, err := api.do(ctx, apiCall{method: http.MethodGet, path: kind.path(id)})
	if err != nil {
		return provisioning.Client{}, answer, explainMissing(kind, err)
	}
	client, err := decode[provisioning.Client](answer)
	return client, answer, err
}

// explainMissing says where to look for the IDs that exist.
func explainMissing(kind clientKind, err error) error {
	if hasStatus(err, http.StatusNotFound) {
		return withHint(err, "boomgate "+kind.plural+" list")
	}
	return err
}
