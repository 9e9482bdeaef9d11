// Package fleetapi is the operators' API: devices, services, operators, roles,
// live sessions, revocations, signing keys and explanations under /v1, described
// by OpenAPI 3.1 at /openapi.json and for people at /docs.
//
// It turns HTTP into calls of [provisioning.Service] and
// [provisioning.Registry], and it guards three rules of its own: an operation
// is done for a caller whose token holds the operation's scope; nobody hands
// out a right on this API that they do not hold; and a client is found only
// under the path of its own kind. Everything else about records is decided by
// provisioning.
//
// The package does not know how a token is verified ([Authenticator]) or signed
// ([SigningKeys]), what a session is made of ([Sessions]) nor how the gate decides
// ([Explainer]), and it knows no MQTT and no database.
package fleetapi

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/yaml"

	"github.com/boomgate/boomgate/provisioning"
)

// Keys of log attributes.
const (
	logCaller    = "caller"
	logOperation = "operation"
	logTarget    = "target"
	logOutcome   = "outcome"
	logReceipt   = "receipt"
	logError     = "error"
)

// Caller is who a request comes from and what their token allows.
type Caller struct {
	ClientID string
	// Scopes are those of the token for [provisioning.AudienceFleet]: they may be
	// fewer than the client holds, never more.
	Scopes []string
}

// Authenticator verifies access tokens. It may be called concurrently.
type Authenticator interface {
	// Authenticate returns the caller that the token of a request names. Peer is
	// the certificate that the request's TLS connection presented, nil for none;
	// it is not verified beyond the proof that the other end has its key.
	//
	// The error of a token that is malformed, expired, revoked, meant for another
	// audience, or bound to another certificate (RFC 8705 §3), and of a client
	// that is no longer active, wraps [provisioning.ErrUnauthenticated] and is
	// answered with 401; every other error is a fault of the server and is logged.
	Authenticate(ctx context.Context, bearer string, peer *x509.Certificate) (Caller, error)
}

// Config is what the API needs; all of it but Now.
type Config struct {
	Service     *provisioning.Service
	Tokens      Authenticator
	Sessions    Sessions
	SigningKeys SigningKeys
	Explainer   Explainer
	// TokenEndpoint and MQTTURL are handed out with every new credential.
	TokenEndpoint string
	MQTTURL       string
	Logger        *slog.Logger
	// Now is time.Now if nil.
	Now func() time.Time
}

// API serves the operators' API. It may be used concurrently.
type API struct {
	service       *provisioning.Service
	registry      *provisioning.Registry
	tokens        Authenticator
	sessions      Sessions
	keys          SigningKeys
	explainer     Explainer
	tokenEndpoint string
	mqttURL       string
	log           *slog.Logger
	now           func() time.Time
	replays       *replays

	mux  *http.ServeMux
	huma huma.API
	// spec and docs are rendered once: they do not change while the program runs.
	specJSON, specYAML, docs []byte
	docsPolicy               string
}

// New builds the API. The error names everything that the configuration lacks.
func New(cfg Config) (*API, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &API{
		service: cfg.Service, registry: cfg.Service.Registry(), tokens: cfg.Tokens, sessions: cfg.Sessions,
		keys: cfg.SigningKeys, explainer: cfg.Explainer,
		tokenEndpoint: cfg.TokenEndpoint, mqttURL: cfg.MQTTURL, log: cfg.Logger,
		now: cfg.Now, replays: newReplays(cfg.Now), mux: http.NewServeMux(),
	}
	a.huma = humago.New(a.mux, a.humaConfig())
	a.huma.UseMiddleware(a.guard)
	for _, k := range clientKinds {
		a.registerClients(k)
	}
	a.registerRoles()
	a.registerPreviews()
	a.registerSessions()
	a.registerRevocations()
	a.registerSigningKeys()
	a.registerExplain()
	a.mux.HandleFunc("/v1/", a.serveUnknown)
	if err := a.render(); err != nil {
		return nil, fmt.Errorf("describing the API: %w", err)
	}
	return a, nil
}

func (cfg Config) check() error {
	var missing []error
	for _, need := range []struct {
		name  string
		given bool
	}{
		{"Service", cfg.Service != nil},
		{"Tokens", cfg.Tokens != nil},
		{"Sessions", cfg.Sessions != nil},
		{"SigningKeys", cfg.SigningKeys != nil},
		{"Explainer", cfg.Explainer != nil},
		{"TokenEndpoint", cfg.TokenEndpoint != ""},
		{"MQTTURL", cfg.MQTTURL != ""},
		{"Logger", cfg.Logger != nil},
	} {
		if !need.given {
			missing = append(missing, fmt.Errorf("fleetapi.Config: %s is missing", need.name))
		}
	}
	return errors.Join(missing...)
}

// Register mounts /v1/, /openapi.json, /openapi.yaml and /docs.
func (a *API) Register(mux *http.ServeMux) {
	mux.HandleFunc("/v1/", a.serveAPI)
	mux.HandleFunc("GET /openapi.json", a.serveDocument("application/json", a.specJSON))
	mux.HandleFunc("GET /openapi.yaml", a.serveDocument("application/yaml", a.specYAML))
	mux.HandleFunc("GET /docs", a.serveDocument("text/html; charset=utf-8", a.docs))
}

// render writes the OpenAPI document and the page made of it.
func (a *API) render() error {
	spec := a.huma.OpenAPI()
	// Errors are Problems; huma registers its own type all the same.
	delete(spec.Components.Schemas.Map(), "ErrorModel")
	delete(spec.Components.Schemas.Map(), "ErrorDetail")
	var err error
	if a.specJSON, err = json.Marshal(spec); err != nil {
		return err
	}
	var inYAML bytes.Buffer
	if err := yaml.Convert(&inYAML, bytes.NewReader(a.specJSON)); err != nil {
		return err
	}
	a.specYAML = inYAML.Bytes()
	a.docs, a.docsPolicy, err = renderDocs(spec)
	return err
}
