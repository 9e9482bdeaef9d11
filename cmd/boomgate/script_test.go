package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/boomgate/boomgate/authhook"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"boomgate": main})
}

// The scripts run the commands as processes against a server in the test's own process, one for each script.
func TestCommandsDoWhatTheirScriptsSay(t *testing.T) {
	t.Parallel()

	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   scriptExits,
			"json":    scriptJSON,
			"get":     scriptGet,
			"publish": scriptPublish,
			"await":   scriptAwait,
		},
	})
}

// serverKey is where a script's environment holds its server.
type serverKey struct{}

// scriptServer is the server of one script, and what its gate has decided so far.
type scriptServer struct {
	program *Program

	mu     sync.Mutex
	news   *sync.Cond
	events []authhook.Event
	ended  bool
}

// setUpScript starts a server on free ports, and lets the commands find it and its root operator.
func setUpScript(env *testscript.Env) error {
	cfg := defaultConfig()
	cfg.DataDir = filepath.Join(env.WorkDir, ".data")
	cfg.HTTP, cfg.MQTT = "127.0.0.1:0", "127.0.0.1:0"
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	program, err := openProgram(ctx, cfg, log)
	if err != nil {
		cancel()
		return err
	}
	server := &scriptServer{program: program}
	server.news = sync.NewCond(&server.mu)
	program.events.subscribe(server.hear)
	ended := make(chan error, 1)
	go func() { ended <- program.Run(ctx) }()
	env.Defer(func() {
		cancel()
		server.end()
		if err := <-ended; err != nil {
			env.T().Log("the server: ", err)
			env.T().FailNow()
		}
	})
	env.Values[serverKey{}] = server
	env.Setenv("BOOMGATE_URL", program.URL())
	env.Setenv("BOOMGATE_CREDENTIAL", program.RootFile())
	env.Setenv("DATA", cfg.DataDir)
	env.Setenv("GORACE", "atexit_sleep_ms=0") // a race detector's second at the end of every command adds up
	return nil
}

func (s *scriptServer) hear(e authhook.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	s.news.Broadcast()
}

func (s *scriptServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.news.Broadcast()
}

// await waits until the gate has made a decision of that kind about that client; it tells false if the server ended first.
func (s *scriptServer) await(kind authhook.Kind, clientID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !slices.ContainsFunc(s.events, func(e authhook.Event) bool { return e.Kind == kind && e.ClientID == clientID }) {
		if s.ended {
			return false
		}
		s.news.Wait()
	}
	return true
}

func serverOf(ts *testscript.TestScript) *scriptServer {
	server, ok := ts.Value(serverKey{}).(*scriptServer)
	if !ok {
		ts.Fatalf("the script has no server")
	}
	return server
}

// scriptExits runs a command that must end with that exit code: exits 3 boomgate devices list
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// scriptGet puts a member of the output's JSON into a variable: get KEY 0.id
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get VARIABLE PATH")
	}
	ts.Setenv(args[0], fmt.Sprint(memberOf(ts, "stdout", args[1])))
}

// scriptJSON compares a member of a file's or the output's JSON, by its path: json stdout client.labels.site north
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH VALUE")
	}
	if got := fmt.Sprint(memberOf(ts, args[0], args[1])); (got == args[2]) == neg {
		ts.Fatalf("%s is %s", args[1], got)
	}
}

// memberOf finds a member of a file's or the output's JSON by its path, nil if there is none.
func memberOf(ts *testscript.TestScript, file, path string) any {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &value))
	for _, step := range strings.Split(path, ".") {
		switch at := value.(type) {
		case map[string]any:
			value = at[step]
		case []any:
			if index, err := strconv.Atoi(step); err == nil && index < len(at) {
				value = at[index]
			} else {
				value = nil
			}
		default:
			value = nil
		}
	}
	return value
}

// scriptPublish lets the server itself publish a retained message: publish TOPIC PAYLOAD
func scriptPublish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: publish TOPIC PAYLOAD")
	}
	ts.Check(serverOf(ts).program.broker.Publish(context.Background(), args[0], []byte(args[1]), 1, true))
}

// scriptAwait waits for a decision of the gate: await subscribe board
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await KIND CLIENT")
	}
	if !serverOf(ts).await(authhook.Kind(args[0]), args[1]) {
		ts.Fatalf("the server ended before")
	}
}
