package authhook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// subackCode returns what MQTT 3.1.1 makes of a reason code.
func subackCode(version, code byte) byte {
	if version < 5 && code >= 0x80 {
		return 0x80
	}
	return code
}

func TestA12_ARefusedSubscriptionDoesNotExist(t *testing.T) {
	t.Parallel()
	cases := []struct {
		scope, filter string
		code          byte
	}{
		{"sub:a/+", "a/#", 0x87},
		{"sub:a/+", "+/#", 0x87},
		{"sub:a/+", "#", 0x87},
		{"sub:a/+", "+/+", 0x87}, // A1
		{"sub:+", "#", 0x87},
		{"sub:a/+/+", "a/+/#", 0x87}, // A1
		{"sub:a/b", "a/b/c", 0x87},
		{"sub:a/b", "a/b/", 0x87},
		{"sub:a/b", "A/b", 0x87},
		{"pub:a/b", "a/b", 0x87}, // A2
		{"sub:a/+", "$share/g/a/#", 0x87},
		{"sub:a/+", "$SHARE/g/a/#", 0x87},
		{"sub:a/+", "$sHaRe/g/b", 0x87}, // A4
		{"sub:a/+", "$share//a/b", 0x8f},
		{"sub:a/+", "$share/g/", 0x8f},
		{"sub:a/+", "$share/g", 0x8f},
		{"sub:a/+", "$share/g+/a/b", 0x8f},
		{"sub:#", "$SYS/#", 0x87},
		{"sub:+/#", "$SYS/broker/clients/total", 0x87},
		{"sub:#", "$other/x", 0x87}, // A5
		{"sub:#", "a#", 0x8f},
		{"sub:#", "a+b", 0x8f},
		{"sub:#", "#/a", 0x8f},
		{"sub:#", "a/#/b", 0x8f},
		{"sub:#", "", 0x8f}, // A11
		{"sub:#", strings.Repeat("a/", 400), 0x8f},
		{"sub:#", strings.Repeat("/", 65000), 0x8f}, // A11
		{"sub:a", "#/not authorized", 0x8f},
		{"sub:a", "#/quota exceeded", 0x8f},
		{"sub:a", "#/malformed", 0x8f}, // the hook's own marks
	}
	for _, beside := range []bool{false, true} {
		for _, version := range []byte{4, 5} {
			t.Run(fmt.Sprintf("version %d, beside permit-all %v", version, beside), func(t *testing.T) {
				t.Parallel()
				g := openGate(t, func(s *settings) {
					if beside {
						besidePermitAll(s)
					}
				})
				for _, c := range cases {
					w := g.enter(t, version, "reader", g.token(t, "reader", c.scope), clean)
					codes := w.subscribe(t, c.filter)
					if want := []byte{subackCode(version, c.code)}; !slices.Equal(codes, want) {
						t.Errorf("%s, SUBSCRIBE %.30q: %x, want %x", c.scope, c.filter, codes, want)
					}
					if n := g.hook.Sessions()[0].Subscriptions; n != 0 {
						t.Errorf("%s, SUBSCRIBE %.30q: the session has %d subscriptions", c.scope, c.filter, n)
					}
				}
				if n := len(g.server.Topics.Subscribers("a/b").Subscriptions); n != 0 {
					t.Errorf("the index has %d subscribers to a/b", n)
				}
			})
		}
	}
}

func TestA4_AGrantedSharedSubscriptionWorks(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for _, prefix := range []string{"$share", "$SHARE", "$Share"} {
		w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:a/#", "pub:a/#"), clean)
		w.mustSubscribe(t, prefix+"/group/a/+")
		w.send(t, message("a/b", 0, false))
		w.expectMessage(t, "a/b")
	}
}

func TestA10_MixedVerdictsInOneSubscribe(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t, func(s *settings) { s.Limits.Subscriptions = 3 })
		w := g.enter(t, version, "reader", g.token(t, "reader", "sub:a/#?qos=1", "sub:b"))
		got := w.subscribe(t, "a/1", "c", "b", "a/#/x", "a/2", "a/3", "a/1")
		want := []byte{1, 0x87, 2, 0x8f, 1, 0x97, 1}
		for i := range want {
			want[i] = subackCode(version, want[i])
		}
		// The last filter repeats the first within one packet, which counts as one too many.
		want[6] = subackCode(version, 0x97)
		if !slices.Equal(got, want) {
			t.Errorf("version %d: %x, want %x", version, got, want)
		}
		if got := w.subscribe(t, "a/1", "b"); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("version %d: subscribing again: %x", version, got)
		}
		if e := g.events.expect(t, authhook.KindSubscribe, authhook.RuleTooManySubscriptions); e.Topic != "a/3" {
			t.Errorf("the event is %+v", e)
		}
		if n := g.hook.Sessions()[0].Subscriptions; n != 3 {
			t.Errorf("version %d: %d subscriptions, want 3", version, n)
		}
	}
}

func TestA10_ManyRefusedFiltersAreReportedTogether(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:a"))
	filters := make([]string, 500)
	for i := range filters {
		filters[i] = fmt.Sprint("b/", i)
	}
	filters[499] = "a"
	codes := w.subscribe(t, filters...)
	if len(codes) != 500 || codes[0] != 0x87 || codes[498] != 0x87 || codes[499] != 2 {
		t.Errorf("codes %x", codes)
	}
	e := g.events.expect(t, authhook.KindSubscribe, authhook.RuleManyRefused)
	if !strings.HasPrefix(e.Detail, "483 ") {
		t.Errorf("the rest is reported as %q", e.Detail)
	}
}

func TestASubscriptionsQoSIsLoweredToTheGrants(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:a?qos=0", "pub:a"))
	if codes := w.subscribe(t, "a"); !slices.Equal(codes, []byte{0}) {
		t.Fatalf("SUBACK %x, want QoS 0", codes)
	}
	w.send(t, message("a", 1, false))
	for range 2 { // the answer and the message, in either order
		pk, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		if pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos != 0 {
			t.Errorf("delivered at QoS %d", pk.FixedHeader.Qos)
		}
	}
}

func TestA11_AnUnsubscribeOfVeryManyLevelsIsCheap(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "reader", g.token(t, "reader", "sub:#"))
	w.mustSubscribe(t, "a/b")
	w.send(t, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 7,
		Filters: packets.Subscriptions{{Filter: strings.Repeat("/", 65000)}, {Filter: "a/b"}},
	})
	if ack := w.expect(t, packets.Unsuback); !slices.Equal(ack.ReasonCodes, []byte{0x11, 0}) {
		t.Errorf("UNSUBACK %x", ack.ReasonCodes)
	}
}
