package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/broker"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
	"github.com/boomgate/boomgate/provisioning/issuer"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

// The steps of openProgram, in its order.

func (p *Program) openIssuer(ctx context.Context) error {
	var err error
	p.issuer, err = issuer.Open(ctx, issuer.Config{
		Issuer: p.publicURL, Store: p.store, Now: time.Now, Rand: rand.Reader, Logger: p.log, FormatAIF: topicacl.FormatAIF,
	})
	if err != nil {
		return fmt.Errorf("open the issuer: %w", err)
	}
	return nil
}

func (p *Program) openBroker(ctx context.Context) error {
	var err error
	p.broker, err = broker.Open(ctx, broker.Config{
		TCP: p.cfg.MQTT, TLS: p.cfg.MQTTS, CertFile: p.cfg.TLSCert, KeyFile: p.cfg.TLSKey,
		DataDir: filepath.Join(p.cfg.DataDir, "broker"),
		Limits:  p.cfg.brokerLimits(),
		Origins: p.cfg.WebSocketOrigins,
		Logger:  p.log,
	})
	if err != nil {
		return fmt.Errorf("open the broker (--mqtt, --mqtts): %w", err)
	}
	return p.openGate(ctx)
}

func (p *Program) openGate(ctx context.Context) error {
	verifier, err := p.gateVerifier()
	if err != nil {
		return fmt.Errorf("prepare the issuers: %w", err)
	}
	p.registry = provisioning.NewRegistry(p.store, scopeLanguage{}, time.Now)
	p.revocations, err = provisioning.OpenRevocations(ctx, p.store, time.Now)
	if err != nil {
		return fmt.Errorf("read the revocations: %w", err)
	}
	p.hook, err = authhook.New(p.broker.Server(), authhook.Config{
		Verifier:    verifier,
		Clients:     clientStatus{p.registry},
		Revocations: gateRevocations{p.revocations, p.publicURL},
		Issuers:     p.cfg.foreignIssuers(p.publicURL),
		OnDenied:    p.cfg.deniedPolicy(),
		Leeway:      p.cfg.Leeway,
		Limits:      p.cfg.clientLimits(),
		Retained:    p.broker,

		FailuresPerMinute: p.cfg.MaxFailuresPerIP,
		SerialTakeover:    true,
		Observer:          p.events.publish,
		Logger:            p.log,
		Now:               time.Now,
	})
	if err != nil {
		return fmt.Errorf("make the gate: %w", err)
	}
	return p.broker.Attach(p.hook)
}

// verifier checks tokens of this issuer for one of its own audiences.
func (p *Program) verifier(audience string) (*accesstoken.Verifier, error) {
	v, err := accesstoken.New(accesstoken.Config{
		Issuer: p.publicURL, Audience: audience, Keys: p.issuer,
		Algorithms: []string{"EdDSA"}, RequireTokenID: true, Leeway: p.cfg.Leeway, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("make the verifier for %s: %w", audience, err)
	}
	return v, nil
}

func (p *Program) openService(ctx context.Context) error {
	var err error
	p.service, err = provisioning.NewService(ctx, provisioning.Config{
		Store: p.store, Scopes: scopeLanguage{}, Revocations: p.revocations,
		Sessions: liveRights{p.hook, p.metrics}, Judge: liveRights{p.hook, p.metrics}, Retained: p.broker,
		Now: time.Now, Rand: rand.Reader, Logger: p.log,
	})
	if err != nil {
		return fmt.Errorf("open the provisioning service: %w", err)
	}
	return nil
}

func (p *Program) openHTTP(context.Context) error {
	authorities, err := readAuthorities(p.cfg.ClientCA)
	if err != nil {
		return err
	}
	tokens, err := oauth.New(oauth.Config{
		Issuer: p.publicURL, Registry: p.registry, Minter: p.issuer, JWKS: p.issuer.JWKS, Covers: topicacl.Covers, AIF: scopeLanguage{},
		Now: time.Now, Rand: rand.Reader, Logger: p.log, DefaultTTL: p.cfg.TokenTTL,
		MutualTLS: p.cfg.HTTPTLS, ClientCAs: authorities,
		Observe: p.seeToken,
	})
	if err != nil {
		return fmt.Errorf("make the token endpoint: %w", err)
	}
	verifier, err := p.verifier(provisioning.AudienceFleet)
	if err != nil {
		return err
	}
	fleet, err := fleetapi.New(fleetapi.Config{
		Service:       p.service,
		Tokens:        fleetTokens{verifier, p.registry, p.revocations},
		Sessions:      liveSessions{p.hook},
		SigningKeys:   signingKeys{p.issuer},
		Explainer:     explainer{p.hook, p.refusals},
		TokenEndpoint: p.tokenEndpoint(), MQTTURL: p.BrokerURL(),
		Logger: p.log,
	})
	if err != nil {
		return fmt.Errorf("make the fleet API: %w", err)
	}
	mux := http.NewServeMux()
	tokens.Register(mux)
	fleet.Register(mux)
	mux.Handle("GET /mqtt", p.broker.WebSocket())
	mux.Handle("GET /metrics", p.metrics.handler())
	p.registerHealth(mux)
	p.server = newHTTPServer(mux, p.log)
	return nil
}

// tokenEndpoint is the URL that clients fetch tokens from.
func (p *Program) tokenEndpoint() string { return p.publicURL + "/oauth/token" }

func (c Config) deniedPolicy() authhook.Policy {
	if c.OnDenied == "rfc9431" {
		return authhook.RFC9431
	}
	return authhook.Drop
}

func (c Config) brokerLimits() broker.Limits {
	return broker.Limits{
		MaxConnections: c.MaxConnections, MaxConnectionsPerIP: c.MaxConnectionsPerIP,
		MaxPacketSize:    uint32(c.MaxPacketSize),
		MaxQueueBytes:    int64(c.MaxQueueBytes),
		MaxSessionExpiry: c.MaxSessionExpiry,
		ConnectTimeout:   c.ConnectTimeout, WriteTimeout: c.WriteTimeout, ShutdownTimeout: c.ShutdownTimeout,
	}
}
