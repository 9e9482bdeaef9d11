package fleetapi

import (
	"cmp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/boomgate/boomgate/provisioning"
)

// apiVersion is the version of the interface, not of the program.
const apiVersion = "1.0.0"

// conventions is what holds for every operation.
const conventions = `The operators' API of Boomgate: who may connect to the broker, with which secret, and what they may do there.

**Access.** Every operation takes a bearer token with the audience boomgate:fleet and needs the scope that it names. Get the token at the token endpoint with an operator's client ID and secret. Nobody hands out rights on this API that their own token does not hold.

**Errors** are problem details (RFC 9457). Their type leads to the list of problems in /docs. Unknown members, members that occur twice and unknown query parameters are refused, so that nothing is ignored in silence.

**Lists** come in parts: send next_cursor as ?cursor= for the next one, or follow the header Link with rel=next.

**Versions.** A record's ETag is its version. Send it as If-Match with a change, and the change is refused with 412 if somebody else was faster.

**Repetition.** Send an Idempotency-Key with a creation, a rotation or a revocation. If the answer is lost, repeat the request with the same key within 24 hours: you get the same answer, secret included, and nothing is done twice. A repetition waits while the first is under way. Answers are kept in memory, per caller the last 2 MiB, so a restart forgets them: repeated after one, a creation that names its own ID is answered with 409, and one that does not makes a second record.

**Receipts.** Whatever takes rights away reaches live sessions before it is answered; the receipt in the answer says what it ended.

**Times** are RFC 3339; one that has not happened is absent. Durations are whole seconds. No answer may be cached.`

// humaConfig describes the API as a whole. The document and the pages are served
// by this package, and huma's links to schemas are left out.
func (a *API) humaConfig() huma.Config {
	format := jsonFormat()
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Boomgate fleet API", Version: apiVersion, Description: conventions,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Tags: []*huma.Tag{
				{Name: "devices", Description: "Machines that publish, such as sensors."},
				{Name: "services", Description: "Programs that read or command, such as backends."},
				{Name: "operators", Description: "Who works with this API."},
				{Name: "roles", Description: "Named sets of grants."},
				{Name: "sessions", Description: "Live connections to the broker."},
				{Name: "revocations", Description: "Tokens that are taken out of use before they expire."},
				{Name: "signing-keys", Description: "Keys that access tokens are signed with."},
				{Name: "explain", Description: "What the gate decides, and why."},
			},
			Components: &huma.Components{
				Schemas:  huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				Examples: problemExamples(),
				SecuritySchemes: map[string]*huma.SecurityScheme{securityScheme: {
					Type:        "oauth2",
					Description: "A JWT access token for " + provisioning.AudienceFleet + ", in the header Authorization.",
					Flows:       &huma.OAuthFlows{ClientCredentials: &huma.OAuthFlow{TokenURL: a.tokenEndpoint, Scopes: scopeTexts()}},
				}},
			},
		},
		// "json" stands for every type that ends in +json.
		Formats:                      map[string]huma.Format{mediaJSON: format, "json": format},
		DefaultFormat:                mediaJSON,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{a.settle},
	}
}

// problemExamples holds one problem of every kind.
func problemExamples() map[string]*huma.Example {
	examples := map[string]*huma.Example{}
	for _, kind := range problemTypes {
		examples[kind.Name] = &huma.Example{Summary: kind.Title, Value: kind.problem(kind.Meaning)}
	}
	return examples
}

// scopeTexts describes every scope of the audience.
func scopeTexts() map[string]string {
	wider := map[string]string{"sessions": "sessions and revocations", "keys": "signing keys"}
	texts := map[string]string{}
	for _, scope := range provisioning.FleetScopes() {
		resource, right, _ := strings.Cut(scope, ":")
		verb := "Read "
		if right == "write" {
			verb = "Create, change and delete "
		}
		texts[scope] = verb + cmp.Or(wider[resource], resource) + "."
	}
	return texts
}
