package e2e_test

import (
	"fmt"
	"testing"
)

// Design §6, PUBLISH and SUBSCRIBE: every verdict, and how each version tells it.

func TestAPublishIsJudgedByTopicAndQoSAndRetainFlag(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:free/#", "pub:limited/#?qos=1&retain=false"))
	reader := s.token(s.service("reader", "sub:#", "pub:marker"))
	eachVersion(t, func(t *testing.T, version byte) {
		watch := enter(t, s, version, hello{id: "reader", password: reader})
		watch.mustSubscribe(2, fmt.Sprint("+/", version), "marker")
		w := enter(t, s, version, hello{id: "meter", password: meter})
		for qos := range byte(3) {
			for _, retain := range []bool{false, true} {
				for _, test := range []struct {
					topic   string
					allowed bool
				}{
					{fmt.Sprint("free/", version), true},
					{fmt.Sprint("limited/", version), qos <= 1 && !retain},
					{fmt.Sprint("other/", version), false},
				} {
					told := w.publish(message{topic: test.topic, payload: "x", qos: qos, retain: retain})
					want := byte(0)
					if !test.allowed && version == 5 && qos > 0 {
						want = 0x87
					}
					if told != want {
						t.Errorf("%s at QoS %d, retain %v: answered 0x%02x, want 0x%02x", test.topic, qos, retain, told, want)
					}
					var arrives []string
					if test.allowed {
						arrives = []string{test.topic}
					}
					watch.publish(message{topic: "marker", qos: qos})
					watch.expectTopics("marker", arrives...)
				}
			}
		}
	})
}

func TestADeniedPublishIsInTheOperatorsLog(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	meter := s.token(s.service("meter", "pub:limited/#?qos=1&retain=false"))
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		d := mustConnect(t, connect, s.tcp(), hello{id: "meter", password: meter})
		for i, test := range []struct {
			message message
			rule    string
		}{
			{message{topic: "other", qos: 1}, "no-grant"},
			{message{topic: "limited", qos: 2}, "qos-above-limit"},
			{message{topic: "limited", qos: 1, retain: true}, "retain-not-allowed"},
		} {
			test.message.topic += fmt.Sprintf("/%d/%d", version, i)
			if code := d.publish(test.message); version == 5 && code != 0x87 {
				t.Errorf("%+v: 0x%02x, want 0x87", test.message, code)
			}
			s.log.wait(t, "event=publish", "rule="+test.rule+" ", "client_id=meter ", "topic="+test.message.topic)
		}
		d.leave()
	})
}

func TestADeniedPublishDisconnectsWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--on-denied", "disconnect")
	meter := s.token(s.service("meter", "pub:own/#"))
	eachVersion(t, func(t *testing.T, version byte) {
		for qos := range byte(3) {
			w := enter(t, s, version, hello{id: "meter", password: meter})
			if version == 5 && qos > 0 {
				if code := w.publish(message{topic: "other", qos: qos}); code != 0x87 {
					t.Errorf("QoS %d: answered 0x%02x, want 0x87", qos, code)
				}
				w.ping() // it is told, so it stays
				continue
			}
			w.send(message{topic: "other", qos: qos}.encode(version, 1))
			w.expectDisconnect(0x87)
		}
	})
}

func TestASubscriptionIsJudgedFilterByFilter(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	reader := s.token(s.service("reader", "sub:lot/+/state", "sub:board/#?qos=1", "sub:quiet?qos=0", "pub:#"))
	eachClient(t, func(t *testing.T, version byte, connect connectFunc) {
		denied := byte(0x87)
		if version < 5 {
			denied = 0x80
		}
		d := mustConnect(t, connect, s.tcp(), hello{id: "reader", password: reader})
		for _, test := range []struct {
			filter    string
			qos, want byte
		}{
			{"lot/+/state", 2, 2},
			{"lot/7/state", 0, 0},
			{"lot/#", 0, denied},
			{"lot/+/+", 1, denied},
			{"board/#", 2, 1},
			{"board", 2, 1},
			{"board/+/x", 0, 0},
			{"quiet", 2, 0},
			{"loud", 0, denied},
		} {
			if code := d.subscribe(test.qos, test.filter); code != test.want {
				t.Errorf("%s at QoS %d: 0x%02x, want 0x%02x", test.filter, test.qos, code, test.want)
			}
		}
		d.leave()
	})
	s.log.wait(t, "event=subscribe", "rule=no-grant ", "client_id=reader ", "topic=lot/#")
}

func TestAMessageComesAtTheLoweredQoS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("both", "sub:a/#?qos=1", "pub:a/#"))
	eachClient(t, func(t *testing.T, _ byte, connect connectFunc) {
		d := mustConnect(t, connect, s.tcp(), hello{id: "both", password: token})
		d.subscribe(2, "a/#")
		for qos := range byte(3) {
			d.publish(message{topic: "a/b", qos: qos})
			d.publish(message{topic: "a/marker", qos: qos})
			if got := d.until("a/marker"); len(got) != 1 || got[0].qos != min(qos, 1) {
				t.Errorf("published at QoS %d: %+v came", qos, got)
			}
		}
		d.leave()
	})
}
