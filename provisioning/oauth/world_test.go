package oauth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/issuer"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

const issuerURL = "https://gate.example"

// scopeLanguage hands the registry the scope language of the broker, as the program does.
type scopeLanguage struct{}

func (scopeLanguage) ParseTemplate(text string) (provisioning.ScopeTemplate, error) {
	return topicacl.ParseTemplate(text)
}

func (scopeLanguage) Covers(granted, requested string) bool {
	return topicacl.Covers(granted, requested)
}

// aif hands the server the authorization information format of the broker, as the program does.
type aif struct{}

func (aif) ParseAIF(data []byte) ([]string, error)    { return topicacl.ParseAIF(data) }
func (aif) FormatAIF(scopes []string) ([]byte, error) { return topicacl.FormatAIF(scopes) }

// countingRegistry counts the work that a request causes.
type countingRegistry struct {
	oauth.Registry
	authenticate, certificate, scopes, audiences atomic.Int64
}

func (c *countingRegistry) Authenticate(ctx context.Context, id, secret string) (*provisioning.Client, string, error) {
	c.authenticate.Add(1)
	return c.Registry.Authenticate(ctx, id, secret)
}

func (c *countingRegistry) AuthenticateCertificate(
	ctx context.Context, id string, cert *x509.Certificate, trusted bool,
) (*provisioning.Client, string, error) {
	c.certificate.Add(1)
	return c.Registry.AuthenticateCertificate(ctx, id, cert, trusted)
}

func (c *countingRegistry) Scopes(ctx context.Context, client *provisioning.Client, audience string) ([]string, error) {
	c.scopes.Add(1)
	return c.Registry.Scopes(ctx, client, audience)
}

func (c *countingRegistry) Audiences(ctx context.Context, client *provisioning.Client) ([]string, error) {
	c.audiences.Add(1)
	return c.Registry.Audiences(ctx, client)
}

// work counts the calls of each method.
type work struct{ authenticate, certificate, scopes, audiences int64 }

func (c *countingRegistry) work() work {
	return work{c.authenticate.Load(), c.certificate.Load(), c.scopes.Load(), c.audiences.Load()}
}

// since returns the calls that were made after earlier.
func (w work) since(earlier work) work {
	return work{
		w.authenticate - earlier.authenticate, w.certificate - earlier.certificate,
		w.scopes - earlier.scopes, w.audiences - earlier.audiences,
	}
}

// journal keeps what the operator gets to see.
type journal struct {
	mu     sync.Mutex
	log    bytes.Buffer
	events []oauth.Event
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(p)
}

func (j *journal) observe(e oauth.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.String()
}

// last returns the newest event. The handler reports before the last byte of an answer leaves it, so the event of a
// request is there once its answer has been read to the end.
func (j *journal) last(tb testing.TB) oauth.Event {
	tb.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.events) == 0 {
		tb.Fatal("no event was observed")
	}
	return j.events[len(j.events)-1]
}

// world is a running authorization server on a store of its own.
type world struct {
	url      string
	service  *provisioning.Service
	registry *countingRegistry
	issuer   *issuer.Issuer
	handler  *oauth.Handler
	journal  *journal
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	store, err := badgerstore.Open(tb.Context(), badgerstore.Config{Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("closing the store: %v", err)
		}
	})
	return newWorldOn(tb, store)
}

func newWorldOn(tb testing.TB, store provisioning.Store) *world {
	tb.Helper()
	w := &world{journal: new(journal)}
	log := slog.New(slog.NewJSONHandler(w.journal, &slog.HandlerOptions{Level: slog.LevelDebug}))
	revocations, err := provisioning.OpenRevocations(tb.Context(), store, time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	w.service, err = provisioning.NewService(tb.Context(), provisioning.Config{
		Store: store, Scopes: scopeLanguage{}, Revocations: revocations, Now: time.Now, Rand: rand.Reader, Logger: log,
	})
	if err != nil {
		tb.Fatal(err)
	}
	w.issuer, err = issuer.Open(tb.Context(), issuer.Config{
		Issuer: issuerURL, Store: store, Now: time.Now, Rand: rand.Reader, Logger: log, FormatAIF: topicacl.FormatAIF,
	})
	if err != nil {
		tb.Fatal(err)
	}
	w.registry = &countingRegistry{Registry: w.service.Registry()}
	cfg := w.config()
	cfg.Logger = log
	w.handler, err = oauth.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(newMux(w.handler))
	tb.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) config() oauth.Config {
	return oauth.Config{
		Issuer: issuerURL, Registry: w.registry, Minter: w.issuer, Covers: topicacl.Covers, AIF: aif{}, JWKS: w.issuer.JWKS,
		Now: time.Now, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler), Observe: w.journal.observe,
	}
}

