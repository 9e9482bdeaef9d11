package e2e_test

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// TestTheWalkthroughOfTheReadmeWorksAsPrinted runs the README's own commands, only with this
// server's addresses in place of the printed ones, and looks at what each step showed.
func TestTheWalkthroughOfTheReadmeWorksAsPrinted(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "bash", "curl", "jq", "mosquitto_pub", "mosquitto_sub")
	s := harness.StartServer(t)

	steps := readmeBlocks(t)
	out := shell(t, s, strings.Join(steps, "\necho '--- next block'\n"))

	blocks := strings.Split(out, "--- next block\n")
	if len(blocks) != len(steps) {
		t.Fatalf("%d blocks ran of %d:\n%s", len(blocks), len(steps), out)
	}
	for i, want := range [][]string{
		{},
		{`"token_type":"Bearer"`, `"expires_in":3600`},
		{},
		{`{"status":"free"}`},
		{`Not authorized`},
		{`b1-001`, `"error":"invalid_client"`, `not authori[sz]ed`},
	} {
		for _, pattern := range want {
			if !regexp.MustCompile(`(?i)`+regexp.QuoteMeta(pattern)).MatchString(blocks[i]) &&
				!regexp.MustCompile(`(?i)`+pattern).MatchString(blocks[i]) {
				t.Errorf("block %d does not show %q:\n%s\n--- its commands:\n%s", i+1, pattern, blocks[i], steps[i])
			}
		}
	}
	if n := strings.Count(blocks[1], `"access_token"`); n != 2 {
		t.Errorf("curl fetched %d tokens by form and JSON, want 2:\n%s", n, blocks[1])
	}
}

// readmeBlocks gives the shell blocks between the README's walkthrough marks.
func readmeBlocks(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile("../README.md")
	harness.Must(tb, err)
	_, rest, found := bytes.Cut(text, []byte("<!-- walkthrough:begin -->"))
	part, _, ended := bytes.Cut(rest, []byte("<!-- walkthrough:end -->"))
	if !found || !ended {
		tb.Fatal("the README has lost its walkthrough marks")
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(part, -1) {
		blocks = append(blocks, string(m[1]))
	}
	return blocks
}

// shell runs a bash script in an empty folder, as the walk-through's reader would; a failing
// command does not stop it, since some of the commands are meant to be refused.
func shell(tb testing.TB, s *harness.Server, script string) string {
	tb.Helper()
	u, err := url.Parse(s.HTTP)
	harness.Must(tb, err)
	_, port, _ := strings.Cut(s.MQTT, ":")
	script = strings.NewReplacer("127.0.0.1:8080", u.Host, "-p 1883", "-p "+port).Replace(script)

	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = tb.TempDir()
	harness.Must(tb, os.Symlink(s.DataDir, filepath.Join(cmd.Dir, "boomgate-data")))
	cmd.Env = append(harness.CleanEnv(), "PATH="+filepath.Dir(harness.Binary())+":"+os.Getenv("PATH"))
	cmd.WaitDelay = time.Second // a program that the script left behind keeps the pipe open
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		tb.Fatalf("the script did not end:\n%s", out)
	}
	tb.Logf("script ended with %v:\n%s", err, out)
	return string(out)
}

// requirePrograms skips a test aloud where a program beside Go is missing; with
// BOOMGATE_REQUIRE_TOOLS=1, as in CI, a missing one is a failure.
func requirePrograms(t *testing.T, names ...string) {
	t.Helper()
	var missing []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
	case os.Getenv("BOOMGATE_REQUIRE_TOOLS") == "1":
		t.Fatalf("missing programs: %s", strings.Join(missing, ", "))
	default:
		t.Skipf("NOT RUN, missing programs: %s (apt-get install mosquitto-clients curl jq)", strings.Join(missing, ", "))
	}
}
