package authhook_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// A bubble is a mochi server with the hook whose time is the test's, in a synctest bubble.
type bubble struct {
	server *mqtt.Server
	hook   *authhook.Hook
	events *recorder
	clock  *clock
}

// inBubble runs a test in a synctest bubble.
func inBubble(t *testing.T, leeway time.Duration, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		logger := slog.New(slog.DiscardHandler)
		b := &bubble{server: mqtt.New(&mqtt.Options{Logger: logger}), events: newRecorder(), clock: &clock{}}
		hook, err := authhook.New(b.server, authhook.Config{
			Verifier: newVerifier(t, b.clock.Now), Leeway: leeway, Observer: b.events.add, Now: b.clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.hook = hook
		if err := b.server.AddHook(hook, nil); err != nil {
			t.Fatal(err)
		}
		if err := b.server.Serve(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.server.Close() }()
		test(t, b)
	})
}

// enter connects a client over a pipe that takes nothing which is not read. Its keepalive is off.
func (b *bubble) enter(t *testing.T, version byte, id, token string, change ...func(*packets.Packet)) *wire {
	t.Helper()
	client, server := net.Pipe()
	go func() { _ = b.server.EstablishConnection("pipe", server) }()
	w := newWire(t, client, version)
	w.send(t, connectPacket(version, id, token, append(change, func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })...))
	if ack := w.expect(t, packets.Connack); ack.ReasonCode != 0 {
		t.Fatalf("CONNACK 0x%02x", ack.ReasonCode)
	}
	_ = client.SetReadDeadline(time.Time{})
	return w
}

// untilDisconnected returns how long it takes until the server ends the connection, and its reason code.
func (w *wire) untilDisconnected(t *testing.T) (time.Duration, byte) {
	t.Helper()
	defer func() { _ = w.conn.Close() }()
	start := time.Now()
	buf := make([]byte, 64)
	n, err := w.conn.Read(buf)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	code := byte(0)
	if n > 2 && buf[0] == packets.Disconnect<<4 {
		code = buf[2]
	}
	return time.Since(start), code
}

func TestS5_ASessionEndsWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		for _, leeway := range []time.Duration{0, time.Minute} {
			t.Run(fmt.Sprintf("version %d, leeway %s", version, leeway), func(t *testing.T) {
				t.Parallel()
				inBubble(t, leeway, func(t *testing.T, b *bubble) {
					w := b.enter(t, version, "sensor-1", signToken(t, time.Now(), "sensor-1", nil))
					lived, code := w.untilDisconnected(t)
					if version == 5 && code != 0xa0 {
						t.Errorf("DISCONNECT 0x%02x, want 0xa0", code)
					}
					if lived < time.Hour+leeway/2 || lived > time.Hour+leeway {
						t.Errorf("the session lived for %s", lived)
					}
					if leeway == 0 && lived != time.Hour {
						t.Errorf("the session lived for %s, want an hour exactly", lived)
					}
					if e := b.events.expect(t, authhook.KindExpire, authhook.RuleExpired); e.ReasonCode != 0xa0 {
						t.Errorf("the event is %+v", e)
					}
				})
			})
		}
	}
}

func TestS5_ManySessionsDoNotExpireAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, func(t *testing.T, b *bubble) {
		const sessions = 60
		start := time.Now()
		token := signToken(t, start, "service", nil) // one token for all replicas
		ends := make(chan time.Duration)
		for i := range sessions {
			w := b.enter(t, 5, fmt.Sprint("service:", i), token)
			go func() {
				lived, _ := w.untilDisconnected(t)
				ends <- lived
			}()
		}
		var lives []time.Duration
		for range sessions {
			lives = append(lives, <-ends)
		}
		slices.Sort(lives)
		if lives[0] < time.Hour+30*time.Second || lives[sessions-1] > time.Hour+time.Minute {
			t.Errorf("the sessions lived from %s to %s", lives[0], lives[sessions-1])
		}
		if spread := lives[sessions*3/4] - lives[sessions/4]; spread < 5*time.Second {
			t.Errorf("half of the sessions ended within %s", spread)
		}
	})
}

func TestASessionLastsAsTheClockSays(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(t *testing.T, b *bubble) {
		w := b.enter(t, 5, "sensor-1", signToken(t, time.Now(), "sensor-1", nil))
		b.clock.forward(-10 * time.Minute) // the clock is set right
		if lived, _ := w.untilDisconnected(t); lived != 70*time.Minute {
			t.Errorf("the session lived for %s, want 70m", lived)
		}
	})
}

func TestAReconnectDoesNotProlongATokensLife(t *testing.T) {
	t.Parallel()
	inBubble(t, time.Minute, func(t *testing.T, b *bubble) {
		start := time.Now()
		token := signToken(t, start, "sensor-1", nil)
		w := b.enter(t, 5, "sensor-1", token)
		first, _ := w.untilDisconnected(t)
		// The verifier still takes the token, but its session is over.
		client, server := net.Pipe()
		go func() { _ = b.server.EstablishConnection("pipe", server) }()
		again := newWire(t, client, 5)
		again.send(t, connectPacket(5, "sensor-1", token))
		if ack := again.expect(t, packets.Connack); ack.ReasonCode != 0x86 {
			t.Errorf("after %s CONNACK 0x%02x, want 0x86", first, ack.ReasonCode)
		}
		_ = client.SetReadDeadline(time.Time{})
		again.expectClosed(t)
	})
}

func TestTheWillOfAnExpiredSessionIsPublished(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	token := g.tokenWith(t, "sensor-1", jwt.MapClaims{"scp": []string{"pub:will"}})
	w := g.enter(t, 5, "sensor-1", token, withWill("will", 0, false))
	g.clock.forward(2 * time.Hour)
	w.send(t, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	w.expectDisconnect(t, 0xa0)
	g.expectHeard(t, "will")
}

// TestS5_NothingPassesAnExpiredToken sets the clock forward, which no timer notices.
func TestS5_NothingPassesAnExpiredToken(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "sensor-1", "pub:a", "sub:b")
		w := g.enter(t, version, "sensor-1", token)
		g.clock.forward(2 * time.Hour)
		w.send(t, message("a", 1, false))
		w.expectDisconnect(t, 0xa0)
		g.expectNothingHeard(t)

		token = g.token(t, "sensor-1", "pub:a", "sub:b")
		w = g.enter(t, version, "sensor-1", token)
		w.mustSubscribe(t, "b")
		g.clock.forward(2 * time.Hour)
		g.say(t, "b")
		w.expectDisconnect(t, 0xa0) // without the message
	}
}
