package authhook_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// TestA2_WhatWasAllowedOnceOpensNothingElse publishes what is allowed, so that it is remembered, and then what is alike.
func TestA2_WhatWasAllowedOnceOpensNothingElse(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	long := strings.Repeat("x", 100)
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a/b", "pub:low?qos=1", "pub:fleeting?retain=false", "pub:"+long, "sub:a/b"))
	for range 2 {
		for _, c := range []struct {
			topic  string
			qos    byte
			retain bool
			want   byte
		}{
			{"a/b", 1, false, 0},
			{"a/b", 2, true, 0},
			{"a/bc", 1, false, 0x87},
			{"a/", 1, false, 0x87},
			{"A/b", 1, false, 0x87},
			{"low", 1, false, 0},
			{"low", 2, false, 0x87},
			{"low", 1, true, 0},
			{"fleeting", 1, false, 0},
			{"fleeting", 1, true, 0x87},
			{"fleeting", 2, false, 0},
			{long, 1, false, 0},
			{long + "x", 1, false, 0x87},
			{long[1:], 1, false, 0x87},
		} {
			if code := w.publish(t, c.topic, c.qos, c.retain); code != c.want {
				t.Errorf("%.20s QoS %d retain %v: 0x%02x, want 0x%02x", c.topic, c.qos, c.retain, code, c.want)
			}
		}
	}
	cl, _ := g.server.Clients.Get("sensor-1")
	if !g.hook.OnACLCheck(cl, "a/b", false) || g.hook.OnACLCheck(cl, "", false) || g.hook.OnACLCheck(cl, "a/", false) {
		t.Error("what was allowed once opens another topic")
	}
	// No topic at all is not what an empty memory holds.
	for _, qos := range []byte{0, 1} {
		w := g.enter(t, 5, "sensor-2", g.token(t, "sensor-2", "pub:a/b"))
		w.publish(t, "a/b", qos, false)
		w.send(t, message("", qos, false))
		w.expectDisconnect(t, 0x82)
	}
}

func TestS6_WhatWasAllowedOnceIsForgottenWithTheRights(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	w := g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a/#", "sub:b/#"))
	w.mustSubscribe(t, "b/#")
	for range 2 {
		for i := range 6 { // more than are remembered
			if code := w.publish(t, fmt.Sprint("a/", i), 1, false); code != 0 {
				t.Fatalf("a/%d: 0x%02x", i, code)
			}
			g.say(t, fmt.Sprint("b/", i))
			w.expectMessage(t, fmt.Sprint("b/", i))
		}
	}
	g.clients.set("sensor-1", authhook.Status{Active: true, Scopes: []string{"pub:a/0", "sub:b/0"}})
	g.hook.Rejudge(authhook.Selection{ClientID: "sensor-1"}, "narrower")
	g.server.Topics.Subscribe("sensor-1", packets.Subscription{Filter: "b/#"}) // as if the hook had left it
	for i := range 6 {
		want := byte(0x87)
		if i == 0 {
			want = 0
		}
		if code := w.publish(t, fmt.Sprint("a/", i), 1, false); code != want {
			t.Errorf("a/%d after the rights shrank: 0x%02x, want 0x%02x", i, code, want)
		}
	}
	for i := range 6 {
		g.say(t, fmt.Sprint("b/", i))
	}
	w.expectMessage(t, "b/0")
	w.ping(t)
}

func TestTheCoarseClockFollowsTheMachines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, err := authhook.New(silentServer(), authhook.Config{Verifier: newVerifier(t, time.Now)})
		if err != nil {
			t.Fatal(err)
		}
		if lag := time.Since(hook.CoarseNow()); lag != 0 {
			t.Errorf("before the server has started the clock is %v late", lag)
		}
		hook.OnStarted()
		synctest.Wait()
		for range 20 {
			<-time.After(37 * time.Millisecond)
			synctest.Wait()
			if lag := time.Since(hook.CoarseNow()); lag < 0 || lag >= 100*time.Millisecond {
				t.Errorf("the clock is %v late", lag)
			}
		}
		if err := hook.Stop(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		<-time.After(time.Second)
		if lag := time.Since(hook.CoarseNow()); lag != 0 {
			t.Errorf("after the server has stopped the clock is %v late", lag)
		}
	})
}
