package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	grantClientCredentials = "client_credentials"

	// maxTokenBytes is what the verifiers of this module take, and what fits into a header of most HTTP servers.
	maxTokenBytes = 8 << 10

	requestIDBytes = 12
)

// tokenResponse is the answer to a request that gets a token (RFC 6749 §5.1).
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // in seconds
	Scope       string `json:"scope"`
}

// serveToken answers POST /oauth/token.
func (h *Handler) serveToken(w http.ResponseWriter, r *http.Request) {
	event := Event{Time: h.cfg.Now(), RequestID: h.newRequestID(), Remote: r.RemoteAddr}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Request-Id", event.RequestID)

	issued, err := h.issue(w, r, &event)
	if err == nil {
		event.Status = http.StatusOK
		writeJSON(w, event.Status, issued)
		h.report(r.Context(), event, nil)
		return
	}
	refusal := asRefusal(r.Context(), err)
	event.Status, event.Error, event.Reason = refusal.statusCode(), string(refusal.code), refusal.reason
	if event.Status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if event.Status == http.StatusUnauthorized {
		// RFC 6749 §5.2 demands it where the client used the header; RFC 9110 §15.5.2 on every 401.
		header.Set("WWW-Authenticate", `Basic realm="boomgate"`)
	}
	writeJSON(w, event.Status, struct {
		Error       code   `json:"error"`
		Description string `json:"error_description"`
	}{refusal.code, refusal.description})
	h.report(r.Context(), event, refusal.cause)
}

// issue takes a request from its first byte to its token, and notes in the event what the operator should know.
func (h *Handler) issue(w http.ResponseWriter, r *http.Request, event *Event) (*tokenResponse, error) {
	if r.Method != http.MethodPost {
		refusal := refuse(invalidRequest, ReasonMethod, "the token endpoint takes POST only")
		refusal.status = http.StatusMethodNotAllowed
		return nil, refusal
	}
	req, err := h.readRequest(w, r)
	if err != nil {
		return nil, err
	}
	if err := checkGrantType(req.grantType); err != nil {
		return nil, err
	}
	shown, err := h.readCredentials(r, req)
	if err != nil {
		return nil, err
	}
	event.ClientID = shown.clientID
	who, err := h.authenticate(r.Context(), shown)
	if err != nil {
		return nil, err
	}
	event.CredentialID = who.credentialID
	may, err := h.entitle(r.Context(), who.Client, req)
	if err != nil {
		return nil, err
	}
	event.Audience, event.Scopes = may.audiences, len(may.scopes)
	return h.mint(r.Context(), who, may, event)
}

func checkGrantType(grantType string) error {
	switch grantType {
	case grantClientCredentials:
		return nil
	case "":
		return refuse(invalidRequest, ReasonGrantType, "grant_type is missing; send grant_type=client_credentials in the body")
	default:
		return refuse(unsupportedGrantType, ReasonGrantType, "the only grant_type here is client_credentials")
	}
}

// mint has the token signed and makes the answer.
func (h *Handler) mint(ctx context.Context, who *principal, may entitlement, event *Event) (*tokenResponse, error) {
	scope, err := h.scopeText(may)
	if err != nil {
		return nil, fmt.Errorf("writing the scope of an answer: %w", err)
	}
	lifetime := who.TokenTTL
	if lifetime == 0 {
		lifetime = h.cfg.DefaultTTL
	}
	text, expiresAt, err := h.cfg.Minter.Mint(ctx, provisioning.AccessToken{
		ClientID: who.ID, Audience: may.audiences, Scopes: may.scopes, AIF: may.aif, Attributes: who.Attributes,
		Lifetime: lifetime, CredentialID: who.credentialID, Thumbprint: who.thumbprint,
	})
	if err != nil {
		return nil, fmt.Errorf("minting a token: %w", err)
	}
	if len(text) > maxTokenBytes {
		return nil, refuse(invalidScope, ReasonTokenTooLarge, "the token would be larger than 8 KiB; ask for fewer scopes")
	}
	event.ExpiresAt = expiresAt
	return &tokenResponse{
		AccessToken: text,
		TokenType:   "Bearer",
		// A token's times are whole seconds: counted from the second that has begun, as `iat` is.
		ExpiresIn: int64(expiresAt.Sub(h.cfg.Now().Truncate(time.Second)) / time.Second),
		Scope:     scope,
	}, nil
}

// asRefusal returns the refusal in err. Anything else is a fault of the server, unless the client has gone.
func asRefusal(ctx context.Context, err error) *refusalError {
	if refusal := (*refusalError)(nil); errors.As(err, &refusal) {
		return refusal
	}
	refusal := refuse(serverError, ReasonFault, "the server could not answer; try again later")
	refusal.cause = err
	if ctx.Err() != nil {
		refusal.status, refusal.reason = http.StatusServiceUnavailable, ReasonAborted
	}
	return refusal
}

// newRequestID returns 96 random bits as text. Without randomness the request goes on without an ID: what needs random
// bits for its safety fails by itself.
func (h *Handler) newRequestID() string {
	var id [requestIDBytes]byte
	if _, err := io.ReadFull(h.cfg.Rand, id[:]); err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// writeJSON writes the answer; an error means that the client has gone, and there is nobody left to tell.
func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // a scope's & stays legible
	_ = encoder.Encode(answer)
}
