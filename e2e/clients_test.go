package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// device is a connected client as people use it: paho.mqtt.golang for MQTT 3.1.1, paho.golang for 5.0.
type device interface {
	// publish returns the reason code that the server answers, 0 where there is none.
	publish(m message) byte
	// subscribe returns the reason code or return code for the filter.
	subscribe(qos byte, filter string) byte
	// until returns the messages that come before the one on the marker topic.
	until(marker string) []message
	// closed waits until the server has closed the connection, and returns what it said.
	closed() farewell
	// leave ends the connection in order.
	leave()
	// assigned is the MQTT client ID that the server has assigned, as far as the protocol says.
	assigned() string
}

// farewell is what a server says when it closes a connection: in 3.1.1 nothing.
type farewell struct {
	code   byte
	reason string
}

// connectFunc connects a client to a URL. Unless it is let in there is no device, but a code.
type connectFunc func(tb testing.TB, to target, h hello) (device, byte)

// target is where a client connects to, and how.
type target struct {
	url    string // mqtt:, mqtts:, ws: or wss:
	tls    *tls.Config
	origin string // of a page, for ws
}

// eachClient runs a test with the client library of each version.
func eachClient(t *testing.T, test func(t *testing.T, version byte, connect connectFunc)) {
	t.Helper()
	t.Run("paho.mqtt.golang", func(t *testing.T) { test(t, 4, connectPaho3) })
	t.Run("paho.golang", func(t *testing.T) { test(t, 5, connectPaho5) })
}

// tcp is the server's MQTT address as a target.
func (s *server) tcp() target { return target{url: "mqtt://" + s.mqtt} }

// mustConnect connects a client that must be let in.
func mustConnect(tb testing.TB, connect connectFunc, to target, h hello) device {
	tb.Helper()
	d, code := connect(tb, to, h)
	if code != 0 {
		tb.Fatalf("%q was refused with 0x%02x", h.id, code)
	}
	return d
}

// inbox collects what a client receives.
type inbox struct {
	tb       testing.TB
	messages chan message
	farewell chan farewell
}

func newInbox(tb testing.TB) inbox {
	tb.Helper()
	return inbox{tb: tb, messages: make(chan message, 4096), farewell: make(chan farewell, 4)}
}

func (i inbox) until(marker string) []message {
	i.tb.Helper()
	var before []message
	late := time.After(patience)
	for {
		select {
		case m := <-i.messages:
			if m.topic == marker {
				return before
			}
			before = append(before, m)
		case <-late:
			i.tb.Fatalf("no message came on %q, but %v", marker, before)
		}
	}
}

func (i inbox) closed() farewell {
	i.tb.Helper()
	select {
	case f := <-i.farewell:
		return f
	case <-time.After(patience):
		i.tb.Fatal("the server did not close the connection")
		return farewell{}
	}
}

// paho3 is a client of MQTT 3.1.1.
type paho3 struct {
	inbox
	client mqtt.Client
}

func connectPaho3(tb testing.TB, to target, h hello) (device, byte) {
	tb.Helper()
	d := &paho3{inbox: newInbox(tb)}
	opts := mqtt.NewClientOptions().AddBroker(to.url).SetTLSConfig(to.tls).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(patience).
		SetClientID(h.id).SetUsername(h.user).SetPassword(h.password).SetCleanSession(!h.keep).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			d.messages <- message{topic: m.Topic(), payload: string(m.Payload()), qos: m.Qos(), retain: m.Retained()}
		}).
		SetConnectionLostHandler(func(mqtt.Client, error) { d.farewell <- farewell{} })
	if h.user == "" { // the library sends no password without a user name
		opts.SetUsername("any")
	}
	if to.origin != "" {
		opts.SetHTTPHeaders(http.Header{"Origin": {to.origin}})
	}
	if h.will != nil {
		opts.SetWill(h.will.topic, h.will.payload, h.will.qos, h.will.retain)
	}
	d.client = mqtt.NewClient(opts)
	token, ok := d.client.Connect().(*mqtt.ConnectToken)
	if !ok || !token.WaitTimeout(patience) {
		tb.Fatal("no CONNACK came")
	}
	if code := token.ReturnCode(); code != 0 {
		return nil, code
	}
	must(tb, token.Error())
	tb.Cleanup(func() { d.client.Disconnect(0) })
	return d, 0
}

func (d *paho3) publish(m message) byte {
	d.tb.Helper()
	d.wait(d.client.Publish(m.topic, m.qos, m.retain, m.payload))
	return 0
}

func (d *paho3) subscribe(qos byte, filter string) byte {
	d.tb.Helper()
	token, _ := d.client.Subscribe(filter, qos, nil).(*mqtt.SubscribeToken)
	if !token.WaitTimeout(patience) {
		d.tb.Fatal("no SUBACK came")
	}
	return token.Result()[filter]
}

func (d *paho3) wait(token mqtt.Token) {
	d.tb.Helper()
	if !token.WaitTimeout(patience) {
		d.tb.Fatal("no acknowledgement came")
	}
	must(d.tb, token.Error())
}

