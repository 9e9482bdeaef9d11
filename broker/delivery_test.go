package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

func TestNoMoreIsUnacknowledgedThanTheClientAllows(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			c, _ := r.connect("c", v5, receiveMaximum(2))
			c.subscribe("a", qos)
			publisher, _ := r.connect("publisher")
			const messages = 20
			for i := range messages {
				publisher.publish(message("a", fmt.Sprint(i), qos))
			}
			waiting := []uint16{c.expectMessage("0").PacketID, c.expectMessage("1").PacketID}
			for i := 2; i < messages; i++ {
				c.ping() // nothing comes before it
				c.acknowledge(waiting[0], qos)
				waiting = append(waiting[1:], c.expectMessage(fmt.Sprint(i)).PacketID)
			}
		})
	}
}

// acknowledge completes the delivery of a message.
func (c *raw) acknowledge(id uint16, qos byte) {
	c.tb.Helper()
	if qos == 1 {
		c.sendAck(packets.Puback, id)
		return
	}
	c.sendAck(packets.Pubrec, id)
	c.expectAck(packets.Pubrel, id)
	c.sendAck(packets.Pubcomp, id)
}

func TestARefusedQoS2MessageFreesItsPlace(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, receiveMaximum(1))
	c.subscribe("a", 2)
	for i := range 3 {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, i), 2, false))
	}
	for i := range 3 {
		id := c.expectMessage(fmt.Sprint(i)).PacketID
		c.send(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Pubrec}, PacketID: id, ReasonCode: packets.ErrQuotaExceeded.Code,
		})
	}
}

// mochi counts the server's own QoS 2 messages against what the client may send.
func TestOutboundQoS2DoesNotUseUpTheInboundQuota(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{ReceiveMaximum: 4}))
	c, _ := r.connect("c", v5)
	c.subscribe("a", 2)
	for i := range 8 {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, i), 2, false))
		id := c.expectMessage(fmt.Sprint(i)).PacketID
		c.sendAck(packets.Pubrec, id)
		c.expectAck(packets.Pubrel, id) // and no PUBCOMP: eight flows are open
	}
	c.publish(message("b", "x", 2))
	c.ping()
}

func TestInboundFlowAboveTheReceiveMaximumIsClosed(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{ReceiveMaximum: 4}))
	c, _ := r.connect("c", v5)
	for id := uint16(1); id <= 5; id++ {
		pk := message("a", "x", 2)
		pk.PacketID = id
		must(t, c.trySend(pk))
	}
	got := c.expectEnd()
	if last := got[len(got)-1]; last.FixedHeader.Type != packets.Disconnect || last.ReasonCode != packets.ErrReceiveMaximum.Code {
		t.Errorf("the broker sent %v, want DISCONNECT 0x93 at the end", got)
	}
}

// A socket closed on unread data is reset, which may cost the client the reason.
func TestADisconnectReachesAClientThatIsStillSending(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{ReceiveMaximum: 1, KickTimeout: time.Minute}))
	c, _ := r.connect("c", v5)
	for id := uint16(1); id <= 1000; id++ {
		pk := message("a", strings.Repeat("x", 1000), 2)
		pk.PacketID = id
		must(t, c.trySend(pk))
	}
	c.expect(packets.Pubrec)
	if pk := c.expect(packets.Disconnect); pk.ReasonCode != packets.ErrReceiveMaximum.Code {
		t.Errorf("DISCONNECT says %#x", pk.ReasonCode)
	}
	for range 10 {
		must(t, c.trySend(message("a", strings.Repeat("x", 100_000), 0)))
	}
	if got := c.expectEnd(); len(got) != 0 {
		t.Errorf("after DISCONNECT came %v", got)
	}
}

func TestA311ClientIsNeverSentADisconnect(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) {
		s.hook.acl = func(_ *mqtt.Client, topic string, _ bool) bool { return topic != "forbidden" }
	})
	c, _ := r.connect("c")
	pk := message("forbidden", "x", 1)
	pk.PacketID = 1
	c.send(pk)
	if got := c.expectEnd(); len(got) != 0 {
		t.Errorf("the broker sent %v", got)
	}
}

func TestAMessageIsAnsweredAfterItWasHandedOn(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	r := start(t, func(s *setup) {
		s.hook.acl = func(cl *mqtt.Client, _ string, write bool) bool {
			if cl.ID == "sleeper" && cl.Closed() && !write {
				select {
				case <-answered:
					t.Error("the answer came while the message was being handed on")
				case <-time.After(100 * time.Millisecond):
				}
			}
			return true
		}
	})
	sleeper, _ := r.connect("sleeper", kept)
	sleeper.subscribe("a", 1)
	sleeper.disconnect()
	for _, qos := range []byte{1, 2} {
		c, _ := r.connect("c")
		pk := message("a", "x", qos)
		pk.PacketID = 1
		c.send(pk)
		c.next()
	}
	close(answered)
}

