package broker

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// peer is one connection with what the broker's hook knows about it.
type peer struct {
	broker *Broker
	conn   *conn
	ticket *ticket
	late   *time.Timer // ends the connection if CONNECT is not answered in time
	done   chan struct{}

	window  window
	aliases aliases // write loop only
	outbox  outbox
	replay  replay

	client      *mqtt.Client // set when CONNECT has been read
	session     *session     // set when CONNECT has been accepted
	will        mqtt.Will    // as accepted
	emptyWill   bool         // the will has no payload; reader goroutine only
	lastSeen    int64        // when the session's connection before this one ended, in Unix seconds
	established atomic.Bool  // CONNACK has been written
	begun       atomic.Bool  // mochi's session for this connection exists
	ended       atomic.Bool  // OnDisconnect has been called

	// Of the PUBLISH being processed; reader goroutine only.
	inbound struct {
		active   bool           // QoS 1 or 2, not answered yet
		again    bool           // it has the DUP flag
		deferred bool           // ack waits for the fan-out
		ack      packets.Packet // PUBACK or PUBREC
	}
}

// peers finds the peer of a mochi client.
type peers struct{ byClient sync.Map } // *mqtt.Client -> *peer

func (ps *peers) of(cl *mqtt.Client) *peer {
	v, ok := ps.byClient.Load(cl)
	if !ok {
		return nil // the inline client, or one restored from the store
	}
	p, _ := v.(*peer)
	return p
}

func (ps *peers) bind(cl *mqtt.Client, p *peer) {
	p.client = cl
	ps.byClient.Store(cl, p)
}

func (ps *peers) forget(p *peer) {
	if p.client != nil {
		ps.byClient.Delete(p.client)
	}
}

// kick ends a connection whose session exists: a 5 client is told why, a 3.1.1
// client cannot be (MQTT 3.1.1 has no DISCONNECT from the server). It does not wait.
func (p *peer) kick(code packets.Code) {
	if p.established.Load() && p.client.Properties.ProtocolVersion == 5 {
		_, _ = p.conn.Write([]byte{packets.Disconnect << 4, 2, code.Code, 0})
	}
	p.client.Stop(code)
}

// dismiss ends a connection that came while the broker stops.
func (p *peer) dismiss() {
	p.conn.abort()
	p.late.Stop()
	p.ticket.leave()
}

// tooLarge reports whether the client has asked not to get packets of this size
// (MQTT 5 §3.1.2.11.4). mochi would only find out when the packet has its place
// in the window, and would keep it for ever.
func tooLarge(pk packets.Packet) bool {
	limit := pk.Mods.MaxSize
	if limit == 0 {
		return false
	}
	var buf bytes.Buffer
	return pk.PublishEncode(&buf) == nil && uint32(buf.Len()) > limit
}

// pingPatience bounds how long a PINGREQ waits for what was asked for before it.
const pingPatience = 100 * time.Millisecond

// replay is the back pressure on the retained messages that answer a SUBSCRIBE:
// mochi queues them all at once and drops what its queue cannot hold.
type replay struct {
	queued, queuedBytes int64 // reader goroutine only
	gone, goneBytes     atomic.Int64
	wake                chan struct{}
}

// wait counts a retained message in mochi's queue, and blocks the reader
// goroutine while there are more than so many, or more than so many bytes.
// Messages that left without having been counted were no answer to a SUBSCRIBE.
func (r *replay) wait(size, limit, limitBytes int64, closed <-chan struct{}) {
	r.queued = max(r.queued, r.gone.Load()) + 1
	r.queuedBytes = max(r.queuedBytes, r.goneBytes.Load()) + size
	for r.queued-r.gone.Load() > limit || r.queuedBytes-r.goneBytes.Load() > limitBytes {
		select {
		case <-r.wake:
		case <-closed:
			return
		}
	}
}

// answered waits, for a moment, until the answer to earlier SUBSCRIBEs is out of
// mochi's queue. Nothing demands that a PINGRESP comes after it, but clients that
// ask "was that all?" take it so.
func (r *replay) answered(closed <-chan struct{}) {
	moment := time.NewTimer(pingPatience)
	defer moment.Stop()
	for r.queued > r.gone.Load() {
		select {
		case <-r.wake:
		case <-closed:
			return
		case <-moment.C:
			return
		}
	}
}

// left notes that a retained message has left mochi's queue.
func (r *replay) left(size int64) {
	r.goneBytes.Add(size)
	r.gone.Add(1)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
