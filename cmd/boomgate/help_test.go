package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestTheHelpOfEveryCommandHasAnExampleAndDescribesEveryFlag(t *testing.T) {
	t.Parallel()

	for _, cmd := range everyCommand(testRoot()) {
		t.Run(strings.ReplaceAll(cmd.CommandPath(), " ", "_"), func(t *testing.T) {
			t.Parallel()
			help := helpOf(t, cmd.CommandPath())
			if cmd.Short == "" || !strings.Contains(help, firstOf(cmd.Long, cmd.Short)) {
				t.Errorf("the help does not say what the command does:\n%s", help)
			}
			if !strings.Contains(help, "Examples:\n") || !strings.Contains(help, cmd.CommandPath()) {
				t.Errorf("the help has no example:\n%s", help)
			}
			cmd.Flags().VisitAll(func(flag *pflag.Flag) {
				if !strings.Contains(help, "--"+flag.Name) || len(flag.Usage) < 5 {
					t.Errorf("the help does not describe --%s", flag.Name)
				}
			})
		})
	}
}

func TestTheExamplesOfEveryCommandAreValidCommandLines(t *testing.T) {
	t.Parallel()

	for _, owner := range everyCommand(testRoot()) {
		for _, line := range exampleLines(owner) {
			args := shellWords(t, line)
			if args[0] != "boomgate" {
				t.Errorf("%s: the example %q does not begin with boomgate", owner.CommandPath(), line)
				continue
			}
			if err := checkCommandLine(args[1:]); err != nil {
				t.Errorf("%s: the example %q does not work: %v", owner.CommandPath(), line, err)
			}
		}
	}
}

func TestTheHelpOfTheProgramNamesEveryCommandAndExitCode(t *testing.T) {
	t.Parallel()

	help := helpOf(t, "boomgate")
	for _, cmd := range testRoot().Commands() {
		if !strings.Contains(help, "\n  "+cmd.Name()+" ") {
			t.Errorf("the help does not name %s", cmd.Name())
		}
	}
	for _, text := range []string{"0 done", "1 failed", "2 wrong usage", "3 refused", "4 the server cannot be reached"} {
		if !strings.Contains(help, text) {
			t.Errorf("the help does not tell the exit code %q", text)
		}
	}
}

func TestTheShellCompletesValuesThatAreFixed(t *testing.T) {
	t.Parallel()

	for line, want := range map[string][]string{
		"devices list -o":           {"table", "json", "ndjson"},
		"devices list --status":     {"active", "disabled"},
		"token --audience":          {"boomgate:mqtt", "boomgate:fleet"},
		"roles create x --audience": {"boomgate:mqtt", "boomgate:fleet"},
	} {
		out := runCommand(t, append([]string{cobra.ShellCompRequestCmd}, append(strings.Fields(line), "")...)...)
		for _, value := range want {
			if !slices.Contains(strings.Fields(out.stdout), value) {
				t.Errorf("%q does not complete to %s:\n%s", line, value, out.stdout)
			}
		}
	}
}

// testRoot is the tree of commands as the program builds it.
func testRoot() *cobra.Command {
	root := newRootCommand(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
	begun := false
	prepare(root, &begun)
	return root
}

// checkCommandLine parses a command line as the program would, and runs nothing.
func checkCommandLine(args []string) error {
	cmd, rest, err := testRoot().Find(args) // a tree of its own: parsing leaves its marks on flags
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err == nil {
		err = cmd.ValidateFlagGroups()
	}
	return err
}

// everyCommand lists a command and those below it.
func everyCommand(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, everyCommand(sub)...)
	}
	return all
}

func helpOf(tb testing.TB, path string) string {
	tb.Helper()
	out := runCommand(tb, append(strings.Fields(path)[1:], "--help")...)
	if out.code != exitDone || out.stderr != "" {
		tb.Fatalf("%s --help: exit code %d, stderr %q", path, out.code, out.stderr)
	}
	return out.stdout
}

// outcome is what a command line did.
type outcome struct {
	stdout, stderr string
	code           int
}

// runCommand runs a command line in this process, with an empty environment and no input.
func runCommand(tb testing.TB, args ...string) outcome {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	code := run(tb.Context(), args, nil, strings.NewReader(""), &stdout, &stderr)
	return outcome{stdout: stdout.String(), stderr: stderr.String(), code: code}
}

// exampleLines gives the command lines of a command's examples: comments left out, continued lines joined, pipes and redirections cut.
func exampleLines(cmd *cobra.Command) []string {
	var lines []string
	for _, line := range strings.Split(strings.ReplaceAll(cmd.Example, "\\\n", " "), "\n") {
		line = strings.TrimSpace(line)
		line, _, _ = strings.Cut(line, " | ")
		line, _, _ = strings.Cut(line, " > ")
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// shellWords divides a line as a shell does, as far as examples need it: spaces, and single and double quotes.
func shellWords(tb testing.TB, line string) []string {
	tb.Helper()
	var words []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		tb.Fatalf("%q: a quote is open", line)
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
