package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/provisioning"
)

// clientStatus tells the gate what the registry says of a client now.
type clientStatus struct{ registry *provisioning.Registry }

func (s clientStatus) ClientStatus(ctx context.Context, clientID string) (authhook.Status, error) {
	standing, err := s.registry.Standing(ctx, clientID)
	if err != nil {
		return authhook.Status{}, fmt.Errorf("read how client %s stands: %w", clientID, err)
	}
	c := standing.Client
	if c == nil {
		return authhook.Status{}, nil // unknown or deleted: not active
	}
	return authhook.Status{
		Active: c.Status == provisioning.StatusActive, MQTTClientIDs: c.MQTTClientIDs, Roles: c.Roles, Labels: c.Labels,
		Scopes: standing.Scopes, Limits: authhook.Limits(standing.Limits),
	}, nil
}

// gateRevocations tells the gate which of this server's own tokens are revoked.
type gateRevocations struct {
	revocations *provisioning.Revocations
	issuer      string
}

func (r gateRevocations) Revoked(token *accesstoken.Token) bool {
	return token.Issuer == r.issuer && r.revocations.Revoked(tokenFacts(token))
}

func tokenFacts(token *accesstoken.Token) provisioning.TokenFacts {
	return provisioning.TokenFacts{
		ClientID: token.ClientID, TokenID: token.ID, CredentialID: token.CredentialID, KeyID: token.KeyID, IssuedAt: token.IssuedAt,
	}
}

// liveRights lets the registry end and re-judge the gate's sessions when rights change.
type liveRights struct {
	hook    *authhook.Hook
	metrics *metrics
}

func (l liveRights) CloseSessions(_ context.Context, sel provisioning.Selection, cause string) provisioning.Receipt {
	receipt := l.hook.Revoke(gateSelection(sel), cause)
	l.metrics.seeSessionChange("closed", receipt.Took)
	return registryReceipt(receipt)
}

func (l liveRights) RejudgeSessions(_ context.Context, sel provisioning.Selection, cause string) provisioning.Receipt {
	receipt := l.hook.Rejudge(gateSelection(sel), cause)
	l.metrics.seeSessionChange("re-judged", receipt.Took)
	return registryReceipt(receipt)
}

func gateSelection(sel provisioning.Selection) authhook.Selection {
	return authhook.Selection{
		ClientID: sel.ClientID, TokenID: sel.TokenID, CredentialID: sel.CredentialID, KeyID: sel.KeyID, Role: sel.Role,
		IssuedBefore: sel.IssuedBefore,
	}
}

func registryReceipt(r authhook.Receipt) provisioning.Receipt {
	return provisioning.Receipt{
		Sessions: r.Sessions, Rejudged: r.Rejudged, Subscriptions: r.Subscriptions, Queued: r.Queued, Wills: r.Wills, Took: r.Took,
	}
}

// readAuthorities reads the certificates of tls_client_ca.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls_client_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls_client_ca: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// forgetEvery is how often revocations are forgotten that cover no token any more.
const forgetEvery = time.Hour

// forgetRevocations forgets them until ctx ends.
func (p *Program) forgetRevocations(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		if _, err := p.service.ForgetRevocations(ctx); err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "old revocations could not be forgotten; they do no harm", logError, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
