package authhook_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// holds returns the status of an active client that holds these scopes.
func holds(scopes ...string) authhook.Status { return authhook.Status{Active: true, Scopes: scopes} }

// TestS7_NarrowerRightsPruneTheSession takes from a client what its token still says.
func TestS7_NarrowerRightsPruneTheSession(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{true, false} {
		for _, version := range []byte{4, 5} {
			t.Run(fmt.Sprintf("online %v, version %d", online, version), func(t *testing.T) {
				t.Parallel()
				seen := new(bystander)
				g := openGate(t, func(s *settings) { s.after = append(s.after, seen) })
				token := g.token(t, "reader", "sub:a/#", "sub:b/#", "pub:out/#", "pub:will")
				w := g.enter(t, version, "reader", token, withWill("will", 0, true))
				w.mustSubscribe(t, "a/#", "b/#", "$share/g/b/x")
				other := g.enter(t, version, "other", g.token(t, "other", "sub:b/#"))
				other.mustSubscribe(t, "b/#")
				want := authhook.Receipt{Rejudged: 1, Subscriptions: 2, Queued: 1, Wills: 1}
				if !online {
					g.awaitOffline(t, w, "reader")
					want.Wills = 0 // it was published
				}
				g.say(t, "a/1", "b/1")
				if online {
					w.expect(t, packets.Publish)
					w.expect(t, packets.Publish) // neither is acknowledged
				}
				other.expectMessages(t, "b/1")

				g.clients.set("reader", holds("sub:a/+", "sub:a/#?qos=1", "pub:out/x"))
				if r := g.rejudge("reader"); r != want {
					t.Errorf("the receipt is %+v, want %+v", r, want)
				}
				unsubscribed, dropped, _ := seen.saw()
				if !slices.Equal(unsubscribed, []string{"reader $share/g/b/x", "reader b/#"}) || !slices.Equal(dropped, []string{"reader b/1"}) {
					t.Errorf("the other hooks were told that %q were unsubscribed and %q dropped", unsubscribed, dropped)
				}
				if e := g.events.expect(t, authhook.KindRejudge, authhook.RuleNarrowed); e.ClientID != "reader" {
					t.Errorf("the event is %+v", e)
				}
				g.say(t, "b/2")
				other.expectMessages(t, "b/2")
				if !online {
					w = g.enter(t, version, "reader", token)
					w.expectMessages(t, "a/1")
				}
				w.ping(t)
				expectRefusedNow(t, w, "out/y", "b/#")
				// With the rights the token counts again, but what is gone is gone.
				g.clients.set("reader", holds(everything()...))
				if r := g.rejudge("reader"); r != (authhook.Receipt{Rejudged: 1}) {
					t.Errorf("the receipt is %+v", r)
				}
				w.publish(t, "out/y", 1, false)
				w.mustSubscribe(t, "b/#")
				g.awaitOffline(t, w, "reader")
				g.expectHeardAll(t, "a/1", "b/1", "b/2", "out/y", "will")
			})
		}
	}
}

// expectRefusedNow makes sure that a client may neither publish to a topic nor subscribe to a filter.
func expectRefusedNow(tb testing.TB, w *wire, topic, filter string) {
	tb.Helper()
	if code := w.publish(tb, topic, 1, false); w.version == 5 && code != 0x87 {
		tb.Errorf("PUBACK 0x%02x for %q", code, topic)
	}
	if codes := w.subscribe(tb, filter); codes[0] < 0x80 {
		tb.Errorf("SUBACK 0x%02x for %q", codes[0], filter)
	}
}

func TestS3_ASessionMayDoWhatItsTokenAndItsClientBothAllow(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.clients.set("sensor-1", holds("pub:both/#?qos=1", "pub:client/#", "sub:both/#?qos=1", "sub:client/#"))
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:both/a", "pub:token/a", "sub:both/+", "sub:token/a"))
	for _, c := range []struct {
		topic string
		qos   byte
		want  byte
	}{{"both/a", 1, 0}, {"both/a", 2, 0x87}, {"both/b", 1, 0x87}, {"token/a", 1, 0x87}, {"client/a", 1, 0x87}} {
		if code := w.publish(t, c.topic, c.qos, false); code != c.want {
			t.Errorf("%s at QoS %d: 0x%02x, want 0x%02x", c.topic, c.qos, code, c.want)
		}
	}
	if codes := w.subscribe(t, "both/+", "both/#", "token/a", "client/a"); !slices.Equal(codes, []byte{1, 0x87, 0x87, 0x87}) {
		t.Errorf("SUBACK %x", codes)
	}
	g.expectRefused(t, 5, "sensor-1:b", g.token(t, "sensor-1", "pub:token/a"), notAuthorized, authhook.RuleWill, withWill("token/a", 0, false))
}

