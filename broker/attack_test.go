package broker_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// hasty makes the broker's patience short enough for a test.
var hasty = limits(broker.Limits{ConnectTimeout: 150 * time.Millisecond, WriteTimeout: 300 * time.Millisecond, KickTimeout: 100 * time.Millisecond})

func TestP1_ASocketWithoutConnectIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, hasty)
	c := r.dial()
	if got := c.expectEnd(); len(got) != 0 {
		t.Errorf("the broker sent %v", got)
	}
}

func TestP1_AConnectThatTricklesInDoesNotExtendTheDeadline(t *testing.T) {
	t.Parallel()
	r := start(t, hasty)
	c := r.dial()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	drip := append([]byte{0x10, 0x7f, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 100}, strings.Repeat("x", 100)...)
	for i := range drip {
		if _, err := c.Write(drip[i : i+1]); err != nil {
			break
		}
		<-tick.C
	}
	c.expectEnd()
	if took := time.Since(began); took > 20*time.Duration(len(drip))*time.Millisecond {
		t.Errorf("the connection was open for %v", took)
	}
}

func TestP1_AnUnfinishedTLSHandshakeIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, hasty, withTLS(newCertFiles(t)))
	c := r.wrap(dialTCP(t, r.Addr("tls").String()))
	_, err := c.Write([]byte{0x16, 3, 1, 2, 0}) // a record's header, and no more
	must(t, err)
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("the broker sent %x", got)
	}
}

func TestP1_AnnouncingALargePacketCostsNothing(t *testing.T) {
	t.Parallel()
	const quarterGiB = "\xff\xff\xff\x7f"
	r := start(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		c := r.dial()
		_, err := io.WriteString(c, "\x10"+quarterGiB)
		must(t, err)
		c.expectEnd()
		authenticated, _ := r.connect("large")
		_, err = io.WriteString(authenticated, "\x30"+quarterGiB)
		must(t, err)
		authenticated.expectEnd()
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 200<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

func TestP1_AConnectAboveItsOwnBoundIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxConnectSize: 1 << 10}))
	c := r.dial()
	_, err := c.Write([]byte{0x10, 0x81, 0x08}) // 1,025
	must(t, err)
	if got := c.expectEnd(); len(got) != 0 {
		t.Errorf("the broker sent %v", got)
	}
}

func TestP1_PublishBeforeConnectIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t)
	listener, _ := r.connect("listener")
	listener.subscribe("#", 0)
	c := r.dial()
	c.send(message("a", "early", 0))
	if got := c.expectEnd(); len(got) != 0 {
		t.Errorf("the broker sent %v", got)
	}
	must(t, r.Publish(t.Context(), "b", []byte("later"), 0, false))
	listener.expectMessage("later")
}

func TestP1_ASecondConnectClosesAndItsPasswordIsNotLogged(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			withPassword := func(pk *packets.Packet) {
				pk.ProtocolVersion = version
				pk.Connect.PasswordFlag, pk.Connect.Password = true, []byte("sesame-open-17")
			}
			c, _ := r.connect("twice", withPassword)
			c.send(packets.Packet{
				FixedHeader: packets.FixedHeader{Type: packets.Connect},
				Connect: packets.ConnectParams{
					ProtocolName: []byte("MQTT"), Clean: true, ClientIdentifier: "twice",
					PasswordFlag: true, Password: []byte("sesame-open-17"),
				},
			})
			got := c.expectEnd()
			if version == 5 && (len(got) != 1 || got[0].ReasonCode != packets.ErrProtocolViolation.Code) {
				t.Errorf("the broker sent %v, want DISCONNECT 0x82", got)
			}
			if version == 4 && len(got) != 0 {
				t.Errorf("the broker sent a 3.1.1 client %v", got)
			}
			r.stop()
			for _, secret := range []string{"sesame", "115 101 115 97", "c2VzYW1l"} {
				if strings.Contains(r.log.String(), secret) {
					t.Errorf("the log holds the password:\n%s", r.log)
				}
			}
		})
	}
}

// A packet that makes mochi panic, as a hook's fault does here, ends one connection in order and nothing else.
func TestP1_APanicCostsOnlyItsSender(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) {
		s.hook.onPublish = func(_ *mqtt.Client, pk packets.Packet) {
			if pk.TopicName == "panic" {
				panic("a fault")
			}
		}
	})
	witness, _ := r.connect("witness")
	witness.subscribe("wills/#", 1)
	c, _ := r.connect("broken", v5, kept, will("wills/broken", "lost", 1))
	c.subscribe("mine", 1)
	ends, _ := r.connect("ends", v5, will("wills/ends", "lost", 1))
	ends.subscribe("mine", 1)

	for _, victim := range []*raw{c, ends} {
		victim.send(message("panic", "x", 0))
		victim.expectEnd()
		witness.sendAck(packets.Puback, witness.expectMessage("lost").PacketID)
	}
	if !strings.Contains(r.log.String(), "panic-contained") {
		t.Errorf("the log does not say what happened:\n%s", r.log)
	}
	eventually(t, "the session without a life of its own is gone", func() bool {
		_, there := r.Server().Clients.Get("ends")
		return !there
	})
	if subs := r.Server().Topics.Subscribers("mine").Subscriptions; len(subs) != 1 {
		t.Errorf("subscribed are %v, want the kept session alone", subs)
	}
	again, ack := r.connect("broken", v5, kept)
	if !ack.SessionPresent {
		t.Error("the kept session is gone")
	}
	again.send(message("mine", "still here", 0))
	again.expectMessage("still here")
}