func (d *paho3) leave()           { d.client.Disconnect(250) }
func (d *paho3) assigned() string { return "" }

// paho5 is a client of MQTT 5.0.
type paho5 struct {
	inbox
	client *paho.Client
	ack    *paho.Connack
}

func connectPaho5(tb testing.TB, to target, h hello) (device, byte) {
	tb.Helper()
	d := &paho5{inbox: newInbox(tb)}
	d.client = paho.NewClient(paho.ClientConfig{
		Conn:          packets.NewThreadSafeConn(to.dial(tb)),
		PacketTimeout: patience,
		AuthHandler:   d,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			p := r.Packet
			d.messages <- message{topic: p.Topic, payload: string(p.Payload), qos: p.QoS, retain: p.Retain}
			return true, nil
		}},
		OnServerDisconnect: func(p *paho.Disconnect) {
			f := farewell{code: p.ReasonCode}
			if p.Properties != nil {
				f.reason = p.Properties.ReasonString
			}
			d.farewell <- f
		},
		OnClientError: func(error) { d.farewell <- farewell{} },
	})
	cp := &paho.Connect{
		ClientID: h.id, CleanStart: !h.keep || h.clean, KeepAlive: 30, Username: h.user, UsernameFlag: h.user != "",
		Password: []byte(h.password), PasswordFlag: h.password != "",
		Properties: &paho.ConnectProperties{AuthMethod: h.method, AuthData: []byte(h.data), RequestProblemInfo: true},
	}
	if h.keep {
		hour := uint32(3600)
		cp.Properties.SessionExpiryInterval = &hour
	}
	if h.will != nil {
		cp.WillMessage = &paho.WillMessage{Topic: h.will.topic, Payload: []byte(h.will.payload), QoS: h.will.qos, Retain: h.will.retain}
		cp.WillProperties = &paho.WillProperties{WillDelayInterval: &h.willDelay}
	}
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	ack, err := d.client.Connect(ctx, cp)
	if ack != nil && ack.ReasonCode != 0 {
		return nil, ack.ReasonCode
	}
	must(tb, err)
	d.ack = ack
	tb.Cleanup(func() { _ = d.client.Disconnect(&paho.Disconnect{}) })
	return d, 0
}

func (d *paho5) publish(m message) byte {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(d.tb.Context(), patience)
	defer cancel()
	answer, err := d.client.Publish(ctx, &paho.Publish{Topic: m.topic, Payload: []byte(m.payload), QoS: m.qos, Retain: m.retain})
	if answer != nil && answer.ReasonCode >= 0x80 {
		return answer.ReasonCode
	}
	must(d.tb, err)
	return 0
}

func (d *paho5) subscribe(qos byte, filter string) byte {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(d.tb.Context(), patience)
	defer cancel()
	ack, err := d.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}})
	if ack == nil {
		d.tb.Fatalf("no SUBACK came: %v", err)
	}
	return ack.Reasons[0]
}

// Authenticated and Authenticate make d a paho.Auther: all is said in CONNECT.
func (d *paho5) Authenticated() {}

func (d *paho5) Authenticate(*paho.Auth) *paho.Auth { return &paho.Auth{ReasonCode: 0x80} }

func (d *paho5) leave()           { _ = d.client.Disconnect(&paho.Disconnect{}) }
func (d *paho5) assigned() string { return d.ack.Properties.AssignedClientID }

// dial opens the byte stream for a library that leaves this to its user.
func (to target) dial(tb testing.TB) net.Conn {
	tb.Helper()
	u, err := url.Parse(to.url)
	must(tb, err)
	var conn net.Conn
	switch u.Scheme {
	case "mqtt":
		conn, err = net.DialTimeout("tcp", u.Host, patience)
	case "mqtts":
		conn, err = tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", u.Host, to.tls)
	default:
		return to.dialWebSocket(tb)
	}
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (to target) dialWebSocket(tb testing.TB) net.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	opts := &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPHeader: http.Header{}}
	if to.origin != "" {
		opts.HTTPHeader.Set("Origin", to.origin)
	}
	ws, _, err := websocket.Dial(ctx, to.url, opts)
	must(tb, err)
	tb.Cleanup(func() { _ = ws.CloseNow() })
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
}

// topicsOf names the topics of messages.
func topicsOf(messages []message) []string {
	names := make([]string, 0, len(messages))
	for _, m := range messages {
		names = append(names, m.topic)
	}
	return names
}

// expectOnly wants exactly these topics, in this order, before the marker.
func expectOnly(tb testing.TB, d device, marker string, want ...string) {
	tb.Helper()
	if got := topicsOf(d.until(marker)); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		tb.Errorf("messages on %q came before %q, want %q", got, marker, want)
	}
}

// name makes an ID for one of the clients of a test.
func name(parts ...any) string {
	text := fmt.Sprint(parts[0])
	for _, part := range parts[1:] {
		text += fmt.Sprint("-", part)
	}
	return text
}