func TestAWildcardSubscriptionGetsEveryRetainedMessage(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxQueued: 16}))
	const topics = 1000
	for i := range topics {
		must(t, r.Publish(t.Context(), fmt.Sprintf("lot/%d", i), []byte("free"), 1, true))
	}
	c, _ := r.connect("c")
	c.sendSubscribe("lot/+", 1)
	c.expect(packets.Suback)
	seen := map[string]bool{}
	for range topics {
		pk := c.expectMessage("free")
		seen[pk.TopicName] = true
	}
	if len(seen) != topics {
		t.Errorf("%d of %d topics arrived", len(seen), topics)
	}
}

func TestAMessageLargerThanTheClientTakesIsDropped(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, receiveMaximum(1), func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 })
	c.subscribe("a", 1)
	for range 3 {
		must(t, r.Publish(t.Context(), "a", []byte(strings.Repeat("x", 200)), 1, false))
		must(t, r.Publish(t.Context(), "a", []byte("small"), 1, false))
		c.sendAck(packets.Puback, c.expectMessage("small").PacketID)
	}
	c.ping()
	cl, _ := r.Server().Clients.Get("c")
	if n := cl.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestTopicAliasesAreAnnouncedBeforeTheyAreUsed(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, kept, func(pk *packets.Packet) { pk.Properties.TopicAliasMaximum = 2 })
	c.subscribe("#", 1)
	known := map[uint16]string{}
	for i := range 12 {
		topic := fmt.Sprint("topic/", i%3)
		must(t, r.Publish(t.Context(), topic, []byte(topic), byte(i%2), false))
		pk := c.expectMessage(topic)
		if pk.FixedHeader.Qos == 1 && i > 6 {
			c.sendAck(packets.Puback, pk.PacketID)
		}
		if alias := pk.Properties.TopicAlias; alias != 0 && pk.TopicName != "" {
			known[alias] = pk.TopicName
		} else if alias != 0 {
			pk.TopicName = known[alias]
		}
		if pk.TopicName != topic {
			t.Errorf("message %d came on %q", i, pk.TopicName)
		}
	}
	if len(known) != 2 {
		t.Errorf("aliases were given to %v", known)
	}
	_ = c.Close()
	again, _ := r.connect("c", v5, kept) // no aliases any more
	for range 3 {
		if pk := again.expect(packets.Publish); pk.TopicName != string(pk.Payload) {
			t.Errorf("%q came again on topic %q", pk.Payload, pk.TopicName)
		}
	}
}

// An attached hook withholds a packet by clearing its type.
func TestAWithheldMessageTakesNoPlaceInTheWindow(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) {
		s.hook.onEncode = func(_ *mqtt.Client, pk packets.Packet) packets.Packet {
			if pk.FixedHeader.Type == packets.Publish && strings.HasPrefix(string(pk.Payload), "secret") {
				pk.FixedHeader.Type = packets.Reserved
			}
			return pk
		}
	})
	c, _ := r.connect("c", v5, receiveMaximum(1))
	c.subscribe("a", 1)
	for i := range 5 {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, "secret", i), 1, false))
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, "open", i), 1, false))
	}
	for i := range 5 {
		c.sendAck(packets.Puback, c.expectMessage(fmt.Sprint("open", i)).PacketID)
	}
}

// The deadlock of mochi's own flow control shows within a second of this.
func TestTrafficThroughAWindowDoesNotFreeze(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxQueued: 4000, MaxInflight: 4000}))
	c, _ := r.connect("c", v5, receiveMaximum(50))
	c.subscribe("a/#", 1)
	const publishers, messages = 4, 500
	for p := range publishers {
		go func() {
			for i := range messages {
				if r.Publish(t.Context(), fmt.Sprintf("a/%d", p), fmt.Append(nil, i), 1, false) != nil {
					return
				}
			}
		}()
	}
	next := map[string]int{}
	for range publishers * messages {
		pk := c.expect(packets.Publish)
		if want := fmt.Sprint(next[pk.TopicName]); string(pk.Payload) != want {
			t.Fatalf("%s: got %s, want %s", pk.TopicName, pk.Payload, want)
		}
		next[pk.TopicName]++
		c.sendAck(packets.Puback, pk.PacketID)
	}
}
