package fleetapi

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// maxBody is the size from which on a body is refused, in bytes.
const maxBody = 1 << 20

// Media types of bodies.
const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
)

// operation is one thing that the API does, as it is served, guarded and
// documented.
type operation struct {
	id, method, path string
	// scope is what the caller's token must hold. The guard reads it from the
	// document, so that what is documented is what is asked for.
	scope                string
	tag                  string
	summary, description string
	status               int
	// request is an example of the body, nil if the operation reads none.
	request any
	// answer is an example of the answer.
	answer any
	// problems are the kinds that the operation may answer with beside those of
	// every operation.
	problems []problemType
}

// register serves and documents an operation. Errors of handle go through the
// one table of problems.
func register[I, O any](a *API, op operation, handle func(context.Context, *I) (*O, error)) {
	described := op.huma(a.huma.OpenAPI().Components.Schemas)
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.refuse(ctx, op.id, err)
		}
		return out, nil
	})
	op.finish(described)
}

// huma returns the operation for huma to complete with parameters, body and
// answer.
func (op operation) huma(schemas huma.Registry) huma.Operation {
	described := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Tags: []string{op.tag},
		Summary: op.summary, Description: op.description, DefaultStatus: op.status, MaxBodyBytes: maxBody,
		Security:  []map[string][]string{{securityScheme: {op.scope}}},
		Responses: map[string]*huma.Response{},
	}
	kinds := append([]problemType{unauthenticated, insufficientScope, invalid, internal}, op.problems...)
	if op.request != nil {
		described.RequestBody = &huma.RequestBody{}
		kinds = append(kinds, badRequest, timedOut, tooLarge, unsupportedMediaType)
	}
	problem := schemas.Schema(reflect.TypeFor[Problem](), true, "")
	for _, kind := range kinds {
		documentProblem(described.Responses, kind, problem)
	}
	return described
}

func documentProblem(responses map[string]*huma.Response, kind problemType, schema *huma.Schema) {
	status := strconv.Itoa(kind.Status)
	response := responses[status]
	if response == nil {
		response = &huma.Response{Content: map[string]*huma.MediaType{
			(*Problem)(nil).ContentType(""): {Schema: schema, Examples: map[string]*huma.Example{}},
		}}
		responses[status] = response
	} else {
		response.Description += " "
	}
	response.Description += kind.Title + ": " + problemPrefix + kind.Name + "."
	for _, content := range response.Content {
		content.Examples[kind.Name] = &huma.Example{Ref: "#/components/examples/" + kind.Name}
	}
	if kind.Status == http.StatusUnauthorized {
		response.Headers = map[string]*huma.Param{"WWW-Authenticate": {
			Description: "What a token must be (RFC 6750 §3).", Schema: &huma.Schema{Type: huma.TypeString},
		}}
	}
}

// finish adds the examples to what huma has completed.
func (op operation) finish(described huma.Operation) {
	described.Responses[strconv.Itoa(op.status)].Content[mediaJSON].Example = op.answer
	if op.request == nil {
		return
	}
	content := described.RequestBody.Content
	for _, body := range content {
		body.Example = op.request
	}
	if patch := content[mediaMergePatch]; patch != nil {
		content[mediaJSON] = patch // what most tools send
	}
}
