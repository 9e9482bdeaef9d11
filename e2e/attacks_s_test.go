package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Attacks on sessions, S1 to S4: another's, a guessed, one's own with fewer rights.

// victim is a client whose session somebody is after: it has a subscription, and when it is away
// a queued message, when it is connected a will.
type victim struct {
	server *server
	id     string
	token  string
	live   *wire // nil when it is away
}

// newVictim sets up a session that outlives its connection. The victim is away unless online.
func newVictim(tb testing.TB, s *server, id string, version byte, online bool) *victim {
	tb.Helper()
	v := &victim{server: s, id: id, token: s.token(s.service(id, "sub:{client_id}/#", "pub:{client_id}/#"))}
	w := enter(tb, s, version, v.hello())
	w.mustSubscribe(1, id+"/news")
	if online {
		v.live = w
		return v
	}
	w.leave()
	v.tell(tb, "queued")
	return v
}

func (v *victim) hello() hello {
	return hello{id: v.id, password: v.token, keep: true, will: &message{topic: v.id + "/state", payload: "lost", qos: 1, retain: true}}
}

// tell publishes to the victim over another of its connections.
func (v *victim) tell(tb testing.TB, payload string) {
	tb.Helper()
	w := enter(tb, v.server, 5, hello{id: v.id + ":second", password: v.token})
	w.publish(message{topic: v.id + "/news", payload: payload, qos: 1})
	w.leave()
}

// expectUnharmed wants the session as it was: connected if it was, with its subscription and
// what was queued, and its will not published.
func (v *victim) expectUnharmed(tb testing.TB, version byte) {
	tb.Helper()
	want := "queued"
	if v.live != nil {
		v.live.ping()
		v.tell(tb, "live")
		want = "live"
	} else {
		v.live = resume(tb, v.server, version, v.hello(), true)
	}
	v.live.mustSubscribe(1, v.id+"/state") // where a will would have been retained
	v.live.mustSubscribe(1, v.id+"/marker")
	v.live.publish(message{topic: v.id + "/marker", qos: 1})
	if got := v.live.until(v.id + "/marker"); len(got) != 1 || got[0].payload != want {
		tb.Errorf("%s has %+v, want the message %q", v.id, got, want)
	}
	v.live.leave()
}

func TestS1_AnotherPrincipalGetsNothingOfASession(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	plain := s.token(s.service("plain", "sub:#", "pub:#"))
	wide := s.token(s.create("services", "--id", "wide", "--scope", "sub:#", "--scope", "pub:#", "--mqtt-client-id", "*"))
	n := 0
	for _, online := range []bool{true, false} {
		for _, theirs := range versions {
			for _, ours := range versions {
				t.Run(fmt.Sprintf("online %v, version %d against %d", online, ours, theirs), func(t *testing.T) {
					s := s.in(t)
					n++
					v := newVictim(t, s, name("victim", n), theirs, online)
					for _, attempt := range []hello{{}, {keep: true}, {keep: true, clean: true}, {will: &message{topic: v.id + "/state", payload: "taken"}}} {
						attempt.id, attempt.password = v.id, plain
						expectRefused(t, s, ours, attempt, notAuthorized, "mqtt-client-id")
						attempt.password = wide
						expectRefused(t, s, ours, attempt, notAuthorized, "session-owner")
					}
					v.expectUnharmed(t, theirs)
				})
			}
		}
	}
}

func TestS1_TheOwnerOfAnIDThrowsOutASquatter(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	wide := s.token(s.create("services", "--id", "wide", "--scope", "sub:secret/#", "--scope", "pub:secret/#", "--mqtt-client-id", "*"))
	eachVersion(t, func(t *testing.T, version byte) {
		s := s.in(t)
		for _, online := range []bool{true, false} {
			id := name("meter", version, online)
			own := s.token(s.service(id, "sub:{client_id}/#", "sub:secret/#", "pub:{client_id}/#"))
			squatter := enter(t, s, version, hello{id: id, password: wide, keep: true})
			squatter.mustSubscribe(1, "secret/x")
			if !online {
				squatter.leave()
				w := enter(t, s, version, hello{id: "wide", password: wide})
				w.publish(message{topic: "secret/x", payload: "queued", qos: 1})
			}
			w := resume(t, s, version, hello{id: id, password: own, keep: true}, false)
			if online {
				squatter.expectDisconnect(0x8e)
			}
			enter(t, s, version, hello{id: "wide", password: wide}).publish(message{topic: "secret/x", payload: "live", qos: 1})
			w.mustSubscribe(1, id+"/marker")
			w.publish(message{topic: id + "/marker", qos: 1})
			w.expectTopics(id + "/marker")
			expectRefused(t, s, version, hello{id: id, password: wide, keep: true}, notAuthorized, "session-owner")
			w.ping()
		}
	})
}

