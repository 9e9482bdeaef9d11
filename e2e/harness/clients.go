package harness

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

// Device is a connected client as people use it: paho.mqtt.golang for MQTT 3.1.1, paho.golang for 5.0.
type Device interface {
	// publish returns the reason code that the server answers, 0 where there is none.
	Publish(m Message) byte
	// subscribe returns the reason code or return code for the filter.
	Subscribe(qos byte, filter string) byte
	// until returns the messages that come before the one on the marker topic.
	Until(marker string) []Message
	// closed waits until the server has closed the connection, and returns what it said.
	Closed() Farewell
	// leave ends the connection in order.
	Leave()
	// assigned is the MQTT client ID that the server has assigned, as far as the protocol says.
	Assigned() string
}

// Farewell is what a server says when it closes a connection: in 3.1.1 nothing.
type Farewell struct {
	Code   byte
	Reason string
}

// ConnectFunc connects a client to a URL. Unless it is let in there is no device, but a code.
type ConnectFunc func(tb testing.TB, to Target, h Hello) (Device, byte)

// Target is where a client connects to, and how.
type Target struct {
	URL    string // mqtt:, mqtts:, ws: or wss:
	tls    *tls.Config
	Origin string // of a page, for ws
}

// EachClient runs a test with the client library of each version.
func EachClient(t *testing.T, test func(t *testing.T, version byte, connect ConnectFunc)) {
	t.Helper()
	t.Run("paho.mqtt.golang", func(t *testing.T) { test(t, 4, ConnectPaho3) })
	t.Run("paho.golang", func(t *testing.T) { test(t, 5, ConnectPaho5) })
}

// TCP is the server's MQTT address as a target.
func (s *Server) TCP() Target { return Target{URL: "mqtt://" + s.MQTT} }

// MustConnect connects a client that must be let in.
func MustConnect(tb testing.TB, connect ConnectFunc, to Target, h Hello) Device {
	tb.Helper()
	d, code := connect(tb, to, h)
	if code != 0 {
		tb.Fatalf("%q was refused with 0x%02x", h.ID, code)
	}
	return d
}

// inbox collects what a client receives.
type inbox struct {
	tb       testing.TB
	messages chan Message
	farewell chan Farewell
}

func newInbox(tb testing.TB) inbox {
	tb.Helper()
	return inbox{tb: tb, messages: make(chan Message, 4096), farewell: make(chan Farewell, 4)}
}

func (i inbox) Until(marker string) []Message {
	i.tb.Helper()
	var before []Message
	late := time.After(Patience)
	for {
		select {
		case m := <-i.messages:
			if m.Topic == marker {
				return before
			}
			before = append(before, m)
		case <-late:
			i.tb.Fatalf("no message came on %q, but %v", marker, before)
		}
	}
}

func (i inbox) Closed() Farewell {
	i.tb.Helper()
	select {
	case f := <-i.farewell:
		return f
	case <-time.After(Patience):
		i.tb.Fatal("the server did not close the connection")
		return Farewell{}
	}
}

// paho3 is a client of MQTT 3.1.1.
type paho3 struct {
	inbox
	client mqtt.Client
}

// ConnectPaho3 is a ConnectFunc for MQTT 3.1.1.
func ConnectPaho3(tb testing.TB, to Target, h Hello) (Device, byte) {
	tb.Helper()
	d := &paho3{inbox: newInbox(tb)}
	opts := mqtt.NewClientOptions().AddBroker(to.URL).SetTLSConfig(to.tls).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(Patience).
		SetClientID(h.ID).SetUsername(h.User).SetPassword(h.Password).SetCleanSession(!h.Keep).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			d.messages <- Message{Topic: m.Topic(), Payload: string(m.Payload()), QoS: m.Qos(), Retain: m.Retained()}
		}).
		SetConnectionLostHandler(func(mqtt.Client, error) { d.farewell <- Farewell{} })
	if h.User == "" { // the library sends no password without a user name
		opts.SetUsername("any")
	}
	if to.Origin != "" {
		opts.SetHTTPHeaders(http.Header{"Origin": {to.Origin}})
	}
	if h.Will != nil {
		opts.SetWill(h.Will.Topic, h.Will.Payload, h.Will.QoS, h.Will.Retain)
	}
	d.client = mqtt.NewClient(opts)
	token, ok := d.client.Connect().(*mqtt.ConnectToken)
	if !ok || !token.WaitTimeout(Patience) {
		tb.Fatal("no CONNACK came")
	}
	if code := token.ReturnCode(); code != 0 {
		return nil, code
	}
	Must(tb, token.Error())
	tb.Cleanup(func() { d.client.Disconnect(0) })
	return d, 0
}

func (d *paho3) Publish(m Message) byte {
	d.tb.Helper()
	d.Wait(d.client.Publish(m.Topic, m.QoS, m.Retain, m.Payload))
	return 0
}

func (d *paho3) Subscribe(qos byte, filter string) byte {
	d.tb.Helper()
	token, _ := d.client.Subscribe(filter, qos, nil).(*mqtt.SubscribeToken)
	if !token.WaitTimeout(Patience) {
		d.tb.Fatal("no SUBACK came")
	}
	return token.Result()[filter]
}

func (d *paho3) Wait(token mqtt.Token) {
	d.tb.Helper()
	if !token.WaitTimeout(Patience) {
		d.tb.Fatal("no acknowledgement came")
	}
	Must(d.tb, token.Error())
}

func (d *paho3) Leave()           { d.client.Disconnect(250) }
func (d *paho3) Assigned() string { return "" }

