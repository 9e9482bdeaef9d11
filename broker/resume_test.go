package broker_test

import (
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

func TestAResumedSessionGetsItsMessagesInOrder(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			as := func(pk *packets.Packet) { pk.ProtocolVersion = version }
			c, _ := r.connect("c", as, kept)
			c.subscribe("a", 1)
			publisher, _ := r.connect("publisher")
			const sent, messages = 5, 100
			for i := range sent {
				publisher.publish(message("a", fmt.Sprint(i), 1))
				c.expectMessage(fmt.Sprint(i)) // not acknowledged
			}
			_ = c.Close()
			eventually(t, "the client is offline", func() bool {
				cl, ok := r.Server().Clients.Get("c")
				return ok && cl.Closed()
			})
			for i := sent; i < messages; i++ {
				publisher.publish(message("a", fmt.Sprint(i), byte(1+i%2)))
			}
			again, ack := r.connect("c", as, kept, receiveMaximum(3))
			if !ack.SessionPresent {
				t.Fatal("the session is gone")
			}
			for i := range messages {
				pk := again.expectMessage(fmt.Sprint(i))
				if i < sent && !pk.FixedHeader.Dup {
					t.Errorf("message %d is sent again without DUP", i)
				}
				again.sendAck(packets.Puback, pk.PacketID)
			}
			again.ping()
		})
	}
}

func TestAResumedSessionIsNotSentMoreThanTheClientAllows(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, kept)
	c.subscribe("a", 1)
	c.disconnect()
	for i := range 10 {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, i), 1, false))
	}
	again, _ := r.connect("c", v5, kept, receiveMaximum(1))
	for i := range 20 {
		id := again.expectMessage(fmt.Sprint(i)).PacketID
		if i%2 == 0 && i < 10 { // the flow goes on with new messages
			must(t, r.Publish(t.Context(), "a", fmt.Append(nil, 10+i), 1, false))
			must(t, r.Publish(t.Context(), "a", fmt.Append(nil, 11+i), 1, false))
		}
		again.ping()
		again.sendAck(packets.Puback, id)
	}
	again.ping()
	cl, _ := r.Server().Clients.Get("c")
	if n := cl.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestAQoS2FlowGoesOnAfterAReconnect(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, kept)
	c.subscribe("a", 2)
	must(t, r.Publish(t.Context(), "a", []byte("once"), 2, false))
	id := c.expectMessage("once").PacketID
	c.sendAck(packets.Pubrec, id)
	c.expectAck(packets.Pubrel, id)
	_ = c.Close()

	again, _ := r.connect("c", v5, kept)
	again.expectAck(packets.Pubrel, id)
	again.sendAck(packets.Pubcomp, id)
	again.ping()
}

// The publisher's side of the same: its PUBREC was lost, so it repeats the message.
func TestARepeatedQoS2MessageIsPublishedOnce(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			reader, _ := r.connect("reader")
			reader.subscribe("a", 0)
			as := func(pk *packets.Packet) { pk.ProtocolVersion = version }
			c, _ := r.connect("c", as, kept)
			pk := message("a", "once", 2)
			pk.PacketID = 7
			c.send(pk)
			c.expectAck(packets.Pubrec, 7)
			_ = c.Close()

			again, _ := r.connect("c", as, kept)
			pk.FixedHeader.Dup = true
			again.send(pk)
			again.expectAck(packets.Pubrec, 7)
			again.sendAck(packets.Pubrel, 7)
			again.expectAck(packets.Pubcomp, 7)
			reader.expectMessage("once")
			reader.ping()
		})
	}
}

