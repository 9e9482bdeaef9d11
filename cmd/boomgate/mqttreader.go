package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

const (
	mqttKeepAlive      = 30 // seconds
	mqttSessionExpiry  = 60 // seconds; long enough to come back with a fresh token
	mqttConnectTimeout = 10 * time.Second
	mqttGoodbye        = 2 * time.Second
	maxBackoff         = 30 * time.Second
)

// mqttReader reads messages over MQTT 5 in the name of a client, and comes back with a fresh token when the connection ends.
type mqttReader struct {
	broker       *url.URL
	clientID     string
	mqttClientID string
	tokens       func() (string, error)
	filters      []string
	qos          byte
	warn         func(text string)

	connected atomic.Bool // once at least
}

// read calls visit for every message until it wants no more, ctx ends (both are no error), or the broker or the token endpoint
// refuses. A server that cannot be reached is an error before the first connection, and waited for after it.
func (r *mqttReader) read(ctx context.Context, visit func(message) (more bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := make(chan message)
	failed := make(chan error, 1)
	manager, err := autopaho.NewConnection(ctx, r.config(ctx, messages, failed))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", r.broker.Host, err)
	}
	defer func() {
		goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), mqttGoodbye)
		defer cancel()
		_ = manager.Disconnect(goodbye) // what is left ends with the process
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case m := <-messages:
			if more, err := visit(m); err != nil || !more {
				return err
			}
		}
	}
}

// config wires the callbacks of autopaho to the two channels; none of them blocks longer than ctx lasts.
func (r *mqttReader) config(ctx context.Context, messages chan<- message, failed chan<- error) autopaho.ClientConfig {
	fail := func(err error) {
		select {
		case failed <- err:
		default: // the first failure is the one that is told
		}
	}
	return autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{r.broker},
		KeepAlive:                     mqttKeepAlive,
		CleanStartOnInitialConnection: true,
		SessionExpiryInterval:         mqttSessionExpiry,
		ConnectTimeout:                mqttConnectTimeout,
		ReconnectBackoff:              backoff,
		ConnectPacketBuilder:          r.connectPacket,
		DisconnectPacketBuilder:       disconnectPacket,
		OnConnectionUp: func(manager *autopaho.ConnectionManager, _ *paho.Connack) {
			r.connected.Store(true)
			go func() {
				if err := r.subscribe(ctx, manager); err != nil && ctx.Err() == nil {
					fail(err)
				}
			}()
		},
		OnConnectError: r.onConnectError(fail),
		ClientConfig: paho.ClientConfig{
			ClientID: r.mqttClientID,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				select {
				case messages <- newMessage(p.Packet.Topic, p.Packet.Payload, p.Packet.QoS, p.Packet.Retain, time.Now()):
				case <-ctx.Done():
				}
				return true, nil
			}},
			OnServerDisconnect: func(d *paho.Disconnect) { r.warn("the broker ended the connection: " + disconnectReason(d)) },
		},
	}
}

// connectPacket puts a fresh token into each CONNECT.
func (r *mqttReader) connectPacket(packet *paho.Connect, _ *url.URL) (*paho.Connect, error) {
	token, err := r.tokens()
	if err != nil {
		return nil, err
	}
	packet.UsernameFlag, packet.Username = true, r.clientID
	packet.PasswordFlag, packet.Password = true, []byte(token)
	return packet, nil
}

// disconnectPacket ends the session together with the connection: nobody comes back for it.
func disconnectPacket() *paho.Disconnect {
	atOnce := uint32(0)
	return &paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: &atOnce}}
}

// onConnectError gives up where trying again cannot help: refused, or never connected at all.
func (r *mqttReader) onConnectError(fail func(error)) func(error) {
	return func(err error) {
		err = r.explainConnect(err)
		if isRefused(err) || !r.connected.Load() {
			fail(err)
			return
		}
		r.warn(err.Error() + "; trying again")
	}
}

// explainConnect says what a failed attempt means.
func (r *mqttReader) explainConnect(err error) error {
	answer, ok := errors.AsType[*autopaho.ConnackError](err)
	if refused, ok := errors.AsType[hintedError](err); ok {
		return refused // of the token, before the broker was asked
	}
	if !ok {
		return withHint(err, "is the broker running (boomgate serve)? --broker names another")
	}
	switch answer.ReasonCode {
	case packets.ConnackBadUsernameOrPassword, packets.ConnackNotAuthorized, packets.ConnackInvalidClientID, packets.ConnackBanned:
		return withHint(fmt.Errorf("the broker refused %s as %s (reason code 0x%02X): %w", r.clientID, r.mqttClientID, answer.ReasonCode, errRefused),
			"the server's log says why")
	}
	return fmt.Errorf("the broker does not take the connection (reason code 0x%02X)", answer.ReasonCode)
}

// subscribe asks for every filter; retained messages are sent once, not again after a reconnect.
func (r *mqttReader) subscribe(ctx context.Context, manager *autopaho.ConnectionManager) error {
	packet := &paho.Subscribe{}
	for _, filter := range r.filters {
		packet.Subscriptions = append(packet.Subscriptions, paho.SubscribeOptions{Topic: filter, QoS: r.qos, RetainHandling: 1, RetainAsPublished: true})
	}
	answer, err := manager.Subscribe(ctx, packet)
	if answer == nil {
		if err != nil && ctx.Err() == nil {
			r.warn("subscribe: " + err.Error())
		}
		return nil // the connection ended meanwhile: the next one subscribes again
	}
	for i, code := range answer.Reasons {
		if code >= 0x80 && i < len(r.filters) {
			return withHint(fmt.Errorf("the broker refused the subscription %q (reason code 0x%02X): %w", r.filters[i], code, errRefused),
				"a filter has to lie inside one scope of the client; without FILTER all that it may is read")
		}
	}
	return nil
}

func disconnectReason(d *paho.Disconnect) string {
	text := fmt.Sprintf("reason code 0x%02X", d.ReasonCode)
	if d.Properties != nil && d.Properties.ReasonString != "" {
		text += ", " + d.Properties.ReasonString
	}
	return text
}

// backoff is the pause before an attempt: none before the first, then doubling up to maxBackoff.
func backoff(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	return min(250*time.Millisecond<<min(attempt-1, 10), maxBackoff)
}

// randomSuffix tells apart the sessions of one client.
func randomSuffix() string {
	var bytes [6]byte
	_, _ = rand.Read(bytes[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(bytes[:])
}
