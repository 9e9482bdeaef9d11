package fleetapi_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

const (
	tokenEndpoint = "http://127.0.0.1:8080/oauth/token"
	mqttURL       = "mqtt://127.0.0.1:1883"
)

// fixture is the API on a real HTTP server over a real store.
type fixture struct {
	tb       testing.TB
	url      string
	handler  http.Handler
	service  *provisioning.Service
	registry *provisioning.Registry
	revoked  *provisioning.Revocations
	tokens   *tokens
	sessions *sessions
	keys     *signingKeys
	gate     *gate
	clock    *clock
	log      *logBuffer
	root     string // a token with every scope
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{
		tb: tb, tokens: &tokens{callers: map[string]fleetapi.Caller{}}, sessions: &sessions{}, keys: &signingKeys{}, gate: &gate{},
		clock: &clock{now: time.Date(2027, time.March, 1, 12, 0, 0, 0, time.UTC)}, log: &logBuffer{},
	}
	store, err := badgerstore.Open(tb.Context(), badgerstore.Config{Dir: tb.TempDir()})
	must(tb, err)
	tb.Cleanup(func() { must(tb, store.Close()) })
	logger := slog.New(slog.NewJSONHandler(f.log, nil))
	f.revoked, err = provisioning.OpenRevocations(tb.Context(), store, f.clock.Now)
	must(tb, err)
	f.service, err = provisioning.NewService(tb.Context(), provisioning.Config{
		Store: store, Scopes: scopeLanguage{}, Revocations: f.revoked, Sessions: f.sessions, Judge: f.sessions, Retained: f.sessions,
		Now: f.clock.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	must(tb, err)
	f.registry = f.service.Registry()
	_, _, _, err = f.service.EnsureRoot(tb.Context(), nil)
	must(tb, err)
	f.root = f.tokens.issue("root", provisioning.FleetScopes()...)
	api, err := fleetapi.New(fleetapi.Config{
		Service: f.service, Tokens: f.tokens, Sessions: f.sessions, SigningKeys: f.keys, Explainer: f.gate,
		TokenEndpoint: tokenEndpoint, MQTTURL: mqttURL, Logger: logger, Now: f.clock.Now,
	})
	must(tb, err)
	mux := http.NewServeMux()
	api.Register(mux)
	f.handler = mux
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelError)
	server.Start()
	tb.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// answer is what the server said.
type answer struct {
	tb     testing.TB
	what   string
	status int
	header http.Header
	text   string
}

// do sends a request as root, unless a header says otherwise. The body is a
// string or a value for JSON; headers are name, value and so on.
func (f *fixture) do(method, path string, body any, headers ...string) answer {
	f.tb.Helper()
	a, err := f.try(method, path, body, headers...)
	must(f.tb, err)
	return a
}

func (f *fixture) try(method, path string, body any, headers ...string) (answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(f.tb.Context(), method, f.url+path, reader)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+f.root)
	if reader != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Del(pair[0])
		if pair[1] != "" {
			request.Header.Set(pair[0], pair[1])
		}
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{f.tb, method + " " + path, response.StatusCode, response.Header, string(text)}, err
}

// is fails the test unless the answer has the status, and returns the answer.
func (a answer) is(status int) answer {
	a.tb.Helper()
	if a.status != status {
		a.tb.Fatalf("%s: status %d, want %d: %s", a.what, a.status, status, a.text)
	}
	return a
}

// isProblem fails the test unless the answer is that problem in every part that
// RFC 9457 and the conventions of the API ask for.
func (a answer) isProblem(status int, name string) fleetapi.Problem {
	a.tb.Helper()
	a.is(status)
	p := decode[fleetapi.Problem](a)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.tb.Errorf("%s: Content-Type %q, want application/problem+json", a.what, got)
	}
	if p.Type != "/docs#"+name || p.Status != status || p.Title == "" || p.Detail == "" {
		a.tb.Errorf("%s: problem %s, want type /docs#%s with status %d, title and detail", a.what, a.text, name, status)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		a.tb.Errorf("%s: Cache-Control %q, want no-store", a.what, got)
	}
	return p
}

func decode[T any](a answer) T {
	a.tb.Helper()
	var v T
	decoder := json.NewDecoder(strings.NewReader(a.text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		a.tb.Fatalf("%s: reading %q: %v", a.what, a.text, err)
	}
	return v
}

// create makes a client of a kind (plural) over HTTP.
func (f *fixture) create(plural string, body any, headers ...string) fleetapi.Credential {
	f.tb.Helper()
	return decode[fleetapi.Credential](f.do(http.MethodPost, "/v1/"+plural, body, headers...).is(http.StatusCreated))
}

// as returns the header of a caller with those scopes.
func (f *fixture) as(clientID string, scopes ...string) []string {
	return []string{"Authorization", "Bearer " + f.tokens.issue(clientID, scopes...)}
}

type object = map[string]any

func grant(audience string, scopes ...string) []object {
	return []object{{"audience": audience, "scopes": scopes}}
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines returns the records logged under a message.
func (l *logBuffer) lines(tb testing.TB, message string) []object {
	tb.Helper()
	var found []object
	for line := range strings.Lines(l.String()) {
		var record object
		must(tb, json.Unmarshal([]byte(line), &record))
		if record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}