// newMux mounts the handler beside one that answers everything else, as the program does.
func newMux(h *oauth.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	h.Register(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	return mux
}

// credential is what a client was given.
type credential struct{ id, secret string }

func (w *world) create(tb testing.TB, n provisioning.NewClient) credential {
	tb.Helper()
	if n.Kind == "" {
		n.Kind = provisioning.KindDevice
	}
	client, secret, err := w.service.Create(tb.Context(), n)
	if err != nil {
		tb.Fatal(err)
	}
	return credential{client.ID, secret.Reveal()}
}

// sensor creates a parking sensor of site lot1.
func (w *world) sensor(tb testing.TB, id string) credential {
	tb.Helper()
	return w.create(tb, provisioning.NewClient{
		ID: id, Labels: map[string]string{"site": "lot1"}, Roles: []string{provisioning.RoleParkingSensor},
	})
}

// holder creates a client with grants of its own for the broker.
func (w *world) holder(tb testing.TB, id string, scopes ...string) credential {
	tb.Helper()
	return w.create(tb, provisioning.NewClient{
		ID: id, Grants: []provisioning.Grant{{Audience: provisioning.AudienceMQTT, Scopes: scopes}},
	})
}

// form returns the credentials as the beginning of a form.
func (c credential) form(pairs ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.id}, "client_secret": {c.secret}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

// object returns the credentials as the beginning of a JSON object.
func (c credential) object(pairs ...any) map[string]any {
	object := map[string]any{"grant_type": "client_credentials", "client_id": c.id, "client_secret": c.secret}
	for i := 0; i < len(pairs); i += 2 {
		object[pairs[i].(string)] = pairs[i+1]
	}
	return object
}

// answer is what came back from the token endpoint.
type answer struct {
	status int
	header http.Header
	body   string

	AccessToken string      `json:"access_token"`
	TokenType   string      `json:"token_type"`
	ExpiresIn   json.Number `json:"expires_in"`
	Scope       string      `json:"scope"`
	Error       string      `json:"error"`
	Description string      `json:"error_description"`
}

func newRequest(tb testing.TB, method, target, contentType, body string) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

func (w *world) postForm(tb testing.TB, form url.Values) answer {
	tb.Helper()
	return w.post(tb, formType, form.Encode())
}

func (w *world) postJSON(tb testing.TB, object map[string]any) answer {
	tb.Helper()
	body, err := json.Marshal(object)
	if err != nil {
		tb.Fatal(err)
	}
	return w.post(tb, jsonType, string(body))
}

func (w *world) post(tb testing.TB, contentType, body string) answer {
	tb.Helper()
	return send(tb, newRequest(tb, http.MethodPost, w.url+"/oauth/token", contentType, body))
}

// send returns the endpoint's answer, after checking what holds for every one of them.
func send(tb testing.TB, r *http.Request) answer {
	tb.Helper()
	return sendThrough(tb, http.DefaultTransport, r)
}

func sendThrough(tb testing.TB, transport http.RoundTripper, r *http.Request) answer {
	tb.Helper()
	response, err := transport.RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(body)}
	if err := json.Unmarshal(body, &a); err != nil {
		tb.Fatalf("the answer %d is not JSON: %v: %q", a.status, err, body)
	}
	checkAnswer(tb, a)
	return a
}

// checkAnswer holds every answer to RFC 6749 §5: JSON, never stored, and an error whose description keeps to its letters.
func checkAnswer(tb testing.TB, a answer) {
	tb.Helper()
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		tb.Errorf("answer %d may be stored: %v", a.status, a.header)
	}
	if a.header.Get("Content-Type") != jsonType {
		tb.Errorf("answer %d is of type %q", a.status, a.header.Get("Content-Type"))
	}
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			tb.Errorf("answer %d opens the endpoint to scripts of other sites: %s", a.status, name)
		}
	}
	if (a.status == http.StatusOK) != (a.AccessToken != "") || (a.status == http.StatusOK) == (a.Error != "") {
		tb.Errorf("answer %d is neither a token nor an error: %s", a.status, a.body)
	}
	if a.Error != "" && a.Description == "" {
		tb.Errorf("the error %s has no description", a.Error)
	}
	for _, c := range a.Description {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			tb.Errorf("the description has the character %q: %s", c, a.Description)
		}
	}
}

// refused fails the test unless the answer is that error; part is what its description must say.
func (a answer) refused(tb testing.TB, status int, code, part string) {
	tb.Helper()
	if a.status != status || a.Error != code || !strings.Contains(a.Description, part) {
		tb.Errorf("answer is %d %s, want %d %s with %q", a.status, a.body, status, code, part)
	}
}

// token fails the test unless a token was issued that the verifier of the audience takes, and returns what it says.
func (w *world) token(tb testing.TB, a answer, audience string) *accesstoken.Token {
	tb.Helper()
	if a.status != http.StatusOK {
		tb.Fatalf("answer is %d %s, want a token", a.status, a.body)
	}
	verifier, err := accesstoken.New(accesstoken.Config{
		Issuer: issuerURL, Audience: audience, Keys: w.issuer, Algorithms: []string{"EdDSA"}, Now: time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	token, err := verifier.Verify(tb.Context(), a.AccessToken)
	if err != nil {
		tb.Fatalf("the token is not valid: %v", err)
	}
	if got := strings.Join(token.Scopes, " "); got != a.Scope {
		tb.Errorf("the answer says scope %q, the token %q", a.Scope, got)
	}
	return token
}
