package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	tokenPath          = "/oauth/token"
	serverMetadataPath = "/.well-known/oauth-authorization-server"
	openIDMetadataPath = "/.well-known/openid-configuration"
	jwksPath           = "/.well-known/jwks.json"
)

// Registry answers who a client is and what it holds. Its methods may be called concurrently.
type Registry interface {
	// Authenticate returns the client and the ID of the secret that fitted. Whatever is wrong with the pair, the error
	// matches [provisioning.ErrUnauthenticated] and the work is the same.
	Authenticate(ctx context.Context, clientID, secret string) (*provisioning.Client, string, error)
	// AuthenticateCertificate does the same for a certificate whose private key the caller has proven to hold, and returns
	// the certificate's credential ID. Whether its chain leads to an authority of [Config.ClientCAs] now is what trusted
	// tells.
	AuthenticateCertificate(ctx context.Context, clientID string, cert *x509.Certificate, trusted bool) (*provisioning.Client, string, error)
	// Scopes returns the scopes that the client holds for the audience, each once, with placeholders filled in.
	Scopes(ctx context.Context, client *provisioning.Client, audience string) ([]string, error)
	// Audiences returns the audiences that the client has grants for.
	Audiences(ctx context.Context, client *provisioning.Client) ([]string, error)
}

// Minter signs access tokens. Mint may be called concurrently; it returns the token's text and expiry.
type Minter interface {
	Mint(ctx context.Context, t provisioning.AccessToken) (text string, expiresAt time.Time, err error)
}

// AIF is the authorization information format (RFC 9237) in which a request may say its scopes. Its methods are pure.
type AIF interface {
	// ParseAIF returns the scopes that the JSON says, or an error if any part of it is malformed.
	ParseAIF(data []byte) ([]string, error)
	// FormatAIF returns the JSON that says the scopes, or an error if it cannot.
	FormatAIF(scopes []string) ([]byte, error)
}

// Config is what a Handler needs.
type Config struct {
	// Issuer is the URL under which clients reach this server: the endpoints in the metadata are made from it. If it has
	// a path, a proxy in front maps that path to this server's root.
	Issuer string
	// Registry, Minter and JWKS are the server's knowledge. JWKS returns the JWK Set document; it is called for every
	// request, concurrently.
	Registry Registry
	Minter   Minter
	JWKS     func() []byte
	// Covers tells whether whoever holds the granted scope holds the requested one too.
	Covers func(granted, requested string) bool
	// AIF reads and writes scopes in the authorization information format of MQTT (RFC 9431 §2.3); nil: requests that use
	// it are refused.
	AIF AIF
	// MutualTLS lets clients authenticate with a certificate in place of a secret, for tokens that are bound to it
	// (RFC 8705). The server must ask for one and need not verify it; behind a proxy that ends TLS there is none to see.
	MutualTLS bool
	// ClientCAs are the authorities whose certificates clients may use (tls_client_auth); nil: certificates must be
	// registered one by one (self_signed_tls_client_auth). It needs MutualTLS.
	ClientCAs *x509.CertPool
	// Now is the clock; Rand yields request IDs and is read concurrently.
	Now  func() time.Time
	Rand io.Reader
	// Logger gets one record for each token request: refusals at Info, tokens at Debug, faults at Error.
	Logger *slog.Logger
	// DefaultTTL is the lifetime of a token whose client sets none, a second to a day; 0 means
	// [provisioning.DefaultTokenTTL].
	DefaultTTL time.Duration
	// MaxConcurrent bounds the credentials that are verified at the same time, so that a flood of guesses with slow
	// hashes cannot take every processor; 0 means two for each. Requests above it wait in turn, whoever sends them.
	MaxConcurrent int
	// Observe is told of every token request once it is answered; nil for nobody. It is called concurrently and must not
	// block.
	Observe func(Event)
}

// Handler serves the authorization server's paths. It is safe for concurrent use.
type Handler struct {
	cfg      Config
	metadata []byte
	slots    chan struct{} // one for each credential that may be verified now
}

// New returns a Handler, or an error that names every fault of cfg.
func New(cfg Config) (*Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.DefaultTTL == 0 {
		cfg.DefaultTTL = provisioning.DefaultTokenTTL
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = 2 * runtime.GOMAXPROCS(0)
	}
	metadata, err := encodeMetadata(cfg)
	if err != nil {
		return nil, err
	}
	return &Handler{cfg: cfg, metadata: metadata, slots: make(chan struct{}, cfg.MaxConcurrent)}, nil
}

// Register mounts the handlers. Every path answers every method, so that a wrong one gets 405 and never another handler.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc(tokenPath, h.serveToken)
	mux.HandleFunc(serverMetadataPath, h.serveMetadata)
	mux.HandleFunc(openIDMetadataPath, h.serveMetadata)
	mux.HandleFunc(jwksPath, h.serveJWKS)
}

func (c Config) check() error {
	var faults []error
	if u, err := url.Parse(c.Issuer); err != nil || !isIssuer(u) {
		faults = append(faults, errors.New("oauth: Issuer must be an http or https URL without user, query and fragment"))
	}
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"Registry", c.Registry == nil},
		{"Minter", c.Minter == nil},
		{"JWKS", c.JWKS == nil},
		{"Covers", c.Covers == nil},
		{"Now", c.Now == nil},
		{"Rand", c.Rand == nil},
		{"Logger", c.Logger == nil},
	} {
		if part.missing {
			faults = append(faults, fmt.Errorf("oauth: %s is missing", part.name))
		}
	}
	if c.DefaultTTL != 0 && (c.DefaultTTL < time.Second || c.DefaultTTL > provisioning.MaxTokenTTL) {
		faults = append(faults, errors.New("oauth: DefaultTTL must be a second to a day"))
	}
	if c.ClientCAs != nil && !c.MutualTLS {
		faults = append(faults, errors.New("oauth: ClientCAs needs MutualTLS"))
	}
	if c.MaxConcurrent < 0 {
		faults = append(faults, errors.New("oauth: MaxConcurrent must not be negative"))
	}
	return errors.Join(faults...)
}

// isIssuer follows RFC 8414 §2, but for allowing http: a server on loopback has no certificate.
func isIssuer(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// endpoint returns the URL of one of the server's paths.
func endpoint(issuer, path string) string { return strings.TrimSuffix(issuer, "/") + path }
