package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

const keysPath = "/v1/signing-keys"

type keyOptions struct {
	conn   connection
	yes    bool
	format outputFormat
}

func newKeysCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "See and revoke the keys that sign tokens",
		Example: `  boomgate keys list
  boomgate keys revoke sig-eddsa-1 --yes`,
	}
	cmd.AddCommand(newKeysListCommand(a), newKeysRevokeCommand(a))
	return cmd
}

func newKeysListCommand(a *app) *cobra.Command {
	var opts keyOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the signing keys",
		Example: "  boomgate keys list\n  boomgate keys list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := newAPIClient(cmd.Context(), a, opts.conn)
			if err != nil {
				return err
			}
			return printList(a, opts.format, "signing keys", []string{"ID", "ALGORITHM", "CREATED", "SIGNS NOW"}, keyRow,
				func(visit func([]json.RawMessage) error) error {
					return api.each(cmd.Context(), listing{path: keysPath}, visit)
				})
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	return cmd
}

func keyRow(k fleetapi.SigningKey) []string {
	now := "no"
	if k.Current {
		now = "yes"
	}
	return []string{k.ID, k.Alg, clock(k.CreatedAt), now}
}

func newKeysRevokeCommand(a *app) *cobra.Command {
	var opts keyOptions
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a signing key, every token that it has signed, and their sessions",
		Long: `Revoke a signing key: for the emergency that somebody else has got it. If it is the one that signs now, a new
one takes its place first. Every token that it has signed is worthless from then on and the sessions of these tokens
end; clients fetch new tokens. Asks before it does so on a terminal; elsewhere it needs --yes.`,
		Example: "  boomgate keys revoke sig-eddsa-1 --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := confirm(a, opts.yes, "boomgate keys revoke", "End key "+args[0]+" and every token that it has signed?"); err != nil {
				return err
			}
			return runKeyRevoke(cmd.Context(), a, args[0], opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask")
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, keysPath)
	return cmd
}

func runKeyRevoke(ctx context.Context, a *app, id string, opts keyOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodDelete, path: keysPath + "/" + url.PathEscape(id)})
	if hasStatus(err, http.StatusNotFound) {
		return withHint(err, "boomgate keys list")
	} else if err != nil {
		return err
	}
	return printEnded(a, opts.format, "Revoked key "+printable(id), answer)
}
