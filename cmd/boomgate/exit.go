package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

// Exit codes of every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
)

// errRefused marks a refusal that is not an answer of HTTP, such as an MQTT CONNACK.
var errRefused = errors.New("refused")

// errUnreachable marks a server that was not reached, where the cause is no error of package net.
var errUnreachable = errors.New("the server cannot be reached")

// exitCodes is the one table from errors to exit codes; the first row that holds decides, and no row means exitFailed.
var exitCodes = []struct {
	code  int
	holds func(error) bool
}{
	{exitFailed, isType[startError]},
	{exitUsage, isType[usageError]},
	{exitRefused, isRefused},
	{exitUnreachable, isUnreachable},
}

func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	for _, row := range exitCodes {
		if row.holds(err) {
			return row.code
		}
	}
	return exitFailed
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// hasStatus tells whether the fleet API refused with this status of HTTP.
func hasStatus(err error, status int) bool {
	answer, ok := errors.AsType[*apiError](err)
	return ok && answer.Status == status
}

func isRefused(err error) bool {
	if hasStatus(err, http.StatusUnauthorized) || hasStatus(err, http.StatusForbidden) {
		return true
	}
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return answer.ErrorCode != "" && answer.Response.StatusCode < http.StatusInternalServerError
	}
	return errors.Is(err, errRefused)
}

func isUnreachable(err error) bool {
	if request, ok := errors.AsType[*url.Error](err); ok && request.Timeout() {
		return true
	}
	return errors.Is(err, errUnreachable) || errors.Is(err, context.DeadlineExceeded) ||
		isType[*net.OpError](err) || isType[*net.DNSError](err)
}

// startError is why a server did not start. Whatever its cause, no other server was asked and could have refused.
type startError struct{ error }

func (e startError) Unwrap() error { return e.error }

// usageError is a mistake in the command line.
type usageError struct {
	err     error
	command string // whose help tells more
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes a usageError for values that only the command itself can judge.
func usagef(command, format string, args ...any) error {
	return usageError{err: fmt.Errorf(format, args...), command: command}
}

// hintedError is an error with what to do about it.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

// withHint adds what to do about an error; the first hint, which is nearest to the cause, is the one that is shown.
func withHint(err error, hint string) error {
	if err == nil || isType[hintedError](err) {
		return err
	}
	return hintedError{error: err, hint: hint}
}

// report prints an error and what to do about it.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "boomgate: %v\n", err)
	if hinted, ok := errors.AsType[hintedError](err); ok {
		fmt.Fprintf(w, "  hint: %s\n", hinted.hint)
	} else if wrong, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(w, "  hint: %s --help\n", wrong.command)
	}
}
