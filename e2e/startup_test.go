package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// TestABadStartSaysWhatToDo starts the server where it cannot run: exit code 1, a message
// that names the fault and the remedy, and nothing damaged.
func TestABadStartSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) (flags []string)
		want    []string
	}{
		"every fault of a configuration at once": {
			func(t *testing.T, dir string) []string {
				file := filepath.Join(dir, "bad.yaml")
				harness.Must(t, os.WriteFile(file, []byte("http: 0.0.0.0:80\nmqttt: x\nleeway: 5h\ntoken_ttl: soon\n"), 0o600))
				return []string{"--config", file}
			},
			[]string{`"mqttt"`, "did you mean", "token_ttl"},
		},
		"listening to the world without TLS": {
			func(*testing.T, string) []string { return []string{"--http", "0.0.0.0:0", "--mqtt", "0.0.0.0:0"} },
			[]string{"http", "mqtt", "--insecure", "public_url"},
		},
		"an HTTP port in use": {
			func(t *testing.T, _ string) []string { return []string{"--http", occupiedAddr(t)} },
			[]string{"http", "another program", "--http"},
		},
		"an MQTT port in use": {
			func(t *testing.T, _ string) []string { return []string{"--mqtt", occupiedAddr(t)} },
			[]string{"mqtt", "another program", "--mqtt"},
		},
		"a data folder that is a file": {
			func(t *testing.T, dir string) []string {
				harness.Must(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o600))
				return nil
			},
			[]string{"is a file", "folder"},
		},
		"a certificate that is none": {
			func(t *testing.T, dir string) []string {
				file := filepath.Join(dir, "cert.pem")
				harness.Must(t, os.WriteFile(file, []byte("no certificate"), 0o600))
				return []string{"--mqtts", "127.0.0.1:0", "--tls-cert", file, "--tls-key", file}
			},
			[]string{"cert.pem"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			flags := test.prepare(t, dir)
			wantFailedStart(t, filepath.Join(dir, "data"), flags, test.want)
		})
	}
}

// TestADataFolderInUseIsNotOpenedTwice starts a second server on the first one's folder.
func TestADataFolderInUseIsNotOpenedTwice(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	wantFailedStart(t, s.DataDir, nil, []string{"another", s.DataDir})
	s.Create("devices", "--id", "still-there")
}

// TestAStoreThatCannotBeReadIsLeftAlone damages a store, or pretends that it is of a newer
// format, and checks that the failed start changed no byte of it.
func TestAStoreThatCannotBeReadIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	s.Create("devices", "--id", "b1-001")
	s.Stop()
	manifest := filepath.Join(s.DataDir, "registry", "MANIFEST")
	before, err := os.ReadFile(manifest)
	harness.Must(t, err)
	damaged := append([]byte("XXXXXXXX"), before[min(8, len(before)):]...)
	harness.Must(t, os.WriteFile(manifest, damaged, 0o600))

	wantFailedStart(t, s.DataDir, nil, []string{"damaged", "backup"})

	after, err := os.ReadFile(manifest)
	harness.Must(t, err)
	if !bytes.Equal(after, damaged) {
		t.Error("the failed start changed the store")
	}
	harness.Must(t, os.WriteFile(manifest, before, 0o600))
	s.Restart()
	s.Must("devices", "show", "b1-001")
}

// wantFailedStart runs serve and wants exit code 1 and a message that holds every text.
func wantFailedStart(t *testing.T, dataDir string, flags, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	args := append([]string{"serve", "--data-dir", dataDir, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"}, flags...)
	cmd := exec.CommandContext(ctx, harness.Binary(), args...)
	cmd.Env = harness.CleanEnv()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("serve ended with %v, want exit code 1:\n%s", err, out)
	}
	for _, text := range want {
		if !strings.Contains(string(out), text) {
			t.Errorf("the message does not hold %q:\n%s", text, out)
		}
	}
}

func occupiedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	harness.Must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
