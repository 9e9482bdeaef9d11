package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// fleetTokens tells the fleet API who calls: a token that verifies, of a client that is active now.
type fleetTokens struct {
	verifier *accesstoken.Verifier
	registry *provisioning.Registry
}

func (t fleetTokens) Authenticate(ctx context.Context, bearer string) (fleetapi.Caller, error) {
	token, err := t.verifier.Verify(ctx, bearer)
	switch {
	case errors.Is(err, accesstoken.ErrKeysUnavailable):
		return fleetapi.Caller{}, fmt.Errorf("verify a token: %w", err)
	case err != nil:
		return fleetapi.Caller{}, fmt.Errorf("%w: %s", provisioning.ErrUnauthenticated, accesstoken.Rule(err))
	}
	client, err := t.registry.Client(ctx, token.ClientID)
	switch {
	case errors.Is(err, provisioning.ErrNotFound):
		return fleetapi.Caller{}, fmt.Errorf("%w: the client was deleted", provisioning.ErrUnauthenticated)
	case err != nil:
		return fleetapi.Caller{}, fmt.Errorf("read the caller: %w", err)
	case client.Status != provisioning.StatusActive:
		return fleetapi.Caller{}, fmt.Errorf("%w: the client is disabled", provisioning.ErrUnauthenticated)
	}
	return fleetapi.Caller{ClientID: token.ClientID, Scopes: token.Scopes}, nil
}

// liveSessions shows the gate's sessions to the fleet API.
type liveSessions struct{ hook *authhook.Hook }

func (l liveSessions) Sessions(_ context.Context, q fleetapi.SessionQuery) ([]fleetapi.Session, error) {
	var found []fleetapi.Session
	for _, s := range l.hook.Sessions() {
		if q.ID != "" && q.ID != s.MQTTClientID || q.ClientID != "" && q.ClientID != s.ClientID {
			continue
		}
		found = append(found, fleetapi.Session{
			ID: s.MQTTClientID, ClientID: s.ClientID, Remote: s.Remote, Protocol: protocolName(s.ProtocolVersion),
			Listener: s.Listener, ConnectedAt: s.ConnectedAt, ExpiresAt: s.ExpiresAt, Subscriptions: s.Subscriptions,
		})
	}
	return found, nil
}

func (l liveSessions) CloseSession(_ context.Context, id string) (provisioning.Receipt, error) {
	receipt, found := l.hook.Close(id, "closed by an operator")
	if !found {
		return provisioning.Receipt{}, provisioning.ErrNotFound
	}
	return provisioning.Receipt(receipt), nil
}

func protocolName(level byte) string {
	switch level {
	case 3:
		return "3.1"
	case 4:
		return "3.1.1"
	default:
		return "5"
	}
}
