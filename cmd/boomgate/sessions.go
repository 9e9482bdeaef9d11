package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

const sessionsPath = "/v1/sessions"

func sessionPath(id string) string { return sessionsPath + "/" + url.PathEscape(id) }

type sessionOptions struct {
	conn     connection
	clientID string
	limit    int
	format   outputFormat
}

func newSessionsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "See and close live MQTT sessions",
		Long: `A session is one MQTT connection. Its ID is the MQTT client ID; the client is the one whose token it
was opened with.`,
		Example: `  boomgate sessions list
  boomgate sessions close b2-017`,
	}
	cmd.AddCommand(newSessionsListCommand(a), newSessionsShowCommand(a), newSessionsCloseCommand(a))
	return cmd
}

func newSessionsListCommand(a *app) *cobra.Command {
	var opts sessionOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List live sessions",
		Example: `  boomgate sessions list
  boomgate sessions list --client-id board -o ndjson`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSessionList(cmd.Context(), a, opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.clientID, "client-id", "", "only those of this `client`")
	cmd.Flags().IntVar(&opts.limit, "limit", 0, "at most so many (0: all)")
	opts.format.addFlag(cmd)
	return cmd
}

func runSessionList(ctx context.Context, a *app, opts sessionOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	query := url.Values{}
	if opts.clientID != "" {
		query.Set("client_id", opts.clientID)
	}
	columns := []string{"SESSION", "CLIENT", "REMOTE", "MQTT", "LISTENER", "CONNECTED", "TOKEN EXPIRES", "SUBSCRIPTIONS", "REFUSED"}
	return printList(a, opts.format, "sessions", columns, sessionRow, func(visit func([]json.RawMessage) error) error {
		return api.each(ctx, listing{path: sessionsPath, query: query, size: maxPage, limit: opts.limit}, visit)
	})
}

func sessionRow(s fleetapi.Session) []string {
	return []string{
		s.ID, s.ClientID, s.Remote, s.Protocol, s.Listener, clock(s.ConnectedAt), clock(s.ExpiresAt), strconv.Itoa(s.Subscriptions),
		strconv.Itoa(s.Refused),
	}
}

func newSessionsShowCommand(a *app) *cobra.Command {
	var opts sessionOptions
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a live session",
		Example: "  boomgate sessions show b2-017",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSessionShow(cmd.Context(), a, args[0], opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, sessionsPath)
	return cmd
}

func runSessionShow(ctx context.Context, a *app, id string, opts sessionOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodGet, path: sessionPath(id)})
	if err != nil {
		return explainMissingSession(err)
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, answer.body)
	}
	session, err := decode[fleetapi.Session](answer)
	if err != nil {
		return err
	}
	record := &table{}
	record.add("session", session.ID)
	record.add("client", session.ClientID)
	record.add("remote", session.Remote)
	record.add("mqtt", session.Protocol)
	record.add("listener", session.Listener)
	record.add("connected", clock(session.ConnectedAt))
	record.add("token expires", clock(session.ExpiresAt))
	record.add("subscriptions", strconv.Itoa(session.Subscriptions))
	record.add("token id", session.TokenID)
	record.add("renewals", strconv.Itoa(session.Renewals))
	record.add("refused", strconv.Itoa(session.Refused))
	return record.print(a.stdout)
}

func explainMissingSession(err error) error {
	if hasStatus(err, http.StatusNotFound) {
		return withHint(err, "boomgate sessions list")
	}
	return err
}

func newSessionsCloseCommand(a *app) *cobra.Command {
	var opts sessionOptions
	cmd := &cobra.Command{
		Use:   "close ID...",
		Short: "Close live sessions",
		Long: `Close live sessions. A client whose token is still valid may come back at once: to keep it out, disable
it (boomgate devices disable ID).`,
		Example: "  boomgate sessions close b2-017",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSessionClose(cmd.Context(), a, args, opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, sessionsPath)
	return cmd
}

func runSessionClose(ctx context.Context, a *app, ids []string, opts sessionOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range ids {
		answer, err := api.do(ctx, apiCall{method: http.MethodDelete, path: sessionPath(id)})
		if err != nil {
			failures = append(failures, fmt.Errorf("session %s: %w", id, explainMissingSession(err)))
			continue
		}
		if err := printEnded(a, formatTable, "Closed session "+printable(id), answer); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}
