package authhook_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// A revocationList is a Revocations that tests change.
type revocationList struct {
	mu      sync.Mutex
	ids     []string
	onAsked func(tokenID string) // called first; may be nil
}

func (r *revocationList) Revoked(token *accesstoken.Token) bool {
	r.mu.Lock()
	onAsked := r.onAsked
	r.mu.Unlock()
	if onAsked != nil {
		onAsked(token.ID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.ids, token.ID)
}

func (r *revocationList) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, id)
}

func (r *revocationList) whenAsked(do func(tokenID string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onAsked = do
}

// revoke revokes a client and returns the receipt, without the time that it took.
func (g *gate) revoke(clientID string) authhook.Receipt {
	receipt := g.hook.Revoke(authhook.Selection{ClientID: clientID}, "test")
	receipt.Took = 0
	return receipt
}

// rejudge has a client judged anew and returns the receipt, without the time that it took.
func (g *gate) rejudge(clientID string) authhook.Receipt {
	receipt := g.hook.Rejudge(authhook.Selection{ClientID: clientID}, "test")
	receipt.Took = 0
	return receipt
}

// close closes a session and returns the receipt, without the time that it took.
func (g *gate) close(mqttID, cause string) (authhook.Receipt, bool) {
	receipt, found := g.hook.Close(mqttID, cause)
	receipt.Took = 0
	return receipt, found
}

func TestS7_ARevokedTokenIsRefused(t *testing.T) {
	t.Parallel()
	list := new(revocationList)
	g := openGate(t, func(s *settings) { s.Revocations = list })
	list.add("stolen")
	stolen := g.tokenWith(t, "sensor-1", jwt.MapClaims{"jti": "stolen"})
	for _, version := range []byte{4, 5} {
		g.expectRefused(t, version, "sensor-1", stolen, badToken, authhook.RuleRevoked)
	}
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"), withMethod(methodOAuth2))
	w.send(t, authPacket(methodOAuth2, stolen))
	w.expectDisconnect(t, 0x87)
	g.events.expect(t, authhook.KindRenew, authhook.RuleRevoked)
}

// TestS7_ARevocationMissesNoTokenThatIsBeingChecked revokes each token at the moment when the hook asks about it, too late to be told.
func TestS7_ARevocationMissesNoTokenThatIsBeingChecked(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		list := new(revocationList)
		g := openGate(t, func(s *settings) { s.Revocations = list })
		revoke := func(tokenID string) { g.hook.Revoke(authhook.Selection{TokenID: tokenID}, "test") }
		w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1"), withMethod(methodOAuth2))
		list.whenAsked(revoke)
		second := g.tokenWith(t, "sensor-1", jwt.MapClaims{"jti": "second"})
		if version == 5 {
			w.send(t, authPacket(methodOAuth2, second))
			w.expectDisconnect(t, 0x98)
		}
		w = g.dial(t, version)
		w.send(t, connectPacket(version, "sensor-1:b", second))
		w.expectClosed(t) // without a CONNACK
		list.whenAsked(nil)
		g.enter(t, version, "sensor-1", g.token(t, "sensor-1"))
	}
}

