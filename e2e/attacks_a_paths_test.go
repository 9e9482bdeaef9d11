package e2e_test

import (
	"fmt"
	"slices"
	"testing"
)

// Attacks on topics, A7 and A12: ways round the verdict.

// aliased is a PUBLISH at QoS 1 with a topic alias, also with the forbidden one 0.
func aliased(topic string, alias uint16) []byte {
	body := append(field(topic), 0, 9, 3, propTopicAlias, byte(alias>>8), byte(alias))
	return frame(typePublish<<4|2, append(body, "x"...))
}

func TestA7_ATopicAliasIsJudgedAsTheTopicItStandsFor(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:own/#"))
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	watch := enter(t, s, 5, hello{id: "reader", password: reader})
	watch.mustSubscribe(1, "#")
	w := dial(t, s.mqtt, 5)
	ack := w.connect(hello{id: "meter", password: meter})
	if most := ack.props.number[propTopicAliasMaximum]; ack.code() != 0 || most < 2 {
		t.Fatalf("CONNACK 0x%02x, Topic Alias Maximum %d", ack.code(), most)
	}
	for i, step := range []struct {
		topic string
		alias uint16
		want  byte
	}{
		{"own/a", 1, 0},
		{"", 1, 0}, // set, then used
		{"other/b", 2, 0x87},
		{"", 2, 0x87}, // set by a message that is refused
		{"own/c", 2, 0},
		{"", 2, 0},
		{"", 1, 0}, // set anew
		{"other/d", 1, 0x87},
		{"", 1, 0x87}, // set anew by one that is refused
		{"own/e", 1, 0},
		{"", 1, 0},
		{"$SYS/x", 1, 0x87},
		{"", 1, 0x87},
		{"$share/g/own/a", 1, 0x87},
		{"", 1, 0x87},
	} {
		w.send(aliased(step.topic, step.alias))
		if code := w.expectAck(typePuback, 9); code != step.want {
			t.Errorf("step %d, %q with alias %d: 0x%02x, want 0x%02x", i, step.topic, step.alias, code, step.want)
		}
	}
	watch.publish(message{topic: "marker", qos: 1})
	watch.expectTopics("marker", "own/a", "own/a", "own/c", "own/c", "own/a", "own/e", "own/e")
}

func TestA7_AnAliasThatStandsForNothingEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	full := s.service("meter", "pub:own/#")
	token := s.token(full)
	for what, test := range map[string]struct {
		before [][]byte
		last   []byte
		want   []byte
	}{
		"unknown":            {nil, aliased("", 1), []byte{0x82, 0x94}},
		"another one is set": {[][]byte{aliased("own/a", 1)}, aliased("", 2), []byte{0x82, 0x94}},
		"zero":               {[][]byte{aliased("own/a", 1)}, aliased("own/a", 0), []byte{0x94}},
		"zero, no topic":     {[][]byte{aliased("own/a", 1)}, aliased("", 0), []byte{0x94}},
		"too large":          {nil, aliased("own/a", 65535), []byte{0x94}},
		"no topic, no alias": {nil, message{qos: 1}.encode(5, 9), []byte{0x82, 0x90}},
	} {
		t.Run(what, func(t *testing.T) {
			w := enter(t, s, 5, hello{id: "meter", password: token})
			for _, sent := range test.before {
				w.send(sent)
				w.expectAck(typePuback, 9)
			}
			w.send(test.last)
			if p := w.expectClosed(); p.kind != typeDisconnect || !slices.Contains(test.want, p.code()) {
				t.Errorf("the server closed with packet type %d, code 0x%02x; want DISCONNECT % x", p.kind, p.code(), test.want)
			}
		})
	}
}

func TestA7_AnAliasDoesNotOutliveItsRights(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.service("meter", "pub:a/#", "pub:b/#")
	full, narrow := s.token(meter), s.token(meter, "scope", "pub:b/#")
	w := enter(t, s, 5, hello{id: "meter", password: full, keep: true})
	w.send(aliased("a/x", 1))
	if code := w.expectAck(typePuback, 9); code != 0 {
		t.Fatalf("with the full token: 0x%02x", code)
	}
	w.leave()
	w = resume(t, s, 5, hello{id: "meter", password: narrow, keep: true}, true)
	w.send(aliased("a/x", 1))
	if code := w.expectAck(typePuback, 9); code != 0x87 {
		t.Errorf("with the narrow token: 0x%02x, want 0x87", code)
	}
	w.send(aliased("b/x", 2))
	if code := w.expectAck(typePuback, 9); code != 0 {
		t.Errorf("what is still granted: 0x%02x", code)
	}
	w = resume(t, s, 5, hello{id: "meter", password: narrow, keep: true}, true) // an alias belongs to its connection
	w.send(aliased("", 2))
	if p := w.expectClosed(); p.kind != typeDisconnect {
		t.Errorf("an alias of the connection before was accepted: packet type %d", p.kind)
	}
}

