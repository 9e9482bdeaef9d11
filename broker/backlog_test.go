package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// expectWaiting waits until so much waits for a session: messages of QoS 1 and 2, and bytes of all.
func (r *running) expectWaiting(id string, messages int, bytes int64) {
	r.tb.Helper()
	var m int
	var b int64
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if m, b = r.Waiting(id); m == messages && b == bytes {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.tb.Fatalf("%d messages and %d bytes wait for %q, want %d and %d", m, b, id, messages, bytes)
		}
	}
}

// answer carries on the delivery of a message and reports whether it is complete.
func (c *raw) answer(pk packets.Packet) bool {
	c.tb.Helper()
	switch {
	case pk.FixedHeader.Type == packets.Pubrel:
		c.sendAck(packets.Pubcomp, pk.PacketID)
	case pk.FixedHeader.Qos == 2:
		c.sendAck(packets.Pubrec, pk.PacketID)
		return false
	case pk.FixedHeader.Qos == 1:
		c.sendAck(packets.Puback, pk.PacketID)
	}
	return true
}

const kilobyte = 1000

// payload is a message of a kilobyte on a topic of one letter.
func payload(i int) string { return fmt.Sprintf("%-999d", i) }

func TestAnOfflineSessionHoldsNoMoreBytesThanItMay(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := limits(broker.Limits{MaxQueueBytes: 10 * kilobyte})
			r := start(t, dataDir(dir), l)
			as := func(pk *packets.Packet) { pk.ProtocolVersion = version }
			c, _ := r.connect("c", as, kept)
			c.subscribe("a", 2)
			c.disconnect()
			for i := range 30 {
				must(t, r.Publish(t.Context(), "a", []byte(payload(i)), 1, false))
			}
			r.expectWaiting("c", 10, 10*kilobyte)
			if lost := r.Server().Info.Clone().InflightDropped; lost != 20 {
				t.Errorf("%d messages are said to be dropped, want 20", lost)
			}
			r.stop()

			r = start(t, dataDir(dir), l)
			r.expectWaiting("c", 10, 10*kilobyte)
			must(t, r.Publish(t.Context(), "a", []byte(payload(99)), 1, false))
			c, _ = r.connect("c", as, kept)
			r.expectWaiting("c", 10, 10*kilobyte)
			for i := range 10 {
				c.sendAck(packets.Puback, c.expectMessage(payload(i)).PacketID)
				r.expectWaiting("c", 9-i, int64(9-i)*kilobyte)
			}
			c.ping()
			must(t, r.Publish(t.Context(), "a", []byte(payload(7)), 1, false))
			c.expectMessage(payload(7))
		})
	}
}

func TestAConnectedClientThatDoesNotReadHoldsNoMoreBytesThanItMay(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{0, 1, 2} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			t.Parallel()
			const limit = 4 << 20
			r := start(t, limits(broker.Limits{MaxQueueBytes: limit, WriteTimeout: time.Minute}))
			c, _ := r.connect("c", kept)
			c.subscribe("flood", qos)
			large := strings.Repeat("x", 200<<10)
			dropped := func() int64 {
				info := r.Server().Info.Clone()
				return info.MessagesDropped + info.InflightDropped
			}
			published := 0
			eventually(t, "messages are dropped", func() bool {
				must(t, r.Publish(t.Context(), "flood", []byte(large), qos, false))
				published++
				return dropped() > 20
			})
			messages, bytes := r.Waiting("c")
			if bytes > limit || bytes < limit-2*int64(len(large)) {
				t.Errorf("%d bytes wait, want nearly %d", bytes, limit)
			}
			if qos == 0 && messages != 0 || qos > 0 && int64(messages) != bytes/int64(len(large)+len("flood")) {
				t.Errorf("%d messages wait", messages)
			}
			eventually(t, "the log says so", func() bool { return strings.Contains(r.log.String(), "messages are dropped") })
			if lines := strings.Count(r.log.String(), "messages are dropped"); lines > 2 {
				t.Errorf("the log has %d lines of it", lines)
			}
			for arrived := 0; arrived < published-int(dropped()); { // what waits arrives when the client reads again
				if c.answer(c.next()) {
					arrived++
				}
			}
			r.expectWaiting("c", 0, 0)
		})
	}
}

