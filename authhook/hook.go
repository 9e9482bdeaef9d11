package authhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// TokenVerifier verifies the text of an access token. *accesstoken.Verifier is one.
//
// Verify may be called concurrently. It must not return a token without ClientID and ExpiresAt, and no part of the text may appear
// in its error. An error that names a rule of accesstoken refuses the token; any other error refuses it as well.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (*accesstoken.Token, error)
}

// ClientStatus knows how a client stands at this moment.
//
// ClientStatus may be called concurrently, also while messages are delivered, so it should answer from memory or a local store. A
// client that is unknown, disabled or deleted is a zero Status, not an error. An error means that it cannot be told: connections are
// then refused as if the server were unavailable, and nothing that exists is taken away.
type ClientStatus interface {
	ClientStatus(ctx context.Context, clientID string) (Status, error)
}

// Status is what the hook asks of a client beside its token.
type Status struct {
	// Active says whether the client may connect at all.
	Active bool
	// MQTTClientIDs are patterns for the MQTT client IDs that the client may use, in which '*' stands for any characters. If there
	// is none, they are its own ID, and its own ID followed by ':' and a suffix.
	MQTTClientIDs []string
	// Scopes are the topic scopes that the client holds now, with nothing left to expand. They judge its sessions that were restored
	// from a store, until it connects with a token.
	Scopes []string
}

// Policy says what happens to a client that publishes what it may not, where MQTT has no answer for it: at QoS 0, and in MQTT 3.1.1
// at any QoS. MQTT 5.0 at QoS 1 and 2 always answers with reason code 0x87.
type Policy int

const (
	// Drop acknowledges the message as the protocol demands and forwards it to nobody.
	Drop Policy = iota
	// Disconnect closes the connection, in MQTT 5.0 with reason code 0x87 (RFC 9431 §3.1).
	Disconnect
)

// Config says how a Hook decides. Only Verifier is required.
type Config struct {
	Verifier TokenVerifier
	// Clients may be nil: then every client that the issuer gives a token is active, with the default MQTT client IDs.
	Clients ClientStatus
	// OnDenied applies to publishing.
	OnDenied Policy
	// Leeway is how long after its token's expiry a session may live on, so that sessions with tokens of one age do not all end at
	// once: each ends at a moment of its own in the second half of the leeway. It should not exceed the verifier's. Zero ends
	// sessions exactly at the expiry.
	Leeway time.Duration
	// VerifyTimeout bounds all checks of one CONNECT together, waiting for a free slot included; zero is 5 seconds. As many CONNECTs
	// are checked at once as the machine has processors.
	VerifyTimeout time.Duration
	// MaxSubscriptions bounds the subscriptions of one session; zero is 1000.
	MaxSubscriptions int
	// CloseGrace is how long an MQTT 5.0 client that is being closed has to take its DISCONNECT and to close the connection itself;
	// zero is 75 ms. If the server closed it first, with something of the client's still unread, TCP would reset it and the
	// DISCONNECT might be lost. From the first moment nothing else goes in or out.
	CloseGrace time.Duration
	// Observer is told of every decision, on the goroutine that made it: it must not block, and is called concurrently. It may be nil.
	Observer func(Event)
	// Logger is the server's own if nil.
	Logger *slog.Logger
	// Now is time.Now if nil.
	Now func() time.Time
}

// Receipt says what closing sessions took away.
type Receipt struct {
	// Sessions counts connected sessions and stored ones.
	Sessions int
	// Subscriptions counts the subscriptions that these sessions had.
	Subscriptions int
	// Queued counts the messages that waited for these sessions.
	Queued int
}

// Hook is the gate of one mochi server. Its own methods may be called concurrently; the methods that mochi.Hook demands are for the
// server alone.
type Hook struct {
	mqtt.HookBase

	server *mqtt.Server
	cfg    Config
	log    *slog.Logger
	live   registry
	stored sync.Map      // *mqtt.Client -> *session, for the sessions that were restored from a store
	slots  chan struct{} // one for each CONNECT that is being checked
	ctx    context.Context
	cancel context.CancelFunc
}

// Defaults of Config.
const (
	defaultVerifyTimeout    = 5 * time.Second
	defaultMaxSubscriptions = 1000
	defaultCloseGrace       = 75 * time.Millisecond
)

// New returns a hook for this server, to be added with server.AddHook(hook, nil) before it serves. Every fault of the configuration
// is named in the error.
func New(server *mqtt.Server, cfg Config) (*Hook, error) {
	if err := errors.Join(faults(server, cfg)...); err != nil {
		return nil, fmt.Errorf("authhook: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.VerifyTimeout = cmp.Or(cfg.VerifyTimeout, defaultVerifyTimeout)
	cfg.MaxSubscriptions = cmp.Or(cfg.MaxSubscriptions, defaultMaxSubscriptions)
	cfg.CloseGrace = cmp.Or(cfg.CloseGrace, defaultCloseGrace)
	h := &Hook{
		server: server, cfg: cfg, log: cmp.Or(cfg.Logger, server.Log),
		live:  registry{byClient: make(map[string]map[*session]struct{}), byMQTTID: make(map[string][]*session)},
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

func faults(server *mqtt.Server, cfg Config) []error {
	var found []error
	fault := func(wrong bool, text string) {
		if wrong {
			found = append(found, errors.New(text))
		}
	}
	fault(server == nil, "server is missing")
	fault(cfg.Verifier == nil, "config: Verifier is missing")
	fault(cfg.OnDenied != Drop && cfg.OnDenied != Disconnect, "config: OnDenied is neither Drop nor Disconnect")
	fault(cfg.Leeway < 0, "config: Leeway is negative")
	fault(cfg.VerifyTimeout < 0, "config: VerifyTimeout is negative")
	fault(cfg.CloseGrace < 0, "config: CloseGrace is negative")
	fault(cfg.MaxSubscriptions < 0, "config: MaxSubscriptions is negative")
	return found
}

// ID returns the name of the hook.
func (h *Hook) ID() string { return "boomgate-authhook" }

// Provides says which of the methods of mochi.Hook do something.
func (h *Hook) Provides(method byte) bool {
	switch method {
	case mqtt.OnStarted, mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablish, mqtt.OnACLCheck,
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPacketSent, mqtt.OnPublish, mqtt.OnSubscribe,
		mqtt.OnSubscribed, mqtt.OnSelectSubscribers, mqtt.OnWill, mqtt.OnClientExpired:
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
