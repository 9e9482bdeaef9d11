package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// rolePreview is a page of what POST /v1/roles/{id}/preview answers.
type rolePreview struct {
	Items      []json.RawMessage `json:"items"` // of fleetapi.ClientDiff
	Unchanged  int               `json:"unchanged"`
	NextCursor string            `json:"next_cursor"`
}

type roleDiffOptions struct {
	roleOptions

	remove bool
}

func newRolesDiffCommand(a *app) *cobra.Command {
	var opts roleDiffOptions
	cmd := &cobra.Command{
		Use:   "diff ID",
		Short: "Show which clients would gain or lose which topics if a role changed",
		Long: `Show what a change of a role would do, before it is made: for every client that has the role, the scopes that
it would gain and lose, with its own values filled in. A scope that another of its roles or grants covers is not lost.
--scope and --file give the role's new scopes as roles update takes them; --delete asks what its removal would do.`,
		Example: `  boomgate roles diff charger --scope 'pub:charging/v2/{client_id}/#'
  boomgate roles diff charger --file charger.yaml -o json
  boomgate roles diff charger --delete`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runRoleDiff(cmd.Context(), a, args[0], opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	opts.fields.addFlags(cmd)
	cmd.Flags().BoolVar(&opts.remove, "delete", false, "ask what deleting the role would do")
	cmd.MarkFlagsOneRequired("scope", "file", "delete")
	cmd.MarkFlagsMutuallyExclusive("delete", "scope")
	cmd.MarkFlagsMutuallyExclusive("delete", "file")
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, rolesPath)
	return cmd
}

// proposal is the body of the question.
func (o roleDiffOptions) proposal(a *app, role provisioning.Role) (map[string]any, error) {
	if o.remove {
		return map[string]any{"delete": true}, nil
	}
	if o.fields.file != "" {
		body, err := readRole(a, o.fields.file)
		return map[string]any{"grants": body.Grants}, err
	}
	grants := replaceGrant(role.Grants, provisioning.Grant{Audience: o.fields.audience, Scopes: orNone(o.fields.scopes)})
	return map[string]any{"grants": grants}, nil
}

func runRoleDiff(ctx context.Context, a *app, id string, opts roleDiffOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	role, _, err := getRole(ctx, api, id)
	if err != nil {
		return explainMissingRole(err)
	}
	body, err := opts.proposal(a, role)
	if err != nil {
		return err
	}
	var diffs []json.RawMessage
	unchanged := 0
	for cursor := ""; ; {
		query := url.Values{"limit": {strconv.Itoa(maxPage)}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		answer, err := api.do(ctx, apiCall{method: http.MethodPost, path: rolePath(id) + "/preview", query: query, body: body})
		if err != nil {
			return err
		}
		part, err := decode[rolePreview](answer)
		if err != nil {
			return err
		}
		diffs = append(diffs, part.Items...)
		unchanged += part.Unchanged
		if cursor = part.NextCursor; cursor == "" {
			break
		}
	}
	return printRoleDiff(a, opts.format, diffs, unchanged)
}

func printRoleDiff(a *app, format outputFormat, diffs []json.RawMessage, unchanged int) error {
	if format.machine() {
		return printList(a, format, "clients", nil, func(fleetapi.ClientDiff) []string { return nil }, func(visit func([]json.RawMessage) error) error {
			return visit(diffs)
		})
	}
	changes := newTable("CLIENT", "CHANGE", "AUDIENCE", "SCOPE")
	for _, text := range diffs {
		var diff fleetapi.ClientDiff
		if err := json.Unmarshal(text, &diff); err != nil {
			return fmt.Errorf("read the answer of the server: %w", err)
		}
		for _, change := range []struct {
			sign   string
			grants []fleetapi.Grant
		}{{"gains", diff.Gains}, {"loses", diff.Loses}} {
			for _, grant := range change.grants {
				for _, scope := range grant.Scopes {
					changes.add(diff.ID, change.sign, grant.Audience, scope)
				}
			}
		}
	}
	if !changes.empty() {
		if err := changes.print(a.stdout); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	_, err := fmt.Fprintf(a.stdout, "%d clients would change, %d would not\n", len(diffs), unchanged)
	return err
}
