package devicesim_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/mochi-mqtt/server/v2/listeners"

	devicesim "github.com/boomgate/boomgate/device-sim"
	"github.com/boomgate/boomgate/device-sim/parking"
)

// patience is how long a test on real sockets waits for what should happen at once.
const patience = 20 * time.Second

// tracked is a listener that knows its connections, so that they can be broken.
type tracked struct {
	net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

// listen opens a TCP port, with TLS when there is a configuration.
func listen(tb testing.TB, address string, secure *tls.Config) *tracked {
	tb.Helper()

	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatalf("listening: %v", err)
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return &tracked{Listener: l}
}

func (l *tracked) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, conn)
		l.mu.Unlock()
	}
	return conn, err
}

func (l *tracked) breakAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// brokerOn starts a broker on the listener.
func brokerOn(tb testing.TB, tokens *issuer, l net.Listener) *broker {
	tb.Helper()

	b := newBroker(tb, tokens)
	if err := b.server.AddListener(listeners.NewNet("net", l)); err != nil {
		tb.Fatalf("adding the listener: %v", err)
	}
	if err := b.server.Serve(); err != nil {
		tb.Fatalf("starting the broker: %v", err)
	}
	return b
}

// run runs a fleet against real servers and gives the channel of its events. It is stopped at the end of the test.
func run(tb testing.TB, cfg devicesim.Config) (*devicesim.Fleet, <-chan devicesim.Event) {
	tb.Helper()

	events := make(chan devicesim.Event, 10_000)
	cfg.Observe = func(e devicesim.Event) { events <- e }
	cfg.Site, cfg.Seed, cfg.Faults = site, 1, &parking.Faults{}
	cfg.Retry = devicesim.Retry{First: 20 * time.Millisecond, Most: 100 * time.Millisecond}
	fleet, err := devicesim.New(cfg)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	return fleet, events
}

// next waits for n events of the kind.
func next(ctx context.Context, tb testing.TB, events <-chan devicesim.Event, kind devicesim.Kind, n int) {
	tb.Helper()

	var others []devicesim.Kind
	for found := 0; found < n; {
		select {
		case e := <-events:
			if e.Kind == kind {
				found++
			} else {
				others = append(others, e.Kind)
			}
		case <-ctx.Done():
			tb.Fatalf("%d of %d sensors were %s; meanwhile: %v", found, n, kind, others)
		}
	}
}

func TestAFleetComesBackAfterARestartOfTheBroker(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const count = 20
	tokens := newIssuer(time.Hour)
	endpoint := httptest.NewServer(tokens)
	t.Cleanup(endpoint.Close)
	port := listen(t, "127.0.0.1:0", nil)
	address := port.Addr().String()
	first := brokerOn(t, tokens, port)
	list := sensors(count)
	fleet, events := run(t, devicesim.Config{
		TokenURL: endpoint.URL, BrokerURL: "mqtt://" + address, Sensors: list, ConnectRate: 1000,
	})
	next(ctx, t, events, devicesim.Connected, count)
	for _, s := range list {
		first.await(ctx, t, s.ClientID, "state", 1)
	}

	first.stop(t)
	next(ctx, t, events, devicesim.Lost, count)
	next(ctx, t, events, devicesim.Failed, count)
	second := brokerOn(t, tokens, listen(t, address, nil))
	t.Cleanup(func() { second.stop(t) })
	next(ctx, t, events, devicesim.Connected, count)

	for _, s := range list {
		if got := second.await(ctx, t, s.ClientID, "state", 1); decode[devicesim.State](t, got.payload).Why != devicesim.WhyResync {
			t.Errorf("%s told the new broker %s, want why=resync", s.ClientID, got.payload)
		}
	}
	if stats := fleet.Stats(); stats.Connected != count || stats.TokenRequests != count {
		t.Errorf("Stats = %+v, want all connected, each still with its first token", stats)
	}
}

func TestABrokenConnectionLeavesTheWillOnRealSockets(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tokens := newIssuer(time.Hour)
	endpoint := httptest.NewServer(tokens)
	t.Cleanup(endpoint.Close)
	port := listen(t, "127.0.0.1:0", nil)
	b := brokerOn(t, tokens, port)
	t.Cleanup(func() { b.stop(t) })
	_, events := run(t, devicesim.Config{
		TokenURL: endpoint.URL, BrokerURL: "tcp://" + port.Addr().String(), Sensors: sensors(1),
	})
	next(ctx, t, events, devicesim.Connected, 1)
	port.breakAll()

	for n, want := range []string{"ready", "lost", "ready"} {
		if got := b.await(ctx, t, "sensor-0", "$state", n+1); got.payload != want || !got.retain || got.qos != 1 {
			t.Errorf("$state number %d is %+v, want %s, retained, QoS 1", n, got, want)
		}
	}
}

