package devicesim

// message is something that a device wants to publish.
type message struct {
	number  uint64 // in the outbox, from 1
	topic   string // below the device's own, such as "state"
	payload []byte
	qos     byte
	retain  bool
	status  Status // of a state
	reboot  bool   // boot when it has been delivered
}

// outbox keeps messages until they are delivered: a bounded queue, and beside it the latest heartbeat alone, because an old one
// is of no use to anybody.
type outbox struct {
	room   int
	queue  []message
	beat   message // number 0: none
	number uint64
}

// put adds the message. When there is no room, the oldest one is dropped and given back.
func (o *outbox) put(m message) (dropped message, full bool) {
	o.number++
	m.number = o.number
	if len(o.queue) == o.room {
		dropped, full = o.queue[0], true
		o.queue = append(o.queue[:0], o.queue[1:]...)
	}
	o.queue = append(o.queue, m)
	return dropped, full
}

// putBeat replaces the latest heartbeat.
func (o *outbox) putBeat(m message) {
	o.number++
	m.number = o.number
	o.beat = m
}

// first gives the message to send next, without removing it.
func (o *outbox) first() (message, bool) {
	if len(o.queue) > 0 {
		return o.queue[0], true
	}
	return o.beat, o.beat.number != 0
}

// delivered removes the message, unless it has been dropped or replaced meanwhile.
func (o *outbox) delivered(number uint64) {
	switch {
	case len(o.queue) > 0 && o.queue[0].number == number:
		o.queue = append(o.queue[:0], o.queue[1:]...)
	case o.beat.number == number:
		o.beat = message{}
	}
}

// empty tells whether no queued message waits; a heartbeat does not count.
func (o *outbox) empty() bool { return len(o.queue) == 0 }
