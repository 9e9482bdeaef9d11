package e2e_test

import (
	"net/http"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Design §6 and issue 2: what outlives a stop and a kill -9, and what must not.

// endings are the ways in which a server may end.
var endings = map[string]func(*harness.Server){"an orderly stop": (*harness.Server).Stop, "kill -9": (*harness.Server).Kill}

func TestMessagesAndSessionsSurvive(t *testing.T) {
	t.Parallel()
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := harness.StartServer(t)
			reader := s.Token(s.Service("reader", "sub:lot/#"))
			meter := s.Token(s.Service("meter", "pub:lot/#"))
			for _, version := range harness.Versions {
				id := harness.Name("reader:v", version)
				w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: reader, Keep: true})
				w.MustSubscribe(1, "lot/+/event", "lot/marker")
				w.Drop()
				harness.Enter(t, s, version, harness.Hello{ID: harness.Name("reader:passing", version), Password: reader}).MustSubscribe(1, "lot/#")
			}
			d := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: meter})
			d.Publish(harness.Message{Topic: "lot/1/state", Payload: "free", QoS: 1, Retain: true})
			d.Publish(harness.Message{Topic: "lot/2/state", Payload: "gone", QoS: 1, Retain: true})
			d.Publish(harness.Message{Topic: "lot/2/state", Payload: "", QoS: 1, Retain: true}) // deletes it
			for _, payload := range []string{"1", "2", "3"} {
				d.Publish(harness.Message{Topic: "lot/1/event", Payload: payload, QoS: 1})
			}

			end(s)
			s.Restart()

			d = harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: meter})
			d.Publish(harness.Message{Topic: "lot/1/event", Payload: "4", QoS: 1})
			d.Publish(harness.Message{Topic: "lot/marker", QoS: 1})
			for _, version := range harness.Versions {
				w := harness.Resume(t, s, version, harness.Hello{ID: harness.Name("reader:v", version), Password: reader, Keep: true}, true)
				var got string
				for _, m := range w.Until("lot/marker") {
					got += m.Payload
				}
				if got != "1234" {
					t.Errorf("version %d: the queued messages are %q, want 1234", version, got)
				}
				harness.Resume(t, s, version, harness.Hello{ID: harness.Name("reader:passing", version), Password: reader, Keep: true}, false)

				w = harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
				w.MustSubscribe(1, "lot/+/state", "lot/marker")
				d.Publish(harness.Message{Topic: "lot/marker", QoS: 1})
				if kept := w.Until("lot/marker"); len(kept) != 1 || kept[0].Payload != "free" || !kept[0].Retain() {
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
			s := harness.StartServer(t)
			reader := s.Service("reader", "sub:a/#", "sub:b/#", "sub:marker")
			gone := s.Service("gone", "sub:a/#")
			writer := s.Token(s.Service("writer", "pub:#"))
			before, goneToken := s.Token(reader), s.Token(gone)
			for _, version := range harness.Versions {
				w := harness.Enter(t, s, version, harness.Hello{ID: harness.Name("reader:v", version), Password: before, Keep: true})
				w.MustSubscribe(1, "a/#", "b/#", "b/x", "marker")
				w.Leave()
				w = harness.Enter(t, s, version, harness.Hello{ID: harness.Name("gone:v", version), Password: goneToken, Keep: true})
				w.MustSubscribe(1, "a/#")
				w.Leave()
			}
			d := harness.Enter(t, s, 5, harness.Hello{ID: "writer", Password: writer})
			for _, topic := range []string{"a/1", "b/1", "b/x"} {
				d.Publish(harness.Message{Topic: topic, QoS: 1})
			}
			narrower := harness.Grants("reader", "sub:a/#", "sub:marker")
			s.Change(http.MethodPatch, "/v1/services/reader", map[string]any{"grants": narrower["grants"]})
			s.Disable("gone")

			end(s)
			s.Restart()

			d = harness.Enter(t, s, 5, harness.Hello{ID: "writer", Password: writer})
			for _, topic := range []string{"b/2", "b/x", "a/2", "marker"} {
				d.Publish(harness.Message{Topic: topic, QoS: 1})
			}
			s.Change(http.MethodPost, "/v1/services/gone/enable", nil)
			goneToken = s.FreshToken(gone) // those from before are revoked
			for _, version := range harness.Versions {
				// The old token is still valid and would cover all: what is missing was not restored.
				w := harness.Resume(t, s, version, harness.Hello{ID: harness.Name("reader:v", version), Password: before, Keep: true}, true)
				w.ExpectTopics("marker", "a/1", "a/2")
				d.Publish(harness.Message{Topic: "b/3", QoS: 1})
				d.Publish(harness.Message{Topic: "marker", QoS: 1})
				w.ExpectTopics("marker")
				harness.Resume(t, s, version, harness.Hello{ID: harness.Name("gone:v", version), Password: goneToken, Keep: true}, false)
			}
		})
	}
}

func TestADeniedSubscriptionIsNotRestored(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("both", "sub:own/#?qos=1", "pub:#"))
	for _, version := range harness.Versions {
		w := harness.Enter(t, s, version, harness.Hello{ID: harness.Name("both:v", version), Password: token, Keep: true})
		w.Subscribe(2, "own/#", "other/#", "own/#/x", "$share/g/other", "#")
		w.Leave()
	}
	s.Kill()
	s.Restart()
	d := harness.Enter(t, s, 5, harness.Hello{ID: "both", Password: token})
	for _, topic := range []string{"other/1", "other", "own/1", "own/marker"} {
		d.Publish(harness.Message{Topic: topic, QoS: 2})
	}
	for _, version := range harness.Versions {
		w := harness.Resume(t, s, version, harness.Hello{ID: harness.Name("both:v", version), Password: token, Keep: true}, true)
		before := w.Until("own/marker")
		if len(before) != 1 || before[0].Topic != "own/1" || before[0].QoS() != 1 {
			t.Errorf("version %d: %+v came, want own/1 at QoS 1", version, before)
		}
	}
}
