package oauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// sink takes an answer and keeps its status.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// BenchmarkTokenEndpoint sets the whole token endpoint, with a real store and a real check of the secret, beside a handler
// that does nothing but sign a token of the same length with the same key.
func BenchmarkTokenEndpoint(b *testing.B) {
	store, err := badgerstore.Open(b.Context(), badgerstore.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	key := plantKey(b, store)
	w := newWorldOn(b, store)
	c := w.sensor(b, "lot1-b2-017")
	for range 999 {
		w.create(b, provisioning.NewClient{Labels: map[string]string{"site": "lot1"}, Roles: []string{provisioning.RoleParkingSensor}})
	}
	cfg := w.config()
	cfg.Observe = nil // the tests' journal grows with every request
	handler, err := oauth.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	full := newMux(handler)
	token := w.postForm(b, c.form()).AccessToken
	input := token[:strings.LastIndexByte(token, '.')]

	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		signature := ed25519.Sign(key, []byte(input))
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, `{"access_token":"`+input+"."+base64.RawURLEncoding.EncodeToString(signature)+`"}`)
	})
	scope := "pub:parking/v1/lot1/lot1-b2-017/state pub:parking/v1/lot1/lot1-b2-017/ack/x"
	object := `{"grant_type":"client_credentials","client_id":"` + c.id + `","client_secret":"` + c.secret + `"}`
	for _, run := range []struct {
		name, contentType, body string
		handler                 http.Handler
		status                  int
	}{
		{"bare", formType, c.form().Encode(), bare, http.StatusOK},
		{"form", formType, c.form().Encode(), full, http.StatusOK},
		{"json", jsonType, object, full, http.StatusOK},
		{"narrowed", formType, c.form("scope", scope).Encode(), full, http.StatusOK},
		{"wrong-secret", formType, credential{c.id, "wrong"}.form().Encode(), full, http.StatusUnauthorized},
		{"unknown-client", formType, credential{"nobody", "wrong"}.form().Encode(), full, http.StatusUnauthorized},
	} {
		b.Run(run.name, func(b *testing.B) {
			b.ReportAllocs()
			r := newRequest(b, http.MethodPost, "/oauth/token", run.contentType, "")
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(run.body))
				answer := sink{header: make(http.Header)}
				run.handler.ServeHTTP(&answer, r)
				if answer.status != run.status {
					b.Fatalf("status is %d, want %d", answer.status, run.status)
				}
			}
		})
	}
}

// plantKey gives the store its signing key before the issuer makes one, so that the bare handler can use it too.
func plantKey(b *testing.B, store provisioning.Store) ed25519.PrivateKey {
	b.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		b.Fatal(err)
	}
	key := provisioning.Key{ID: "planted", Use: provisioning.UseSignature, Alg: "EdDSA", Private: der, CreatedAt: time.Now()}
	if err := store.Apply(b.Context(), provisioning.ChangeSet{Keys: []provisioning.KeyChange{{Key: key}}}); err != nil {
		b.Fatal(err)
	}
	return private
}
