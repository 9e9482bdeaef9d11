package broker

import (
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
// It comes last, so it sees subscriptions as they were granted. mochi tells it
// of a queued message before OnPublished, which is when the sender is answered:
// an answered message has been stored.
type keeper struct {
	mqtt.HookBase
	store *store // nil: nothing is kept
	now   func() time.Time

	mu       sync.RWMutex
	sessions map[string]*keptSession
}

// keptSession is what the keeper knows of a session in the store.
type keptSession struct {
	dropped bool // messages were dropped that are still in the store
}

// ID names the hook in mochi's log.
func (k *keeper) ID() string { return "boomgate-keeper" }

// Provides lists the events that the keeper wants.
func (k *keeper) Provides(event byte) bool {
	switch event {
	case mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnSubscribed, mqtt.OnUnsubscribed,
		mqtt.OnQosPublish, mqtt.OnQosComplete, mqtt.OnQosDropped, mqtt.OnPacketProcessed,
		mqtt.OnPublishDropped, mqtt.OnRetainMessage, mqtt.OnRetainedExpired:
		return k.store != nil
	default:
		return false
	}
}

// kept reports whether the session of that client ID is in the store.
func (k *keeper) kept(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.sessions[id] != nil
}

func (k *keeper) note(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sessions[id] == nil {
		k.sessions[id] = &keptSession{}
	}
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
	known := k.sessions[id] != nil
	delete(k.sessions, id)
	k.mu.Unlock()
	if !known {
		return
	}
	k.store.remove(sessionKey(id))
	owned := [][]byte{ownedPrefix(kindSubscription, id), ownedPrefix(kindMessage, id)}
	if err := k.store.removeAll(owned, nil); err != nil {
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
			k.keepMessage(cl.ID, pk)
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
		return
	}
	k.sweep(cl)
}

// sweep removes messages from the store that mochi dropped without saying which.
func (k *keeper) sweep(cl *mqtt.Client) {
	k.mu.Lock()
	kept := k.sessions[cl.ID]
	due := kept != nil && kept.dropped
	if due {
		kept.dropped = false
	}
	k.mu.Unlock()
	if !due {
		return
	}
	queued := map[string]bool{}
	for _, pk := range cl.State.Inflight.GetAll(false) {
		queued[string(messageKey(cl.ID, pk.PacketID))] = true
	}
	err := k.store.removeAll([][]byte{ownedPrefix(kindMessage, cl.ID)}, func(key []byte) bool { return queued[string(key)] })
	if err != nil {
		k.store.failed("delete", kindMessage, err)
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

// OnQosPublish keeps a message on its way to a session.
func (k *keeper) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	if pk.FixedHeader.Dup || !k.kept(cl.ID) { // DUP: mochi resends what the store has
		return
	}
	k.keepMessage(cl.ID, pk)
}

// keepMessage writes a packet if a resumed session needs it: a PUBLISH or
// PUBREL to be resent, or the PUBREC that tells a repeated message from a new one.
func (k *keeper) keepMessage(id string, pk packets.Packet) {
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
	if pk.FixedHeader.Type == packets.Puback && pk.Created != 0 {
		return // the server's own answer to a QoS 1 message, which is not kept
	}
	if k.kept(cl.ID) {
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

// OnPublishDropped notes that the session's queue in the store holds too much.
func (k *keeper) OnPublishDropped(cl *mqtt.Client, _ packets.Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if kept := k.sessions[cl.ID]; kept != nil {
		kept.dropped = true
	}
}

// OnRetainMessage keeps a retained message, or removes the one that it cleared.
// When it returns, the message has survived kill -9; its sender is answered after that.
func (k *keeper) OnRetainMessage(_ *mqtt.Client, pk packets.Packet, change int64) {
	if len(pk.TopicName) >= len(sysPrefix) && pk.TopicName[:len(sysPrefix)] == sysPrefix {
		return
	}
	switch {
	case change > 0:
		value, err := encodeMessage(pk)
		if err != nil {
			k.store.failed("write", kindRetained, err)
			return
		}
		k.put(retainedKey(pk.TopicName), value)
	case change < 0:
		k.store.remove(retainedKey(pk.TopicName))
	}
}

// OnRetainedExpired removes a retained message whose time is over.
func (k *keeper) OnRetainedExpired(topic string) { k.store.remove(retainedKey(topic)) }
