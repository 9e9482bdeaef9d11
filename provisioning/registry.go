package provisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Reader is what the Registry reads from; a Store is one.
type Reader interface {
	ClientReader
	RoleReader
	KeyReader
	RevocationReader
}

// Registry reads the records, checks secrets and says what a client may ask for.
// Its methods may be called concurrently.
type Registry struct {
	store  Reader
	scopes ScopeLanguage
	// templates are those of roles and clients, parsed.
	templates templateCache
	now       func() time.Time
	// keys caches the keys under which secrets are hashed, by ID.
	keys atomic.Pointer[map[string]Key]
	// decoy is the ID of a client that exists, read in place of one that does not.
	decoy atomic.Pointer[string]
}

// NewRegistry returns a registry over a store; now may be nil and is time.Now then.
func NewRegistry(store Reader, scopes ScopeLanguage, now func() time.Time) *Registry {
	if now == nil {
		now = time.Now
	}
	return &Registry{store: store, scopes: scopes, templates: templateCache{language: scopes}, now: now}
}

// Client returns a client, [ErrNotFound], or [ErrDeleted] for one that was.
func (r *Registry) Client(ctx context.Context, id string) (*Client, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	return r.store.Client(ctx, id)
}

// Clients returns a page of clients; see [Query]. Its errors are InvalidErrors
// for a query out of bounds and a cursor that is none.
func (r *Registry) Clients(ctx context.Context, q Query) (Page, error) {
	return r.store.Clients(ctx, q)
}

// Role returns a role or [ErrNotFound].
func (r *Registry) Role(ctx context.Context, id string) (*Role, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	return r.store.Role(ctx, id)
}

// Roles returns all roles in order of their IDs.
func (r *Registry) Roles(ctx context.Context) ([]Role, error) {
	return r.store.Roles(ctx)
}

// RevocationPage is a part of the list of revocations. Next is the cursor of the
// next part, empty after the last one.
type RevocationPage struct {
	Revocations []Revocation
	Next        string
}

// Revocations returns a page of the revocations, those among them whose tokens
// have just expired, in order of their IDs. Limit is 1 to [MaxPageSize], 0 for
// [DefaultPageSize]; cursor is Next of the page before. It returns an
// [InvalidError] for bounds that are not kept.
func (r *Registry) Revocations(ctx context.Context, cursor string, limit int) (RevocationPage, error) {
	q := Query{Limit: limit}
	if err := q.Validate(); err != nil {
		return RevocationPage{}, err
	}
	if cursor != "" && !validID(cursor) {
		return RevocationPage{}, Invalid("cursor", "is not the cursor of this list: take it unchanged from the page before")
	}
	list, err := r.store.Revocations(ctx, cursor, q.PageSize()+1)
	if err != nil {
		return RevocationPage{}, err
	}
	page := RevocationPage{Revocations: list}
	if size := q.PageSize(); len(list) > size {
		page.Revocations, page.Next = list[:size], list[size-1].ID
	}
	return page, nil
}

// Names of placeholders; the last two are followed by the key of a label or an
// attribute.
const (
	placeholderClientID   = "client_id"
	placeholderKind       = "kind"
	placeholderLabels     = "labels."
	placeholderAttributes = "attributes."
)

// ScopeProblem is a scope that a client does not get, and why.
type ScopeProblem struct {
	// Source is the role that holds the scope, empty for the client's own grants.
	Source string
	Scope  string
	Err    error
}

// Scopes returns what a client holds for an audience: the scopes of its roles,
// then its own, with the placeholders filled in and without repetitions. A
// template whose value is missing or unsuitable grants nothing and is left out;
// ScopeProblems names those.
func (r *Registry) Scopes(ctx context.Context, c *Client, audience string) ([]string, error) {
	x, err := r.expandAll(ctx, c, audience)
	return x.scopes, err
}

// ScopeProblems returns the scopes for an audience that Scopes leaves out.
func (r *Registry) ScopeProblems(ctx context.Context, c *Client, audience string) ([]ScopeProblem, error) {
	x, err := r.expandAll(ctx, c, audience)
	return x.problems, err
}

// Audiences returns the audiences that a client has grants for, in order.
func (r *Registry) Audiences(ctx context.Context, c *Client) ([]string, error) {
	audiences := audiencesOf(c.Grants)
	err := r.eachRole(ctx, c, func(role *Role) {
		audiences = append(audiences, audiencesOf(role.Grants)...)
	})
	slices.Sort(audiences)
	return slices.Compact(audiences), err
}

func audiencesOf(grants []Grant) []string {
	audiences := make([]string, len(grants))
	for i, g := range grants {
		audiences[i] = g.Audience
	}
	return audiences
}

func (r *Registry) expandAll(ctx context.Context, c *Client, audience string) (expansion, error) {
	var x expansion
	err := r.eachRole(ctx, c, func(role *Role) {
		r.expand(&x, c, audience, role.ID, role.Grants)
	})
	r.expand(&x, c, audience, "", c.Grants)
	return x, err
}

// expansion is what the templates of a client come to for one audience.
type expansion struct {
	scopes   []string
	problems []ScopeProblem
	seen     map[string]bool
}

// expand adds what the grants of one source come to.
func (r *Registry) expand(x *expansion, c *Client, audience, source string, grants []Grant) {
	value := c.placeholder
	for _, g := range grants {
		if g.Audience != audience {
			continue
		}
		x.scopes = slices.Grow(x.scopes, len(g.Scopes))
		for _, template := range g.Scopes {
			scope, err := r.expandScope(value, audience, template)
			if err != nil {
				x.problems = append(x.problems, ScopeProblem{source, template, err})
				continue
			}
			if x.seen == nil {
				x.seen = map[string]bool{}
			}
			if !x.seen[scope] {
				x.seen[scope] = true
				x.scopes = append(x.scopes, scope)
			}
		}
	}
}

// expandScope fills in a template; only the broker's scopes are templates.
func (r *Registry) expandScope(value func(name string) (string, bool), audience, template string) (string, error) {
	if audience != AudienceMQTT {
		return template, nil
	}
	parsed, err := r.templates.parse(template)
	if err != nil {
		return "", err
	}
	return parsed.Expand(value)
}

// eachRole visits the roles of a client.
func (r *Registry) eachRole(ctx context.Context, c *Client, visit func(*Role)) error {
	for _, id := range c.Roles {
		role, err := r.store.Role(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue // deleted after c was read: it grants nothing any more
		}
		if err != nil {
			return fmt.Errorf("reading role %q: %w", id, err)
		}
		visit(role)
	}
	return nil
}

// isPlaceholder reports whether clients may have a value for that name.
func isPlaceholder(name string) bool {
	return name == placeholderClientID || name == placeholderKind ||
		strings.HasPrefix(name, placeholderLabels) || strings.HasPrefix(name, placeholderAttributes)
}

// placeholder returns a client's value for a name in a template.
func (c *Client) placeholder(name string) (string, bool) {
	switch name {
	case placeholderClientID:
		return c.ID, true
	case placeholderKind:
		return string(c.Kind), true
	}
	if key, ok := strings.CutPrefix(name, placeholderLabels); ok {
		value, ok := c.Labels[key]
		return value, ok
	}
	if key, ok := strings.CutPrefix(name, placeholderAttributes); ok {
		value, ok := c.Attributes[key]
		return value, ok
	}
	return "", false
}
