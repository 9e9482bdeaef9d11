package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/boomgate/boomgate/provisioning"
)

// connectPatience bounds each step of the demo's own connections.
const connectPatience = 10 * time.Second

// demoReader is the backend service of the demo: it reads what the sensors say, with its own credential.
type demoReader struct {
	client mqtt.Client
}

// openDemoReader gets a token, connects and subscribes; every message goes to the lot.
func openDemoReader(ctx context.Context, p *Program, cred Credential, l *lot) (*demoReader, error) {
	cred.TokenEndpoint = p.tokenEndpoint()
	token, err := tokenSource(ctx, cred, provisioning.AudienceMQTT, nil).Token()
	if err != nil {
		return nil, explainTokenError(cred, err)
	}
	client, err := connectMQTT(p.BrokerURL(), cred.ClientID, token.AccessToken)
	if err != nil {
		return nil, fmt.Errorf("connect the reader: %w", err)
	}
	hear := func(_ mqtt.Client, m mqtt.Message) { l.hear(m.Topic(), m.Payload(), time.Now()) }
	filters := map[string]byte{}
	for _, name := range []string{"state", "health", "info", "$state"} {
		filters["parking/v1/"+demoSite+"/+/"+name] = 1
	}
	if err := settle(client.SubscribeMultiple(filters, hear)); err != nil {
		client.Disconnect(0)
		return nil, fmt.Errorf("subscribe the reader: %w", err)
	}
	return &demoReader{client}, nil
}

func (r *demoReader) close() { r.client.Disconnect(250) }

// connectMQTT opens one MQTT 3.1.1 connection that is not renewed: the token is the password.
func connectMQTT(brokerURL, clientID, token string) (mqtt.Client, error) {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return nil, fmt.Errorf("broker URL: %w", err)
	}
	u.Scheme = map[string]string{"mqtt": "tcp", "mqtts": "ssl"}[u.Scheme]
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(u.String()).
		SetClientID(clientID).SetUsername(clientID).SetPassword(token).SetProtocolVersion(4).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectTimeout(connectPatience).SetOrderMatters(false))
	return client, settle(client.Connect())
}

// settle waits for an operation's end.
func settle(t mqtt.Token) error {
	if !t.WaitTimeout(connectPatience) {
		return fmt.Errorf("no answer in %v", connectPatience)
	}
	return t.Error()
}
