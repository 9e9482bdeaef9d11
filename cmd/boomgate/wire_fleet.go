package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
	"github.com/boomgate/boomgate/provisioning/issuer"
)

// fleetTokens tells the fleet API who calls: a token that verifies, is not revoked and, if it is bound to a certificate, comes with
// it (RFC 8705 §3), of a client that is active now.
type fleetTokens struct {
	verifier    *accesstoken.Verifier
	registry    *provisioning.Registry
	revocations *provisioning.Revocations
}

func (t fleetTokens) Authenticate(ctx context.Context, bearer string, peer *x509.Certificate) (fleetapi.Caller, error) {
	token, err := t.verifier.Verify(ctx, bearer)
	switch {
	case errors.Is(err, accesstoken.ErrKeysUnavailable):
		return fleetapi.Caller{}, fmt.Errorf("verify a token: %w", err)
	case err != nil:
		return fleetapi.Caller{}, fmt.Errorf("%w: %s", provisioning.ErrUnauthenticated, accesstoken.Rule(err))
	case token.Thumbprint != "" && (peer == nil || token.Thumbprint != provisioning.Thumbprint(peer)):
		return fleetapi.Caller{}, fmt.Errorf("%w: the token is bound to another certificate", provisioning.ErrUnauthenticated)
	case t.revocations.Revoked(tokenFacts(token)):
		return fleetapi.Caller{}, fmt.Errorf("%w: the token is revoked", provisioning.ErrUnauthenticated)
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
			TokenID: s.TokenID, Renewals: s.Renewals, Refused: int(s.Refused),
		})
	}
	return found, nil
}

func (l liveSessions) CloseSession(_ context.Context, id string) (provisioning.Receipt, error) {
	receipt, found := l.hook.Close(id, "closed by an operator")
	if !found {
		return provisioning.Receipt{}, provisioning.ErrNotFound
	}
	return registryReceipt(receipt), nil
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

// signingKeys lets the fleet API see and revoke the issuer's keys.
type signingKeys struct{ issuer *issuer.Issuer }

func (k signingKeys) Keys() []fleetapi.SigningKey {
	infos := k.issuer.Keys()
	keys := make([]fleetapi.SigningKey, len(infos))
	for i, info := range infos {
		keys[i] = fleetapi.SigningKey{ID: info.ID, Alg: info.Alg, CreatedAt: info.CreatedAt, Current: info.Current}
	}
	return keys
}

func (k signingKeys) Revoke(ctx context.Context, id string) error {
	err := k.issuer.Revoke(ctx, id)
	if errors.Is(err, issuer.ErrUnknownKey) {
		return provisioning.ErrNotFound
	}
	return err
}
