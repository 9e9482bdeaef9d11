package devicesim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// issuer is a token endpoint that knows the secret of every client: "secret-of-" and its ID.
type issuer struct {
	life time.Duration // of its tokens

	mu       sync.Mutex
	down     bool
	disabled map[string]bool
	requests []time.Time
	tokens   map[string]issued
}

type issued struct {
	client  string
	expires time.Time
}

func newIssuer(life time.Duration) *issuer {
	return &issuer{life: life, disabled: map[string]bool{}, tokens: map[string]issued{}}
}

// ServeHTTP answers a token request: RFC 6749 §4.4.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = append(i.requests, time.Now())
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case i.down:
		http.Error(w, "{}", http.StatusServiceUnavailable)
	case r.FormValue("grant_type") != "client_credentials" || r.FormValue("audience") != "boomgate:mqtt":
		http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
	case secret != "secret-of-"+id || i.disabled[id]:
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
	default:
		text := fmt.Sprintf("token-%d-of-%s", len(i.tokens), id)
		i.tokens[text] = issued{client: id, expires: time.Now().Add(i.life)}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": text, "token_type": "Bearer", "expires_in": int(i.life / time.Second),
		})
	}
}

// owner gives the client whose token the text is, if it is one that has not expired.
func (i *issuer) owner(text string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if t, ok := i.tokens[text]; ok && time.Now().Before(t.expires) {
		return t.client
	}
	return ""
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// asked gives the times of all requests.
func (i *issuer) asked() []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]time.Time(nil), i.requests...)
}

// RoundTrip lets the issuer be asked without a network.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	i.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// broker is a real MQTT server that admits who presents a living token of the issuer, to their own topics only.
type broker struct {
	mqtt.HookBase

	server *mqtt.Server
	tokens *issuer

	mu       sync.Mutex
	refuse   bool    // every CONNECT
	deaf     bool    // dialing fails
	moved    *broker // dialing reaches this one instead
	dialed   int
	conns    []net.Conn
	connects []connect
	heard    []heard
	news     chan struct{} // closed and replaced with every message
}

// connect is a CONNECT that the broker has read.
type connect struct {
	client, user, password string
	clean, admitted        bool
	keepalive              uint16
	willTopic, will        string
	willQoS                byte
	willRetained           bool
}

// heard is a message that went through the broker.
type heard struct {
	at             time.Time
	topic, payload string
	qos            byte
	retain         bool
}

// newBroker starts a broker; it is closed at the end of the test.
func newBroker(tb testing.TB, tokens *issuer) *broker {
	tb.Helper()

	b := &broker{tokens: tokens, news: make(chan struct{})}
	b.server = mqtt.New(&mqtt.Options{
		InlineClient: true, Logger: slog.New(slog.DiscardHandler), SysTopicResendInterval: 24 * 3600,
	})
	if err := b.server.AddHook(b, nil); err != nil {
		tb.Fatalf("adding the hook: %v", err)
	}
	if err := b.server.Subscribe("parking/#", 1, b.hear); err != nil {
		tb.Fatalf("listening to all topics: %v", err)
	}
	return b
}

func (b *broker) start(tb testing.TB) {
	tb.Helper()

	if err := b.server.Serve(); err != nil {
		tb.Fatalf("starting the broker: %v", err)
	}
	tb.Cleanup(func() { b.stop(tb) })
}

func (b *broker) stop(tb testing.TB) {
	tb.Helper()

	b.cut()
	if err := b.server.Close(); err != nil {
		tb.Errorf("stopping the broker: %v", err)
	}
}

// cut breaks every connection that was made through dial.
func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.conns {
		conn.Close()
	}
	b.conns = nil
}

// dial connects to the broker without a network.
func (b *broker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dialed++
	if b.deaf {
		return nil, errors.New("nobody listens")
	}
	if b.moved != nil {
		return b.moved.dial(ctx, network, address)
	}
	near, far := wire()
	b.conns = append(b.conns, far)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = b.server.EstablishConnection("pipe", far)
	}()
	return &polite{Conn: near, served: served}, nil
}

// polite is a connection whose Close returns when the server is done with it. A client that came back sooner could be let in before the
// server has read its DISCONNECT, and the server would publish its will.
type polite struct {
	net.Conn

	served <-chan struct{}
}

func (p *polite) Close() error {
	err := p.Conn.Close()
	<-p.served
	return err
}

func (b *broker) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *broker) ID() string { return "test" }

func (b *broker) Provides(hook byte) bool {
	return hook == mqtt.OnConnectAuthenticate || hook == mqtt.OnACLCheck
}

func (b *broker) OnConnectAuthenticate(_ *mqtt.Client, pk packets.Packet) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := pk.Connect
	owner := b.tokens.owner(string(c.Password))
	admitted := owner != "" && owner == c.ClientIdentifier && owner == string(c.Username) && !b.refuse
	b.connects = append(b.connects, connect{
		client: c.ClientIdentifier, user: string(c.Username), password: string(c.Password),
		clean: c.Clean, admitted: admitted, keepalive: c.Keepalive,
		willTopic: c.WillTopic, will: string(c.WillPayload), willQoS: c.WillQos, willRetained: c.WillRetain,
	})
	return admitted
}

func (b *broker) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	rest, own := strings.CutPrefix(topic, "parking/v1/north/"+cl.ID+"/")
	kind, _, _ := strings.Cut(rest, "/")
	switch {
	case cl.ID == mqtt.InlineClientId:
		return true
	case write:
		return own && slices.Contains([]string{"state", "health", "info", "$state", "ack"}, kind)
	default:
		return own && kind == "cmd"
	}
}

func (b *broker) hear(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, heard{
		at: time.Now(), topic: strings.Clone(pk.TopicName), payload: string(pk.Payload),
		qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain,
	})
	close(b.news)
	b.news = make(chan struct{})
}

// messages gives what was heard on the device's topic, in order.
func (b *broker) messages(device, topic string) []heard {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.matching(device, topic)
}

func (b *broker) matching(device, topic string) []heard {
	var found []heard
	for _, h := range b.heard {
		if h.topic == "parking/v1/north/"+device+"/"+topic {
			found = append(found, h)
		}
	}
	return found
}

// await waits for the n-th message on the device's topic.
func (b *broker) await(ctx context.Context, tb testing.TB, device, topic string, n int) heard {
	tb.Helper()

	for {
		b.mu.Lock()
		found, news := b.matching(device, topic), b.news
		b.mu.Unlock()
		if len(found) >= n {
			return found[n-1]
		}
		select {
		case <-news:
		case <-ctx.Done():
			tb.Fatalf("%d messages on %s of %s, want %d", len(found), topic, device, n)
		}
	}
}

// command sends a command to the device.
func (b *broker) command(tb testing.TB, device, name, payload string, retain bool) {
	tb.Helper()

	if err := b.server.Publish("parking/v1/north/"+device+"/cmd/"+name, []byte(payload), retain, 1); err != nil {
		tb.Fatalf("sending a command: %v", err)
	}
}

func (b *broker) attempts() []connect {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]connect(nil), b.connects...)
}

// decode reads a payload strictly: what the type does not know is a fault.
func decode[T any](tb testing.TB, payload string) T {
	tb.Helper()

	var value T
	decoder := json.NewDecoder(strings.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		tb.Fatalf("%s: %v", payload, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		tb.Fatalf("%s: something follows", payload)
	}
	return value
}
