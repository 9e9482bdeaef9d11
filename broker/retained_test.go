package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// The allow hook leaves the user name of the CONNECT as the owner.
func ownedBy(owner string) with {
	return func(pk *packets.Packet) { pk.Connect.Username = []byte(owner) }
}

func (r *running) expectRetained(owner string, want int) {
	r.tb.Helper()
	if got := r.RetainedBy(owner); got != want {
		r.tb.Errorf("%q owns %d retained messages, want %d", owner, got, want)
	}
}

func TestARetainedMessageBelongsToItsLastPublisher(t *testing.T) {
	t.Parallel()
	for _, store := range []bool{false, true} {
		t.Run(fmt.Sprint("with store ", store), func(t *testing.T) {
			t.Parallel()
			r := start(t, func(s *setup) {
				if store {
					s.DataDir = t.TempDir()
				}
			})
			a, _ := r.connect("a", ownedBy("anna"))
			b, _ := r.connect("b", ownedBy("bert"))
			a.publish(retained("x", "1", 1))
			a.publish(retained("y", "1", 0))
			a.publish(message("z", "not retained", 1))
			a.publish(retained("x", "2", 2))
			r.expectRetained("anna", 2)
			b.publish(retained("x", "3", 1))
			r.expectRetained("anna", 1)
			r.expectRetained("bert", 1)
			a.publish(retained("x", "", 1)) // whoever deletes it
			r.expectRetained("bert", 0)
			must(t, r.Publish(t.Context(), "y", []byte("the program's"), 1, true))
			r.expectRetained("anna", 0)
			r.expectRetained("", 0)
			a.publish(retained("never/there", "", 1))
			r.expectRetained("anna", 0)
		})
	}
}

func TestAWillIsARetainedMessageOfItsClient(t *testing.T) {
	t.Parallel()
	r := start(t, dataDir(t.TempDir()))
	retain := func(pk *packets.Packet) { pk.Connect.WillRetain = true }
	c, _ := r.connect("c", v5, ownedBy("anna"), will("lost/c", "x", 1), retain)
	d, _ := r.connect("d", v5, kept, ownedBy("dora"), will("lost/d", "x", 1), retain, delay(1))
	// Its session ends with the connection, and so does the delay (MQTT 5 §3.1.3.2.2).
	e, _ := r.connect("e", v5, ownedBy("emil"), will("lost/e", "x", 1), retain, delay(1))
	f, _ := r.connect("f", v5, kept, expiresAfter(2), ownedBy("fred"), will("lost/f", "x", 1), retain, delay(60))
	for _, lost := range []*raw{c, d, e, f} {
		_ = lost.Close()
	}
	for _, owner := range []string{"anna", "dora", "emil", "fred"} {
		eventually(t, "the will of "+owner+" is retained", func() bool { return r.RetainedBy(owner) == 1 })
	}
}

func TestThePublisherOfARetainedMessageIsKnownAfterARestart(t *testing.T) {
	t.Parallel()
	dir, later := t.TempDir(), &clock{}
	r := start(t, dataDir(dir), later.use)
	a, _ := r.connect("a", v5, ownedBy("anna"))
	b, _ := r.connect("b", ownedBy("bert"))
	for i := range 5 {
		a.publish(retained(fmt.Sprint("a/", i), "x", 1))
		b.publish(retained(fmt.Sprint("b/", i), "x", 1))
	}
	b.publish(retained("a/0", "x", 1))
	a.publish(retained("a/1", "", 1))
	brief := retained("a/2", "x", 1)
	brief.Properties.MessageExpiryInterval = 60
	a.publish(brief)
	must(t, r.Publish(t.Context(), "program", []byte("x"), 1, true))
	r.stop()

	later.advance(time.Hour)
	r = start(t, dataDir(dir), later.use)
	r.expectRetained("anna", 2)
	r.expectRetained("bert", 6)
	n, err := r.RemoveRetained(t.Context(), "bert")
	must(t, err)
	if n != 6 {
		t.Errorf("%d messages were removed", n)
	}
	r.stop()

	r = start(t, dataDir(dir), later.use)
	r.expectRetained("anna", 2)
	r.expectRetained("bert", 0)
	for topic, want := range map[string]bool{"a/0": false, "a/1": false, "a/2": false, "a/3": true, "a/4": true, "b/0": false, "program": true} {
		if _, there := r.Server().Topics.Retained.Get(topic); there != want {
			t.Errorf("%s: restored %v", topic, there)
		}
	}
}