func TestNothingIsCountedAnyMoreWhenNothingWaits(t *testing.T) {
	t.Parallel()
	secret := make(chan struct{})
	r := start(t, func(s *setup) {
		s.hook.onEncode = func(_ *mqtt.Client, pk packets.Packet) packets.Packet {
			select {
			case <-secret:
				if pk.FixedHeader.Type == packets.Publish {
					pk.FixedHeader.Type = packets.Reserved
				}
			default:
			}
			return pk
		}
	})
	c, _ := r.connect("c", v5, kept, receiveMaximum(2), func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 2000 })
	c.subscribe("a", 2)
	publish := func(n int, qos byte) {
		for i := range n {
			must(t, r.Publish(t.Context(), "a", []byte(payload(i)), qos, false))
		}
	}
	publish(3, 2)
	r.expectWaiting("c", 3, 3*kilobyte)
	first, second := c.expectMessage(payload(0)), c.expectMessage(payload(1))
	c.sendAck(packets.Pubrec, first.PacketID)
	c.expectAck(packets.Pubrel, first.PacketID)
	r.expectWaiting("c", 3, 2*kilobyte) // of the first only the PUBREL is left
	c.sendAck(packets.Pubcomp, first.PacketID)
	third := c.expectMessage(payload(2))
	c.send(packets.Packet{ // refused
		FixedHeader: packets.FixedHeader{Type: packets.Pubrec}, PacketID: second.PacketID, ReasonCode: packets.ErrQuotaExceeded.Code,
	})
	r.expectWaiting("c", 1, kilobyte)
	must(t, r.Publish(t.Context(), "a", []byte(strings.Repeat("x", 3000)), 1, false)) // larger than the client takes
	r.expectWaiting("c", 1, kilobyte)

	publisher, _ := r.connect("publisher", v5)
	brief := message("a", payload(5), 1)
	brief.Properties.MessageExpiryInterval = 1
	publisher.publish(brief) // sent, and expires before it is acknowledged
	c.expectMessage(payload(5))
	r.expectWaiting("c", 1, kilobyte)

	// A takeover passes it on, once.
	c, _ = r.connect("c", v5, kept)
	if pk := c.expectMessage(payload(2)); pk.PacketID != third.PacketID || !pk.FixedHeader.Dup {
		t.Errorf("sent again: %d, DUP %v", pk.PacketID, pk.FixedHeader.Dup)
	}
	r.expectWaiting("c", 1, kilobyte)
	close(secret)
	publish(3, 0) // withheld
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	c.expectEnd()
	publish(3, 1)
	r.expectWaiting("c", 4, 4*kilobyte)
	r.connect("c", v5) // a clean start
	r.expectWaiting("c", 0, 0)
}

func TestASessionLeavesNoCountBehind(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, end := range map[string]func(id string){
		"clean start":  func(id string) { c, _ := r.connect(id, v5); c.disconnect() },
		"clean 3.1.1":  func(id string) { c, _ := r.connect(id); c.disconnect() },
		"said so":      func(id string) { c, _ := r.connect(id, v5, kept); c.leaveForGood() },
		"lost, 3.1.1":  func(id string) { c, _ := r.connect(id); _ = c.Close() },
		"taken over":   func(id string) { r.connect(id); c, _ := r.connect(id, v5); c.disconnect() },
		"shrunk to 0s": func(id string) { c, _ := r.connect(id, v5, kept); c.leaveForGood() },
	} {
		c, _ := r.connect(name, v5, kept)
		c.subscribe("a", 1)
		c.disconnect()
		must(t, r.Publish(t.Context(), "a", []byte("x"), 1, false))
		end(name)
	}
	eventually(t, "nothing is left", func() bool {
		connections, sessions := r.Remains()
		return connections == 0 && sessions == 0
	})
	if n := r.Server().Info.Clone().Inflight; n != 0 {
		t.Errorf("mochi counts %d messages", n)
	}
}

// mochi's own queue overflows only if its write loop is kept from running; then it does not say what it has forgotten.
func TestWhatMochiForgetsIsNotCountedForEver(t *testing.T) {
	t.Parallel()
	blocked, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	dir := t.TempDir()
	r := start(t, dataDir(dir), limits(broker.Limits{MaxQueued: 1}), func(s *setup) {
		s.hook.onEncode = func(_ *mqtt.Client, pk packets.Packet) packets.Packet {
			if pk.FixedHeader.Type == packets.Publish {
				once.Do(func() { close(blocked) })
				<-proceed
			}
			return pk
		}
	})
	c, _ := r.connect("c", kept)
	c.subscribe("a", 1)
	must(t, r.Publish(t.Context(), "a", []byte(payload(0)), 1, false))
	<-blocked
	for i := range 5 {
		must(t, r.Publish(t.Context(), "a", []byte(payload(1+i)), 1, false))
	}
	if lost := r.Server().Info.Clone().MessagesDropped; lost != 4 {
		t.Errorf("%d messages were dropped, want 4", lost)
	}
	r.expectWaiting("c", 2, 2*kilobyte)
	close(proceed)
	c.expectMessage(payload(0))
	c.expectMessage(payload(1))
	r.stop()
	r = start(t, dataDir(dir))
	r.expectWaiting("c", 2, 2*kilobyte)
}
