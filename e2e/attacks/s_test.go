package attacks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks on sessions, S1 to S4: another's, a guessed, one's own with fewer rights.

// victim is a client whose session somebody is after: it has a subscription, and when it is away
// a queued message, when it is connected a will.
type victim struct {
	server *harness.Server
	id     string
	token  string
	live   *harness.Wire // nil when it is away
}

// newVictim sets up a session that outlives its connection. The victim is away unless online.
func newVictim(tb testing.TB, s *harness.Server, id string, version byte, online bool) *victim {
	tb.Helper()
	v := &victim{server: s, id: id, token: s.Token(s.Service(id, "sub:{client_id}/#", "pub:{client_id}/#"))}
	w := harness.Enter(tb, s, version, v.hello())
	w.MustSubscribe(1, id+"/news")
	if online {
		v.live = w
		return v
	}
	w.Leave()
	v.tell(tb, "queued")
	return v
}

func (v *victim) hello() harness.Hello {
	return harness.Hello{ID: v.id, Password: v.token, Keep: true, Will: &harness.Message{Topic: v.id + "/state", Payload: "lost", QoS: 1, Retain: true}}
}

// tell publishes to the victim over another of its connections.
func (v *victim) tell(tb testing.TB, payload string) {
	tb.Helper()
	w := harness.Enter(tb, v.server, 5, harness.Hello{ID: v.id + ":second", Password: v.token})
	w.Publish(harness.Message{Topic: v.id + "/news", Payload: payload, QoS: 1})
	w.Leave()
}

// expectUnharmed wants the session as it was: connected if it was, with its subscription and
// what was queued, and its will not published.
func (v *victim) expectUnharmed(tb testing.TB, version byte) {
	tb.Helper()
	want := "queued"
	if v.live != nil {
		v.live.Ping()
		v.tell(tb, "live")
		want = "live"
	} else {
		v.live = harness.Resume(tb, v.server, version, v.hello(), true)
	}
	v.live.MustSubscribe(1, v.id+"/state") // where a will would have been retained
	v.live.MustSubscribe(1, v.id+"/marker")
	v.live.Publish(harness.Message{Topic: v.id + "/marker", QoS: 1})
	if got := v.live.Until(v.id + "/marker"); len(got) != 1 || got[0].Payload != want {
		tb.Errorf("%s has %+v, want the message %q", v.id, got, want)
	}
	v.live.Leave()
}

func TestS1_AnotherPrincipalGetsNothingOfASession(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	plain := s.Token(s.Service("plain", "sub:#", "pub:#"))
	wide := s.Token(s.Create("services", "--id", "wide", "--scope", "sub:#", "--scope", "pub:#", "--mqtt-client-id", "*"))
	n := 0
	for _, online := range []bool{true, false} {
		for _, theirs := range harness.Versions {
			for _, ours := range harness.Versions {
				t.Run(fmt.Sprintf("online %v, version %d against %d", online, ours, theirs), func(t *testing.T) {
					s := s.In(t)
					n++
					v := newVictim(t, s, harness.Name("victim", n), theirs, online)
					for _, attempt := range []harness.Hello{{}, {Keep: true}, {Keep: true, Clean: true}, {Will: &harness.Message{Topic: v.id + "/state", Payload: "taken"}}} {
						attempt.ID, attempt.Password = v.id, plain
						harness.ExpectRefused(t, s, ours, attempt, harness.NotAuthorized, "mqtt-client-id")
						attempt.Password = wide
						harness.ExpectRefused(t, s, ours, attempt, harness.NotAuthorized, "session-owner")
					}
					v.expectUnharmed(t, theirs)
				})
			}
		}
	}
}

