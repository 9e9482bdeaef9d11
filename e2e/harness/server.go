package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main builds the program, runs the tests of a package and returns their exit code: for its TestMain.
func Main(m *testing.M) int {
	path, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, "building the program under test:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(path)) }()
	waitTogether()
	return m.Run()
}

// Binary is the program under test, built once for all tests of a package.
func Binary() string {
	path, _ := build() // Main has seen the error
	return path
}

// build builds the program into a folder of its own.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "boomgate-e2e-")
	if err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	path := filepath.Join(dir, "boomgate")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	command := exec.Command("go", append(args, "github.com/boomgate/boomgate/cmd/boomgate")...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	return path, command.Run()
})

// waitTogether runs more tests at once than there are processors, unless the command line says how
// many: they spend their time waiting for tokens to expire and for deadlines to pass.
func waitTogether() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	}
}

// Patience bounds every wait; a test that reaches it has failed.
const Patience = 30 * time.Second

// Server is one running `boomgate serve`.
type Server struct {
	tb      testing.TB
	DataDir string
	flags   []string
	HTTP    string // base URL
	MQTT    string // host:port
	MQTTS   string // host:port, empty without --mqtts
	cmd     *exec.Cmd
	Log     *LogBuffer
	exited  chan struct{}
	https   *http.Client // nil without HTTPS
}

// StartServer starts the program on free ports with an own data folder; it is stopped with the test.
func StartServer(tb testing.TB, flags ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, DataDir: filepath.Join(tb.TempDir(), "data"), flags: flags, Log: newLogBuffer()}
	s.start(FreeAddr(tb), FreeAddr(tb))
	tb.Cleanup(func() {
		s.Kill()
		s.Log.expectSound(tb)
		if tb.Failed() {
			tb.Logf("the server's log:\n%s", s.Log)
		}
	})
	return s
}

// In is the server seen from a subtest, which then fails instead of its parent.
func (s *Server) In(tb testing.TB) *Server {
	tb.Helper()
	view := *s
	view.tb = tb
	return &view
}

func (s *Server) start(httpAddr, mqttAddr string) {
	s.tb.Helper()
	args := append([]string{
		"serve", "--data-dir", s.DataDir, "--http", httpAddr, "--mqtt", mqttAddr,
		"--max-failures-per-ip", "100000", // all clients of a test have one address
	}, s.flags...)
	s.cmd = exec.Command(Binary(), args...)
	s.cmd.Env = CleanEnv()
	s.cmd.Stderr = s.Log
	stdout, err := s.cmd.StdoutPipe()
	Must(s.tb, err)
	Must(s.tb, s.cmd.Start())
	s.exited = make(chan struct{})
	ready := make(chan struct{})
	go s.watch(stdout, ready)
	select {
	case <-ready:
	case <-s.exited:
		s.tb.Fatalf("the server ended at once:\n%s", s.Log)
	case <-time.After(Patience):
		s.tb.Fatalf("the server did not say where it listens:\n%s", s.Log)
	}
}

// watch reads the addresses that serve prints, then waits for its end.
func (s *Server) watch(stdout io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		switch f := strings.Fields(lines.Text()); {
		case len(f) == 2 && f[0] == "http":
			s.HTTP = f[1]
		case len(f) == 2 && f[0] == "mqtt" && strings.HasPrefix(f[1], "mqtt://"):
			s.MQTT = strings.TrimPrefix(f[1], "mqtt://")
		case len(f) == 2 && f[0] == "mqtt" && strings.HasPrefix(f[1], "mqtts://"):
			s.MQTTS = strings.TrimPrefix(f[1], "mqtts://")
		case len(f) == 2 && f[0] == "data":
			close(ready)
		}
	}
	_ = s.cmd.Wait()
	close(s.exited)
}

// Stop ends the server as an operator would and checks that it ended well.
func (s *Server) Stop() {
	s.tb.Helper()
	Must(s.tb, s.cmd.Process.Signal(syscall.SIGTERM))
	s.waitExit()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.tb.Fatalf("the server stopped with code %d:\n%s", code, s.Log)
	}
}

