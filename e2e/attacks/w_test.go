package attacks_test

import (
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks by wills, W1 and W2.

func TestW1_AWillOutsideTheGrantsRefusesTheConnect(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	limited := s.Token(s.Service("limited", "pub:own/#?qos=1&retain=false", "sub:read/#", "pub:limited/+/state"))
	wide := s.Token(s.Service("wide", "pub:#", "sub:#"))
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
		watch.MustSubscribe(2, "#")
		for _, test := range []struct {
			id, token string
			will      harness.Message
		}{
			{"limited", limited, harness.Message{Topic: "other/state"}},
			{"limited", limited, harness.Message{Topic: "own/state", QoS: 2}},
			{"limited", limited, harness.Message{Topic: "own/state", QoS: 1, Retain: true}},
			{"limited", limited, harness.Message{Topic: "own/state", Retain: true}},
			{"limited", limited, harness.Message{Topic: "read/state"}},
			{"limited", limited, harness.Message{Topic: "limited/a/b/state"}},
			{"limited", limited, harness.Message{Topic: "limited/+/state"}},
			{"limited", limited, harness.Message{Topic: "own/#"}},
			{"limited", limited, harness.Message{Topic: "Own/state"}},
			{"wide", wide, harness.Message{Topic: "a/#"}},
			{"wide", wide, harness.Message{Topic: "+"}},
			{"wide", wide, harness.Message{Topic: "#"}},
			{"wide", wide, harness.Message{Topic: "$SYS/broker/uptime", Retain: true}},
			{"wide", wide, harness.Message{Topic: "$sys/x"}},
			{"wide", wide, harness.Message{Topic: "$share/g/a"}},
			{"wide", wide, harness.Message{Topic: "$other/x"}},
			{"wide", wide, harness.Message{Topic: strings.Repeat("a/", 2000)}},
		} {
			test.will.Payload = "x"
			h := harness.Hello{ID: test.id, Password: test.token, Will: &test.will}
			harness.ExpectRefused(t, s.In(t), version, h, harness.NotAuthorized, "will-outside-grants")
		}
		watch.Publish(harness.Message{Topic: "marker", QoS: 2})
		watch.ExpectTopics("marker")

		// And the will of the grants is let in, and published.
		will := &harness.Message{Topic: "own/state", Payload: "lost", QoS: 1}
		harness.Enter(t, s, version, harness.Hello{ID: "limited", Password: limited, Will: will}).Drop()
		watch.Until("own/state")
	})
}

func TestW2_NoWillAfterAFailedAuthentication(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:own/#"))
	other := s.Service("other", "pub:own/#")
	otherToken := s.Token(other)
	s.Disable("other")
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
		watch.MustSubscribe(1, "#")
		will := &harness.Message{Topic: "own/state", Payload: "lost", QoS: 1}
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "meter", Password: meter[:len(meter)-2], Will: will}, harness.BadToken, "token-signature")
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "meter", Will: will}, harness.BadToken, "no-token")
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "another", Password: meter, Will: will}, harness.NotAuthorized, "mqtt-client-id")
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "other", Password: otherToken, Will: will}, harness.NotAuthorized, "client-inactive")
		torn := harness.Dial(t, s.MQTT, version)
		torn.Send(harness.Hello{ID: "meter", Password: meter, Will: will}.Encode(version)[:300])
		torn.Drop()
		watch.Publish(harness.Message{Topic: "marker", QoS: 1})
		watch.ExpectTopics("marker")
	})
}

