package broker

import (
	"context"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// CheckFrames looks at a stream in chunks, as framing does.
func CheckFrames(maxConnect uint32, chunks ...[]byte) error {
	f := framing{maxConnect: maxConnect}
	for _, chunk := range chunks {
		if _, err := f.check(chunk); err != nil {
			return err
		}
	}
	return nil
}

// Parts of the package that have properties of their own.
var (
	DecodeMessage = decodeMessage
	EncodeMessage = encodeMessage
	InboundID     = inboundID
	InOrder       = inOrder
	SplitOwned    = splitOwned
)

// Keys gives every key that a session's records can have.
func Keys(id, filter string, packetID uint16) map[string]string {
	return map[string]string{
		"session":      string(sessionKey(id)),
		"subscription": string(subscriptionKey(id, filter)),
		"message":      string(messageKey(id, packetID)),
		"retained":     string(retainedKey(filter)),
	}
}

// Message is a packet that the store can hold.
type Message = packets.Packet

// Gate is a gate with its tickets.
type Gate struct{ gate *gate }

// NewGate makes a gate with these limits.
func NewGate(l Limits) Gate { return Gate{newGate(l.withDefaults())} }

// Enter asks for a place; answered says that the CONNECT was answered, leave gives the place back.
func (g Gate) Enter(ctx context.Context, remote string, evict func()) (answered, leave func(), err error) {
	t, err := g.gate.enter(ctx, remote, evict)
	if err != nil {
		return nil, nil, err
	}
	return t.answered, t.leave, nil
}

// ExpireLate does what mochi does when it finds a session expired whose client has just returned.
func (b *Broker) ExpireLate(old *mqtt.Client) {
	(&hook{broker: b}).OnClientExpired(old)
	b.server.Clients.Delete(old.ID)
}

// Waiting counts what waits for a session: messages of QoS 1 and 2, and bytes of all.
func (b *Broker) Waiting(id string) (messages int, bytes int64) {
	cl, ok := b.server.Clients.Get(id)
	if !ok {
		return 0, 0
	}
	s := b.sessions.of(cl)
	if s == nil {
		return 0, 0
	}
	s.backlog.mu.Lock()
	defer s.backlog.mu.Unlock()
	return len(s.backlog.flows), s.backlog.bytes
}

// Remains counts connections and sessions that the broker still knows.
func (b *Broker) Remains() (connections, sessions int) {
	b.serving.mu.Lock()
	connections = len(b.serving.peers)
	b.serving.mu.Unlock()
	b.peers.byClient.Range(func(any, any) bool { connections++; return true })
	b.live.mu.Lock()
	connections += len(b.live.byID)
	b.live.mu.Unlock()
	b.sessions.byClient.Range(func(cl, _ any) bool {
		if b.sessions.of(cl.(*mqtt.Client)) != nil {
			sessions++
		}
		return true
	})
	return connections, sessions
}
