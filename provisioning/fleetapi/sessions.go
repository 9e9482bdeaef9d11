package fleetapi

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sort"

	"github.com/danielgtaylor/huma/v2"

	"github.com/boomgate/boomgate/provisioning"
)

const sessionsPath = "/v1/sessions"

// Sessions are the live connections to the broker. It may be called
// concurrently.
type Sessions interface {
	// Sessions returns the sessions that match a query, in any order.
	Sessions(ctx context.Context, q SessionQuery) ([]Session, error)
	// CloseSession closes the session of an MQTT client ID and says what that
	// ended. Without such a session the error is [provisioning.ErrNotFound].
	CloseSession(ctx context.Context, id string) (provisioning.Receipt, error)
}

// SessionQuery selects sessions; what is empty selects all.
type SessionQuery struct {
	// ID is the MQTT client ID.
	ID string
	// ClientID is the client whose sessions they are.
	ClientID string
}

// Inputs and outputs of the operations on sessions.
type (
	listSessionsInput struct {
		Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
		Cursor   string `query:"cursor" maxLength:"90000" doc:"next_cursor of the part before; keep the other parameters as they were."`
		ClientID string `query:"client_id" maxLength:"64" example:"sensor-b2-017" doc:"Only those of this client."`

		url url.URL
	}
	sessionInput struct {
		ID string `path:"id" example:"sensor-b2-017" doc:"The MQTT client ID, percent-encoded."`
	}

	sessionPageOutput struct {
		Link string `header:"Link" doc:"The next part, rel=next (RFC 8288); absent in the last."`
		Body Page[Session]
	}
	sessionOutput struct{ Body Session }
)

// Resolve keeps the URL for the link to the next part.
func (in *listSessionsInput) Resolve(ctx huma.Context) []error {
	in.url = ctx.URL()
	return nil
}

func (a *API) registerSessions() {
	example := sessionExample()
	register(a, operation{
		id: "list-sessions", method: http.MethodGet, path: sessionsPath, scope: "sessions:read", tag: "sessions", status: http.StatusOK,
		summary: "List sessions", description: "Lists live connections to the broker in order of their MQTT client IDs, part by part.",
		answer: Page[Session]{Items: []Session{example}},
	}, a.listSessions)
	register(a, operation{
		id: "get-session", method: http.MethodGet, path: sessionsPath + "/{id}", scope: "sessions:read", tag: "sessions", status: http.StatusOK,
		summary: "Show a session", description: "Shows the live connection of an MQTT client ID.",
		answer: example, problems: []problemType{notFound},
	}, a.getSession)
	register(a, operation{
		id: "close-session", method: http.MethodDelete, path: sessionsPath + "/{id}", scope: "sessions:write", tag: "sessions", status: http.StatusOK,
		summary: "Close a session",
		description: "Closes the live connection of an MQTT client ID. The client may connect again at once; " +
			"to keep it out, disable it.",
		answer: Removal{receiptExample()}, problems: []problemType{notFound},
	}, a.closeSession)
}

func (a *API) listSessions(ctx context.Context, in *listSessionsInput) (*sessionPageOutput, error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return nil, invalid.problem(countFields(1)).at("query.cursor", "is not a cursor of this list")
	}
	all, err := a.sessions.Sessions(ctx, SessionQuery{ClientID: in.ClientID})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(x, y Session) int { return cmp.Compare(x.ID, y.ID) })
	if in.Cursor != "" {
		all = all[sort.Search(len(all), func(i int) bool { return all[i].ID > string(after) }):]
	}
	out := &sessionPageOutput{}
	out.Body.Items = orEmpty(all)
	if len(all) > in.Limit {
		out.Body.Items = all[:in.Limit]
		out.Body.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(all[in.Limit-1].ID))
		out.Link = nextLink(in.url, out.Body.NextCursor)
	}
	return out, nil
}

func (a *API) findSession(ctx context.Context, id string) (Session, error) {
	found, err := a.sessions.Sessions(ctx, SessionQuery{ID: id})
	if err != nil {
		return Session{}, err
	}
	if len(found) == 0 {
		return Session{}, noSession()
	}
	callOf(ctx).target = found[0].ClientID
	return found[0], nil
}

func noSession() *Problem {
	return notFound.problem("No live session has this MQTT client ID; GET " + sessionsPath + " lists those there are.")
}

func (a *API) getSession(ctx context.Context, in *sessionInput) (*sessionOutput, error) {
	session, err := a.findSession(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &sessionOutput{session}, nil
}

func (a *API) closeSession(ctx context.Context, in *sessionInput) (*removalOutput, error) {
	if _, err := a.findSession(ctx, in.ID); err != nil {
		return nil, err
	}
	receipt, err := a.sessions.CloseSession(ctx, in.ID)
	if errors.Is(err, provisioning.ErrNotFound) {
		return nil, noSession()
	}
	if err != nil {
		return nil, err
	}
	return &removalOutput{Removal{ended(ctx, receipt)}}, nil
}
