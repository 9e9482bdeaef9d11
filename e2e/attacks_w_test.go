package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// Attacks by wills, W1 and W2.

func TestW1_AWillOutsideTheGrantsRefusesTheConnect(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	limited := s.token(s.service("limited", "pub:own/#?qos=1&retain=false", "sub:read/#", "pub:limited/+/state"))
	wide := s.token(s.service("wide", "pub:#", "sub:#"))
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	eachVersion(t, func(t *testing.T, version byte) {
		watch := enter(t, s, version, hello{id: "reader", password: reader})
		watch.mustSubscribe(2, "#")
		for _, test := range []struct {
			id, token string
			will      message
		}{
			{"limited", limited, message{topic: "other/state"}},
			{"limited", limited, message{topic: "own/state", qos: 2}},
			{"limited", limited, message{topic: "own/state", qos: 1, retain: true}},
			{"limited", limited, message{topic: "own/state", retain: true}},
			{"limited", limited, message{topic: "read/state"}},
			{"limited", limited, message{topic: "limited/a/b/state"}},
			{"limited", limited, message{topic: "limited/+/state"}},
			{"limited", limited, message{topic: "own/#"}},
			{"limited", limited, message{topic: "Own/state"}},
			{"wide", wide, message{topic: "a/#"}},
			{"wide", wide, message{topic: "+"}},
			{"wide", wide, message{topic: "#"}},
			{"wide", wide, message{topic: "$SYS/broker/uptime", retain: true}},
			{"wide", wide, message{topic: "$sys/x"}},
			{"wide", wide, message{topic: "$share/g/a"}},
			{"wide", wide, message{topic: "$other/x"}},
			{"wide", wide, message{topic: strings.Repeat("a/", 2000)}},
		} {
			test.will.payload = "x"
			h := hello{id: test.id, password: test.token, will: &test.will}
			expectRefused(t, s.in(t), version, h, notAuthorized, "will-outside-grants")
		}
		watch.publish(message{topic: "marker", qos: 2})
		watch.expectTopics("marker")

		// And the will of the grants is let in, and published.
		will := &message{topic: "own/state", payload: "lost", qos: 1}
		enter(t, s, version, hello{id: "limited", password: limited, will: will}).drop()
		watch.until("own/state")
	})
}

func TestW2_NoWillAfterAFailedAuthentication(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:own/#"))
	other := s.service("other", "pub:own/#")
	otherToken := s.token(other)
	s.disable("other")
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	eachVersion(t, func(t *testing.T, version byte) {
		s := s.in(t)
		watch := enter(t, s, version, hello{id: "reader", password: reader})
		watch.mustSubscribe(1, "#")
		will := &message{topic: "own/state", payload: "lost", qos: 1}
		expectRefused(t, s, version, hello{id: "meter", password: meter[:len(meter)-2], will: will}, badToken, "token-signature")
		expectRefused(t, s, version, hello{id: "meter", will: will}, badToken, "no-token")
		expectRefused(t, s, version, hello{id: "another", password: meter, will: will}, notAuthorized, "mqtt-client-id")
		expectRefused(t, s, version, hello{id: "other", password: otherToken, will: will}, notAuthorized, "client-inactive")
		torn := dial(t, s.mqtt, version)
		torn.send(hello{id: "meter", password: meter, will: will}.encode(version)[:300])
		torn.drop()
		watch.publish(message{topic: "marker", qos: 1})
		watch.expectTopics("marker")
	})
}

func TestW2_NoWillAfterARevocation(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	for what, revoke := range map[string]func(*server, string){
		"disabled": func(s *server, id string) { s.disable(id) },
		"deleted":  func(s *server, id string) { s.change(http.MethodDelete, "/v1/services/"+id, nil) },
	} {
		t.Run(what, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version byte) {
				s := s.in(t)
				id := name("meter", what, version)
				token := s.token(s.service(id, "pub:own/#"))
				watch := enter(t, s, version, hello{id: "reader", password: reader})
				watch.mustSubscribe(1, "#")
				will := &message{topic: "own/state", payload: "lost", qos: 1, retain: true}
				live := enter(t, s, version, hello{id: id, password: token, will: will})
				revoke(s, id)
				live.expectDisconnect(0x98)
				watch.publish(message{topic: "marker", qos: 1})
				watch.expectTopics("marker")
				fresh := enter(t, s, version, hello{id: "reader:fresh", password: reader})
				fresh.mustSubscribe(1, "#")
				fresh.publish(message{topic: "marker", qos: 1})
				fresh.expectTopics("marker") // nothing was retained
			})
		})
	}
}

func TestW2_AWillAfterATakeoverIsTheEarlierConnectionsOwn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.service("meter", "pub:own/#", "pub:new/#")
	token := s.token(meter)
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	eachVersion(t, func(t *testing.T, version byte) {
		watch := enter(t, s, version, hello{id: "reader", password: reader})
		watch.mustSubscribe(1, "#")
		first := enter(t, s, version, hello{id: "meter", password: token, will: &message{topic: "own/state", payload: "first", qos: 1}})
		second := enter(t, s, version, hello{id: "meter", password: token, will: &message{topic: "new/state", payload: "second", qos: 1}})
		first.expectDisconnect(0x8e)
		watch.until("own/state") // MQTT 5.0 §3.1.4-3: the connection was not ended by its client
		second.leave()
		watch.publish(message{topic: "marker", qos: 1})
		watch.expectTopics("marker")
	})
}

func TestW2_AWillThatWaitsIsWithdrawn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	reader := s.token(s.service("reader", "sub:#"))
	watch := enter(t, s, 5, hello{id: "reader", password: reader})
	watch.mustSubscribe(1, "#")
	withdraw := map[string]func(id, token string){
		"disabled": func(id, _ string) { s.disable(id) },
		"deleted":  func(id, _ string) { s.change(http.MethodDelete, "/v1/services/"+id, nil) },
		"returned": func(id, token string) { resume(t, s, 5, hello{id: id, password: token, keep: true}, true) },
		"control":  func(string, string) {},
	}
	for id, change := range withdraw {
		token := s.token(s.service(id, "pub:{client_id}/#"))
		will := &message{topic: id + "/state", payload: "lost", qos: 1, retain: true}
		delay := uint32(1)
		if id == "control" {
			delay = 3 // is published after all others would have been
		}
		w := enter(t, s, 5, hello{id: id, password: token, keep: true, will: will, willDelay: delay})
		w.drop()
		s.log.wait(t, "event=will", "client_id="+id+" ")
		change(id, token)
	}
	watch.expectTopics("control/state")
	fresh := enter(t, s, 5, hello{id: "reader:fresh", password: reader})
	fresh.mustSubscribe(1, "#")
	fresh.expectTopics("control/state") // nor was it retained
}
