package broker_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/broker"
)

func TestInboundIdentifiersAreMappedBackAndForth(t *testing.T) {
	t.Parallel()
	seen := map[uint16]bool{}
	for id := range uint16(65_535) {
		mapped := broker.InboundID(id + 1)
		if mapped == 0 || seen[mapped] || broker.InboundID(mapped) != id+1 {
			t.Fatalf("%d is mapped to %d", id+1, mapped)
		}
		seen[mapped] = true
	}
	if broker.InboundID(0) != 0 {
		t.Error("no identifier becomes one")
	}
}

func TestMessagesAreOrderedByAge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Uint16().Draw(t, "first identifier")
		created := int64(rapid.Uint16().Draw(t, "first second"))
		var want []packets.Packet
		for range rapid.IntRange(0, 200).Draw(t, "messages") {
			if id == 0 {
				id++
			}
			want = append(want, packets.Packet{PacketID: id, Created: created})
			id += uint16(rapid.IntRange(1, 20).Draw(t, "step"))
			created += int64(rapid.IntRange(0, 1).Draw(t, "later"))
		}
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		if got = broker.InOrder(got); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", ids(got), ids(want))
		}
	})
}

func ids(pks []packets.Packet) []uint16 {
	var ids []uint16
	for _, pk := range pks {
		ids = append(ids, pk.PacketID)
	}
	return ids
}

func TestKeysOfDifferentRecordsDiffer(t *testing.T) {
	t.Parallel()
	part := rapid.StringMatching(`[ab:/\x00]{0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		id1, id2 := part.Draw(t, "id1"), part.Draw(t, "id2")
		filter1, filter2 := part.Draw(t, "filter1"), part.Draw(t, "filter2")
		for kind1, key1 := range broker.Keys(id1, filter1, 1) {
			for kind2, key2 := range broker.Keys(id2, filter2, 1) {
				same := kind1 == kind2
				switch kind1 {
				case "session", "message":
					same = same && id1 == id2
				case "retained":
					same = same && filter1 == filter2
				default:
					same = same && id1 == id2 && filter1 == filter2
				}
				if (key1 == key2) != same {
					t.Fatalf("%s %q/%q has key %q, %s %q/%q has %q", kind1, id1, filter1, key1, kind2, id2, filter2, key2)
				}
			}
		}
		id, rest, err := broker.SplitOwned([]byte(broker.Keys(id1, filter1, 1)["subscription"]))
		if id != id1 || string(rest) != filter1 || err != nil {
			t.Fatalf("taken apart as %q, %q, %v", id, rest, err)
		}
	})
}

func TestAStoredMessageIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	full := packets.Packet{
		ProtocolVersion: 5, PacketID: 9, TopicName: "a/b", Payload: []byte{0, 1, 2}, Origin: "sender", Created: 1_700_000_000, Expiry: 1_700_000_060,
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 2, Retain: true},
		Properties: packets.Properties{
			PayloadFormat: 1, PayloadFormatFlag: true, ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte("c"),
			SubscriptionIdentifier: []int{1, 300}, User: []packets.UserProperty{{Key: "k", Val: "v"}, {Key: "k", Val: "w"}},
		},
	}
	plain := packets.Packet{ProtocolVersion: 4, PacketID: 1, TopicName: "t", Payload: []byte("x"), FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}}
	rel := packets.Packet{PacketID: 3, Created: 5, FixedHeader: packets.FixedHeader{Type: packets.Pubrel, Qos: 1}}
	rec := packets.Packet{PacketID: 3, Created: 5, FixedHeader: packets.FixedHeader{Type: packets.Pubrec}}
	for _, want := range []packets.Packet{full, plain, rel, rec} {
		stored, err := broker.EncodeMessage(want)
		must(t, err)
		got, err := broker.DecodeMessage(stored)
		must(t, err)
		want.FixedHeader.Remaining = got.FixedHeader.Remaining
		if len(got.Payload) == 0 {
			got.Payload = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if _, err := broker.EncodeMessage(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}); err == nil {
		t.Error("a CONNECT was encoded")
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, pk := range []packets.Packet{
		{ProtocolVersion: 5, PacketID: 9, TopicName: "a", Payload: []byte("x"), Origin: "o", FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}},
		{PacketID: 3, FixedHeader: packets.FixedHeader{Type: packets.Pubrel, Qos: 1}},
	} {
		stored, err := broker.EncodeMessage(pk)
		must(f, err)
		f.Add(stored)
	}
	f.Add([]byte{})
	f.Add([]byte{5, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, stored []byte) {
		pk, err := broker.DecodeMessage(stored)
		if err != nil {
			return
		}
		again, err := broker.EncodeMessage(pk)
		if err != nil {
			return // decoding is more lenient than encoding
		}
		if _, err := broker.DecodeMessage(again); err != nil {
			t.Errorf("what was written anew cannot be read: %v", err)
		}
	})
}

// FuzzFraming compares framing with a reader that has the whole stream.
func FuzzFraming(f *testing.F) {
	f.Add([]byte{0x10, 2, 0, 0, 0x30, 1, 0}, uint8(1))
	f.Add([]byte{0x30, 0}, uint8(0))
	f.Add([]byte{0x10, 0x80, 0x80, 0x80, 0x80, 0}, uint8(3))
	f.Add([]byte{0x10, 0x81, 0x01}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		const maxConnect = 128
		want := frames(stream, maxConnect)
		at := int(cut) % (len(stream) + 1)
		if got := broker.CheckFrames(maxConnect, stream[:at], stream[at:]) == nil; got != want {
			t.Errorf("cut at %d: accepted %v, want %v", at, got, want)
		}
	})
}

// frames reports whether a stream may be the beginning of an MQTT connection.
func frames(stream []byte, maxConnect int) bool {
	r := bytes.NewBuffer(stream)
	for first := true; r.Len() > 0; first = false {
		if kind, _ := r.ReadByte(); first && kind != 0x10 {
			return false
		}
		counted := &countingReader{Buffer: r}
		length, _, err := packets.DecodeLength(counted)
		if errors.Is(err, errTooMany) || err != nil && r.Len() > 0 {
			return false
		}
		if err != nil {
			return true // cut short
		}
		if first && length > maxConnect {
			return false
		}
		r.Next(min(length, r.Len()))
	}
	return true
}

var errTooMany = errors.New("more than four bytes")

type countingReader struct {
	*bytes.Buffer
	n int
}

func (c *countingReader) ReadByte() (byte, error) {
	if c.n++; c.n > 4 {
		return 0, errTooMany
	}
	b, err := c.Buffer.ReadByte()
	if err == nil && c.n == 4 && b&0x80 != 0 {
		return 0, errTooMany
	}
	return b, err
}
