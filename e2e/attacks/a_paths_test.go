package attacks_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on topics, A7 and A12: ways round the verdict.

// aliased is a PUBLISH at QoS 1 with a topic alias, also with the forbidden one 0.
func aliased(topic string, alias uint16) []byte {
	body := append(harness.Field(topic), 0, 9, 3, harness.PropTopicAlias, byte(alias>>8), byte(alias))
	return harness.Frame(harness.TypePublish<<4|2, append(body, "x"...))
}

func TestA7_ATopicAliasIsJudgedAsTheTopicItStandsFor(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:own/#"))
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "reader", Password: reader})
	watch.MustSubscribe(1, "#")
	w := harness.Dial(t, s.MQTT, 5)
	ack := w.Connect(harness.Hello{ID: "meter", Password: meter})
	if most := ack.Props.Number[harness.PropTopicAliasMaximum]; ack.Code() != 0 || most < 2 {
		t.Fatalf("CONNACK 0x%02x, Topic Alias Maximum %d", ack.Code(), most)
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
		w.Send(aliased(step.topic, step.alias))
		if code := w.ExpectAck(harness.TypePuback, 9); code != step.want {
			t.Errorf("step %d, %q with alias %d: 0x%02x, want 0x%02x", i, step.topic, step.alias, code, step.want)
		}
	}
	watch.Publish(harness.Message{Topic: "marker", QoS: 1})
	watch.ExpectTopics("marker", "own/a", "own/a", "own/c", "own/c", "own/a", "own/e", "own/e")
}

func TestA7_AnAliasThatStandsForNothingEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	full := s.Service("meter", "pub:own/#")
	token := s.Token(full)
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
		"no topic, no alias": {nil, harness.Message{QoS: 1}.Encode(5, 9), []byte{0x82, 0x90}},
	} {
		t.Run(what, func(t *testing.T) {
			w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: token})
			for _, sent := range test.before {
				w.Send(sent)
				w.ExpectAck(harness.TypePuback, 9)
			}
			w.Send(test.last)
			if p := w.ExpectClosed(); p.Kind != harness.TypeDisconnect || !slices.Contains(test.want, p.Code()) {
				t.Errorf("the server closed with packet type %d, code 0x%02x; want DISCONNECT % x", p.Kind, p.Code(), test.want)
			}
		})
	}
}

func TestA7_AnAliasDoesNotOutliveItsRights(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:a/#", "pub:b/#")
	full, narrow := s.Token(meter), s.Token(meter, "scope", "pub:b/#")
	w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: full, Keep: true})
	w.Send(aliased("a/x", 1))
	if code := w.ExpectAck(harness.TypePuback, 9); code != 0 {
		t.Fatalf("with the full token: 0x%02x", code)
	}
	w.Leave()
	w = harness.Resume(t, s, 5, harness.Hello{ID: "meter", Password: narrow, Keep: true}, true)
	w.Send(aliased("a/x", 1))
	if code := w.ExpectAck(harness.TypePuback, 9); code != 0x87 {
		t.Errorf("with the narrow token: 0x%02x, want 0x87", code)
	}
	w.Send(aliased("b/x", 2))
	if code := w.ExpectAck(harness.TypePuback, 9); code != 0 {
		t.Errorf("what is still granted: 0x%02x", code)
	}
	w = harness.Resume(t, s, 5, harness.Hello{ID: "meter", Password: narrow, Keep: true}, true) // an alias belongs to its connection
	w.Send(aliased("", 2))
	if p := w.ExpectClosed(); p.Kind != harness.TypeDisconnect {
		t.Errorf("an alias of the connection before was accepted: packet type %d", p.Kind)
	}
}

func TestA7_AliasesThatTheServerSetsNameTheRightTopics(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	both := s.Token(s.Service("both", "pub:a/#", "sub:a/+", "sub:marker", "pub:marker"))
	w := harness.Enter(t, s, 5, harness.Hello{ID: "both", Password: both, Aliases: 3})
	w.MustSubscribe(1, "a/+", "marker")
	var want []string
	for i := range 24 {
		topic := fmt.Sprint("a/", i%6)
		w.Publish(harness.Message{Topic: topic, Payload: topic, QoS: byte(i % 2)})
		want = append(want, topic)
	}
	w.Publish(harness.Message{Topic: "a/not/granted", QoS: 1})
	known := map[uint32]string{}
	for i, topic := range want {
		p := w.Next()
		alias, has := p.Props.Number[harness.PropTopicAlias]
		switch {
		case has && (alias == 0 || alias > 3):
			t.Errorf("message %d has alias %d, beyond what the client takes", i, alias)
		case has && p.Topic != "":
			known[alias] = p.Topic
		case has:
			p.Topic = known[alias]
		}
		if p.Topic != topic || p.Payload != topic {
			t.Errorf("message %d is %q on %q, want %q", i, p.Payload, p.Topic, topic)
		}
	}
}

