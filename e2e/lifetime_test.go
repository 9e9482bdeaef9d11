package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Design §6, the ends of a session: expiry, revocation, an operator's word, an orderly stop.

func TestASessionEndsWhenItsTokenExpires(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t, "--leeway", "0s")
	meter := s.Token(s.Service("meter", "pub:meter/#", "sub:meter/#"))
	reader := s.Token(s.Service("reader", "sub:meter/#", "pub:meter/marker"))
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "reader", Password: reader})
	watch.MustSubscribe(1, "meter/#")
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		expires := time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
		token := f.In(t).Alter(meter, harness.Claims{"exp": float64(expires.UnixMilli()) / 1000})
		h := harness.Hello{ID: "meter", Password: token, Will: &harness.Message{Topic: "meter/$state", Payload: "lost", QoS: 1}}
		d := harness.MustConnect(t, connect, s.TCP(), h)
		if code := d.Publish(harness.Message{Topic: "meter/power", QoS: 1}); code != 0 {
			t.Errorf("before the expiry: PUBACK 0x%02x", code)
		}
		said := d.Closed()
		if now := time.Now(); now.Before(expires) {
			t.Errorf("the session ended %v before its token", expires.Sub(now))
		}
		want := harness.Farewell{}
		if version == 5 {
			want = harness.Farewell{Code: 0xa0, Reason: "token expired"}
		}
		if said != want {
			t.Errorf("the server said 0x%02x %q, want 0x%02x %q", said.Code, said.Reason, want.Code, want.Reason)
		}
		harness.ExpectRefused(t, s.In(t), version, h, harness.BadToken, "token-expired")
		watch.ExpectTopics("meter/$state", "meter/power") // the device is lost, and its will was allowed
	})
	s.Log.Wait(t, "event=expire", "rule=token-expired ", "client_id=meter ")
}

func TestAnExpiredSessionGetsNothingMore(t *testing.T) {
	t.Parallel()
	s, f := harness.StartForging(t, "--leeway", "0s")
	reader := s.Token(s.Service("reader", "sub:news"))
	writer := s.Token(s.Service("writer", "pub:news"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		d := harness.Enter(t, s, version, harness.Hello{ID: "writer", Password: writer})
		w := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: f.In(t).Lasting(reader, time.Second), Keep: true})
		w.MustSubscribe(1, "news")
		d.Publish(harness.Message{Topic: "news", Payload: "early", QoS: 1})
		w.ExpectDisconnect(0xa0)
		d.Publish(harness.Message{Topic: "news", Payload: "late", QoS: 1})
		if len(w.Early) != 1 || w.Early[0].Payload != "early" {
			t.Errorf("%+v came, want what was published before the expiry", w.Early)
		}
		// With a new token the session goes on, and has missed nothing.
		w = harness.Resume(t, s, version, harness.Hello{ID: "reader", Password: reader, Keep: true}, true)
		if p := w.Next(); p.Payload != "late" {
			t.Errorf("%+v came, want what was published meanwhile", p)
		}
		w.Leave()
		d.Leave()
	})
}

