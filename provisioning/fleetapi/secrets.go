package fleetapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/boomgate/boomgate/provisioning"
)

// retireSecretInput names a secret of a client.
type retireSecretInput struct {
	ID       string `path:"id" example:"sensor-b2-017" doc:"The client ID."`
	SecretID string `path:"secret_id" example:"secret-4c1x7qk2m9t3" doc:"The secret's ID."`
	IfMatch  string `header:"If-Match" maxLength:"64" example:"\"3\"" doc:"The ETag that the record must have; absent for any."`
}

func (c clients) registerSecrets(example clientExamples) {
	register(c.API, operation{
		id: "retire-" + c.singular + "-secret", method: http.MethodDelete, path: c.path() + "/{id}/secrets/{secret_id}",
		scope: c.write, tag: c.plural, status: http.StatusOK,
		summary: "Retire a secret of " + c.article + " " + c.singular,
		description: "Ends one secret at once: it gets no token any more, the tokens that were got with it are revoked, and the sessions " +
			"that live on those are closed. Other secrets stay. Without any secret the " + c.singular +
			" is locked out until it gets a new one.",
		answer:   ClientChange{example.retired, receiptExample()},
		problems: []problemType{badRequest, notFound, conflict, lastOperator, tooManyRevocations, versionMismatch},
	}, c.retireSecret)
}

func (c clients) retireSecret(ctx context.Context, in *retireSecretInput) (*clientChangeOutput, error) {
	before, err := c.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	version, err := expectedVersion(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(before.Secrets, func(s provisioning.Secret) bool { return s.ID == in.SecretID }) {
		return nil, c.noSecret()
	}
	client, receipt, err := c.service.RetireSecret(ctx, in.ID, in.SecretID, version)
	if errors.Is(err, provisioning.ErrNotFound) {
		return nil, c.noSecret()
	}
	if err != nil {
		return nil, c.checkVersion(ctx, err, in.ID, version)
	}
	return &clientChangeOutput{etag(client.Version), ClientChange{clientOf(client), ended(ctx, receipt)}}, nil
}

func (c clients) noSecret() *Problem {
	return notFound.problem("The " + c.singular + " has no secret with this ID; its record lists those there are.")
}
