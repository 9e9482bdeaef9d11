package fleetapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/boomgate/boomgate/provisioning"
)

// problemPrefix begins the type of every problem: a reference to its entry on
// the page of documentation.
const problemPrefix = "/docs#"

// Problem is an error answer (RFC 9457), application/problem+json. It never
// repeats a secret or a value of the request.
type Problem struct { //nolint:errname // its name in the OpenAPI document
	Type   string `json:"type" format:"uri-reference" example:"/docs#invalid" doc:"Which kind of problem this is; the reference leads to its description."`
	Title  string `json:"title" example:"The request breaks a rule" doc:"The kind in words; the same for every problem of the kind."`
	Status int    `json:"status" example:"422" doc:"The HTTP status."`
	Detail string `json:"detail" example:"1 field is not as it must be; see errors." doc:"What happened this time, and what to do."`

	Errors []ProblemField `json:"errors,omitempty" nullable:"false" doc:"The fields at fault, all of them."`

	header http.Header
}

// ProblemField is one fault of a request.
type ProblemField struct {
	Location string `json:"location,omitempty" example:"body.labels.site" doc:"Where: path, query, header or body, then the field."`
	Message  string `json:"message" example:"is longer than 256 bytes" doc:"What is wrong there."`
}

// problemType is a kind of problem.
type problemType struct {
	Name    string
	Status  int
	Title   string
	Meaning string
}

// The kinds of problem.
var (
	badRequest = problemType{
		"bad-request", http.StatusBadRequest, "The request cannot be read",
		"The body is not JSON, names a member twice, or a header or the query is malformed. Correct it; trying again does not help.",
	}
	unauthenticated = problemType{
		"unauthenticated", http.StatusUnauthorized, "An access token is needed",
		"The access token is missing, expired, revoked or not meant for this API. Get a new one and try again.",
	}
	insufficientScope = problemType{
		"insufficient-scope", http.StatusForbidden, "The access token lacks the scope",
		"Every operation names the scope that it needs. Ask for it with the token, or have it granted.",
	}
	escalation = problemType{
		"escalation", http.StatusForbidden, "More rights than the caller holds",
		"Nobody hands out rights on this API that their own token does not hold, whether by a grant, by a role or by a new secret of somebody who holds more.",
	}
	notFound = problemType{
		"not-found", http.StatusNotFound, "There is no such thing",
		"No record has that ID, or not as the kind that the path names. The ID of a deleted client is never used again.",
	}
	methodNotAllowed = problemType{
		"method-not-allowed", http.StatusMethodNotAllowed, "The path does not take this method",
		"The header Allow names the methods that it takes.",
	}
	timedOut = problemType{
		"timeout", http.StatusRequestTimeout, "The body came too slowly",
		"Send it again, faster.",
	}
	exists = problemType{
		"exists", http.StatusConflict, "The ID is taken",
		"A record has that ID, or a deleted client had it. Choose another, or none to have one generated.",
	}
	conflict = problemType{
		"conflict", http.StatusConflict, "Somebody else was writing",
		"The record changed while the request was worked on. Try again.",
	}
	lastOperator = problemType{
		"last-operator", http.StatusConflict, "The last operator with full rights stays",
		"Without an active operator who holds the role " + provisioning.RoleFleetAdmin + " and has a secret or a certificate, nobody could give it to anybody. Give it to another operator first.",
	}
	roleInUse = problemType{
		"role-in-use", http.StatusConflict, "Clients hold the role",
		"Take the role from the clients that hold it first; the lists of clients can be narrowed with ?role=.",
	}
	builtInRole = problemType{
		"built-in-role", http.StatusConflict, "The role is built in",
		"Built-in roles belong to the program. Create a role of your own with the grants you need.",
	}
	tooManyRevocations = problemType{
		"too-many-revocations", http.StatusConflict, "There are too many revocations",
		"Revocations are forgotten when the last token that they cover has expired. Until then, disable or delete clients in place of revoking their tokens.",
	}
	versionMismatch = problemType{
		"version-mismatch", http.StatusPreconditionFailed, "The record has another version",
		"The record was changed since you read it. Read it again, decide again, and send If-Match with its new ETag.",
	}
	tooLarge = problemType{
		"too-large", http.StatusRequestEntityTooLarge, "The body is too large",
		"A body may have up to 1 MiB.",
	}
	unsupportedMediaType = problemType{
		"unsupported-media-type", http.StatusUnsupportedMediaType, "The body is of a type that is not read here",
		"Bodies are application/json; those of PATCH may be application/merge-patch+json too (RFC 7396).",
	}
	invalid = problemType{
		"invalid", http.StatusUnprocessableEntity, "The request breaks a rule",
		"The member errors names every field at fault.",
	}
	keyReused = problemType{
		"idempotency-key-reused", http.StatusUnprocessableEntity, "The idempotency key was used for another request",
		"An Idempotency-Key belongs to one request and its repetitions. Draw a new one for a new request.",
	}
	internal = problemType{
		"internal", http.StatusInternalServerError, "The server failed",
		"The server's log says why. Whether a write has happened is unknown: read the record, or repeat with the same Idempotency-Key.",
	}
	unavailable = problemType{
		"unavailable", http.StatusServiceUnavailable, "The server is stopping",
		"Try again in a moment.",
	}
	incomplete = problemType{
		"incomplete", http.StatusServiceUnavailable, "Not everything has ended yet",
		"The client is locked out, but something of it is still there. Repeat the request.",
	}
)

// problemTypes lists the kinds in order of their status.
var problemTypes = []problemType{
	badRequest, unauthenticated, insufficientScope, escalation, notFound, methodNotAllowed, timedOut, exists, conflict,
	lastOperator, roleInUse, builtInRole, tooManyRevocations, versionMismatch, tooLarge, unsupportedMediaType, invalid, keyReused, internal,
	unavailable, incomplete,
}

// problem makes a problem of the kind.
func (t problemType) problem(detail string) *Problem {
	return &Problem{Type: problemPrefix + t.Name, Title: t.Title, Status: t.Status, Detail: mask(detail)}
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers that go with the answer.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is application/problem+json for every JSON answer.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func (p *Problem) name() string { return strings.TrimPrefix(p.Type, problemPrefix) }

// with adds a header to the answer.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// challenge adds the header of RFC 6750 §3 that says what a token must be.
func (p *Problem) challenge(attributes ...string) *Problem {
	attributes = append([]string{`realm="` + provisioning.AudienceFleet + `"`}, attributes...)
	return p.with("WWW-Authenticate", "Bearer "+strings.Join(attributes, ", "))
}

// at adds a fault of one field.
func (p *Problem) at(location, message string) *Problem {
	p.Errors = append(p.Errors, ProblemField{mask(location), mask(message)})
	return p
}

// write answers a request outside of an operation.
func (p *Problem) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
