package authhook

import (
	"hash/fnv"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// Session describes a connected session.
type Session struct {
	MQTTClientID string
	// ClientID is the session's owner: the client ID of the token, for a foreign issuer after the Name of the Issuer and a '/'.
	ClientID string
	// TokenID is the token's jti, empty if it has none.
	TokenID string
	// Remote is the client's network address.
	Remote string
	// Listener is the ID of the mochi listener that accepted the connection.
	Listener string
	// ProtocolVersion is the protocol level of the CONNECT: 3 (MQTT 3.1), 4 (3.1.1) or 5.
	ProtocolVersion byte
	ConnectedAt     time.Time
	// ExpiresAt is the token's expiry, without leeway.
	ExpiresAt     time.Time
	Subscriptions int
	// Renewals counts the tokens that followed the first on the same connection.
	Renewals int
	// Refused counts what the client was refused on this connection.
	Refused int64
}

// What happened to a session. A flag once raised stays, but for stale.
const (
	// established: an earlier session was inherited and CONNACK is being sent. Others may touch the mochi client's state.
	established uint32 = 1 << iota
	// greeted: CONNACK was sent, or never will be.
	greeted
	// ended: the hook is closing the connection. Nothing goes in or out.
	ended
	// offline: the connection is gone. What is queued meanwhile is judged by the last grants, and again when the session is resumed.
	offline
	// revoked: the rights are gone, for the will too.
	revoked
	// dropped: subscriptions and queue were thrown away. Whoever resumes the session begins a new one.
	dropped
	// fresh: the client is told that no session was present, whatever mochi found.
	fresh
	// restored: the session comes from a store and has no token; its rights come from ClientStatus alone.
	restored
	// stale: the standing is in doubt, and must be asked for before the next verdict.
	stale
	// entered: mochi has the client on its list of sessions, or is about to have it.
	entered
	// deaf: nothing more is read from the client.
	deaf
	// over: mochi has noticed that nothing more comes from the client.
	over
	// willGone: the will was published, withdrawn by the client, or cancelled.
	willGone
)

// A session is what the hook knows of one mochi client, from its CONNECT until mochi forgets the client. Only the atomic fields, and
// those that say how they are guarded, change once it is registered.
type session struct {
	principal

	hook     *Hook
	client   *mqtt.Client
	conn     *gateConn // nil if restored
	mqttID   string
	assigned bool      // the MQTT client ID needs no binding: the server has assigned it, or a store has kept it
	shownID  string    // mqttID, fit for a log
	method   string    // Authentication Method of the CONNECT, if any
	will     mqtt.Will // as in the CONNECT; zero if restored
	protocol byte
	since    time.Time

	standing atomic.Pointer[standing] // never nil; replaced under judging, which stands for the whole of read, ask, replace
	judging  sync.Mutex
	// candidate is the token that the session is being renewed with. It is there before anybody is asked about the token, so that
	// whoever revokes it finds the session.
	candidate atomic.Pointer[accesstoken.Token]
	// judged is the standing by which the reading goroutine last judged a filter.
	judged   atomic.Pointer[standing]
	meter    atomic.Pointer[meter] // of the principal; nil until the session counts as connected, and if restored
	flags    atomic.Uint32
	renewals atomic.Int32
	refused  atomic.Int64
	inbound  inboundAliases // the reading goroutine's own
	// nextRenewal is the reading goroutine's own: the time up to which renewals are spent.
	nextRenewal time.Time
	// refusedRec and refusedWith are the reading goroutine's own: the next PUBACK is to be a PUBREC, and this is the reason code of the
	// PUBLISH that was refused last.
	refusedRec  bool
	refusedWith byte
	published   memory        // the reading goroutine's own
	delivered   sharedMemory  // what the session may have
	welcome     chan struct{} // closed once greeted
	end         chan struct{} // closed once over
	// heir is the session that has taken this one over, if mochi is to find that out from it.
	heir atomic.Pointer[session]

	mu       sync.Mutex
	timer    *time.Timer     // guarded by mu
	outbound outboundAliases // guarded by mu
}

// newSession returns a session for a client that has presented this token, and puts itself between mochi and the connection.
// Nothing else writes to the connection yet. It has no rights.
func newSession(h *Hook, cl *mqtt.Client, p principal, token *accesstoken.Token) *session {
	s := &session{
		principal: p, hook: h, client: cl, mqttID: cl.ID, shownID: printable(cl.ID), will: cl.Properties.Will,
		method: cl.Properties.Props.AuthenticationMethod, protocol: cl.Properties.ProtocolVersion, since: h.cfg.Now(),
		welcome: make(chan struct{}), end: make(chan struct{}),
	}
	s.standing.Store(&standing{token: token, deadline: spreadDeadline(token, s.mqttID, h.cfg.Leeway)})
	s.conn = &gateConn{Conn: cl.Net.Conn, session: s}
	cl.Net.Conn = s.conn
	return s
}

// session returns what the hook knows of cl, nil if that is nothing: then cl may do nothing.
func (h *Hook) session(cl *mqtt.Client) *session {
	if conn, ok := cl.Net.Conn.(*gateConn); ok && conn.session.hook == h {
		return conn.session
	}
	if cl.Net.Conn == nil && !cl.Net.Inline {
		return h.restoredSession(cl)
	}
	return nil
}

func (s *session) is(flags uint32) bool { return s.flags.Load()&flags != 0 }

// raise sets flags and reports whether one of them was not set before.
func (s *session) raise(flags uint32) bool { return s.flags.Or(flags)&flags != flags }

// lower takes flags back.
func (s *session) lower(flags uint32) { s.flags.And(^flags) }

func (s *session) expired() bool { return !s.hook.clock.now().Before(s.standing.Load().deadline) }

// greet notes that nobody need wait for the CONNACK any longer.
func (s *session) greet() {
	if s.raise(greeted) {
		close(s.welcome)
	}
}

// finish notes that mochi reads no more from the client.
func (s *session) finish() {
	if s.raise(over) {
		close(s.end)
	}
}

// view returns the session as others may see it.
func (s *session) view() Session {
	token := s.standing.Load().token
	return Session{
		MQTTClientID: s.mqttID, ClientID: s.owner, TokenID: token.ID, Remote: s.client.Net.Remote, Listener: s.client.Net.Listener,
		ProtocolVersion: s.protocol, ConnectedAt: s.since, ExpiresAt: token.ExpiresAt, Subscriptions: s.client.State.Subscriptions.Len(),
		Renewals: int(s.renewals.Load()), Refused: s.refused.Load(),
	}
}

// spreadDeadline returns when a session with this token ends: a moment in the second half of the leeway that depends on token and MQTT
// client ID alone, so that a reconnect does not move it.
func spreadDeadline(token *accesstoken.Token, mqttID string, leeway time.Duration) time.Time {
	half := leeway / 2
	if half <= 0 {
		return token.ExpiresAt
	}
	return token.ExpiresAt.Add(leeway - time.Duration(spread(token, mqttID)%uint64(half)))
}

// spread returns a number that is the same for one token and MQTT client ID, and as good as random over many.
func spread(token *accesstoken.Token, mqttID string) uint64 {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, token.ID+"\x00"+mqttID)
	return hash.Sum64()
}

// gateConn is the connection of a session. It is how a session is found from its mochi client, and it learns reliably when a client
// is gone: mochi closes the connection even where it skips its own hooks.
type gateConn struct {
	net.Conn
	session *session
}

// NetConn returns the connection beneath, as tls.Conn does.
func (c *gateConn) NetConn() net.Conn { return c.Conn }

// SetDeadline sets the deadline of the keep-alive, until stopReading.
func (c *gateConn) SetDeadline(t time.Time) error {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	if c.session.is(deaf) {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

// Write swallows what comes after the DISCONNECT of a connection that is being closed: an error would make mochi reset it, and the
// DISCONNECT might be lost.
func (c *gateConn) Write(p []byte) (int, error) {
	if c.session.is(ended) {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close closes the connection. The session is off the registry then, unless mochi keeps it for the client's return. It may be called
// again.
func (c *gateConn) Close() error {
	s := c.session
	s.mu.Lock()
	s.raise(offline)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.greet()
	s.hook.live.leave(s)
	s.hook.meters.leave(s, s.hook.cfg.Now())
	return c.Conn.Close()
}
