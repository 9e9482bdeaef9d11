package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/boomgate/boomgate/provisioning"
)

type updateOptions struct {
	conn   connection
	fields clientFields
	name   string
	format outputFormat
}

func newClientsUpdateCommand(a *app, kind clientKind) *cobra.Command {
	var opts updateOptions
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a " + kind.singular,
		Long: `Change what is given and leave the rest. Labels and attributes are changed one by one ("key-" removes
one); --role and --mqtt-client-id replace the whole list, --scope replaces those of its audience; a single
empty text ('') empties a list. Live sessions are judged by the rights of the token that they began with.`,
		Example: strings.Join([]string{
			"  boomgate " + kind.plural + " update " + kind.id + " --label site=south --label floor-",
			"  boomgate " + kind.plural + " update " + kind.id + " --name 'Moved in May' --role ''",
		}, "\n"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUpdate(cmd.Context(), a, kind, args[0], opts, cmd.Flags())
		},
	}
	opts.conn.addFlags(cmd.Flags())
	opts.fields.addFlags(a, cmd, kind, &opts.conn)
	cmd.Flags().StringVar(&opts.name, "name", "", "name for people")
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, kind.path())
	return cmd
}

func runUpdate(ctx context.Context, a *app, kind clientKind, id string, opts updateOptions, given *pflag.FlagSet) error {
	command := "boomgate " + kind.plural + " update"
	// A mistake in the flags is told before anybody is asked.
	patch, err := opts.fields.patch(given, provisioning.Client{})
	if err != nil {
		return usageError{err: err, command: command}
	}
	if len(patch) == 0 && !given.Changed("name") {
		return usagef(command, "nothing to change: say what, such as --label site=south")
	}
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	record, before, err := getClient(ctx, api, kind, id)
	if err != nil {
		return err
	}
	if patch, err = opts.fields.patch(given, record); err != nil {
		return err
	}
	if given.Changed("name") {
		patch["name"] = opts.name
	}
	answer, err := api.do(ctx, apiCall{
		method: http.MethodPatch, path: kind.path(id), body: patch, media: mediaMergePatch, ifMatch: before.etag,
	})
	if err != nil {
		return err
	}
	if opts.format.machine() {
		return opts.format.one(a.stdout, answer.body)
	}
	client, err := decode[provisioning.Client](answer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Updated %s %s (version %d)\n", kind.singular, client.ID, client.Version)
	return err
}
