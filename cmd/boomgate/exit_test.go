package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"

	"golang.org/x/oauth2"
)

func TestTheExitCodeFollowsFromTheError(t *testing.T) {
	t.Parallel()

	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	retrieve := func(status int, code string) error {
		return &oauth2.RetrieveError{Response: &http.Response{StatusCode: status}, ErrorCode: code}
	}
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing failed", nil, 0},
		{"anything else", errors.New("x"), 1},
		{"a missing file", os.ErrNotExist, 1},
		{"a usage error", usageError{err: errors.New("x")}, 2},
		{"a usage error with a hint", withHint(usageError{err: errors.New("x")}, "y"), 2},
		{"not authenticated", &apiError{Status: http.StatusUnauthorized}, 3},
		{"not authorised", fmt.Errorf("device x: %w", &apiError{Status: http.StatusForbidden}), 3},
		{"not found", &apiError{Status: http.StatusNotFound}, 1},
		{"a refused CONNACK", fmt.Errorf("x: %w", errRefused), 3},
		{"a refused token request", retrieve(http.StatusUnauthorized, "invalid_client"), 3},
		{"a scope outside the grant", retrieve(http.StatusBadRequest, "invalid_scope"), 3},
		{"a token endpoint that fails", retrieve(http.StatusInternalServerError, "server_error"), 1},
		{"an answer that is not OAuth", retrieve(http.StatusNotFound, ""), 1},
		{"nobody listens", &url.Error{Op: "Get", URL: "http://x", Err: dial}, 4},
		{"no such host", &net.DNSError{Err: "no such host"}, 4},
		{"no answer in time", context.DeadlineExceeded, 4},
		{"several, one refused", errors.Join(errors.New("x"), &apiError{Status: http.StatusForbidden}), 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := exitCode(c.err); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}

func TestAnErrorIsReportedWithWhatToDoAboutIt(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("x"), "boomgate: x\n"},
		{usageError{err: errors.New("x"), command: "boomgate token"}, "boomgate: x\n  hint: boomgate token --help\n"},
		{withHint(errors.New("x"), "do y"), "boomgate: x\n  hint: do y\n"},
		{withHint(fmt.Errorf("outer: %w", withHint(errors.New("x"), "near")), "far"), "boomgate: outer: x\n  hint: near\n"},
	} {
		var out bytes.Buffer
		report(&out, c.err)
		if out.String() != c.want {
			t.Errorf("got %q, want %q", out.String(), c.want)
		}
	}
}