func TestRemovingTheRetainedMessagesOfAnOwnerReachesSubscribers(t *testing.T) {
	t.Parallel()
	r := start(t)
	device, _ := r.connect("device", ownedBy("device"))
	other, _ := r.connect("other", ownedBy("other"))
	for i := range 3 {
		device.publish(retained(fmt.Sprint("lot/", i), "occupied", 1))
	}
	other.publish(retained("lot/other", "free", 1))
	reader, _ := r.connect("reader")
	reader.subscribe("lot/+", 1)
	for range 4 {
		reader.sendAck(packets.Puback, reader.expect(packets.Publish).PacketID)
	}
	n, err := r.RemoveRetained(t.Context(), "device")
	must(t, err)
	if n != 3 {
		t.Errorf("%d messages were removed", n)
	}
	for range 3 {
		reader.sendAck(packets.Puback, reader.expectMessage("").PacketID)
	}
	reader.ping()
	late, _ := r.connect("late")
	late.sendSubscribe("lot/+", 1)
	late.expect(packets.Suback)
	late.expectMessage("free")
	late.ping()
	for owner, want := range map[string]int{"device": 0, "nobody": 0, "": 0} {
		if n, err := r.RemoveRetained(t.Context(), owner); n != want || err != nil {
			t.Errorf("removing what %q owns: %d, %v", owner, n, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := r.RemoveRetained(ended, "other"); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %d, %v", n, err)
	}
	r.stop()
	if _, err := r.RemoveRetained(t.Context(), "other"); !errors.Is(err, broker.ErrNotRunning) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestOwnersAreRightAfterManyHavePublishedOnTheSameTopics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	const clients, rounds, topics = 4, 100, 3
	owners := map[string]string{} // of payloads
	var group sync.WaitGroup
	for c := range clients {
		owner := fmt.Sprint("owner-", c)
		owners[owner] = owner
		client, _ := r.connect(owner, ownedBy(owner))
		group.Go(func() {
			for i := range rounds {
				payload := owner
				if i%10 == c {
					payload = ""
				}
				client.publish(retained(fmt.Sprint("t/", i%topics), payload, 1))
			}
		})
	}
	group.Wait()
	check := func(r *running) {
		count := map[string]int{}
		for topic := range topics {
			if pk, ok := r.Server().Topics.Retained.Get(fmt.Sprint("t/", topic)); ok {
				count[string(pk.Payload)]++
			}
		}
		for owner := range owners {
			r.expectRetained(owner, count[owner])
		}
	}
	check(r)
	r.stop()
	check(start(t, dataDir(dir)))
}

func TestAFolderOfFormat1IsReadAndRaised(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	c, _ := r.connect("c", kept, ownedBy("anna"))
	c.publish(retained("a", "new", 1))
	r.stop()
	old, err := broker.EncodeMessage(packets.Packet{
		ProtocolVersion: 5, TopicName: "b", Payload: []byte("old"), Origin: "c", Created: time.Now().Unix(),
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1, Retain: true},
	})
	must(t, err)
	edit(t, dir, func(txn *badger.Txn) { must(t, txn.Set([]byte("rb"), old)) })
	format := filepath.Join(dir, "FORMAT")
	must(t, os.WriteFile(format, []byte("boomgate broker 1\n"), 0o600))

	r = start(t, dataDir(dir))
	r.expectRetained("anna", 1)
	if pk, ok := r.Server().Topics.Retained.Get("b"); !ok || string(pk.Payload) != "old" {
		t.Errorf("the old record is read as %v, %q", ok, pk.Payload)
	}
	c, _ = r.connect("c", kept, ownedBy("anna"))
	c.publish(retained("b", "renewed", 1))
	r.expectRetained("anna", 2)
	r.stop()
	if text, err := os.ReadFile(format); err != nil || string(text) != "boomgate broker 2\n" {
		t.Errorf("the folder says %q, %v", text, err)
	}
}
