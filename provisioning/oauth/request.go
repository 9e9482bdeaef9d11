package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	// maxBodyBytes bounds what is read from a client that nobody knows yet.
	maxBodyBytes = 64 << 10
	// maxScopes is what the broker takes from one token at most.
	maxScopes = 2048
	// maxScopeBytes leaves room for the longest topic filter with every character percent-encoded.
	maxScopeBytes = 4096
	// maxAudiences bounds the lookups of one request.
	maxAudiences = 8
)

// Parameters of a token request. A name that is not here is ignored (RFC 6749 §3.2).
const (
	paramGrantType     = "grant_type"
	paramClientID      = "client_id"
	paramClientSecret  = "client_secret"
	paramAssertion     = "client_assertion"
	paramAssertionType = "client_assertion_type"
	paramScope         = "scope"
	paramAudience      = "audience"
)

// known tells whether name is a parameter of a token request. Only such a name may be repeated in an answer.
func known(name string) bool {
	switch name {
	case paramGrantType, paramClientID, paramClientSecret, paramAssertion, paramAssertionType, paramScope, paramAudience:
		return true
	default:
		return false
	}
}

// tokenRequest is what the body of a token request says. A parameter without a value counts as left out (RFC 6749 §3.2).
type tokenRequest struct {
	grantType    string
	clientID     string
	clientSecret string
	assertion    bool     // another way to authenticate is in the body
	scopes       []string // nil: everything that the client holds
	aif          []byte   // the scopes, where they are said as authorization information in JSON
	audiences    []string // nil: the default
}

// readRequest reads the token request of r, whose body may be a form or JSON.
func (h *Handler) readRequest(w http.ResponseWriter, r *http.Request) (*tokenRequest, error) {
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	parse, err := bodyParser(r.Header)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refusal := refuse(invalidRequest, ReasonBodyTooLarge, "the body is larger than 64 KiB")
		refusal.status = http.StatusRequestEntityTooLarge
		return nil, refusal
	}
	if err != nil {
		return nil, refuse(invalidRequest, ReasonBodyUnreadable, "the body could not be read")
	}
	req, err := parse(body)
	if err != nil || req.aif == nil {
		return req, err
	}
	req.scopes, err = h.readAIF(req.aif)
	return req, err
}

// checkQuery refuses parameters in the URL: it ends in the logs of every proxy on the way (RFC 6749 §2.3.1), and a scope
// that is not read there would silently become every scope.
func checkQuery(raw string) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return refuse(invalidRequest, ReasonQuery, "the query of the URL is malformed; parameters belong in the body")
	}
	for name := range query {
		if known(name) {
			return refuse(invalidRequest, ReasonQuery, "parameters and credentials belong in the body, never in the URL")
		}
	}
	return nil
}

// bodyParser returns the parser for the request's content type; its parameters (charset) are ignored, as both formats
// are UTF-8 by definition.
func bodyParser(header http.Header) (func([]byte) (*tokenRequest, error), error) {
	const hint = "send Content-Type: application/x-www-form-urlencoded or application/json"
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, refuse(invalidRequest, ReasonContentType, "a content encoding is not supported; send the body as it is")
	}
	if len(header.Values("Content-Type")) != 1 {
		return nil, refuse(invalidRequest, ReasonContentType, "there must be one content type; "+hint)
	}
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return nil, refuse(invalidRequest, ReasonContentType, "the content type is malformed; "+hint)
	}
	switch mediaType {
	case "application/x-www-form-urlencoded":
		return parseForm, nil
	case "application/json":
		return parseJSON, nil
	default:
		return nil, refuse(invalidRequest, ReasonContentType, "the content type is not supported; "+hint)
	}
}

// splitScope reads the scope parameter (RFC 6749 §3.3). It never returns an empty list: a client that asks for nothing
// must not be given everything.
func splitScope(text string) ([]string, error) {
	var scopes []string
	for scope := range strings.SplitSeq(text, " ") {
		if scope != "" {
			scopes = append(scopes, scope)
		}
	}
	return checkScopes(scopes)
}

// checkScopes holds the requested scopes to the grammar of RFC 6749 §3.3 and to the bounds.
func checkScopes(scopes []string) ([]string, error) {
	if len(scopes) == 0 {
		return nil, refuse(invalidScope, ReasonScopeMalformed, "the scope names nothing; leave it out to get all that the client holds")
	}
	if len(scopes) > maxScopes {
		return nil, refuse(invalidScope, ReasonScopesTooMany, "more than 2048 scopes are requested")
	}
	for _, scope := range scopes {
		if scope == "" || len(scope) > maxScopeBytes || strings.ContainsFunc(scope, notScopeChar) {
			return nil, refuse(invalidScope, ReasonScopeMalformed,
				"a scope is empty, too long or holds a character that must be percent-encoded (space, quotation mark, backslash, non-ASCII)")
		}
	}
	return scopes, nil
}

// notScopeChar is the complement of NQCHAR in RFC 6749, appendix A.
func notScopeChar(r rune) bool { return notVisible(r) || r == '"' || r == '\\' }

// notVisible is the complement of VCHAR in RFC 5234: of printable ASCII without the space.
func notVisible(r rune) bool { return r <= ' ' || r >= 0x7f }

// checkAudiences holds the requested audiences to the bounds.
func checkAudiences(audiences []string) ([]string, error) {
	if len(audiences) == 0 || len(audiences) > maxAudiences {
		return nil, refuse(invalidTarget, ReasonAudienceMalformed, "there must be 1 to 8 audiences")
	}
	for _, audience := range audiences {
		if audience == "" || len(audience) > provisioning.MaxAudienceLength || strings.ContainsFunc(audience, notVisible) {
			return nil, refuse(invalidTarget, ReasonAudienceMalformed, "an audience is empty, too long or not printable ASCII without spaces")
		}
	}
	return audiences, nil
}
