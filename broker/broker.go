package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/time/rate"
)

var (
	// ErrAuthHooks says that not exactly one attached hook decides who may
	// connect and what they may do. mochi asks several hooks until one of them
	// agrees, so a second one could only widen what the first refused.
	ErrAuthHooks = errors.New("exactly one hook that authenticates and authorizes must be attached to the broker")
	// ErrStarted says that the broker runs or has run already.
	ErrStarted = errors.New("the broker has been started already")
	// ErrNotRunning says that the broker does not run yet, or not any more.
	ErrNotRunning = errors.New("the broker is not running")
)

// reportEvery is how often a condition that many clients may cause is logged.
const reportEvery = 10 * time.Second

// Broker is an MQTT server as a value: opened, run until its context ends, closed.
type Broker struct {
	cfg       Config
	limits    Limits
	log       *slog.Logger
	server    *mqtt.Server
	tls       *tls.Config // nil without certificate files
	listeners map[string]net.Listener

	gate     *gate
	serving  *serving
	live     *live
	peers    peers
	sessions sessions
	keeper   *keeper
	upkeep   *upkeep

	refused, dropped rate.Sometimes // what may be logged of them

	mu       sync.Mutex
	attached []mqtt.Hook
	started  bool
	closing  chan struct{} // closed by Close
	ready    chan struct{}
	stopped  chan struct{} // closed when Run has returned
	ended    sync.Once
	endErr   error
}

