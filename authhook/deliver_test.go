package authhook_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// A bystander is a hook that sees what a store would see.
type bystander struct {
	mqtt.HookBase
	mu           sync.Mutex
	unsubscribed []string // "<MQTT client ID> <filter>"
	dropped      []string // "<MQTT client ID> <topic>"
	published    []string
}

func (b *bystander) ID() string { return "bystander" }

func (b *bystander) Provides(method byte) bool {
	return method == mqtt.OnUnsubscribed || method == mqtt.OnQosDropped || method == mqtt.OnPublished
}

func (b *bystander) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range pk.Filters {
		b.unsubscribed = append(b.unsubscribed, cl.ID+" "+f.Filter)
	}
}

func (b *bystander) OnQosDropped(cl *mqtt.Client, pk packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped = append(b.dropped, cl.ID+" "+pk.TopicName)
}

func (b *bystander) OnPublished(_ *mqtt.Client, pk packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published = append(b.published, pk.TopicName+" "+string(pk.Payload))
}

func (b *bystander) saw() (unsubscribed, dropped, published []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.unsubscribed)
	slices.Sort(b.dropped)
	return slices.Clone(b.unsubscribed), slices.Clone(b.dropped), slices.Clone(b.published)
}

// say publishes as the server itself, at QoS 1.
func (g *gate) say(tb testing.TB, topics ...string) {
	tb.Helper()
	for _, topic := range topics {
		if err := g.server.Publish(topic, []byte("said"), false, 1); err != nil {
			tb.Fatal(err)
		}
	}
}

// expectMessages reads one message on each of these topics, in any order, acknowledges them, and makes sure that there was no other.
func (w *wire) expectMessages(tb testing.TB, topics ...string) {
	tb.Helper()
	var got []string
	for range topics {
		pk := w.expect(tb, packets.Publish)
		got = append(got, pk.TopicName)
		w.acknowledge(tb, pk)
	}
	slices.Sort(got)
	slices.Sort(topics)
	if !slices.Equal(got, topics) {
		tb.Errorf("received messages on %q, want %q", got, topics)
	}
}

// acknowledge answers a message at QoS 1.
func (w *wire) acknowledge(tb testing.TB, pk packets.Packet) {
	tb.Helper()
	if pk.FixedHeader.Qos == 1 {
		w.send(tb, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID})
	}
}

// TestA12_AMessageOutsideTheGrantsIsNotDelivered puts subscriptions into mochi's index behind the hook's back.
func TestA12_AMessageOutsideTheGrantsIsNotDelivered(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		for _, version := range []byte{4, 5} {
			for qos := range byte(3) {
				t.Run(fmt.Sprintf("version %d, QoS %d, beside permit-all %v", version, qos, beside), func(t *testing.T) {
					t.Parallel()
					g := openGate(t, func(s *settings) {
						if beside {
							besidePermitAll(s)
						}
					})
					w := g.enter(t, version, "reader", g.token(t, "reader", "sub:own/#"))
					w.mustSubscribe(t, "own/#")
					for _, f := range []string{"other/#", "own/../#", "$SYS/secret", "#"} {
						g.server.Topics.Subscribe("reader", packets.Subscription{Filter: f, Qos: qos})
					}
					for _, topic := range []string{"other/kept", "$SYS/secret", "owner"} {
						if err := g.server.Publish(topic, []byte("secret"), true, 2); err != nil {
							t.Fatal(err)
						}
					}
					g.say(t, "own", "other/x", "own/last")
					w.expectMessages(t, "own", "own/last")
					w.ping(t)
					cl, _ := g.server.Clients.Get("reader")
					if n := cl.State.Inflight.Len(); n != 0 {
						t.Errorf("%d messages wait for the client", n)
					}
					g.events.expect(t, authhook.KindDeliver, authhook.RuleNotCovered)
				})
			}
		}
	}
}

func TestR2_ARetainedMessageIsDeliveredOnlyInsideTheGrants(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePermitAll)
	for _, topic := range []string{"own/a", "own/b", "other/c", "$SYS/d"} {
		if err := g.server.Publish(topic, []byte("retained"), true, 1); err != nil {
			t.Fatal(err)
		}
	}
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:own/+"))
	if codes := w.subscribe(t, "#", "own/+"); !slices.Equal(codes, []byte{0x87, 2}) {
		t.Fatalf("SUBACK %x", codes)
	}
	w.expectMessages(t, "own/a", "own/b")
	w.ping(t)
}

