package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning"
)

type listOptions struct {
	conn   connection
	labels []string
	role   string
	status string
	limit  int
	format outputFormat
}

func newClientsListCommand(a *app, kind clientKind) *cobra.Command {
	var opts listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List " + kind.plural,
		Example: strings.Join([]string{
			"  boomgate " + kind.plural + " list --label site=north --status active",
			"  boomgate " + kind.plural + " list -o ndjson",
		}, "\n"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, kind, opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().StringArrayVar(&opts.labels, "label", nil, "only those with this label, as `key=value`; repeatable, all must match")
	cmd.Flags().StringVar(&opts.role, "role", "", "only those with this `role`")
	cmd.Flags().StringVar(&opts.status, "status", "", "only those of this `status`: active or disabled")
	cmd.Flags().IntVar(&opts.limit, "limit", 0, "at most so many (0: all)")
	opts.format.addFlag(cmd)
	completeFrom(cmd, "status", string(provisioning.StatusActive), string(provisioning.StatusDisabled))
	_ = cmd.RegisterFlagCompletionFunc("role", completeIDs(a, &opts.conn, rolesPath))
	return cmd
}

func runList(ctx context.Context, a *app, kind clientKind, opts listOptions) error {
	if _, err := parsePairs("--label", opts.labels); err != nil {
		return usageError{err: err, command: "boomgate " + kind.plural + " list"}
	}
	query := url.Values{}
	for _, label := range opts.labels {
		query.Add("label", label)
	}
	for name, value := range map[string]string{"role": opts.role, "status": opts.status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	return printList(a, opts.format, kind.plural, clientColumns(), clientRow, func(visit func([]json.RawMessage) error) error {
		return api.each(ctx, listing{path: kind.path(), query: query, size: maxPage, limit: opts.limit}, visit)
	})
}

func clientColumns() []string {
	return []string{"ID", "NAME", "STATUS", "LABELS", "ROLES", "LAST SEEN"}
}

func clientRow(c provisioning.Client) []string {
	return []string{c.ID, c.Name, string(c.Status), pairs(c.Labels), strings.Join(c.Roles, ","), clock(lastSeen(c))}
}

// lastSeen is the latest sign of life of a client.
func lastSeen(c provisioning.Client) time.Time {
	latest := c.LastTokenAt
	for _, t := range []time.Time{c.LastConnectedAt, c.LastMessageAt} {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

// printList prints what the pages of a list hold: a table, one JSON array, or a line of JSON each as they come.
func printList[T any](a *app, format outputFormat, plural string, columns []string, row func(T) []string,
	pages func(visit func([]json.RawMessage) error) error,
) error {
	all := []json.RawMessage{}
	rows := newTable(columns...)
	err := pages(func(items []json.RawMessage) error {
		switch format {
		case formatNDJSON:
			return printLines(a, items)
		case formatJSON:
			all = append(all, items...)
			return nil
		default:
			return addRows(rows, items, row)
		}
	})
	switch {
	case err != nil:
		return err
	case format == formatJSON:
		return format.one(a.stdout, all)
	case format == formatTable && rows.empty():
		_, err = fmt.Fprintf(a.stdout, "no %s\n", plural)
		return err
	case format == formatTable:
		return rows.print(a.stdout)
	}
	return nil
}

func printLines(a *app, items []json.RawMessage) error {
	for _, item := range items {
		if err := formatNDJSON.one(a.stdout, item); err != nil {
			return err
		}
	}
	return nil
}

func addRows[T any](rows *table, items []json.RawMessage, row func(T) []string) error {
	for _, item := range items {
		var record T
		if err := json.Unmarshal(item, &record); err != nil {
			return fmt.Errorf("read the answer of the server: %w", err)
		}
		rows.add(row(record)...)
	}
	return nil
}
