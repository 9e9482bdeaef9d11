package attacks_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on the moment of a revocation, S7: the client is busy, stuck, or not even there yet.

func TestS7_ARevokedClientHearsAndSaysNothingMoreWhileMessagesFlow(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--client-max-messages-per-second", "0")
	steady := s.Token(s.Service("steady", "pub:flow/#", "sub:flow/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		id := harness.Name("meter", version)
		token := s.Token(s.Service(id, "pub:flow/#", "sub:flow/#"))
		watch := harness.Enter(t, s, version, harness.Hello{ID: "steady:watch", Password: steady})
		watch.MustSubscribe(1, "flow/in", "flow/marker")
		reader := harness.Enter(t, s, version, harness.Hello{ID: id + ":reader", Password: token})
		reader.MustSubscribe(0, "flow/out")

		stop := flow(harness.Enter(t, s, version, harness.Hello{ID: "steady:flow", Password: steady}), version, "flow/out")
		ended := flow(harness.Enter(t, s, version, harness.Hello{ID: id + ":writer", Password: token}), version, "flow/in")
		reader.Next()
		watch.Next()
		if got := s.Disable(id); got.Sessions != 2 {
			t.Errorf("the receipt says %+v, want 2 sessions", got)
		}
		stop()

		// What is said after the receipt does not reach the reader, and nothing more comes of the writer.
		last := harness.Enter(t, s, version, harness.Hello{ID: "steady:last", Password: steady})
		last.Publish(harness.Message{Topic: "flow/out", Payload: "too late", QoS: 1})
		for range 2 {
			last.Publish(harness.Message{Topic: "flow/marker", QoS: 1})
		}
		watch.Until("flow/marker")
		watch.ExpectTopics("flow/marker")
		reader.ExpectDisconnect(0x98)
		if slices.ContainsFunc(reader.Early, func(m harness.Packet) bool { return m.Payload == "too late" }) {
			t.Error("a message that was published after the receipt was delivered")
		}
		ended()
	})
}

// flow publishes one message after the other until it is told to stop or its connection ends.
func flow(w *harness.Wire, version byte, topic string) (stop func()) {
	var stopped atomic.Bool
	done := make(chan struct{})
	m := harness.Message{Topic: topic, Payload: "flows", QoS: 1}.Encode(version, 1)
	go func() {
		defer close(done)
		for !stopped.Load() {
			if _, err := w.Conn.Write(m); err != nil {
				return
			}
			if p, err := w.Read(); err != nil || p.Kind != harness.TypePuback {
				return
			}
		}
	}()
	return func() {
		stopped.Store(true)
		<-done
	}
}

func TestS7_ARevokedMemberOfASharedGroupTakesNothingFromTheOthers(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	stays := s.Token(s.Service("stays", "sub:work/#", "pub:work/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		id := harness.Name("goes", version)
		token := s.Token(s.Service(id, "sub:work/#"))
		const share = "$share/crew/work/task"
		good := harness.Enter(t, s, version, harness.Hello{ID: "stays", Password: stays})
		good.MustSubscribe(1, share, "work/marker")
		bad := make([]*harness.Wire, 0, 3)
		for i := range 3 {
			w := harness.Enter(t, s, version, harness.Hello{ID: harness.Name(id+":", i), Password: token, Keep: true})
			w.MustSubscribe(1, share)
			bad = append(bad, w)
		}
		bad[2].Leave() // an absent member is one, too
		if got := s.Disable(id); got.Sessions != 3 || got.Subscriptions != 3 {
			t.Errorf("the receipt says %+v, want 3 sessions and 3 subscriptions", got)
		}
		boss := harness.Enter(t, s, version, harness.Hello{ID: "stays:boss", Password: stays})
		for i := range 20 {
			boss.Publish(harness.Message{Topic: "work/task", Payload: fmt.Sprint(i), QoS: 1})
		}
		boss.Publish(harness.Message{Topic: "work/marker", QoS: 1})
		if got := good.Until("work/marker"); len(got) != 20 {
			t.Errorf("the member that is left got %d of 20 messages", len(got))
		}
		for _, w := range bad[:2] {
			w.ExpectDisconnect(0x98)
			if len(w.Early) > 0 {
				t.Errorf("a revoked member got %q", harness.Topics(w.Early))
			}
		}
		boss.Leave()
		good.Leave()
	})
}

