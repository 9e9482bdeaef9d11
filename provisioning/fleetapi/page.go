package fleetapi

import (
	"errors"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/boomgate/boomgate/provisioning"
)

// listClientsInput selects clients.
type listClientsInput struct {
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
	Cursor string   `query:"cursor" maxLength:"1024" doc:"next_cursor of the part before; keep the other parameters as they were."`
	Label  []string `query:"label,explode" nullable:"false" maxItems:"8" example:"[\"site=north\"]" doc:"Only those with this label, as key=value. May be repeated: all must match."`
	Role   string   `query:"role" maxLength:"64" example:"parking-sensor" doc:"Only those who have this role."`
	Status string   `query:"status" enum:"active,disabled" doc:"Only those in this state."`

	labels map[string]string
	url    url.URL
}

// Resolve reads what huma's parameters do not hold: the labels as a map, and
// the URL for the link to the next part.
func (in *listClientsInput) Resolve(ctx huma.Context) []error {
	in.url = ctx.URL()
	in.labels = map[string]string{}
	for _, label := range in.url.Query()["label"] {
		key, value, ok := strings.Cut(label, "=")
		if before, twice := in.labels[key]; !ok || key == "" || twice && before != value {
			return []error{&huma.ErrorDetail{
				Location: "query.label", Message: "must be key=value, with one value for a key",
			}}
		}
		in.labels[key] = value
	}
	return nil
}

func (in *listClientsInput) nextLink(cursor string) string { return nextLink(in.url, cursor) }

// nextLink is the value of the header Link for the next part (RFC 8288).
func nextLink(page url.URL, cursor string) string {
	if cursor == "" {
		return ""
	}
	query := page.Query()
	query.Set("cursor", cursor)
	return "<" + page.EscapedPath() + "?" + query.Encode() + `>; rel="next"`
}

// inQuery says of the faults of a query that they are in the query.
func inQuery(err error) error {
	if faults, ok := errors.AsType[*provisioning.InvalidError](err); ok {
		return invalidFields("query", faults)
	}
	return err
}
