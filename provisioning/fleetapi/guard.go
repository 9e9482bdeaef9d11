package fleetapi

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/boomgate/boomgate/provisioning"
)

// securityScheme is the name by which operations refer to the bearer token.
const securityScheme = "boomgate"

// maxTokenLength is the longest token that is looked at, in bytes.
const maxTokenLength = 8 << 10

// call is what is known of a request while it is handled.
type call struct {
	caller Caller
	// target is the ID of what is written, a client or a role for example: one
	// that was read from the registry, never what the path says.
	target string
	// receipt is what the write ended, nil if it ends nothing.
	receipt *Receipt
	// outcome is "done" or the name of the problem.
	outcome string
}

// Outcomes of a call that are no problem: done, and ended by a panic.
const (
	outcomeDone    = "done"
	outcomeAborted = "aborted"
)

type callKey struct{}

// callOf returns the call that guard put into the context of every operation.
func callOf(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return &call{} // nobody: holds no scope
	}
	return c
}

// guard lets a request through to its operation if the caller's token holds the
// scope under which the operation is documented, and logs what was written.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	caller, refusal := a.authenticate(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	c := &call{caller: caller, outcome: outcomeAborted}
	defer a.audit(r, ctx.Operation(), c)
	if refusal = admit(ctx.Operation(), r, caller); refusal != nil {
		c.outcome = refusal.name()
		refusal.write(w)
		return
	}
	next(huma.WithValue(ctx, callKey{}, c))
	if c.outcome == outcomeAborted {
		c.outcome = outcomeDone
	}
}

// audit leaves one line for every write, done or refused.
func (a *API) audit(r *http.Request, op *huma.Operation, c *call) {
	if strings.HasSuffix(requiredScope(op), ":read") {
		return
	}
	line := []any{logCaller, c.caller.ClientID, logOperation, op.OperationID, logTarget, c.target, logOutcome, c.outcome}
	if c.receipt != nil {
		line = append(line, logReceipt, *c.receipt)
	}
	a.log.InfoContext(r.Context(), "fleet API write", line...)
}

// authenticate finds the caller of a request (RFC 6750 §2.1: the token is in
// the Authorization header, once, and nowhere else).
func (a *API) authenticate(r *http.Request) (Caller, *Problem) {
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return Caller{}, badRequest.problem("There is more than one Authorization header: send one.").
			challenge(`error="invalid_request"`)
	}
	scheme, token, _ := strings.Cut(strings.Join(headers, ""), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Caller{}, unauthenticated.problem("Send the header \"Authorization: Bearer <access token>\". " + a.tokenHint()).
			challenge()
	}
	if len(token) > maxTokenLength {
		return Caller{}, a.tokenRefused()
	}
	caller, err := a.tokens.Authenticate(r.Context(), token, peerCertificate(r))
	if errors.Is(err, provisioning.ErrUnauthenticated) {
		return Caller{}, a.tokenRefused()
	}
	if err != nil {
		return Caller{}, a.refuse(r.Context(), "authenticate", err)
	}
	return caller, nil
}

// peerCertificate is what the other end of a TLS connection presented; nil for
// none.
func peerCertificate(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

func (a *API) tokenRefused() *Problem {
	return unauthenticated.problem("The access token is malformed, expired, revoked, not meant for this API, " +
		"or bound to a certificate that this connection does not present. " + a.tokenHint()).
		challenge(`error="invalid_token"`)
}

func (a *API) tokenHint() string {
	return fmt.Sprintf("Get a token at %s with audience=%s.", a.tokenEndpoint, provisioning.AudienceFleet)
}

// admit holds the request against what its operation declares. An operation
// that declares no scope is done for nobody.
func admit(op *huma.Operation, r *http.Request, caller Caller) *Problem {
	scope := requiredScope(op)
	if scope == "" || !slices.Contains(caller.Scopes, scope) {
		return lacksScope(scope)
	}
	return checkMediaType(op, r.Header.Get("Content-Type"))
}

func lacksScope(scope string) *Problem {
	return insufficientScope.problem("This needs the scope "+scope+", which the access token does not hold. "+
		"Ask for it at the token endpoint, or have it granted by an operator who holds it.").
		challenge(`error="insufficient_scope"`, `scope="`+scope+`"`)
}

func requiredScope(op *huma.Operation) string {
	for _, requirement := range op.Security {
		if scopes := requirement[securityScheme]; len(scopes) == 1 {
			return scopes[0]
		}
	}
	return ""
}

// checkMediaType refuses a body that is not of a type the operation reads. A
// body without a type is taken for the operation's own.
func checkMediaType(op *huma.Operation, contentType string) *Problem {
	if op.RequestBody == nil || contentType == "" {
		return nil
	}
	got, _, err := mime.ParseMediaType(contentType)
	if _, known := op.RequestBody.Content[got]; err == nil && known {
		return nil
	}
	var known []string
	for mediaType := range op.RequestBody.Content {
		known = append(known, mediaType)
	}
	slices.Sort(known)
	list := strings.Join(known, ", ")
	header := "Accept" // RFC 9110 §12.5.1: in an answer, what would have been understood
	if op.Method == http.MethodPatch {
		header = "Accept-Patch" // RFC 5789 §3.1
	}
	return unsupportedMediaType.problem("Send the body as "+list+".").with(header, list)
}
