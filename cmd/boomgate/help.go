package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is where the help of flags is wrapped, in columns.
const helpWidth = 110

// printUsage prints what comes below a command's description in its help: usage, examples, commands, flags.
func printUsage(cmd *cobra.Command) error {
	var text strings.Builder
	section := func(title, body string) {
		if body = strings.TrimRight(body, " \n"); body != "" {
			fmt.Fprintf(&text, "%s\n%s\n\n", title, body)
		}
	}
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		usage = cmd.CommandPath() + " COMMAND"
	}
	section("Usage:", "  "+usage)
	section("Examples:", cmd.Example)
	for _, group := range cmd.Groups() {
		section(group.Title, commandList(cmd, group.ID))
	}
	title := "Commands:"
	if len(cmd.Groups()) > 0 {
		title = "Other:"
	}
	section(title, commandList(cmd, ""))
	section("Flags:", flagUsages(cmd.LocalFlags()))
	section("Global flags:", flagUsages(cmd.InheritedFlags()))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "%s COMMAND --help tells more about a command.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(text.String(), "\n"))
	return err
}

// commandList lists the commands of a group, or those of no group.
func commandList(cmd *cobra.Command, group string) string {
	var list strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.GroupID == group && sub.IsAvailableCommand() {
			fmt.Fprintf(&list, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
		}
	}
	return list.String()
}

func flagUsages(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(helpWidth) }
