package authhook_test

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

func TestS7_RevokeEndsEverySessionOfTheClient(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			t.Parallel()
			seen := new(bystander)
			g := openGate(t, func(s *settings) { s.after = append(s.after, seen) })
			token := g.token(t, "reader", "sub:a/#", "pub:#")
			online := g.enter(t, version, "reader", token, withWill("will/online", 0, true))
			online.mustSubscribe(t, "a/#", "a/b")
			offline := g.enter(t, version, "reader:2", token)
			offline.mustSubscribe(t, "a/#")
			g.awaitOffline(t, offline, "reader:2")
			bystanding := g.enter(t, version, "other", g.token(t, "other", "sub:a/#"))
			bystanding.mustSubscribe(t, "a/#")
			g.say(t, "a/1")
			online.expect(t, packets.Publish)
			bystanding.expectMessages(t, "a/1")

			g.clients.set("reader", authhook.Status{})
			receipt := g.revoke("reader")
			if want := (authhook.Receipt{Sessions: 2, Subscriptions: 3, Queued: 2, Wills: 1}); receipt != want {
				t.Errorf("the receipt is %+v, want %+v", receipt, want)
			}
			if list := g.hook.Sessions(); len(list) != 1 || list[0].ClientID != "other" {
				t.Errorf("the list is %+v", list)
			}
			online.expectDisconnect(t, 0x98)
			g.say(t, "a/2")
			bystanding.expectMessages(t, "a/2")
			unsubscribed, dropped, _ := seen.saw()
			if !slices.Equal(unsubscribed, []string{"reader a/#", "reader a/b", "reader:2 a/#"}) {
				t.Errorf("the other hooks were told that %q were unsubscribed", unsubscribed)
			}
			if !slices.Equal(dropped, []string{"reader a/1", "reader:2 a/1"}) {
				t.Errorf("the other hooks were told that %q were dropped", dropped)
			}
			if again := g.revoke("reader"); again != (authhook.Receipt{}) {
				t.Errorf("closing again: %+v", again)
			}
			g.expectRefused(t, version, "reader", token, notAuthorized, authhook.RuleClientInactive)

			// A client that is enabled again begins anew.
			g.clients.allow("reader")
			w, ack := g.connect(t, version, "reader:2", token)
			if ack.ReasonCode != 0 || ack.SessionPresent {
				t.Errorf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
			}
			g.say(t, "a/3")
			w.ping(t)
			g.expectHeardAll(t, "a/1", "a/2", "a/3") // and no will
		})
	}
}

func TestCloseEndsOneSession(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "reader", "sub:a/#", "pub:will")
		w := g.enter(t, version, "reader", token, withWill("will", 0, false))
		w.mustSubscribe(t, "a/#")
		other := g.enter(t, version, "reader:2", token)
		if _, found := g.hook.Close("nobody", "test"); found {
			t.Error("closed a session that does not exist")
		}
		receipt, found := g.close("reader", "by root")
		if want := (authhook.Receipt{Sessions: 1, Subscriptions: 1}); !found || receipt != want {
			t.Errorf("the receipt is %+v, want %+v", receipt, want)
		}
		w.expectDisconnect(t, 0x98)
		g.expectHeard(t, "will") // the client may still publish
		other.ping(t)
		if e := g.events.expect(t, authhook.KindClose, authhook.RuleClosed); e.Detail != "by root" || e.MQTTClientID != "reader" {
			t.Errorf("the event is %+v", e)
		}
		w, ack := g.connect(t, version, "reader", token)
		if ack.ReasonCode != 0 || ack.SessionPresent {
			t.Errorf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
		}
		// An offline session is one too.
		w.mustSubscribe(t, "a/#")
		g.porter.expect(t, "reader")
		g.awaitOffline(t, w, "reader")
		g.say(t, "a/1")
		if receipt, found := g.close("reader", "test"); !found || receipt != (authhook.Receipt{Sessions: 1, Subscriptions: 1, Queued: 1}) {
			t.Errorf("the receipt is %+v", receipt)
		}
		if _, found := g.hook.Close("reader", "test"); found {
			t.Error("closed a session twice")
		}
	}
}

func TestW2_AWillIsPublishedOnlyByWhoMay(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			t.Parallel()
			g := openGate(t)
			token := g.token(t, "sensor-1", "pub:will")
			will := withWill("will", 1, true)

			w := g.enter(t, version, "sensor-1", token, will)
			g.awaitOffline(t, w, "sensor-1") // the network fails
			g.expectHeard(t, "will")
			if _, kept := g.server.Topics.Retained.Get("will"); !kept {
				t.Error("the will was not retained")
			}

			w = g.enter(t, version, "sensor-1", token, will)
			w.send(t, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
			g.awaitOffline(t, w, "sensor-1")
			g.expectNothingHeard(t)

			g.enter(t, version, "sensor-1", token, will)
			g.enter(t, version, "sensor-1", token, will) // takes over
			g.porter.expect(t, "sensor-1")
			g.expectHeard(t, "will")

			g.expectRefused(t, version, "sensor-1", "bad", badToken, "token-malformed", will)
			g.expectNothingHeard(t)

			g.events.forget()
			g.revoke("sensor-1")
			g.porter.expect(t, "sensor-1")
			if e := g.events.expect(t, authhook.KindWill, authhook.RuleRevoked); e.Allowed || e.Topic != "will" {
				t.Errorf("the event is %+v", e)
			}
			g.expectNothingHeard(t)
		})
	}
}

