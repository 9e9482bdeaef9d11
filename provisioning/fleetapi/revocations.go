package fleetapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/boomgate/boomgate/provisioning"
)

const revocationsPath = "/v1/revocations"

// NewRevocation is the body of a revocation.
type NewRevocation struct {
	ClientID     string    `json:"client_id,omitempty" maxLength:"256" example:"sensor-b2-017" doc:"Only tokens of this client."`
	TokenID      string    `json:"token_id,omitempty" maxLength:"256" example:"0mq3wzk7v1c9" doc:"Only the token with this jti."`
	CredentialID string    `json:"credential_id,omitempty" maxLength:"256" example:"secret-4c1x7qk2m9t3" doc:"Only tokens that were got with this secret or certificate."`
	KeyID        string    `json:"key_id,omitempty" maxLength:"256" example:"eddsa-4c1x7qk2m9t3" doc:"Only tokens that this signing key signed. Needs the scope keys:write as well."`
	IssuedBefore time.Time `json:"issued_before,omitzero" example:"2027-03-01T09:00:00Z" doc:"Only tokens issued before then, which must not lie in the future; absent for now, and for a token_id it does not matter when."`
	ExpiresAt    time.Time `json:"expires_at,omitzero" example:"2027-03-02T09:00:00Z" doc:"When the last of these tokens has expired and the revocation can be forgotten; absent for the longest life that a token can have."`
	Reason       string    `json:"reason,omitempty" maxLength:"1024" example:"found on a shared drive" doc:"What an operator noted."`
}

// Revocation takes tokens out of use before they expire: those that match it in
// all that it names.
type Revocation struct {
	ID           string    `json:"id" example:"revocation-4c1x7qk2m9t3" doc:"The revocation's ID."`
	ClientID     string    `json:"client_id,omitempty" example:"sensor-b2-017" doc:"Only tokens of this client."`
	TokenID      string    `json:"token_id,omitempty" example:"0mq3wzk7v1c9" doc:"Only the token with this jti."`
	CredentialID string    `json:"credential_id,omitempty" example:"secret-4c1x7qk2m9t3" doc:"Only tokens that were got with this secret or certificate."`
	KeyID        string    `json:"key_id,omitempty" example:"eddsa-4c1x7qk2m9t3" doc:"Only tokens that this signing key signed."`
	IssuedBefore time.Time `json:"issued_before,omitzero" doc:"Only tokens issued before then."`
	ExpiresAt    time.Time `json:"expires_at" doc:"When the revocation is forgotten: the last of these tokens has expired."`
	CreatedAt    time.Time `json:"created_at" doc:"When the tokens were revoked."`
	CreatedBy    string    `json:"created_by,omitempty" example:"root" doc:"Who revoked them; absent if it came with a change of the client itself."`
	Reason       string    `json:"reason,omitempty" example:"found on a shared drive" doc:"What was noted."`
}

// RevocationChange is the answer to a revocation.
type RevocationChange struct {
	Revocation Revocation `json:"revocation" doc:"The record."`
	Receipt    Receipt    `json:"receipt" doc:"What ended with it."`
}

// Inputs and outputs of the operations on revocations.
type (
	createRevocationInput struct {
		IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" example:"8f2c0a54-revocation" doc:"Repeat the request with the same key if its answer was lost: you get the same answer, and no second record."`
		Body           NewRevocation
	}
	listRevocationsInput struct {
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
		Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the part before."`

		url url.URL
	}

	createdRevocationOutput struct {
		Replayed bool `header:"Idempotent-Replayed" doc:"Whether this answer is the one that the first request with this Idempotency-Key had."`
		Body     RevocationChange
	}
	revocationPageOutput struct {
		Link string `header:"Link" doc:"The next part, rel=next (RFC 8288); absent in the last."`
		Body Page[Revocation]
	}
)

// Resolve keeps the URL for the link to the next part.
func (in *listRevocationsInput) Resolve(ctx huma.Context) []error {
	in.url = ctx.URL()
	return nil
}

func (a *API) registerRevocations() {
	example := revocationExample()
	register(a, operation{
		id: "list-revocations", method: http.MethodGet, path: revocationsPath, scope: "sessions:read", tag: "revocations", status: http.StatusOK,
		summary: "List revocations", description: "Lists the revocations that are in force, in order of their IDs, part by part. " +
			"A revocation is forgotten when the last token that it covers has expired.",
		answer: Page[Revocation]{Items: []Revocation{example}},
	}, a.listRevocations)
	register(a, operation{
		id: "create-revocation", method: http.MethodPost, path: revocationsPath, scope: "sessions:write", tag: "revocations",
		status: http.StatusCreated, summary: "Revoke tokens",
		description: "Takes tokens out of use that have not expired, and closes the sessions that live on them. A token is revoked if it " +
			"matches everything that the body names; it must name a client, a token, a credential or a signing key. " +
			"Tokens to come are not revoked: to keep a client out, disable it; to end a secret, retire it. " +
			"What names the same as an earlier revocation widens that one.",
		request: NewRevocation{ClientID: "sensor-b2-017", Reason: "found on a shared drive"},
		answer:  RevocationChange{example, receiptExample()}, problems: []problemType{tooManyRevocations, keyReused},
	}, a.createRevocation)
}

func (a *API) listRevocations(ctx context.Context, in *listRevocationsInput) (*revocationPageOutput, error) {
	page, err := a.registry.Revocations(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, inQuery(err)
	}
	out := &revocationPageOutput{Link: nextLink(in.url, page.Next)}
	out.Body = Page[Revocation]{Items: make([]Revocation, len(page.Revocations)), NextCursor: page.Next}
	for i, r := range page.Revocations {
		out.Body.Items[i] = Revocation(r)
	}
	return out, nil
}

func (a *API) createRevocation(ctx context.Context, in *createRevocationInput) (*createdRevocationOutput, error) {
	if !slices.Contains(callOf(ctx).caller.Scopes, "keys:write") && in.Body.KeyID != "" {
		return nil, lacksScope("keys:write")
	}
	out, replayed, err := once(ctx, a.replays, idempotent{in.IdempotencyKey, "create-revocation", "", in.Body},
		func() (*createdRevocationOutput, error) { return a.doCreateRevocation(ctx, in.Body) })
	if err != nil {
		return nil, err
	}
	callOf(ctx).target = out.Body.Revocation.ID
	again := *out
	again.Replayed = replayed
	return &again, nil
}

// doCreateRevocation revokes tokens that exist and none to come: whoever could
// revoke those would lock out whom they may not disable, and everybody with the
// key that signs.
func (a *API) doCreateRevocation(ctx context.Context, n NewRevocation) (*createdRevocationOutput, error) {
	if n.IssuedBefore.IsZero() && n.TokenID == "" {
		n.IssuedBefore = a.now()
	}
	revocation, receipt, err := a.service.Revoke(ctx, provisioning.NewRevocation{
		ClientID: n.ClientID, TokenID: n.TokenID, CredentialID: n.CredentialID, KeyID: n.KeyID,
		IssuedBefore: n.IssuedBefore, ExpiresAt: n.ExpiresAt, Reason: n.Reason, By: callOf(ctx).caller.ClientID,
	})
	if err != nil {
		return nil, err
	}
	return &createdRevocationOutput{Body: RevocationChange{Revocation(*revocation), ended(ctx, receipt)}}, nil
}
