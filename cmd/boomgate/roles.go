package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/boomgate/boomgate/provisioning"
)

const rolesPath = "/v1/roles"

func rolePath(id string) string { return rolesPath + "/" + url.PathEscape(id) }

func newRolesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roles",
		Short: "Create, show and change roles",
		Long: `A role is a named set of scopes; clients have roles. Its scopes may hold placeholders that take the
values of each client: {client_id}, {kind}, {labels.NAME}, {attributes.NAME}; {labels.site|+} takes + where
a client has no such label. Built-in roles cannot be changed.`,
		Example: `  boomgate roles list
  boomgate roles show parking-sensor
  boomgate roles create charger --scope 'pub:charging/{labels.site}/{client_id}/#' --scope 'sub:charging/{labels.site}/{client_id}/cmd/+'`,
	}
	cmd.AddCommand(newRolesCreateCommand(a), newRolesListCommand(a), newRolesShowCommand(a), newRolesUpdateCommand(a), newRolesDeleteCommand(a),
		newRolesDiffCommand(a))
	return cmd
}

type roleOptions struct {
	conn   connection
	fields roleFields
	yes    bool
	format outputFormat
}

func newRolesCreateCommand(a *app) *cobra.Command {
	var opts roleOptions
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Create a role, from flags or from a file",
		Example: `  boomgate roles create charger --description 'Charging stations' --scope 'pub:charging/{client_id}/#'
  boomgate roles create --file charger.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRoleCreate(cmd.Context(), a, strings.Join(args, ""), opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.conn.addFlags(cmd.Flags())
	opts.fields.addFlags(cmd)
	opts.format.addFlag(cmd)
	return cmd
}

func runRoleCreate(ctx context.Context, a *app, id string, opts roleOptions) error {
	body, err := opts.fields.create(a, id)
	if err != nil {
		return err
	}
	if body.ID == "" {
		return usagef("boomgate roles create", "the role has no ID: name one")
	}
	if opts.fields.file == "" && len(opts.fields.scopes) == 0 {
		return usagef("boomgate roles create", "the role would grant nothing: give --scope, or --file")
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodPost, path: rolesPath, body: body})
	if err != nil {
		return err
	}
	return printRoleChange(a, "Created", answer, opts.format)
}

func printRoleChange(a *app, done string, answer apiAnswer, format outputFormat) error {
	if format.machine() {
		return format.one(a.stdout, answer.body)
	}
	result, err := decode[struct {
		provisioning.Role

		Receipt receipt `json:"receipt"`
	}](answer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s role %s (version %d)%s\n", done, result.ID, result.Version, result.Receipt)
	return err
}

func newRolesListCommand(a *app) *cobra.Command {
	var opts roleOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List roles",
		Example: "  boomgate roles list\n  boomgate roles list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := newAPIClient(cmd.Context(), a, opts.conn)
			if err != nil {
				return err
			}
			return printList(a, opts.format, "roles", []string{"ID", "BUILT IN", "SCOPES", "DESCRIPTION"}, roleRow,
				func(visit func([]json.RawMessage) error) error {
					return api.each(cmd.Context(), listing{path: rolesPath}, visit)
				})
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	return cmd
}

func roleRow(role provisioning.Role) []string {
	scopes := 0
	for _, grant := range role.Grants {
		scopes += len(grant.Scopes)
	}
	builtIn := "no"
	if role.BuiltIn {
		builtIn = "yes"
	}
	return []string{role.ID, builtIn, strconv.Itoa(scopes), role.Description}
}

func newRolesShowCommand(a *app) *cobra.Command {
	var opts roleOptions
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a role and what it grants",
		Example: "  boomgate roles show parking-sensor\n  boomgate roles show parking-sensor -o json > mine.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRoleShow(cmd.Context(), a, args[0], opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, rolesPath)
	return cmd
}

func runRoleShow(ctx context.Context, a *app, id string, opts roleOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	role, answer, err := getRole(ctx, api, id)
	if err != nil {
		return explainMissingRole(err)
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, answer.body)
	}
	record := &table{}
	record.add("id", role.ID)
	record.add("description", role.Description)
	record.add("built in", strconv.FormatBool(role.BuiltIn))
	record.add("limits", limitTexts(role.Limits))
	record.add("version", strconv.FormatUint(role.Version, 10))
	record.add("updated", clock(role.UpdatedAt))
	if err := record.print(a.stdout); err != nil {
		return err
	}
	scopes := newTable("AUDIENCE", "SCOPE")
	for _, grant := range role.Grants {
		for _, scope := range grant.Scopes {
			scopes.add(grant.Audience, scope)
		}
	}
	fmt.Fprintln(a.stdout)
	return scopes.print(a.stdout)
}

func getRole(ctx context.Context, api *apiClient, id string) (provisioning.Role, apiAnswer, error) {
	answer, err := api.do(ctx, apiCall{method: http.MethodGet, path: rolePath(id)})
	if err != nil {
		return provisioning.Role{}, answer, err
	}
	role, err := decode[provisioning.Role](answer)
	return role, answer, err
}

func explainMissingRole(err error) error {
	if hasStatus(err, http.StatusNotFound) {
		return withHint(err, "boomgate roles list")
	}
	return err
}

func newRolesUpdateCommand(a *app) *cobra.Command {
	var opts roleOptions
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a role",
		Long: `Change what is given and leave the rest. --scope replaces the scopes of its audience; --file replaces
description, grants and limits. Live sessions are judged again at once: what the role no longer grants ends, and its
new limits hold; what it newly grants comes with the next token. roles diff shows beforehand whom it concerns.`,
		Example: `  boomgate roles update charger --description 'Charging stations, second generation'
  boomgate roles update charger --scope 'pub:charging/v2/{client_id}/#'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRoleUpdate(cmd.Context(), a, args[0], opts, cmd.Flags())
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.fields.addFlags(cmd)
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, rolesPath)
	return cmd
}

func runRoleUpdate(ctx context.Context, a *app, id string, opts roleOptions, given *pflag.FlagSet) error {
	if !given.Changed("file") && !given.Changed("scope") && !given.Changed("description") && !given.Changed("limit") {
		return usagef("boomgate roles update", "nothing to change: give --description, --scope, --limit or --file")
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	role, before, err := getRole(ctx, api, id)
	if err != nil {
		return explainMissingRole(err)
	}
	patch, err := opts.fields.patch(a, given, role)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{
		method: http.MethodPatch, path: rolePath(id), body: patch, media: mediaMergePatch, ifMatch: before.etag,
	})
	if err != nil {
		return err
	}
	return printRoleChange(a, "Updated", answer, opts.format)
}

func newRolesDeleteCommand(a *app) *cobra.Command {
	var opts roleOptions
	cmd := &cobra.Command{
		Use:     "delete ID...",
		Short:   "Delete roles that no client has",
		Example: "  boomgate roles delete charger --yes",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirm(a, opts.yes, "boomgate roles delete", "Delete roles "+strings.Join(args, ", ")+"?"); err != nil {
				return err
			}
			return runRoleDelete(cmd.Context(), a, args, opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask")
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, rolesPath)
	return cmd
}

func runRoleDelete(ctx context.Context, a *app, ids []string, opts roleOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range ids {
		if _, err := api.do(ctx, apiCall{method: http.MethodDelete, path: rolePath(id)}); err != nil {
			failures = append(failures, fmt.Errorf("role %s: %w", id, explainMissingRole(err)))
			continue
		}
		fmt.Fprintf(a.stdout, "Deleted role %s\n", id)
	}
	return errors.Join(failures...)
}