func TestP1_APanicOverAQueuedMessageCostsOnlyItsReceiver(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) {
		s.hook.onEncode = func(cl *mqtt.Client, pk packets.Packet) packets.Packet {
			if cl.ID == "victim" && pk.FixedHeader.Type == packets.Publish {
				panic("a fault")
			}
			return pk
		}
	})
	c, _ := r.connect("victim", kept)
	c.subscribe("a", 1)
	c.disconnect()
	must(t, r.Publish(t.Context(), "a", []byte("x"), 1, false))
	c, _ = r.connect("victim", kept, func(pk *packets.Packet) { pk.ProtocolVersion = 5 })
	c.expectEnd()
	eventually(t, "the log says what happened", func() bool { return strings.Contains(r.log.String(), "panic-contained") })
	other, _ := r.connect("other")
	other.ping()
}

func TestP1_AnyKeepAliveWorks(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, keepalive := range []uint16{0, 1, 43_690, 43_691, 43_692, 65_535} {
		c, _ := r.connect("keepalive", func(pk *packets.Packet) { pk.Connect.Keepalive = keepalive })
		c.ping()
		c.ping()
		c.disconnect()
	}
}

func TestP1_TheKeepAliveEndsASilentClient(t *testing.T) {
	t.Parallel()
	r := start(t)
	began := time.Now()
	c, _ := r.connect("silent", func(pk *packets.Packet) { pk.Connect.Keepalive = 1 })
	c.expectEnd()
	if took := time.Since(began); took < time.Second {
		t.Errorf("closed after %v, before the keep-alive was over", took)
	}
}

func TestP1_AnEndlessLengthIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("endless", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })
	_, err := c.Write([]byte{0x30, 0x80, 0x80, 0x80, 0x80})
	must(t, err)
	c.expectEnd()
}

func TestP1_AReaderThatNeverReadsDelaysNobody(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{WriteTimeout: time.Minute, MaxQueued: 8, MaxInflight: 64}))
	stuck, _ := r.connect("stuck", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })
	stuck.subscribe("flood", 1)
	healthy, _ := r.connect("healthy")
	healthy.subscribe("flood", 1)
	publisher, _ := r.connect("publisher")
	payload := strings.Repeat("x", 200<<10)
	for range 100 { // 20 MB: more than any socket buffer
		publisher.publish(message("flood", payload, 1))
		healthy.sendAck(packets.Puback, healthy.expectMessage(payload).PacketID)
	}
	// The same ID may connect again: the stuck connection gives way.
	again, _ := r.connect("stuck")
	again.ping()
}

func TestP1_AReaderThatNeverReadsIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, hasty)
	stuck, _ := r.connect("stuck", func(pk *packets.Packet) { pk.Connect.Keepalive = 0 })
	stuck.subscribe("flood", 0)
	publisher, _ := r.connect("publisher")
	payload := strings.Repeat("x", 200<<10)
	eventually(t, "the stuck client is closed", func() bool {
		publisher.publish(message("flood", payload, 0))
		_, there := r.Server().Clients.Get("stuck")
		return !there
	})
}

func TestP1_AThousandHalfOpenSocketsDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxPending: 50, ConnectTimeout: 400 * time.Millisecond}))
	steady, _ := r.connect("steady")
	for range 1000 {
		r.dial()
	}
	for i := range 5 {
		c, _ := r.connect(fmt.Sprintf("honest-%d", i))
		c.ping()
	}
	steady.ping()
}

func TestP1_ConnectionsAreBoundedInAllAndPerAddress(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]broker.Limits{
		"in all":      {MaxConnections: 3, ConnectTimeout: time.Minute},
		"per address": {MaxConnectionsPerIP: 3, ConnectTimeout: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, limits(l))
			var clients []*raw
			for i := range 3 {
				c, _ := r.connect(fmt.Sprint(i))
				clients = append(clients, c)
			}
			r.dial().expectEnd()
			clients[0].disconnect()
			eventually(t, "there is a place again", func() bool {
				c := r.dial()
				_ = c.trySend(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, Connect: packets.ConnectParams{
					ProtocolName: []byte("MQTT"), Clean: true, ClientIdentifier: "late",
				}})
				_, err := c.read()
				return err == nil
			})
		})
	}
}
