package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestEveryFaultOfTheConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	_, err := broker.Open(t.Context(), broker.Config{
		TCP: "nowhere", TLS: "127.0.0.1:0", Origins: []string{"example.com"},
		Limits: broker.Limits{MaxConnections: -1, ConnectTimeout: -1, MaxSessionExpiry: time.Millisecond},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"nowhere", "certificate", "example.com", "logger", "MaxConnections", "ConnectTimeout", "MaxSessionExpiry"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
}

func TestAPortInUseIsReported(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, err = broker.Open(t.Context(), broker.Config{TCP: l.Addr().String(), Logger: silent()})
	if err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Fatalf("got %v", err)
	}
}

func TestExactlyOneAuthHookIsNeeded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 2} {
		b, err := broker.Open(t.Context(), broker.Config{TCP: "127.0.0.1:0", Logger: silent()})
		must(t, err)
		for range n {
			must(t, b.Attach(&allow{}))
		}
		if err := b.Run(t.Context()); !errors.Is(err, broker.ErrAuthHooks) {
			t.Errorf("with %d hooks: %v", n, err)
		}
		must(t, b.Close())
	}
}

func TestAHookCannotBeAttachedToARunningBroker(t *testing.T) {
	t.Parallel()
	r := start(t)
	if err := r.Attach(&allow{}); !errors.Is(err, broker.ErrStarted) {
		t.Errorf("got %v", err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, broker.ErrStarted) {
		t.Errorf("second Run: %v", err)
	}
}

func TestTwoBrokersLiveInOneProcess(t *testing.T) {
	t.Parallel()
	one, two := start(t), start(t)
	a, _ := one.connect("same")
	b, _ := two.connect("same")
	a.subscribe("x", 1)
	b.publish(message("x", "for nobody", 1))
	a.ping()
}

func TestAStopTellsClientsAndEndsEverySocket(t *testing.T) {
	t.Parallel()
	r := start(t)
	silent, three := r.dial(), r.dial()
	three.connect("three")
	five, _ := r.connect("five", v5)
	r.stop()
	silent.expectEnd()
	if got := three.expectEnd(); len(got) != 0 {
		t.Errorf("a 3.1.1 client was sent %v", got)
	}
	got := five.expectEnd()
	if len(got) != 1 || got[0].FixedHeader.Type != packets.Disconnect || got[0].ReasonCode != packets.ErrServerShuttingDown.Code {
		t.Errorf("a 5 client was sent %v, want DISCONNECT 0x8B", got)
	}
	if c, err := net.Dial("tcp", r.addr()); err == nil {
		_ = c.Close()
		t.Error("the port is still open")
	}
}

func TestCloseEndsARunningBrokerAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c")
	r.dial()
	must(t, r.Close())
	must(t, r.Close())
	must(t, <-r.result)
	c.expectEnd()
}

func TestCloseWithoutRunFreesThePort(t *testing.T) {
	t.Parallel()
	r := open(t)
	must(t, r.Close())
	l, err := net.Listen("tcp", r.addr())
	must(t, err)
	must(t, l.Close())
	if err := r.Run(t.Context()); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("Run after Close: %v", err)
	}
}

func TestTheProgramPublishes(t *testing.T) {
	t.Parallel()
	r := open(t)
	if err := r.Publish(t.Context(), "a", nil, 0, false); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("before Run: %v", err)
	}
	r.run()
	c, _ := r.connect("c")
	c.subscribe("news/#", 2)
	must(t, r.Publish(t.Context(), "news/today", []byte("rain"), 1, true))
	if pk := c.expectMessage("rain"); pk.FixedHeader.Qos != 1 {
		t.Errorf("delivered with QoS %d", pk.FixedHeader.Qos)
	}
	late, _ := r.connect("late")
	late.sendSubscribe("news/#", 0)
	late.expect(packets.Suback)
	if pk := late.expectMessage("rain"); !pk.FixedHeader.Retain {
		t.Error("the retained message does not say so")
	}
	for _, bad := range []func() error{
		func() error { return r.Publish(t.Context(), "news/+", nil, 0, false) },
		func() error { return r.Publish(t.Context(), "", nil, 0, false) },
		func() error { return r.Publish(t.Context(), "a", nil, 3, false) },
	} {
		if bad() == nil {
			t.Error("a bad message was published")
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Publish(ended, "a", nil, 0, false); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	r.stop()
	if err := r.Publish(t.Context(), "a", nil, 0, false); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestAClientCannotPassForTheProgram(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, ack := r.connect("inline", kept)
	if ack.SessionPresent {
		t.Error("the client was given a session that is not its own")
	}
	c.disconnect()
	other, _ := r.connect("other")
	other.subscribe("a", 0)
	must(t, r.Publish(t.Context(), "a", []byte("x"), 0, false))
	other.expectMessage("x")
}

func TestConnackTellsTheLimits(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxPacketSize: 12_345, ReceiveMaximum: 77, MaxSessionExpiry: time.Hour}))
	_, ack := r.connect("c", v5, func(pk *packets.Packet) {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 1<<32-1, true
	})
	p := ack.Properties
	if p.MaximumPacketSize != 12_345 || p.ReceiveMaximum != 77 || p.SessionExpiryInterval != 3600 {
		t.Errorf("told %d, %d and %d", p.MaximumPacketSize, p.ReceiveMaximum, p.SessionExpiryInterval)
	}
}
