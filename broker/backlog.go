package broker

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// backlog counts what waits for one session, connected or not: the messages of
// QoS 1 and 2 that it has not acknowledged, whose contents are in mochi's Inflight,
// and those of QoS 0 that wait for its socket. It outlives the connections.
//
// A message is counted right after mochi has put it into Inflight and is not
// counted any more when it leaves; where mochi does not tell, recount finds out.
type backlog struct {
	limit int64 // bytes

	mu    sync.Mutex
	bytes int64
	last  uint64 // number of the youngest message of QoS 1 or 2
	id    uint16 // its packet identifier
	flows map[uint16]flow
}

// flow is a message of QoS 1 or 2 on its way to the client.
type flow struct {
	number uint64 // ascends with their age
	size   int64  // 0 when only the PUBREL is left
}

// contentSize is what a message counts: the parts that its sender gives a length.
func contentSize(pk *packets.Packet) int64 {
	props := &pk.Properties
	n := len(pk.TopicName) + len(pk.Payload) + len(props.CorrelationData) + len(props.ResponseTopic) + len(props.ContentType)
	for _, u := range props.User {
		n += len(u.Key) + len(u.Val)
	}
	return int64(n)
}

// fitsLocked reports whether a message may wait, too. One alone always may: what
// is too large for the broker has been refused to its sender.
func (b *backlog) fitsLocked(size int64) bool { return b.bytes == 0 || b.bytes+size <= b.limit }

// next gives the number of a message that is counted later than its turn.
func (b *backlog) next() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	return b.last
}

// add counts a message of QoS 1 or 2, unless it is too much; its number is the next one if it has none yet.
func (b *backlog) add(id uint16, size int64, number uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fitsLocked(size) {
		return false
	}
	b.putLocked(id, size, number)
	return true
}

// keep counts a message that the session has already, whatever its size.
func (b *backlog) keep(id uint16, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.putLocked(id, size, 0)
}

func (b *backlog) putLocked(id uint16, size int64, number uint64) {
	f, known := b.flows[id]
	if !known {
		if b.flows == nil {
			b.flows = map[uint16]flow{}
		}
		if number == 0 {
			b.last++
			number = b.last
		}
		f.number, b.id = number, id
	}
	b.bytes += size - f.size
	f.size = size
	b.flows[id] = f
}

// renumber gives a message the number of its turn.
func (b *backlog) renumber(id uint16, number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, known := b.flows[id]; known {
		f.number = number
		b.flows[id] = f
	}
}

// release is for a message that has left; others are ignored.
func (b *backlog) release(id uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= b.flows[id].size
	delete(b.flows, id)
}

// shrink is for a message of which only the PUBREL is left (MQTT 5 §4.3.3).
func (b *backlog) shrink(id uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.flows[id]; known {
		b.putLocked(id, 0, 0)
	}
}

// hold counts a message of QoS 0, unless it is too much.
func (b *backlog) hold(size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fitsLocked(size) {
		return false
	}
	b.bytes += size
	return true
}

// let is for a message of QoS 0 that has left.
func (b *backlog) let(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= size
}

// has reports whether a message of QoS 1 or 2 is on its way.
func (b *backlog) has(id uint16) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.flows[id]
	return known
}

// near reports whether an outbound message may get this packet identifier soon: mochi counts up.
func (b *backlog) near(id uint16) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return id-b.id < headway
}

// farthest is the packet identifier that is the last to be given to an outbound message.
func (b *backlog) farthest() uint16 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.id + 1<<15
}

// ids lists the messages of QoS 1 and 2.
func (b *backlog) ids() []uint16 {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]uint16, 0, len(b.flows))
	for id := range b.flows {
		ids = append(ids, id)
	}
	return ids
}

// inOrder sorts messages by age; those that are not counted yet are the youngest.
func (b *backlog) inOrder(pks []packets.Packet) []packets.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := func(pk packets.Packet) uint64 {
		if f, known := b.flows[pk.PacketID]; known {
			return f.number
		}
		return math.MaxUint64
	}
	slices.SortStableFunc(pks, func(x, y packets.Packet) int { return cmp.Compare(age(x), age(y)) })
	return pks
}
