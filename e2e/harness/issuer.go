package harness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Issuer is another issuer of tokens, on this machine. Its forger signs with its key.
type Issuer struct {
	Forger
	Name string
	URL  string // iss of its tokens; its keys are at /keys below it

	mu      sync.Mutex
	answer  http.HandlerFunc // guarded by mu: at /keys
	fetches int              // guarded by mu
}

// The key ID of an issuer's own key, and the audience that its tokens are for.
const (
	IssuerKeyID    = "key-1"
	IssuerAudience = "https://gate.example"
)

// NewIssuer starts an issuer that serves its key.
func NewIssuer(tb testing.TB, name string) *Issuer {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	Must(tb, err)
	i := &Issuer{Forger: Forger{tb: tb, Key: key}, Name: name}
	i.Answer(Serve(KeySet(i.JWK(IssuerKeyID))))
	server := httptest.NewServer(http.HandlerFunc(i.serve))
	tb.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer := i.answer
	i.fetches++
	i.mu.Unlock()
	answer(w, r)
}

// Answer has all further requests answered by this.
func (i *Issuer) Answer(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// Fetches is how often somebody has asked.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Serve answers with a text.
func Serve(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text))
	}
}

// KeySet is a JWK set (RFC 7517 §5).
func KeySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// JWK is the issuer's public key under a key ID, with further members written as JSON.
func (i *Issuer) JWK(kid string, members ...string) string {
	public, _ := i.Key.Public().(ed25519.PublicKey)
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q%s}`, kid, Encode(string(public)), strings.Join(append([]string{""}, members...), ","))
}

// Token is a token of one of the issuer's clients for an hour, with some claims changed.
func (i *Issuer) Token(clientID string, changes Claims) string {
	i.tb.Helper()
	now := time.Now().Unix()
	payload, err := json.Marshal(Claims{
		"iss": i.URL, "aud": IssuerAudience, "sub": clientID, "client_id": clientID, "iat": now, "exp": now + 3600, "jti": fmt.Sprint(now, clientID),
		"scope": "telemetry:write telemetry:read",
	})
	Must(i.tb, err)
	return i.Sign(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, IssuerKeyID), i.merge(string(payload), changes))
}

// settings is the issuer's entry in the server's configuration.
func (i *Issuer) settings(more string) string {
	return fmt.Sprintf("  - {name: %s, issuer: %q, audience: %q, jwks_url: %q%s}\n", i.Name, i.URL, IssuerAudience, i.URL+"/keys", more)
}

// StartWithIssuers starts a server that lets the clients of other issuers in. More is what the settings of each say beside where it is,
// such as ", scopes: {…}".
func StartWithIssuers(tb testing.TB, more string, issuers ...*Issuer) *Server {
	tb.Helper()
	text := "issuers:\n"
	for _, i := range issuers {
		text += i.settings(more)
	}
	return StartServer(tb, "--config", ConfigFile(tb, text))
}

// ConfigFile writes a configuration file.
func ConfigFile(tb testing.TB, text string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "boomgate.yaml")
	Must(tb, os.WriteFile(file, []byte(text), 0o600))
	return file
}
