package authhook_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// TestS1_AnotherClientCannotTouchASession lets strangers, with and without a right to the MQTT client ID, with good tokens and bad,
// connect under a client's MQTT client ID; then the client must find everything as it was.
func TestS1_AnotherClientCannotTouchASession(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{true, false} {
		for _, version := range []byte{4, 5} {
			for _, cleanStart := range []bool{true, false} {
				for _, beside := range []bool{false, true} {
					t.Run(fmt.Sprintf("online %v, version %d, clean %v, beside permit-all %v", online, version, cleanStart, beside), func(t *testing.T) {
						t.Parallel()
						testS1(t, online, version, cleanStart, beside)
					})
				}
			}
		}
	}
}

func testS1(t *testing.T, online bool, version byte, cleanStart, beside bool) {
	seen := new(bystander)
	g := openGate(t, func(s *settings) {
		s.after = append(s.after, seen)
		if beside {
			besidePermitAll(s)
		}
	})
	victimToken := g.token(t, "victim", "sub:a/#", "pub:will")
	victim := g.enter(t, version, "victim", victimToken, withWill("will", 1, false))
	victim.mustSubscribe(t, "a/#")
	if !online {
		victim.send(t, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
		victim.expectClosed(t)
		g.awaitOffline(t, victim, "victim")
		g.say(t, "a/queued")
	}

	g.clients.allow("stranger", "*")
	change := func(pk *packets.Packet) { pk.Connect.Clean = cleanStart }
	g.expectRefused(t, version, "victim", g.token(t, "stranger", "sub:#"), notAuthorized, authhook.RuleOwner, change)
	g.expectRefused(t, version, "victim", g.token(t, "other", "sub:#"), notAuthorized, authhook.RuleMQTTClientID, change)
	g.expectRefused(t, version, "victim", g.token(t, "stranger"), notAuthorized, authhook.RuleWill, change, withWill("x", 0, false))
	// S2
	g.expectRefused(t, version, "victim", "not a token", badToken, "token-malformed", change)
	g.clients.set("disabled", authhook.Status{MQTTClientIDs: []string{"*"}})
	g.expectRefused(t, version, "victim", g.token(t, "disabled"), notAuthorized, authhook.RuleClientInactive, change)

	if online {
		g.say(t, "a/live")
		victim.expectMessages(t, "a/live")
		victim.ping(t)
	} else {
		w, ack := g.connect(t, version, "victim", victimToken)
		if !ack.SessionPresent {
			t.Error("the session is gone")
		}
		w.expectMessages(t, "a/queued")
		g.say(t, "a/live")
		w.expectMessages(t, "a/live")
	}
	g.expectHeardAll(t, "a/live", "a/queued") // and no will
	if unsubscribed, dropped, _ := seen.saw(); len(unsubscribed)+len(dropped) > 0 && online {
		t.Errorf("unsubscribed %q, dropped %q", unsubscribed, dropped)
	}
}

// expectHeardAll empties what was forwarded, all of which must be on one of these topics.
func (g *gate) expectHeardAll(tb testing.TB, topics ...string) {
	tb.Helper()
	for {
		select {
		case pk := <-g.heard:
			if !slices.Contains(topics, pk.TopicName) {
				tb.Errorf("forwarded a message on %q", pk.TopicName)
			}
		default:
			return
		}
	}
}

func TestTheClientAfterWhichAnIDIsNamedThrowsOutASquatter(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{true, false} {
		for _, version := range []byte{4, 5} {
			seen := new(bystander)
			g := openGate(t, func(s *settings) { s.after = append(s.after, seen) })
			g.clients.allow("squatter", "*")
			for _, id := range []string{"sensor-1", "sensor-1:b"} {
				squatter := g.enter(t, version, id, g.token(t, "squatter", "sub:a/#"))
				squatter.mustSubscribe(t, "a/#")
				if !online {
					g.awaitOffline(t, squatter, id)
				}
				g.say(t, "a/for squatter")
				if online {
					squatter.expectMessage(t, "a/for squatter")
				}
				w, ack := g.connect(t, version, id, g.token(t, "sensor-1", "sub:a/#", "sub:b"))
				if ack.ReasonCode != 0 || ack.SessionPresent {
					t.Fatalf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
				}
				if online {
					squatter.expectDisconnect(t, 0x8e)
				}
				w.mustSubscribe(t, "b")
				g.say(t, "a/more", "b")
				w.expectMessages(t, "b")
				w.ping(t)
				if unsubscribed, _, _ := seen.saw(); !slices.Contains(unsubscribed, id+" a/#") {
					t.Errorf("the other hooks were told of %q", unsubscribed)
				}
				// Now it is the other's session, and the squatter stays out.
				g.expectRefused(t, version, id, g.token(t, "squatter"), notAuthorized, authhook.RuleOwner)
			}
		}
	}
}

func TestS3_ANarrowerTokenPrunesTheSession(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{true, false} {
		for _, version := range []byte{4, 5} {
			t.Run(fmt.Sprintf("online %v, version %d", online, version), func(t *testing.T) {
				t.Parallel()
				seen := new(bystander)
				g := openGate(t, func(s *settings) { s.after = append(s.after, seen) })
				w := g.enter(t, version, "reader", g.token(t, "reader", "sub:a/#", "sub:b/#", "sub:c"))
				w.mustSubscribe(t, "a/#", "b/#", "c", "$share/g/b/x")
				want := []string{"a/1", "c"}
				if !online {
					g.awaitOffline(t, w, "reader")
				}
				g.say(t, "a/1", "b/2", "c", "b/3")
				if online { // nothing is acknowledged, so everything will be sent again
					for range 4 {
						w.expect(t, packets.Publish)
					}
				}
				narrow := g.token(t, "reader", "sub:a/#?qos=0", "sub:c")
				next, ack := g.connect(t, version, "reader", narrow)
				if !ack.SessionPresent {
					t.Fatal("the session is gone")
				}
				next.expectMessages(t, want...)
				g.say(t, "b/4", "a/5", "c")
				if pk := next.expectMessage(t, "a/5"); pk.FixedHeader.Qos != 0 {
					t.Errorf("delivered at QoS %d, want 0", pk.FixedHeader.Qos)
				}
				next.expectMessages(t, "c")
				if n := g.hook.Sessions()[0].Subscriptions; n != 2 {
					t.Errorf("%d subscriptions are left, want 2", n)
				}
				unsubscribed, dropped, _ := seen.saw()
				if !slices.Equal(unsubscribed, []string{"reader $share/g/b/x", "reader b/#"}) {
					t.Errorf("the other hooks were told that %q were unsubscribed", unsubscribed)
				}
				if !slices.Contains(dropped, "reader b/2") || !slices.Contains(dropped, "reader b/3") {
					t.Errorf("the other hooks were told that %q were dropped", dropped)
				}
				if e := g.events.expect(t, authhook.KindResume, authhook.RuleNarrowed); e.Detail != "2 subscriptions and 2 queued messages dropped" {
					t.Errorf("the event says %q", e.Detail)
				}
			})
		}
	}
}

func TestAnOfflineSessionKeepsWhatItsLastTokenCovered(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	token := g.token(t, "reader", "sub:a/#")
	w := g.enter(t, 5, "reader", token)
	w.mustSubscribe(t, "a/#")
	g.awaitOffline(t, w, "reader")
	g.clock.forward(3 * time.Hour) // the token has expired long since
	g.server.Topics.Subscribe("reader", packets.Subscription{Filter: "b", Qos: 1})
	g.say(t, "a/1", "b")
	g.expectRefused(t, 5, "reader", token, badToken, "token-expired")
	w = g.enter(t, 5, "reader", g.token(t, "reader", "sub:#"))
	w.expectMessages(t, "a/1")
	w.ping(t)
}

func TestS4_TwoDevicesWithOneCredentialAreReported(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "sensor-1", "pub:a")
		first := g.enter(t, version, "sensor-1", token)
		second := g.enter(t, version, "sensor-1", token)
		first.expectDisconnect(t, 0x8e)
		second.ping(t)
		if e := g.events.expect(t, authhook.KindClose, authhook.RuleTakenOver); e.MQTTClientID != "sensor-1" || e.Detail == "" {
			t.Errorf("the event is %+v", e)
		}
		if n := len(g.hook.Sessions()); n != 1 {
			t.Errorf("there are %d sessions, want 1", n)
		}
	}
}

