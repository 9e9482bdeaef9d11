package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
)

type showOptions struct {
	conn   connection
	format outputFormat
}

func newClientsShowCommand(a *app, kind clientKind) *cobra.Command {
	var opts showOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a " + kind.singular + " and what it may do",
		Long: `Show a ` + kind.singular + `: its record, its secrets (not their text), and the scopes that its roles and its own
grants give it now, each with the role that it comes from. A scope whose placeholder has no value grants
nothing, and is shown with the reason.`,
		Example: "  boomgate " + kind.plural + " show " + kind.id + "\n" +
			"  boomgate " + kind.plural + " show " + kind.id + " -o json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runShow(cmd.Context(), a, kind, args[0], opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, kind.path())
	return cmd
}

func runShow(ctx context.Context, a *app, kind clientKind, id string, opts showOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	client, answer, err := getClient(ctx, api, kind, id)
	if err != nil {
		return err
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, answer.body)
	}
	scopes, err := effectiveScopes(ctx, api, client)
	if err != nil {
		return err
	}
	return printClient(a, client, scopes)
}

func printClient(a *app, c provisioning.Client, scopes *table) error {
	ttl := "the server's"
	if c.TokenTTL > 0 {
		ttl = c.TokenTTL.String()
	}
	record := &table{}
	for _, row := range [][]string{
		{"id", c.ID},
		{"kind", string(c.Kind)},
		{"name", c.Name},
		{"status", string(c.Status)},
		{"labels", pairs(c.Labels)},
		{"roles", strings.Join(c.Roles, ", ")},
		{"attributes", pairs(c.Attributes)},
		{"mqtt client ids", firstOf(strings.Join(c.MQTTClientIDs, ", "), c.ID+", "+c.ID+":*")},
		{"token ttl", ttl},
		{"version", fmt.Sprint(c.Version)},
		{"created", clock(c.CreatedAt)},
		{"updated", clock(c.UpdatedAt)},
		{"last token", clock(c.LastTokenAt)},
		{"last connected", clock(c.LastConnectedAt)},
		{"last message", clock(c.LastMessageAt)},
	} {
		record.add(row...)
	}
	secrets := newTable("SECRET", "CREATED", "VALID FROM", "EXPIRES", "LAST USED", "COMMENT")
	for _, s := range c.Secrets {
		from := "at once"
		if !s.NotBefore.IsZero() {
			from = clock(s.NotBefore)
		}
		secrets.add(s.ID, clock(s.CreatedAt), from, clock(s.ExpiresAt), clock(s.LastUsedAt), s.Comment)
	}
	for i, part := range []*table{record, secrets, scopes} {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		if err := part.print(a.stdout); err != nil {
			return err
		}
	}
	return nil
}

// effectiveScopes lists what a client may do, and where each right comes from.
func effectiveScopes(ctx context.Context, api *apiClient, c provisioning.Client) (*table, error) {
	scopes := newTable("AUDIENCE", "SCOPE", "FROM", "NOTE")
	add := func(from string, grants []provisioning.Grant) {
		for _, grant := range grants {
			for _, template := range grant.Scopes {
				scope, note := template, ""
				if grant.Audience == provisioning.AudienceMQTT {
					scope, note = expand(template, c)
				}
				scopes.add(grant.Audience, scope, from, note)
			}
		}
	}
	for _, id := range c.Roles {
		role, _, err := getRole(ctx, api, id)
		if hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusForbidden) {
			scopes.add("?", "?", "role "+id, err.Error())
			continue
		} else if err != nil {
			return nil, err
		}
		add("role "+id, role.Grants)
	}
	add("its own", c.Grants)
	if scopes.empty() {
		scopes.add("", "", "", "it may do nothing: give it a role or a scope (update)")
	}
	return scopes, nil
}

// expand puts the client's values into a template; where that fails, the template is shown with the reason.
func expand(template string, c provisioning.Client) (scope, note string) {
	scope, err := topicacl.Expand(template, func(name string) (string, bool) { return clientValue(c, name) })
	if err != nil {
		return template, "grants nothing: " + err.Error()
	}
	return scope, ""
}

// clientValue is what a placeholder of a scope stands for.
func clientValue(c provisioning.Client, name string) (string, bool) {
	if label, ok := strings.CutPrefix(name, "labels."); ok {
		value, found := c.Labels[label]
		return value, found
	}
	if attribute, ok := strings.CutPrefix(name, "attributes."); ok {
		value, found := c.Attributes[attribute]
		return value, found
	}
	switch name {
	case "client_id":
		return c.ID, true
	case "kind":
		return string(c.Kind), true
	}
	return "", false
}
