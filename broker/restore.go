package broker

import (
	"fmt"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// restore puts what the store holds into the server, before it serves: sessions
// with their subscriptions and messages, and retained messages. What has
// expired meanwhile is removed. mochi's own way of loading is not used: it
// loses expiry times and protocol versions.
func (b *Broker) restore() error {
	k := b.keeper
	if k.store == nil {
		return nil
	}
	r := restorer{Broker: b, now: k.now().Unix(), longest: int64(b.limits.MaxSessionExpiry / time.Second)}
	for _, step := range []struct {
		kind byte
		load func(key, value []byte) error
	}{
		{kindSession, r.session},
		{kindSubscription, r.subscription},
		{kindMessage, r.message},
		{kindRetained, r.retained},
	} {
		err := k.store.each([]byte{step.kind}, true, func(key, value []byte) error {
			if err := step.load(key, value); err != nil {
				k.store.skipped(step.kind, err)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w: read every %s: %w", ErrDamaged, kindName(step.kind), err)
		}
	}
	r.count()
	return nil
}

// restorer is one restore under way. Its methods return an error for a record that is damaged.
type restorer struct {
	*Broker
	now     int64
	longest int64 // seconds that a session may be offline
}

func (r *restorer) session(key, value []byte) error {
	var rec sessionRecord
	if err := decodeJSON(value, &rec); err != nil {
		return err
	}
	id := string(key[1:])
	r.keeper.note(id)
	if rec.Disconnected == 0 { // the process died while the client was connected
		rec.Disconnected = r.now
		r.keeper.put(key, encodeJSON(rec))
	}
	expiry := r.longest
	if rec.Version == 5 {
		expiry = min(expiry, int64(rec.Expiry))
	}
	ends := rec.Disconnected + expiry
	if ends <= r.now {
		r.keeper.forget(id)
		return nil
	}
	cl := r.server.NewClient(nil, rec.Listener, id, false)
	cl.Properties.Username = rec.Owner
	cl.Properties.ProtocolVersion = rec.Version
	cl.Properties.Clean = rec.Clean
	if rec.Version == 5 {
		cl.Properties.Props.SessionExpiryInterval = uint32(ends - r.now) // mochi counts from now
		cl.Properties.Props.SessionExpiryIntervalFlag = true
	} else {
		r.upkeep.watch(cl, ends) // mochi would give it the whole time again
	}
	cl.Stop(packets.ErrServerShuttingDown)
	r.server.Clients.Add(cl)
	r.sessions.begin(cl)
	return nil
}

// owner is the restored session that a record belongs to. One that belongs to none is left over, and removed.
func (r *restorer) owner(key []byte) (cl *mqtt.Client, rest []byte, err error) {
	id, rest, err := splitOwned(key)
	if err != nil {
		return nil, nil, err
	}
	cl, ok := r.server.Clients.Get(id)
	if !ok {
		r.keeper.store.remove(key)
		return nil, nil, nil
	}
	return cl, rest, nil
}

func (r *restorer) subscription(key, value []byte) error {
	cl, filter, err := r.owner(key)
	if cl == nil {
		return err
	}
	var rec subscriptionRecord
	if err := decodeJSON(value, &rec); err != nil {
		return err
	}
	if !mqtt.IsValidFilter(string(filter), false) {
		return errDamagedRecord
	}
	sub := rec.subscription(string(filter))
	if r.server.Topics.Subscribe(cl.ID, sub) {
		atomic.AddInt64(&r.server.Info.Subscriptions, 1)
	}
	cl.State.Subscriptions.Add(sub.Filter, sub)
	return nil
}

func (r *restorer) message(key, value []byte) error {
	cl, _, err := r.owner(key)
	if cl == nil {
		return err
	}
	pk, err := decodeMessage(value)
	if err != nil {
		return err
	}
	if string(messageKey(cl.ID, pk.PacketID)) != string(key) {
		return errDamagedRecord
	}
	if expired(pk, r.now) {
		r.keeper.store.remove(key)
		return nil
	}
	if cl.State.Inflight.Set(pk) {
		atomic.AddInt64(&r.server.Info.Inflight, 1)
	}
	return nil
}

func (r *restorer) retained(key, value []byte) error {
	pk, owner, err := decodeRetained(value)
	if err != nil {
		return err
	}
	if pk.FixedHeader.Type != packets.Publish || len(pk.Payload) == 0 || pk.TopicName != string(key[1:]) {
		return errDamagedRecord
	}
	if expired(pk, r.now) {
		r.keeper.store.remove(key)
		return nil
	}
	pk.PacketID = 0
	r.server.Topics.RetainMessage(pk)
	r.keeper.owners.set(pk.TopicName, owner)
	return nil
}

// count counts what waits for every session, and mochi's retained messages.
func (r *restorer) count() {
	for _, cl := range r.server.Clients.GetAll() {
		s := r.sessions.of(cl)
		for _, pk := range inOrder(cl.State.Inflight.GetAll(false)) {
			switch pk.FixedHeader.Type {
			case packets.Publish:
				s.backlog.keep(pk.PacketID, contentSize(&pk))
			case packets.Pubrel:
				s.backlog.keep(pk.PacketID, 0)
			}
		}
	}
	atomic.StoreInt64(&r.server.Info.Retained, int64(r.server.Topics.Retained.Len()))
}

// expired reports whether a message's time is over (MQTT 5 §3.3.2.3.3).
func expired(pk packets.Packet, now int64) bool {
	return pk.ProtocolVersion == 5 && pk.Expiry > 0 && pk.Expiry < now
}

// prune removes the stored sessions that no longer exist: an attached hook may
// have ended restored ones when the server started.
func (b *Broker) prune() {
	for _, id := range b.keeper.keptIDs() {
		if _, ok := b.server.Clients.Get(id); !ok {
			b.keeper.forget(id)
		}
	}
	b.sessions.sweep(b.server.Clients)
}
