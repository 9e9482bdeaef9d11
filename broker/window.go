package broker

import (
	"slices"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// verdict is what becomes of an outbound QoS 1 or 2 PUBLISH at the window.
type verdict int

const (
	writeNow verdict = iota // it goes out
	holdBack                // it waits for an acknowledgement, or has been written already
	holdOver                // it waits for the outbox
	standIn                 // the session is not open yet: something else is written in its place
)

// window is the outbound flow control of one connection (MQTT 5 §4.9) and the
// order of redelivery (MQTT 5 §4.6, MQTT 3.1.1 §4.6).
//
// mochi's own flow control deadlocks (Inflight.NextImmediate locks twice) and
// its redelivery comes in random order, so both are switched off: until the
// session is open nothing of QoS 1 or 2 goes out, then what was unacknowledged
// goes first, in order, and never more than size messages are unacknowledged.
// Packets wait here by identifier; their contents stay in mochi's Inflight.
type window struct {
	size int // messages that may be unacknowledged; 0: no bound

	mu     sync.Mutex
	open   bool            // the session is established
	held   []uint16        // identifiers that wait, the oldest first
	known  map[uint16]bool // held (false) or written and unacknowledged (true)
	sent   int             // how many of known are true
	inHand bool            // the outbox is writing what was held
	old    int             // how many of held are left over from an earlier connection
}

// admit judges a PUBLISH of QoS 1 or 2 that mochi wants to write; roomy says
// that the socket would take it.
func (w *window) admit(id uint16, roomy bool) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.known[id]
	full := w.size > 0 && w.sent >= w.size
	switch {
	case !w.open:
		return standIn // it is in Inflight: reopen finds it there
	case known:
		return holdBack // reopen found it before mochi's queue did
	case len(w.held) > 0 || w.inHand || full || !roomy:
		w.holdLocked(id)
		if full {
			return holdBack
		}
		return holdOver
	case w.size > 0:
		w.knowLocked(id, true)
		w.sent++
	}
	return writeNow
}

// isOpen reports whether the flow has been started.
func (w *window) isOpen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

// reopen starts the flow with what the session has left unacknowledged. It asks
// for that when nothing can be admitted: what comes in between is among it.
func (w *window) reopen(unacknowledged func() []packets.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = true
	for _, pk := range unacknowledged() {
		if pk.FixedHeader.Type == packets.Publish || pk.FixedHeader.Type == packets.Pubrel {
			w.holdLocked(pk.PacketID)
		}
	}
	w.old = len(w.held)
}

// hold lets a message wait that mochi does not write by itself.
func (w *window) hold(id uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.known[id]; w.open && !known {
		w.holdLocked(id)
	}
}

// next takes the oldest waiting identifier if the window has room for it; old
// says that it is left over from an earlier connection. Whoever calls next
// writes that packet and then calls passed: nothing overtakes it meanwhile.
func (w *window) next() (id uint16, old, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.held) == 0 || w.size > 0 && w.sent >= w.size {
		return 0, false, false
	}
	if old = w.old > 0; old {
		w.old--
	}
	id = w.held[0]
	w.held = w.held[1:]
	w.known[id] = true
	w.sent++
	w.inHand = true
	return id, old, true
}

// passed says that what next gave has been written.
func (w *window) passed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inHand = false
}

// waits reports whether a message waits that the window would let pass.
func (w *window) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held) > 0 && (w.size == 0 || w.sent < w.size)
}

// release frees the place of an acknowledged message; others are ignored.
func (w *window) release(id uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if written, known := w.known[id]; known && written {
		delete(w.known, id)
		w.sent--
	}
}

func (w *window) holdLocked(id uint16) {
	w.knowLocked(id, false)
	w.held = append(w.held, id)
}

func (w *window) knowLocked(id uint16, written bool) {
	if w.known == nil {
		w.known = map[uint16]bool{}
	}
	w.known[id] = written
}

// inOrder sorts messages by age: by the second of their arrival, and within it
// by identifier. Identifiers ascend and begin anew after 65,535, so the row
// begins after the widest gap.
func inOrder(pks []packets.Packet) []packets.Packet {
	if len(pks) == 0 {
		return pks
	}
	ids := make([]uint16, len(pks))
	for i, pk := range pks {
		ids[i] = pk.PacketID
	}
	slices.Sort(ids)
	first, widest := ids[0], ids[0]-ids[len(ids)-1]
	for i := 1; i < len(ids); i++ {
		if gap := ids[i] - ids[i-1]; gap > widest {
			first, widest = ids[i], gap
		}
	}
	slices.SortFunc(pks, func(a, b packets.Packet) int {
		if a.Created != b.Created {
			if a.Created < b.Created {
				return -1
			}
			return 1
		}
		return int(a.PacketID-first) - int(b.PacketID-first)
	})
	return pks
}
