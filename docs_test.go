package boomgate_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// attackCases are the identifiers of the attack cases that docs/threat-model.md speaks of.
var attackCases = strings.Fields("A1 A2 A4 A5 A6 A7 A9 A10 A11 A12 A14 S1 S2 S3 S4 S5 S6 S7 W1 W2 R1 R2 J1 J2 J3 J4 J5 O1 O2 O3 O4 O5 O6 O7 P1 P2")

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")
)

func TestEveryTestThatADocumentNamesExists(t *testing.T) {
	t.Parallel()

	known := testNames(t)
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append(documents, "README.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range testName.FindAllStringSubmatch(string(text), -1) {
			if known[match[1]] == nil {
				t.Errorf("%s names %s, which is not there", document, match[1])
			}
		}
	}
}

func TestEveryAttackCaseIsTriedOnTheWiredProgramAndNamedInTheThreatModel(t *testing.T) {
	t.Parallel()

	model, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	var tried []string
	for name, folders := range testNames(t) {
		if slices.Contains(folders, "e2e/attacks") {
			id, _, _ := strings.Cut(strings.TrimPrefix(name, "Test"), "_")
			tried = append(tried, id)
		}
	}
	for _, id := range attackCases {
		if !slices.Contains(tried, id) {
			t.Errorf("e2e/attacks has no Test%s_…", id)
		}
		if !regexp.MustCompile(`\b` + id + `\b`).Match(model) {
			t.Errorf("docs/threat-model.md does not say what becomes of attack %s", id)
		}
	}
}

// testNames are the functions that `go test` runs, with the folders that have one of that name.
func testNames(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, file := range sources(t) {
		if !file.test {
			continue
		}
		text, err := os.ReadFile(file.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range testFunc.FindAllStringSubmatch(string(text), -1) {
			found[match[1]] = append(found[match[1]], path.Dir(file.path))
		}
	}
	return found
}
