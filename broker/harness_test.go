package broker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// patience bounds every wait; a test that reaches it has failed.
const patience = 20 * time.Second

// allow is the smallest auth hook: it lets everybody in, and what its functions say.
type allow struct {
	mqtt.HookBase
	acl       func(cl *mqtt.Client, topic string, write bool) bool
	onPublish func(cl *mqtt.Client, pk packets.Packet)
	onEncode  func(cl *mqtt.Client, pk packets.Packet) packets.Packet
}

func (*allow) ID() string { return "allow" }

func (a *allow) Provides(event byte) bool {
	switch event {
	case mqtt.OnConnectAuthenticate, mqtt.OnACLCheck:
		return true
	case mqtt.OnPublish:
		return a.onPublish != nil
	case mqtt.OnPacketEncode:
		return a.onEncode != nil
	default:
		return false
	}
}

func (*allow) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (a *allow) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	return a.acl == nil || a.acl(cl, topic, write)
}

func (a *allow) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	a.onPublish(cl, pk)
	return pk, nil
}

func (a *allow) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	return a.onEncode(cl, pk)
}

// running is a broker that runs until its test ends.
type running struct {
	*broker.Broker
	tb     testing.TB
	log    *logBuffer
	cancel context.CancelFunc
	result chan error
}

type setup struct {
	broker.Config
	hook *allow
}

// start runs a broker on a free TCP port.
func start(tb testing.TB, options ...func(*setup)) *running {
	tb.Helper()
	r := open(tb, options...)
	r.run()
	return r
}

// open opens a broker with the allow hook attached, and closes it with the test.
func open(tb testing.TB, options ...func(*setup)) *running {
	tb.Helper()
	log := &logBuffer{}
	s := setup{hook: &allow{}}
	s.TCP = "127.0.0.1:0"
	s.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, option := range options {
		option(&s)
	}
	b, err := broker.Open(tb.Context(), s.Config)
	must(tb, err)
	must(tb, b.Attach(s.hook))
	r := &running{Broker: b, tb: tb, log: log, cancel: func() {}, result: make(chan error, 1)}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return r
}

func (r *running) run() {
	r.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.tb.Cleanup(cancel)
	go func() { r.result <- r.Run(ctx) }()
	select {
	case <-r.Ready():
	case err := <-r.result:
		r.tb.Fatalf("run: %v", err)
	case <-time.After(patience):
		r.tb.Fatal("the broker does not become ready")
	}
}

// stop ends Run in order.
func (r *running) stop() {
	r.tb.Helper()
	r.cancel()
	select {
	case err := <-r.result:
		must(r.tb, err)
	case <-time.After(patience):
		r.tb.Fatal("the broker does not stop")
	}
	must(r.tb, r.Close())
}

func (r *running) addr() string { return r.Addr("tcp").String() }

func dataDir(dir string) func(*setup) { return func(s *setup) { s.DataDir = dir } }

func limits(l broker.Limits) func(*setup) { return func(s *setup) { s.Limits = l } }
