package authhook_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/storage"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// An archive is a hook that restores one session, as a store does after a restart.
type archive struct {
	mqtt.HookBase
	owner   string
	filters []string
	queued  []string
}

func (a *archive) ID() string { return "archive" }

func (a *archive) Provides(method byte) bool {
	return method == mqtt.StoredClients || method == mqtt.StoredSubscriptions || method == mqtt.StoredInflightMessages
}

func (a *archive) StoredClients() ([]storage.Client, error) {
	return []storage.Client{{
		ID: "reader", Username: []byte(a.owner), ProtocolVersion: 5,
		Properties: storage.ClientProperties{SessionExpiryInterval: 3600, SessionExpiryIntervalFlag: true},
	}}, nil
}

func (a *archive) StoredSubscriptions() ([]storage.Subscription, error) {
	subs := make([]storage.Subscription, 0, len(a.filters))
	for _, f := range a.filters {
		subs = append(subs, storage.Subscription{Client: "reader", Filter: f, Qos: 1})
	}
	return subs, nil
}

func (a *archive) StoredInflightMessages() ([]storage.Message, error) {
	messages := make([]storage.Message, 0, len(a.queued))
	for i, topic := range a.queued {
		messages = append(messages, storage.Message{
			Client: "reader", TopicName: topic, Payload: []byte("stored"), PacketID: uint16(100 + i), Created: time.Now().Unix(),
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1},
		})
	}
	return messages, nil
}

func TestS3_ARestoredSessionIsHeldToWhatItsOwnerHoldsNow(t *testing.T) {
	t.Parallel()
	active := func(scopes ...string) authhook.Status { return authhook.Status{Active: true, Scopes: scopes} }
	cases := []struct {
		name   string
		status authhook.Status
		broken bool
		no     bool // no ClientStatus at all
		subs   []string
		want   []string // what the owner receives when it comes back with all its rights
	}{
		{
			name: "all rights", status: active("sub:a/#", "sub:b/#"), subs: []string{"a/#", "b/#"},
			want: []string{"a/live", "a/stored", "b/live", "b/stored"},
		},
		{name: "narrower", status: active("sub:a/#"), subs: []string{"a/#"}, want: []string{"a/live", "a/stored"}},
		{name: "no rights", status: active()},
		{name: "not active", status: authhook.Status{Scopes: []string{"sub:#"}}},
		{name: "cannot be told", broken: true, subs: []string{"a/#", "b/#"}, want: []string{"a/stored", "b/stored"}},
		{name: "nobody to ask", no: true, subs: []string{"a/#", "b/#"}, want: []string{"a/stored", "b/stored"}},
	}
	for _, c := range cases {
		for _, beside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, beside permit-all %v", c.name, beside), func(t *testing.T) {
				t.Parallel()
				g := openGate(t, func(s *settings) {
					if beside {
						besidePermitAll(s)
					}
					clients, _ := s.Clients.(*clientTable)
					clients.set("owner", c.status)
					clients.setBroken(c.broken)
					if c.no {
						s.Clients = nil
					}
					s.after = append(s.after, &archive{owner: "owner", filters: []string{"a/#", "b/#"}, queued: []string{"a/stored", "b/stored"}})
				})
				cl, _ := g.server.Clients.Get("reader")
				var subs []string
				for f := range cl.State.Subscriptions.GetAll() {
					subs = append(subs, f)
				}
				if slices.Sort(subs); !slices.Equal(subs, c.subs) {
					t.Errorf("the session has the subscriptions %q, want %q", subs, c.subs)
				}
				if !beside { // a message permitted by another hook is queued, and judged when it is written
					g.say(t, "a/live", "b/live")
				}
				g.clients.setBroken(false)
				g.clients.allow("owner", "reader")
				g.clients.allow("stranger", "*")
				if !c.no && c.name != "not active" { // then the session is nobody's
					g.expectRefused(t, 5, "reader", g.token(t, "stranger", "sub:#"), notAuthorized, authhook.RuleOwner)
				}
				if c.no {
					return // without ClientStatus nobody but "reader" may use that MQTT client ID
				}
				w, ack := g.connect(t, 5, "reader", g.token(t, "owner", "sub:#"))
				if ack.ReasonCode != 0 || ack.SessionPresent == (c.name == "not active") {
					t.Errorf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
				}
				want := c.want
				if beside {
					want = slices.DeleteFunc(slices.Clone(want), func(topic string) bool { return topic == "a/live" || topic == "b/live" })
				}
				w.expectMessages(t, want...)
				w.ping(t)
			})
		}
	}
}

func TestARestoredSessionWithoutAnOwnerIsThrownAway(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) {
		s.after = append(s.after, &archive{filters: []string{"a/#"}, queued: []string{"a/stored"}})
	})
	w, ack := g.connect(t, 5, "reader", g.token(t, "reader", "sub:#"))
	if ack.ReasonCode != 0 || ack.SessionPresent {
		t.Errorf("CONNACK 0x%02x, session present %v", ack.ReasonCode, ack.SessionPresent)
	}
	w.ping(t)
}

func TestS7_RevokeEndsARestoredSession(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) {
		s.Clients.(*clientTable).set("owner", authhook.Status{Active: true, Scopes: []string{"sub:#"}})
		s.after = append(s.after, &archive{owner: "owner", filters: []string{"a/#"}, queued: []string{"a/stored"}})
	})
	if r := g.revoke("owner"); r != (authhook.Receipt{Sessions: 1, Subscriptions: 1, Queued: 1}) {
		t.Errorf("the receipt is %+v", r)
	}
}

func TestTheGrantsOfARestoredSessionAreAskedForAgain(t *testing.T) {
	t.Parallel()
	g := openGate(t, func(s *settings) {
		s.Clients.(*clientTable).set("owner", authhook.Status{Active: true, Scopes: []string{"sub:a/#"}})
		s.after = append(s.after, &archive{owner: "owner", filters: []string{"a/#"}})
	})
	cl, _ := g.server.Clients.Get("reader")
	g.say(t, "a/1")
	if n := cl.State.Inflight.Len(); n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
	g.clients.set("owner", authhook.Status{Scopes: []string{"sub:a/#"}})
	g.clock.forward(time.Minute)
	g.say(t, "a/2")
	if n := cl.State.Inflight.Len(); n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
}
