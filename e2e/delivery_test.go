package e2e_test

import (
	"fmt"
	"testing"
)

// Design §6, delivery: live, retained and queued messages reach whom they may reach.

func TestAMessageReachesEverySubscriberThatMayHaveIt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:lot/#"))
	states := s.token(s.service("states", "sub:lot/+/state", "sub:lot/marker"))
	first := s.token(s.service("first", "sub:lot/1/#", "sub:lot/marker"))
	eachClient(t, func(t *testing.T, _ byte, connect connectFunc) {
		a := mustConnect(t, connect, s.tcp(), hello{id: "states", password: states})
		b := mustConnect(t, connect, s.tcp(), hello{id: "first", password: first})
		for _, filter := range []string{"lot/+/state", "lot/#", "lot/marker"} {
			a.subscribe(1, filter)
		}
		for _, filter := range []string{"lot/1/#", "lot/+/state", "lot/marker"} {
			b.subscribe(1, filter)
		}
		d := mustConnect(t, connect, s.tcp(), hello{id: "meter", password: meter})
		for _, topic := range []string{"lot/1/state", "lot/2/state", "lot/1/health", "lot/2/health", "lot/marker"} {
			d.publish(message{topic: topic, qos: 1})
		}
		expectOnly(t, a, "lot/marker", "lot/1/state", "lot/2/state")
		expectOnly(t, b, "lot/marker", "lot/1/state", "lot/1/health")
		a.leave()
		b.leave()
		d.leave()
	})
}

func TestR2_RetainedMessagesObeyTheDeliveryRule(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:lot/#"))
	reader := s.service("reader", "sub:lot/+/state", "sub:lot/1/#", "pub:lot/1/marker")
	all, narrow := s.token(reader), s.token(reader, "scope", "sub:lot/1/# pub:lot/1/marker")
	d := mustConnect(t, connectPaho5, s.tcp(), hello{id: "meter", password: meter})
	for _, topic := range []string{"lot/1/state", "lot/2/state", "lot/2/health"} {
		d.publish(message{topic: topic, payload: "kept", qos: 1, retain: true})
	}
	eachVersion(t, func(t *testing.T, version byte) {
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
			w := enter(t, s, version, hello{id: "reader", password: test.token})
			w.subscribe(0, test.filters...)
			w.mustSubscribe(0, "lot/1/marker")
			w.publish(message{topic: "lot/1/marker"})
			w.expectTopics("lot/1/marker", test.want...)
			w.leave()
		}
	})
}

func TestR2_QueuedMessagesObeyTheDeliveryRule(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:lot/#"))
	reader := s.service("reader", "sub:lot/+/state", "sub:lot/+/health", "sub:lot/marker")
	all, narrow := s.token(reader), s.token(reader, "scope", "sub:lot/+/state sub:lot/marker")
	eachVersion(t, func(t *testing.T, version byte) {
		id := fmt.Sprint("reader:", version)
		w := enter(t, s, version, hello{id: id, password: all, keep: true})
		w.mustSubscribe(1, "lot/+/state", "lot/+/health", "lot/marker")
		w.leave()
		d := enter(t, s, version, hello{id: "meter", password: meter})
		for _, topic := range []string{"lot/1/state", "lot/1/health", "lot/2/state", "lot/marker"} {
			d.publish(message{topic: topic, qos: 1})
		}
		w = resume(t, s, version, hello{id: id, password: narrow, keep: true}, true)
		w.expectTopics("lot/marker", "lot/1/state", "lot/2/state")
	})
}

func TestAMessageForASharedGroupGoesToAMemberThatMayHaveIt(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const count = 40
	worker := s.service("worker", "sub:jobs/#")
	full, narrow := s.token(worker), s.token(worker, "scope", "sub:jobs/a/#")
	boss := s.token(s.service("boss", "pub:jobs/#"))
	eachVersion(t, func(t *testing.T, version byte) {
		// One member's session is resumed with fewer rights, another is away.
		filter := "$share/crew/jobs/#"
		narrowed, away := fmt.Sprint("worker:narrowed-", version), fmt.Sprint("worker:away-", version)
		for _, id := range []string{narrowed, away} {
			w := enter(t, s, version, hello{id: id, password: full, keep: true})
			w.mustSubscribe(1, filter)
			w.leave()
		}
		resume(t, s, version, hello{id: narrowed, password: narrow, keep: true}, true)
		all := enter(t, s, version, hello{id: "worker:here", password: full})
		all.mustSubscribe(1, filter, "jobs/marker")

		d := enter(t, s, version, hello{id: "boss", password: boss})
		for range count {
			d.publish(message{topic: "jobs/b", qos: 1})
		}
		d.publish(message{topic: "jobs/marker", qos: 1})
		if got := len(all.until("jobs/marker")); got != count {
			t.Errorf("%d of %d messages reached the one member that may have them and is there", got, count)
		}
	})
}
