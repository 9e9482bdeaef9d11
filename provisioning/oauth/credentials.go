package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/boomgate/boomgate/provisioning"
)

// credentials is what a client shows to say who it is: a secret, or a chain of certificates. A client ID that nobody can
// have is the empty string, which costs the usual work and which logs may show.
type credentials struct {
	clientID string
	secret   string
	chain    []*x509.Certificate // nil: the secret counts
}

func newCredentials(clientID, secret string) credentials {
	if !isID(clientID) {
		clientID = ""
	}
	return credentials{clientID: clientID, secret: secret}
}

// readCredentials takes the credentials from the Authorization header, from the body, or from the TLS connection. Header
// and body must not both have some (RFC 6749 §2.3); a client_id in the body beside the header only names the client and
// must be the same. A certificate counts only where a client_id comes with nothing else (RFC 8705 §2): browsers and
// proxies show theirs to every server that asks, without meaning to authenticate by it.
func (h *Handler) readCredentials(r *http.Request, req *tokenRequest) (credentials, error) {
	authorization := r.Header.Values("Authorization")
	if len(authorization) == 0 {
		return h.bodyCredentials(r, req)
	}
	if len(authorization) > 1 || req.clientSecret != "" || req.assertion {
		return credentials{}, twoAuthentications()
	}
	basic, ok := decodeBasic(authorization[0])
	if !ok {
		return credentials{}, refuse(invalidClient, ReasonAuthorizationHeader,
			"the Authorization header is not HTTP Basic with a form-encoded client ID and secret")
	}
	if req.clientID != "" && req.clientID != basic.clientID {
		return credentials{}, refuse(invalidRequest, ReasonTwoAuthentications,
			"the client_id in the body is not that of the Authorization header")
	}
	return basic, nil
}

// bodyCredentials takes the credentials of a request without an Authorization header.
func (h *Handler) bodyCredentials(r *http.Request, req *tokenRequest) (credentials, error) {
	shown := newCredentials(req.clientID, req.clientSecret)
	switch chain := h.shownCertificates(r); {
	case req.clientID != "" && req.clientSecret != "" && req.assertion:
		return credentials{}, twoAuthentications()
	case req.clientID != "" && req.clientSecret != "":
		return shown, nil
	case req.clientID != "" && !req.assertion && len(chain) > 0:
		shown.chain = chain
		return shown, nil
	case h.cfg.MutualTLS:
		return credentials{}, refuse(invalidClient, ReasonCredentialsMissing,
			"authenticate with client_id and client_secret in the body, with HTTP Basic, or with client_id and a TLS client certificate")
	default:
		return credentials{}, refuse(invalidClient, ReasonCredentialsMissing,
			"authenticate with client_id and client_secret in the body, or with HTTP Basic")
	}
}

func twoAuthentications() error {
	return refuse(invalidRequest, ReasonTwoAuthentications, "more than one way of client authentication is used")
}

// decodeBasic reads a Basic Authorization header whose parts are form-encoded (RFC 6749 §2.3.1).
func decodeBasic(authorization string) (credentials, bool) {
	carrier := http.Request{Header: http.Header{"Authorization": {authorization}}}
	user, password, ok := carrier.BasicAuth()
	if !ok {
		return credentials{}, false
	}
	clientID, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	return newCredentials(clientID, secret), errID == nil && errSecret == nil
}

// principal is an authenticated client.
type principal struct {
	*provisioning.Client
	credentialID string
	thumbprint   string // of the certificate that its tokens are bound to; empty: they are not
}

// authenticate returns the client that the credentials belong to. Every pair that does not fit gets the same answer for
// the same work: an unknown client, a wrong secret or certificate, a disabled client.
//
// Failures are not counted against a client or an address. Whoever knows a client ID could use such a count to lock the
// device out; and generated secrets, of 256 random bits, are not guessed. What is bounded is the work: see
// [Config.MaxConcurrent].
func (h *Handler) authenticate(ctx context.Context, c credentials) (*principal, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	check, wrong := h.checkSecret, "the client is unknown or its secret is wrong"
	if c.chain != nil {
		check, wrong = h.checkCertificate, "the client is unknown or its certificate is wrong"
	}
	who, err := check(ctx, c)
	if errors.Is(err, provisioning.ErrUnauthenticated) {
		return nil, refuse(invalidClient, authenticationReason(err), wrong)
	}
	if err != nil {
		return nil, fmt.Errorf("authenticating a client: %w", err)
	}
	return who, nil
}

func (h *Handler) checkSecret(ctx context.Context, c credentials) (*principal, error) {
	client, secretID, err := h.cfg.Registry.Authenticate(ctx, c.clientID, c.secret)
	return &principal{Client: client, credentialID: secretID}, err
}

func (h *Handler) checkCertificate(ctx context.Context, c credentials) (*principal, error) {
	now := h.cfg.Now()
	trusted := h.trusted(c.chain, now)
	client, certificateID, err := h.cfg.Registry.AuthenticateCertificate(ctx, c.clientID, c.chain[0], trusted)
	if err == nil && lapsed(c.chain[0], now) {
		err = &provisioning.AuthenticationError{Reason: provisioning.AuthenticationReason(ReasonCertificateLapsed)}
	}
	return &principal{Client: client, credentialID: certificateID, thumbprint: provisioning.Thumbprint(c.chain[0])}, err
}

// authenticationReason is the domain's reason, which the operator may know and the client may not.
func authenticationReason(err error) Reason {
	if known := (*provisioning.AuthenticationError)(nil); errors.As(err, &known) {
		return Reason(known.Reason)
	}
	return ReasonUnauthenticated
}

// isID tells whether text has the form of a client ID: [a-z0-9][a-z0-9-]{0,63}.
func isID(text string) bool {
	if text == "" || len(text) > provisioning.MaxIDLength || text[0] == '-' {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
