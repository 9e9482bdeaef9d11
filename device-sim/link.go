package devicesim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// How long a sensor waits for the broker.
const (
	connectTimeout = 10 * time.Second // from the first packet of the transport to the CONNACK
	writeTimeout   = 5 * time.Second
	pingTimeout    = 10 * time.Second
	answerTimeout  = 20 * time.Second // for a PUBACK or SUBACK
	closeTimeout   = time.Second      // for a DISCONNECT to leave
)

// link is one MQTT 3.1.1 connection. paho reconnects by itself only with the options it began with; a link therefore lives once,
// and the sensor opens the next one, with a token of its time.
type link struct {
	client  mqtt.Client
	line    *line
	lost    chan struct{} // closed when the connection has broken
	resumed bool          // the broker still had the session
}

// greeting is what a link is opened with.
type greeting struct {
	clientID string
	password string
	willTo   string // topic of the will
	incoming func(topic string, payload []byte, retained bool)
}

// openLink connects. The session outlives the connection, so that commands which are sent while the sensor renews its token, or is
// out of reach, still arrive. Errors are setbacks, or the context's.
func openLink(ctx context.Context, c *Config, broker *url.URL, g greeting) (*link, error) {
	l := &link{lost: make(chan struct{})}
	unwatch := func() bool { return true }
	o := mqtt.NewClientOptions().
		SetProtocolVersion(4). // and no second attempt with MQTT 3.1
		SetClientID(g.clientID).SetUsername(g.clientID).SetPassword(g.password).
		SetCleanSession(false).SetAutoReconnect(false).
		SetKeepAlive(c.KeepAlive).SetPingTimeout(pingTimeout).
		SetConnectTimeout(connectTimeout).SetWriteTimeout(writeTimeout).
		SetWill(g.willTo, StateLost, 1, true).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { g.incoming(m.Topic(), m.Payload(), m.Retained()) }).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(l.lost) }).
		SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conn, err := dial(ctx, c, u)
			if err != nil {
				return nil, err
			}
			l.line = &line{Conn: conn}
			unwatch = context.AfterFunc(ctx, l.line.sever) // while connecting, cancelling means hanging up
			return l.line, nil
		})
	o.Servers = []*url.URL{broker}
	l.client = mqtt.NewClient(o)

	connected, ok := l.client.Connect().(*mqtt.ConnectToken)
	if !ok {
		return nil, &setback{cause: causeUnreachable, err: errors.New("paho gave a token of another kind")}
	}
	<-connected.Done() // connectTimeout and the context see to it
	unwatch()
	if err := connected.Error(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connecting: %w", ctx.Err())
		}
		return nil, connectSetback(connected.ReturnCode(), err)
	}
	l.resumed = connected.SessionPresent()
	return l, nil
}

func connectSetback(code byte, err error) error {
	switch code {
	case packets.ErrRefusedIDRejected:
		return &setback{cause: causeIdentifier}
	case packets.ErrRefusedServerUnavailable:
		return &setback{cause: causeUnavailable}
	case packets.ErrRefusedBadUsernameOrPassword:
		return &setback{cause: causeToken}
	case packets.ErrRefusedNotAuthorised:
		return &setback{cause: causeNotAllowed}
	default:
		return &setback{cause: causeUnreachable, err: err}
	}
}

// publish sends a message and waits for what its QoS promises. Errors are setbacks, or the context's.
func (l *link) publish(ctx context.Context, topic string, m message) error {
	return l.wait(ctx, l.client.Publish(topic, m.qos, m.retain, m.payload))
}

// subscribe asks for the filter at QoS 1; false when the broker refuses it. Errors are setbacks, or the context's.
func (l *link) subscribe(ctx context.Context, filter string) (bool, error) {
	const refused = 0x80 // MQTT 3.1.1 §3.9.3
	asked := l.client.Subscribe(filter, 1, nil)
	if err := l.wait(ctx, asked); err != nil {
		return false, err
	}
	granted, ok := asked.(*mqtt.SubscribeToken)
	return ok && granted.Result()[filter] != refused, nil
}

func (l *link) wait(ctx context.Context, t mqtt.Token) error {
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return &setback{cause: causeBroken, err: err}
		}
		return nil
	case <-l.lost:
		return &setback{cause: causeBroken}
	case <-timer.C:
		return &setback{cause: causeSilent}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close says DISCONNECT, so that the broker forgets the will, and hangs up.
func (l *link) close() {
	l.client.Disconnect(uint(closeTimeout / time.Millisecond))
	l.line.sever() // if the DISCONNECT did not leave in time
}

// drop hangs up without a word, so that the broker publishes the will.
func (l *link) drop() {
	l.line.sever()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-l.lost:
	case <-timer.C:
	}
}
