package oauth_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

func TestTheOperatorLearnsWhatBecameOfARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	a := w.postForm(t, c.form())
	issued := w.journal.last(t)
	client, err := w.service.Registry().Client(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	if !issued.Issued() || issued.ClientID != c.id || issued.CredentialID != client.Secrets[0].ID || issued.Scopes != 6 ||
		len(issued.Audience) != 1 || issued.ExpiresAt.IsZero() || issued.Time.IsZero() || issued.Remote == "" {
		t.Errorf("the event of a token is %+v", issued)
	}
	if issued.RequestID == "" || issued.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("the answer's request ID is %q, the event's %q", a.header.Get("X-Request-Id"), issued.RequestID)
	}
	for reason, ask := range map[oauth.Reason]func() answer{
		"unknown-client":    func() answer { return w.postForm(t, credential{"lot1-b2-999", "x"}.form()) },
		"wrong-secret":      func() answer { return w.postForm(t, credential{c.id, "x"}.form()) },
		"scope-not-held":    func() answer { return w.postForm(t, c.form("scope", "pub:#")) },
		"content-type":      func() answer { return w.post(t, "text/plain", "") },
		"body-malformed":    func() answer { return w.post(t, jsonType, "{") },
		"parameter-type":    func() answer { return w.post(t, jsonType, `{"scope":7}`) },
		"grant-type":        func() answer { return w.post(t, formType, "grant_type=implicit") },
		"scope-malformed":   func() answer { return w.postForm(t, c.form("scope", "\"")) },
		"audience-not-held": func() answer { return w.postForm(t, c.form("audience", "boomgate:fleet")) },
	} {
		a := ask()
		event := w.journal.last(t)
		if event.Issued() || event.Reason != reason || event.Error != a.Error || event.Status != a.status {
			t.Errorf("the event is %+v, want the reason %s", event, reason)
		}
		if !strings.Contains(w.journal.text(), `"request_id":"`+a.header.Get("X-Request-Id")+`"`) {
			t.Errorf("%s: the log does not know the request's ID", reason)
		}
	}
}

func TestO1_NothingThatAClientSendsReachesTheLogOrAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	const marker = "Xq7-marker"
	target := w.url + "/oauth/token"
	var answers []answer
	ask := func(r *http.Request) {
		r.Header.Set("User-Agent", marker)
		r.Header.Set("X-Request-Id", marker)
		r.Header.Set("X-Forwarded-For", marker)
		answers = append(answers, send(t, r))
	}
	for _, body := range []string{
		c.form().Encode(), c.form("scope", marker).Encode(), c.form("audience", marker).Encode(), c.form("grant_type", marker).Encode(),
		c.form("client_id", marker).Encode(), c.form("client_secret", marker).Encode(), c.form("client_id", c.secret).Encode(),
		c.form("client_id", marker+"\n{\"level\":\"ERROR\"}").Encode(), c.form().Encode() + "&" + marker + "=1&" + marker + "=2",
		c.form().Encode() + "&" + marker + "=%zz", c.form("client_assertion", marker).Encode(), c.form("scope", "sub:a/ /"+marker).Encode(),
		c.form("scope", `[["`+marker+`",["pub"]]]`).Encode(), c.form("scope", `[["a",["`+marker+`"]]]`).Encode(),
		c.form("scope", base64url(`[["`+marker+`",["pub"]]]`)).Encode(),
	} {
		ask(newRequest(t, http.MethodPost, target, formType, body))
	}
	for _, body := range []string{
		`{"` + marker + `":1,"` + marker + `":2}`, `{"scope":["` + marker + `"]}`, `{"scope":[["` + marker + `",["pub"]]]}`, `{"client_id":["` + marker + `"]}`, `{"` + marker,
		`{"client_secret":"` + c.secret + `","client_secret":"` + c.secret + `"}`,
	} {
		ask(newRequest(t, http.MethodPost, target, jsonType, body))
	}
	ask(newRequest(t, http.MethodPost, target+"?client_secret="+c.secret+"&"+marker, formType, ""))
	ask(newRequest(t, http.MethodPost, target, marker+"/"+marker, ""))
	ask(newRequest(t, http.MethodGet, target+"?client_secret="+c.secret, "", ""))
	header := newRequest(t, http.MethodPost, target, formType, "grant_type=client_credentials")
	header.SetBasicAuth(marker, c.secret)
	ask(header)
	header = newRequest(t, http.MethodPost, target, formType, "grant_type=client_credentials")
	header.Header.Set("Authorization", "Bearer "+marker)
	ask(header)

	forbidden := []string{marker, c.secret, c.secret[3:20], base64.StdEncoding.EncodeToString([]byte(c.secret))}
	for _, a := range answers {
		if a.AccessToken != "" {
			forbidden = append(forbidden, a.AccessToken, a.AccessToken[strings.LastIndexByte(a.AccessToken, '.')+1:])
		}
	}
	if len(forbidden) < 6 {
		t.Error("no token was issued, so none was looked for")
	}
	seen := map[string]string{"the log": w.journal.text(), "an event": fmt.Sprintf("%+v", w.journal.events)}
	for n, a := range answers {
		if a.AccessToken == "" {
			seen[fmt.Sprintf("answer %d", n)] = a.body + fmt.Sprint(a.header)
		}
	}
	for where, text := range seen {
		for _, secret := range forbidden {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("%s shows %q: %s", where, secret, text)
			}
		}
	}
	if strings.Count(w.journal.text(), "token refused")+strings.Count(w.journal.text(), "token issued") != len(answers) {
		t.Errorf("the log has not one record for each of %d requests:\n%s", len(answers), w.journal.text())
	}
}