// Open validates the configuration, opens the session store and binds the
// sockets; nothing is accepted before Run. Every fault of the configuration is
// named in the error.
func Open(ctx context.Context, cfg Config) (_ *Broker, err error) {
	if err := cfg.faults(); err != nil {
		return nil, fmt.Errorf("broker configuration: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	limits := cfg.Limits.withDefaults()
	server := newServer(limits, cfg.Logger)
	b := &Broker{
		cfg: cfg, limits: limits, log: cfg.Logger,
		server:    server,
		listeners: map[string]net.Listener{},
		gate:      newGate(limits), serving: newServing(), live: newLive(),
		sessions: sessions{limit: limits.MaxQueueBytes},
		keeper:   newKeeper(server, cfg.Now),
		refused:  rate.Sometimes{Interval: reportEvery},
		dropped:  rate.Sometimes{Interval: reportEvery},
		closing:  make(chan struct{}), ready: make(chan struct{}), stopped: make(chan struct{}),
	}
	b.upkeep = &upkeep{broker: b, full: rate.Sometimes{Interval: reportEvery}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if err := b.addHook(&intake{broker: b}); err != nil {
		return nil, err
	}
	if cfg.CertFile != "" {
		cert, err := loadCertificate(cfg, limits.CertificateCheck)
		if err != nil {
			return nil, err
		}
		b.tls = cert.config()
	}
	if cfg.DataDir != "" {
		if b.keeper.store, err = openStore(cfg.DataDir, cfg.Logger); err != nil {
			return nil, err
		}
	}
	if err := b.bind(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Server is the mochi server inside, for building the hook that is attached.
func (b *Broker) Server() *mqtt.Server { return b.server }

// Attach adds a hook. All hooks are attached before Run; the broker's own come
// after them and see what they have decided. It sees a message when it is
// written to its client, which may be long after mochi has queued it.
func (b *Broker) Attach(hook mqtt.Hook) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started {
		return ErrStarted
	}
	if err := b.addHook(hook); err != nil {
		return err
	}
	b.attached = append(b.attached, hook)
	return nil
}

func (b *Broker) addHook(hook mqtt.Hook) error {
	if err := b.server.AddHook(hook, nil); err != nil {
		return fmt.Errorf("attach hook %s: %w", hook.ID(), err)
	}
	return nil
}

// Addr is the bound address of the listener "tcp" or "tls"; nil if there is none.
func (b *Broker) Addr(name string) net.Addr {
	if l := b.listeners[name]; l != nil {
		return l.Addr()
	}
	return nil
}

// TLSConfig serves the certificate of the configuration, renewed as its files
// change, to any listener of the program; nil without certificate files.
func (b *Broker) TLSConfig() *tls.Config { return b.tls.Clone() }

// Ready is closed when clients are being accepted.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// Publish gives the program's own message to all subscribers; no grant is asked
// for it, but the subscribers' grants hold. qos bounds the quality of its
// delivery. It may be called concurrently, while the broker runs.
func (b *Broker) Publish(ctx context.Context, topic string, payload []byte, qos byte, retain bool) error {
	if !b.accepting() {
		return ErrNotRunning
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if qos > 2 {
		return fmt.Errorf("publish: %w", packets.ErrProtocolViolationQosOutOfRange)
	}
	if err := b.server.Publish(topic, payload, retain, qos); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// accepting reports whether clients are being accepted.
func (b *Broker) accepting() bool {
	select {
	case <-b.ready:
		return b.serving.open()
	default:
		return false
	}
}

// Run serves until ctx ends, stops in order and returns nil: no new
// connections; every client is told (MQTT 5) and closed, its will published;
// then the sessions are put away. It can be called once.
func (b *Broker) Run(ctx context.Context) error {
	if err := b.start(); err != nil {
		return err
	}
	defer close(b.stopped)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	for name, listener := range b.listeners {
		group.Go(func() { b.accept(work, name, listener) })
	}
	group.Go(func() { b.upkeep.run(work) })
	close(b.ready)
	select {
	case <-ctx.Done():
	case <-b.closing:
	}
	cancel()
	err := b.end()
	group.Wait()
	return err
}

// start checks the hooks and loads what was kept. Clients are accepted only
// after it, so that the attached hooks have judged the restored sessions by then.
func (b *Broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closing:
		return ErrNotRunning
	default:
	}
	if b.started {
		return ErrStarted
	}
	if n := countAuth(b.attached); n != 1 {
		return fmt.Errorf("%w: there are %d", ErrAuthHooks, n)
	}
	for _, own := range []mqtt.Hook{&hook{broker: b}, b.keeper} {
		if err := b.addHook(own); err != nil {
			return err
		}
	}
	if err := b.restore(); err != nil {
		return err
	}
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	b.prune()
	b.started = true
	return nil
}

// countAuth counts the hooks whose agreement lets a client in or a packet through.
func countAuth(hooks []mqtt.Hook) int {
	n := 0
	for _, h := range hooks {
		if h.Provides(mqtt.OnConnectAuthenticate) || h.Provides(mqtt.OnACLCheck) {
			n++
		}
	}
	return n
}

// allHooks are the hooks that see events, in the order in which mochi calls them.
func (b *Broker) allHooks() []mqtt.Hook {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(append([]mqtt.Hook{}, b.attached...), &hook{broker: b}, b.keeper)
}

// Close ends everything at once and waits for Run to return, if it runs. It may
// be called more than once, and without Run.
func (b *Broker) Close() error {
	b.mu.Lock()
	select {
	case <-b.closing:
	default:
		close(b.closing)
	}
	started := b.started
	b.mu.Unlock()
	if started {
		<-b.stopped
	}
	return b.end()
}

// end stops in order, once.
func (b *Broker) end() error {
	b.ended.Do(func() { b.endErr = b.shutdown() })
	return b.endErr
}

func (b *Broker) shutdown() error {
	for _, l := range b.listeners {
		_ = l.Close()
	}
	patience, cancel := context.WithTimeout(context.Background(), b.limits.ShutdownTimeout)
	defer cancel()
	for _, p := range b.serving.stop() {
		if p.established.Load() {
			p.kick(packets.ErrServerShuttingDown)
		} else {
			p.conn.abort()
		}
	}
	select {
	case <-b.serving.idle:
	case <-patience.Done():
		b.log.Warn("connections do not end; the broker stops without them", keySessions, len(b.serving.stop()))
	}
	// mochi waits for its clients without a bound; a hook that hangs must not hang the stop.
	closed := make(chan error, 1)
	go func() { closed <- b.server.Close() }()
	var err error
	select {
	case err = <-closed:
	case <-patience.Done():
	}
	if b.keeper.store != nil {
		err = errors.Join(err, b.keeper.store.close())
	}
	return err
}
