package e2e_test

import (
	"net/http"
	"testing"
)

// Design §6 and issue 2: what outlives a stop and a kill -9, and what must not.

// endings are the ways in which a server may end.
var endings = map[string]func(*server){"an orderly stop": (*server).stop, "kill -9": (*server).kill}

func TestMessagesAndSessionsSurvive(t *testing.T) {
	t.Parallel()
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			reader := s.token(s.service("reader", "sub:lot/#"))
			meter := s.token(s.service("meter", "pub:lot/#"))
			for _, version := range versions {
				id := name("reader:v", version)
				w := enter(t, s, version, hello{id: id, password: reader, keep: true})
				w.mustSubscribe(1, "lot/+/event", "lot/marker")
				w.drop()
				enter(t, s, version, hello{id: name("reader:passing", version), password: reader}).mustSubscribe(1, "lot/#")
			}
			d := enter(t, s, 5, hello{id: "meter", password: meter})
			d.publish(message{topic: "lot/1/state", payload: "free", qos: 1, retain: true})
			d.publish(message{topic: "lot/2/state", payload: "gone", qos: 1, retain: true})
			d.publish(message{topic: "lot/2/state", payload: "", qos: 1, retain: true}) // deletes it
			for _, payload := range []string{"1", "2", "3"} {
				d.publish(message{topic: "lot/1/event", payload: payload, qos: 1})
			}

			end(s)
			s.restart()

			d = enter(t, s, 5, hello{id: "meter", password: meter})
			d.publish(message{topic: "lot/1/event", payload: "4", qos: 1})
			d.publish(message{topic: "lot/marker", qos: 1})
			for _, version := range versions {
				w := resume(t, s, version, hello{id: name("reader:v", version), password: reader, keep: true}, true)
				var got string
				for _, m := range w.until("lot/marker") {
					got += m.payload
				}
				if got != "1234" {
					t.Errorf("version %d: the queued messages are %q, want 1234", version, got)
				}
				resume(t, s, version, hello{id: name("reader:passing", version), password: reader, keep: true}, false)

				w = enter(t, s, version, hello{id: "reader", password: reader})
				w.mustSubscribe(1, "lot/+/state", "lot/marker")
				d.publish(message{topic: "lot/marker", qos: 1})
				if kept := w.until("lot/marker"); len(kept) != 1 || kept[0].payload != "free" || !kept[0].retain() {
					t.Errorf("version %d: %+v is retained, want lot/1/state alone", version, kept)
				}
			}
		})
	}
}

func TestOnlyWhatIsStillGrantedIsRestored(t *testing.T) {
	t.Parallel()
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			reader := s.service("reader", "sub:a/#", "sub:b/#", "sub:marker")
			gone := s.service("gone", "sub:a/#")
			writer := s.token(s.service("writer", "pub:#"))
			before, goneToken := s.token(reader), s.token(gone)
			for _, version := range versions {
				w := enter(t, s, version, hello{id: name("reader:v", version), password: before, keep: true})
				w.mustSubscribe(1, "a/#", "b/#", "b/x", "marker")
				w.leave()
				w = enter(t, s, version, hello{id: name("gone:v", version), password: goneToken, keep: true})
				w.mustSubscribe(1, "a/#")
				w.leave()
			}
			d := enter(t, s, 5, hello{id: "writer", password: writer})
			for _, topic := range []string{"a/1", "b/1", "b/x"} {
				d.publish(message{topic: topic, qos: 1})
			}
			narrower := grants("reader", "sub:a/#", "sub:marker")
			s.change(http.MethodPatch, "/v1/services/reader", map[string]any{"grants": narrower["grants"]})
			s.disable("gone")

			end(s)
			s.restart()

			d = enter(t, s, 5, hello{id: "writer", password: writer})
			for _, topic := range []string{"b/2", "b/x", "a/2", "marker"} {
				d.publish(message{topic: topic, qos: 1})
			}
			s.change(http.MethodPost, "/v1/services/gone/enable", nil)
			for _, version := range versions {
				// The old token is still valid and would cover all: what is missing was not restored.
				w := resume(t, s, version, hello{id: name("reader:v", version), password: before, keep: true}, true)
				w.expectTopics("marker", "a/1", "a/2")
				d.publish(message{topic: "b/3", qos: 1})
				d.publish(message{topic: "marker", qos: 1})
				w.expectTopics("marker")
				resume(t, s, version, hello{id: name("gone:v", version), password: goneToken, keep: true}, false)
			}
		})
	}
}

func TestADeniedSubscriptionIsNotRestored(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("both", "sub:own/#?qos=1", "pub:#"))
	for _, version := range versions {
		w := enter(t, s, version, hello{id: name("both:v", version), password: token, keep: true})
		w.subscribe(2, "own/#", "other/#", "own/#/x", "$share/g/other", "#")
		w.leave()
	}
	s.kill()
	s.restart()
	d := enter(t, s, 5, hello{id: "both", password: token})
	for _, topic := range []string{"other/1", "other", "own/1", "own/marker"} {
		d.publish(message{topic: topic, qos: 2})
	}
	for _, version := range versions {
		w := resume(t, s, version, hello{id: name("both:v", version), password: token, keep: true}, true)
		before := w.until("own/marker")
		if len(before) != 1 || before[0].topic != "own/1" || before[0].qos() != 1 {
			t.Errorf("version %d: %+v came, want own/1 at QoS 1", version, before)
		}
	}
}
