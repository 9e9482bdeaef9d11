package authhook_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqttv3 "github.com/eclipse/paho.mqtt.golang"

	"github.com/boomgate/boomgate/authhook"
)

// await waits for a token of paho.mqtt.golang.
func await(tb testing.TB, token mqttv3.Token) error {
	tb.Helper()
	if !token.WaitTimeout(patience) {
		tb.Fatal("the client waits for an answer")
	}
	return token.Error()
}

// TestAClientOfPahoMQTTGolang goes through the life of a 3.1.1 device.
func TestAClientOfPahoMQTTGolang(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	lost := make(chan error, 1)
	options := func(token string) *mqttv3.ClientOptions {
		return mqttv3.NewClientOptions().AddBroker("tcp://" + g.addr).SetClientID("sensor-1").SetUsername("sensor-1").SetPassword(token).
			SetProtocolVersion(4).SetAutoReconnect(false).SetConnectionLostHandler(func(_ mqttv3.Client, err error) { lost <- err })
	}
	if err := await(t, mqttv3.NewClient(options("bad")).Connect()); err == nil || err.Error() != "bad user name or password" {
		t.Errorf("a bad token: %v", err)
	}
	if err := await(t, mqttv3.NewClient(options(g.token(t, "other"))).Connect()); err == nil || err.Error() != "not Authorized" {
		t.Errorf("another client's token: %v", err)
	}

	client := mqttv3.NewClient(options(g.token(t, "sensor-1", "pub:out/#", "sub:in/+")))
	if err := await(t, client.Connect()); err != nil {
		t.Fatal(err)
	}
	received := make(chan mqttv3.Message, 1)
	if err := await(t, client.Subscribe("in/+", 1, func(_ mqttv3.Client, m mqttv3.Message) { received <- m })); err != nil {
		t.Errorf("subscribing: %v", err)
	}
	wider := client.Subscribe("in/#", 1, nil)
	if err := await(t, wider); err != nil || wider.(*mqttv3.SubscribeToken).Result()["in/#"] != 0x80 {
		t.Errorf("subscribing to a wider filter: %v, %v", wider.(*mqttv3.SubscribeToken).Result(), err)
	}
	for qos := range byte(3) {
		if err := await(t, client.Publish("elsewhere", qos, true, "x")); err != nil {
			t.Errorf("publishing what is refused, at QoS %d: %v", qos, err)
		}
		if err := await(t, client.Publish("out/a", qos, false, "x")); err != nil {
			t.Errorf("publishing at QoS %d: %v", qos, err)
		}
		g.expectHeard(t, "out/a")
	}
	g.say(t, "in/a")
	select {
	case m := <-received:
		if m.Topic() != "in/a" {
			t.Errorf("received a message on %q", m.Topic())
		}
	case <-time.After(patience):
		t.Error("received nothing")
	}
	g.revoke("sensor-1")
	select {
	case err := <-lost:
		if err == nil {
			t.Error("the connection was lost without an error")
		}
	case <-time.After(patience):
		t.Error("the connection was not closed")
	}
}

// dialPaho5 returns a client of paho.golang that is not connected yet, and a channel with the DISCONNECT that it receives.
func (g *gate) dialPaho5(t *testing.T) (*paho.Client, chan *paho.Disconnect, chan *paho.Publish) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	disconnected, received := make(chan *paho.Disconnect, 1), make(chan *paho.Publish, 1)
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn, OnClientError: func(err error) { t.Log("CE", err) }, OnServerDisconnect: func(d *paho.Disconnect) { disconnected <- d },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			received <- r.Packet
			return true, nil
		}},
	})
	t.Cleanup(func() { _ = conn.Close() })
	return client, disconnected, received
}

// TestAClientOfPahoGolang goes through the life of an MQTT 5.0 device.
func TestAClientOfPahoGolang(t *testing.T) {
	t.Parallel()
	g := openGate(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	connect := func(token string) (*paho.Client, chan *paho.Disconnect, chan *paho.Publish, byte) {
		client, disconnected, received := g.dialPaho5(t)
		maximum := uint16(4)
		ack, err := client.Connect(ctx, &paho.Connect{
			ClientID: "sensor-1", PasswordFlag: true, Password: []byte(token), UsernameFlag: true, Username: "sensor-1", KeepAlive: 30,
			CleanStart: true, Properties: &paho.ConnectProperties{TopicAliasMaximum: &maximum, RequestProblemInfo: true},
		})
		if ack == nil {
			t.Fatal(err)
		}
		return client, disconnected, received, ack.ReasonCode
	}
	if _, _, _, code := connect("bad"); code != 0x86 {
		t.Errorf("a bad token: 0x%02x", code)
	}
	if _, _, _, code := connect(g.token(t, "other")); code != 0x87 {
		t.Errorf("another client's token: 0x%02x", code)
	}
	client, disconnected, received, code := connect(g.token(t, "sensor-1", "pub:out/#", "sub:in/+"))
	if code != 0 {
		t.Fatalf("CONNACK 0x%02x", code)
	}
	ack, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "in/+", QoS: 1}, {Topic: "in/#", QoS: 1}}})
	if ack == nil || len(ack.Reasons) != 2 || ack.Reasons[0] != 1 || ack.Reasons[1] != 0x87 {
		t.Errorf("subscribing: %+v, %v", ack, err)
	}
	for qos := byte(1); qos <= 2; qos++ {
		answer, err := client.Publish(ctx, &paho.Publish{Topic: "elsewhere", QoS: qos, Payload: []byte("x")})
		if answer == nil || answer.ReasonCode != 0x87 {
			t.Errorf("publishing what is refused, at QoS %d: %+v, %v", qos, answer, err)
		}
	}
	alias := uint16(3)
	for _, topic := range []string{"out/a", ""} {
		answer, err := client.Publish(ctx, &paho.Publish{
			Topic: topic, QoS: 1, Payload: []byte("x"), Properties: &paho.PublishProperties{TopicAlias: &alias},
		})
		if err != nil || answer.ReasonCode >= 0x80 {
			t.Errorf("publishing on %q with an alias: %+v, %v", topic, answer, err)
		}
		g.expectHeard(t, "out/a")
	}
	g.say(t, "in/a")
	select {
	case pk := <-received:
		if pk.Topic != "in/a" {
			t.Errorf("received a message on %q", pk.Topic)
		}
	case <-ctx.Done():
		t.Error("received nothing")
	}
	g.clock.forward(2 * time.Hour)
	g.say(t, "in/late") // notices that the token has expired
	select {
	case d := <-disconnected:
		if d.ReasonCode != 0xa0 || d.Properties.ReasonString != "token expired" {
			t.Errorf("DISCONNECT 0x%02x %q", d.ReasonCode, d.Properties.ReasonString)
		}
	case <-ctx.Done():
		t.Error("the connection was not closed")
	}
	if e := g.events.expect(t, authhook.KindExpire, authhook.RuleExpired); e.ClientID != "sensor-1" {
		t.Errorf("the event is %+v", e)
	}
}
