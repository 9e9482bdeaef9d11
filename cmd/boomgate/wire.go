package main

import (
	"context"
	"crypto/rand"
	"errors"
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
	p.issuer, err = issuer.Open(ctx, issuer.Config{Issuer: p.publicURL, Store: p.store, Now: time.Now, Rand: rand.Reader, Logger: p.log})
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
	verifier, err := p.verifier(provisioning.AudienceMQTT)
	if err != nil {
		return err
	}
	p.registry = provisioning.NewRegistry(p.store, scopeLanguage{}, time.Now)
	p.hook, err = authhook.New(p.broker.Server(), authhook.Config{
		Verifier:         verifier,
		Clients:          clientStatus{p.registry},
		OnDenied:         p.cfg.deniedPolicy(),
		Leeway:           p.cfg.Leeway,
		MaxSubscriptions: p.cfg.MaxSubscriptions,
		Observer:         p.events.publish,
		Logger:           p.log,
		Now:              time.Now,
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
		Algorithms: []string{"EdDSA"}, Leeway: p.cfg.Leeway, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("make the verifier for %s: %w", audience, err)
	}
	return v, nil
}

func (p *Program) openService(ctx context.Context) error {
	var err error
	p.service, err = provisioning.NewService(ctx, provisioning.Config{
		Store: p.store, Scopes: scopeLanguage{}, Sessions: sessionCloser{p.hook},
		Now: time.Now, Rand: rand.Reader, Logger: p.log,
	})
	if err != nil {
		return fmt.Errorf("open the provisioning service: %w", err)
	}
	return nil
}

func (p *Program) openHTTP(context.Context) error {
	tokens, err := oauth.New(oauth.Config{
		Issuer: p.publicURL, Registry: p.registry, Minter: p.issuer, JWKS: p.issuer.JWKS, Covers: topicacl.Covers,
		Now: time.Now, Rand: rand.Reader, Logger: p.log, DefaultTTL: p.cfg.TokenTTL,
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
		Tokens:        fleetTokens{verifier, p.registry},
		Sessions:      liveSessions{p.hook},
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
	p.registerHealth(mux)
	p.server = newHTTPServer(mux, p.log)
	return nil
}

// tokenEndpoint is the URL that clients fetch tokens from.
func (p *Program) tokenEndpoint() string { return p.publicURL + "/oauth/token" }

func (c Config) deniedPolicy() authhook.Policy {
	if c.OnDenied == "disconnect" {
		return authhook.Disconnect
	}
	return authhook.Drop
}

func (c Config) brokerLimits() broker.Limits {
	return broker.Limits{
		MaxConnections: c.MaxConnections, MaxConnectionsPerIP: c.MaxConnectionsPerIP,
		MaxPacketSize:    uint32(c.MaxPacketSize),
		MaxSessionExpiry: c.MaxSessionExpiry,
		ConnectTimeout:   c.ConnectTimeout, WriteTimeout: c.WriteTimeout, ShutdownTimeout: c.ShutdownTimeout,
	}
}

// clientStatus tells the gate what the registry says of a client now.
type clientStatus struct{ registry *provisioning.Registry }

func (s clientStatus) ClientStatus(ctx context.Context, clientID string) (authhook.Status, error) {
	c, err := s.registry.Client(ctx, clientID)
	if errors.Is(err, provisioning.ErrNotFound) {
		return authhook.Status{}, nil // deleted: not active
	} else if err != nil {
		return authhook.Status{}, fmt.Errorf("read client %s: %w", clientID, err)
	}
	scopes, err := s.registry.Scopes(ctx, c, provisioning.AudienceMQTT)
	if err != nil {
		return authhook.Status{}, fmt.Errorf("read the grants of client %s: %w", clientID, err)
	}
	return authhook.Status{Active: c.Status == provisioning.StatusActive, MQTTClientIDs: c.MQTTClientIDs, Scopes: scopes}, nil
}

// sessionCloser lets the registry end the sessions of a client that lost its rights.
type sessionCloser struct{ hook *authhook.Hook }

func (s sessionCloser) CloseSessions(_ context.Context, clientID, cause string) provisioning.Receipt {
	return provisioning.Receipt(s.hook.CloseClient(clientID, cause))
}
