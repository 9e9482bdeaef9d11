package authhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// Hook is the gate of one mochi server. Its own methods may be called concurrently; the methods that mochi.Hook demands are for the
// server alone.
type Hook struct {
	mqtt.HookBase

	server *mqtt.Server
	cfg    Config
	log    *slog.Logger
	own    Issuer            // that whose clients ClientStatus knows
	others map[string]Issuer // by name
	live   registry
	slots  chan struct{} // one for each CONNECT or renewal that is being checked
	clock  coarseClock
	meters *meters
	fails  *failures
	ctx    context.Context
	cancel context.CancelFunc
}

// New returns a hook for this server, to be added with server.AddHook(hook, nil) before it serves. Every fault of the configuration
// is named in the error.
func New(server *mqtt.Server, cfg Config) (*Hook, error) {
	if err := errors.Join(faults(server, cfg)...); err != nil {
		return nil, fmt.Errorf("authhook: %w", err)
	}
	system := cfg.Now == nil
	if system {
		cfg.Now = time.Now
	}
	cfg.VerifyTimeout = cmp.Or(cfg.VerifyTimeout, defaultVerifyTimeout)
	cfg.CloseGrace = cmp.Or(cfg.CloseGrace, defaultCloseGrace)
	cfg.Limits.Subscriptions = cmp.Or(cfg.Limits.Subscriptions, defaultSubscriptions)
	h := &Hook{
		server: server, cfg: cfg, log: cmp.Or(cfg.Logger, server.Log),
		others: make(map[string]Issuer, len(cfg.Issuers)), live: newRegistry(), slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		meters: newMeters(), fails: newFailures(cmp.Or(cfg.FailuresPerMinute, defaultFailuresPerMinute)),
	}
	h.clock.exact, h.clock.system = cfg.Now, system
	for _, issuer := range cfg.Issuers {
		if issuer.Name == "" {
			h.own = issuer
		} else {
			h.others[issuer.Name] = issuer
		}
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// ID returns the name of the hook.
func (h *Hook) ID() string { return "boomgate-authhook" }

// Provides says which of the methods of mochi.Hook do something.
func (h *Hook) Provides(method byte) bool {
	switch method {
	case mqtt.OnStarted, mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished,
		mqtt.OnACLCheck, mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPacketSent, mqtt.OnPublish, mqtt.OnSubscribe,
		mqtt.OnSubscribed, mqtt.OnSelectSubscribers, mqtt.OnWill, mqtt.OnWillSent, mqtt.OnDisconnect, mqtt.OnClientExpired:
		return true
	default:
		return false
	}
}

// errOtherServer is what a server says that is given another server's hook.
var errOtherServer = errors.New("authhook: the hook was made for another server")

// Init is called by the server when the hook is added.
func (h *Hook) Init(any) error {
	if h.Opts == nil || h.Opts.Capabilities != h.server.Options.Capabilities {
		return errOtherServer
	}
	return nil
}

// Stop is called by the server when it closes. Checks that are still under way end with a refusal.
func (h *Hook) Stop() error {
	h.cancel()
	return nil
}

// Sessions lists the connected sessions, ordered by MQTT client ID.
func (h *Hook) Sessions() []Session {
	connected := h.live.connected()
	views := make([]Session, 0, len(connected))
	for _, s := range connected {
		views = append(views, s.view())
	}
	return views
}
