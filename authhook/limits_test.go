package authhook_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

var (
	overRate  = refusals{0x9f, 3}
	overQuota = refusals{0x97, 3}
)

// A stillClock stands still until it is set forward, so that no bucket fills while a slow machine gets on with a test.
type stillClock struct{ now atomic.Int64 }

func (c *stillClock) Now() time.Time           { return time.Unix(0, c.now.Load()) }
func (c *stillClock) forward(by time.Duration) { c.now.Add(int64(by)) }

// openLimited starts a server with limits for every principal, on a clock that stands still.
func openLimited(tb testing.TB, limits authhook.Limits, change ...func(*settings)) (*gate, *stillClock) {
	tb.Helper()
	still := &stillClock{}
	still.now.Store(time.Now().UnixNano())
	change = append(change, func(s *settings) { s.Limits, s.Now = limits, still.Now })
	return openGate(tb, change...), still
}

// count returns how many events with this rule there were.
func (r *recorder) count(rule string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.all {
		if e.Rule == rule {
			n++
		}
	}
	return n
}

func TestAPrincipalThatConnectsTooOftenIsToldToSlowDown(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g, still := openLimited(t, authhook.Limits{ConnectsPerMinute: 3})
		token := g.token(t, "sensor-1")
		for i := range 3 { // under any of its MQTT client IDs
			g.enter(t, version, fmt.Sprint("sensor-1:", i), token)
		}
		g.expectRefused(t, version, "sensor-1:9", token, overRate, authhook.RuleLimitConnectRate)
		g.enter(t, version, "sensor-2", g.token(t, "sensor-2"))
		still.forward(20 * time.Second) // a third of a minute, one more of three
		g.enter(t, version, "sensor-1", token)
		g.expectRefused(t, version, "sensor-1", token, overRate, authhook.RuleLimitConnectRate)
	}
}

func TestS2_AStrangerCannotUseUpTheRateOfAClient(t *testing.T) {
	t.Parallel()
	g, _ := openLimited(t, authhook.Limits{ConnectsPerMinute: 2})
	stranger := g.token(t, "stranger")
	for range 2 {
		g.expectRefused(t, 5, "sensor-1", stranger, notAuthorized, authhook.RuleMQTTClientID)
	}
	for range 10 {
		g.expectRefused(t, 5, "sensor-1", "bad", badToken, "token-malformed")
	}
	for range 2 {
		g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"))
	}
}

func TestConcurrentSessionsAreLimited(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g, _ := openLimited(t, authhook.Limits{Sessions: 2})
		token := g.token(t, "reader")
		first := g.enter(t, version, "reader:1", token)
		g.enter(t, version, "reader:2", token)
		g.expectRefused(t, version, "reader:3", token, overQuota, authhook.RuleLimitSessions)
		again := g.enter(t, version, "reader:1", token) // takes over, and is no third
		first.expectDisconnect(t, 0x8e)
		g.porter.expect(t, "reader:1")
		g.expectRefused(t, version, "reader:3", token, overQuota, authhook.RuleLimitSessions)
		g.awaitOffline(t, again, "reader:1")
		g.enter(t, version, "reader:3", token)
	}
}

func TestARefusedConnectTakesNoPlaceAmongTheSessions(t *testing.T) {
	t.Parallel()
	g, _ := openLimited(t, authhook.Limits{Sessions: 1})
	for range 3 {
		g.expectRefused(t, 5, "reader", g.token(t, "reader"), notAuthorized, authhook.RuleWill, withWill("elsewhere", 0, false))
	}
	g.enter(t, 5, "reader", g.token(t, "reader"))
}

