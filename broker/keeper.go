package broker

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// sysPrefix begins the topics in which mochi tells about itself.
const sysPrefix = "$SYS"

// keeper is the hook that keeps retained messages, and sessions that outlive
// their connection, in the store. What ends with its connection is not written.
//
// It comes last, so it sees subscriptions as they were granted. It is told of a
// queued message before OnPublished, which is when the sender is answered: an
// answered message has been stored.
type keeper struct {
	mqtt.HookBase
	store    *store // nil: nothing is kept
	now      func() time.Time
	retained *packets.Packets // mochi's retained messages
	owners   *owners
	topics   stripes // guard what is kept of a topic's retained message

	mu       sync.RWMutex
	sessions map[string]struct{} // client IDs of those in the store
}

func newKeeper(server *mqtt.Server, now func() time.Time) *keeper {
	return &keeper{
		now: now, retained: server.Topics.Retained, owners: newOwners(), topics: stripes{seed: maphash.MakeSeed()},
		sessions: map[string]struct{}{},
	}
}

// ID names the hook in mochi's log.
func (k *keeper) ID() string { return "boomgate-keeper" }

// Provides lists the events that the keeper wants.
func (k *keeper) Provides(event byte) bool {
	switch event {
	case mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnSubscribed, mqtt.OnUnsubscribed,
		mqtt.OnQosComplete, mqtt.OnQosDropped, mqtt.OnPacketProcessed:
		return k.store != nil
	case mqtt.OnRetainMessage, mqtt.OnRetainedExpired:
		return true
	default:
		return false
	}
}

// kept reports whether the session of that client ID is in the store.
func (k *keeper) kept(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, known := k.sessions[id]
	return known
}

func (k *keeper) note(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sessions[id] = struct{}{}
}

// keptIDs lists the client IDs of the sessions in the store.
func (k *keeper) keptIDs() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Collect(maps.Keys(k.sessions))
}

// forget removes a session from the store with everything that it owns.
func (k *keeper) forget(id string) {
	k.mu.Lock()
	_, known := k.sessions[id]
	delete(k.sessions, id)
	k.mu.Unlock()
	if !known {
		return
	}
	k.store.remove(sessionKey(id))
	owned := [][]byte{ownedPrefix(kindSubscription, id), ownedPrefix(kindMessage, id)}
	if err := k.store.removeAll(owned); err != nil {
		k.store.failed("delete", kindSession, err)
	}
}

// put writes a record; a failure is the operator's business.
func (k *keeper) put(key, value []byte) {
	if err := k.store.put(key, value); err != nil {
		k.store.failed("write", key[0], err)
	}
}

func (k *keeper) putSession(cl *mqtt.Client, disconnected int64) {
	k.put(sessionKey(cl.ID), encodeJSON(sessionRecord{
		Owner:        cl.Properties.Username,
		Version:      cl.Properties.ProtocolVersion,
		Clean:        cl.Properties.Clean,
		Expiry:       cl.Properties.Props.SessionExpiryInterval,
		ExpirySet:    cl.Properties.Props.SessionExpiryIntervalFlag,
		Listener:     cl.Net.Listener,
		Disconnected: disconnected,
	}))
}

func (k *keeper) putMessage(id string, pk packets.Packet) {
	value, err := encodeMessage(pk)
	if err != nil {
		k.store.failed("write", kindMessage, err)
		return
	}
	k.put(messageKey(id, pk.PacketID), value)
}

// OnSessionEstablished begins to keep a session, or ceases to.
func (k *keeper) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	known := k.kept(cl.ID)
	if endsWithConnection(cl) {
		if known {
			k.forget(cl.ID)
		}
		return
	}
	if !known {
		for filter, sub := range cl.State.Subscriptions.GetAll() {
			k.put(subscriptionKey(cl.ID, filter), encodeJSON(subscriptionToRecord(sub)))
		}
		for _, pk := range cl.State.Inflight.GetAll(false) {
			k.putNeeded(cl.ID, pk)
		}
		k.note(cl.ID)
	}
	k.putSession(cl, 0)
}

// OnDisconnect notes when the session's clock began to run, or that it is over.
func (k *keeper) OnDisconnect(cl *mqtt.Client, _ error, ends bool) {
	if cl.IsTakenOver() || !k.kept(cl.ID) {
		return
	}
	if ends {
		k.forget(cl.ID)
		return
	}
	k.putSession(cl, k.now().Unix())
	if !k.kept(cl.ID) { // ended meanwhile by somebody else
		k.store.remove(sessionKey(cl.ID))
	}
}

// OnSubscribed keeps the subscriptions that were granted.
func (k *keeper) OnSubscribed(cl *mqtt.Client, pk packets.Packet, reasonCodes []byte) {
	if !k.kept(cl.ID) {
		return
	}
	for i, sub := range pk.Filters {
		if i < len(reasonCodes) && reasonCodes[i] < packets.ErrUnspecifiedError.Code {
			k.put(subscriptionKey(cl.ID, sub.Filter), encodeJSON(subscriptionToRecord(sub)))
		}
	}
}

// OnUnsubscribed removes subscriptions. A packet without an identifier is the
// server's own: if it leaves a session that is offline without any
// subscription, the session is over. (It may also have been stripped of all its
// rights; then it is made anew, like one that is over.)
func (k *keeper) OnUnsubscribed(cl *mqtt.Client, pk packets.Packet) {
	if !k.kept(cl.ID) {
		return
	}
	if pk.PacketID == 0 && cl.Closed() && cl.State.Subscriptions.Len() == 0 {
		k.forget(cl.ID)
		return
	}
	keys := make([][]byte, 0, len(pk.Filters))
	for _, sub := range pk.Filters {
		keys = append(keys, subscriptionKey(cl.ID, sub.Filter))
	}
	if len(keys) > 0 {
		k.store.remove(keys...)
	}
}

// keep writes a packet on its way to a session that is in the store.
func (k *keeper) keep(id string, pk packets.Packet) {
	if k.store == nil || pk.FixedHeader.Dup || !k.kept(id) { // DUP: mochi resends what the store has
		return
	}
	k.putNeeded(id, pk)
}

// putNeeded writes a packet if a resumed session needs it: a PUBLISH or PUBREL to
// be resent, or the PUBREC that tells a repeated message from a new one.
func (k *keeper) putNeeded(id string, pk packets.Packet) {
	switch pk.FixedHeader.Type {
	case packets.Publish, packets.Pubrel, packets.Pubrec:
		k.putMessage(id, pk)
	}
}

// OnPacketProcessed keeps a QoS 2 flow's second half, so that its message is not published again.
func (k *keeper) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, _ error) {
	if pk.FixedHeader.Type != packets.Pubrec || !k.kept(cl.ID) {
		return
	}
	if flow, ok := cl.State.Inflight.Get(pk.PacketID); ok && flow.FixedHeader.Type == packets.Pubrel {
		k.putMessage(cl.ID, flow)
	}
}

// OnQosComplete removes a message that has arrived.
func (k *keeper) OnQosComplete(cl *mqtt.Client, pk packets.Packet) {
	if !isOwnPuback(pk) && k.kept(cl.ID) {
		k.store.remove(messageKey(cl.ID, pk.PacketID))
	}
}

// OnQosDropped removes a message that has expired or was given up. What a
// session that was taken over drops lives on in its successor.
func (k *keeper) OnQosDropped(cl *mqtt.Client, pk packets.Packet) {
	if k.store != nil && !cl.IsTakenOver() && k.kept(cl.ID) {
		k.store.remove(messageKey(cl.ID, pk.PacketID))
	}
}
