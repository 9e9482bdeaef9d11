package authhook_test

import (
	"fmt"
	"strings"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// deniedTopics are topics that the scopes of TestA12 refuse, each for a reason of its own.
var deniedTopics = []struct {
	topic  string
	minQoS byte // the lowest QoS at which it is refused
	retain bool
	rule   string
}{
	{"other/topic", 0, false, "no-grant"},
	{"a/b/c", 0, false, "no-grant"}, // A2
	{"a/bc", 0, false, "no-grant"},  // A2
	{"a/b/", 0, false, "no-grant"},  // A2
	{"a//b", 0, false, "no-grant"},  // A2
	{"A/b", 0, false, "no-grant"},   // letter case
	{"read/only", 0, false, "no-grant"},
	{"low/x", 1, false, "qos-above-limit"},        // A9
	{"forget/x", 0, true, "retain-not-allowed"},   // A9
	{"$SYS/broker/x", 0, false, "reserved-topic"}, // A5
	{"$sys", 0, true, "reserved-topic"},           // A5
	{"$share/g/a/b", 0, false, "reserved-topic"},  // A5
	{"$SHARE/g/a/b", 0, false, "reserved-topic"},  // A5
	{"$other/x", 0, false, "no-grant"},            // A5
	{"a/b\x01", 0, false, "malformed-topic"},
	{strings.Repeat("deep/", 200), 0, false, "too-deep"}, // A11
	{strings.Repeat("long", 300), 0, false, "too-long"},  // A11
}

var deniedScopes = []string{"pub:a/b", "pub:+/only/mine", "pub:low/#?qos=0", "pub:forget/#?retain=false", "sub:read/only", "sub:#"}

// TestA12_ARefusedPublishIsForwardedToNobody goes through every way to be refused, in both protocols, at every QoS, alone and beside
// hooks that permit everything.
func TestA12_ARefusedPublishIsForwardedToNobody(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		for _, version := range []byte{4, 5} {
			t.Run(fmt.Sprintf("version %d, beside permit-all %v", version, beside), func(t *testing.T) {
				t.Parallel()
				g := openGate(t, func(s *settings) {
					if beside {
						besidePermitAll(s)
					}
				})
				w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", deniedScopes...))
				for _, c := range deniedTopics {
					for qos := c.minQoS; qos <= 2; qos++ {
						g.events.forget()
						want := byte(0)
						if version == 5 && qos > 0 {
							want = 0x87
						}
						if code := w.publish(t, c.topic, qos, c.retain); code != want {
							t.Errorf("%.20q at QoS %d: answered 0x%02x, want 0x%02x", c.topic, qos, code, want)
						}
						g.expectNothingHeard(t)
						if e := g.events.expect(t, authhook.KindPublish, c.rule); e.Allowed || e.ReasonCode != want || e.Topic == "" {
							t.Errorf("%.20q at QoS %d: the event is %+v", c.topic, qos, e)
						}
						if _, kept := g.server.Topics.Retained.Get(c.topic); kept {
							t.Errorf("%.20q at QoS %d was retained", c.topic, qos)
						}
					}
				}
				w.publish(t, "a/b", 2, false) // the connection has survived all this
				g.expectHeard(t, "a/b")
			})
		}
	}
}

func TestUnderTheDisconnectPolicyARefusedPublishEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.OnDenied = authhook.RFC9431 })
	for _, version := range []byte{4, 5} {
		for qos := range byte(3) {
			w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:a/b"))
			if version == 5 && qos > 0 {
				if code := w.publish(t, "other", qos, false); code != 0x87 {
					t.Errorf("QoS %d: answered 0x%02x, want 0x87", qos, code)
				}
				continue
			}
			w.send(t, message("other", qos, false))
			w.expectDisconnect(t, 0x87)
			g.expectNothingHeard(t)
		}
	}
}

func TestATopicThatIsNoneEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for _, version := range []byte{4, 5} {
		for _, topic := range []string{"", "a/#", "+/b"} {
			w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:#"))
			w.send(t, message(topic, 1, false))
			w.expectDisconnect(t, 0x82)
			g.expectNothingHeard(t)
		}
	}
}

