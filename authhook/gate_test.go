package authhook_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
)

const (
	testIssuer   = "https://issuer.example"
	testAudience = "boomgate:mqtt"
	testKeyID    = "key-1"

	// patience is how long a test waits for what must happen.
	patience = 5 * time.Second
)

// testKey signs the tokens of all tests.
var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// A gate is a mochi server with the hook, on a TCP port of its own, and what a test wants to see of it.
type gate struct {
	server  *mqtt.Server
	hook    *authhook.Hook
	addr    string
	clients *clientTable
	clock   *clock
	events  *recorder
	log     *lockedBuffer
	porter  *porter
	mu      sync.Mutex
	conns   []net.Conn // guarded by mu
	open    sync.WaitGroup
	heard   chan packets.Packet // what the server's own subscription hears, which in mochi is everything but for $SYS
}

// settings are what a test may change about its gate before it opens.
type settings struct {
	authhook.Config
	options mqtt.Options
	before  []mqtt.Hook // added before the hook
	after   []mqtt.Hook // added after the hook
}

// openGate starts a server that ends with the test.
func openGate(tb testing.TB, change ...func(*settings)) *gate {
	tb.Helper()
	g := &gate{
		clients: &clientTable{status: map[string]authhook.Status{}}, clock: &clock{}, events: newRecorder(), log: &lockedBuffer{},
		porter: newPorter(),
		heard:  make(chan packets.Packet, 4096),
	}
	logger := slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := settings{options: mqtt.Options{Logger: logger, InlineClient: true}}
	s.Config = authhook.Config{
		Verifier: newVerifier(tb, g.clock.Now), Clients: g.clients, Observer: g.events.add, Logger: logger, Now: g.clock.Now,
		FailuresPerMinute: 1 << 20,
		CloseGrace:        150 * time.Millisecond, // a busy machine must not take the DISCONNECT from a client that waits for it
	}
	for _, c := range change {
		c(&s)
	}
	g.server = mqtt.New(&s.options)
	hook, err := authhook.New(g.server, s.Config)
	if err != nil {
		tb.Fatal(err)
	}
	g.hook = hook
	for _, h := range slices.Concat(s.before, []mqtt.Hook{hook, g.porter}, s.after) {
		if err := g.server.AddHook(h, nil); err != nil {
			tb.Fatal(err)
		}
	}
	if err := g.server.Subscribe("#", 1, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
		if strings.HasPrefix(pk.TopicName, "$SYS/") {
			return // the server's own
		}
		select {
		case g.heard <- pk:
		default: // a benchmark does not listen
		}
	}); err != nil {
		tb.Fatal(err)
	}
	if err := g.server.Serve(); err != nil {
		tb.Fatal(err)
	}
	g.listen(tb)
	return g
}

// listen lets clients in until the test ends. mochi's own listener would do, but for a data race of mochi's between a connection
// that arrives and the closing of the server: here nothing arrives any more when the server is closed.
func (g *gate) listen(tb testing.TB) {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g.addr = listener.Addr().String()
	g.open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.establish("tcp", conn)
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		g.mu.Lock()
		for _, conn := range g.conns {
			_ = conn.Close()
		}
		g.mu.Unlock()
		g.open.Wait()
		_ = g.server.Close()
	})
}

// establish hands a connection to the server.
func (g *gate) establish(listener string, conn net.Conn) {
	g.mu.Lock()
	g.conns = append(g.conns, conn)
	g.mu.Unlock()
	g.open.Go(func() { _ = g.server.EstablishConnection(listener, conn) })
}