func TestARefusedMessageReachesNoOtherHook(t *testing.T) {
	t.Parallel()
	seen := new(bystander)
	g := openGate(t, besidePermitAll, func(s *settings) { s.before = append(s.before, seen) })
	w := g.enter(t, 4, "sensor-1", g.token(t, "sensor-1", "pub:a"))
	for qos := range byte(3) {
		w.publish(t, "b", qos, false)
	}
	w.publish(t, "a", 1, false)
	w.ping(t)
	if _, _, published := seen.saw(); slices.ContainsFunc(published, func(p string) bool { return p == "b payload" || p == "$share/refused/- payload" }) {
		t.Errorf("another hook saw %q", published)
	}
}

func TestA7_OutboundTopicAliasesNameOneTopicOnly(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	token := g.token(t, "reader", "sub:a/#")
	two := func(pk *packets.Packet) { pk.Properties.TopicAliasMaximum = 2 }
	w := g.enter(t, 5, "reader", token, two)
	w.mustSubscribe(t, "a/#")
	known := map[uint16]string{}
	for _, c := range []struct {
		topic string
		alias uint16
		bare  bool // the topic is left out
	}{
		{"a/1", 1, false}, {"a/1", 1, true}, {"a/2", 2, false}, {"a/3", 0, false}, {"a/2", 2, true}, {"a/1", 1, true}, {"a/3", 0, false},
	} {
		g.say(t, c.topic)
		pk := w.expect(t, packets.Publish)
		w.acknowledge(t, pk)
		if pk.Properties.TopicAlias != c.alias || (pk.TopicName == "") != c.bare {
			t.Errorf("%s: topic %q with alias %d, want alias %d", c.topic, pk.TopicName, pk.Properties.TopicAlias, c.alias)
		}
		if pk.TopicName != "" {
			known[pk.Properties.TopicAlias] = pk.TopicName
		} else if known[pk.Properties.TopicAlias] != c.topic {
			t.Errorf("alias %d means %q, want %q", pk.Properties.TopicAlias, known[pk.Properties.TopicAlias], c.topic)
		}
	}
	// What waited for the client comes with its topic, on a connection where no alias is set.
	g.awaitOffline(t, w, "reader")
	g.say(t, "a/1", "a/2")
	w = g.enter(t, 5, "reader", token, two)
	w.expectMessages(t, "a/1", "a/2")
}

func TestA7_ATopicIsLeftOutOnlyOnceTheAliasWasSent(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.enter(t, 5, "reader", g.token(t, "reader", "sub:a"), func(pk *packets.Packet) { pk.Properties.TopicAliasMaximum = 2 })
	cl, _ := g.server.Clients.Get("reader")
	first, second := g.hook.OnPacketEncode(cl, message("a", 0, false)), g.hook.OnPacketEncode(cl, message("a", 0, false))
	if first.TopicName != "a" || second.TopicName != "a" || first.Properties.TopicAlias != 1 || second.Properties.TopicAlias != 1 {
		t.Errorf("encoded as %q/%d and %q/%d", first.TopicName, first.Properties.TopicAlias, second.TopicName, second.Properties.TopicAlias)
	}
	g.hook.OnPacketSent(cl, second, nil)
	if third := g.hook.OnPacketEncode(cl, message("a", 0, false)); third.TopicName != "" {
		t.Errorf("then as %q", third.TopicName)
	}
}

func TestASharedSubscriptionSkipsMembersThatMayNotHaveTheMessage(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		g := openGate(t, func(s *settings) {
			if beside {
				besidePermitAll(s)
			}
		})
		const filter = "$share/workers/jobs/#"
		good := g.enter(t, 5, "good", g.token(t, "good", "sub:jobs/#"))
		good.mustSubscribe(t, filter)
		// One member is offline, one lost its rights, one never had any; the last two are in the index behind the hook's back.
		away := g.enter(t, 5, "away", g.token(t, "away", "sub:jobs/#"))
		away.mustSubscribe(t, filter)
		g.awaitOffline(t, away, "away")
		for _, id := range []string{"denied", "stranger"} {
			if id == "denied" {
				g.enter(t, 5, id, g.token(t, id, "sub:other"))
			}
			g.server.Topics.Subscribe(id, packets.Subscription{Filter: filter, Qos: 1})
		}
		for i := range 40 {
			topic := fmt.Sprint("jobs/", i)
			g.say(t, topic)
			pk := good.expectMessage(t, topic)
			good.acknowledge(t, pk)
		}
		// With no member connected the message waits for one that may have it.
		g.awaitOffline(t, good, "good")
		g.hook.Close("good", "test")
		g.say(t, "jobs/later")
		away = g.enter(t, 5, "away", g.token(t, "away", "sub:jobs/#"))
		away.expectMessages(t, "jobs/later")
		g.hook.Close("away", "test")
		g.say(t, "jobs/nobody") // nobody is left, and nothing breaks
	}
}