func TestA9_LimitsOfAGrant(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:keep/#?qos=1", "pub:drop/#?retain=false"))
	for _, c := range []struct {
		topic  string
		qos    byte
		retain bool
		want   byte
	}{
		{"keep/x", 1, true, 0}, {"keep/x", 2, false, 0x87}, {"drop/x", 2, false, 0}, {"drop/x", 1, true, 0x87},
	} {
		if code := w.publish(t, c.topic, c.qos, c.retain); code != c.want {
			t.Errorf("%s QoS %d retain %v: 0x%02x, want 0x%02x", c.topic, c.qos, c.retain, code, c.want)
		}
	}
	if _, kept := g.server.Topics.Retained.Get("keep/x"); !kept {
		t.Fatal("the retained message was not kept")
	}
	// An empty retained message deletes: that takes the same right.
	w.publish(t, "drop/x", 0, false)
	other := g.enter(t, 5, "sensor-2", g.token(t, "sensor-2", "pub:keep/#?retain=false"))
	deletion := message("keep/x", 1, true)
	deletion.Payload = nil
	other.send(t, deletion)
	if ack := other.expect(t, packets.Puback); ack.ReasonCode != 0x87 {
		t.Errorf("deleting a retained message: 0x%02x, want 0x87", ack.ReasonCode)
	}
	if _, kept := g.server.Topics.Retained.Get("keep/x"); !kept {
		t.Error("the retained message is gone")
	}
}

// aliased returns a PUBLISH with a topic alias.
func aliased(topic string, alias uint16, qos byte) packets.Packet {
	pk := message(topic, qos, false)
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = alias, true
	return pk
}

// rawAlias returns the bytes of a PUBLISH at QoS 0 with an alias that mochi's encoder would not write.
func rawAlias(topic string, alias uint16) []byte {
	body := append([]byte{0, byte(len(topic))}, topic...)
	body = append(body, 3, 0x23, byte(alias>>8), byte(alias))
	return append([]byte{0x30, byte(len(body))}, body...)
}

func TestA7_ATopicAliasIsJudgedOnItsTopic(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		g := openGate(t, func(s *settings) {
			if beside {
				besidePermitAll(s)
			}
		})
		token := g.token(t, "sensor-1", "pub:a/+")
		w, ack := g.connect(t, 5, "sensor-1", token)
		if ack.Properties.TopicAliasMaximum != 16 {
			t.Fatalf("the server takes %d aliases, want 16", ack.Properties.TopicAliasMaximum)
		}
		exchange := func(pk packets.Packet, want byte, heard string) {
			t.Helper()
			w.send(t, pk)
			if code := w.finishPublish(t, pk); code != want {
				t.Errorf("answered 0x%02x, want 0x%02x", code, want)
			}
			if heard == "" {
				g.expectNothingHeard(t)
			} else if pk := g.expectHeard(t, heard); pk.Properties.TopicAliasFlag {
				t.Error("the alias went on")
			}
		}
		for qos := range byte(3) {
			refused := byte(0x87)
			if qos == 0 {
				refused = 0
			}
			exchange(aliased("a/x", 1, qos), 0, "a/x")
			exchange(aliased("", 1, qos), 0, "a/x")
			exchange(aliased("b/x", 2, qos), refused, "")
			exchange(aliased("", 2, qos), refused, "")
			exchange(aliased("a/y", 2, qos), 0, "a/y")
			exchange(aliased("", 2, qos), 0, "a/y")
			exchange(aliased("b/z", 1, qos), refused, "")
			exchange(aliased("", 1, qos), refused, "")
		}
		for _, c := range []struct {
			topic string
			alias uint16
			code  byte
		}{
			{"", 16, 0x82}, {"", 0, 0x94}, {"a/x", 0, 0x94}, {"a/x", 17, 0x94}, {"", 17, 0x94}, {"", 65535, 0x94},
		} {
			w := g.enter(t, 5, "sensor-1", token)
			if _, err := w.conn.Write(rawAlias(c.topic, c.alias)); err != nil {
				t.Fatal(err)
			}
			w.expectDisconnect(t, c.code)
			g.expectNothingHeard(t)
		}
		// A topic too long to be kept under its alias is refused and not remembered.
		w = g.enter(t, 5, "sensor-1", token)
		w.send(t, aliased("a/"+strings.Repeat("x", 1100), 3, 1))
		if ack := w.expect(t, packets.Puback); ack.ReasonCode != 0x87 {
			t.Errorf("overlong topic: 0x%02x", ack.ReasonCode)
		}
		w.send(t, aliased("", 3, 1))
		w.expectDisconnect(t, 0x82)
	}
}

func TestNoAliasIsTakenWhereTheServerAllowsNone(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) {
		s.options.Capabilities = mqtt.NewDefaultServerCapabilities()
		s.options.Capabilities.TopicAliasMaximum = 0
	})
	w, ack := g.connect(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:#"))
	if ack.Properties.TopicAliasMaximum != 0 {
		t.Errorf("the server takes %d aliases", ack.Properties.TopicAliasMaximum)
	}
	w.send(t, aliased("a", 1, 1))
	w.expectDisconnect(t, 0x94)
}
