package authhook

import (
	"bytes"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// goodbyeTimeout bounds the writing of a DISCONNECT to a client that does not read.
	goodbyeTimeout = 500 * time.Millisecond
	// takeoverPatience is how long a takeover waits for what the earlier connection is still busy with.
	takeoverPatience = 100 * time.Millisecond
	// heirPatience is how long a connection that was taken over waits for its successor's CONNACK before it is cleared away.
	heirPatience = time.Second
)

// kick ends the connection, and reports whether it was not being ended already. From its first moment nothing goes in or out any
// more but, to an MQTT 5.0 client, a DISCONNECT with this code (§3.14) and the end of the stream. The connection is closed CloseGrace
// after that, and after goodbyeTimeout if the client does not read. mochi is left to find that out for itself: a client that mochi is
// told to stop can lose its will.
func (s *session) kick(code packets.Code) bool {
	if !s.raise(ended) {
		return false
	}
	if !s.dismiss(code) {
		s.hangUp()
	}
	return true
}

// dismiss takes leave of a client whose session has ended, and reports whether there was a way to do so: then the connection closes by
// itself.
func (s *session) dismiss(code packets.Code) bool {
	if s.protocol < 5 || !s.is(established) {
		return false
	}
	end := time.AfterFunc(goodbyeTimeout, s.hangUp) // releases a writer that holds the lock, too
	<-s.welcome
	s.sayGoodbye(code)
	end.Reset(s.hook.cfg.CloseGrace)
	return true
}

func (s *session) hangUp() { _ = s.conn.Close() }

// stopReading makes mochi see the end of what the client sends. A client that mochi stops while it is not waiting for a packet counts
// as one that has said goodbye, and loses its will.
func (s *session) stopReading() {
	s.mu.Lock()
	s.raise(deaf)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	s.mu.Unlock()
	await(s.end, takeoverPatience)
}

// await waits until a channel is closed, and not longer than so.
func await(closed <-chan struct{}, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// drain takes the place of a packet of a client that is being closed: the rest of what it sends is read and comes to nothing.
func (s *session) drain(pk packets.Packet) (packets.Packet, error) {
	if s.is(offline) {
		return pk, packets.ErrRejectPacket
	}
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, ProtocolVersion: pk.ProtocolVersion, TopicName: refusedTopic,
	}, nil
}

// sayGoodbye writes a DISCONNECT past mochi's write buffer, in which it would be lost when the connection is closed, and shuts the
// sending side, if the connection has one of its own: a client that waits for the end need not wait for CloseGrace.
func (s *session) sayGoodbye(code packets.Code) {
	props := &s.client.Properties.Props
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ProtocolVersion: 5, ReasonCode: code.Code,
		Properties: packets.Properties{ReasonString: code.Reason},
		Mods: packets.Mods{
			MaxSize: props.MaximumPacketSize, DisallowProblemInfo: props.RequestProblemInfoFlag && props.RequestProblemInfo == 0,
		},
	}
	var buf bytes.Buffer
	if pk.DisconnectEncode(&buf) != nil {
		return
	}
	s.client.Lock()
	defer s.client.Unlock()
	// The connection is closed whatever becomes of this.
	_, _ = s.conn.Conn.Write(buf.Bytes())
	if half, ok := unwrap[interface{ CloseWrite() error }](s.conn.Conn); ok {
		_ = half.CloseWrite()
	}
}

// breakOff ends a connection over what the client has done.
func (h *Hook) breakOff(s *session, code packets.Code, rule, detail string) {
	h.report(s, Event{Kind: KindClose, Rule: rule, ReasonCode: code.Code, Detail: detail})
	s.kick(code)
}