func TestS7_AClientThatMayNotBeConnectedAnyLongerIsClosed(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		for _, c := range []struct {
			status authhook.Status
			rule   string
		}{
			{authhook.Status{}, authhook.RuleClientInactive},
			{authhook.Status{Active: true, Scopes: everything(), MQTTClientIDs: []string{"gateway-8"}}, authhook.RuleMQTTClientID},
		} {
			g := openGate(t)
			g.clients.allow("gateway", "gateway-*")
			token := g.token(t, "gateway", "sub:a", "pub:will")
			w := g.enter(t, version, "gateway-7", token, withWill("will", 0, false))
			w.mustSubscribe(t, "a")
			assigned := g.enter(t, version, "", token, clean) // which needs no binding
			g.clients.set("gateway", c.status)
			want := authhook.Receipt{Sessions: 1, Rejudged: 1, Subscriptions: 1, Wills: 1}
			if !c.status.Active {
				want.Sessions, want.Rejudged = 2, 0
			}
			if r := g.rejudge("gateway"); r != want {
				t.Errorf("the receipt is %+v, want %+v", r, want)
			}
			w.expectDisconnect(t, 0x98)
			g.porter.expect(t, "gateway-7")
			g.expectNothingHeard(t)
			if e := g.events.expect(t, authhook.KindClose, c.rule); e.ClientID != "gateway" {
				t.Errorf("the event is %+v", e)
			}
			if c.status.Active {
				assigned.ping(t)
			}
		}
	}
}

func TestWhereRightsCannotBeToldThereAreNoneAndNothingIsTakenAway(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:a", "pub:b"))
	w.mustSubscribe(t, "a")
	g.clients.setBroken(true)
	if r := g.rejudge("reader"); r != (authhook.Receipt{}) {
		t.Errorf("the receipt is %+v", r)
	}
	g.events.expect(t, authhook.KindRejudge, authhook.RuleStatusUnavailable)
	expectRefusedNow(t, w, "b", "a")
	g.say(t, "a")
	w.ping(t)
	if n := g.hook.Sessions()[0].Subscriptions; n != 1 {
		t.Errorf("%d subscriptions are left", n)
	}
	g.clients.setBroken(false)
	expectRefusedNow(t, w, "b", "a") // the question is not put for every message
	g.clock.forward(2 * time.Second)
	if code := w.publish(t, "b", 1, false); code != 0 {
		t.Errorf("PUBACK 0x%02x", code)
	}
	g.say(t, "a")
	w.expectMessages(t, "a")
}

// A deskClerk is a ClientStatus whose answers can be held up.
type deskClerk struct {
	*clientTable
	*barrier
}

func (c *deskClerk) ClientStatus(ctx context.Context, clientID string) (authhook.Status, error) {
	status, err := c.clientTable.ClientStatus(ctx, clientID)
	c.pass()
	return status, err
}

// TestS7_RightsThatChangeWhileAClientIsAskedAboutAreAskedForAgain changes the rights when the answer was given but has not arrived.
func TestS7_RightsThatChangeWhileAClientIsAskedAboutAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		clerk := &deskClerk{barrier: newBarrier()}
		g := openGate(t, func(s *settings) {
			clerk.clientTable, _ = s.Clients.(*clientTable)
			s.Clients = clerk
		})
		clerk.closed.Store(true)
		w := g.dial(t, version)
		w.send(t, connectPacket(version, "reader", g.token(t, "reader", "sub:#", "pub:b")))
		<-clerk.arrived
		g.clients.set("reader", holds("sub:a"))
		judged := make(chan authhook.Receipt)
		go func() { judged <- g.rejudge("reader") }()
		clerk.open()
		w.expect(t, packets.Connack)
		<-judged
		expectRefusedNow(t, w, "b", "b")
	}
}

