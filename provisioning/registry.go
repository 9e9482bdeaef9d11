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
}

// Registry reads the records, checks secrets and says what a client may ask for.
// Its methods may be called concurrently.
type Registry struct {
	store  Reader
	scopes ScopeLanguage
	now    func() time.Time
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
	return &Registry{store: store, scopes: scopes, now: now}
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
	scopes, _, err := r.expand(ctx, c, audience)
	return scopes, err
}

// ScopeProblems returns the scopes for an audience that Scopes leaves out.
func (r *Registry) ScopeProblems(ctx context.Context, c *Client, audience string) ([]ScopeProblem, error) {
	_, problems, err := r.expand(ctx, c, audience)
	return problems, err
}

// Audiences returns the audiences that a client has grants for, in order.
func (r *Registry) Audiences(ctx context.Context, c *Client) ([]string, error) {
	var audiences []string
	err := r.eachGrant(ctx, c, func(_ string, g Grant) {
		audiences = append(audiences, g.Audience)
	})
	slices.Sort(audiences)
	return slices.Compact(audiences), err
}

func (r *Registry) expand(ctx context.Context, c *Client, audience string) ([]string, []ScopeProblem, error) {
	var scopes []string
	var problems []ScopeProblem
	seen := map[string]bool{}
	err := r.eachGrant(ctx, c, func(source string, g Grant) {
		if g.Audience != audience {
			return
		}
		for _, template := range g.Scopes {
			scope, err := r.expandScope(c, audience, template)
			if err != nil {
				problems = append(problems, ScopeProblem{source, template, err})
			} else if !seen[scope] {
				seen[scope] = true
				scopes = append(scopes, scope)
			}
		}
	})
	return scopes, problems, err
}

// expandScope fills in a template; only the broker's scopes are templates.
func (r *Registry) expandScope(c *Client, audience, template string) (string, error) {
	if audience != AudienceMQTT {
		return template, nil
	}
	return r.scopes.Expand(template, c.placeholder)
}

// eachGrant visits the grants of a client's roles, then its own.
func (r *Registry) eachGrant(ctx context.Context, c *Client, visit func(source string, g Grant)) error {
	for _, id := range c.Roles {
		role, err := r.store.Role(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue // deleted after c was read: it grants nothing any more
		}
		if err != nil {
			return fmt.Errorf("reading role %q: %w", id, err)
		}
		for _, g := range role.Grants {
			visit(id, g)
		}
	}
	for _, g := range c.Grants {
		visit("", g)
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
