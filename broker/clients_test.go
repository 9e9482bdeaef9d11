package broker_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"
)

func TestThePaho311ClientPublishesAndSubscribes(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, broker := range []string{"tcp://" + r.addr(), r.serveHTTP()} {
		got := make(chan string, 10)
		options := paho3.NewClientOptions().AddBroker(broker).SetClientID("paho3-" + broker).SetOrderMatters(true)
		client := paho3.NewClient(options)
		finish(t, client.Connect())
		finish(t, client.Subscribe("news/#", 2, func(_ paho3.Client, m paho3.Message) { got <- string(m.Payload()) }))
		for _, qos := range []byte{0, 1, 2} {
			payload := strings.Repeat("x", int(qos)+1)
			finish(t, client.Publish("news/today", qos, false, payload))
			if m := receive(t, got); m != payload {
				t.Errorf("QoS %d over %s: got %q", qos, broker, m)
			}
		}
		finish(t, client.Unsubscribe("news/#"))
		client.Disconnect(0)
	}
}

func finish(tb testing.TB, token paho3.Token) {
	tb.Helper()
	if !token.WaitTimeout(patience) {
		tb.Fatal("no answer")
	}
	must(tb, token.Error())
}

func receive[T any](tb testing.TB, from <-chan T) T {
	tb.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		tb.Fatal("nothing arrives")
	}
	panic("unreachable")
}

func TestThePaho5ClientPublishesAndSubscribes(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := make(chan *paho.Publish, 10)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	socket, err := net.Dial("tcp", r.addr())
	must(t, err)
	client := paho.NewClient(paho.ClientConfig{
		Conn: socket,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
			got <- m.Packet
			return true, nil
		}},
	})
	_, err = client.Connect(ctx, &paho.Connect{
		ClientID: "paho5", CleanStart: true, KeepAlive: 30,
		Properties: &paho.ConnectProperties{ReceiveMaximum: paho.Uint16(2)},
	})
	must(t, err)
	_, err = client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "news/#", QoS: 2}}})
	must(t, err)
	for _, qos := range []byte{0, 1, 2} {
		_, err := client.Publish(ctx, &paho.Publish{
			Topic: "news/today", QoS: qos, Payload: []byte("rain"),
			Properties: &paho.PublishProperties{ContentType: "text/plain", User: paho.UserProperties{{Key: "k", Value: "v"}}},
		})
		must(t, err)
		m := receive(t, got)
		if m.QoS != qos || m.Properties.ContentType != "text/plain" || m.Properties.User.Get("k") != "v" {
			t.Errorf("QoS %d arrived as %+v", qos, m)
		}
	}
	must(t, client.Disconnect(&paho.Disconnect{}))
}

func TestThePaho5ClientReconnectsAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	addr := r.addr()
	got, up := make(chan string, 10), make(chan bool, 10)
	server, err := url.Parse("mqtt://" + addr)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	manager, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{server}, KeepAlive: 30, SessionExpiryInterval: 3600,
		ReconnectBackoff: func(int) time.Duration { return 10 * time.Millisecond },
		OnConnectionUp:   func(_ *autopaho.ConnectionManager, ack *paho.Connack) { up <- ack.SessionPresent },
		ClientConfig: paho.ClientConfig{
			ClientID: "persistent",
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
				got <- string(m.Packet.Payload)
				return true, nil
			}},
		},
	})
	must(t, err)
	if receive(t, up) {
		t.Error("a session was there before")
	}
	_, err = manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "a", QoS: 1}}})
	must(t, err)
	r.stop()

	next := start(t, dataDir(dir), func(s *setup) { s.TCP = addr })
	if !receive(t, up) {
		t.Error("the session did not survive the restart")
	}
	must(t, next.Publish(ctx, "a", []byte("after the restart"), 1, false))
	if m := receive(t, got); m != "after the restart" {
		t.Errorf("got %q", m)
	}
	must(t, manager.Disconnect(ctx))
}
