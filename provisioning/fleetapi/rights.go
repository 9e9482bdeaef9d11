package fleetapi

import (
	"context"
	"slices"
	"strings"

	"github.com/boomgate/boomgate/provisioning"
)

// Nobody hands out a right on this API that they do not hold: not by creating a
// client, not by changing a client or a role, and not by drawing a new secret of
// a client that holds more, or giving it a certificate. What counts is the
// caller's token, not the caller's record, so a narrowed token stays narrow.
// Topics and limits are rights on the broker: whoever may write clients or roles
// gives them to whom they like.

// mayHandOut refuses if the caller would give scopes on this API, beside those
// that the receiver has already, which the caller's token does not hold. A scope
// that there is not gives no right, and provisioning refuses it.
func mayHandOut(ctx context.Context, has, gets []string) error {
	held := callOf(ctx).caller.Scopes
	var missing []string
	for _, scope := range provisioning.FleetScopes() {
		if slices.Contains(gets, scope) && !slices.Contains(has, scope) && !slices.Contains(held, scope) {
			missing = append(missing, scope)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	return escalation.problem("This would hand out rights that your access token does not hold: "+list+
		". Leave them out, or have it done by an operator who holds them.").
		challenge(`error="insufficient_scope"`, `scope="`+list+`"`)
}

// fleetScopes returns what a client holds, or would hold, on this API.
func (a *API) fleetScopes(ctx context.Context, c *provisioning.Client) ([]string, error) {
	return a.registry.Scopes(ctx, c, provisioning.AudienceFleet)
}

// fleetScopesOf returns what a role gives on this API.
func fleetScopesOf(grants []provisioning.Grant) []string {
	var scopes []string
	for _, g := range grants {
		if g.Audience == provisioning.AudienceFleet {
			scopes = append(scopes, g.Scopes...)
		}
	}
	return scopes
}