func TestA7_AliasesThatTheServerSetsNameTheRightTopics(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	both := s.token(s.service("both", "pub:a/#", "sub:a/+", "sub:marker", "pub:marker"))
	w := enter(t, s, 5, hello{id: "both", password: both, aliases: 3})
	w.mustSubscribe(1, "a/+", "marker")
	var want []string
	for i := range 24 {
		topic := fmt.Sprint("a/", i%6)
		w.publish(message{topic: topic, payload: topic, qos: byte(i % 2)})
		want = append(want, topic)
	}
	w.publish(message{topic: "a/not/granted", qos: 1})
	known := map[uint32]string{}
	for i, topic := range want {
		p := w.next()
		alias, has := p.props.number[propTopicAlias]
		switch {
		case has && (alias == 0 || alias > 3):
			t.Errorf("message %d has alias %d, beyond what the client takes", i, alias)
		case has && p.topic != "":
			known[alias] = p.topic
		case has:
			p.topic = known[alias]
		}
		if p.topic != topic || p.payload != topic {
			t.Errorf("message %d is %q on %q, want %q", i, p.payload, p.topic, topic)
		}
	}
}

// denyPath is a way of doing what is not granted, and returns whether the server said no.
type denyPath func(t *testing.T, s *server, version, qos byte)

func TestA12_EveryDenyPathHoldsInBothVersionsAtEveryQoS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	owner := s.service("owner", "pub:lot/#", "sub:lot/#")
	meter := s.service("meter", "pub:own/#?qos=0&retain=false", "sub:own/#", "sub:lot/open/#")
	ownerToken, token := s.token(owner), s.token(meter)
	ownOnly := s.token(meter, "scope", "pub:own/#?qos=0&retain=false sub:own/#")
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	publish := func(m message) denyPath {
		return func(t *testing.T, s *server, version, qos byte) {
			w := enter(t, s, version, hello{id: "meter", password: token})
			m.qos = max(m.qos, qos)
			if code := w.publish(m); version == 5 && m.qos > 0 && code != 0x87 {
				t.Errorf("answered 0x%02x, want 0x87", code)
			}
			w.ping()
		}
	}
	subscribe := func(filters ...string) denyPath {
		return func(t *testing.T, s *server, version, qos byte) {
			w := enter(t, s, version, hello{id: "meter", password: token})
			for i, code := range w.subscribe(qos, filters...) {
				if code != denied(version) {
					t.Errorf("SUBSCRIBE %s: 0x%02x", filters[i], code)
				}
			}
			enter(t, s, version, hello{id: "owner", password: ownerToken}).publish(message{topic: "lot/live", payload: "x", qos: qos})
			w.ping()
			if len(w.early) > 0 {
				t.Errorf("%q came", topics(w.early))
			}
		}
	}
	for what, path := range map[string]denyPath{
		"publish to a foreign topic":   publish(message{topic: "lot/x", payload: "x"}),
		"publish, retained":            publish(message{topic: "lot/x", payload: "x", retain: true}),
		"publish above the QoS limit":  publish(message{topic: "own/x", payload: "x", qos: 1}),
		"retain where it is forbidden": publish(message{topic: "own/x", payload: "x", qos: 0, retain: true}),
		"delete a retained message":    publish(message{topic: "own/x", retain: true}),
		"publish to a reserved topic":  publish(message{topic: "$SYS/x", payload: "x"}),
		"publish to a shared group":    publish(message{topic: "$share/g/own/x", payload: "x"}),
		"subscribe to a foreign topic": subscribe("lot/live", "lot/#", "lot/+", "#", "+/live"),
		"share a foreign topic":        subscribe("$share/g/lot/live", "$SHARE/g/lot/#", "$share/g/#"),
		"a will":                       will(token, message{topic: "lot/x", payload: "x"}),
		"a retained will":              will(token, message{topic: "own/x", payload: "x", retain: true}),
		"take up a queue": func(t *testing.T, s *server, version, qos byte) {
			id := fmt.Sprintf("meter:%d-%d", version, qos)
			w := enter(t, s, version, hello{id: id, password: token, keep: true})
			w.mustSubscribe(qos, "lot/open/#", "own/#")
			w.leave()
			enter(t, s, version, hello{id: "owner", password: ownerToken}).publish(message{topic: "lot/open/x", payload: "x", qos: qos})
			w = resume(t, s, version, hello{id: id, password: ownOnly, keep: true}, true)
			enter(t, s, version, hello{id: "owner", password: ownerToken}).publish(message{topic: "lot/open/x", payload: "x", qos: qos})
			w.ping()
			if len(w.early) > 0 {
				t.Errorf("%q came", topics(w.early))
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range versions {
				for qos := range byte(3) {
					watch := enter(t, s, version, hello{id: "reader", password: reader})
					watch.mustSubscribe(qos, "#")
					path(t, s.in(t), version, qos)
					watch.publish(message{topic: "marker", qos: qos})
					for _, m := range watch.until("marker") {
						if m.topic != "lot/live" && m.topic != "lot/open/x" { // the owner's own
							t.Errorf("version %d, QoS %d: a message on %s got through", version, qos, m.topic)
						}
					}
				}
			}
		})
	}
}

func will(token string, m message) denyPath {
	return func(t *testing.T, s *server, version, qos byte) {
		m.qos = qos
		expectRefused(t, s, version, hello{id: "meter", password: token, will: &m}, notAuthorized, "will-outside-grants")
	}
}