func TestS7_ASelectionMeansTheSessionsForWhichAllOfItHolds(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	g.clients.set("a", authhook.Status{Active: true, Roles: []string{"sensor", "reader"}})
	g.clients.set("b", authhook.Status{Active: true, Roles: []string{"sensor"}})
	old, now := g.clock.Now().Add(-30*time.Minute), g.clock.Now()
	for _, s := range []struct {
		id, client string
		claims     jwt.MapClaims
	}{
		{"a", "a", jwt.MapClaims{"jti": "1", "credential_id": "secret-1", "iat": old.Unix()}},
		{"a:2", "a", jwt.MapClaims{"jti": "2", "credential_id": "secret-2", "iat": now.Unix()}},
		{"b", "b", jwt.MapClaims{"jti": "1", "credential_id": "secret-1", "iat": now.Unix()}},
	} {
		g.enter(t, 5, s.id, g.tokenWith(t, s.client, s.claims))
	}
	cases := []struct {
		sel  authhook.Selection
		want int
	}{
		{authhook.Selection{}, 0},
		{authhook.Selection{IssuedBefore: time.Time{}.Local()}, 0},
		{authhook.Selection{ClientID: "a"}, 2},
		{authhook.Selection{ClientID: "c"}, 0},
		{authhook.Selection{Issuer: "other", ClientID: "a"}, 0},
		{authhook.Selection{TokenID: "1"}, 2},
		{authhook.Selection{TokenID: "1", ClientID: "b"}, 1},
		{authhook.Selection{CredentialID: "secret-1"}, 2},
		{authhook.Selection{CredentialID: "secret-2", ClientID: "b"}, 0},
		{authhook.Selection{KeyID: testKeyID}, 3},
		{authhook.Selection{KeyID: "other"}, 0},
		{authhook.Selection{Role: "sensor"}, 3},
		{authhook.Selection{Role: "reader"}, 2},
		{authhook.Selection{Role: "reader", TokenID: "2"}, 1},
		{authhook.Selection{IssuedBefore: now.Add(-time.Minute)}, 1},
		{authhook.Selection{IssuedBefore: now.Add(time.Minute), ClientID: "a"}, 2},
		{authhook.Selection{IssuedBefore: old.Add(-time.Minute)}, 0},
	}
	for _, c := range cases {
		if r := g.hook.Rejudge(c.sel, "test"); r.Rejudged != c.want {
			t.Errorf("%+v means %d sessions, want %d", c.sel, r.Rejudged, c.want)
		}
	}
	if r := g.hook.Revoke(authhook.Selection{Role: "reader", CredentialID: "secret-1"}, "test"); r.Sessions != 1 || r.Took <= 0 {
		t.Errorf("the receipt is %+v", r)
	}
	if list := g.hook.Sessions(); len(list) != 2 || list[0].MQTTClientID != "a:2" || list[1].MQTTClientID != "b" {
		t.Errorf("the list is %+v", list)
	}
}

// TestS7_AGhostIsKickedLikeAnyOther takes a live client off mochi's list, as mochi itself does when a client reconnects at the wrong
// moment.
func TestS7_AGhostIsKickedLikeAnyOther(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		w := g.enter(t, version, "ghost", g.token(t, "ghost", "sub:a", "pub:b"))
		w.mustSubscribe(t, "a")
		g.server.Clients.Delete("ghost")
		if r := g.revoke("ghost"); r != (authhook.Receipt{Sessions: 1, Subscriptions: 1}) {
			t.Errorf("the receipt is %+v", r)
		}
		_ = w.write(message("b", 0, false))
		w.expectDisconnect(t, 0x98)
		g.porter.expect(t, "ghost")
		g.expectNothingHeard(t)
		if r := g.revoke("ghost"); r != (authhook.Receipt{}) {
			t.Errorf("what is left of it: %+v", r)
		}
	}
}

// TestS7_AClientThatWaitsForTheEndSeesItAtOnce would have to wait for a minute if only the server's closing told it.
func TestS7_AClientThatWaitsForTheEndSeesItAtOnce(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) { s.CloseGrace = time.Minute })
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a"))
	g.revoke("sensor-1")
	w.expectDisconnect(t, 0x98) // and the end of the stream
	w.send(t, message("a", 1, false))
	_ = w.conn.Close()
	g.porter.expect(t, "sensor-1")
	g.expectNothingHeard(t)
}

// A hallway is a hook that holds up whoever comes through one of its methods while it is closed.
type hallway struct {
	mqtt.HookBase
	*barrier

	method byte
}

// A barrier holds up whoever comes while it is closed, but not for ever: a test that fails must end.
type barrier struct {
	closed           atomic.Bool
	arrived, proceed chan struct{}
}

func newHallway(method byte) *hallway { return &hallway{method: method, barrier: newBarrier()} }

func (d *hallway) ID() string                { return "hallway" }
func (d *hallway) Provides(method byte) bool { return method == d.method }

