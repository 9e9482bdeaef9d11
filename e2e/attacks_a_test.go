package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Attacks on topics, A1 to A5, A9 and A10: what a grant does not reach.

// denied is the answer to a SUBSCRIBE for a filter that is not granted.
func denied(version byte) byte {
	if version == 5 {
		return 0x87
	}
	return 0x80
}

// isDenied reports whether a SUBACK refuses a filter, for whatever reason.
func isDenied(code byte) bool { return code >= 0x80 }

func TestA1_AFilterThatIsNoSubsetOfOneGrantIsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i, test := range []struct {
		grants  []string
		refused []string
		allowed []string
	}{
		{[]string{"sub:a/+"}, []string{"a/#", "+/#", "#", "+/+", "+/b", "a/+/#", "a/b/#", "a/+/+", "a", "A/+"}, []string{"a/+", "a/b", "a/"}},
		{[]string{"sub:+"}, []string{"#", "+/#", "+/+", "a/#", "/+"}, []string{"+", "a"}},
		{[]string{"sub:a/+/+"}, []string{"a/+/#", "a/#", "a/b/c/d", "a/+"}, []string{"a/+/+", "a/b/+", "a/+/c"}},
		{[]string{"sub:a/b/#"}, []string{"a/+/#", "a/#", "+/b/#", "a/+", "a/bc"}, []string{"a/b/#", "a/b", "a/b/+/d/#"}},
		// Together they would cover it, but none does alone.
		{[]string{"sub:a/b", "sub:a/+/c", "sub:a"}, []string{"a/+", "a/#", "a/+/+"}, []string{"a/b", "a/b/c", "a"}},
		// A right to publish is none to subscribe.
		{[]string{"pub:#", "sub:a"}, []string{"#", "b", "+"}, []string{"a"}},
	} {
		id := name("a1", i)
		token := s.token(s.service(id, test.grants...))
		eachVersion(t, func(t *testing.T, version byte) {
			w := enter(t, s, version, hello{id: id, password: token})
			for _, filter := range test.refused {
				if code := w.subscribe(1, filter)[0]; code != denied(version) {
					t.Errorf("%q: SUBSCRIBE %s: 0x%02x", test.grants, filter, code)
				}
			}
			w.mustSubscribe(1, test.allowed...)
		})
	}
}

func TestA2_ATopicIsComparedLevelByLevel(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	for i, test := range []struct {
		grant   string
		refused []string
		allowed []string
	}{
		{"pub:a/b", []string{"a/b/c", "a/bc", "a/b/", "a//b", "/a/b", "A/b", "a/B", "a", "a /b"}, []string{"a/b"}},
		{"pub:a/#", []string{"ab", "b/a", "/a", "A"}, []string{"a", "a/", "a/b", "a//b", "a/b/c/d"}},
		{"pub:a/+/c", []string{"a/c", "a/b/b/c", "a/b/c/d"}, []string{"a/b/c", "a//c"}},
		{"pub:/a", []string{"a", "//a", "/a/"}, []string{"/a"}},
		{"pub:a//b", []string{"a/b", "a/x/b", "a///b"}, []string{"a//b"}},
		{"pub:a/", []string{"a", "a//", "a/b"}, []string{"a/"}},
		{"pub:+", []string{"a/b", "/", "/a"}, []string{"a"}},
	} {
		id := name("a2", i)
		token := s.token(s.service(id, test.grant))
		eachVersion(t, func(t *testing.T, version byte) {
			watch := enter(t, s, version, hello{id: "reader", password: reader})
			watch.mustSubscribe(2, "#")
			w := enter(t, s, version, hello{id: id, password: token})
			for qos := range byte(3) {
				for _, topic := range append(test.refused, test.allowed...) {
					if code := w.publish(message{topic: topic, payload: "x", qos: qos}); version == 5 && qos > 0 &&
						(code == 0x87) != slices.Contains(test.refused, topic) {
						t.Errorf("%s: PUBLISH to %q at QoS %d: 0x%02x", test.grant, topic, qos, code)
					}
				}
				watch.publish(message{topic: "marker", qos: qos})
				watch.expectTopics("marker", test.allowed...)
			}
		})
	}
}

