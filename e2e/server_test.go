package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once for all tests of the package.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "boomgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "boomgate")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../cmd/boomgate")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the program under test:", err)
		return 1
	}
	waitTogether()
	return m.Run()
}

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

// patience bounds every wait; a test that reaches it has failed.
const patience = 30 * time.Second

// server is one running `boomgate serve`.
type server struct {
	tb      testing.TB
	dataDir string
	flags   []string
	http    string // base URL
	mqtt    string // host:port
	mqtts   string // host:port, empty without --mqtts
	cmd     *exec.Cmd
	log     *logBuffer
	exited  chan struct{}
}

// startServer starts the program on free ports with an own data folder; it is stopped with the test.
func startServer(tb testing.TB, flags ...string) *server {
	tb.Helper()
	s := &server{tb: tb, dataDir: filepath.Join(tb.TempDir(), "data"), flags: flags, log: newLogBuffer()}
	s.start(freeAddr(tb), freeAddr(tb))
	tb.Cleanup(func() {
		s.kill()
		s.log.expectSound(tb)
		if tb.Failed() {
			tb.Logf("the server's log:\n%s", s.log)
		}
	})
	return s
}

// in is the server seen from a subtest, which then fails instead of its parent.
func (s *server) in(tb testing.TB) *server {
	tb.Helper()
	view := *s
	view.tb = tb
	return &view
}

// lastPort counts through the ports from firstPort on, from a random one.
var lastPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(portCount))
	return &n
}()

// Ports that systems do not give to outgoing connections: a server that restarts finds its own
// still free.
const (
	firstPort = 20_000
	portCount = 12_000
)

// freeAddr is a loopback address that nobody listens on and no other test gets.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range portCount {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+lastPort.Add(1)%portCount)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		must(tb, l.Close())
		return addr
	}
	tb.Fatal("no port is free")
	return ""
}

func (s *server) start(httpAddr, mqttAddr string) {
	s.tb.Helper()
	args := append([]string{"serve", "--data-dir", s.dataDir, "--http", httpAddr, "--mqtt", mqttAddr}, s.flags...)
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = cleanEnv()
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	must(s.tb, err)
	must(s.tb, s.cmd.Start())
	s.exited = make(chan struct{})
	ready := make(chan struct{})
	go s.watch(stdout, ready)
	select {
	case <-ready:
	case <-s.exited:
		s.tb.Fatalf("the server ended at once:\n%s", s.log)
	case <-time.After(patience):
		s.tb.Fatalf("the server did not say where it listens:\n%s", s.log)
	}
}

// watch reads the addresses that serve prints, then waits for its end.
func (s *server) watch(stdout io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		switch f := strings.Fields(lines.Text()); {
		case len(f) == 2 && f[0] == "http":
			s.http = f[1]
		case len(f) == 2 && f[0] == "mqtt" && strings.HasPrefix(f[1], "mqtt://"):
			s.mqtt = strings.TrimPrefix(f[1], "mqtt://")
		case len(f) == 2 && f[0] == "mqtt" && strings.HasPrefix(f[1], "mqtts://"):
			s.mqtts = strings.TrimPrefix(f[1], "mqtts://")
		case len(f) == 2 && f[0] == "data":
			close(ready)
		}
	}
	_ = s.cmd.Wait()
	close(s.exited)
}

// stop ends the server as an operator would and checks that it ended well.
func (s *server) stop() {
	s.tb.Helper()
	must(s.tb, s.cmd.Process.Signal(syscall.SIGTERM))
	s.waitExit()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.tb.Fatalf("the server stopped with code %d:\n%s", code, s.log)
	}
}

// kill ends the server without warning (SIGKILL).
func (s *server) kill() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
	}
	s.waitExit()
}

func (s *server) waitExit() {
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.tb.Errorf("the server did not end:\n%s", s.log)
	}
}

// restart starts the server again, on the ports it had.
func (s *server) restart() {
	s.tb.Helper()
	u, err := url.Parse(s.http)
	must(s.tb, err)
	s.start(u.Host, s.mqtt)
}

