package broker

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// RetainedBy is the number of retained messages that this owner was the last to
// publish, wills included. The owner of a message is what the attached hook has
// put into the Properties.Username of its publisher; the program's own messages,
// and those kept before publishers were recorded, have none. It costs the same
// however many there are, and may be called concurrently.
func (b *Broker) RetainedBy(owner string) int { return b.keeper.owners.count(owner) }

// RemoveRetained clears the retained messages of an owner, of which subscribers
// learn by an empty retained message, and returns how many there were. What
// another client publishes on such a topic in the same moment may be cleared with
// it. If ctx ends, the rest stays.
func (b *Broker) RemoveRetained(ctx context.Context, owner string) (int, error) {
	if !b.accepting() {
		return 0, ErrNotRunning
	}
	removed := 0
	for _, topic := range b.keeper.owners.topics(owner) {
		if b.keeper.owners.of(topic) != owner { // published by another client meanwhile, or cleared
			continue
		}
		if err := b.Publish(ctx, topic, nil, 1, true); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// owners knows who published which retained message. An owner is never empty.
type owners struct {
	mu      sync.RWMutex
	byTopic map[string]string
	byOwner map[string]map[string]struct{} // topics
}

func newOwners() *owners {
	return &owners{byTopic: map[string]string{}, byOwner: map[string]map[string]struct{}{}}
}

// set notes the owner of the message on a topic; empty if it has none, or there is none.
func (o *owners) set(topic, owner string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.byTopic[topic]
	if before == owner {
		return
	}
	if before != "" {
		delete(o.byTopic, topic)
		delete(o.byOwner[before], topic)
		if len(o.byOwner[before]) == 0 {
			delete(o.byOwner, before)
		}
	}
	if owner == "" {
		return
	}
	o.byTopic[topic] = owner
	if o.byOwner[owner] == nil {
		o.byOwner[owner] = map[string]struct{}{}
	}
	o.byOwner[owner][topic] = struct{}{}
}

func (o *owners) of(topic string) string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.byTopic[topic]
}

func (o *owners) count(owner string) int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.byOwner[owner])
}

func (o *owners) topics(owner string) []string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Collect(maps.Keys(o.byOwner[owner]))
}

// stripes are locks, one for each of many groups of topics.
type stripes struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

// of is the lock of a topic.
func (s *stripes) of(topic string) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, topic)%uint64(len(s.locks))]
}

// OnRetainMessage keeps a retained message, or forgets the one that was cleared.
// When it returns, the message has survived kill -9; its sender is answered after
// that. mochi calls it without a lock, so what two clients publish at once may be
// told in the wrong order: what counts is what mochi holds now.
func (k *keeper) OnRetainMessage(cl *mqtt.Client, pk packets.Packet, _ int64) {
	if len(pk.TopicName) >= len(sysPrefix) && pk.TopicName[:len(sysPrefix)] == sysPrefix {
		return
	}
	mu := k.topics.of(pk.TopicName)
	mu.Lock()
	defer mu.Unlock()
	current, there := k.retained.Get(pk.TopicName)
	switch {
	case !there:
		k.forgetRetained(pk.TopicName)
	case current.Origin == pk.Origin: // else the call for the other message is on its way
		k.keepRetained(current, string(cl.Properties.Username))
	}
}

// OnRetainedExpired forgets a retained message whose time is over.
func (k *keeper) OnRetainedExpired(topic string) {
	mu := k.topics.of(topic)
	mu.Lock()
	defer mu.Unlock()
	if _, there := k.retained.Get(topic); !there {
		k.forgetRetained(topic)
	}
}

func (k *keeper) keepRetained(pk packets.Packet, owner string) {
	if k.store != nil {
		value, err := encodeRetained(pk, owner)
		if err != nil {
			k.store.failed("write", kindRetained, err)
			return
		}
		k.put(retainedKey(pk.TopicName), value)
	}
	k.owners.set(pk.TopicName, owner)
}

func (k *keeper) forgetRetained(topic string) {
	k.owners.set(topic, "")
	if k.store != nil {
		k.store.remove(retainedKey(topic))
	}
}