func TestS2_AFailedAuthenticationTouchesNoSession(t *testing.T) {
	t.Parallel()
	s, f := startForging(t)
	n := 0
	for _, online := range []bool{true, false} {
		for _, version := range versions {
			t.Run(fmt.Sprintf("online %v, version %d", online, version), func(t *testing.T) {
				s := s.in(t)
				n++
				v := newVictim(t, s, name("victim", n), version, online)
				bad := map[string]string{
					"no-token":          "",
					"token-malformed":   "guess",
					"token-expired":     f.in(t).alter(v.token, claims{"iat": secondsFromNow(-2 * time.Hour), "nbf": nil, "exp": secondsFromNow(-time.Hour)}),
					"token-signature":   v.token[:len(v.token)-6] + "AAAAAA"[:4] + v.token[len(v.token)-2:],
					"token-audience":    f.in(t).alter(v.token, claims{"aud": "boomgate:fleet"}),
					"token-claims":      f.in(t).alter(v.token, claims{"sub": "other"}),
					"token-too-large":   strings.Repeat("x", 60_000),
					"token-type":        f.in(t).alterHeader(v.token, claims{"typ": "JWT"}),
					"token-algorithm":   f.in(t).alterHeader(v.token, claims{"alg": "none"}),
					"token-unknown-key": f.in(t).alterHeader(v.token, claims{"kid": "other"}),
				}
				for rule, token := range bad {
					for _, attempt := range []hello{{}, {keep: true}, {keep: true, clean: true}} {
						attempt.id, attempt.password = v.id, token
						for _, ours := range versions {
							expectRefused(t, s, ours, attempt, badToken, rule)
						}
					}
				}
				will := &message{topic: "other/state", payload: "x"}
				expectRefused(t, s, version, hello{id: v.id, password: v.token, will: will}, notAuthorized, "will-outside-grants")
				v.expectUnharmed(t, version)
			})
		}
	}
}

func TestS3_ANarrowerTokenNarrowsTheSession(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.service("meter", "sub:a/#", "sub:b/#", "pub:#")
	full := s.token(meter)
	narrow := s.token(meter, "scope", "sub:b/#?qos=1 pub:#")
	eachVersion(t, func(t *testing.T, version byte) {
		for _, how := range []string{"in order", "lost", "taken over"} {
			t.Run(how, func(t *testing.T) {
				id := fmt.Sprintf("meter:%d-%s", version, strings.ReplaceAll(how, " ", "-"))
				w := enter(t, s, version, hello{id: id, password: full, keep: true})
				w.silent = true // what it gets stays in flight
				w.mustSubscribe(2, "a/#", "b/#", "$share/g/a/x")
				d := enter(t, s, version, hello{id: "meter", password: full})
				for _, topic := range []string{"a/flying", "b/flying"} {
					d.publish(message{topic: topic, qos: 1})
					w.until(topic)
				}
				switch how {
				case "in order":
					w.leave()
				case "lost":
					w.drop()
				}
				if how != "taken over" {
					for _, topic := range []string{"a/queued", "b/queued"} {
						d.publish(message{topic: topic, qos: 2})
					}
				}
				w = resume(t, s, version, hello{id: id, password: narrow, keep: true}, true)
				w.ping() // what had waited is on its way
				for _, topic := range []string{"a/later", "a/x", "b/later", "b/marker"} {
					d.publish(message{topic: topic, qos: 2})
				}
				want := []string{"b/flying", "b/queued", "b/later"}
				if how == "taken over" {
					want = []string{"b/flying", "b/later"}
				}
				w.expectTopics("b/marker", want...)
				w.leave() // all of them acknowledged

				// What was dropped does not come back with the rights.
				w = resume(t, s, version, hello{id: id, password: full, keep: true}, true)
				d.publish(message{topic: "a/again", qos: 2})
				d.publish(message{topic: "b/marker", qos: 2})
				for _, m := range w.until("b/marker") {
					t.Errorf("a message on %s came", m.topic)
				}
				w.leave()
			})
		}
	})
}