func TestS7_ASubscriptionThatIsGrantedWhileTheRightsGoDoesNotStay(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		hall := newHallway(mqtt.OnSubscribe)
		g := openGate(t, func(s *settings) { s.after = append(s.after, hall) })
		w := g.enter(t, version, "reader", g.token(t, "reader", "sub:a", "sub:b", "sub:c"))
		hall.closed.Store(true)
		w.send(t, packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1,
			Filters: packets.Subscriptions{{Filter: "a"}, {Filter: "b", Qos: 1}, {Filter: "c", Qos: 1}},
		})
		<-hall.arrived
		g.clients.set("reader", holds("sub:b", "sub:c?qos=0"))
		g.rejudge("reader")
		hall.open()
		w.expect(t, packets.Suback)
		if n := len(g.server.Topics.Subscribers("a").Subscriptions); n != 0 {
			t.Errorf("the index has %d subscribers to a", n)
		}
		if n := g.hook.Sessions()[0].Subscriptions; n != 2 {
			t.Errorf("%d subscriptions are left, want 2", n)
		}
		g.say(t, "a", "c")
		if pk := w.expectMessage(t, "c"); pk.FixedHeader.Qos != 0 {
			t.Errorf("delivered at QoS %d", pk.FixedHeader.Qos)
		}
	}
}

func TestS7_WhatAClientInheritsWhileItsRightsGoIsPruned(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		hall := newHallway(mqtt.OnSessionEstablish)
		g := openGate(t, func(s *settings) { s.after = append(s.after, hall) })
		token := g.token(t, "reader", "sub:a", "sub:b")
		w := g.enter(t, version, "reader", token)
		w.mustSubscribe(t, "a", "b")
		g.awaitOffline(t, w, "reader")
		hall.closed.Store(true)
		w = g.dial(t, version)
		w.send(t, connectPacket(version, "reader", token))
		<-hall.arrived
		g.clients.set("reader", holds("sub:b"))
		g.hook.Rejudge(authhook.Selection{TokenID: "none"}, "test") // another's business
		if r := g.rejudge("reader"); r.Rejudged != 2 || r.Subscriptions != 1 {
			t.Errorf("the receipt is %+v", r)
		}
		g.server.Topics.Subscribe("reader", packets.Subscription{Filter: "a"})
		cl, _ := g.server.Clients.Get("reader")
		cl.State.Subscriptions.Add("a", packets.Subscription{Filter: "a"}) // as if mochi had handed it over before
		hall.open()
		w.expect(t, packets.Connack)
		w.ping(t)
		if n := g.hook.Sessions()[0].Subscriptions; n != 1 {
			t.Errorf("%d subscriptions are left, want 1", n)
		}
	}
}

func TestS3_ATokenOfManyScopesCountsWhereAllAreHeld(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	scopes := make([]string, 40)
	for i := range scopes {
		scopes[i] = fmt.Sprint("pub:a/", i)
	}
	g.clients.set("all", holds(scopes...))
	g.clients.set("most", holds(scopes[:39]...))
	for id, want := range map[string]byte{"all": 0, "most": 0x87} {
		w := g.enter(t, 5, id, g.token(t, id, scopes...))
		for topic, want := range map[string]byte{"a/0": 0, "a/38": 0, "a/39": want} {
			if code := w.publish(t, topic, 1, false); code != want {
				t.Errorf("%s to %s: PUBACK 0x%02x, want 0x%02x", id, topic, code, want)
			}
		}
	}
}

func TestS7_ARestoredSessionIsRejudgedAtOnce(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) {
		s.Clients.(*clientTable).set("owner", holds("sub:#"))
		s.after = append(s.after, &archive{owner: "owner", filters: []string{"a/#", "b/#"}, queued: []string{"a/stored", "b/stored"}})
	})
	g.clients.set("owner", holds("sub:a/#"))
	if r := g.rejudge("owner"); r != (authhook.Receipt{Rejudged: 1, Subscriptions: 1, Queued: 1}) {
		t.Errorf("the receipt is %+v", r)
	}
	g.say(t, "a/1", "b/1")
	cl, _ := g.server.Clients.Get("reader")
	if n := cl.State.Inflight.Len(); n != 2 {
		t.Errorf("%d messages wait, want 2", n)
	}
	g.clients.set("owner", authhook.Status{})
	if r := g.rejudge("owner"); r != (authhook.Receipt{Sessions: 1, Subscriptions: 1, Queued: 2}) {
		t.Errorf("the receipt is %+v", r)
	}
}