func TestASessionIsListedWhileItIsConnected(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "sensor-2", g.token(t, "sensor-2", "sub:a"))
	g.enter(t, 4, "sensor-1:x", g.token(t, "sensor-1"))
	w.mustSubscribe(t, "a")
	list := g.hook.Sessions()
	if len(list) != 2 || list[0].MQTTClientID != "sensor-1:x" || list[1].MQTTClientID != "sensor-2" {
		t.Fatalf("the list is %+v", list)
	}
	s := list[1]
	if s.ClientID != "sensor-2" || s.TokenID != "jti-sensor-2" || s.ProtocolVersion != 5 || s.Listener != "tcp" || s.Subscriptions != 1 ||
		s.Remote != w.conn.LocalAddr().String() || s.ConnectedAt.IsZero() || !s.ExpiresAt.After(s.ConnectedAt) {
		t.Errorf("the session is %+v", s)
	}
	g.awaitOffline(t, w, "sensor-2")
	if list := g.hook.Sessions(); len(list) != 1 || list[0].ClientID != "sensor-1" {
		t.Errorf("the list is %+v", list)
	}
}

// TestS1_OfManyClientsThatConnectAtOnceOneGetsTheID lets two clients race for an MQTT client ID to which both have a right.
func TestS1_OfManyClientsThatConnectAtOnceOneGetsTheID(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for _, id := range []string{"one", "two"} {
		g.clients.allow(id, "*")
	}
	var mu sync.Mutex
	owners := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 40 {
		id := []string{"one", "two"}[i%2]
		w := g.dial(t, 5)
		pk := connectPacket(5, "contested", g.token(t, id))
		wg.Go(func() {
			if w.write(pk) != nil {
				return
			}
			if ack, err := w.read(); err == nil && ack.ReasonCode == 0 {
				mu.Lock()
				defer mu.Unlock()
				owners[id] = true
			}
		})
	}
	wg.Wait()
	if len(owners) != 1 {
		t.Errorf("the ID belonged to %v, want one of them", owners)
	}
}