// TestA12_MessagesOverTheRateAreForwardedToNobody goes through both protocols and every QoS, for each of the limits on publishing.
func TestA12_MessagesOverTheRateAreForwardedToNobody(t *testing.T) {
	t.Parallel()
	size := len("a/b") + len("payload")
	for _, c := range []struct {
		limits  authhook.Limits
		allowed int
		rule    string
	}{
		{authhook.Limits{MessagesPerSecond: 2}, 2, authhook.RuleLimitPublishRate},
		{authhook.Limits{BytesPerSecond: 3 * size}, 3, authhook.RuleLimitBytes},
		{authhook.Limits{PayloadBytes: len("payload") - 1}, 0, authhook.RuleLimitPayload},
	} {
		for _, version := range []byte{4, 5} {
			for qos := range byte(3) {
				t.Run(fmt.Sprintf("%s, version %d, QoS %d", c.rule, version, qos), func(t *testing.T) {
					t.Parallel()
					g, still := openLimited(t, c.limits, besidePermitAll)
					w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:a/b"))
					for range c.allowed {
						if code := w.publish(t, "a/b", qos, false); code != 0 {
							t.Fatalf("within the limit: 0x%02x", code)
						}
						g.expectHeard(t, "a/b")
					}
					want := byte(0)
					if version == 5 && qos > 0 {
						want = 0x97
					}
					for range 2 {
						if code := w.publish(t, "a/b", qos, false); code != want {
							t.Errorf("over the limit: 0x%02x, want 0x%02x", code, want)
						}
					}
					g.expectNothingHeard(t)
					if e := g.events.expect(t, authhook.KindPublish, c.rule); e.Allowed || e.ReasonCode != want || e.Topic != "a/b" {
						t.Errorf("the event is %+v", e)
					}
					if n := g.events.count(c.rule); n != 2 {
						t.Errorf("%d events, want 2", n)
					}
					if n := g.hook.Sessions()[0].Refused; n != 2 {
						t.Errorf("the session was refused %d messages, want 2", n)
					}
					if c.allowed == 0 {
						return
					}
					still.forward(time.Second)
					if code := w.publish(t, "a/b", qos, false); code != 0 {
						t.Errorf("a second later: 0x%02x", code)
					}
					g.expectHeard(t, "a/b")
				})
			}
		}
	}
}

func TestUnderRFC9431AMessageOverALimitEndsTheConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limits authhook.Limits
		code   byte
	}{{authhook.Limits{MessagesPerSecond: 1}, 0x96}, {authhook.Limits{BytesPerSecond: 12}, 0x96}, {authhook.Limits{PayloadBytes: 1}, 0x97}} {
		for _, version := range []byte{4, 5} {
			for qos := range byte(3) {
				g, _ := openLimited(t, c.limits, func(s *settings) { s.OnDenied = authhook.RFC9431 })
				w := g.enter(t, version, "sensor-1", g.token(t, "sensor-1", "pub:a/b"))
				if c.limits.PayloadBytes == 0 {
					w.publish(t, "a/b", 0, false)
					g.expectHeard(t, "a/b")
				}
				w.send(t, message("a/b", qos, false))
				if version == 5 && qos > 0 {
					if ack, err := w.read(); err != nil || ack.ReasonCode != 0x97 {
						t.Errorf("answered 0x%02x, %v, want 0x97", ack.ReasonCode, err)
					}
				} else {
					w.expectDisconnect(t, c.code)
				}
				g.expectNothingHeard(t)
			}
		}
	}
}

func TestAllSessionsOfAPrincipalShareItsRates(t *testing.T) {
	t.Parallel()
	g, still := openLimited(t, authhook.Limits{MessagesPerSecond: 4})
	token := g.token(t, "sensor-1", "pub:a/b")
	one, two := g.enter(t, 5, "sensor-1:1", token), g.enter(t, 5, "sensor-1:2", token)
	other := g.enter(t, 5, "sensor-2", g.token(t, "sensor-2", "pub:a/b"))
	for range 2 {
		for _, w := range []*wire{one, two} {
			if code := w.publish(t, "a/b", 1, false); code != 0 {
				t.Fatalf("within the limit: 0x%02x", code)
			}
		}
	}
	for _, w := range []*wire{one, two} {
		if code := w.publish(t, "a/b", 1, false); code != 0x97 {
			t.Errorf("over the limit: 0x%02x, want 0x97", code)
		}
	}
	if code := other.publish(t, "a/b", 1, false); code != 0 {
		t.Errorf("another principal: 0x%02x", code)
	}
	// Coming back does not fill the bucket, but time does.
	g.awaitOffline(t, one, "sensor-1:1")
	g.awaitOffline(t, two, "sensor-1:2")
	again := g.enter(t, 5, "sensor-1:1", token)
	if code := again.publish(t, "a/b", 1, false); code != 0x97 {
		t.Errorf("after a reconnect: 0x%02x, want 0x97", code)
	}
	still.forward(time.Second / 4)
	if code := again.publish(t, "a/b", 1, false); code != 0 {
		t.Errorf("a quarter of a second later: 0x%02x", code)
	}
}

