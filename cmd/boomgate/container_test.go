package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// repository is the root of the repository, as tests of this package see it.
var repository = filepath.Join("..", "..")

// instruction is one instruction of a Dockerfile, continued lines joined.
type instruction struct{ name, rest string }

func TestTheImageRunsTheProgramAsItIs(t *testing.T) {
	t.Parallel()

	image := dockerfile(t)
	if !slices.ContainsFunc(image, func(i instruction) bool {
		return i.name == "RUN" && strings.Contains(i.rest, "CGO_ENABLED=0") && strings.HasSuffix(i.rest, "mkdir /out/data") &&
			strings.Contains(i.rest, " ./cmd/boomgate ")
	}) {
		t.Error("the image does not build ./cmd/boomgate as a static binary")
	}
	if last := lastOf(t, image, "FROM"); last != "scratch" {
		t.Errorf("the image is built on %s, which holds more than the program", last)
	}
	if user := lastOf(t, image, "USER"); !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(user) {
		t.Errorf("the image runs as %q: use numbers other than 0, which every orchestrator can check", user)
	}
	if entry := jsonList(t, lastOf(t, image, "ENTRYPOINT")); !slices.Equal(entry, []string{"/boomgate"}) {
		t.Errorf("the image starts %v", entry)
	}
	if err := checkCommandLine(jsonList(t, lastOf(t, image, "CMD"))); err != nil {
		t.Errorf("CMD: %v", err)
	}
}

func TestTheSettingsOfTheImageAreRealAndOnlyNeedToBeCalledInsecure(t *testing.T) {
	t.Parallel()

	image := dockerfile(t)
	environ := strings.Fields(lastOf(t, image, "ENV"))
	volume := lastOf(t, image, "VOLUME")
	if !slices.Contains(environ, "BOOMGATE_DATA_DIR="+volume) {
		t.Errorf("the data folder is not the volume %s: %v", volume, environ)
	}
	cfg := serveConfig(t, environ, "--insecure", "--public-url", "http://localhost:8080")
	for port, addr := range map[string]string{"8080": cfg.HTTP, "1883": cfg.MQTT} {
		if addr != "0.0.0.0:"+port || !slices.Contains(strings.Fields(lastOf(t, image, "EXPOSE")), port) {
			t.Errorf("the image exposes %s and listens on %s", lastOf(t, image, "EXPOSE"), addr)
		}
	}
	if _, err := loadServeConfig(t, environ, "--public-url", "http://localhost:8080"); err == nil {
		t.Error("the image listens on every address without TLS, and nobody had to say so")
	}
}

func TestTheBuilderSeesWhatTheProgramIsMadeOfAndNoData(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if !slices.Contains(lines, "*") {
		t.Error(".dockerignore does not begin by leaving everything out")
	}
	folders, err := filepath.Glob(filepath.Join(repository, "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	folders = append(folders, filepath.Join(repository, "cmd", "x.go"))
	for _, file := range folders {
		folder := filepath.Base(filepath.Dir(file))
		if sources := !strings.HasSuffix(file, "_test.go") && folder != "e2e" && folder != "bench"; sources && !slices.Contains(lines, "!"+folder) {
			t.Errorf(".dockerignore leaves out %s, of which the program is made", folder)
		}
	}
}

// composeFile is the part of docker-compose.yml that says what is run.
type composeFile struct {
	Services map[string]struct {
		Build       string   `yaml:"build"`
		Command     []string `yaml:"command"`
		Ports       []string `yaml:"ports"`
		Volumes     []string `yaml:"volumes"`
		NetworkMode string   `yaml:"network_mode"`
		DependsOn   []string `yaml:"depends_on"`
		ReadOnly    bool     `yaml:"read_only"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

func TestTheComposeFileStartsAServerAndASimulatorWithRealFlags(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile(filepath.Join(repository, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose composeFile
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	image := dockerfile(t)
	environ, volume := strings.Fields(lastOf(t, image, "ENV")), lastOf(t, image, "VOLUME")
	server, simulator := compose.Services["server"], compose.Services["simulator"]

	if server.Command[0] != "serve" || simulator.Command[0] != "simulate" {
		t.Fatalf("the commands are %v and %v", server.Command, simulator.Command)
	}
	cfg := serveConfig(t, environ, server.Command[1:]...)
	if err := checkCommandLine(simulator.Command); err != nil {
		t.Errorf("the simulator's command: %v", err)
	}
	for _, port := range server.Ports {
		parts := strings.Split(port, ":")
		if len(parts) != 3 || parts[0] != "127.0.0.1" {
			t.Errorf("the port %s is published to more than this machine, without TLS", port)
		} else if !strings.HasSuffix(cfg.HTTP, ":"+parts[2]) && !strings.HasSuffix(cfg.MQTT, ":"+parts[2]) {
			t.Errorf("nothing listens on the published port %s", port)
		}
	}
	if !slices.Contains(server.Volumes, "data:"+volume) || !slices.Contains(simulator.Volumes, "data:"+volume+":ro") {
		t.Errorf("the two do not share the data folder %s: %v, %v", volume, server.Volumes, simulator.Volumes)
	}
	if _, declared := compose.Volumes["data"]; !declared {
		t.Error("the volume data is not declared")
	}
	if credential := flagValue(simulator.Command, "--credential"); credential != volume+"/"+rootFileName {
		t.Errorf("the simulator looks for its credential in %s", credential)
	}
	if url := flagValue(simulator.Command, "--url"); url != cfg.PublicURL || simulator.NetworkMode != "service:server" {
		t.Errorf("the simulator looks for the server at %s with the network %s; the server calls itself %s", url, simulator.NetworkMode, cfg.PublicURL)
	}
	if !server.ReadOnly || !simulator.ReadOnly || server.Build != "." || simulator.Build != "." {
		t.Error("both are built here and run with a read-only root")
	}
}

// dockerfile reads the instructions of the Dockerfile.
func dockerfile(tb testing.TB) []instruction {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		tb.Fatal(err)
	}
	var found []instruction
	for _, line := range strings.Split(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
		if name, rest, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			found = append(found, instruction{name, strings.Join(strings.Fields(rest), " ")})
		}
	}
	return found
}

// lastOf gives the last instruction of a name: the one that counts.
func lastOf(tb testing.TB, image []instruction, name string) string {
	tb.Helper()
	for _, i := range slices.Backward(image) {
		if i.name == name {
			return i.rest
		}
	}
	tb.Fatalf("the Dockerfile has no %s", name)
	return ""
}

func jsonList(tb testing.TB, text string) []string {
	tb.Helper()
	var list []string
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return list
}

func flagValue(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// serveConfig gives the settings that serve would start with.
func serveConfig(tb testing.TB, environ []string, args ...string) Config {
	tb.Helper()
	cfg, err := loadServeConfig(tb, environ, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

func loadServeConfig(tb testing.TB, environ []string, args ...string) (Config, error) {
	tb.Helper()
	cmd := newServeCommand(&app{})
	if err := cmd.ParseFlags(args); err != nil {
		tb.Fatal(err)
	}
	return loadConfig(cmd.Flags(), environ)
}
