package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Keys of the log records.
const (
	keyRequestID    = "request_id"
	keyRemote       = "remote"
	keyClientID     = "client_id"
	keyCredentialID = "credential_id"
	keyStatus       = "status"
	keyError        = "error"
	keyReason       = "reason"
	keyAudience     = "audience"
	keyScopes       = "scopes"
	keyExpiresAt    = "expires_at"
	keyCause        = "cause"
)

// Event tells what became of one token request. Nothing in it is a secret, a token or an unchecked text of the client.
type Event struct {
	Time      time.Time
	RequestID string // as in the answer's X-Request-Id
	Remote    string // the address of the connection
	// ClientID is the client ID that was shown, if it has the form of one; it is nobody's for certain unless CredentialID
	// is set.
	ClientID string
	// CredentialID says which credential fitted: the ID of a secret, or that of a certificate ("x5t:" and its SHA-256
	// thumbprint); empty if the client was not authenticated.
	CredentialID string
	// Status is the HTTP status of the answer; Error its code (RFC 6749 §5.2) and Reason the operator's reason, both
	// empty if a token was issued.
	Status int
	Error  string
	Reason Reason
	// Audience and Scopes say what was granted: the audiences and the number of scopes.
	Audience []string
	Scopes   int
	// ExpiresAt is the token's expiry, zero if none was issued.
	ExpiresAt time.Time
}

// Issued tells whether the request got a token.
func (e Event) Issued() bool { return e.Status == http.StatusOK }

// report hands the event to the log and the observer. The cause is for the log alone.
func (h *Handler) report(ctx context.Context, event Event, cause error) {
	switch log := h.cfg.Logger; {
	case event.Issued():
		if log.Enabled(ctx, slog.LevelDebug) { // the attributes cost more than the rest of the report
			log.LogAttrs(ctx, slog.LevelDebug, "token issued", event.attrs(cause)...)
		}
	case event.Reason == ReasonFault:
		log.LogAttrs(ctx, slog.LevelError, "token request failed", event.attrs(cause)...)
	default:
		log.LogAttrs(ctx, slog.LevelInfo, "token refused", event.attrs(cause)...)
	}
	if h.cfg.Observe != nil {
		h.cfg.Observe(event)
	}
}

// attrs returns the log's view of the event, without what it does not know.
func (e Event) attrs(cause error) []slog.Attr {
	attrs := []slog.Attr{
		slog.String(keyRequestID, e.RequestID),
		slog.String(keyRemote, e.Remote),
		slog.Int(keyStatus, e.Status),
	}
	if e.ClientID != "" {
		attrs = append(attrs, slog.String(keyClientID, e.ClientID))
	}
	if e.CredentialID != "" {
		attrs = append(attrs, slog.String(keyCredentialID, e.CredentialID))
	}
	if e.Error != "" {
		attrs = append(attrs, slog.String(keyError, e.Error), slog.String(keyReason, string(e.Reason)))
	}
	if e.Audience != nil {
		attrs = append(attrs, slog.Any(keyAudience, e.Audience), slog.Int(keyScopes, e.Scopes))
	}
	if e.Issued() {
		attrs = append(attrs, slog.Time(keyExpiresAt, e.ExpiresAt))
	}
	if cause != nil {
		attrs = append(attrs, slog.String(keyCause, cause.Error()))
	}
	return attrs
}