func TestW2_NoWillAfterARevocation(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	ways := revocations(f)
	delete(ways, keyRevoked) // it would end the reader as well
	for what, way := range ways {
		t.Run(what, func(t *testing.T) {
			harness.EachVersion(t, func(t *testing.T, version byte) {
				s := s.In(t)
				who := newSubject(s, idOf(harness.Name("meter", version), what))
				state := who.ClientID + "/state"
				watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
				watch.MustSubscribe(1, state, "marker")
				will := &harness.Message{Topic: state, Payload: "lost", QoS: 1, Retain: true}
				live := harness.Enter(t, s, version, harness.Hello{ID: who.ClientID, Password: who.token, Will: will})
				if got := way.revoke(s, who); got.Wills != 1 {
					t.Errorf("the receipt says %+v, want 1 will", got)
				}
				if way.rule == "" {
					live.Drop()
					s.Log.Wait(t, "msg=refused", "event=will", "client_id="+who.ClientID+" ")
				} else {
					live.ExpectDisconnect(0x98)
				}
				watch.Publish(harness.Message{Topic: "marker", QoS: 1})
				watch.ExpectTopics("marker")
				expectRetained(t, s, version, reader, state)
			})
		})
	}
}

func TestW2_AWillAfterATakeoverIsTheEarlierConnectionsOwn(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:own/#", "pub:new/#")
	token := s.Token(meter)
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
		watch.MustSubscribe(1, "#")
		first := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token, Will: &harness.Message{Topic: "own/state", Payload: "first", QoS: 1}})
		second := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token, Will: &harness.Message{Topic: "new/state", Payload: "second", QoS: 1}})
		first.ExpectDisconnect(0x8e)
		watch.Until("own/state") // MQTT 5.0 §3.1.4-3: the connection was not ended by its client
		second.Leave()
		watch.Publish(harness.Message{Topic: "marker", QoS: 1})
		watch.ExpectTopics("marker")
	})
}

func TestW2_AWillIsJudgedByTheTokenThatTheSessionHasAtItsEnd(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:own/#", "pub:new/#")
	full, other := s.Token(meter), s.Token(meter, "scope", "pub:new/#")
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "reader", Password: s.Token(s.Service("reader", "sub:#", "pub:marker"))})
	watch.MustSubscribe(1, "#")
	will := &harness.Message{Topic: "own/state", Payload: "lost", QoS: 1}
	for how, change := range map[string]func(w *harness.Wire){
		"renewed": func(w *harness.Wire) {
			w.MustRenew(oauth2JWT, other)
			w.Drop()
		},
		"taken over": func(w *harness.Wire) {
			next := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: other})
			w.ExpectDisconnect(0x8e)
			next.Leave()
		},
		"renewed in vain": func(w *harness.Wire) {
			if p := w.Renew(oauth2JWT, other[:len(other)-2]); p.Code() != 0x87 {
				t.Errorf("DISCONNECT 0x%02x, want 0x87", p.Code())
			}
		},
	} {
		w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Method: oauth2JWT, Data: full, Will: will})
		change(w)
		s.Log.Wait(t, "event=will", "client_id=meter ", "remote="+w.Remote()+" ")
		if how == "renewed in vain" {
			watch.ExpectTopics("own/state") // it is gone like any other, with the rights that it had
		}
		watch.Publish(harness.Message{Topic: "marker", QoS: 1})
		watch.ExpectTopics("marker")
	}
}

func TestW2_AWillThatWaitsIsWithdrawnByAReturn(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "reader", Password: s.Token(s.Service("reader", "sub:#"))})
	watch.MustSubscribe(1, "#")
	for _, id := range []string{"returned", "control"} {
		token := s.Token(s.Service(id, "pub:{client_id}/#"))
		h := harness.Hello{ID: id, Password: token, Keep: true, WillDelay: 1}
		h.Will = &harness.Message{Topic: id + "/state", Payload: "lost", QoS: 1}
		if id == "control" {
			h.WillDelay = 3 // is published after the other would have been
		}
		harness.Enter(t, s, 5, h).Drop()
		s.Log.Wait(t, "event=will", "client_id="+id+" ")
		if id == "returned" {
			h.Will = nil
			harness.Resume(t, s, 5, h, true)
		}
	}
	watch.ExpectTopics("control/state")
}
