package attacks_test

import (
	"net/http"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks by what the broker keeps, R1 and R2: retained messages and queues that outlive a right.

// expectRetained wants exactly these retained messages, in any order, for a reader who may read all, and publish the marker.
func expectRetained(tb testing.TB, s *harness.Server, version byte, token, filter string, want ...string) {
	tb.Helper()
	w := harness.Enter(tb, s, version, harness.Hello{ID: "reader:fresh", Password: token})
	w.MustSubscribe(1, filter, "marker")
	w.Publish(harness.Message{Topic: "marker", QoS: 1})
	got := map[string]bool{}
	for _, m := range w.Until("marker") {
		got[m.Topic] = m.Retain()
	}
	for _, topic := range want {
		if !got[topic] {
			tb.Errorf("there is no retained message on %s", topic)
		}
		delete(got, topic)
	}
	for topic := range got {
		tb.Errorf("there is a retained message on %s", topic)
	}
	w.Leave()
}

func TestR1_WithADeletedDeviceGoTheRetainedMessagesThatItPublished(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	reading := s.Token(s.Service("reader", "sub:#", "pub:shared/#", "pub:marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		id := harness.Name("meter", version)
		will := &harness.Message{Topic: id + "/state", Payload: "lost", QoS: 1, Retain: true}
		watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reading})
		watch.MustSubscribe(1, id+"/#")
		w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: s.Token(s.Service(id, "pub:{client_id}/#", "pub:shared/#")), Will: will})
		for _, topic := range []string{id + "/info", id + "/health", "shared/mine", "shared/theirs"} {
			w.Publish(harness.Message{Topic: topic, Payload: "kept", QoS: 1, Retain: true})
		}
		watch.Publish(harness.Message{Topic: "shared/theirs", Payload: "kept", QoS: 1, Retain: true}) // whose it is now
		w.Drop()
		watch.Until(id + "/state")
		expectRetained(t, s, version, reading, id+"/#", id+"/info", id+"/health", id+"/state")

		if got := s.End(http.MethodDelete, "/v1/services/"+id, nil); got.Retained != 4 || got.Secrets != 1 {
			t.Errorf("the receipt says %+v, want 4 retained messages and 1 secret", got)
		}
		expectRetained(t, s, version, reading, id+"/#")
		expectRetained(t, s, version, reading, "shared/+", "shared/theirs")
		for range 3 { // who is there is told that they are gone
			if m := watch.Next(); m.Payload != "" {
				t.Errorf("%q came on %s, want an empty message", m.Payload, m.Topic)
			}
		}
		s.Kill()
		s.Restart()
		expectRetained(t, s, version, reading, id+"/#")
		expectRetained(t, s, version, reading, "shared/+", "shared/theirs")
	})
}

func TestR1_TheIDOfADeletedDeviceIsNobodysAgain(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:meter/#"))
	s.End(http.MethodDelete, "/v1/services/meter", nil)
	for _, kind := range []string{"devices", "services", "operators"} {
		if status, answer := s.Fleet(http.MethodPost, "/v1/"+kind, harness.Grants("meter", "pub:meter/#")); status != http.StatusConflict {
			t.Errorf("creating it among the %s: %d %s", kind, status, answer)
		}
	}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "meter", Password: token}, harness.NotAuthorized, "client-inactive")
	})
}

func TestR1_ADisabledDeviceKeepsWhatItPublishedAndChangesItNoMore(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	reading := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		id := harness.Name("meter", version)
		token := s.Token(s.Service(id, "pub:{client_id}/#"))
		w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: token})
		w.Publish(harness.Message{Topic: id + "/info", Payload: "kept", QoS: 1, Retain: true})
		s.Disable(id)
		expectRetained(t, s, version, reading, id+"/#", id+"/info")
		deletion := harness.Message{Topic: id + "/info", QoS: 1, Retain: true}.Encode(version, 1)
		_, _ = w.Conn.Write(deletion) // on the connection that is being closed
		w.End()
		late := harness.Dial(t, s.MQTT, version)
		late.Send(append(harness.Hello{ID: id, Password: token}.Encode(version), deletion...)) // and on one that is not let in
		late.End()
		expectRetained(t, s, version, reading, id+"/#", id+"/info")
	})
}