// denyPath is a way of doing what is not granted, and returns whether the server said no.
type denyPath func(t *testing.T, s *harness.Server, version, qos byte)

func TestA12_EveryDenyPathHoldsInBothVersionsAtEveryQoS(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	owner := s.Service("owner", "pub:lot/#", "sub:lot/#")
	meter := s.Service("meter", "pub:own/#?qos=0&retain=false", "sub:own/#", "sub:lot/open/#")
	ownerToken, token := s.Token(owner), s.Token(meter)
	ownOnly := s.Token(meter, "scope", "pub:own/#?qos=0&retain=false sub:own/#")
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	publish := func(m harness.Message) denyPath {
		return func(t *testing.T, s *harness.Server, version, qos byte) {
			w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
			m.QoS = max(m.QoS, qos)
			if code := w.Publish(m); version == 5 && m.QoS > 0 && code != 0x87 {
				t.Errorf("answered 0x%02x, want 0x87", code)
			}
			w.Ping()
		}
	}
	subscribe := func(filters ...string) denyPath {
		return func(t *testing.T, s *harness.Server, version, qos byte) {
			w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
			for i, code := range w.Subscribe(qos, filters...) {
				if code != denied(version) {
					t.Errorf("SUBSCRIBE %s: 0x%02x", filters[i], code)
				}
			}
			harness.Enter(t, s, version, harness.Hello{ID: "owner", Password: ownerToken}).Publish(harness.Message{Topic: "lot/live", Payload: "x", QoS: qos})
			w.Ping()
			if len(w.Early) > 0 {
				t.Errorf("%q came", harness.Topics(w.Early))
			}
		}
	}
	for what, path := range map[string]denyPath{
		"publish to a foreign topic":   publish(harness.Message{Topic: "lot/x", Payload: "x"}),
		"publish, retained":            publish(harness.Message{Topic: "lot/x", Payload: "x", Retain: true}),
		"publish above the QoS limit":  publish(harness.Message{Topic: "own/x", Payload: "x", QoS: 1}),
		"retain where it is forbidden": publish(harness.Message{Topic: "own/x", Payload: "x", QoS: 0, Retain: true}),
		"delete a retained message":    publish(harness.Message{Topic: "own/x", Retain: true}),
		"publish to a reserved topic":  publish(harness.Message{Topic: "$SYS/x", Payload: "x"}),
		"publish to a shared group":    publish(harness.Message{Topic: "$share/g/own/x", Payload: "x"}),
		"subscribe to a foreign topic": subscribe("lot/live", "lot/#", "lot/+", "#", "+/live"),
		"share a foreign topic":        subscribe("$share/g/lot/live", "$SHARE/g/lot/#", "$share/g/#"),
		"a will":                       will(token, harness.Message{Topic: "lot/x", Payload: "x"}),
		"a retained will":              will(token, harness.Message{Topic: "own/x", Payload: "x", Retain: true}),
		"take up a queue": func(t *testing.T, s *harness.Server, version, qos byte) {
			id := fmt.Sprintf("meter:%d-%d", version, qos)
			w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: token, Keep: true})
			w.MustSubscribe(qos, "lot/open/#", "own/#")
			w.Leave()
			harness.Enter(t, s, version, harness.Hello{ID: "owner", Password: ownerToken}).Publish(harness.Message{Topic: "lot/open/x", Payload: "x", QoS: qos})
			w = harness.Resume(t, s, version, harness.Hello{ID: id, Password: ownOnly, Keep: true}, true)
			harness.Enter(t, s, version, harness.Hello{ID: "owner", Password: ownerToken}).Publish(harness.Message{Topic: "lot/open/x", Payload: "x", QoS: qos})
			w.Ping()
			if len(w.Early) > 0 {
				t.Errorf("%q came", harness.Topics(w.Early))
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			for _, version := range harness.Versions {
				for qos := range byte(3) {
					watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
					watch.MustSubscribe(qos, "#")
					path(t, s.In(t), version, qos)
					watch.Publish(harness.Message{Topic: "marker", QoS: qos})
					for _, m := range watch.Until("marker") {
						if m.Topic != "lot/live" && m.Topic != "lot/open/x" { // the owner's own
							t.Errorf("version %d, QoS %d: a message on %s got through", version, qos, m.Topic)
						}
					}
				}
			}
		})
	}
}

func will(token string, m harness.Message) denyPath {
	return func(t *testing.T, s *harness.Server, version, qos byte) {
		m.QoS = qos
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "meter", Password: token, Will: &m}, harness.NotAuthorized, "will-outside-grants")
	}
}
