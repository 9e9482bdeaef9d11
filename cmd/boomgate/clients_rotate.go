package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

type rotateOptions struct {
	conn       connection
	overlap    time.Duration
	comment    string
	outputFile string
	format     outputFormat
}

func newClientsRotateCommand(a *app, kind clientKind) *cobra.Command {
	var opts rotateOptions
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a " + kind.singular + " a new secret and print it, once",
		Long: `Give a ` + kind.singular + ` a new secret. With --overlap the old ones stay valid for a while, so that the new one can be
brought to its place without an outage; without it they end at once.`,
		Example: strings.Join([]string{
			"  boomgate " + kind.plural + " rotate " + kind.id + " --overlap 24h --output-file " + kind.id + ".new.json",
			"  boomgate " + kind.plural + " rotate " + kind.id + " --comment 'laptop lost' -o json",
		}, "\n"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runRotate(cmd.Context(), a, kind, args[0], opts) },
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().DurationVar(&opts.overlap, "overlap", 0, "how long the old secrets stay valid, such as 24h")
	cmd.Flags().StringVar(&opts.comment, "comment", "", "why, for the record of the new secret")
	cmd.Flags().StringVar(&opts.outputFile, "output-file", "", "new `file` for the credential, readable by its owner only; the secret is then not printed")
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, kind.path())
	return cmd
}

func runRotate(ctx context.Context, a *app, kind clientKind, id string, opts rotateOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	body := struct {
		Overlap int64  `json:"overlap,omitempty"`
		Comment string `json:"comment,omitempty"`
	}{int64(opts.overlap / time.Second), opts.comment}
	return giveCredential(a, opts.outputFile, opts.format, "New secret for "+kind.singular, func() (apiAnswer, error) {
		answer, err := api.do(ctx, apiCall{method: http.MethodPost, path: kind.path(id) + "/rotate", body: body})
		return answer, explainMissing(kind, err)
	})
}