func TestO7_GuessesDoNotLockTheDeviceOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	for n := range 500 {
		w.postForm(t, credential{c.id, fmt.Sprintf("guess-%d", n)}.form()).refused(t, http.StatusUnauthorized, "invalid_client", "")
	}
	w.token(t, w.postForm(t, c.form()), provisioning.AudienceMQTT)
}

// gatedRegistry holds every verification until the gate opens.
type gatedRegistry struct {
	oauth.Registry
	entered chan struct{}
	gate    chan struct{}
}

func (g *gatedRegistry) Authenticate(ctx context.Context, id, secret string) (*provisioning.Client, string, error) {
	g.entered <- struct{}{}
	<-g.gate
	return g.Registry.Authenticate(ctx, id, secret)
}

func TestO7_VerificationsAtTheSameTimeAreBoundedAndTheRestWaits(t *testing.T) {
	t.Parallel()
	const limit, flood = 3, 12
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	gated := &gatedRegistry{Registry: w.registry, entered: make(chan struct{}, flood+2), gate: make(chan struct{})}
	cfg := w.config()
	cfg.Registry, cfg.MaxConcurrent = gated, limit
	handler, err := oauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := newMux(handler)
	serve := func(ctx context.Context, body string) int {
		r := newRequest(t, http.MethodPost, "/oauth/token", formType, body).WithContext(ctx)
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, r)
		return recorder.Code
	}
	statuses := make(chan int, flood+1)
	for range flood {
		go func() { statuses <- serve(t.Context(), credential{c.id, "guess"}.form().Encode()) }()
	}
	for range limit {
		<-gated.entered
	}
	// With every slot taken, a request whose client gives up leaves without having been verified.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if status := serve(gone, c.form().Encode()); status != http.StatusServiceUnavailable {
		t.Errorf("the status for a client that gave up is %d, want 503", status)
	}
	if event := w.journal.last(t); event.Reason != oauth.ReasonAborted {
		t.Errorf("the reason for a client that gave up is %q", event.Reason)
	}
	if extra := len(gated.entered); extra != 0 {
		t.Errorf("%d verifications more than %d are under way", extra, limit)
	}
	go func() { statuses <- serve(t.Context(), c.form().Encode()) }()
	close(gated.gate)
	issued := 0
	for range flood + 1 {
		if <-statuses == http.StatusOK {
			issued++
		}
	}
	if issued != 1 {
		t.Errorf("%d tokens were issued, want the device's one", issued)
	}
}

// brokenRegistry and brokenMinter stand for a store that fails at one point.
type brokenRegistry struct {
	oauth.Registry
	authenticate, scopes, audiences error
}

func (b brokenRegistry) Authenticate(ctx context.Context, id, secret string) (*provisioning.Client, string, error) {
	if b.authenticate != nil {
		return nil, "", b.authenticate
	}
	return b.Registry.Authenticate(ctx, id, secret)
}

func (b brokenRegistry) Scopes(ctx context.Context, c *provisioning.Client, audience string) ([]string, error) {
	if b.scopes != nil {
		return nil, b.scopes
	}
	return b.Registry.Scopes(ctx, c, audience)
}

func (b brokenRegistry) Audiences(ctx context.Context, c *provisioning.Client) ([]string, error) {
	if b.audiences != nil {
		return nil, b.audiences
	}
	return b.Registry.Audiences(ctx, c)
}

type brokenMinter struct{ err error }

func (b brokenMinter) Mint(context.Context, provisioning.AccessToken) (string, time.Time, error) {
	return "", time.Time{}, b.err
}

func TestAFaultOfTheServerGivesNoTokenAndNoDetails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.sensor(t, "lot1-b2-017")
	fault := errors.New("disk on fire")
	for name, spoil := range map[string]func(*oauth.Config){
		"authenticate": func(cfg *oauth.Config) { cfg.Registry = brokenRegistry{Registry: w.registry, authenticate: fault} },
		"scopes":       func(cfg *oauth.Config) { cfg.Registry = brokenRegistry{Registry: w.registry, scopes: fault} },
		"audiences":    func(cfg *oauth.Config) { cfg.Registry = brokenRegistry{Registry: w.registry, audiences: fault} },
		"mint":         func(cfg *oauth.Config) { cfg.Minter = brokenMinter{fault} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := new(journal)
			cfg := w.config()
			cfg.Logger, cfg.Observe = slog.New(slog.NewTextHandler(journal, nil)), journal.observe
			spoil(&cfg)
			handler, err := oauth.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			form := c.form()
			if name == "audiences" {
				form.Set("audience", "https://nobody.example")
			}
			server := httptest.NewServer(newMux(handler))
			defer server.Close()
			a := send(t, newRequest(t, http.MethodPost, server.URL+"/oauth/token", formType, form.Encode()))
			a.refused(t, http.StatusInternalServerError, "server_error", "try again")
			if strings.Contains(a.body, "fire") {
				t.Errorf("the answer tells the cause: %s", a.body)
			}
			if log := journal.text(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "disk on fire") {
				t.Errorf("the log does not tell the cause: %s", log)
			}
			if event := journal.last(t); event.Reason != oauth.ReasonFault || event.Issued() {
				t.Errorf("the event is %+v, want a fault", event)
			}
		})
	}
}

func TestNewNamesEveryFaultOfItsConfiguration(t *testing.T) {
	t.Parallel()
	_, err := oauth.New(oauth.Config{
		Issuer: "gate.example", DefaultTTL: time.Millisecond, MaxConcurrent: -1, ClientCAs: x509.NewCertPool(),
	})
	for _, field := range []string{
		"Issuer", "Registry", "Minter", "JWKS", "Covers", "Now", "Rand", "Logger", "DefaultTTL", "MaxConcurrent", "ClientCAs",
	} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error is %v, want it to name %s", err, field)
		}
	}
}
