package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

func TestATakeoverTellsTheOldConnectionAndPublishesItsWill(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			witness, _ := r.connect("witness")
			witness.subscribe("wills", 1)
			as := func(pk *packets.Packet) { pk.ProtocolVersion = version }
			old, _ := r.connect("same", as, kept, will("wills", "taken over", 1))
			old.subscribe("a", 1)
			young, ack := r.connect("same", as, kept)
			if !ack.SessionPresent {
				t.Error("the session was not resumed")
			}
			got := old.expectEnd()
			switch {
			case version == 4 && len(got) != 0:
				t.Errorf("a 3.1.1 client was sent %v", got)
			case version == 5 && (len(got) != 1 || got[0].ReasonCode != packets.ErrSessionTakenOver.Code):
				t.Errorf("a 5 client was sent %v, want DISCONNECT 0x8E", got)
			}
			witness.expectMessage("taken over")
			young.publish(message("b", "x", 1))
			witness.publish(message("a", "for the young one", 0))
			young.expectMessage("for the young one")
		})
	}
}

// A will without a payload is how a device has its own retained message deleted when it is lost (MQTT 5 §3.1.3.4).
func TestAWillWithoutAPayloadIsAWill(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := start(t)
			witness, _ := r.connect("witness")
			witness.subscribe("wills", 1)
			lost, ack := r.connect("lost", func(pk *packets.Packet) { pk.ProtocolVersion = version }, will("wills", "", 1))
			if ack.ReasonCode != 0 {
				t.Fatalf("CONNACK 0x%02x", ack.ReasonCode)
			}
			_ = lost.Close()
			witness.expectMessage("")
		})
	}
}

// MQTT 3.1.1 has five return codes and no words (§3.2.2.3, [MQTT-3.1.3-8], [MQTT-3.1.4-1]).
func TestARefusalIn311HasAReturnCodeOf311(t *testing.T) {
	t.Parallel()
	r := start(t)
	nameless := r.dial()
	if ack := nameless.connect("", kept); ack.ReasonCode != packets.Err3ClientIdentifierNotValid.Code {
		t.Errorf("an empty client ID that asks for a lasting session: 0x%02x, want 2", ack.ReasonCode)
	}
	wrong := r.dial()
	wrong.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: 4,
		Connect: packets.ConnectParams{ProtocolName: []byte("MQTT"), Clean: true, ClientIdentifier: "x", WillRetain: true},
	})
	if got := wrong.expectEnd(); len(got) != 0 {
		t.Errorf("a protocol error is answered with %v, want the end without a word", got)
	}
}

func TestADelayedWillIsWithdrawnByTheTakeover(t *testing.T) {
	t.Parallel()
	r := start(t)
	witness, _ := r.connect("witness")
	witness.subscribe("wills", 1)
	delayed := func(pk *packets.Packet) { pk.Connect.WillProperties.WillDelayInterval = 1 }
	r.connect("same", v5, kept, will("wills", "too early", 1), delayed)
	r.connect("same", v5, kept)
	// A will that is due two seconds later, to have seen that the first one is not sent.
	later, _ := r.connect("later", v5, kept, will("wills", "in time", 1), delayed)
	_ = later.Close()
	witness.expectMessage("in time")
}

// A hook withdraws the will of an offline client as the client itself would.
func TestAWithdrawnWillDoesNotComeBackWithTheNextStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	for _, id := range []string{"withdrawn", "waiting"} {
		c, _ := r.connect(id, v5, kept, will("wills/"+id, "too late", 1), delay(1))
		_ = c.Close()
		eventually(t, "the client is offline", func() bool {
			cl, ok := r.Server().Clients.Get(id)
			return ok && cl.Closed()
		})
	}
	cl, _ := r.Server().Clients.Get("withdrawn")
	must(t, r.Server().InjectPacket(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}))
	if _, there := r.Server().Clients.Get("withdrawn"); !there {
		t.Error("the session went with its will")
	}
	r.stop() // a will that waits is not kept over a restart either

	r = start(t, dataDir(dir))
	witness, _ := r.connect("witness")
	witness.subscribe("wills/#", 1)
	if _, ack := r.connect("withdrawn", v5, kept); !ack.SessionPresent {
		t.Error("the session is gone")
	}
	later, _ := r.connect("later", v5, kept, will("wills/later", "in time", 1), delay(2))
	_ = later.Close()
	witness.expectMessage("in time")
}

// A client that reconnects while its old connection is being cleaned up stays
// visible, subscribed and reachable (mochi loses it now and then).
func TestAStormOfReconnectsLeavesTheLastOneReachable(t *testing.T) {
	t.Parallel()
	r := start(t)
	const devices, rounds = 8, 25
	var group sync.WaitGroup
	for d := range devices {
		group.Go(func() {
			id := fmt.Sprintf("device-%d", d)
			var last *raw
			for round := range rounds {
				var options []with
				if round%2 == 0 {
					options = append(options, kept)
				}
				if round%3 == 0 {
					options = append(options, v5)
				}
				if last != nil && round%4 == 0 {
					_ = last.Close()
				}
				last, _ = r.connect(id, options...)
			}
			last.subscribe(id, 1)
			must(t, r.Publish(t.Context(), id, []byte("ping"), 1, false))
			last.expectMessage("ping")
			if cl, ok := r.Server().Clients.Get(id); !ok || cl.Closed() {
				t.Errorf("%s is not in the server's table", id)
			}
		})
	}
	group.Wait()
}