func TestShortLivedTokensAreRenewedOnRealSockets(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const count = 3
	tokens := newIssuer(2 * time.Second)
	endpoint := httptest.NewServer(tokens)
	t.Cleanup(endpoint.Close)
	port := listen(t, "127.0.0.1:0", nil)
	b := brokerOn(t, tokens, port)
	t.Cleanup(func() { b.stop(t) })
	fleet, events := run(t, devicesim.Config{
		TokenURL: endpoint.URL, BrokerURL: "mqtt://" + port.Addr().String(), Sensors: sensors(count),
	})
	next(ctx, t, events, devicesim.Renewed, count)

	for _, s := range sensors(count) {
		b.await(ctx, t, s.ClientID, "$state", 2)
		for _, said := range b.messages(s.ClientID, "$state") {
			if said.payload != "ready" {
				t.Errorf("%s said %s while it renewed its token", s.ClientID, said.payload)
			}
		}
	}
	if stats := fleet.Stats(); stats.Losses != 0 || stats.Renewals < count {
		t.Errorf("Stats = %+v, want renewals and no losses", stats)
	}
}

func TestTokensAndMessagesTravelUnderTLS(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tokens := newIssuer(time.Hour)
	endpoint := httptest.NewUnstartedServer(tokens)
	endpoint.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it will complain of the doubters
	endpoint.StartTLS()
	t.Cleanup(endpoint.Close)
	port := listen(t, "127.0.0.1:0", &tls.Config{Certificates: endpoint.TLS.Certificates})
	b := brokerOn(t, tokens, port)
	t.Cleanup(func() { b.stop(t) })
	trusting := endpoint.Client().Transport.(*http.Transport).TLSClientConfig
	base := devicesim.Config{
		TokenURL: endpoint.URL, BrokerURL: "mqtts://" + port.Addr().String(), Sensors: sensors(1), TLS: trusting,
	}
	_, events := run(t, base)
	next(ctx, t, events, devicesim.Connected, 1)

	base.TLS = nil // knows nothing of the test's certificate
	_, doubting := run(t, base)
	next(ctx, t, doubting, devicesim.Failed, 1)
	base.HTTPClient = endpoint.Client()
	_, doubting = run(t, base)
	next(ctx, t, doubting, devicesim.Failed, 1)
}

func TestASensorConnectsOverAWebSocket(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tokens := newIssuer(time.Hour)
	endpoint := httptest.NewServer(tokens)
	t.Cleanup(endpoint.Close)
	b := newBroker(t, tokens)
	b.start(t)
	socket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err == nil && conn.Subprotocol() == "mqtt" {
			_ = b.server.EstablishConnection("ws", websocket.NetConn(r.Context(), conn, websocket.MessageBinary))
		}
	}))
	t.Cleanup(socket.Close)
	_, events := run(t, devicesim.Config{
		TokenURL: endpoint.URL, BrokerURL: "ws" + strings.TrimPrefix(socket.URL, "http") + "/mqtt", Sensors: sensors(1),
	})
	next(ctx, t, events, devicesim.Connected, 1)
	if got := b.await(ctx, t, "sensor-0", "$state", 1); got.payload != "ready" {
		t.Errorf("$state is %s, want ready", got.payload)
	}
}

func TestATokenEndpointThatRedirectsIsNotFollowed(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	elsewhere := newIssuer(time.Hour)
	thief := httptest.NewServer(elsewhere)
	t.Cleanup(thief.Close)
	endpoint := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(endpoint.Close)
	_, events := run(t, devicesim.Config{
		TokenURL: endpoint.URL, BrokerURL: "mqtt://127.0.0.1:1", Sensors: sensors(1),
	})
	next(ctx, t, events, devicesim.Failed, 2)
	if asked := elsewhere.asked(); len(asked) != 0 {
		t.Errorf("%d requests with the credential arrived elsewhere", len(asked))
	}
}

func TestCredentialsHideTheirSecretsFromLogs(t *testing.T) {
	t.Parallel()

	if got := sensors(1)[0].LogValue().String(); strings.Contains(got, "secret") || !strings.Contains(got, "sensor-0") {
		t.Errorf("a credential is logged as %q", got)
	}
}
