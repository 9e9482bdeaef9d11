package oauth

import "net/http"

// code is an error code of RFC 6749 §5.2 or RFC 8707 §2.
type code string

const (
	invalidRequest       code = "invalid_request"
	invalidClient        code = "invalid_client"
	invalidScope         code = "invalid_scope"
	invalidTarget        code = "invalid_target"
	unauthorizedClient   code = "unauthorized_client"
	unsupportedGrantType code = "unsupported_grant_type"
	serverError          code = "server_error"
)

// status returns the HTTP status that goes with the code.
func (c code) status() int {
	switch c {
	case invalidClient:
		return http.StatusUnauthorized
	case serverError:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// Reason says to the operator why a request got no token. The set is fixed, so it can be a metric's label.
type Reason string

// The reasons, beside those of [provisioning.AuthenticationReason].
const (
	ReasonMethod              Reason = "method"
	ReasonQuery               Reason = "parameter-in-query"
	ReasonContentType         Reason = "content-type"
	ReasonBodyTooLarge        Reason = "body-too-large"
	ReasonBodyUnreadable      Reason = "body-unreadable"
	ReasonBodyMalformed       Reason = "body-malformed"
	ReasonParameterRepeated   Reason = "parameter-repeated"
	ReasonParameterType       Reason = "parameter-type"
	ReasonGrantType           Reason = "grant-type"
	ReasonTwoAuthentications  Reason = "two-authentications"
	ReasonAuthorizationHeader Reason = "authorization-header"
	ReasonCredentialsMissing  Reason = "credentials-missing"
	ReasonUnauthenticated     Reason = "unauthenticated"
	ReasonCertificateLapsed   Reason = "certificate-lapsed"
	ReasonNoGrants            Reason = "no-grants"
	ReasonGrantsUnusable      Reason = "grants-unusable"
	ReasonAudience            Reason = "audience-not-held"
	ReasonAudienceMalformed   Reason = "audience-malformed"
	ReasonAudiencesDisjoint   Reason = "audiences-disjoint"
	ReasonScopeMalformed      Reason = "scope-malformed"
	ReasonScopeTorn           Reason = "scope-torn-at-plus"
	ReasonScopeNotHeld        Reason = "scope-not-held"
	ReasonScopesTooMany       Reason = "scopes-too-many"
	ReasonTokenTooLarge       Reason = "token-too-large"
	ReasonAborted             Reason = "aborted"
	ReasonFault               Reason = "fault"
)

// refusalError is the answer to a request that gets no token; it has the two faces that the package comment speaks of.
type refusalError struct {
	code        code
	status      int    // 0: the code's own
	description string // in the characters of RFC 6749 §5.2 (no quotation mark, no backslash); never what the client sent
	reason      Reason
	cause       error // for the log; nil where the reason says it all
}

// refuse makes a refusal with the status of its code.
func refuse(c code, reason Reason, description string) *refusalError {
	return &refusalError{code: c, reason: reason, description: description}
}

// Error implements error.
func (r *refusalError) Error() string { return string(r.code) + ": " + string(r.reason) }

// Unwrap returns the cause.
func (r *refusalError) Unwrap() error { return r.cause }

// statusCode returns the HTTP status to answer with.
func (r *refusalError) statusCode() int {
	if r.status != 0 {
		return r.status
	}
	return r.code.status()
}