func TestS2_AFailedAuthenticationTakesNothingOver(t *testing.T) {
	t.Parallel()
	hook := &picky{}
	b, err := broker.Open(t.Context(), broker.Config{TCP: "127.0.0.1:0", Logger: silent()})
	must(t, err)
	must(t, b.Attach(hook))
	r := &running{Broker: b, tb: t, result: make(chan error, 1)}
	t.Cleanup(func() { must(t, b.Close()) })
	r.run()
	victim, _ := r.connect("victim", will("wills", "gone", 0))
	victim.subscribe("a", 0)
	intruder := r.dial()
	if ack := intruder.connect("victim", func(pk *packets.Packet) { pk.Connect.Username = []byte("intruder") }); ack.ReasonCode == 0 {
		t.Error("the intruder was let in")
	}
	intruder.expectEnd()
	victim.publish(message("b", "x", 1))
	must(t, r.Publish(t.Context(), "a", []byte("still mine"), 0, false))
	victim.expectMessage("still mine")
}

// picky lets nobody in who calls itself intruder.
type picky struct{ allow }

func (*picky) OnConnectAuthenticate(_ *mqtt.Client, pk packets.Packet) bool {
	return string(pk.Connect.Username) != "intruder"
}

func TestAClientClosedWhileItsPacketIsProcessedHasItsWillSent(t *testing.T) {
	t.Parallel()
	processing, proceed := make(chan struct{}), make(chan struct{})
	r := start(t, func(s *setup) {
		s.hook.onPublish = func(_ *mqtt.Client, pk packets.Packet) {
			if pk.TopicName == "slow" {
				close(processing)
				<-proceed
			}
		}
	})
	witness, _ := r.connect("witness")
	witness.subscribe("wills", 0)
	busy, _ := r.connect("busy", will("wills", "lost", 0))
	busy.send(message("slow", "x", 0))
	<-processing
	cl, _ := r.Server().Clients.Get("busy")
	cl.Stop(packets.ErrAdministrativeAction)
	close(proceed)
	witness.expectMessage("lost")
}

func TestADisconnectInOrderSendsNoWill(t *testing.T) {
	t.Parallel()
	r := start(t)
	witness, _ := r.connect("witness")
	witness.subscribe("#", 0)
	c, _ := r.connect("c", will("wills", "lost", 0))
	c.disconnect()
	witness.send(message("marker", "marker", 0))
	witness.expectMessage("marker")
}

func TestASessionThatExpiresLeavesNothingToTheNext(t *testing.T) {
	t.Parallel()
	r := start(t)
	brief := func(pk *packets.Packet) {
		kept(pk)
		pk.Properties.SessionExpiryInterval = 1
	}
	c, _ := r.connect("brief", v5, brief)
	c.subscribe("old", 1)
	c.disconnect()
	eventually(t, "the session has expired", func() bool {
		_, there := r.Server().Clients.Get("brief")
		return !there
	})
	if subs := r.Server().Topics.Subscribers("old").Subscriptions; len(subs) != 0 {
		t.Errorf("still subscribed: %v", subs)
	}
	if connections, sessions := r.Remains(); connections != 0 || sessions != 0 {
		t.Errorf("%d connections and %d sessions are left", connections, sessions)
	}
	again, ack := r.connect("brief", v5, kept)
	if ack.SessionPresent {
		t.Error("the expired session was resumed")
	}
	must(t, r.Publish(t.Context(), "old", []byte("x"), 0, false))
	again.ping()
}

func TestDisconnectCannotRaiseTheExpiryAboveTheLimit(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxSessionExpiry: time.Second}))
	c, _ := r.connect("greedy", v5, kept)
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect},
		Properties:  packets.Properties{SessionExpiryInterval: 1 << 31, SessionExpiryIntervalFlag: true},
	})
	c.expectEnd()
	eventually(t, "the session has expired", func() bool {
		_, there := r.Server().Clients.Get("greedy")
		return !there
	})
}

func TestAClientThatReturnsInTheMomentOfItsExpiryIsNotLost(t *testing.T) {
	t.Parallel()
	r := start(t)
	c, _ := r.connect("c", v5, kept)
	c.subscribe("a", 1)
	c.disconnect()
	old, _ := r.Server().Clients.Get("c")
	again, _ := r.connect("c", v5, kept)
	r.ExpireLate(old)
	eventually(t, "mochi knows the client again", func() bool {
		cl, ok := r.Server().Clients.Get("c")
		return ok && cl != old
	})
	must(t, r.Publish(t.Context(), "a", []byte("x"), 1, false))
	again.expectMessage("x")
}

func TestTheOperatorIsToldOfMessagesWithoutRoom(t *testing.T) {
	t.Parallel()
	r := start(t, limits(broker.Limits{MaxInflight: 2}))
	c, _ := r.connect("c", kept)
	c.subscribe("a", 1)
	c.disconnect()
	for range 5 {
		must(t, r.Publish(t.Context(), "a", []byte("x"), 1, false))
	}
	eventually(t, "the log says so", func() bool { return strings.Contains(r.log.String(), "too many unacknowledged") })
}

func TestOfManyThatConnectAtOnceUnderOneIDOneStays(t *testing.T) {
	t.Parallel()
	r := start(t)
	for range 20 {
		group := make([]*raw, 12)
		for i := range group { // none waits for its CONNACK
			group[i] = r.dial()
			group[i].sendConnect("same", kept)
		}
		for _, c := range group {
			c.lives() // its CONNECT has been dealt with
		}
		eventually(t, "one connection is left", func() bool {
			group = slices.DeleteFunc(group, func(c *raw) bool { return !c.lives() })
			return len(group) == 1
		})
	}
}
