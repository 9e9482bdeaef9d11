package attacks_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks by too much of what is allowed, S4, and by guessing, O7: limits bind whoever is over them and nobody else.

func TestO7_AStrangerWhoClaimsADevicesIDDoesNotLockItOut(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--max-failures-per-ip", "60")
	s.Role("careful", map[string]int{"max_connects_per_minute": 6, "max_sessions": 1}, "pub:{client_id}/#")
	token := s.Token(s.Holding("careful", "meter"))
	const attempts = 150
	told := map[byte]int{}
	for n := range attempts { // all from one address
		w := harness.Dial(t, s.MQTT, harness.Versions[n%2])
		told[w.Connect(harness.Hello{ID: "meter", Password: fmt.Sprint("guess ", n)}).Code()]++
	}
	if told[0] > 0 || told[0x9f] == 0 || told[0x86]+told[4] > attempts/2 {
		t.Errorf("%d guesses were answered with %v", attempts, told)
	}
	for what, dial := range map[string]func() *harness.Wire{
		"the same address":      func() *harness.Wire { return harness.Dial(t, s.MQTT, 5) },
		"an address of its own": func() *harness.Wire { return harness.DialAsStranger(t, s.MQTT, 4) },
	} {
		w := dial()
		if ack := w.Connect(harness.Hello{ID: "meter", Password: token}); ack.Code() != 0 {
			t.Errorf("the device, from %s: 0x%02x", what, ack.Code())
			continue
		}
		w.Publish(harness.Message{Topic: "meter/x", QoS: 1})
		w.Leave()
	}
}

func TestO7_AnAddressThatGuessesKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--max-failures-per-ip", "60")
	b := newBystander(t, s)
	var group sync.WaitGroup
	for party := range 8 {
		group.Go(func() {
			for n := range 100 {
				w := harness.Dial(t, s.MQTT, 5)
				_, _ = w.Conn.Write(harness.Hello{ID: "bystander", Password: fmt.Sprint(strings.Repeat("x", 8000), party, n)}.Encode(5))
				_, _ = w.Read()
				_ = w.Conn.Close()
			}
		})
	}
	b.expectUndisturbed(t) // from the same address
	group.Wait()
	b.expectUndisturbed(t)
}

func TestO7_GuessesAtTheTokenEndpointLockNobodyOut(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Service("meter", "pub:a")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 60 {
				if got := s.AskToken(harness.Credential{ClientID: "meter", ClientSecret: "bg_" + strings.Repeat("x", 49)}); got.Status != http.StatusUnauthorized {
					t.Errorf("a guess: %d %s", got.Status, got.Body)
				}
			}
		})
	}
	if got := s.AskToken(meter); got.Status != http.StatusOK {
		t.Errorf("the right secret, meanwhile: %d %s", got.Status, got.Body)
	}
	group.Wait()
	if got := s.AskToken(meter); got.Status != http.StatusOK {
		t.Errorf("the right secret, afterwards: %d %s", got.Status, got.Body)
	}
}

// limited starts a server and gives a client a role with limits.
func limited(tb testing.TB, limits map[string]int, flags ...string) (*harness.Server, string) {
	tb.Helper()
	s := harness.StartServer(tb, flags...)
	s.Role("limited", limits, "pub:flood/#", "sub:flood/#")
	return s, s.Token(s.Holding("limited", "meter"))
}

func TestS4_TooManyConnectionsAreRefusedToTheClientThatMakesThem(t *testing.T) {
	t.Parallel()
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s, token := limited(t, map[string]int{"max_connects_per_minute": 5})
		other := s.Token(s.Holding("limited", "other"))
		for n := range 5 {
			harness.Enter(t, s, version, harness.Hello{ID: fmt.Sprint("meter:", n), Password: token}).Leave()
		}
		for _, id := range []string{"meter", "meter:0", "meter:new"} {
			harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: token}, harness.TooMany, "limit-connect-rate")
		}
		harness.Enter(t, s, version, harness.Hello{ID: "other", Password: other}).Leave() // of the same role
		// A token that is bad costs nobody's allowance.
		for range 10 {
			harness.ExpectRefused(t, s, version, harness.Hello{ID: "other", Password: other[:len(other)-2]}, harness.BadToken, "token-signature")
		}
		harness.Enter(t, s, version, harness.Hello{ID: "other", Password: other}).Leave()
	})
}

func TestS4_TooManySessionsAreRefusedAndOnesOwnIsTakenOver(t *testing.T) {
	t.Parallel()
	s, token := limited(t, map[string]int{"max_sessions": 3})
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s := s.In(t)
		var open []*harness.Wire
		for n := range 3 {
			open = append(open, harness.Enter(t, s, version, harness.Hello{ID: fmt.Sprint("meter:", n), Password: token}))
		}
		for n := range 5 {
			harness.ExpectRefused(t, s, version, harness.Hello{ID: fmt.Sprint("meter:more-", n), Password: token}, harness.OverQuota, "limit-sessions")
		}
		harness.ExpectRefused(t, s, version, harness.Hello{Password: token}, harness.OverQuota, "limit-sessions") // whose ID would be assigned
		again := harness.Enter(t, s, version, harness.Hello{ID: "meter:0", Password: token})
		open[0].ExpectDisconnect(0x8e)
		open[0] = again
		open[1].Leave()
		open[1] = harness.Enter(t, s, version, harness.Hello{ID: "meter:instead", Password: token})
		for _, w := range open {
			w.Ping()
			w.Leave()
		}
	})
}

