package attacks_test

import (
	"net/http"
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
	s := harness.StartServer(t)
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	for what, revoke := range map[string]func(*harness.Server, string){
		"disabled": func(s *harness.Server, id string) { s.Disable(id) },
		"deleted":  func(s *harness.Server, id string) { s.Change(http.MethodDelete, "/v1/services/"+id, nil) },
	} {
		t.Run(what, func(t *testing.T) {
			harness.EachVersion(t, func(t *testing.T, version byte) {
				s := s.In(t)
				id := harness.Name("meter", what, version)
				token := s.Token(s.Service(id, "pub:own/#"))
				watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
				watch.MustSubscribe(1, "#")
				will := &harness.Message{Topic: "own/state", Payload: "lost", QoS: 1, Retain: true}
				live := harness.Enter(t, s, version, harness.Hello{ID: id, Password: token, Will: will})
				revoke(s, id)
				live.ExpectDisconnect(0x98)
				watch.Publish(harness.Message{Topic: "marker", QoS: 1})
				watch.ExpectTopics("marker")
				fresh := harness.Enter(t, s, version, harness.Hello{ID: "reader:fresh", Password: reader})
				fresh.MustSubscribe(1, "#")
				fresh.Publish(harness.Message{Topic: "marker", QoS: 1})
				fresh.ExpectTopics("marker") // nothing was retained
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

func TestW2_AWillThatWaitsIsWithdrawn(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	reader := s.Token(s.Service("reader", "sub:#"))
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "reader", Password: reader})
	watch.MustSubscribe(1, "#")
	withdraw := map[string]func(id, token string){
		"disabled": func(id, _ string) { s.Disable(id) },
		"deleted":  func(id, _ string) { s.Change(http.MethodDelete, "/v1/services/"+id, nil) },
		"returned": func(id, token string) {
			harness.Resume(t, s, 5, harness.Hello{ID: id, Password: token, Keep: true}, true)
		},
		"control": func(string, string) {},
	}
	for id, change := range withdraw {
		token := s.Token(s.Service(id, "pub:{client_id}/#"))
		will := &harness.Message{Topic: id + "/state", Payload: "lost", QoS: 1, Retain: true}
		delay := uint32(1)
		if id == "control" {
			delay = 3 // is published after all others would have been
		}
		w := harness.Enter(t, s, 5, harness.Hello{ID: id, Password: token, Keep: true, Will: will, WillDelay: delay})
		w.Drop()
		s.Log.Wait(t, "event=will", "client_id="+id+" ")
		change(id, token)
	}
	watch.ExpectTopics("control/state")
	fresh := harness.Enter(t, s, 5, harness.Hello{ID: "reader:fresh", Password: reader})
	fresh.MustSubscribe(1, "#")
	fresh.ExpectTopics("control/state") // nor was it retained
}
