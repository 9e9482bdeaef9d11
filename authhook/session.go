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
	"github.com/boomgate/boomgate/authhook/topicacl"
)

// Session describes a connected session.
type Session struct {
	MQTTClientID string
	// ClientID is the client ID of the token: the session's owner.
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
}

// What happened to a session. A flag once raised stays.
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
	// restored: the session comes from a store and has no token; grants come from ClientStatus.
	restored
)

// A session is what the hook knows of one mochi client, from its CONNECT until mochi forgets the client. Only the atomic fields, and
// those that say how they are guarded, change once it is registered.
type session struct {
	hook     *Hook
	client   *mqtt.Client
	conn     *gateConn // nil if restored
	clientID string    // owner: the client ID of the token
	mqttID   string
	shownID  string // mqttID, fit for a log
	tokenID  string
	method   string // Authentication Method of the CONNECT, if any
	protocol byte
	since    time.Time
	expires  time.Time // the token's expiry
	deadline time.Time // when the session ends

	grants  atomic.Pointer[topicacl.Grants]
	flags   atomic.Uint32
	inbound inboundAliases // the reading goroutine's own
	// refusedRec is the reading goroutine's own: the next PUBACK is to be a PUBREC.
	refusedRec bool
	welcome    chan struct{} // closed once greeted

	mu       sync.Mutex
	timer    *time.Timer     // guarded by mu
	outbound outboundAliases // guarded by mu
	reload   time.Time       // guarded by mu: when a restored session asks for its grants again
}

// newSession returns a session for a client that has presented this token, and puts itself between mochi and the connection.
// Nothing else writes to the connection yet.
func newSession(h *Hook, cl *mqtt.Client, token *accesstoken.Token) *session {
	s := &session{
		hook: h, client: cl, clientID: token.ClientID, mqttID: cl.ID, shownID: printable(cl.ID), tokenID: token.ID,
		method: cl.Properties.Props.AuthenticationMethod, protocol: cl.Properties.ProtocolVersion, since: h.cfg.Now(), expires: token.ExpiresAt,
		welcome: make(chan struct{}),
	}
	s.deadline = s.spreadDeadline(h.cfg.Leeway)
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

func (s *session) expired() bool { return !s.hook.cfg.Now().Before(s.deadline) }

// greet notes that nobody need wait for the CONNACK any longer.
func (s *session) greet() {
	if s.raise(greeted) {
		close(s.welcome)
	}
}

// view returns the session as others may see it.
func (s *session) view() Session {
	return Session{
		MQTTClientID: s.mqttID, ClientID: s.clientID, TokenID: s.tokenID, Remote: s.client.Net.Remote, Listener: s.client.Net.Listener,
		ProtocolVersion: s.protocol, ConnectedAt: s.since, ExpiresAt: s.expires, Subscriptions: s.client.State.Subscriptions.Len(),
	}
}

// spreadDeadline returns when the session ends: a moment in the second half of the leeway that depends on token and MQTT client ID
// alone, so that a reconnect does not move it.
func (s *session) spreadDeadline(leeway time.Duration) time.Time {
	half := leeway / 2
	if half <= 0 {
		return s.expires
	}
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, s.tokenID+"\x00"+s.mqttID)
	return s.expires.Add(leeway - time.Duration(hash.Sum64()%uint64(half)))
}

// gateConn is the connection of a session. It is how a session is found from its mochi client, and it learns reliably when a client
// is gone: mochi closes the connection even where it skips its own hooks.
type gateConn struct {
	net.Conn
	session *session
}

// NetConn returns the connection beneath, as tls.Conn does.
func (c *gateConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and takes the session off the list of connected ones. It may be called again.
func (c *gateConn) Close() error {
	s := c.session
	s.mu.Lock()
	s.flags.Or(offline)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.greet()
	s.hook.live.remove(s)
	return c.Conn.Close()
}
