package e2e_test

import (
	"fmt"
	"testing"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Design §6, PUBLISH and SUBSCRIBE: every verdict, and how each version tells it.

func TestAPublishIsJudgedByTopicAndQoSAndRetainFlag(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:free/#", "pub:limited/#?qos=1&retain=false"))
	reader := s.Token(s.Service("reader", "sub:#", "pub:marker"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		watch := harness.Enter(t, s, version, harness.Hello{ID: "reader", Password: reader})
		watch.MustSubscribe(2, fmt.Sprint("+/", version), "marker")
		w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: meter})
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
					told := w.Publish(harness.Message{Topic: test.topic, Payload: "x", QoS: qos, Retain: retain})
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
					watch.Publish(harness.Message{Topic: "marker", QoS: qos})
					watch.ExpectTopics("marker", arrives...)
				}
			}
		}
	})
}

func TestADeniedPublishIsInTheOperatorsLog(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	meter := s.Token(s.Service("meter", "pub:limited/#?qos=1&retain=false"))
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		d := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "meter", Password: meter})
		for i, test := range []struct {
			message harness.Message
			rule    string
		}{
			{harness.Message{Topic: "other", QoS: 1}, "no-grant"},
			{harness.Message{Topic: "limited", QoS: 2}, "qos-above-limit"},
			{harness.Message{Topic: "limited", QoS: 1, Retain: true}, "retain-not-allowed"},
		} {
			test.message.Topic += fmt.Sprintf("/%d/%d", version, i)
			if code := d.Publish(test.message); version == 5 && code != 0x87 {
				t.Errorf("%+v: 0x%02x, want 0x87", test.message, code)
			}
			s.Log.Wait(t, "event=publish", "rule="+test.rule+" ", "client_id=meter ", "topic="+test.message.Topic)
		}
		d.Leave()
	})
}

func TestADeniedPublishDisconnectsWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--on-denied", "rfc9431")
	meter := s.Token(s.Service("meter", "pub:own/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		for qos := range byte(3) {
			w := harness.Enter(t, s, version, harness.Hello{ID: "meter", Password: meter})
			if version == 5 && qos > 0 {
				if code := w.Publish(harness.Message{Topic: "other", QoS: qos}); code != 0x87 {
					t.Errorf("QoS %d: answered 0x%02x, want 0x87", qos, code)
				}
				w.Ping() // it is told, so it stays
				continue
			}
			w.Send(harness.Message{Topic: "other", QoS: qos}.Encode(version, 1))
			w.ExpectDisconnect(0x87)
		}
	})
}

func TestASubscriptionIsJudgedFilterByFilter(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	reader := s.Token(s.Service("reader", "sub:lot/+/state", "sub:board/#?qos=1", "sub:quiet?qos=0", "pub:#"))
	harness.EachClient(t, func(t *testing.T, version byte, connect harness.ConnectFunc) {
		denied := byte(0x87)
		if version < 5 {
			denied = 0x80
		}
		d := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "reader", Password: reader})
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
			if code := d.Subscribe(test.qos, test.filter); code != test.want {
				t.Errorf("%s at QoS %d: 0x%02x, want 0x%02x", test.filter, test.qos, code, test.want)
			}
		}
		d.Leave()
	})
	s.Log.Wait(t, "event=subscribe", "rule=no-grant ", "client_id=reader ", "topic=lot/#")
}

func TestAMessageComesAtTheLoweredQoS(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("both", "sub:a/#?qos=1", "pub:a/#"))
	harness.EachClient(t, func(t *testing.T, _ byte, connect harness.ConnectFunc) {
		d := harness.MustConnect(t, connect, s.TCP(), harness.Hello{ID: "both", Password: token})
		d.Subscribe(2, "a/#")
		for qos := range byte(3) {
			d.Publish(harness.Message{Topic: "a/b", QoS: qos})
			d.Publish(harness.Message{Topic: "a/marker", QoS: qos})
			if got := d.Until("a/marker"); len(got) != 1 || got[0].QoS != min(qos, 1) {
				t.Errorf("published at QoS %d: %+v came", qos, got)
			}
		}
		d.Leave()
	})
}
