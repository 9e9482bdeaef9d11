package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Design §6, the ends of a session: expiry, revocation, an operator's word, an orderly stop.

func TestASessionEndsWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	s, f := startForging(t, "--leeway", "0s")
	meter := s.token(s.service("meter", "pub:meter/#", "sub:meter/#"))
	reader := s.token(s.service("reader", "sub:meter/#", "pub:meter/marker"))
	watch := enter(t, s, 5, hello{id: "reader", password: reader})
	watch.mustSubscribe(1, "meter/#")
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		expires := time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
		token := f.in(t).alter(meter, claims{"exp": float64(expires.UnixMilli()) / 1000})
		h := hello{id: "meter", password: token, will: &message{topic: "meter/$state", payload: "lost", qos: 1}}
		d := mustConnect(t, connect, s.tcp(), h)
		if code := d.publish(message{topic: "meter/power", qos: 1}); code != 0 {
			t.Errorf("before the expiry: PUBACK 0x%02x", code)
		}
		said := d.closed()
		if now := time.Now(); now.Before(expires) {
			t.Errorf("the session ended %v before its token", expires.Sub(now))
		}
		want := farewell{}
		if version == 5 {
			want = farewell{0xa0, "token expired"}
		}
		if said != want {
			t.Errorf("the server said 0x%02x %q, want 0x%02x %q", said.code, said.reason, want.code, want.reason)
		}
		expectRefused(t, s.in(t), version, h, badToken, "token-expired")
		watch.expectTopics("meter/$state", "meter/power") // the device is lost, and its will was allowed
	})
	s.log.wait(t, "event=expire", "rule=token-expired ", "client_id=meter ")
}

func TestAnExpiredSessionGetsNothingMore(t *testing.T) {
	t.Parallel()
	s, f := startForging(t, "--leeway", "0s")
	reader := s.token(s.service("reader", "sub:news"))
	writer := s.token(s.service("writer", "pub:news"))
	eachVersion(t, func(t *testing.T, version byte) {
		d := enter(t, s, version, hello{id: "writer", password: writer})
		w := enter(t, s, version, hello{id: "reader", password: f.in(t).lasting(reader, time.Second), keep: true})
		w.mustSubscribe(1, "news")
		d.publish(message{topic: "news", payload: "early", qos: 1})
		w.expectDisconnect(0xa0)
		d.publish(message{topic: "news", payload: "late", qos: 1})
		if len(w.early) != 1 || w.early[0].payload != "early" {
			t.Errorf("%+v came, want what was published before the expiry", w.early)
		}
		// With a new token the session goes on, and has missed nothing.
		w = resume(t, s, version, hello{id: "reader", password: reader, keep: true}, true)
		if p := w.next(); p.payload != "late" {
			t.Errorf("%+v came, want what was published meanwhile", p)
		}
		w.leave()
		d.leave()
	})
}

func TestDisablingAClientEndsItsSessionsAndRefusesItsTokens(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		s := s.in(t)
		id := name("meter", version)
		c := s.service(id, "pub:{client_id}/#", "sub:{client_id}/#")
		token := s.token(c)
		a := mustConnect(t, connect, s.tcp(), hello{id: id, password: token, keep: true})
		a.subscribe(1, id+"/x")
		a.subscribe(1, id+"/y")
		b := mustConnect(t, connect, s.tcp(), hello{id: id + ":2", password: token})
		away := enter(t, s, version, hello{id: id + ":away", password: token, keep: true})
		away.mustSubscribe(1, id+"/y")
		away.leave()
		b.publish(message{topic: id + "/y", payload: "queued", qos: 1})
		a.until(id + "/y")

		if got, want := s.disable(id), (receipt{Sessions: 3, Subscriptions: 3, Queued: 1}); got != want {
			t.Errorf("the receipt is %+v, want %+v", got, want)
		}
		for _, d := range []device{a, b} {
			if said := d.closed(); version == 5 && said.code != 0x98 {
				t.Errorf("the server said 0x%02x, want 0x98", said.code)
			}
		}
		expectRefused(t, s, version, hello{id: id, password: token, keep: true}, notAuthorized, "client-inactive")
		status, answer := s.post("/oauth/token", "application/x-www-form-urlencoded",
			"grant_type=client_credentials&client_id="+id+"&client_secret="+c.ClientSecret)
		if status != http.StatusUnauthorized || !strings.Contains(answer, "invalid_client") {
			t.Errorf("the token endpoint answers %d %s", status, answer)
		}
		if left := s.sessions(id); len(left) != 0 {
			t.Errorf("sessions are left: %+v", left)
		}

		s.change(http.MethodPost, "/v1/services/"+id+"/enable", nil)
		resume(t, s, version, hello{id: id, password: token, keep: true}, false).leave()
		resume(t, s, version, hello{id: id + ":away", password: token, keep: true}, false).leave()
	})
}

func TestDeletingAClientEndsItsSessionsForGood(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		s := s.in(t)
		id := name("meter", version)
		token := s.token(s.service(id, "sub:{client_id}/#"))
		d := mustConnect(t, connect, s.tcp(), hello{id: id, password: token, keep: true})
		d.subscribe(1, id+"/x")
		answer := s.change(http.MethodDelete, "/v1/services/"+id, nil)
		if got, want := readReceipt(t, answer), (receipt{Sessions: 1, Subscriptions: 1}); got != want {
			t.Errorf("the receipt is %+v, want %+v", got, want)
		}
		if said := d.closed(); version == 5 && said.code != 0x98 {
			t.Errorf("the server said 0x%02x, want 0x98", said.code)
		}
		expectRefused(t, s, version, hello{id: id, password: token, keep: true}, notAuthorized, "client-inactive")
	})
}

func TestAnOperatorClosesOneSession(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "sub:meter/#"))
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		s := s.in(t)
		one := mustConnect(t, connect, s.tcp(), hello{id: "meter:1", password: token})
		other := mustConnect(t, connect, s.tcp(), hello{id: "meter:2", password: token})
		if live := s.sessions("meter"); len(live) != 2 {
			t.Errorf("the API lists %+v, want two sessions", live)
		}
		s.must("sessions", "close", "meter:1")
		if said := one.closed(); version == 5 && said.code != 0x98 {
			t.Errorf("the server said 0x%02x, want 0x98", said.code)
		}
		if code := other.subscribe(0, "meter/x"); code != 0 {
			t.Errorf("the client's other session: SUBACK 0x%02x", code)
		}
		other.leave()
		mustConnect(t, connect, s.tcp(), hello{id: "meter:1", password: token}).leave()
	})
}

func TestAnOrderlyStopSaysGoodbye(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "sub:meter/#"))
	v3 := mustConnect(t, connectPaho3, s.tcp(), hello{id: "meter:3", password: token})
	v5 := mustConnect(t, connectPaho5, s.tcp(), hello{id: "meter:5", password: token})
	raw := enter(t, s, 4, hello{id: "meter:raw", password: token})
	silent := dial(t, s.mqtt, 5) // has not sent its CONNECT
	s.stop()
	v3.closed()
	if said := v5.closed(); said.code != 0x8b {
		t.Errorf("the server said 0x%02x, want 0x8b", said.code)
	}
	raw.expectDisconnect(0) // in 3.1.1 without a word
	silent.expectClosed()
}
