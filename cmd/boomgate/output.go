package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// outputFormat is how a command prints what it found: for people, or for programs.
type outputFormat string

const (
	formatTable  outputFormat = "table"
	formatJSON   outputFormat = "json"
	formatNDJSON outputFormat = "ndjson"
)

func outputFormats() []string {
	return []string{string(formatTable), string(formatJSON), string(formatNDJSON)}
}

// String, Set and Type make an outputFormat a flag that refuses what it does not know.
func (f *outputFormat) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *outputFormat) Set(text string) error {
	if !slices.Contains(outputFormats(), text) {
		return fmt.Errorf("use one of %s", strings.Join(outputFormats(), ", "))
	}
	*f = outputFormat(text)
	return nil
}

// Type implements pflag.Value; help shows it as the flag's argument.
func (f *outputFormat) Type() string { return "format" }

func (f *outputFormat) addFlag(cmd *cobra.Command) {
	*f = formatTable
	cmd.Flags().VarP(f, "output", "o", "output: table, json or ndjson")
	completeFrom(cmd, "output", outputFormats()...)
}

// machine tells whether a program reads the output.
func (f outputFormat) machine() bool { return f != formatTable }

// one prints a single value, indented unless a line each is asked for.
func (f outputFormat) one(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	if f == formatJSON {
		text = indentJSON(text)
	} else {
		text = append(text, '\n')
	}
	_, err = w.Write(text)
	return err
}

// indentJSON gives JSON the form that people can read, with a line feed at its end; what is no JSON stays as it is.
func indentJSON(text []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return text
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// completeFrom lets the shell complete a flag from fixed values.
func completeFrom(cmd *cobra.Command, flag string, values ...string) {
	// The only error is a flag that does not exist or has a completion already: a mistake that the tests of help would show.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// table collects rows and prints them aligned; cells are made harmless for terminals.
type table struct {
	rows [][]string
}

func newTable(header ...string) *table { return &table{rows: [][]string{header}} }

func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
		if row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// empty tells whether there is nothing below the header.
func (t *table) empty() bool { return len(t.rows) == 1 }

func (t *table) print(w io.Writer) error { return printAligned(w, t.rows) }

// printAligned prints rows of cells in columns.
func printAligned(w io.Writer, rows [][]string) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(columns, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return columns.Flush()
}

// printable makes text that others chose (names, topics, payloads) harmless for a terminal: what cannot be shown is escaped as
// in Go strings, so that no escape sequence and no line feed gets through.
func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return text
	}
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}

// clock shows a time to people, in UTC; a zero time is "never".
func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// pairs shows a map as k=v,k=v, in the order of the keys.
func pairs(values map[string]string) string {
	texts := make([]string, 0, len(values))
	for key, value := range values {
		texts = append(texts, key+"="+value)
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}