func TestS7_ARetainedReplayEndsWithTheRevocation(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	const count = 200
	owner := harness.Enter(t, s, 5, harness.Hello{ID: "owner", Password: s.Token(s.Service("owner", "pub:lot/#"))})
	for i := range count {
		owner.Publish(harness.Message{Topic: fmt.Sprint("lot/", i), Payload: strings.Repeat("x", 100_000), Retain: true, QoS: 1})
	}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		id := harness.Name("meter", version)
		token := s.Token(s.Service(id, "sub:lot/#"))
		w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: token})
		readLittle(t, w)
		w.Send(harness.EncodeSubscribe(version, 1, 0, "lot/#")) // 4 MB, which nobody reads
		harness.Eventually(t, "the replay has begun", func() bool { return s.Sessions(id)[0].Subscriptions == 1 })
		if got := s.Disable(id); got.Sessions != 1 || got.Subscriptions != 1 {
			t.Errorf("the receipt says %+v, want 1 session and 1 subscription", got)
		}
		owner.Publish(harness.Message{Topic: "lot/0", Payload: id, Retain: true, QoS: 1})
		text, closed := drained(t, w)
		if !closed || strings.Contains(text, id) || strings.Count(text, "lot/") == count {
			t.Errorf("closed %v; it got %d of %d messages, one of after the receipt among them: %v",
				closed, strings.Count(text, "lot/"), count, strings.Contains(text, id))
		}
		harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: token}, harness.NotAuthorized, "client-inactive")
	})
}

// readLittle leaves the system little room for what the server sends.
func readLittle(tb testing.TB, w *harness.Wire) {
	tb.Helper()
	setReadBuffer(tb, w, 32<<10)
}

// drained reads all that a connection has still to say, as readAll does, and has the system take it quickly.
func drained(tb testing.TB, w *harness.Wire) (text string, closed bool) {
	tb.Helper()
	setReadBuffer(tb, w, 4<<20)
	return readAll(tb, w)
}

func setReadBuffer(tb testing.TB, w *harness.Wire, size int) {
	tb.Helper()
	tcp, ok := w.Conn.(*net.TCPConn)
	if !ok {
		tb.Fatal("no TCP connection")
	}
	harness.Must(tb, tcp.SetReadBuffer(size))
}

func TestS7_ADelayedWillDiesWithItsRight(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "reader", Password: s.Token(s.Service("reader", "sub:#"))})
	watch.MustSubscribe(1, "#")
	ways := revocations(f)
	delete(ways, keyRevoked) // it would end the reader as well
	ways["control"] = revocation{revoke: func(*harness.Server, subject) harness.Receipt { return harness.Receipt{Wills: 1} }}
	for what, way := range ways {
		id := idOf("meter", what)
		who := newSubject(s, id)
		delay := uint32(1)
		if what == "control" {
			delay = 3 // is published after all others would have been
		}
		will := &harness.Message{Topic: id + "/state", Payload: "lost", QoS: 1, Retain: true}
		w := harness.Enter(t, s, 5, harness.Hello{ID: id, Password: who.token, Keep: true, Will: will, WillDelay: delay})
		w.Drop()
		s.Log.Wait(t, "event=will", "client_id="+id+" ")
		if got := way.revoke(s, who); got.Wills != 1 {
			t.Errorf("%s: the receipt says %+v, want 1 will", what, got)
		}
	}
	watch.ExpectTopics("meter-control/state")
}

func TestS7_AKickLandsOnAReaderThatNeverReads(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--write-timeout", "1m") // it is not the broker's own patience that ends
	steady := s.Token(s.Service("steady", "pub:flood/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		id := harness.Name("stuck", version)
		token := s.Token(s.Service(id, "sub:flood/#"))
		var stuck []*harness.Wire
		for qos := range byte(3) {
			stuck = append(stuck, neverRead(t, s, version, harness.Hello{ID: fmt.Sprint(id, ":", qos), Password: token, Keep: true}, qos))
		}
		writer := harness.Enter(t, s, version, harness.Hello{ID: "steady", Password: steady})
		for range 200 {
			writer.Publish(harness.Message{Topic: "flood/x", Payload: strings.Repeat("x", 64<<10), QoS: 1})
		}
		if got := s.Disable(id); got.Sessions != 3 || got.Subscriptions != 3 || got.Queued == 0 {
			t.Errorf("the receipt says %+v, want 3 sessions, 3 subscriptions and what waited for them", got)
		}
		if live := s.Sessions(id); len(live) > 0 {
			t.Errorf("after the receipt the API lists %+v", live)
		}
		writer.Publish(harness.Message{Topic: "flood/x", Payload: "too late", QoS: 1})
		for _, w := range stuck {
			if text, closed := drained(t, w); !closed || strings.Contains(text, "too late") {
				t.Errorf("closed %v, with what was published after the receipt: %v", closed, strings.Contains(text, "too late"))
			}
		}
		writer.Leave()
	})
}

