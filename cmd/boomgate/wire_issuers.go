package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/provisioning"
)

// gateVerifier checks the tokens that the gate takes: this server's own and those of the other issuers of the configuration.
func (p *Program) gateVerifier() (authhook.TokenVerifier, error) {
	own, err := p.verifier(provisioning.AudienceMQTT)
	if err != nil || len(p.cfg.Issuers) == 0 {
		return own, err
	}
	verifiers := []*accesstoken.Verifier{own}
	var faults []error
	for _, issuer := range p.cfg.Issuers {
		v, err := p.foreignVerifier(issuer)
		if err != nil {
			faults = append(faults, fmt.Errorf("issuer %s: %w", issuer.Name, err))
			continue
		}
		verifiers = append(verifiers, v)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return accesstoken.NewIssuers(verifiers...)
}

func (p *Program) foreignVerifier(issuer IssuerConfig) (*accesstoken.Verifier, error) {
	keys, err := p.foreignKeys(issuer)
	if err != nil {
		return nil, err
	}
	algorithms := issuer.Algorithms
	if len(algorithms) == 0 {
		algorithms = signatureAlgorithms
	}
	return accesstoken.New(accesstoken.Config{
		Issuer: issuer.Issuer, Audience: issuer.Audience, Keys: keys, Algorithms: algorithms, Types: issuer.Types,
		ClientIDClaim: issuer.ClientIDClaim, RequiredClaims: issuer.RequiredClaims, Leeway: p.cfg.Leeway,
	})
}

func (p *Program) foreignKeys(issuer IssuerConfig) (accesstoken.KeySet, error) {
	if issuer.JWKSURL != "" {
		return accesstoken.NewRemoteKeys(accesstoken.RemoteConfig{URL: issuer.JWKSURL, Logger: p.log})
	}
	set, err := os.ReadFile(issuer.JWKSFile)
	if err != nil {
		return nil, fmt.Errorf("jwks_file: %w", err)
	}
	keys, err := accesstoken.ParseJWKS(set)
	if err != nil {
		return nil, fmt.Errorf("jwks_file %s: %w", issuer.JWKSFile, err)
	}
	return keys, nil
}

// foreignIssuers says what the tokens of other issuers mean at the gate.
func (c Config) foreignIssuers(self string) map[string]authhook.Issuer {
	if len(c.Issuers) == 0 {
		return nil
	}
	issuers := map[string]authhook.Issuer{self: {}}
	for _, issuer := range c.Issuers {
		issuers[issuer.Issuer] = authhook.Issuer{
			Name: issuer.Name, Scopes: issuer.Scopes, MQTTClientIDs: issuer.MQTTClientIDs, Limits: c.clientLimits(),
		}
	}
	return issuers
}

// clientLimits are those of a client whose roles set none.
func (c Config) clientLimits() authhook.Limits {
	return authhook.Limits{
		Sessions: c.ClientSessions, ConnectsPerMinute: c.ClientConnectsPerMinute, MessagesPerSecond: c.ClientMessagesPerSecond,
		BytesPerSecond: c.ClientBytesPerSecond, Subscriptions: c.MaxSubscriptions, Retained: c.ClientRetained, PayloadBytes: c.ClientPayloadBytes,
	}
}