func TestS7_ADelayedWillIsWithdrawnWithTheRights(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	leave := func(id string, delay uint32) {
		w := g.enter(t, 5, id, g.token(t, id, "pub:will"), func(pk *packets.Packet) {
			withWill("will", 1, true)(pk)
			pk.Connect.WillProperties.WillDelayInterval = delay
		})
		g.awaitOffline(t, w, id)
		g.events.expect(t, authhook.KindWill, authhook.RuleGranted)
		g.events.forget()
	}
	leave("revoked", 1)
	leave("closed", 1)
	leave("kept", 2) // its will comes when the others' would have come
	g.revoke("revoked")
	g.hook.Close("closed", "test")
	g.revoke("closed")
	if pk := g.expectHeard(t, "will"); pk.Origin != "kept" {
		t.Errorf("the will of %q was published", pk.Origin)
	}
}

func TestW2_AWillIsJudgedAgainWhenTheSessionIsTakenOverWithFewerRights(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:will"), withWill("will", 0, true))
		g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:other"))
		g.porter.expect(t, "sensor-1")
		g.events.expect(t, authhook.KindWill, "no-grant")
		g.expectNothingHeard(t)
	}
}

// TestABusyClientLearnsWhyItIsClosed has the server close a connection on which the client is still sending.
func TestABusyClientLearnsWhyItIsClosed(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.CloseGrace = patience })
	for range 20 {
		w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a"))
		sending := make(chan struct{})
		go func() {
			defer close(sending)
			for w.write(message("a", 0, false)) == nil {
			}
		}()
		g.expectHeard(t, "a")
		g.hook.Close("sensor-1", "test")
		if pk := w.expect(t, packets.Disconnect); pk.ReasonCode != 0x98 {
			t.Errorf("DISCONNECT 0x%02x", pk.ReasonCode)
		}
		_ = w.conn.Close()
		<-sending
		g.porter.expect(t, "sensor-1")
		g.expectHeardAll(t, "a")
	}
}

func TestNothingIsKeptForASessionThatWasThrownAway(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:#", "pub:#"))
	g.awaitOffline(t, w, "reader")
	g.hook.Close("reader", "test")
	g.server.Topics.Subscribe("reader", packets.Subscription{Filter: "a", Qos: 1})
	g.say(t, "a")
	g.expectHeard(t, "a")
	cl, _ := g.server.Clients.Get("reader")
	if n := cl.State.Inflight.Len(); n != 0 {
		t.Errorf("%d messages wait for it", n)
	}
	if err := g.server.InjectPacket(cl, message("a", 0, false)); err != nil {
		t.Fatal(err)
	}
	g.expectNothingHeard(t)
}

func TestAMessageOfASessionThatIsBeingClosedIsNotForwarded(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:a"))
		g.revoke("sensor-1")
		_ = w.write(message("a", 1, false)) // the connection may be gone already
		w.expectDisconnect(t, 0x98)
		g.porter.expect(t, "sensor-1")
		g.expectNothingHeard(t)
	}
}

func TestAClientThatWantsNoReasonStringGetsNone(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"), func(pk *packets.Packet) { pk.Properties.RequestProblemInfoFlag = true })
	g.hook.Close("sensor-1", "test")
	if pk := w.expectDisconnect(t, 0x98); pk.Properties.ReasonString != "" {
		t.Errorf("the reason is %q", pk.Properties.ReasonString)
	}
	w = g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"))
	g.hook.Close("sensor-1", "the cause is for the log")
	if pk := w.expectDisconnect(t, 0x98); pk.Properties.ReasonString != "administrative action" {
		t.Errorf("the reason is %q", pk.Properties.ReasonString)
	}
}

// enterByPipe connects a client through a pipe, which holds nothing that is not read, so that the server is stuck in its write.
func (g *gate) enterByPipe(tb testing.TB, version byte, id, token string) *wire {
	tb.Helper()
	client, server := net.Pipe()
	g.establish("pipe", server)
	w := newWire(tb, client, version)
	w.send(tb, connectPacket(version, id, token, func(pk *packets.Packet) { pk.Connect.Keepalive = 0 }))
	w.expect(tb, packets.Connack)
	return w
}

// TestAClientThatDoesNotReadHoldsUpNobody would not end if closing waited for the client.
func TestAClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "stuck", "sub:a", "pub:a")
		stick := func() {
			w := g.enterByPipe(t, version, "stuck", token)
			w.mustSubscribe(t, "a")
			w.send(t, message("a", 0, false)) // comes back, and is not read
			g.expectHeard(t, "a")
		}
		stick()
		if receipt := g.revoke("stuck"); receipt.Sessions != 1 {
			t.Errorf("the receipt is %+v", receipt)
		}
		stick()
		g.enterByPipe(t, version, "stuck", token) // takes over
		stick()
		if _, found := g.hook.Close("stuck", "test"); !found {
			t.Error("no session was closed")
		}
	}
}