func TestS7_NoConnectSlipsThroughARevocation(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		for round := range 4 {
			id := harness.Name("meter", version, round)
			hello := harness.Hello{ID: id, Password: s.Token(s.Service(id, "pub:a")), Keep: true}
			if round%2 == 0 {
				hello.ID += ":%d" // and else all under one MQTT client ID, each throwing out the one before
			}
			crowd := storm(t, s, version, hello)
			s.Disable(id)
			for _, w := range crowd() {
				if last, closed := w.End(); !closed {
					t.Errorf("a connection that began while its client was disabled lives on: packet type %d", last.Kind)
				}
			}
			if live := s.Sessions(id); len(live) > 0 {
				t.Errorf("after the receipt the API lists %+v", live)
			}
		}
	})
}

// storm connects again and again, by several at once, and says in the end which connections there were. The first is let in before
// it returns.
func storm(tb testing.TB, s *harness.Server, version byte, hello harness.Hello) (crowd func() []*harness.Wire) {
	tb.Helper()
	const parties, each = 4, 25
	var all [parties][]*harness.Wire
	var group sync.WaitGroup
	var once sync.Once
	in := make(chan struct{})
	for party := range parties {
		group.Go(func() {
			for i := range each {
				w, h := harness.Dial(tb, s.MQTT, version), hello
				h.ID = strings.ReplaceAll(h.ID, "%d", fmt.Sprint(party, "-", i))
				all[party] = append(all[party], w)
				if _, err := w.Conn.Write(h.Encode(version)); err != nil {
					continue
				}
				if p, err := w.Read(); err == nil && p.Kind == harness.TypeConnack && p.Code() == 0 {
					once.Do(func() { close(in) })
				}
			}
		})
	}
	<-in
	return func() []*harness.Wire {
		group.Wait()
		return slices.Concat(all[:]...)
	}
}

func TestS7_AGhostOfAQuickReconnectIsKickedToo(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		id := harness.Name("ghost", version)
		hello := harness.Hello{ID: id, Password: s.Token(s.Service(id, "pub:a", "sub:a")), Keep: true}
		packets := bytes.Join([][]byte{hello.Encode(version), harness.EncodeSubscribe(version, 1, 1, "a")}, nil)
		wires := make([]*harness.Wire, 0, 20)
		for range cap(wires) { // none waits for its CONNACK
			w := harness.Dial(t, s.MQTT, version)
			w.Send(packets)
			wires = append(wires, w)
		}
		harness.Eventually(t, "one of them is in", func() bool { return len(s.Sessions(id)) > 0 })
		s.Disable(id)
		for i, w := range wires {
			if _, closed := w.End(); !closed {
				t.Errorf("connection %d lives on", i)
			}
		}
		harness.ExpectRefused(t, s, version, hello, harness.NotAuthorized, "client-inactive")
	})
}

func TestS7_AnOperatorsKickEndsOneSession(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:a", "sub:a"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		first := harness.Enter(t, s, version, harness.Hello{ID: "meter:1", Password: token, Keep: true})
		first.MustSubscribe(1, "a")
		second := harness.Enter(t, s, version, harness.Hello{ID: "meter:2", Password: token})
		if got := s.End(http.MethodDelete, "/v1/sessions/meter:1", nil); got != (harness.Receipt{Sessions: 1, Subscriptions: 1}) {
			t.Errorf("the receipt says %+v, want 1 session and 1 subscription", got)
		}
		first.ExpectDisconnect(0x98)
		second.Ping()
		second.Leave()
		harness.Resume(t, s, version, harness.Hello{ID: "meter:1", Password: token, Keep: true}, false).Leave() // a session of its own, nothing of the old
	})
}
