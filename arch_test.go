package boomgate_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/boomgate/boomgate"

// Third parties whose use is confined to a few packages, by the first part of their import paths.
const (
	mochi  = "github.com/mochi-mqtt/server/v2"
	badger = "github.com/dgraph-io/badger/v4"
)

// everything stands for all packages of ours: the program wires them.
const everything = "*"

// imports is the architecture: for each package, the packages of ours and the confined third parties that it may import, test
// files aside. A package that is not listed fails, and so does an entry that nothing uses, so the table is always the truth.
var imports = map[string][]string{
	".":                        {},
	"authhook":                 {"authhook/accesstoken", "authhook/topicacl", mochi},
	"authhook/accesstoken":     {},
	"authhook/topicacl":        {},
	"bench":                    {},
	"broker":                   {mochi, badger},
	"cmd/boomgate":             {everything},
	"device-sim":               {"device-sim/parking"},
	"device-sim/parking":       {},
	"e2e":                      {},
	"e2e/attacks":              {},
	"e2e/harness":              {"provisioning", "provisioning/badgerstore"}, // a key of the server, to forge with
	"e2e/soak":                 {},
	"provisioning":             {},
	"provisioning/badgerstore": {"provisioning", badger},
	"provisioning/fleetapi":    {"provisioning"},
	"provisioning/issuer":      {"provisioning"},
	"provisioning/oauth":       {"provisioning"},
	"provisioning/storetest":   {"provisioning"},
}

// testImports adds what the tests of a package may import beside what the package itself may.
var testImports = map[string][]string{
	"bench":                    {"e2e/harness"},
	"device-sim":               {mochi}, // a small gateway to knock at
	"e2e":                      {"e2e/harness"},
	"e2e/attacks":              {"e2e/harness"},
	"e2e/soak":                 {"e2e/harness"},
	"provisioning":             {"provisioning/badgerstore", "provisioning/storetest", "authhook/topicacl"},
	"provisioning/badgerstore": {"provisioning/storetest"},
	"provisioning/fleetapi":    {"provisioning/badgerstore", "authhook/topicacl"},
	"provisioning/issuer":      {"provisioning/badgerstore"},
	"provisioning/oauth":       {"provisioning/badgerstore", "provisioning/issuer", "authhook/accesstoken", "authhook/topicacl"},
}

// goPackage is the part of `go list -json` that matters here.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsRunOneWayAsTheTableSays(t *testing.T) {
	t.Parallel()

	unseen := maps.Clone(imports)
	for _, pkg := range listPackages(t) {
		name := relative(pkg.ImportPath)
		allowed, listed := imports[name]
		if !listed {
			t.Errorf("package %s is not in the table of arch_test.go: add it with what it may import, as design §2 has it", name)
			continue
		}
		delete(unseen, name)
		used := guarded(pkg.Imports)
		for _, imported := range used {
			if !slices.Contains(allowed, imported) && !slices.Contains(allowed, everything) {
				t.Errorf("package %s imports %s, which the table of arch_test.go does not allow: imports run one way", name, imported)
			}
		}
		for _, entry := range allowed {
			if entry != everything && !slices.Contains(used, entry) {
				t.Errorf("the table of arch_test.go lets %s import %s, which it no longer does: remove the entry", name, entry)
			}
		}
	}
	for name := range unseen {
		t.Errorf("the table of arch_test.go lists %s, which does not exist: remove the entry", name)
	}
}

func TestTestsImportNoMoreThanTheTableSays(t *testing.T) {
	t.Parallel()

	for _, pkg := range listPackages(t) {
		name := relative(pkg.ImportPath)
		used := guarded(append(pkg.TestImports, pkg.XTestImports...))
		allowed := append(slices.Clone(imports[name]), testImports[name]...)
		for _, imported := range used {
			if imported != name && !slices.Contains(allowed, imported) && !slices.Contains(allowed, everything) {
				t.Errorf("a test of %s imports %s, which the tables of arch_test.go do not allow", name, imported)
			}
		}
		for _, entry := range testImports[name] {
			if !slices.Contains(used, entry) {
				t.Errorf("the table of arch_test.go lets tests of %s import %s, which they no longer do: remove the entry", name, entry)
			}
		}
	}
}

func TestNothingImportsTheProgram(t *testing.T) {
	t.Parallel()

	for _, pkg := range listPackages(t) {
		for _, imported := range slices.Concat(pkg.Imports, pkg.TestImports, pkg.XTestImports) {
			inProgram := strings.HasPrefix(relative(pkg.ImportPath), "cmd/")
			if strings.HasPrefix(imported, module+"/cmd/") && !inProgram {
				t.Errorf("%s imports %s: the program wires the packages, they do not know it", pkg.ImportPath, imported)
			}
		}
	}
}

// guarded returns, sorted and once each, the imports that the table speaks of: ours by their folder, confined third parties by
// their module.
func guarded(paths []string) []string {
	var found []string
	for _, path := range paths {
		switch {
		case path == module || strings.HasPrefix(path, module+"/"):
			found = append(found, relative(path))
		case strings.HasPrefix(path, mochi):
			found = append(found, mochi)
		case strings.HasPrefix(path, badger):
			found = append(found, badger)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// relative turns an import path of ours into its folder; the external test package of a folder counts as the folder.
func relative(path string) string {
	folder := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(path, module), "/"), "_test")
	if folder == "" {
		return "."
	}
	return folder
}

// listPackages asks the go command for every package of the module.
func listPackages(tb testing.TB) []goPackage {
	tb.Helper()

	cmd := exec.CommandContext(tb.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("go list: %v\n%s", err, complaints.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg goPackage
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			tb.Fatalf("reading the answer of go list: %v", err)
		}
		packages = append(packages, pkg)
	}
}
