package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
)

type subscribeOptions struct {
	conn         connection
	broker       string
	mqttClientID string
	qos          uint8
	count        int
	duration     time.Duration
	format       outputFormat
}

func newSubscribeCommand(a *app) *cobra.Command {
	var opts subscribeOptions
	cmd := &cobra.Command{
		Use:   "subscribe [FILTER...]",
		Short: "Read telemetry as a backend does",
		Long: `Connect over MQTT 5 with a credential's token, subscribe, and print each message as it arrives: topic
and payload, or a line of JSON with -o ndjson. Without FILTER it reads all that the credential may.

It fetches a fresh token and comes back when the connection ends, at the latest when the token does; the
broker keeps messages with QoS 1 and 2 meanwhile. It ends after --count messages, after --for, or when
interrupted. With both --count and --for, fewer messages than that are a failure.`,
		Example: `  boomgate subscribe --credential board.json
  boomgate subscribe --credential board.json 'parking/v1/+/+/state' -o ndjson
  boomgate subscribe --credential board.json 'parking/v1/north/+/state' --count 1 --for 10s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSubscribe(cmd.Context(), a, args, opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.conn.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&opts.broker, "broker", "", "`URL` of the broker: mqtt, mqtts, ws or wss (default: the one in the credential)")
	cmd.Flags().StringVar(&opts.mqttClientID, "mqtt-client-id", "", "MQTT client `ID` (default: the client's ID, ':' and a random suffix, so that several may run at once)")
	cmd.Flags().Uint8Var(&opts.qos, "qos", 1, "highest QoS of what is received: 0, 1 or 2")
	cmd.Flags().IntVar(&opts.count, "count", 0, "end after so many messages (0: go on)")
	cmd.Flags().DurationVar(&opts.duration, "for", 0, "end after this long, such as 10s (0: go on)")
	opts.format.addFlag(cmd)
	return cmd
}

func runSubscribe(ctx context.Context, a *app, filters []string, opts subscribeOptions) error {
	const command = "boomgate subscribe"
	switch {
	case opts.format == formatJSON:
		return usagef(command, "messages have no end: use -o ndjson, a line of JSON each")
	case opts.qos > 2:
		return usagef(command, "--qos %d: use 0, 1 or 2", opts.qos)
	case opts.count < 0 || opts.duration < 0:
		return usagef(command, "--count and --for cannot be negative")
	}
	cred, err := opts.conn.open(a)
	if err != nil {
		return err
	}
	reader, err := newReader(ctx, a, cred, filters, opts)
	if err != nil {
		return err
	}
	limited := ctx
	if opts.duration > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, opts.duration)
		defer cancel()
	}
	received := 0
	err = reader.read(limited, func(m message) (more bool, err error) {
		received++
		return opts.count == 0 || received < opts.count, printMessage(a, m, opts.format)
	})
	if err == nil && limited.Err() != nil && ctx.Err() == nil && received < opts.count {
		return fmt.Errorf("%d of %d messages after %v", received, opts.count, opts.duration)
	}
	return err
}

// newReader settles what to read, and where.
func newReader(ctx context.Context, a *app, cred Credential, filters []string, opts subscribeOptions) (*mqttReader, error) {
	broker, err := url.Parse(firstOf(opts.broker, cred.MQTTURL))
	if err != nil || broker.Host == "" {
		return nil, withHint(errors.New("the credential names no broker"), "give --broker, such as mqtt://127.0.0.1:1883")
	}
	tokens := func() (string, error) {
		token, err := tokenSource(ctx, cred, provisioning.AudienceMQTT, nil).Token()
		if err != nil {
			return "", explainReaderToken(cred, err)
		}
		return token.AccessToken, nil
	}
	if len(filters) == 0 {
		token, err := tokens()
		if err != nil {
			return nil, err
		}
		if filters, err = grantedFilters(token); err != nil {
			return nil, err
		}
	}
	return &mqttReader{
		broker: broker, clientID: cred.ClientID, tokens: tokens, filters: filters, qos: opts.qos,
		mqttClientID: firstOf(opts.mqttClientID, cred.ClientID+":"+randomSuffix()),
		warn:         func(text string) { fmt.Fprintf(a.stderr, "warning: %s\n", printable(text)) },
	}, nil
}

// explainReaderToken tells an operator's credential from one that can read telemetry.
func explainReaderToken(cred Credential, err error) error {
	err = explainTokenError(cred, err)
	var client struct {
		Kind string `json:"kind"`
	}
	_ = json.Unmarshal(cred.Client, &client)
	if cred.ClientID == "root" || client.Kind == operators.singular {
		return hintedError{error: err, hint: "operators read no telemetry: make a service that does " +
			"(boomgate services create --role telemetry-reader --output-file board.json) and name its credential with --credential"}
	}
	return err
}

// grantedFilters lists the topic filters that a token may subscribe.
func grantedFilters(token string) ([]string, error) {
	_, text, err := splitToken(token)
	if err != nil {
		return nil, err
	}
	var claims struct {
		Scopes []string `json:"scp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, fmt.Errorf("read the token's scopes: %w", err)
	}
	var filters []string
	for _, text := range claims.Scopes {
		if scope, err := topicacl.ParseScope(text); err == nil && scope.Action == topicacl.ActionSubscribe {
			filters = append(filters, scope.Filter)
		}
	}
	if len(filters) == 0 {
		return nil, withHint(fmt.Errorf("the credential may subscribe to nothing: %w", errRefused), "boomgate services show tells what it may do")
	}
	return filters, nil
}

// message is one message as it arrived.
type message struct {
	Topic      string          `json:"topic"`
	Payload    json.RawMessage `json:"payload"` // JSON as it is, other text as a string, other bytes as base64 with encoding
	Encoding   string          `json:"encoding,omitempty"`
	QoS        byte            `json:"qos"`
	Retained   bool            `json:"retained"`
	ReceivedAt time.Time       `json:"received_at"`

	raw []byte
}

func newMessage(topic string, payload []byte, qos byte, retained bool, now time.Time) message {
	m := message{Topic: topic, QoS: qos, Retained: retained, ReceivedAt: now.UTC(), raw: payload}
	switch {
	case json.Valid(payload):
		m.Payload = payload
	case utf8.Valid(payload):
		m.Payload, _ = json.Marshal(string(payload))
	default:
		m.Payload, _ = json.Marshal(payload)
		m.Encoding = "base64"
	}
	return m
}

// printMessage prints a message for a person or a program. Devices chose topic and payload: nothing of them reaches a terminal raw.
func printMessage(a *app, m message, format outputFormat) error {
	if format.machine() {
		return format.one(a.stdout, m)
	}
	payload := strings.ToValidUTF8(string(m.raw), "\uFFFD")
	_, err := fmt.Fprintf(a.stdout, "%s %s\n", printable(m.Topic), printable(payload))
	return err
}
