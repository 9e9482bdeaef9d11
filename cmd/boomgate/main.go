// Boomgate lets machines into MQTT: an MQTT broker, an OAuth 2.0 authorization
// server and the fleet's registry in one program, with the commands to run and
// use them. This package wires the others together, one file a command; no rule
// about clients, tokens or topics lives here.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	os.Exit(mainWithSignals())
}

// mainWithSignals ends the command's context at the first SIGINT or SIGTERM; a second one kills the process, as usual.
func mainWithSignals() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
}

// app is what a command is given of the process around it.
type app struct {
	env    []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// environ lists the environment as "NAME=value".
func (a *app) environ() []string { return a.env }

// getenv gives one variable of the environment, "" when it is not set; the last setting counts.
func (a *app) getenv(name string) string {
	for _, entry := range slices.Backward(a.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// silent is the app without its streams: for what happens beside the command, such as completion in a shell.
func (a *app) silent() *app {
	return &app{env: a.env, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
}

// run executes one command line and returns the exit code of the process. It returns when ctx ends.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	err := execute(ctx, newRootCommand(a), args)
	if err != nil {
		report(stderr, err)
	}
	return exitCode(err)
}
