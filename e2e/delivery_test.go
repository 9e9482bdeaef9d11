package e2e_test

import (
	"fmt"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Design §6, delivery: live, retained and queued messages reach whom they may reach.

func TestAMessageReachesEverySubscriberThatMayHaveIt(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:lot/#"))
	states := s.Token(s.Service("states", "sub:lot/+/state", "sub:lot/marker"))
	first := s.Token(s.Service("first", "sub:lot/1/#", "sub:lot/marker"))
	harness.EachClient(t, func(t *testing.T, _ byte, connect harness.ConnectFunc) {
		a := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "states", Password: states})
		b := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "first", Password: first})
		for _, filter := range []string{"lot/+/state", "lot/#", "lot/marker"} {
			a.Subscribe(1, filter)
		}
		for _, filter := range []string{"lot/1/#", "lot/+/state", "lot/marker"} {
			b.Subscribe(1, filter)
		}
		d := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "meter", Password: meter})
		for _, topic := range []string{"lot/1/state", "lot/2/state", "lot/1/health", "lot/2/health", "lot/marker"} {
			d.Publish(harness.Message{Topic: topic, QoS: 1})
		}
		harness.ExpectOnly(t, a, "lot/marker", "lot/1/state", "lot/2/state")
		harness.ExpectOnly(t, b, "lot/marker", "lot/1/state", "lot/1/health")
		a.Leave()
		b.Leave()
		d.Leave()
	})
}

func TestR2_RetainedMessagesObeyTheDeliveryRule(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:lot/#"))
	reader := s.Service("reader", "sub:lot/+/state", "sub:lot/1/#", "pub:lot/1/marker")
	all, narrow := s.Token(reader), s.Token(reader, "scope", "sub:lot/1/# pub:lot/1/marker")
	d := harness.MustConnect(t, harness.ConnectPaho5, s.TCP(), harness.Hello{ID: "meter", Password: meter})
	for _, topic := range []string{"lot/1/state", "lot/2/state", "lot/2/health"} {
		d.Publish(harness.Message{Topic: topic, Payload: "kept", QoS: 1, Retain: true})
	}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		for _, test := range []struct {
			token   string
			filters []string
			want    []string
		}{
			{all, []string{"lot/2/state"}, []string{"lot/2/state"}},
			{all, []string{"lot/2/health", "lot/#", "#"}, nil},
			{narrow, []string{"lot/+/state", "lot/2/state"}, nil},
			{narrow, []string{"lot/1/+"}, []string{"lot/1/state"}},
		} {
			w := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: test.token})
			w.Subscribe(0, test.filters...)
			w.MustSubscribe(0, "lot/1/marker")
			w.Publish(harness.Message{Topic: "lot/1/marker"})
			w.ExpectTopics("lot/1/marker", test.want...)
			w.Leave()
		}
	})
}

func TestR2_QueuedMessagesObeyTheDeliveryRule(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:lot/#"))
	reader := s.Service("reader", "sub:lot/+/state", "sub:lot/+/health", "sub:lot/marker")
	all, narrow := s.Token(reader), s.Token(reader, "scope", "sub:lot/+/state sub:lot/marker")
	harness.EachVersion(t, func(t *testing.T, version byte) {
		id := fmt.Sprint("reader:", version)
		w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: all, Keep: true})
		w.MustSubscribe(1, "lot/+/state", "lot/+/health", "lot/marker")
		w.Leave()
		d := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: meter})
		for _, topic := range []string{"lot/1/state", "lot/1/health", "lot/2/state", "lot/marker"} {
			d.Publish(harness.Message{Topic: topic, QoS: 1})
		}
		w = harness.Resume(t, s, version, harness.Hello{ID: id, Password: narrow, Keep: true}, true)
		w.ExpectTopics("lot/marker", "lot/1/state", "lot/2/state")
	})
}

func TestAMessageForASharedGroupGoesToAMemberThatMayHaveIt(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	const count = 40
	worker := s.Service("worker", "sub:jobs/#")
	full, narrow := s.Token(worker), s.Token(worker, "scope", "sub:jobs/a/#")
	boss := s.Token(s.Service("boss", "pub:jobs/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		// One member's session is resumed with fewer rights, another is away.
		filter := "$share/crew/jobs/#"
		narrowed, away := fmt.Sprint("worker:narrowed-", version), fmt.Sprint("worker:away-", version)
		for _, id := range []string{narrowed, away} {
			w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: full, Keep: true})
			w.MustSubscribe(1, filter)
			w.Leave()
		}
		harness.Resume(t, s, version, harness.Hello{ID: narrowed, Password: narrow, Keep: true}, true)
		all := harness.Enter(t, s, version, harness.Hello{ID: "worker:here", Password: full})
		all.MustSubscribe(1, filter, "jobs/marker")

		d := harness.Enter(t, s, version, harness.Hello{ID: "boss", Password: boss})
		for range count {
			d.Publish(harness.Message{Topic: "jobs/b", QoS: 1})
		}
		d.Publish(harness.Message{Topic: "jobs/marker", QoS: 1})
		if got := len(all.Until("jobs/marker")); got != count {
			t.Errorf("%d of %d messages reached the one member that may have them and is there", got, count)
		}
	})
}
