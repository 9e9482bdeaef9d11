package broker

import (
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// headway is how many outbound messages may begin while one inbound packet is dealt with.
const headway = 1 << 10

// inboundID turns the packet identifier of a client's own PUBLISH, SUBSCRIBE,
// UNSUBSCRIBE or PUBREL into the one that mochi shall see, and back again for
// the answer: it flips the highest bit.
//
// The identifiers of the two directions are independent (MQTT 5 §2.2.1), but
// mochi keeps both in one table and both begin at 1. A SUBSCRIBE would be
// refused, and an outbound message forgotten, because an outbound message of
// the same number is unacknowledged. Kept half the range apart they do not meet,
// until a connection has been sent 32,768 messages; from then on see inboundIDs.
func inboundID(id uint16) uint16 {
	const top = 1 << 15
	if id&^top == 0 {
		return id // 0 is no identifier, so 32,768 stays what it is
	}
	return id ^ top
}

// inboundIDs gives another identifier to a client's packet whose usual one an
// outbound message has. An exchange of QoS 2 keeps its own while it lasts, over
// connections, too; only a restart forgets it.
type inboundIDs struct {
	mu     sync.Mutex
	ours   map[uint16]uint16 // by the client's
	theirs map[uint16]uint16 // the other way round
}

// enter gives the identifier for a packet that begins an exchange.
func (i *inboundIDs) enter(id uint16, cl *mqtt.Client, b *backlog) uint16 {
	if id == 0 {
		return 0
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	usable := func(ours uint16) bool {
		_, used := cl.State.Inflight.Get(ours)
		_, taken := i.theirs[ours]
		return !used && !taken && ours != 0
	}
	current := i.ofLocked(id)
	if flow, open := cl.State.Inflight.Get(current); open && !isOutbound(flow) && i.backLocked(current) == id {
		return current // it is sent again
	}
	i.forgetLocked(id)
	if usual := inboundID(id); usable(usual) && !b.near(usual) {
		return usual
	}
	free := b.farthest()
	for !usable(free) { // both directions are bounded, far below what there is
		free++
	}
	if i.ours == nil {
		i.ours, i.theirs = map[uint16]uint16{}, map[uint16]uint16{}
	}
	i.ours[id], i.theirs[free] = free, id
	return free
}

// of gives the identifier of an exchange that has begun.
func (i *inboundIDs) of(id uint16) uint16 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ofLocked(id)
}

// back gives the client's identifier for an answer.
func (i *inboundIDs) back(id uint16) uint16 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.backLocked(id)
}

func (i *inboundIDs) ofLocked(id uint16) uint16 {
	if moved, ok := i.ours[id]; ok {
		return moved
	}
	return inboundID(id)
}

func (i *inboundIDs) backLocked(id uint16) uint16 {
	if theirs, ok := i.theirs[id]; ok {
		return theirs
	}
	return inboundID(id)
}

func (i *inboundIDs) forgetLocked(id uint16) {
	delete(i.theirs, i.ours[id])
	delete(i.ours, id)
}