// A session loses nothing, and its messages keep their order, however often it is resumed while they are published.
func TestASessionThatIsResumedInTheMiddleOfTrafficLosesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			as := func(pk *packets.Packet) { pk.ProtocolVersion = version }
			const messages, ahead = 1000, 200
			c, _ := r.connect("c", as, kept)
			c.subscribe("a", 1)
			room := make(chan struct{}, ahead)
			go func() {
				for i := range messages {
					room <- struct{}{}
					if r.Publish(t.Context(), "a", fmt.Append(nil, i), 1, false) != nil {
						return
					}
				}
			}()
			for acknowledged, connection := 0, 0; acknowledged < messages; connection++ {
				window := uint16(connection % 5 * 10) // 0: no bound
				if connection > 0 {
					c, _ = r.connect("c", as, kept, receiveMaximum(window))
				}
				next := acknowledged
				for range min(1+connection%70, messages-next) {
					pk := c.expectMessage(fmt.Sprint(next))
					next++
					if connection%5 > 0 {
						c.sendAck(packets.Puback, pk.PacketID)
					}
				}
				if connection%5 == 0 { // unacknowledged, and again over the next connection
					continue
				}
				c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
				for more := next; ; more++ { // until the acknowledgements have arrived
					pk := c.next()
					if pk.FixedHeader.Type == packets.Pingresp {
						break
					}
					if string(pk.Payload) != fmt.Sprint(more) {
						t.Fatalf("got message %s, want %d", pk.Payload, more)
					}
				}
				for ; acknowledged < next; acknowledged++ {
					<-room
				}
			}
			r.expectWaiting("c", 0, 0)
		})
	}
}

// After 32,768 messages of one connection the identifiers that the broker gives meet those that stand for the client's.
func TestPacketIdentifiersMayMeetLater(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, kept)
	c.subscribe("a", 1)
	cl, _ := r.Server().Clients.Get("c")
	for last := uint32(0); last < 1<<15; {
		var err error
		last, err = cl.NextPacketID()
		must(t, err)
	}
	const messages = 20
	for i := range messages {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, i), 1, false))
		if id := c.expectMessage(fmt.Sprint(i)).PacketID; id != uint16(1<<15+1+i) {
			t.Fatalf("message %d has identifier %d", i, id)
		}
	}
	c.lastID = 0
	for range 5 {
		if code := c.subscribe("b", 1).ReasonCodes[0]; code != 1 {
			t.Errorf("SUBACK says %#x", code)
		}
		c.publish(message("c", "x", 1))
		c.publish(message("c", "x", 2))
	}
	open := message("b", "once", 2)
	open.PacketID = 1
	c.send(open)
	c.expectAck(packets.Pubrec, 1)
	echo := c.expectMessage("once")
	open.FixedHeader.Dup = true
	c.send(open)
	c.expectAck(packets.Pubrec, 1)
	r.expectWaiting("c", messages+1, int64(len("a")*messages+10+2*10+len("b")+len("once")))

	_ = c.Close()
	c, _ = r.connect("c", v5, kept)
	for i := range messages {
		c.expectMessage(fmt.Sprint(i))
	}
	if pk := c.expectMessage("once"); pk.PacketID != echo.PacketID {
		t.Errorf("the message has identifier %d, had %d", pk.PacketID, echo.PacketID)
	}
	c.send(open) // the exchange goes on
	c.expectAck(packets.Pubrec, 1)
	c.sendAck(packets.Pubrel, 1)
	c.expectAck(packets.Pubcomp, 1)
	for i := range messages {
		c.sendAck(packets.Puback, uint16(1<<15+1+i))
	}
	c.sendAck(packets.Puback, echo.PacketID)
	c.ping()
	r.expectWaiting("c", 0, 0)
}

// mochi keeps the packet identifiers of both directions in one table.
func TestPacketIdentifiersOfTheTwoDirectionsAreIndependent(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c")
	c.subscribe("a", 1)
	var unacknowledged []packets.Packet
	for i := range 5 {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, i), 1, false))
		unacknowledged = append(unacknowledged, c.expectMessage(fmt.Sprint(i)))
	}
	c.lastID = 0
	if code := c.subscribe("b", 1).ReasonCodes[0]; code != 1 { // identifier 1 in both directions
		t.Errorf("SUBACK says %#x", code)
	}
	c.publish(message("c", "x", 1))
	c.publish(message("c", "x", 2))
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1}, PacketID: c.nextID(),
		Filters: packets.Subscriptions{{Filter: "b"}},
	})
	c.expect(packets.Unsuback)
	cl, _ := r.Server().Clients.Get("c")
	if n := cl.State.Inflight.Len(); n != len(unacknowledged) {
		t.Errorf("the server holds %d unacknowledged messages, want %d", n, len(unacknowledged))
	}
	for _, pk := range unacknowledged {
		c.sendAck(packets.Puback, pk.PacketID)
	}
	c.ping()
	if n := cl.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}