func (d *hallway) OnPacketEncode(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	d.pass()
	return pk
}

func (d *hallway) OnSubscribe(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	d.pass()
	return pk
}

func (d *hallway) OnWill(_ *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	d.pass()
	return will, nil
}

func (d *hallway) OnSessionEstablish(*mqtt.Client, packets.Packet) { d.pass() }

func newBarrier() *barrier {
	return &barrier{arrived: make(chan struct{}), proceed: make(chan struct{})}
}

func (b *barrier) pass() {
	if !b.closed.Load() {
		return
	}
	given := time.After(patience)
	select {
	case b.arrived <- struct{}{}:
	case <-given:
	}
	select {
	case <-b.proceed:
	case <-given:
	}
}

// open lets through who waits, and all that follow.
func (b *barrier) open() {
	b.closed.Store(false)
	b.proceed <- struct{}{}
}

// TestS7_WhatAClientInheritsWhileItIsRevokedIsThrownAway revokes a client that has got its session, but does not know it yet.
func TestS7_WhatAClientInheritsWhileItIsRevokedIsThrownAway(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		before, behind, seen := newHallway(mqtt.OnPacketEncode), newHallway(mqtt.OnPacketEncode), new(bystander)
		g := openGate(t, func(s *settings) {
			s.before = append(s.before, before)
			s.after = append(s.after, behind, seen)
		})
		token := g.token(t, "reader", "sub:a/#")
		w := g.enter(t, version, "reader", token)
		w.mustSubscribe(t, "a/#")
		g.awaitOffline(t, w, "reader")
		g.say(t, "a/1")

		before.closed.Store(true)
		w = g.dial(t, version)
		w.send(t, connectPacket(version, "reader", token))
		<-before.arrived
		if r := g.revoke("reader"); r != (authhook.Receipt{}) {
			t.Errorf("the receipt is %+v", r)
		}
		w.expectClosed(t)
		behind.closed.Store(true)
		before.open()
		<-behind.arrived
		if n := len(g.server.Topics.Subscribers("a/1").Subscriptions); n != 0 {
			t.Errorf("the index has %d subscribers", n)
		}
		if _, dropped, _ := seen.saw(); !slices.Contains(dropped, "reader a/1") {
			t.Errorf("the other hooks were told that %q were dropped", dropped)
		}
		behind.open()
	}
}

// TestS7_ARevokedMemberOfASharedGroupTakesNoMessageWithIt revokes one of two members between messages.
func TestS7_ARevokedMemberOfASharedGroupTakesNoMessageWithIt(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		members := map[string]*wire{}
		for _, id := range []string{"good", "bad"} {
			members[id] = g.enter(t, version, id, g.token(t, id, "sub:jobs/#"))
			members[id].mustSubscribe(t, "$share/workers/jobs/#")
		}
		g.clients.set("bad", authhook.Status{})
		g.revoke("bad")
		for i := range 20 {
			topic := fmt.Sprint("jobs/", i)
			g.say(t, topic)
			members["good"].acknowledge(t, members["good"].expectMessage(t, topic))
		}
		members["bad"].expectDisconnect(t, 0x98)
	}
}

func TestS7_EverySessionOfAKeyIsFoundOnlineAndOffline(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	const sessions = 20
	for i := range sessions {
		id := fmt.Sprint("sensor-", i)
		w := g.enter(t, 4+byte(i%2), id, g.token(t, id, "sub:a"))
		w.mustSubscribe(t, "a")
		if i < sessions/2 {
			g.awaitOffline(t, w, id)
		}
	}
	g.say(t, "a")
	r := g.hook.Revoke(authhook.Selection{KeyID: testKeyID}, "the key is lost")
	if r.Sessions != sessions || r.Subscriptions != sessions || r.Queued != sessions {
		t.Errorf("the receipt is %+v", r)
	}
	if n := len(g.hook.Sessions()); n != 0 {
		t.Errorf("%d sessions are listed", n)
	}
}
