package authhook

import (
	"context"
	"strings"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// ownerSeparator stands between the name of a foreign issuer and a client ID in the name of an owner.
const ownerSeparator = "/"

// A principal is who a session belongs to.
type principal struct {
	issuer   string // the name of a foreign issuer, empty for one's own
	clientID string // the client ID of the token
	owner    string // both in one text that is unique over all issuers
}

func newPrincipal(issuer, clientID string) principal {
	if issuer == "" {
		return principal{clientID: clientID, owner: clientID}
	}
	return principal{issuer: issuer, clientID: clientID, owner: issuer + ownerSeparator + clientID}
}

// foreign reports whether another issuer than one's own speaks for the principal.
func (p principal) foreign() bool { return p.issuer != "" }

// principalOf returns whose token it is, unless its issuer is none of those that are accepted, or its client ID would be read as one
// of a foreign issuer.
func (h *Hook) principalOf(token *accesstoken.Token) (principal, *refusal) {
	issuer := h.own
	if h.cfg.Issuers != nil {
		var known bool
		if issuer, known = h.cfg.Issuers[token.Issuer]; !known {
			return principal{}, &refusal{connackBadToken, accesstoken.Rule(accesstoken.ErrIssuer), "not among the accepted issuers"}
		}
	}
	p := newPrincipal(issuer.Name, token.ClientID)
	if h.ownerNamed(p.owner) != p {
		return principal{}, &refusal{connackBadToken, accesstoken.Rule(accesstoken.ErrClaims), "the client ID begins as another issuer's"}
	}
	return p, nil
}

// ownerNamed returns the principal behind the name of an owner, such as a store keeps.
func (h *Hook) ownerNamed(owner string) principal {
	if name, clientID, found := strings.Cut(owner, ownerSeparator); found {
		if _, known := h.others[name]; known {
			return newPrincipal(name, clientID)
		}
	}
	return newPrincipal("", owner)
}

// issuerOf returns how the tokens of a principal are read.
func (h *Hook) issuerOf(p principal) Issuer {
	if p.foreign() {
		return h.others[p.issuer]
	}
	return h.own
}

// statusOf asks how a principal stands. Nobody is asked about the clients of a foreign issuer, nor about any if there is no
// ClientStatus: then the issuer's word is enough.
func (h *Hook) statusOf(ctx context.Context, p principal) (Status, error) {
	switch {
	case p.foreign():
		issuer := h.others[p.issuer]
		return Status{Active: true, MQTTClientIDs: issuer.patternsFor(p.clientID), Limits: issuer.Limits}, nil
	case h.cfg.Clients == nil:
		return Status{Active: true}, nil
	case p.clientID == "":
		return Status{}, nil
	}
	return h.cfg.Clients.ClientStatus(ctx, p.clientID)
}
