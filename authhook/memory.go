package authhook

import "sync"

const (
	// remembered is how many topics a memory holds: a device publishes to a handful.
	remembered = 4
	// maxRemembered is the longest topic that it holds, in bytes.
	maxRemembered = 64
)

// A memory holds what a session was last allowed, so that the same question need not be judged again: each message is judged when mochi
// hands it to the hook first and again when it does so last. It holds copies, because a topic is part of a packet, and exact ones: no
// two topics are ever taken for one another. What was allowed is forgotten when the session stands otherwise. The zero value is empty.
type memory struct {
	by   *standing
	next int
	kept [remembered]struct {
		size   int
		qos    byte
		retain bool
		topic  [maxRemembered]byte
	}
}

// covers reports whether a session that stands like this was allowed the same before.
func (m *memory) covers(st *standing, topic string, qos byte, retain bool) bool {
	if m.by != st || topic == "" { // an entry that holds nothing has an empty topic
		return false
	}
	for i := range m.kept {
		k := &m.kept[i]
		if k.size == len(topic) && k.qos == qos && k.retain == retain && string(k.topic[:k.size]) == topic {
			return true
		}
	}
	return false
}

// keep remembers what a session that stands like this was allowed, in place of what it has remembered for longest.
func (m *memory) keep(st *standing, topic string, qos byte, retain bool) {
	if len(topic) > maxRemembered {
		return
	}
	if m.by != st {
		*m = memory{by: st}
	}
	k := &m.kept[m.next]
	k.size, k.qos, k.retain = copy(k.topic[:], topic), qos, retain
	m.next = (m.next + 1) % remembered
}

// A sharedMemory is the memory of what a session may have, for several goroutines. None ever waits: whoever finds it in use judges.
type sharedMemory struct {
	mu     sync.Mutex
	memory memory // guarded by mu
}

// mayHave reports whether a session that stands like this may have messages on a topic.
func (m *sharedMemory) mayHave(st *standing, topic string) bool {
	if !m.mu.TryLock() {
		return st.Deliver(topic)
	}
	defer m.mu.Unlock()
	if m.memory.covers(st, topic, 0, false) {
		return true
	}
	if !st.Deliver(topic) {
		return false
	}
	m.memory.keep(st, topic, 0, false)
	return true
}
