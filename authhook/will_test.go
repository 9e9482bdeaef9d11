package authhook_test

import (
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// TestW2_AWillIsJudgedByTheTokenThatTakesOver has the connection fail by itself while it is being taken over: its will may be judged
// by its successor's token alone.
func TestW2_AWillIsJudgedByTheTokenThatTakesOver(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		hall := newHallway(mqtt.OnSessionEstablish)
		g := openGate(t, func(s *settings) { s.after = append(s.after, hall) })
		w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:will"), withWill("will", 0, true))
		hall.closed.Store(true)
		next := g.dial(t, version)
		next.send(t, connectPacket(version, "sensor-1", g.token(t, "sensor-1", "pub:other")))
		<-hall.arrived
		g.awaitOffline(t, w, "sensor-1")
		g.events.expect(t, authhook.KindWill, "no-grant")
		hall.open()
		next.expect(t, packets.Connack)
		g.expectNothingHeard(t)
	}
}

// TestS7_AWillIsWithdrawnWhileItIsOnItsWay revokes a client when its will with a delay has been judged, but does not wait yet.
func TestS7_AWillIsWithdrawnWhileItIsOnItsWay(t *testing.T) {
	t.Parallel()
	hall := newHallway(mqtt.OnWill)
	g := openGate(t, func(s *settings) { s.after = append(s.after, hall) })
	delayed := func(id string, delay uint32) *wire {
		return g.enter(t, 5, id, g.token(t, id, "pub:will"), func(pk *packets.Packet) {
			withWill("will", 1, true)(pk)
			pk.Connect.WillProperties.WillDelayInterval = delay
		})
	}
	w := delayed("revoked", 1)
	hall.closed.Store(true)
	_ = w.conn.Close()
	<-hall.arrived
	if r := g.revoke("revoked"); r != (authhook.Receipt{Sessions: 1, Wills: 1}) {
		t.Errorf("the receipt is %+v", r)
	}
	hall.open()
	g.porter.expect(t, "revoked")
	g.awaitOffline(t, delayed("kept", 2), "kept") // its will comes when the other's would have come
	if pk := g.expectHeard(t, "will"); pk.Origin != "kept" {
		t.Errorf("the will of %q was published", pk.Origin)
	}
}

func TestS7_ADelayedWillGoesWithTheRightToIt(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	for id, delay := range map[string]uint32{"narrowed": 1, "kept": 2} {
		w := g.enter(t, 5, id, g.token(t, id, "pub:will"), func(pk *packets.Packet) {
			withWill("will", 1, true)(pk)
			pk.Connect.WillProperties.WillDelayInterval = delay
		})
		g.awaitOffline(t, w, id)
	}
	g.clients.set("narrowed", holds("sub:#"))
	for _, id := range []string{"narrowed", "kept"} {
		want := authhook.Receipt{Rejudged: 1}
		if id == "narrowed" {
			want.Wills = 1
		}
		if r := g.rejudge(id); r != want {
			t.Errorf("the receipt is %+v, want %+v", r, want)
		}
	}
	if pk := g.expectHeard(t, "will"); pk.Origin != "kept" {
		t.Errorf("the will of %q was published", pk.Origin)
	}
}

func TestAWillThatIsNoMoreIsNotCounted(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "sensor-1", "pub:will")
		published := g.enter(t, version, "sensor-1", token, withWill("will", 0, false))
		g.awaitOffline(t, published, "sensor-1")
		withdrawn := g.enter(t, version, "sensor-1:b", token, withWill("will", 0, false))
		withdrawn.send(t, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
		g.porter.expect(t, "sensor-1:b")
		if r := g.revoke("sensor-1"); r != (authhook.Receipt{Sessions: 2}) {
			t.Errorf("the receipt is %+v", r)
		}
	}
}