func TestR2_RetainedAndQueuedMessagesFollowTheRightsOfTheMoment(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	owner := s.Token(s.Service("owner", "pub:#", "sub:#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		for _, qos := range []byte{1, 2} {
			s := s.In(t)
			id := harness.Name("meter", version, qos)
			s.Role(id, nil, "sub:a/#", "sub:b/#")
			meter := harness.Hello{ID: id, Password: s.Token(s.Holding(id, id)), Keep: true}
			publisher := harness.Enter(t, s, version, harness.Hello{ID: "owner", Password: owner})
			for _, topic := range []string{"a/kept", "b/kept"} {
				publisher.Publish(harness.Message{Topic: topic, Payload: "x", QoS: qos, Retain: true})
			}
			w := harness.Enter(t, s, version, meter)
			w.MustSubscribe(qos, "a/#", "b/#", "$share/g/a/x")
			if one, two := w.Next().Topic, w.Next().Topic; one+two != "a/keptb/kept" && one+two != "b/kepta/kept" {
				t.Errorf("messages on %s and %s came", one, two)
			}
			w.Ping() // they are acknowledged
			w.Leave()
			for _, topic := range []string{"a/x", "b/x", "a/y", "b/y"} {
				publisher.Publish(harness.Message{Topic: topic, Payload: "x", QoS: qos})
			}
			got := s.End(http.MethodPatch, "/v1/roles/"+id, harness.Rights("sub:b/#"))
			if got.Rejudged != 1 || got.Subscriptions != 2 || got.Queued < 2 {
				t.Errorf("the receipt says %+v, want 1 session, 2 subscriptions and at least 2 messages", got)
			}
			publisher.Publish(harness.Message{Topic: "a/later", Payload: "x", QoS: qos})
			publisher.Publish(harness.Message{Topic: "b/later", Payload: "x", QoS: qos})

			w = harness.Resume(t, s, version, meter, true) // with the token that says more
			w.ExpectTopics("b/later", "b/x", "b/y")
			for _, filter := range []string{"a/#", "a/kept", "#", "+/kept", "$share/g/a/x"} {
				if code := w.Subscribe(qos, filter)[0]; !isDenied(code) {
					t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
				}
			}
			w.MustSubscribe(qos, "b/+")
			w.ExpectTopics("b/kept")
			publisher.Publish(harness.Message{Topic: "b/marker", Payload: "x", QoS: qos})
			w.ExpectTopics("b/marker")
			w.Leave()
			publisher.Leave()
		}
	})
}

func TestR2_AStoredSessionIsHeldToTheRightsOfTheMomentAfterARestart(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	owner := s.Token(s.Service("owner", "pub:#"))
	s.Role("site", nil, "sub:a/#", "sub:b/#")
	narrowed := harness.Hello{ID: "narrowed", Password: s.Token(s.Holding("site", "narrowed")), Keep: true}
	disabled := harness.Hello{ID: "disabled", Password: s.Token(s.Holding("site", "disabled")), Keep: true}
	for _, h := range []harness.Hello{narrowed, disabled} {
		w := harness.Enter(t, s, 5, h)
		w.MustSubscribe(1, "a/#", "b/#")
		w.Leave()
	}
	w := harness.Enter(t, s, 5, harness.Hello{ID: "owner", Password: owner})
	w.Publish(harness.Message{Topic: "a/x", QoS: 1})
	w.Publish(harness.Message{Topic: "b/x", QoS: 1})
	s.Stop()
	s.Restart()
	if got := s.End(http.MethodPatch, "/v1/roles/site", harness.Rights("sub:b/#")); got != (harness.Receipt{Rejudged: 2, Subscriptions: 2, Queued: 2}) {
		t.Errorf("the receipt for sessions from the store says %+v, want 2 of each", got)
	}
	if got := s.Disable("disabled"); got != (harness.Receipt{Sessions: 1, Subscriptions: 1, Queued: 1}) {
		t.Errorf("the receipt for a session from the store says %+v, want 1 of each", got)
	}
	w = harness.Enter(t, s, 5, harness.Hello{ID: "owner", Password: owner})
	w.Publish(harness.Message{Topic: "a/later", QoS: 1})
	w.Publish(harness.Message{Topic: "b/later", QoS: 1})
	harness.Resume(t, s, 5, narrowed, true).ExpectTopics("b/later", "b/x")
	harness.ExpectRefused(t, s, 5, disabled, harness.NotAuthorized, "client-inactive")
}
