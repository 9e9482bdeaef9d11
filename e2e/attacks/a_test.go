package attacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
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
	s := harness.StartServer(t)
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
		id := harness.Name("a1", i)
		token := s.Token(s.Service(id, test.grants...))
		harness.EachVersion(t, func(t *testing.T, version byte) {
			w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: token})
			for _, filter := range test.refused {
				if code := w.Subscribe(1, filter)[0]; code != denied(version) {
					t.Errorf("%q: SUBSCRIBE %s: 0x%02x", test.grants, filter, code)
				}
			}
			w.MustSubscribe(1, test.allowed...)
		})
	}
}

func TestA2_ATopicIsComparedLevelByLevel(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
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
		id := harness.Name("a2", i)
		token := s.Token(s.Service(id, test.grant))
		harness.EachVersion(t, func(t *testing.T, version byte) {
			watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
			watch.MustSubscribe(2, "#")
			w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: token})
			for qos := range byte(3) {
				for _, topic := range append(test.refused, test.allowed...) {
					if code := w.Publish(harness.Message{Topic: topic, Payload: "x", QoS: qos}); version == 5 && qos > 0 &&
						(code == 0x87) != slices.Contains(test.refused, topic) {
						t.Errorf("%s: PUBLISH to %q at QoS %d: 0x%02x", test.grant, topic, qos, code)
					}
				}
				watch.Publish(harness.Message{Topic: "marker", QoS: qos})
				watch.ExpectTopics("marker", test.allowed...)
			}
		})
	}
}

func TestA4_ASharedSubscriptionIsJudgedByItsFilter(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("worker", "sub:jobs/+"))
	all := s.Token(s.Service("all", "sub:#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		w := harness.Enter(t, s, version, harness.Hello{ID: "worker", Password: token})
		w.MustSubscribe(1, "$share/crew/jobs/+", "$share/crew/jobs/1", "$SHARE/crew/jobs/2", "$ShArE/other/jobs/+")
		for _, filter := range []string{
			"$share/crew/#", "$share/crew/jobs/#", "$SHARE/crew/#", "$sHaRe/crew/jobs/#", "$share/crew/other", "$share/crew/+/1",
			"$share/jobs/+", "$SHARE/jobs/1", "$share/jobs", "$share//jobs/+", "$share/crew", "$share/crew/", "$share/", "$share",
			"$SHARE/g", "$share/+/jobs/1", "$share/#/jobs/1", "$share/#", "$share/cr+ew/jobs/1", "$share/cr#ew/jobs/1",
			"$share/crew/$share/crew/jobs/1", "$share/crew/$SYS/#", "share/crew/jobs/1", "$shared/crew/jobs/1", "$queue/jobs/1",
		} {
			if code := w.Subscribe(1, filter)[0]; !isDenied(code) {
				t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
		// Not even who may read everything gets round it.
		w = harness.Enter(t, s, version, harness.Hello{ID: "all", Password: all})
		w.MustSubscribe(1, "$share/crew/#", "#")
		for _, filter := range []string{"$share/crew", "$share//x", "$share/+/x", "$share/crew/$SYS/#", "$SHARE/crew/$sys/x", "$share/g/$share/g/x"} {
			if code := w.Subscribe(1, filter)[0]; !isDenied(code) {
				t.Errorf("sub:#: SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
	})
}

func TestA5_AWildcardReachesNoTopicThatBeginsWithADollar(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("wide", "pub:#", "pub:+/x", "pub:+/+/t", "sub:#", "sub:+/x", "sub:+/#"))
	named := s.Token(s.Service("named", "pub:$other/#", "sub:$other/#", "sub:$SYS/#"))
	topics := []string{"$SYS/broker", "$SYS/x", "$sys/x", "$SYS", "$share/g/t", "$SHARE/g/t", "$Share/g", "$other/x", "$other", "$/x", "$"}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		watch := harness.Enter(t, s, version, harness.Hello{ID: "named", Password: named})
		watch.MustSubscribe(2, "$other/#", "$SYS/#")
		own := harness.Enter(t, s, version, harness.Hello{ID: "wide:reader", Password: token})
		own.MustSubscribe(2, "#", "+/x", "marker")
		w := harness.Enter(t, s, version, harness.Hello{ID: "wide", Password: token})
		for _, filter := range []string{"$SYS/#", "$SYS/+", "$sys/#", "$other/#", "$other/x", "$+/x", "$SYS/x", "$/x"} {
			if code := w.Subscribe(0, filter)[0]; !isDenied(code) {
				t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
			}
		}
		for qos := range byte(3) {
			for _, topic := range topics {
				for _, retain := range []bool{false, true} {
					code := w.Publish(harness.Message{Topic: topic, Payload: "x", QoS: qos, Retain: retain})
					if version == 5 && qos > 0 && code != 0x87 {
						t.Errorf("PUBLISH to %s at QoS %d, retain %v: 0x%02x", topic, qos, retain, code)
					}
				}
				will := &harness.Message{Topic: topic, Payload: "x", QoS: qos}
				harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "wide:will", Password: token, Will: will}, harness.NotAuthorized, "will-outside-grants")
			}
		}
		w.Publish(harness.Message{Topic: "marker", QoS: 2})
		own.ExpectTopics("marker")
		watch.Publish(harness.Message{Topic: "$other/marker", QoS: 2}) // whose grant names it may
		for _, m := range watch.Until("$other/marker") {
			if !strings.HasPrefix(m.Topic, "$SYS/") || m.Payload == "x" {
				t.Errorf("a message on %s got through", m.Topic)
			}
		}
	})
}