// A shelf is what counts retained messages for the hook, and is told how many there are.
type shelf struct{ retained atomic.Int64 }

func (s *shelf) RetainedBy(string) int { return int(s.retained.Load()) }

func TestRetainedMessagesAreLimited(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		kept := &shelf{}
		g, _ := openLimited(t, authhook.Limits{Retained: 2}, func(s *settings) { s.Retained = kept })
		token := g.token(t, "sensor-1", "pub:a/#")
		w := g.enter(t, version, "sensor-1", token)
		refused := byte(0)
		if version == 5 {
			refused = 0x97
		}
		try := func(topic string, retain, empty bool, want byte) {
			t.Helper()
			pk := message(topic, 2, retain)
			if empty {
				pk.Payload = nil
			}
			w.send(t, pk)
			if code := w.finishPublish(t, pk); code != want {
				t.Errorf("version %d, %s: 0x%02x, want 0x%02x", version, topic, code, want)
			}
		}
		kept.retained.Store(1)
		try("a/1", true, false, 0)
		kept.retained.Store(2)
		try("a/2", true, false, refused)
		try("a/2", false, false, 0) // not retained
		try("a/2", true, true, 0)   // deletes what is not there
		try("a/1", true, false, 0)  // replaces
		try("a/1", true, true, 0)   // deletes
		if _, there := g.server.Topics.Retained.Get("a/2"); there {
			t.Error("the refused message was retained")
		}
		g.events.expect(t, authhook.KindPublish, authhook.RuleLimitRetained)
		g.expectRefused(t, version, "sensor-1:2", token, overQuota, authhook.RuleLimitRetained, withWill("a/will", 1, true))
		g.enter(t, version, "sensor-1:2", token, withWill("a/will", 1, false))
	}
}

func TestW1_AWillOverALimitIsNotPublished(t *testing.T) {
	t.Parallel()
	kept := &shelf{}
	g, _ := openLimited(t, authhook.Limits{Retained: 1, PayloadBytes: 3}, func(s *settings) { s.Retained = kept })
	token := g.token(t, "sensor-1", "pub:a/#")
	g.expectRefused(t, 5, "sensor-1", token, overQuota, authhook.RuleLimitPayload, withWill("a/will", 1, false))
	short := func(pk *packets.Packet) { pk.Connect.WillPayload = []byte("bye") }
	w := g.enter(t, 5, "sensor-1", token, withWill("a/will", 1, true), short)
	kept.retained.Store(1) // in the meantime
	g.awaitOffline(t, w, "sensor-1")
	if e := g.events.expect(t, authhook.KindWill, authhook.RuleLimitRetained); e.Allowed {
		t.Errorf("the event is %+v", e)
	}
	g.expectNothingHeard(t)
}

func TestLimitsOfAClientComeBeforeTheDefaults(t *testing.T) {
	t.Parallel()
	g, _ := openLimited(t, authhook.Limits{PayloadBytes: 3, Subscriptions: 1})
	g.clients.set("sensor-1", authhook.Status{
		Active: true, Scopes: []string{"pub:a", "sub:#"}, Limits: authhook.Limits{PayloadBytes: 7, Subscriptions: 2},
	})
	one := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a", "sub:#"))
	two := g.enter(t, 5, "sensor-2", g.token(t, "sensor-2", "pub:a", "sub:#"))
	if code := one.publish(t, "a", 1, false); code != 0 {
		t.Errorf("with a limit of its own: 0x%02x", code)
	}
	if code := two.publish(t, "a", 1, false); code != 0x97 {
		t.Errorf("with the default: 0x%02x, want 0x97", code)
	}
	if codes := one.subscribe(t, "x", "y", "z"); !slices.Equal(codes, []byte{2, 2, 0x97}) {
		t.Errorf("with a limit of its own: SUBACK %x", codes)
	}
	if codes := two.subscribe(t, "x", "y", "z"); !slices.Equal(codes, []byte{2, 0x97, 0x97}) {
		t.Errorf("with the default: SUBACK %x", codes)
	}
}