func TestA4_ASharedSubscriptionIsJudgedByItsFilter(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("worker", "sub:jobs/+"))
	all := s.token(s.service("all", "sub:#"))
	eachVersion(t, func(t *testing.T, version byte) {
		w := enter(t, s, version, hello{id: "worker", password: token})
		w.mustSubscribe(1, "$share/crew/jobs/+", "$share/crew/jobs/1", "$SHARE/crew/jobs/2", "$ShArE/other/jobs/+")
		for _, filter := range []string{
			"$share/crew/#", "$share/crew/jobs/#", "$SHARE/crew/#", "$sHaRe/crew/jobs/#", "$share/crew/other", "$share/crew/+/1",
			"$share/jobs/+", "$SHARE/jobs/1", "$share/jobs", "$share//jobs/+", "$share/crew", "$share/crew/", "$share/", "$share",
			"$SHARE/g", "$share/+/jobs/1", "$share/#/jobs/1", "$share/#", "$share/cr+ew/jobs/1", "$share/cr#ew/jobs/1",
			"$share/crew/$share/crew/jobs/1", "$share/crew/$SYS/#", "share/crew/jobs/1", "$shared/crew/jobs/1", "$queue/jobs/1",
		} {
			if code := w.subscribe(1, filter)[0]; !isDenied(code) {
				t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
		// Not even who may read everything gets round it.
		w = enter(t, s, version, hello{id: "all", password: all})
		w.mustSubscribe(1, "$share/crew/#", "#")
		for _, filter := range []string{"$share/crew", "$share//x", "$share/+/x", "$share/crew/$SYS/#", "$SHARE/crew/$sys/x", "$share/g/$share/g/x"} {
			if code := w.subscribe(1, filter)[0]; !isDenied(code) {
				t.Errorf("sub:#: SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
	})
}

func TestA5_AWildcardReachesNoTopicThatBeginsWithADollar(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("wide", "pub:#", "pub:+/x", "pub:+/+/t", "sub:#", "sub:+/x", "sub:+/#"))
	named := s.token(s.service("named", "pub:$other/#", "sub:$other/#", "sub:$SYS/#"))
	topics := []string{"$SYS/broker", "$SYS/x", "$sys/x", "$SYS", "$share/g/t", "$SHARE/g/t", "$Share/g", "$other/x", "$other", "$/x", "$"}
	eachVersion(t, func(t *testing.T, version byte) {
		watch := enter(t, s, version, hello{id: "named", password: named})
		watch.mustSubscribe(2, "$other/#", "$SYS/#")
		own := enter(t, s, version, hello{id: "wide:reader", password: token})
		own.mustSubscribe(2, "#", "+/x", "marker")
		w := enter(t, s, version, hello{id: "wide", password: token})
		for _, filter := range []string{"$SYS/#", "$SYS/+", "$sys/#", "$other/#", "$other/x", "$+/x", "$SYS/x", "$/x"} {
			if code := w.subscribe(0, filter)[0]; !isDenied(code) {
				t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
		for qos := range byte(3) {
			for _, topic := range topics {
				for _, retain := range []bool{false, true} {
					code := w.publish(message{topic: topic, payload: "x", qos: qos, retain: retain})
					if version == 5 && qos > 0 && code != 0x87 {
						t.Errorf("PUBLISH to %s at QoS %d, retain %v: 0x%02x", topic, qos, retain, code)
					}
				}
				will := &message{topic: topic, payload: "x", qos: qos}
				expectRefused(t, s.in(t), version, hello{id: "wide:will", password: token, will: will}, notAuthorized, "will-outside-grants")
			}
		}
		w.publish(message{topic: "marker", qos: 2})
		own.expectTopics("marker")
		watch.publish(message{topic: "$other/marker", qos: 2}) // whose grant names it may
		for _, m := range watch.until("$other/marker") {
			if !strings.HasPrefix(m.topic, "$SYS/") || m.payload == "x" {
				t.Errorf("a message on %s got through", m.topic)
			}
		}
	})
}

func TestA5_AReservedTopicIsNobodysWhateverTheToken(t *testing.T) {
	t.Parallel()
	s, f := startForging(t)
	genuine := s.token(s.service("wide", "pub:a"))
	reserved := []string{"$SYS/x", "$sys/x", "$Sys", "$SYSTEM/x", "$share/g/a", "$SHARE/g/a", "$share"}
	scopes := []string{"pub:a", "pub:$SYS/#", "pub:$sys/#", "pub:$share/#", "pub:$SHARE/+/a", "sub:$share/g/#", "sub:$SHARE/g/#"}
	for _, topic := range reserved {
		scopes = append(scopes, "pub:"+topic)
	}
	token := f.alter(genuine, claims{"scope": nil, "scp": scopes})
	w := enter(t, s, 5, hello{id: "wide", password: token})
	for _, topic := range reserved {
		if code := w.publish(message{topic: topic, payload: "x", qos: 1}); code != 0x87 {
			t.Errorf("PUBLISH to %s: 0x%02x", topic, code)
		}
		will := &message{topic: topic, payload: "x"}
		expectRefused(t, s, 5, hello{id: "wide:will", password: token, will: will}, notAuthorized, "will-outside-grants")
	}
	for _, filter := range []string{"$share/g/a", "$share/g/#", "$SHARE/g/b"} {
		if code := w.subscribe(0, filter)[0]; !isDenied(code) {
			t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
		}
	}
	if code := w.publish(message{topic: "a", qos: 1}); code != 0 {
		t.Errorf("the token's good scope: 0x%02x", code)
	}
}

func TestA9_LimitsOfAGrantAreKept(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	owner := s.token(s.service("owner", "pub:site/#"))
	token := s.token(s.service("meter", "pub:site/+/a?qos=0", "pub:site/+/b?qos=1", "pub:site/+/c?retain=false", "pub:site/+/d?qos=1&retain=false",
		"sub:site/#?qos=1"))
	eachVersion(t, func(t *testing.T, version byte) {
		root := fmt.Sprintf("site/%d/", version)
		d := enter(t, s, version, hello{id: "owner", password: owner})
		for _, topic := range []string{"c", "d"} {
			d.publish(message{topic: root + topic, payload: "kept", qos: 1, retain: true})
		}
		w := enter(t, s, version, hello{id: "meter", password: token})
		for qos := range byte(3) {
			for topic, limit := range map[string]struct {
				qos    byte
				retain bool
			}{"a": {0, true}, "b": {1, true}, "c": {2, false}, "d": {1, false}} {
				for _, m := range []message{{retain: false, payload: "x"}, {retain: true, payload: "x"}, {retain: true}} {
					allowed := qos <= limit.qos && (limit.retain || !m.retain)
					m.topic, m.qos = root+topic, qos
					if code := w.publish(m); version == 5 && qos > 0 && (code == 0) != allowed {
						t.Errorf("%+v: 0x%02x, allowed: %v", m, code, allowed)
					}
				}
			}
		}
		// Nothing that may not be retained was replaced, or deleted by an empty message.
		w.subscribe(2, root+"c", root+"d")
		for range 2 {
			if p := w.next(); p.payload != "kept" || p.qos() != 1 {
				t.Errorf("%s holds %q at QoS %d, want what its owner has put there, at QoS 1", p.topic, p.payload, p.qos())
			}
		}
		for qos := range byte(3) {
			if code := w.subscribe(qos, root+"x")[0]; code != min(qos, 1) {
				t.Errorf("SUBSCRIBE at QoS %d: granted 0x%02x, limit 1", qos, code)
			}
		}
	})
}

func TestA10_EachFilterOfASubscribeHasItsOwnVerdict(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--max-subscriptions", "150")
	token := s.token(s.service("reader", "sub:ok/#?qos=1", "pub:#"))
	eachVersion(t, func(t *testing.T, version byte) {
		no := denied(version)
		w := enter(t, s, version, hello{id: "reader", password: token})
		got := w.subscribe(2, "ok/1", "no/1", "ok/#", "#", "ok/1", "no/1", "$share/g/ok/2", "$share/g/no")
		if want := []byte{1, no, 1, no, 1, no, 1, no}; string(got) != string(want) {
			t.Errorf("SUBACK % x, want % x", got, want)
		}
		// Asking again does not widen what was refused, nor undo what was granted.
		if got := w.subscribe(0, "no/1", "ok/1", "no/1"); string(got) != string([]byte{no, 0, no}) {
			t.Errorf("the second SUBACK is % x", got)
		}
		w = enter(t, s, version, hello{id: "reader:many", password: token})
		var filters []string
		for i := range 200 {
			filters = append(filters, fmt.Sprintf("no/%d", i), fmt.Sprintf("ok/%d", i))
		}
		codes := w.subscribe(1, filters...)
		for i, code := range codes {
			switch granted := i%2 == 1; {
			case granted && i/2 < 150 && code != 1, granted && i/2 >= 150 && !isDenied(code), !granted && code != no:
				t.Errorf("%s: 0x%02x", filters[i], code)
			}
		}
		d := enter(t, s, version, hello{id: "reader:writer", password: token})
		for _, i := range []int{0, 149, 150, 199} {
			d.publish(message{topic: fmt.Sprintf("no/%d", i), qos: 1})
			d.publish(message{topic: fmt.Sprintf("ok/%d", i), qos: 1})
		}
		d.publish(message{topic: "ok/1", qos: 1})
		w.expectTopics("ok/1", "ok/0", "ok/149")
	})
}