func TestA5_AReservedTopicIsNobodysWhateverTheToken(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	genuine := s.Token(s.Service("wide", "pub:a"))
	reserved := []string{"$SYS/x", "$sys/x", "$Sys", "$SYSTEM/x", "$share/g/a", "$SHARE/g/a", "$share"}
	scopes := []string{"pub:a", "pub:$SYS/#", "pub:$sys/#", "pub:$share/#", "pub:$SHARE/+/a", "sub:$share/g/#", "sub:$SHARE/g/#"}
	for _, topic := range reserved {
		scopes = append(scopes, "pub:"+topic)
	}
	token := f.Alter(genuine, harness.Claims{"scope": nil, "scp": scopes})
	w := harness.Enter(t, s, 5, harness.Hello{ID: "wide", Password: token})
	for _, topic := range reserved {
		if code := w.Publish(harness.Message{Topic: topic, Payload: "x", QoS: 1}); code != 0x87 {
			t.Errorf("PUBLISH to %s: 0x%02x", topic, code)
		}
		will := &harness.Message{Topic: topic, Payload: "x"}
		harness.ExpectRefused(t, s, 5, harness.Hello{ID: "wide:will", Password: token, Will: will}, harness.NotAuthorized, "will-outside-grants")
	}
	for _, filter := range []string{"$share/g/a", "$share/g/#", "$SHARE/g/b"} {
		if code := w.Subscribe(0, filter)[0]; !isDenied(code) {
			t.Errorf("SUBSCRIBE %s: 0x%02x", filter, code)
		}
	}
	if code := w.Publish(harness.Message{Topic: "a", QoS: 1}); code != 0 {
		t.Errorf("the token's good scope: 0x%02x", code)
	}
}

func TestA9_LimitsOfAGrantAreKept(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	owner := s.Token(s.Service("owner", "pub:site/#"))
	token := s.Token(s.Service("meter", "pub:site/+/a?qos=0", "pub:site/+/b?qos=1", "pub:site/+/c?retain=false", "pub:site/+/d?qos=1&retain=false",
		"sub:site/#?qos=1"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		root := fmt.Sprintf("site/%d/", version)
		d := harness.Enter(t, s, version, harness.Hello{ID: "owner", Password: owner})
		for _, topic := range []string{"c", "d"} {
			d.Publish(harness.Message{Topic: root + topic, Payload: "kept", QoS: 1, Retain: true})
		}
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		for qos := range byte(3) {
			for topic, limit := range map[string]struct {
				qos    byte
				retain bool
			}{"a": {0, true}, "b": {1, true}, "c": {2, false}, "d": {1, false}} {
				for _, m := range []harness.Message{{Retain: false, Payload: "x"}, {Retain: true, Payload: "x"}, {Retain: true}} {
					allowed := qos <= limit.qos && (limit.retain || !m.Retain)
					m.Topic, m.QoS = root+topic, qos
					if code := w.Publish(m); version == 5 && qos > 0 && (code == 0) != allowed {
						t.Errorf("%+v: 0x%02x, allowed: %v", m, code, allowed)
					}
				}
			}
		}
		// Nothing that may not be retained was replaced, or deleted by an empty message.
		w.Subscribe(2, root+"c", root+"d")
		for range 2 {
			if p := w.Next(); p.Payload != "kept" || p.QoS() != 1 {
				t.Errorf("%s holds %q at QoS %d, want what its owner has put there, at QoS 1", p.Topic, p.Payload, p.QoS())
			}
		}
		for qos := range byte(3) {
			if code := w.Subscribe(qos, root+"x")[0]; code != min(qos, 1) {
				t.Errorf("SUBSCRIBE at QoS %d: granted 0x%02x, limit 1", qos, code)
			}
		}
	})
}

func TestA10_EachFilterOfASubscribeHasItsOwnVerdict(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--max-subscriptions", "150")
	token := s.Token(s.Service("reader", "sub:ok/#?qos=1", "pub:#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		no := denied(version)
		w := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: token})
		got := w.Subscribe(2, "ok/1", "no/1", "ok/#", "#", "ok/1", "no/1", "$share/g/ok/2", "$share/g/no")
		if want := []byte{1, no, 1, no, 1, no, 1, no}; string(got) != string(want) {
			t.Errorf("SUBACK % x, want % x", got, want)
		}
		// Asking again does not widen what was refused, nor undo what was granted.
		if got := w.Subscribe(0, "no/1", "ok/1", "no/1"); string(got) != string([]byte{no, 0, no}) {
			t.Errorf("the second SUBACK is % x", got)
		}
		w = harness.Enter(t, s, version, harness.Hello{ID: "reader:many", Password: token})
		var filters []string
		for i := range 200 {
			filters = append(filters, fmt.Sprintf("no/%d", i), fmt.Sprintf("ok/%d", i))
		}
		codes := w.Subscribe(1, filters...)
		for i, code := range codes {
			switch granted := i%2 == 1; {
			case granted && i/2 < 150 && code != 1, granted && i/2 >= 150 && !isDenied(code), !granted && code != no:
				t.Errorf("%s: 0x%02x", filters[i], code)
			}
		}
		d := harness.Enter(t, s, version, harness.Hello{ID: "reader:writer", Password: token})
		for _, i := range []int{0, 149, 150, 199} {
			d.Publish(harness.Message{Topic: fmt.Sprintf("no/%d", i), QoS: 1})
			d.Publish(harness.Message{Topic: fmt.Sprintf("ok/%d", i), QoS: 1})
		}
		d.Publish(harness.Message{Topic: "ok/1", QoS: 1})
		w.ExpectTopics("ok/1", "ok/0", "ok/149")
	})
}