func TestS4_AFloodOfMessagesEndsAtTheLimitOfItsClient(t *testing.T) {
	t.Parallel()
	const perSecond, sent = 20, 200
	s, _ := limited(t, map[string]int{"max_messages_per_second": perSecond})
	other := s.Token(s.Holding("limited", "other"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		began, id := time.Now(), harness.Name("flooding", version)
		token := s.Token(s.Holding("limited", id))
		watch := harness.Enter(t, s, version, harness.Hello{ID: "other", Password: other})
		watch.MustSubscribe(1, "flood/#")
		flood := []*harness.Wire{ // the limit is over all of them
			harness.Enter(t, s, version, harness.Hello{ID: id + ":1", Password: token}), harness.Enter(t, s, version, harness.Hello{ID: id + ":2", Password: token}),
		}
		refused := 0
		for n := range sent {
			if code := flood[n%2].Publish(harness.Message{Topic: "flood/x", QoS: 1}); code == 0x97 {
				refused++
			} else if code != 0 {
				t.Errorf("PUBACK 0x%02x", code)
			}
		}
		most := perSecond*(2+int(time.Since(began)/time.Second)) + 2
		watch.Publish(harness.Message{Topic: "flood/marker", QoS: 1})
		if got := len(watch.Until("flood/marker")); got == 0 || got > most || version == 5 && got+refused != sent {
			t.Errorf("%d of %d messages came through and %d were refused, want %d at most", got, sent, refused, most)
		}
		for _, w := range flood {
			w.Ping() // it costs them no more than the messages
			w.Leave()
		}
		watch.Leave()
	})
	if lines := s.Log.Lines("rule=limit-publish-rate "); len(lines) == 0 || len(lines) > 20 {
		t.Errorf("the log speaks %d times of what was too much", len(lines))
	}
}

func TestS4_AFloodOfBytesIsNotForgottenWithTheConnection(t *testing.T) {
	t.Parallel()
	s, token := limited(t, map[string]int{"max_bytes_per_second": 10_000, "max_payload_bytes": 9_900})
	big := harness.Message{Topic: "flood/x", Payload: strings.Repeat("x", 9_900), QoS: 1}
	w := enterByMethod(t, s, "meter", token)
	if code := w.Publish(big); code != 0 {
		t.Errorf("the first: 0x%02x", code)
	}
	for what, next := range map[string]func() *harness.Wire{
		"on the same connection": func() *harness.Wire { return w },
		"after a renewal":        func() *harness.Wire { w.MustRenew(oauth2JWT, token); return w },
		"on another connection":  func() *harness.Wire { return enterByMethod(t, s, "meter:2", token) },
		"after a reconnect":      func() *harness.Wire { return enterByMethod(t, s, "meter:2", token) },
	} {
		if code := next().Publish(big); code != 0x97 {
			t.Errorf("the next at once, %s: 0x%02x, want 0x97", what, code)
		}
	}
	big.Payload += "x"
	if code := w.Publish(big); code != 0x97 {
		t.Errorf("a payload over the limit: 0x%02x, want 0x97", code)
	}
	will := &harness.Message{Topic: "flood/x", Payload: big.Payload}
	harness.EachVersion(t, func(t *testing.T, version byte) {
		harness.ExpectRefused(t, s.In(t), version, harness.Hello{ID: "meter", Password: token, Will: will}, harness.OverQuota, "limit-payload")
	})
}

func TestS4_UnderThePolicyOfRFC9431AFloodEndsTheConnection(t *testing.T) {
	t.Parallel()
	s, token := limited(t, map[string]int{"max_messages_per_second": 5}, "--on-denied", "rfc9431")
	harness.EachVersion(t, func(t *testing.T, version byte) {
		w := harness.Enter(t, s, version, harness.Hello{ID: harness.Name("meter:v", version), Password: token})
		w.Send([]byte(strings.Repeat(string(harness.Message{Topic: "flood/x"}.Encode(version, 0)), 50)))
		w.ExpectDisconnect(0x96)
	})
}