func TestNewLimitsCountFromTheNextVerdictOn(t *testing.T) {
	t.Parallel()
	g, still := openLimited(t, authhook.Limits{})
	stand := func(limits authhook.Limits) {
		g.clients.set("sensor-1", authhook.Status{Active: true, Scopes: []string{"pub:a"}, Limits: limits})
	}
	stand(authhook.Limits{})
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a"))
	for range 5 {
		w.publish(t, "a", 0, false)
	}
	stand(authhook.Limits{MessagesPerSecond: 2})
	sel := authhook.Selection{ClientID: "sensor-1"}
	g.hook.Rejudge(sel, "the role has a limit now")
	for i, want := range []byte{0, 0, 0x97} {
		if code := w.publish(t, "a", 1, false); code != want {
			t.Errorf("message %d: 0x%02x, want 0x%02x", i, code, want)
		}
	}
	g.hook.Rejudge(sel, "something else has changed") // which fills no bucket
	if code := w.publish(t, "a", 1, false); code != 0x97 {
		t.Errorf("after a change elsewhere: 0x%02x, want 0x97", code)
	}
	stand(authhook.Limits{MessagesPerSecond: 2, Subscriptions: 5})
	g.hook.Rejudge(sel, "another limit") // which fills none either
	if code := w.publish(t, "a", 1, false); code != 0x97 {
		t.Errorf("after a change of another limit: 0x%02x, want 0x97", code)
	}
	stand(authhook.Limits{MessagesPerSecond: 2, PayloadBytes: 1})
	g.hook.Rejudge(sel, "another limit")
	still.forward(time.Minute)
	if code := w.publish(t, "a", 1, false); code != 0x97 {
		t.Errorf("over the new limit: 0x%02x, want 0x97", code)
	}
}

func TestS4_TwoDevicesWithOneCredentialAreSeenAndStopped(t *testing.T) {
	t.Parallel()
	g, still := openLimited(t, authhook.Limits{ConnectsPerMinute: 8})
	token := g.token(t, "sensor-1")
	flap := func(times int) {
		t.Helper()
		for range times {
			still.forward(time.Second)
			g.enter(t, 5, "sensor-1", token)
		}
	}
	flap(4) // the first takes over nothing
	if n := g.events.count(authhook.RuleFlapping); n != 0 {
		t.Errorf("%d events after three takeovers", n)
	}
	flap(3)
	if e := g.events.expect(t, authhook.KindConnect, authhook.RuleFlapping); e.MQTTClientID != "sensor-1" || e.ClientID != "sensor-1" {
		t.Errorf("the event is %+v", e)
	}
	if n := g.events.count(authhook.RuleFlapping); n != 1 {
		t.Errorf("%d events within one interval, want 1", n)
	}
	flap(1)
	for range 3 { // seven seconds have brought almost one more
		g.expectRefused(t, 5, "sensor-1", token, overRate, authhook.RuleLimitConnectRate)
	}
	g.events.forget()
	still.forward(time.Minute)
	flap(6)
	g.events.expect(t, authhook.KindConnect, authhook.RuleFlapping)
}

func TestARefusalThatRepeatsIsLoggedNowAndThen(t *testing.T) {
	t.Parallel()
	g, still := openLimited(t, authhook.Limits{MessagesPerSecond: 1})
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a"))
	for range 50 {
		w.publish(t, "a", 1, false)
	}
	still.forward(10 * time.Second)
	for range 3 {
		w.publish(t, "a", 1, false)
	}
	if n := g.events.count(authhook.RuleLimitPublishRate); n != 51 {
		t.Errorf("the observer saw %d refusals, want 51", n)
	}
	if n := strings.Count(g.log.String(), "rule="+authhook.RuleLimitPublishRate); n != 2 {
		t.Errorf("the log has %d lines, want 2", n)
	}
	if n := g.hook.Sessions()[0].Refused; n != 51 {
		t.Errorf("the session counts %d, want 51", n)
	}
}
