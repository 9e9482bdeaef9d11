package e2e_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

const denyPathsIntro = `# Deny paths

What a client is told when it may not. The built program gave each of these answers: §TestDenyPathsAreAnsweredAsTheDocumentSays§ tries every path
and fails if this page says otherwise. §go test ./e2e -run DenyPaths -update§ writes it.

- A code is the reason code of MQTT 5, or the return code of 3.1.1, which has few of them; [the last table](#codes) names them.
- §closed§: the server ends the connection. §dropped§: nobody gets the message, and the client learns only what stands before it.
- The device learns no more. The operator finds the rule in the log, in the metrics and with §boomgate explain --last§;
  [operating.md](operating.md#why-was-it-refused) says what helps. There is none where a packet breaks the protocol itself.
- §on_denied§ is the policy of the settings. Where a table speaks neither of it nor of QoS, the answers are the same under both
  policies, and at QoS 0, 1 and 2.
`

// renderDenyPaths writes the document.
func renderDenyPaths(tb testing.TB, sections []denySection, answers denyAnswers) string {
	tb.Helper()
	var out strings.Builder
	out.WriteString(strings.ReplaceAll(denyPathsIntro, "§", "`"))
	for _, section := range sections {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n", section.title, section.intro)
		if !section.perQoS {
			out.WriteString("\n" + section.table(answers))
			continue
		}
		for _, policy := range denyPolicies {
			fmt.Fprintf(&out, "\nWith `on_denied: %s`:\n\n%s", policy, section.tableByQoS(answers, policy))
		}
	}
	out.WriteString("\n## Codes\n\nThe names that the standards have for the codes above (MQTT 5.0 §2.4; MQTT 3.1.1 §3.2.2.3, §3.9.3).\n\n")
	out.WriteString(tableOfCodes(tb, answers))
	return out.String()
}

// table has a column for each version.
func (s denySection) table(answers denyAnswers) string {
	rows := [][]string{{"Path", "MQTT 3.1.1", "MQTT 5", "Rule"}}
	for _, path := range s.paths {
		row := []string{path.what}
		for _, version := range harness.Versions {
			row = append(row, s.cell(path, version, answers))
		}
		rows = append(rows, append(row, code(path.rule)))
	}
	return renderTable(rows)
}

// cell says what is answered in one version, and on what that depends.
func (s denySection) cell(path denyPath, version byte, answers denyAnswers) string {
	if !slices.Contains(path.versions(), version) {
		return "–"
	}
	byPolicy := make([]string, 0, len(denyPolicies))
	for _, policy := range denyPolicies {
		byQoS := make([]string, 0, 3)
		for _, qos := range path.levels() {
			byQoS = append(byQoS, code(answers[denyPlace{s.title, path.what, policy, version, qos}]))
		}
		byPolicy = append(byPolicy, unite(byQoS, func(i int) string { return fmt.Sprint("at QoS ", path.levels()[i]) }))
	}
	return unite(byPolicy, func(i int) string { return "with `" + denyPolicies[i] + "`" })
}

// unite names the answers one by one unless they are all the same.
func unite(answers []string, name func(i int) string) string {
	if len(slices.Compact(slices.Clone(answers))) == 1 {
		return answers[0]
	}
	parts := make([]string, len(answers))
	for i, answer := range answers {
		parts[i] = answer + " " + name(i)
	}
	return strings.Join(parts, ", ")
}

// tableByQoS has a column for each version and QoS.
func (s denySection) tableByQoS(answers denyAnswers, policy string) string {
	head := []string{"Path"}
	for _, version := range []string{"3.1.1", "5"} {
		for qos := range 3 {
			head = append(head, fmt.Sprintf("%s, QoS %d", version, qos))
		}
	}
	rows := [][]string{append(head, "Rule")}
	for _, path := range s.paths {
		row := []string{path.what}
		for _, version := range harness.Versions {
			for qos := range byte(3) {
				answer, tried := answers[denyPlace{s.title, path.what, policy, version, qos}]
				if !tried {
					row = append(row, "–")
					continue
				}
				row = append(row, code(answer))
			}
		}
		rows = append(rows, append(row, code(path.rule)))
	}
	return renderTable(rows)
}

func renderTable(rows [][]string) string {
	var out strings.Builder
	for i, row := range rows {
		out.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			out.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return out.String()
}

func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + text + "`"
}

// codeNames are the codes that a server may send. No two of them that have the same number mean something else.
var codeNames = map[string]string{
	"0x00": "success",
	"0x01": "unacceptable protocol version",
	"0x02": "identifier rejected",
	"0x03": "server unavailable",
	"0x04": "bad user name or password",
	"0x05": "not authorized",
	"0x80": "failure",
	"0x81": "malformed packet",
	"0x82": "protocol error",
	"0x84": "unsupported protocol version",
	"0x85": "client identifier not valid",
	"0x86": "bad user name or password",
	"0x87": "not authorized",
	"0x88": "server unavailable",
	"0x89": "server busy",
	"0x8C": "bad authentication method",
	"0x8E": "session taken over",
	"0x8F": "topic filter invalid",
	"0x90": "topic name invalid",
	"0x93": "receive maximum exceeded",
	"0x94": "topic alias invalid",
	"0x95": "packet too large",
	"0x96": "message rate too high",
	"0x97": "quota exceeded",
	"0x98": "administrative action",
	"0x9B": "QoS not supported",
	"0x9F": "connection rate exceeded",
	"0xA0": "maximum connect time",
}

// tableOfCodes names the codes that the answers have.
func tableOfCodes(tb testing.TB, answers denyAnswers) string {
	tb.Helper()
	seen := map[string]bool{}
	for _, answer := range answers {
		for _, number := range regexp.MustCompile(`0x[0-9A-F]{2}`).FindAllString(answer, -1) {
			seen[number] = true
		}
	}
	rows := [][]string{{"Code", "Name"}}
	for _, number := range slices.Sorted(maps.Keys(seen)) {
		if codeNames[number] == "" {
			tb.Errorf("no standard knows the code %s", number)
		}
		rows = append(rows, []string{code(number), codeNames[number]})
	}
	return renderTable(rows)
}