// Kill ends the server without warning (SIGKILL).
func (s *Server) Kill() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
	}
	s.waitExit()
}

func (s *Server) waitExit() {
	select {
	case <-s.exited:
	case <-time.After(Patience):
		s.tb.Errorf("the server did not end:\n%s", s.Log)
	}
}

// Restart starts the server again, on the ports it had.
func (s *Server) Restart() {
	s.tb.Helper()
	u, err := url.Parse(s.HTTP)
	Must(s.tb, err)
	s.start(u.Host, s.MQTT)
	Eventually(s.tb, "the sessions of before are there", func() bool {
		resp, err := s.web().Get(s.HTTP + "/readyz")
		Must(s.tb, err)
		Must(s.tb, resp.Body.Close())
		return resp.StatusCode == http.StatusOK
	})
}

// run executes a command of the program against this server.
func (s *Server) run(args ...string) result {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(), args...)
	cmd.Env = append(CleanEnv(), "BOOMGATE_CREDENTIAL="+filepath.Join(s.DataDir, "root.json"), "BOOMGATE_URL="+s.HTTP)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.tb.Fatalf("boomgate %s: %v", strings.Join(args, " "), err)
	}
	return result{stdout: out.String(), stderr: errs.String(), code: cmd.ProcessState.ExitCode()}
}

type result struct {
	stdout, stderr string
	code           int
}

// Credential is what creating a client answers.
type Credential struct {
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	TokenEndpoint string `json:"token_endpoint"`
	MQTTURL       string `json:"mqtt_url"`
}

// Create makes a client by the command line: create("devices", "--id", "b1-001", …).
func (s *Server) Create(kind string, args ...string) Credential {
	s.tb.Helper()
	res := s.run(append([]string{kind, "create", "-o", "json"}, args...)...)
	if res.code != 0 {
		s.tb.Fatalf("%s create %v: code %d\n%s", kind, args, res.code, res.stderr)
	}
	var c Credential
	Must(s.tb, json.Unmarshal([]byte(res.stdout), &c))
	return c
}

// rootCredential is what the first start wrote for the operator root.
func (s *Server) rootCredential() Credential {
	s.tb.Helper()
	text, err := os.ReadFile(filepath.Join(s.DataDir, "root.json"))
	Must(s.tb, err)
	var c Credential
	Must(s.tb, json.Unmarshal(text, &c))
	return c
}

// Must runs a command that has to succeed and gives its output.
func (s *Server) Must(args ...string) string {
	s.tb.Helper()
	res := s.run(args...)
	if res.code != 0 {
		s.tb.Fatalf("boomgate %s: code %d\n%s", strings.Join(args, " "), res.code, res.stderr)
	}
	return res.stdout
}

// Token gets an access token; extra are further form fields as name, value pairs.
func (s *Server) Token(c Credential, extra ...string) string {
	s.tb.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Add(extra[i], extra[i+1])
	}
	status, body := s.Post("/oauth/token", "application/x-www-form-urlencoded", form.Encode())
	if status != http.StatusOK {
		s.tb.Fatalf("token for %s: %d %s", c.ClientID, status, body)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	Must(s.tb, json.Unmarshal([]byte(body), &answer))
	return answer.AccessToken
}

// Post sends a body to a path of the server.
func (s *Server) Post(path, contentType, body string) (status int, answer string) {
	s.tb.Helper()
	resp, err := s.web().Post(s.HTTP+path, contentType, strings.NewReader(body))
	Must(s.tb, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	Must(s.tb, err)
	return resp.StatusCode, string(text)
}

// CleanEnv is the environment without settings that belong to another server. The reports of a
// program that is built with the race detector are looked for in its log, not in its exit code.
func CleanEnv() []string {
	env := []string{"GORACE=exitcode=0 atexit_sleep_ms=0"}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "BOOMGATE_") {
			env = append(env, entry)
		}
	}
	return env
}

// Must fails the test at once over an error.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		tb.Fatalf("%s:%d: %v", filepath.Base(file), line, err)
	}
}
