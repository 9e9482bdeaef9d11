package broker

// inboundID turns the packet identifier of a client's own PUBLISH, SUBSCRIBE,
// UNSUBSCRIBE or PUBREL into the one that mochi shall see, and back again for
// the answer: it flips the highest bit.
//
// The identifiers of the two directions are independent (MQTT 5 §2.2.1), but
// mochi keeps both in one table and both begin at 1. A SUBSCRIBE would be
// refused, and an outbound message forgotten, because an outbound message of
// the same number is unacknowledged. Kept half the range apart they do not meet,
// unless a session has sent 32,768 messages and the numbers happen to coincide.
func inboundID(id uint16) uint16 {
	const top = 1 << 15
	if id&^top == 0 {
		return id // 0 is no identifier, so 32,768 stays what it is
	}
	return id ^ top
}
