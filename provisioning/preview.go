package provisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// RoleProposal is what may become of a role: other grants, or its deletion.
type RoleProposal struct {
	Grants []Grant
	Delete bool
}

// ClientDiff is what a client would gain and lose, placeholders filled in.
type ClientDiff struct {
	ID    string
	Gains []Grant
	Loses []Grant
}

// RolePreview is a page of what a proposal would do to the clients that hold the
// role, in order of their IDs. Next is the cursor of the next page, empty after
// the last one.
type RolePreview struct {
	Clients []ClientDiff
	// Unchanged counts those of the page for whom nothing would change.
	Unchanged int
	Next      string
}

// PreviewRole says which clients would gain or lose what if a role changed. It
// changes nothing. What a client has by another grant as well, be it a wider one,
// is neither gained nor lost.
//
// Cursor and limit are those of a [Query]. Errors: [ErrNotFound], [ErrBuiltIn],
// [InvalidError].
func (r *Registry) PreviewRole(ctx context.Context, id string, change RoleProposal, cursor string, limit int) (RolePreview, error) {
	role, err := r.Role(ctx, id)
	switch {
	case err != nil:
		return RolePreview{}, fmt.Errorf("role %q: %w", id, err)
	case role.BuiltIn:
		return RolePreview{}, fmt.Errorf("role %q: %w", id, ErrBuiltIn)
	}
	proposed := change.Grants
	if change.Delete {
		proposed = nil
	}
	var f faults
	f.grants(proposed, r.scopes)
	if err := f.err(); err != nil {
		return RolePreview{}, err
	}
	page, err := r.store.Clients(ctx, Query{Role: id, Cursor: cursor, Limit: limit})
	if err != nil {
		return RolePreview{}, err
	}
	preview := RolePreview{Next: page.Next}
	roles := map[string]*Role{id: role}
	for i := range page.Clients {
		diff, err := r.diff(ctx, &page.Clients[i], role, proposed, roles)
		switch {
		case err != nil:
			return RolePreview{}, err
		case len(diff.Gains) == 0 && len(diff.Loses) == 0:
			preview.Unchanged++
		default:
			preview.Clients = append(preview.Clients, diff)
		}
	}
	return preview, nil
}

// diff compares what a client has with what it would have. The roles that were
// read before are in roles.
func (r *Registry) diff(ctx context.Context, c *Client, role *Role, proposed []Grant, roles map[string]*Role) (ClientDiff, error) {
	others := c.Grants
	for _, id := range c.Roles {
		if id == role.ID {
			continue
		}
		other, err := r.cachedRole(ctx, id, roles)
		if err != nil {
			return ClientDiff{}, err
		}
		others = slices.Concat(others, other.Grants)
	}
	diff := ClientDiff{ID: c.ID}
	audiences := slices.Concat(audiencesOf(role.Grants), audiencesOf(proposed))
	slices.Sort(audiences)
	for _, audience := range slices.Compact(audiences) {
		kept, old, proposal := r.expandGrants(c, audience, others), r.expandGrants(c, audience, role.Grants), r.expandGrants(c, audience, proposed)
		diff.Gains = appendGrant(diff.Gains, audience, r.uncovered(audience, proposal, slices.Concat(old, kept)))
		diff.Loses = appendGrant(diff.Loses, audience, r.uncovered(audience, old, slices.Concat(proposal, kept)))
	}
	return diff, nil
}

// cachedRole reads a role once. One that was deleted since the client was read is
// an empty one.
func (r *Registry) cachedRole(ctx context.Context, id string, roles map[string]*Role) (*Role, error) {
	if role, ok := roles[id]; ok {
		return role, nil
	}
	role, err := r.store.Role(ctx, id)
	if errors.Is(err, ErrNotFound) {
		role, err = &Role{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading role %q: %w", id, err)
	}
	roles[id] = role
	return role, nil
}

func (r *Registry) expandGrants(c *Client, audience string, grants []Grant) []string {
	var x expansion
	r.expand(&x, c, audience, "", grants)
	return x.scopes
}

// uncovered returns the scopes that no granted one covers by itself.
func (r *Registry) uncovered(audience string, scopes, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return slices.ContainsFunc(granted, func(g string) bool {
			return g == scope || audience == AudienceMQTT && r.scopes.Covers(g, scope)
		})
	})
}

func appendGrant(grants []Grant, audience string, scopes []string) []Grant {
	if len(scopes) == 0 {
		return grants
	}
	return append(grants, Grant{audience, scopes})
}