func TestS1_TheOwnerOfAnIDThrowsOutASquatter(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	wide := s.Token(s.Create("services", "--id", "wide", "--scope", "sub:secret/#", "--scope", "pub:secret/#", "--mqtt-client-id", "*"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		for _, online := range []bool{true, false} {
			id := harness.Name("meter", version, online)
			own := s.Token(s.Service(id, "sub:{client_id}/#", "sub:secret/#", "pub:{client_id}/#"))
			squatter := harness.Enter(t, s, version, harness.Hello{ID: id, Password: wide, Keep: true})
			squatter.MustSubscribe(1, "secret/x")
			if !online {
				squatter.Leave()
				w := harness.Enter(t, s, version, harness.Hello{ID: "wide", Password: wide})
				w.Publish(harness.Message{Topic: "secret/x", Payload: "queued", QoS: 1})
			}
			w := harness.Resume(t, s, version, harness.Hello{ID: id, Password: own, Keep: true}, false)
			if online {
				squatter.ExpectDisconnect(0x8e)
			}
			harness.Enter(t, s, version, harness.Hello{ID: "wide", Password: wide}).Publish(harness.Message{Topic: "secret/x", Payload: "live", QoS: 1})
			w.MustSubscribe(1, id+"/marker")
			w.Publish(harness.Message{Topic: id + "/marker", QoS: 1})
			w.ExpectTopics(id + "/marker")
			harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: wide, Keep: true}, harness.NotAuthorized, "session-owner")
			w.Ping()
		}
	})
}

func TestS2_AFailedAuthenticationTouchesNoSession(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t)
	n := 0
	for _, online := range []bool{true, false} {
		for _, version := range harness.Versions {
			t.Run(fmt.Sprintf("online %v, version %d", online, version), func(t *testing.T) {
				s := s.In(t)
				n++
				v := newVictim(t, s, harness.Name("victim", n), version, online)
				bad := map[string]string{
					"no-token":          "",
					"token-malformed":   "guess",
					"token-expired":     f.In(t).Alter(v.token, harness.Claims{"iat": harness.SecondsFromNow(-2 * time.Hour), "nbf": nil, "exp": harness.SecondsFromNow(-time.Hour)}),
					"token-signature":   v.token[:len(v.token)-6] + "AAAAAA"[:4] + v.token[len(v.token)-2:],
					"token-audience":    f.In(t).Alter(v.token, harness.Claims{"aud": "boomgate:fleet"}),
					"token-claims":      f.In(t).Alter(v.token, harness.Claims{"sub": "other"}),
					"token-too-large":   strings.Repeat("x", 60_000),
					"token-type":        f.In(t).AlterHeader(v.token, harness.Claims{"typ": "JWT"}),
					"token-algorithm":   f.In(t).AlterHeader(v.token, harness.Claims{"alg": "none"}),
					"token-unknown-key": f.In(t).AlterHeader(v.token, harness.Claims{"kid": "other"}),
				}
				for rule, token := range bad {
					for _, attempt := range []harness.Hello{{}, {Keep: true}, {Keep: true, Clean: true}} {
						attempt.ID, attempt.Password = v.id, token
						for _, ours := range harness.Versions {
							harness.ExpectRefused(t, s, ours, attempt, harness.BadToken, rule)
						}
					}
				}
				will := &harness.Message{Topic: "other/state", Payload: "x"}
				harness.ExpectRefused(t, s, version, harness.Hello{ID: v.id, Password: v.token, Will: will}, harness.NotAuthorized, "will-outside-grants")
				v.expectUnharmed(t, version)
			})
		}
	}
}

func TestS3_ANarrowerTokenNarrowsTheSession(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "sub:a/#", "sub:b/#", "pub:#")
	full := s.Token(meter)
	narrow := s.Token(meter, "scope", "sub:b/#?qos=1 pub:#")
	harness.EachVersion(t, func(t *testing.T, version byte) {
		for _, how := range []string{"in order", "lost", "taken over"} {
			t.Run(how, func(t *testing.T) {
				id := fmt.Sprintf("meter:%d-%s", version, strings.ReplaceAll(how, " ", "-"))
				w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: full, Keep: true})
				w.Silent = true // what it gets stays in flight
				w.MustSubscribe(2, "a/#", "b/#", "$share/g/a/x")
				d := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: full})
				for _, topic := range []string{"a/flying", "b/flying"} {
					d.Publish(harness.Message{Topic: topic, QoS: 1})
					w.Until(topic)
				}
				switch how {
				case "in order":
					w.Leave()
				case "lost":
					w.Drop()
				}
				if how != "taken over" {
					for _, topic := range []string{"a/queued", "b/queued"} {
						d.Publish(harness.Message{Topic: topic, QoS: 2})
					}
				}
				w = harness.Resume(t, s, version, harness.Hello{ID: id, Password: narrow, Keep: true}, true)
				w.Ping() // what had waited is on its way
				for _, topic := range []string{"a/later", "a/x", "b/later", "b/marker"} {
					d.Publish(harness.Message{Topic: topic, QoS: 2})
				}
				want := []string{"b/flying", "b/queued", "b/later"}
				if how == "taken over" {
					want = []string{"b/flying", "b/later"}
				}
				w.ExpectTopics("b/marker", want...)
				w.Leave() // all of them acknowledged

				// What was dropped does not come back with the rights.
				w = harness.Resume(t, s, version, harness.Hello{ID: id, Password: full, Keep: true}, true)
				d.Publish(harness.Message{Topic: "a/again", QoS: 2})
				d.Publish(harness.Message{Topic: "b/marker", QoS: 2})
				for _, m := range w.Until("b/marker") {
					t.Errorf("a message on %s came", m.Topic)
				}
				w.Leave()
			})
		}
	})
}

