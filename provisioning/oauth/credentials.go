package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/boomgate/boomgate/provisioning"
)

// credentials is what a client shows to say who it is. A client ID that nobody can have is the empty string, which costs
// the usual work and which logs may show.
type credentials struct {
	clientID string
	secret   string
}

func newCredentials(clientID, secret string) credentials {
	if !isID(clientID) {
		clientID = ""
	}
	return credentials{clientID: clientID, secret: secret}
}

// readCredentials takes the credentials from the Authorization header or from the body, which must not both have some
// (RFC 6749 §2.3). A client_id in the body beside the header only names the client and must be the same.
func readCredentials(header http.Header, req *tokenRequest) (credentials, error) {
	authorization := header.Values("Authorization")
	if len(authorization) == 0 {
		if req.clientID == "" || req.clientSecret == "" {
			return credentials{}, refuse(invalidClient, ReasonCredentialsMissing,
				"authenticate with client_id and client_secret in the body, or with HTTP Basic")
		}
		if req.assertion {
			return credentials{}, twoAuthentications()
		}
		return newCredentials(req.clientID, req.clientSecret), nil
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

// authenticate returns the client that the credentials belong to. Every pair that does not fit gets the same answer for
// the same work: an unknown client, a wrong secret, a disabled client.
//
// Failures are not counted against a client or an address. Whoever knows a client ID could use such a count to lock the
// device out; and generated secrets, of 256 random bits, are not guessed. What is bounded is the work: see
// [Config.MaxConcurrent].
func (h *Handler) authenticate(ctx context.Context, c credentials) (*provisioning.Client, string, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	client, secretID, err := h.cfg.Registry.Authenticate(ctx, c.clientID, c.secret)
	if errors.Is(err, provisioning.ErrUnauthenticated) {
		return nil, "", refuse(invalidClient, authenticationReason(err), "the client is unknown or its secret is wrong")
	}
	if err != nil {
		return nil, "", fmt.Errorf("authenticating a client: %w", err)
	}
	return client, secretID, nil
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
