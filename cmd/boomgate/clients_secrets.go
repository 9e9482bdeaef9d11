package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// newClientsRetireSecretCommand ends one secret of several.
func newClientsRetireSecretCommand(a *app, kind clientKind) *cobra.Command {
	var opts stateOptions
	cmd := &cobra.Command{
		Use:   "retire-secret ID SECRET",
		Short: "End one secret of a " + kind.singular + ", and what was got with it",
		Long: `End one secret, named by its ID as "show" prints it. The tokens that were fetched with it are worthless from
then on, and their live sessions end at once; those of its other secrets stay.`,
		Example: "  boomgate " + kind.plural + " retire-secret " + kind.id + " secret-7f3k2m9q",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRetireSecret(cmd.Context(), a, kind, args[0], args[1], opts)
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, kind.path())
	return cmd
}

func runRetireSecret(ctx context.Context, a *app, kind clientKind, id, secret string, opts stateOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	answer, err := api.do(ctx, apiCall{method: http.MethodDelete, path: kind.path(id, "secrets", secret)})
	if hasStatus(err, http.StatusNotFound) {
		return withHint(err, "boomgate "+kind.plural+" show "+id)
	} else if err != nil {
		return err
	}
	return printEnded(a, opts.format, fmt.Sprintf("Retired secret %s of %s %s", printable(secret), kind.singular, id), answer)
}