func TestS3_ANarrowerTokenLowersTheQoSOfASubscription(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "sub:b/#", "pub:b/#")
	full, narrow := s.Token(meter), s.Token(meter, "scope", "sub:b/#?qos=0 pub:b/#")
	harness.EachVersion(t, func(t *testing.T, version byte) {
		id := fmt.Sprint("meter:", version)
		w := harness.Enter(t, s, version, harness.Hello{ID: id, Password: full, Keep: true})
		w.MustSubscribe(2, "b/#")
		w.Leave()
		w = harness.Resume(t, s, version, harness.Hello{ID: id, Password: narrow, Keep: true}, true)
		w.Publish(harness.Message{Topic: "b/x", QoS: 2})
		w.Publish(harness.Message{Topic: "b/marker"})
		if got := w.Until("b/marker"); len(got) != 1 || got[0].QoS() != 0 {
			t.Errorf("%+v came, want one message at QoS 0", got)
		}
	})
}

func TestS4_AnEmptyMQTTClientIDIsNobodyElses(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	one := s.Token(s.Service("one", "sub:#", "pub:#"))
	two := s.Token(s.Service("two", "sub:#", "pub:#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		a := harness.Enter(t, s, version, harness.Hello{Password: one})
		b := harness.Enter(t, s, version, harness.Hello{Password: two})
		c := harness.Enter(t, s, version, harness.Hello{Password: one})
		for _, w := range []*harness.Wire{a, b, c} {
			w.Ping()
		}
		ids := map[string]bool{}
		for _, live := range append(s.In(t).Sessions("one"), s.In(t).Sessions("two")...) {
			if !strings.HasPrefix(live.ID, live.ClientID+":") || ids[live.ID] {
				t.Errorf("the session of %s was given the ID %q", live.ClientID, live.ID)
			}
			ids[live.ID] = true
		}
		if len(ids) != 3 {
			t.Errorf("there are the sessions %v, want three", ids)
		}
		for _, w := range []*harness.Wire{a, b, c} {
			w.Leave()
		}
	})
	// In 3.1.1 a session without an ID cannot be kept (MQTT 3.1.1 §3.1.3-8).
	w := harness.Dial(t, s.MQTT, 4)
	if ack := w.Connect(harness.Hello{Password: one, Keep: true}); ack.Code() != 2 {
		t.Errorf("an empty MQTT client ID without clean session: CONNACK 0x%02x, want 2", ack.Code())
	}
	w.ExpectClosed()
}

func TestS4_AnotherLetterCaseIsAnotherID(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:meter/#"))
	wide := s.Token(s.Create("services", "--id", "wide", "--scope", "sub:#", "--mqtt-client-id", "*"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		meter := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		for _, id := range []string{"METER", "Meter", "meteR", "meter ", " meter", "ｍeter", "meter\u200b", "METER:1"} {
			harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: id, Password: token}, harness.NotAuthorized, "mqtt-client-id")
			harness.Enter(t, s, version, harness.Hello{ID: id, Password: wide}).Leave()
		}
		meter.Ping() // nobody has taken it over
		meter.Leave()
	})
}

func TestS4_TwoDevicesWithOneCredentialAreSeen(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:meter/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		first := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		second := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		first.ExpectDisconnect(0x8e)
		second.Ping()
		s.Log.Wait(t, "rule=session-taken-over ", "client_id=meter ", "remote="+first.Remote()+" ", "by "+second.Remote())
		second.Leave()
	})
}