func TestS4_AFloodOfRetainedMessagesEndsAtTheLimitOfItsClient(t *testing.T) {
	t.Parallel()
	harness.EachVersion(t, func(t *testing.T, version byte) {
		s, token := limited(t, map[string]int{"max_retained": 3})
		reading := s.Token(s.Service("reader", "sub:#", "pub:marker"))
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		publish := func(topic, payload string, want byte) {
			t.Helper()
			if code := w.Publish(harness.Message{Topic: topic, Payload: payload, QoS: 1, Retain: true}); version == 5 && code != want {
				t.Errorf("PUBLISH to %s: 0x%02x, want 0x%02x", topic, code, want)
			}
		}
		for n := range 10 {
			publish(fmt.Sprint("flood/", n), "x", []byte{0, 0x97}[min(1, n/3)])
		}
		publish("flood/0", "y", 0) // in the place of another
		expectRetained(t, s, version, reading, "flood/+", "flood/0", "flood/1", "flood/2")
		will := &harness.Message{Topic: "flood/will", Payload: "x", Retain: true}
		harness.ExpectRefused(t, s, version, harness.Hello{ID: "meter:2", Password: token, Will: will}, harness.OverQuota, "limit-retained")
		publish("flood/1", "", 0) // deleted
		publish("flood/9", "x", 0)
		publish("flood/8", "x", 0x97)
		s.Stop()
		s.Restart() // which forgets nothing of it
		w = harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		publish("flood/7", "x", 0x97)
		expectRetained(t, s, version, reading, "flood/+", "flood/0", "flood/2", "flood/9")
	})
}

func TestS4_TooManySubscriptionsAreRefused(t *testing.T) {
	t.Parallel()
	s, token := limited(t, map[string]int{"max_subscriptions": 3})
	harness.EachVersion(t, func(t *testing.T, version byte) {
		over := byte(0x97)
		if version == 4 {
			over = 0x80
		}
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: token})
		want := []byte{0, 0, 0, over, over}
		if got := w.Subscribe(0, "flood/1", "flood/2", "$share/g/flood/3", "flood/4", "$share/h/flood/3"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("SUBACK % x, want % x", got, want)
		}
		if got := w.Subscribe(0, "flood/1", "flood/5"); got[0] != 0 || got[1] != over {
			t.Errorf("one that is there and one more: SUBACK % x", got)
		}
		w.Leave()
	})
}

func TestS4_ALimitThatIsLoweredBindsAtOnce(t *testing.T) {
	t.Parallel()
	s, token := limited(t, nil)
	w := harness.Enter(t, s, 5, harness.Hello{ID: "meter", Password: token})
	m := harness.Message{Topic: "flood/x", Payload: strings.Repeat("x", 1000), QoS: 1}
	if code := w.Publish(m); code != 0 {
		t.Errorf("without a limit: 0x%02x", code)
	}
	got := s.End(http.MethodPatch, "/v1/roles/limited", map[string]any{"limits": map[string]int{"max_payload_bytes": 999}})
	if got != (harness.Receipt{Rejudged: 1}) {
		t.Errorf("the receipt says %+v, want 1 session judged again", got)
	}
	if code := w.Publish(m); code != 0x97 {
		t.Errorf("over the new limit: 0x%02x, want 0x97", code)
	}
}

func TestS4_DevicesThatThrowEachOtherOutAreReported(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:a"))
	victim := s.Token(s.Service("victim", "pub:a"))
	stays := harness.Enter(t, s, 5, harness.Hello{ID: "victim", Password: victim})
	for n := range 8 {
		harness.Enter(t, s, harness.Versions[n%2], harness.Hello{ID: "meter", Password: token})
		// Whoever only claims the other's ID makes it flap as little as it throws it out.
		harness.ExpectRefused(t, s, 5, harness.Hello{ID: "victim", Password: token}, harness.NotAuthorized, "mqtt-client-id")
	}
	s.Log.Wait(t, "rule=flapping ", "client_id=meter ")
	if lines := s.Log.Lines("rule=flapping "); len(lines) != 1 {
		t.Errorf("it is reported %d times, want once in a while: %q", len(lines), lines)
	}
	stays.Ping()
}

func TestP2_APageOfAnotherSiteOpensNoWebSocket(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--websocket-origins", "https://app.example")
	own := s.HTTP
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(own, "http://"))
	for origin, want := range map[string]int{
		"":                                http.StatusSwitchingProtocols, // no browser
		own:                               http.StatusSwitchingProtocols,
		"https://app.example":             http.StatusSwitchingProtocols,
		"https://evil.example":            http.StatusForbidden,
		"https://app.example.evil":        http.StatusForbidden,
		"https://evil-app.example":        http.StatusForbidden,
		"https://sub.app.example":         http.StatusForbidden,
		"https://app.example:8443":        http.StatusForbidden,
		"http://localhost:" + port:        http.StatusForbidden, // another name of the same machine
		"http://127.0.0.1:1":              http.StatusForbidden,
		"http://127.0.0.1.evil:" + port:   http.StatusForbidden,
		"https://evil@127.0.0.1":          http.StatusForbidden,
		"null":                            http.StatusForbidden,
		"file://":                         http.StatusForbidden,
		"chrome-extension://abcdefghijkl": http.StatusForbidden,
		"nonsense":                        http.StatusForbidden,
		"https://app.example https://x":   http.StatusForbidden,
	} {
		if got := s.Upgrade(map[string]string{"Origin": origin}); got != want {
			t.Errorf("origin %q: %d, want %d", origin, got, want)
		}
	}
	if got := s.Upgrade(map[string]string{"Origin": "https://evil.example", "Host": "evil.example", "X-Forwarded-Host": "evil.example"}); got != http.StatusForbidden {
		t.Errorf("with a forwarded host: %d", got)
	}
}