func TestDisablingAClientEndsItsSessionsAndRefusesItsTokens(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		s := s.In(t)
		id := harness.Name("meter", version)
		c := s.Service(id, "pub:{client_id}/#", "sub:{client_id}/#")
		token := s.Token(c)
		a := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: id, Password: token, Keep: true})
		a.Subscribe(1, id+"/x")
		a.Subscribe(1, id+"/y")
		b := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: id + ":2", Password: token})
		away := harness.Enter(t, s, version, harness.Hello{ID: id + ":away", Password: token, Keep: true})
		away.MustSubscribe(1, id+"/y")
		away.Leave()
		b.Publish(harness.Message{Topic: id + "/y", Payload: "queued", QoS: 1})
		a.Until(id + "/y")

		if got, want := s.Disable(id), (harness.Receipt{Sessions: 3, Subscriptions: 3, Queued: 1}); got != want {
			t.Errorf("the receipt is %+v, want %+v", got, want)
		}
		for _, d := range []harness.Device{a, b} {
			if said := d.Closed(); version == 5 && said.Code != 0x98 {
				t.Errorf("the server said 0x%02x, want 0x98", said.Code)
			}
		}
		harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: token, Keep: true}, harness.NotAuthorized, "client-inactive")
		status, answer := s.Post("/oauth/token", "application/x-www-form-urlencoded",
			"grant_type=client_credentials&client_id="+id+"&client_secret="+c.ClientSecret)
		if status != http.StatusUnauthorized || !strings.Contains(answer, "invalid_client") {
			t.Errorf("the token endpoint answers %d %s", status, answer)
		}
		if left := s.Sessions(id); len(left) != 0 {
			t.Errorf("sessions are left: %+v", left)
		}

		s.Change(http.MethodPost, "/v1/services/"+id+"/enable", nil)
		harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: token, Keep: true}, harness.BadToken, "revoked")
		token = s.FreshToken(c)
		harness.Resume(t, s, version, harness.Hello{ID: id, Password: token, Keep: true}, false).Leave()
		harness.Resume(t, s, version, harness.Hello{ID: id + ":away", Password: token, Keep: true}, false).Leave()
	})
}

func TestDeletingAClientEndsItsSessionsForGood(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		s := s.In(t)
		id := harness.Name("meter", version)
		token := s.Token(s.Service(id, "sub:{client_id}/#"))
		d := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: id, Password: token, Keep: true})
		d.Subscribe(1, id+"/x")
		answer := s.Change(http.MethodDelete, "/v1/services/"+id, nil)
		if got, want := harness.ReadReceipt(t, answer), (harness.Receipt{Sessions: 1, Subscriptions: 1, Secrets: 1}); got != want {
			t.Errorf("the receipt is %+v, want %+v", got, want)
		}
		if said := d.Closed(); version == 5 && said.Code != 0x98 {
			t.Errorf("the server said 0x%02x, want 0x98", said.Code)
		}
		harness.ExpectRefused(t, s, version, harness.Hello{ID: id, Password: token, Keep: true}, harness.NotAuthorized, "client-inactive")
	})
}

func TestAnOperatorClosesOneSession(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "sub:meter/#"))
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		s := s.In(t)
		one := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "meter:1", Password: token})
		other := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "meter:2", Password: token})
		if live := s.Sessions("meter"); len(live) != 2 {
			t.Errorf("the API lists %+v, want two sessions", live)
		}
		s.Must("sessions", "close", "meter:1")
		if said := one.Closed(); version == 5 && said.Code != 0x98 {
			t.Errorf("the server said 0x%02x, want 0x98", said.Code)
		}
		if code := other.Subscribe(0, "meter/x"); code != 0 {
			t.Errorf("the client's other session: SUBACK 0x%02x", code)
		}
		other.Leave()
		harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "meter:1", Password: token}).Leave()
	})
}

func TestAnOrderlyStopSaysGoodbye(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "sub:meter/#"))
	v3 := harness.MustConnect(t, harness.ConnectPaho3, s.TCP(), harness.Hello{ID: "meter:3", Password: token})
	v5 := harness.MustConnect(t, harness.ConnectPaho5, s.TCP(), harness.Hello{ID: "meter:5", Password: token})
	raw := harness.Enter(t, s, 4, harness.Hello{ID: "meter:raw", Password: token})
	silent := harness.Dial(t, s.MQTT, 5) // has not sent its CONNECT
	s.Stop()
	v3.Closed()
	if said := v5.Closed(); said.Code != 0x8b {
		t.Errorf("the server said 0x%02x, want 0x8b", said.Code)
	}
	raw.ExpectDisconnect(0) // in 3.1.1 without a word
	silent.ExpectClosed()
}