// newVerifier returns the real verifier for tokens signed with testKey.
func newVerifier(tb testing.TB, now func() time.Time) *accesstoken.Verifier {
	tb.Helper()
	keys, err := accesstoken.NewStaticKeys(map[string]crypto.PublicKey{testKeyID: testKey.Public()})
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := accesstoken.New(accesstoken.Config{
		Issuer: testIssuer, Audience: testAudience, Keys: keys, Algorithms: []string{"EdDSA"}, Leeway: time.Minute, Now: now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return verifier
}

// token returns a token for a client that is valid for an hour and holds these scopes.
func (g *gate) token(tb testing.TB, clientID string, scopes ...string) string {
	tb.Helper()
	return g.tokenWith(tb, clientID, jwt.MapClaims{"scp": append([]string{}, scopes...)})
}

// tokenWith returns a token with some claims changed, or left out if they are nil.
func (g *gate) tokenWith(tb testing.TB, clientID string, claims jwt.MapClaims) string {
	tb.Helper()
	return signToken(tb, g.clock.Now(), clientID, claims)
}

func signToken(tb testing.TB, now time.Time, clientID string, changed jwt.MapClaims) string {
	tb.Helper()
	claims := jwt.MapClaims{
		"iss": testIssuer, "aud": testAudience, "sub": clientID, "client_id": clientID, "jti": "jti-" + clientID,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scp": []string{},
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return signWith(tb, testKey, testKeyID, claims)
}

func signWith(tb testing.TB, key ed25519.PrivateKey, keyID string, claims jwt.MapClaims) string {
	tb.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"], token.Header["typ"] = keyID, "at+jwt"
	text, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// expectHeard waits for the next message that the server forwards to anybody.
func (g *gate) expectHeard(tb testing.TB, topic string) packets.Packet {
	tb.Helper()
	select {
	case pk := <-g.heard:
		if pk.TopicName != topic {
			tb.Fatalf("forwarded a message on %q, want %q", pk.TopicName, topic)
		}
		return pk
	case <-time.After(patience):
		tb.Fatalf("no message on %q was forwarded", topic)
	}
	panic("unreachable")
}

// expectNothingHeard fails if a message was forwarded. Whoever calls it has seen a later one's answer.
func (g *gate) expectNothingHeard(tb testing.TB) {
	tb.Helper()
	select {
	case pk := <-g.heard:
		tb.Fatalf("forwarded a message on %q: %q", pk.TopicName, pk.Payload)
	default:
	}
}

// awaitOffline closes a client's connection and waits until the server is done with it.
func (g *gate) awaitOffline(tb testing.TB, w *wire, mqttID string) {
	tb.Helper()
	_ = w.conn.Close()
	g.porter.expect(tb, mqttID)
}

// A porter is a hook that sees clients leave.
type porter struct {
	mqtt.HookBase
	mu     sync.Mutex
	gone   map[string]int
	signal chan struct{}
}

func newPorter() *porter { return &porter{gone: map[string]int{}, signal: make(chan struct{})} }

func (p *porter) ID() string                { return "porter" }
func (p *porter) Provides(method byte) bool { return method == mqtt.OnDisconnect }

func (p *porter) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone[cl.ID]++
	close(p.signal)
	p.signal = make(chan struct{})
}

// expect waits for a client to leave, once for each call.
func (p *porter) expect(tb testing.TB, mqttID string) {
	tb.Helper()
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		if p.gone[mqttID] > 0 {
			p.gone[mqttID]--
			p.mu.Unlock()
			return
		}
		signal := p.signal
		p.mu.Unlock()
		select {
		case <-signal:
		case <-timeout:
			tb.Fatalf("%s has not left", mqttID)
		}
	}
}

// A clientTable is a ClientStatus that tests change.
type clientTable struct {
	mu     sync.Mutex
	status map[string]authhook.Status
	broken bool
}

// ClientStatus answers that a client nobody has spoken of is active, and holds everything.
func (c *clientTable) ClientStatus(_ context.Context, clientID string) (authhook.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return authhook.Status{}, errors.New("the store is gone")
	}
	if status, ok := c.status[clientID]; ok {
		return status, nil
	}
	return authhook.Status{Active: true, Scopes: everything()}, nil
}

// everything returns scopes that hold whatever a token may grant.
func everything() []string { return []string{"pub:#", "sub:#"} }

func (c *clientTable) set(clientID string, status authhook.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status[clientID] = status
}

func (c *clientTable) allow(clientID string, patterns ...string) {
	c.set(clientID, authhook.Status{Active: true, MQTTClientIDs: patterns, Scopes: everything()})
}

func (c *clientTable) setBroken(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = broken
}

// A clock runs with the real one, and can be set forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time                 { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(by time.Duration)       { c.ahead.Add(int64(by)) }
func (c *clock) unix(after time.Duration) int64 { return c.Now().Add(after).Unix() }

// A recorder keeps the events of a gate.
type recorder struct {
	mu     sync.Mutex
	all    []authhook.Event
	signal chan struct{} // closed and replaced at each event
}

func newRecorder() *recorder { return &recorder{signal: make(chan struct{})} }

func (r *recorder) add(e authhook.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
	close(r.signal)
	r.signal = make(chan struct{})
}

// expect waits for an event of this kind, with this rule.
func (r *recorder) expect(tb testing.TB, kind authhook.Kind, rule string) authhook.Event {
	tb.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		for _, e := range r.all {
			if e.Kind == kind && e.Rule == rule {
				r.mu.Unlock()
				return e
			}
		}
		signal := r.signal
		r.mu.Unlock()
		select {
		case <-signal:
		case <-timeout:
			tb.Fatalf("no event %s/%s; there were %+v", kind, rule, r.all)
		}
	}
}

// forget empties the record.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = nil
}

// A lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// permitAll is a hook that says yes to everything, as mochi's own allow-all hook does.
type permitAll struct{ mqtt.HookBase }

func (permitAll) ID() string { return "permit-all" }
func (permitAll) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck
}
func (permitAll) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }
func (permitAll) OnACLCheck(*mqtt.Client, string, bool) bool              { return true }

// besidePermitAll surrounds the hook with hooks that permit everything (attack A12).
func besidePermitAll(s *settings) {
	s.before = append(s.before, new(permitAll))
	s.after = append(s.after, new(permitAll))
}