func TestS3_ANarrowerTokenLowersTheQoSOfASubscription(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.service("meter", "sub:b/#", "pub:b/#")
	full, narrow := s.token(meter), s.token(meter, "scope", "sub:b/#?qos=0 pub:b/#")
	eachVersion(t, func(t *testing.T, version byte) {
		id := fmt.Sprint("meter:", version)
		w := enter(t, s, version, hello{id: id, password: full, keep: true})
		w.mustSubscribe(2, "b/#")
		w.leave()
		w = resume(t, s, version, hello{id: id, password: narrow, keep: true}, true)
		w.publish(message{topic: "b/x", qos: 2})
		w.publish(message{topic: "b/marker"})
		if got := w.until("b/marker"); len(got) != 1 || got[0].qos() != 0 {
			t.Errorf("%+v came, want one message at QoS 0", got)
		}
	})
}

func TestS4_AnEmptyMQTTClientIDIsNobodyElses(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	one := s.token(s.service("one", "sub:#", "pub:#"))
	two := s.token(s.service("two", "sub:#", "pub:#"))
	eachVersion(t, func(t *testing.T, version byte) {
		a := enter(t, s, version, hello{password: one})
		b := enter(t, s, version, hello{password: two})
		c := enter(t, s, version, hello{password: one})
		for _, w := range []*wire{a, b, c} {
			w.ping()
		}
		ids := map[string]bool{}
		for _, live := range append(s.in(t).sessions("one"), s.in(t).sessions("two")...) {
			if !strings.HasPrefix(live.ID, live.ClientID+":") || ids[live.ID] {
				t.Errorf("the session of %s was given the ID %q", live.ClientID, live.ID)
			}
			ids[live.ID] = true
		}
		if len(ids) != 3 {
			t.Errorf("there are the sessions %v, want three", ids)
		}
		for _, w := range []*wire{a, b, c} {
			w.leave()
		}
	})
	// In 3.1.1 a session without an ID cannot be kept (MQTT 3.1.1 §3.1.3-8).
	w := dial(t, s.mqtt, 4)
	if ack := w.connect(hello{password: one, keep: true}); ack.code() != 2 {
		t.Errorf("an empty MQTT client ID without clean session: CONNACK 0x%02x, want 2", ack.code())
	}
	w.expectClosed()
}

func TestS4_AnotherLetterCaseIsAnotherID(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "pub:meter/#"))
	wide := s.token(s.create("services", "--id", "wide", "--scope", "sub:#", "--mqtt-client-id", "*"))
	eachVersion(t, func(t *testing.T, version byte) {
		meter := enter(t, s, version, hello{id: "meter", password: token})
		for _, id := range []string{"METER", "Meter", "meteR", "meter ", " meter", "ｍeter", "meter\u200b", "METER:1"} {
			expectRefused(t, s.in(t), version, hello{id: id, password: token}, notAuthorized, "mqtt-client-id")
			enter(t, s, version, hello{id: id, password: wide}).leave()
		}
		meter.ping() // nobody has taken it over
		meter.leave()
	})
}

func TestS4_TwoDevicesWithOneCredentialAreSeen(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "pub:meter/#"))
	eachVersion(t, func(t *testing.T, version byte) {
		first := enter(t, s, version, hello{id: "meter", password: token})
		second := enter(t, s, version, hello{id: "meter", password: token})
		first.expectDisconnect(0x8e)
		second.ping()
		s.log.wait(t, "rule=session-taken-over ", "client_id=meter ", "remote="+first.remote()+" ", "by "+second.remote())
		second.leave()
	})
}
