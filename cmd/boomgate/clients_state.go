package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// stateOptions are those of the commands that change the state of one or more clients.
type stateOptions struct {
	conn   connection
	yes    bool
	format outputFormat
}

// stateChange is one such change: how it is asked for, and how it is told.
type stateChange struct {
	method string
	action string // below the client's path; "" for the client itself
	done   string
}

var (
	disableClient = stateChange{method: http.MethodPost, action: "disable", done: "Disabled"}
	enableClient  = stateChange{method: http.MethodPost, action: "enable", done: "Enabled"}
	deleteClient  = stateChange{method: http.MethodDelete, done: "Deleted"}
)

func newClientsDisableCommand(a *app, kind clientKind) *cobra.Command {
	cmd, opts := newStateCommand(a, kind, "disable ID...", "Disable "+kind.plural+": no token, no connection")
	cmd.Long = `Disable ` + kind.plural + `: they get no token any more, the tokens that they have let them in nowhere, and their
live sessions end at once. The record stays; "enable" takes it back, but revives no token.`
	cmd.Example = "  boomgate " + kind.plural + " disable " + kind.id
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runStateChange(cmd.Context(), a, kind, disableClient, args, *opts)
	}
	return cmd
}

func newClientsEnableCommand(a *app, kind clientKind) *cobra.Command {
	cmd, opts := newStateCommand(a, kind, "enable ID...", "Enable "+kind.plural+" that were disabled")
	cmd.Example = "  boomgate " + kind.plural + " enable " + kind.id
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runStateChange(cmd.Context(), a, kind, enableClient, args, *opts)
	}
	return cmd
}

func newClientsDeleteCommand(a *app, kind clientKind) *cobra.Command {
	cmd, opts := newStateCommand(a, kind, "delete ID...", "Delete "+kind.plural+" for good")
	cmd.Long = `Delete ` + kind.plural + ` with all that they have here: secrets, tokens, sessions, what is queued for them, their wills, and
the retained messages that they have published. This cannot be taken back, and an ID is never used again. Asks
before it does so on a terminal; elsewhere it needs --yes.`
	cmd.Example = "  boomgate " + kind.plural + " delete " + kind.id + " --yes"
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		what := fmt.Sprintf("%s %s", kind.plural, strings.Join(args, ", "))
		if err := confirm(a, opts.yes, "boomgate "+kind.plural+" delete", "Delete "+what+" for good?"); err != nil {
			return err
		}
		return runStateChange(cmd.Context(), a, kind, deleteClient, args, *opts)
	}
	return cmd
}

func newStateCommand(a *app, kind clientKind, use, short string) (*cobra.Command, *stateOptions) {
	opts := &stateOptions{}
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.MinimumNArgs(1)}
	opts.conn.addFlags(cmd.Flags())
	opts.format.addFlag(cmd)
	cmd.ValidArgsFunction = completeIDs(a, &opts.conn, kind.path())
	return cmd, opts
}

// runStateChange does one change to each client, goes on after a failure, and fails if one did.
func runStateChange(ctx context.Context, a *app, kind clientKind, change stateChange, ids []string, opts stateOptions) error {
	api, err := newAPIClient(ctx, a, opts.conn)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range ids {
		path := kind.path(id)
		if change.action != "" {
			path += "/" + change.action
		}
		answer, err := api.do(ctx, apiCall{method: change.method, path: path})
		if err == nil {
			err = printStateChange(a, kind, change, id, answer, opts.format)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s %s: %w", kind.singular, id, explainMissing(kind, err)))
		}
	}
	return errors.Join(failures...)
}

func printStateChange(a *app, kind clientKind, change stateChange, id string, answer apiAnswer, format outputFormat) error {
	if format.machine() {
		members, err := decode[map[string]json.RawMessage](answer)
		if err != nil {
			return err
		}
		members["id"], _ = json.Marshal(id)
		return format.one(a.stdout, members)
	}
	return printEnded(a, format, fmt.Sprintf("%s %s %s", change.done, kind.singular, id), answer)
}

// confirm asks a person whether to go on; where nobody can be asked, --yes is needed.
func confirm(a *app, yes bool, command, question string) error {
	if yes {
		return nil
	}
	if !isTerminal(a.stdin) {
		return withHint(usagef(command, "nobody is there to confirm this"), "say --yes")
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(io.LimitReader(a.stdin, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

// isTerminal tells whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
