package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/broker"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/issuer"
)

// Program is a whole server as a value: opened from a Config, run until its
// context ends, closed. Several may live in one process.
type Program struct {
	cfg    Config
	log    *slog.Logger
	events *eventHub

	store       *badgerstore.Store
	service     *provisioning.Service
	registry    *provisioning.Registry
	revocations *provisioning.Revocations
	recorder    *provisioning.Recorder
	issuer      *issuer.Issuer
	broker      *broker.Broker
	hook        *authhook.Hook
	metrics     *metrics
	refusals    *refusals

	listener    net.Listener
	server      *http.Server
	publicURL   string
	rootCreated bool
	closeOnce   sync.Once
	closeErr    error
}

// openProgram validates, opens the stores and binds every socket; it serves nothing yet.
// What was opened before a failure is closed again.
func openProgram(ctx context.Context, cfg Config, log *slog.Logger) (p *Program, err error) {
	if err := joinFaults(cfg.faults()); err != nil {
		return nil, err
	}
	p = &Program{cfg: cfg, log: log, events: &eventHub{}}
	defer func() {
		if err != nil {
			_ = p.Close()
			p = nil
		}
	}()
	for _, step := range []func(context.Context) error{
		p.openStore, p.openObservers, p.listenHTTP, p.openIssuer, p.openBroker, p.openService, p.openHTTP, p.ensureRoot,
	} {
		if err := step(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Program) openStore(ctx context.Context) error {
	if err := makeDataDir(p.cfg.DataDir); err != nil {
		return err
	}
	store, err := badgerstore.Open(ctx, badgerstore.Config{Dir: filepath.Join(p.cfg.DataDir, "registry"), Logger: p.log})
	if err != nil {
		return fmt.Errorf("open the registry: %w", err)
	}
	p.store = store
	return checkClock(ctx, store, time.Now())
}

func (p *Program) listenHTTP(ctx context.Context) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", p.cfg.HTTP)
	if err != nil {
		return fmt.Errorf("http: %w%s", err, portHint(err))
	}
	p.publicURL = p.cfg.PublicURL
	if p.publicURL == "" {
		p.publicURL = scheme("http", p.cfg.HTTPTLS) + "://" + l.Addr().String()
	}
	p.listener = l
	return nil
}

func scheme(plain string, secure bool) string {
	if secure {
		return plain + "s"
	}
	return plain
}

// URL is where clients reach the HTTP listener: public_url, or the bound address.
func (p *Program) URL() string { return p.publicURL }

// BrokerURL is what a new device is told to connect to.
func (p *Program) BrokerURL() string {
	if p.cfg.BrokerURL != "" {
		return p.cfg.BrokerURL
	}
	urls := p.BrokerURLs()
	chosen := urls[len(urls)-1] // TLS where there is TLS
	u, _ := url.Parse(chosen)
	public, err := url.Parse(p.publicURL)
	if err == nil && p.cfg.PublicURL != "" {
		u.Host = net.JoinHostPort(public.Hostname(), u.Port())
	}
	return u.String()
}

// BrokerURLs lists the bound MQTT addresses, TLS last.
func (p *Program) BrokerURLs() []string {
	var urls []string
	if addr := p.broker.Addr("tcp"); addr != nil {
		urls = append(urls, "mqtt://"+addr.String())
	}
	if addr := p.broker.Addr("tls"); addr != nil {
		urls = append(urls, "mqtts://"+addr.String())
	}
	return urls
}

// RootFile is the path of the root operator's credential.
func (p *Program) RootFile() string { return filepath.Join(p.cfg.DataDir, rootFileName) }

// RootCreated reports whether this start created the root operator.
func (p *Program) RootCreated() bool { return p.rootCreated }

// Run serves until ctx ends, then stops in order: no new connections, the
// sessions are closed and kept, what was seen of the clients is written, the
// stores are closed.
func (p *Program) Run(ctx context.Context) error {
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return p.recorder.Run(recording) })
	group.Go(func() error { return p.forgetRevocations(recording) })
	group.Go(func() error {
		defer stop()
		return p.serve(ctx)
	})
	return errors.Join(group.Wait(), p.Close())
}

// serve runs the broker and the HTTP server until ctx ends and both have stopped.
func (p *Program) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.broker.Run(ctx) })
	group.Go(func() error {
		select { // a change of rights must find the sessions that it concerns
		case <-p.broker.Ready():
		case <-ctx.Done():
			return nil
		}
		err := p.serveHTTP()
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("http: %w", err)
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.ShutdownTimeout)
		defer cancel()
		if err := p.server.Shutdown(stop); err != nil {
			return p.server.Close()
		}
		return nil
	})
	return group.Wait()
}

func (p *Program) serveHTTP() error {
	if !p.cfg.HTTPTLS {
		return p.server.Serve(p.listener)
	}
	p.server.TLSConfig = p.broker.TLSConfig()
	return p.server.ServeTLS(p.listener, "", "")
}

// ready reports whether clients can be served now: the gate is open and the registry answers.
func (p *Program) ready(ctx context.Context) error {
	select {
	case <-p.broker.Ready():
	default:
		return errors.New("the broker is not ready")
	}
	_, err := p.registry.Role(ctx, provisioning.RoleFleetAdmin)
	return err
}

// Close ends everything at once; after Run it has nothing left to do.
func (p *Program) Close() error {
	p.closeOnce.Do(func() {
		var errs []error
		if p.server != nil {
			errs = append(errs, p.server.Close())
		} else if p.listener != nil {
			errs = append(errs, p.listener.Close())
		}
		if p.broker != nil {
			errs = append(errs, p.broker.Close())
		}
		if p.store != nil {
			errs = append(errs, p.store.Close())
		}
		p.closeErr = errors.Join(errs...)
	})
	return p.closeErr
}
