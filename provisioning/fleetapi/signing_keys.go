package fleetapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

const signingKeysPath = "/v1/signing-keys"

// SigningKeys are the keys that access tokens are signed with. It may be called
// concurrently.
type SigningKeys interface {
	// Keys returns the keys whose tokens are valid.
	Keys() []SigningKey
	// Revoke takes a key away for good, so that no token it signed verifies; if
	// tokens are signed with it, another one takes its place first. Without such
	// a key the error is [provisioning.ErrNotFound].
	Revoke(ctx context.Context, id string) error
}

// SigningKey is what is known of a signing key beside the key itself.
type SigningKey struct {
	ID        string    `json:"id" example:"eddsa-4c1x7qk2m9t3" doc:"The key's ID: kid in a token's header and in the JWKS."`
	Alg       string    `json:"alg" example:"EdDSA" doc:"How it signs (RFC 7518 §3.1)."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
	Current   bool      `json:"current" doc:"Whether new tokens are signed with it."`
}

// Inputs and outputs of the operations on signing keys.
type (
	listSigningKeysInput struct{}
	signingKeyInput      struct {
		ID string `path:"id" example:"eddsa-4c1x7qk2m9t3" doc:"The key's ID."`
	}

	signingKeyPageOutput struct{ Body Page[SigningKey] }
)

func (a *API) registerSigningKeys() {
	example := signingKeyExample()
	register(a, operation{
		id: "list-signing-keys", method: http.MethodGet, path: signingKeysPath, scope: "keys:read", tag: "signing-keys", status: http.StatusOK,
		summary: "List signing keys", description: "Lists the keys whose tokens are valid, without the keys themselves.",
		answer: Page[SigningKey]{Items: []SigningKey{example}},
	}, a.listSigningKeys)
	register(a, operation{
		id: "revoke-signing-key", method: http.MethodDelete, path: signingKeysPath + "/{id}", scope: "keys:write", tag: "signing-keys",
		status: http.StatusOK, summary: "Revoke a signing key",
		description: "Takes a signing key away for good, after another one has taken its place: every token that it signed is refused from " +
			"now on, here and at the broker, and the sessions that live on such tokens are closed. That may be the token of this request, too. " +
			"Others who verify tokens learn of it when they next read the JWKS. " +
			"If this fails half-way, POST " + revocationsPath + " with the key_id does the rest.",
		answer: Removal{receiptExample()}, problems: []problemType{notFound, tooManyRevocations},
	}, a.revokeSigningKey)
}

func (a *API) listSigningKeys(context.Context, *listSigningKeysInput) (*signingKeyPageOutput, error) {
	return &signingKeyPageOutput{Page[SigningKey]{Items: orEmpty(a.keys.Keys())}}, nil
}

// revokeSigningKey replaces the key before its tokens are refused, so that there
// is always one to get a token from. A caller that goes away does not stop it
// between the two.
func (a *API) revokeSigningKey(ctx context.Context, in *signingKeyInput) (*removalOutput, error) {
	ctx = context.WithoutCancel(ctx)
	if !slices.ContainsFunc(a.keys.Keys(), func(key SigningKey) bool { return key.ID == in.ID }) {
		return nil, noSigningKey()
	}
	callOf(ctx).target = in.ID
	err := a.keys.Revoke(ctx, in.ID)
	if errors.Is(err, provisioning.ErrNotFound) {
		return nil, noSigningKey()
	}
	if err != nil {
		return nil, err
	}
	_, receipt, err := a.service.Revoke(ctx, provisioning.NewRevocation{
		KeyID: in.ID, Reason: "signing key revoked", By: callOf(ctx).caller.ClientID,
	})
	if err != nil {
		return nil, err
	}
	return &removalOutput{Removal{ended(ctx, receipt)}}, nil
}

func noSigningKey() *Problem {
	return notFound.problem("No signing key has this ID; GET " + signingKeysPath + " lists those there are.")
}
