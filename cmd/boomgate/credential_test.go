package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testSecret = "bg_not-a-real-secret"

func TestACredentialShowsNoSecretInTextsAndLogs(t *testing.T) {
	t.Parallel()

	cred := Credential{ClientID: "b1-001", ClientSecret: testSecret}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("test", "credential", cred)
	for how, text := range map[string]string{
		"%v": fmt.Sprintf("%v", cred), "%+v": fmt.Sprintf("%+v", cred), "%#v": fmt.Sprintf("%#v", cred),
		"String": cred.String(), "pointer": fmt.Sprintf("%v", &cred), "log": log.String(),
	} {
		if strings.Contains(text, testSecret) || !strings.Contains(text, "b1-001") {
			t.Errorf("%s prints %s", how, text)
		}
	}
}

func TestTheCredentialIsTakenFromTheNearestPlace(t *testing.T) {
	t.Parallel()

	text := func(id string) string { return fmt.Sprintf(`{"client_id":%q,"client_secret":%q}`, id, testSecret) }
	flag := scratchFile(t, "flag.json", text("from-flag"), 0o600)
	file := scratchFile(t, "file.json", text("from-file"), 0o600)
	root := scratchFile(t, rootFileName, text("from-root"), 0o600)
	for _, c := range []struct {
		name       string
		credential string
		env        []string
		want       string
	}{
		{"the flag before the environment", flag, []string{"BOOMGATE_CREDENTIAL=" + file}, "from-flag"},
		{"a file in the environment", "", []string{"BOOMGATE_CREDENTIAL=" + file}, "from-file"},
		{"JSON in the environment", "", []string{"BOOMGATE_CREDENTIAL=" + text("from-json")}, "from-json"},
		{"standard input", "-", nil, "from-stdin"},
		{"the data folder on this machine", "", []string{"BOOMGATE_DATA_DIR=" + filepath.Dir(root)}, "from-root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			a := &app{env: c.env, stdin: strings.NewReader(text("from-stdin")), stderr: &stderr}
			cred, err := connection{credential: c.credential}.open(a)
			if err != nil {
				t.Fatal(err)
			}
			if cred.ClientID != c.want {
				t.Errorf("got %s, want %s", cred.ClientID, c.want)
			}
			if cred.TokenEndpoint != defaultURL+tokenPath {
				t.Errorf("token endpoint %s", cred.TokenEndpoint)
			}
			if stderr.Len() > 0 {
				t.Errorf("stderr: %s", stderr.String())
			}
		})
	}
}

func TestAnUnencryptedWayIsWarnedOfUnlessItStaysOnThisMachine(t *testing.T) {
	t.Parallel()

	file := scratchFile(t, "c.json", `{"client_id":"x","client_secret":"y","token_endpoint":"https://gate.example:8443/oauth/token"}`, 0o600)
	for url, warned := range map[string]bool{
		"":                      false, // the credential's own, which is HTTPS
		"http://127.0.0.1:8080": false,
		"http://localhost:8080": false,
		"http://[::1]:8080/":    false,
		"http://gate.example":   true,
		"https://gate.example":  false,
	} {
		var stderr bytes.Buffer
		cred, err := connection{url: url, credential: file}.open(&app{stderr: &stderr})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(stderr.String(), "is not encrypted"); got != warned {
			t.Errorf("%q: warned %t, want %t", url, got, warned)
		}
		if strings.Contains(strings.TrimPrefix(cred.TokenEndpoint, "http"), "//oauth") {
			t.Errorf("%q gives the token endpoint %s", url, cred.TokenEndpoint)
		}
	}
}

// scratchFile writes a file of the test's own.
func scratchFile(tb testing.TB, name, text string, mode os.FileMode) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		tb.Fatal(err)
	}
	return path
}