// A doorstep is a hook that holds up the CONNECTs that were accepted.
type doorstep struct {
	mqtt.HookBase
	arrived, proceed chan struct{}
}

func (d *doorstep) ID() string                { return "doorstep" }
func (d *doorstep) Provides(method byte) bool { return method == mqtt.OnConnect }

func (d *doorstep) OnConnect(*mqtt.Client, packets.Packet) error {
	d.arrived <- struct{}{}
	<-d.proceed
	return nil
}

func TestS1_AnIDIsReservedWhileItsClientIsStillConnecting(t *testing.T) {
	t.Parallel()
	step := &doorstep{arrived: make(chan struct{}), proceed: make(chan struct{})}
	g := openGate(t, func(s *settings) { s.after = append(s.after, step) })
	g.clients.allow("one", "*")
	g.clients.allow("two", "*")
	first := g.dial(t, 5)
	first.send(t, connectPacket(5, "contested", g.token(t, "one")))
	<-step.arrived
	g.expectRefused(t, 5, "contested", g.token(t, "two"), notAuthorized, authhook.RuleOwner)
	if n := len(g.hook.Sessions()); n != 0 {
		t.Errorf("%d sessions are listed", n)
	}
	close(step.proceed)
	if ack := first.expect(t, packets.Connack); ack.ReasonCode != 0 {
		t.Errorf("CONNACK 0x%02x", ack.ReasonCode)
	}
}

func TestS7_AClientThatIsClosedWhileItConnectsDoesNotGetIn(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		step := &doorstep{arrived: make(chan struct{}), proceed: make(chan struct{})}
		g := openGate(t, func(s *settings) { s.after = append(s.after, step) })
		w := g.dial(t, version)
		w.send(t, connectPacket(version, "sensor-1", g.token(t, "sensor-1")))
		<-step.arrived
		g.clients.set("sensor-1", authhook.Status{})
		if r := g.revoke("sensor-1"); r.Sessions != 0 {
			t.Errorf("the receipt is %+v", r)
		}
		close(step.proceed)
		w.expectClosed(t)
		if n := len(g.hook.Sessions()); n != 0 {
			t.Errorf("%d sessions are listed", n)
		}
	}
}

// TestAClientFromBeforeTheHookGetsNothing connects a client to a server that permits everything, and adds the hook then.
func TestAClientFromBeforeTheHookGetsNothing(t *testing.T) {
	t.Parallel()
	g := &gate{server: mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: true}), clock: &clock{}}
	if err := g.server.AddHook(new(permitAll), nil); err != nil {
		t.Fatal(err)
	}
	if err := g.server.Serve(); err != nil {
		t.Fatal(err)
	}
	g.listen(t)
	w := g.enter(t, 5, "early", "any")
	w.mustSubscribe(t, "#")
	hook, err := authhook.New(g.server, authhook.Config{Verifier: newVerifier(t, g.clock.Now)})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.server.AddHook(hook, nil); err != nil {
		t.Fatal(err)
	}
	g.say(t, "a")
	w.send(t, message("a", 1, false))
	w.expectClosed(t)
}

// TestOfTwoHooksOnOneServerNeitherActsForTheOther expects nothing to work: each hook refuses the sessions of the other.
func TestOfTwoHooksOnOneServerNeitherActsForTheOther(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	second, err := authhook.New(g.server, authhook.Config{Verifier: newVerifier(t, g.clock.Now)})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.server.AddHook(second, nil); err != nil {
		t.Fatal(err)
	}
	w := g.dial(t, 5)
	w.send(t, connectPacket(5, "sensor-1", g.token(t, "sensor-1", "pub:a")))
	w.send(t, message("a", 0, false))
	for {
		if _, err := w.read(); err != nil {
			break
		}
	}
	g.expectNothingHeard(t)
}

// TestAClientThatTakesOverAgainAndAgainStaysOnMochisList has sessions that end with their connections: mochi clears them away by MQTT
// client ID, whoever has it by then.
func TestAClientThatTakesOverAgainAndAgainStaysOnMochisList(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "sensor-1", "sub:a", "pub:will")
		for range 50 {
			w := g.enter(t, version, "sensor-1", token, withWill("will", 0, false), func(pk *packets.Packet) {
				pk.Connect.Clean, pk.Properties.SessionExpiryInterval = true, 0
			})
			w.mustSubscribe(t, "a")
			g.say(t, "a")
			w.expectMessages(t, "a")
		}
		for range 49 {
			g.porter.expect(t, "sensor-1")
		}
		if _, listed := g.server.Clients.Get("sensor-1"); !listed {
			t.Error("the client is a ghost")
		}
		if n := len(g.hook.Sessions()); n != 1 {
			t.Errorf("%d sessions are listed, want 1", n)
		}
	}
}
