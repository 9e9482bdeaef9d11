package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Groups of commands in the help of boomgate.
const (
	groupServer = "server"
	groupFleet  = "fleet"
	groupClient = "client"
)

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "boomgate",
		Short: "Let machines into MQTT, each with its own credential and short-lived tokens",
		Long: `Boomgate lets machines into MQTT. Each device has its own client ID and secret; it exchanges
them for a short-lived token, and that token is the password of its MQTT connection.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (authentication or authorization),
4 the server cannot be reached.

Environment: BOOMGATE_URL and BOOMGATE_CREDENTIAL stand for --url and --credential; the
settings of the server are BOOMGATE_DATA_DIR, BOOMGATE_HTTP and so on (boomgate serve --help).`,
		Example: `  # The whole idea in one process, in under a minute
  boomgate demo

  # A server, a device, its token
  boomgate serve
  boomgate devices create --id b1-001 --label site=north --role parking-sensor --output-file b1-001.json
  boomgate token --credential b1-001.json`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetUsageFunc(printUsage)
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Server:"},
		&cobra.Group{ID: groupFleet, Title: "Fleet:"},
		&cobra.Group{ID: groupClient, Title: "As a device or a backend:"},
	)
	addGroup(root, groupServer, newDemoCommand(a), newServeCommand(a), newConfigCommand(a))
	addGroup(root, groupFleet, newClientsCommand(a, devices), newClientsCommand(a, services), newClientsCommand(a, operators),
		newRolesCommand(a), newSessionsCommand(a), newExplainCommand(a), newRevocationsCommand(a), newKeysCommand(a))
	addGroup(root, groupClient, newTokenCommand(a), newSubscribeCommand(a), newSimulateCommand(a))
	root.AddCommand(newVersionCommand(a))
	return root
}

func addGroup(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = group
		root.AddCommand(cmd)
	}
}

// execute runs a command line. Whatever fails before the command itself begins is a mistake in the command line.
func execute(ctx context.Context, root *cobra.Command, args []string) error {
	begun := false
	prepare(root, &begun)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || begun {
		return err
	}
	return usageError{err: err, command: cmd.CommandPath()}
}

// prepare notes when a command begins, and gives every group of commands an answer to a command that it does not have.
func prepare(cmd *cobra.Command, begun *bool) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = knownSubcommand
		cmd.SuggestionsMinimumDistance = 2
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return runE(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		prepare(sub, begun)
	}
}

// knownSubcommand refuses what is no command of a group, and names those that were probably meant.
func knownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		text += " (did you mean " + strings.Join(similar, " or ") + "?)"
	}
	return errors.New(text)
}