// run executes a command of the program against this server.
func (s *server) run(args ...string) result {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(cleanEnv(), "BOOMGATE_CREDENTIAL="+filepath.Join(s.dataDir, "root.json"), "BOOMGATE_URL="+s.http)
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

// credential is what creating a client answers.
type credential struct {
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	TokenEndpoint string `json:"token_endpoint"`
	MQTTURL       string `json:"mqtt_url"`
}

// create makes a client by the command line: create("devices", "--id", "b1-001", …).
func (s *server) create(kind string, args ...string) credential {
	s.tb.Helper()
	res := s.run(append([]string{kind, "create", "-o", "json"}, args...)...)
	if res.code != 0 {
		s.tb.Fatalf("%s create %v: code %d\n%s", kind, args, res.code, res.stderr)
	}
	var c credential
	must(s.tb, json.Unmarshal([]byte(res.stdout), &c))
	return c
}

// rootCredential is what the first start wrote for the operator root.
func (s *server) rootCredential() credential {
	s.tb.Helper()
	text, err := os.ReadFile(filepath.Join(s.dataDir, "root.json"))
	must(s.tb, err)
	var c credential
	must(s.tb, json.Unmarshal(text, &c))
	return c
}

// must runs a command that has to succeed and gives its output.
func (s *server) must(args ...string) string {
	s.tb.Helper()
	res := s.run(args...)
	if res.code != 0 {
		s.tb.Fatalf("boomgate %s: code %d\n%s", strings.Join(args, " "), res.code, res.stderr)
	}
	return res.stdout
}

// token gets an access token; extra are further form fields as name, value pairs.
func (s *server) token(c credential, extra ...string) string {
	s.tb.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}}
	for i := 0; i+1 < len(extra); i += 2 {
		form.Add(extra[i], extra[i+1])
	}
	status, body := s.post("/oauth/token", "application/x-www-form-urlencoded", form.Encode())
	if status != http.StatusOK {
		s.tb.Fatalf("token for %s: %d %s", c.ClientID, status, body)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	must(s.tb, json.Unmarshal([]byte(body), &answer))
	return answer.AccessToken
}

func (s *server) post(path, contentType, body string) (status int, answer string) {
	s.tb.Helper()
	resp, err := http.Post(s.http+path, contentType, strings.NewReader(body))
	must(s.tb, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.tb, err)
	return resp.StatusCode, string(text)
}

// cleanEnv is the environment without settings that belong to another server. A program that is
// built with the race detector ends at the first race, and at once, not a second later.
func cleanEnv() []string {
	env := []string{"GORACE=halt_on_error=1 atexit_sleep_ms=0"}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "BOOMGATE_") {
			env = append(env, entry)
		}
	}
	return env
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		tb.Fatalf("%s:%d: %v", filepath.Base(file), line, err)
	}
}

// logBuffer is what a server has logged, over all its starts.
type logBuffer struct {
	mu      sync.Mutex
	text    []byte
	written chan struct{} // closed by the next write
}

func newLogBuffer() *logBuffer { return &logBuffer{written: make(chan struct{})} }

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	close(l.written)
	l.written = make(chan struct{})
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// wait waits for a line that holds all these texts, and returns it.
func (l *logBuffer) wait(tb testing.TB, texts ...string) string {
	tb.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		written := l.written
		l.mu.Unlock()
		if lines := l.lines(texts...); len(lines) > 0 {
			return lines[0]
		}
		select {
		case <-written:
		case <-late.C:
			tb.Fatalf("the log holds no line with %q:\n%s", texts, l)
		}
	}
}

// lines returns the whole lines that hold all these texts.
func (l *logBuffer) lines(texts ...string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.HasSuffix(line, "\n") && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}

// secretText matches what no log may hold: a token, or a client's secret.
var secretText = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|bg_[0-9A-Za-z]{40,}`)

// expectSound wants no crash, no data race and no secret in the log, whatever the test was about.
func (l *logBuffer) expectSound(tb testing.TB) {
	tb.Helper()
	text := l.String()
	for _, sign := range []string{"\npanic: ", "\nfatal error: ", "WARNING: DATA RACE"} {
		if strings.Contains("\n"+text, sign) {
			tb.Errorf("the server's log holds %q:\n%s", strings.TrimSpace(sign), text)
		}
	}
	if secret := secretText.FindString(text); secret != "" {
		tb.Errorf("the server's log holds the secret %.12s…", secret)
	}
}
