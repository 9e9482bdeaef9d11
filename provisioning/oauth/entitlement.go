package oauth

import (
	"context"
	"fmt"
	"slices"

	"github.com/boomgate/boomgate/provisioning"
)

// maxComparisons bounds the work of one request's scopes: a scope that is held word for word costs none, any other one
// for each scope held.
const maxComparisons = 1 << 18

// entitlement is what a token may carry.
type entitlement struct {
	audiences []string
	scopes    []string
	aif       bool // the scopes are to be said as authorization information
}

// entitle decides which audiences and scopes the client gets for its request.
//
// A token's scopes count at each of its audiences. So one token for several audiences carries only scopes that the client
// holds, or something wider than them, at every one of them; by default, all such scopes.
func (h *Handler) entitle(ctx context.Context, client *provisioning.Client, req *tokenRequest) (entitlement, error) {
	audiences := unique(req.audiences)
	if len(audiences) == 0 {
		audiences = []string{provisioning.AudienceMQTT}
	}
	held := make([][]string, 0, len(audiences))
	for _, audience := range audiences {
		scopes, err := h.cfg.Registry.Scopes(ctx, client, audience)
		if err != nil {
			return entitlement{}, fmt.Errorf("reading what the client holds: %w", err)
		}
		if len(scopes) == 0 {
			return entitlement{}, h.refuseAudience(ctx, client, audience, len(req.audiences) == 0)
		}
		held = append(held, scopes)
	}
	if req.scopes == nil && len(held) == 1 {
		return entitlement{audiences: audiences, scopes: held[0]}, nil
	}
	c := newComparer(held, h.cfg.Covers)
	if req.scopes == nil {
		scopes, err := c.common()
		return entitlement{audiences: audiences, scopes: scopes}, err
	}
	scopes := unique(req.scopes)
	for i, scope := range scopes {
		everywhere, err := c.heldEverywhere(scope)
		if err != nil {
			return entitlement{}, err
		}
		if !everywhere {
			return entitlement{}, refuse(invalidScope, ReasonScopeNotHeld,
				fmt.Sprintf("scope %d of %d is outside of what this client holds for the audience", i+1, len(scopes)))
		}
	}
	return entitlement{audiences: audiences, scopes: scopes, aif: req.aif != nil}, nil
}

// refuseAudience says why the client has no scopes for the audience.
func (h *Handler) refuseAudience(ctx context.Context, client *provisioning.Client, audience string, byDefault bool) error {
	granted, err := h.cfg.Registry.Audiences(ctx, client)
	switch {
	case err != nil:
		return fmt.Errorf("reading what the client holds: %w", err)
	case len(granted) == 0:
		return refuse(unauthorizedClient, ReasonNoGrants, "this client has no role and no grant; an operator has to give it one")
	case slices.Contains(granted, audience):
		return refuse(invalidScope, ReasonGrantsUnusable,
			"the grants of this client for the audience name a value that it does not have, such as a label; an operator has to add it")
	case byDefault:
		return refuse(invalidTarget, ReasonAudience,
			"this client holds nothing for the default audience "+provisioning.AudienceMQTT+"; name another as audience")
	default:
		return refuse(invalidTarget, ReasonAudience, "this client holds nothing for a requested audience")
	}
}

// comparer compares scopes with what is held for each audience.
type comparer struct {
	held   [][]string
	exact  []map[string]struct{}
	covers func(granted, requested string) bool
	budget int
}

func newComparer(held [][]string, covers func(granted, requested string) bool) *comparer {
	c := &comparer{held: held, covers: covers, budget: maxComparisons}
	for _, scopes := range held {
		exact := make(map[string]struct{}, len(scopes))
		for _, scope := range scopes {
			exact[scope] = struct{}{}
		}
		c.exact = append(c.exact, exact)
	}
	return c
}

// heldEverywhere tells whether the scope is held for every audience, or something wider than it.
func (c *comparer) heldEverywhere(scope string) (bool, error) {
	for i := range c.held {
		if _, ok := c.exact[i][scope]; ok {
			continue
		}
		if c.budget -= len(c.held[i]); c.budget < 0 {
			return false, refuse(invalidScope, ReasonScopesTooMany, "too many scopes to compare; ask for fewer, or in the words of the grants")
		}
		if !slices.ContainsFunc(c.held[i], func(granted string) bool { return c.covers(granted, scope) }) {
			return false, nil
		}
	}
	return true, nil
}

// common returns every scope that is held for one audience and, it or something wider, for all the others.
func (c *comparer) common() ([]string, error) {
	var common []string
	for _, scope := range unique(slices.Concat(c.held...)) {
		everywhere, err := c.heldEverywhere(scope)
		if err != nil {
			return nil, err
		}
		if everywhere {
			common = append(common, scope)
		}
	}
	if len(common) == 0 {
		return nil, refuse(invalidTarget, ReasonAudiencesDisjoint,
			"no scope is held for all of the requested audiences; get one token for each of them")
	}
	return common, nil
}

// unique returns the texts in order, each once.
func unique(texts []string) []string {
	seen := make(map[string]struct{}, len(texts))
	kept := make([]string, 0, len(texts))
	for _, text := range texts {
		if _, twice := seen[text]; !twice {
			seen[text] = struct{}{}
			kept = append(kept, text)
		}
	}
	return kept
}