// Paho5 is a client of MQTT 5.0.
type Paho5 struct {
	inbox
	client *paho.Client
	Ack    *paho.Connack
}

// ConnectPaho5 is a ConnectFunc for MQTT 5.0.
func ConnectPaho5(tb testing.TB, to Target, h Hello) (Device, byte) {
	tb.Helper()
	d := &Paho5{inbox: newInbox(tb)}
	d.client = paho.NewClient(paho.ClientConfig{
		Conn:          packets.NewThreadSafeConn(to.dial(tb)),
		PacketTimeout: Patience,
		AuthHandler:   d,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			p := r.Packet
			d.messages <- Message{Topic: p.Topic, Payload: string(p.Payload), QoS: p.QoS, Retain: p.Retain}
			return true, nil
		}},
		OnServerDisconnect: func(p *paho.Disconnect) {
			f := Farewell{Code: p.ReasonCode}
			if p.Properties != nil {
				f.Reason = p.Properties.ReasonString
			}
			d.farewell <- f
		},
		OnClientError: func(error) { d.farewell <- Farewell{} },
	})
	cp := &paho.Connect{
		ClientID: h.ID, CleanStart: !h.Keep || h.Clean, KeepAlive: 30, Username: h.User, UsernameFlag: h.User != "",
		Password: []byte(h.Password), PasswordFlag: h.Password != "",
		Properties: &paho.ConnectProperties{AuthMethod: h.Method, AuthData: []byte(h.Data), RequestProblemInfo: true},
	}
	if h.Keep {
		hour := uint32(3600)
		cp.Properties.SessionExpiryInterval = &hour
	}
	if h.Will != nil {
		cp.WillMessage = &paho.WillMessage{Topic: h.Will.Topic, Payload: []byte(h.Will.Payload), QoS: h.Will.QoS, Retain: h.Will.Retain}
		cp.WillProperties = &paho.WillProperties{WillDelayInterval: &h.WillDelay}
	}
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	ack, err := d.client.Connect(ctx, cp)
	if ack != nil && ack.ReasonCode != 0 {
		return nil, ack.ReasonCode
	}
	Must(tb, err)
	d.Ack = ack
	tb.Cleanup(func() { _ = d.client.Disconnect(&paho.Disconnect{}) })
	return d, 0
}

// Publish publishes a message and returns the reason code of its acknowledgement.
func (d *Paho5) Publish(m Message) byte {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(d.tb.Context(), Patience)
	defer cancel()
	answer, err := d.client.Publish(ctx, &paho.Publish{Topic: m.Topic, Payload: []byte(m.Payload), QoS: m.QoS, Retain: m.Retain})
	if answer != nil && answer.ReasonCode >= 0x80 {
		return answer.ReasonCode
	}
	Must(d.tb, err)
	return 0
}

// Subscribe subscribes to a filter and returns the reason code.
func (d *Paho5) Subscribe(qos byte, filter string) byte {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(d.tb.Context(), Patience)
	defer cancel()
	ack, err := d.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}})
	if ack == nil {
		d.tb.Fatalf("no SUBACK came: %v", err)
	}
	return ack.Reasons[0]
}

// Authenticated and Authenticate make d a paho.Auther: all is said in CONNECT.
func (d *Paho5) Authenticated() {}

// Authenticate answers nothing: the server starts no exchange of its own.
func (d *Paho5) Authenticate(*paho.Auth) *paho.Auth { return &paho.Auth{ReasonCode: 0x80} }

// Leave ends the connection in order.
func (d *Paho5) Leave() { _ = d.client.Disconnect(&paho.Disconnect{}) }

// Assigned is the MQTT client ID that the server has assigned.
func (d *Paho5) Assigned() string { return d.Ack.Properties.AssignedClientID }

// Dial opens the byte stream for a library that leaves this to its user.
func (to Target) dial(tb testing.TB) net.Conn {
	tb.Helper()
	u, err := url.Parse(to.URL)
	Must(tb, err)
	var conn net.Conn
	switch u.Scheme {
	case "mqtt":
		conn, err = net.DialTimeout("tcp", u.Host, Patience)
	case "mqtts":
		conn, err = tls.DialWithDialer(&net.Dialer{Timeout: Patience}, "tcp", u.Host, to.tls)
	default:
		return to.dialWebSocket(tb)
	}
	Must(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (to Target) dialWebSocket(tb testing.TB) net.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	opts := &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPHeader: http.Header{}}
	if to.Origin != "" {
		opts.HTTPHeader.Set("Origin", to.Origin)
	}
	if to.tls != nil {
		opts.HTTPClient = newHTTPS(tb, to.tls)
	}
	ws, _, err := websocket.Dial(ctx, to.URL, opts)
	Must(tb, err)
	tb.Cleanup(func() { _ = ws.CloseNow() })
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
}

// topicsOf names the topics of messages.
func topicsOf(messages []Message) []string {
	names := make([]string, 0, len(messages))
	for _, m := range messages {
		names = append(names, m.Topic)
	}
	return names
}

// ExpectOnly wants exactly these topics, in this order, before the marker.
func ExpectOnly(tb testing.TB, d Device, marker string, want ...string) {
	tb.Helper()
	if got := topicsOf(d.Until(marker)); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		tb.Errorf("messages on %q came before %q, want %q", got, marker, want)
	}
}

// Name makes an ID for one of the clients of a test.
func Name(parts ...any) string {
	text := fmt.Sprint(parts[0])
	for _, part := range parts[1:] {
		text += fmt.Sprint("-", part)
	}
	return text
}
