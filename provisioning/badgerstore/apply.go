package badgerstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// maxGroup bounds how many change sets are committed together.
const maxGroup = 256

// pendingWrite is a change set on its way. Its outcome is sent once.
type pendingWrite struct {
	set     *encodedSet
	outcome chan error
}

// Apply writes a change set; see [provisioning.Applier]. A set that has been
// handed to the committing goroutine is waited for whatever becomes of the
// context, so that the outcome is known. [ErrNoSpace] says that the disk is
// nearly full.
func (s *Store) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	encoded, err := encodeSet(set)
	if err != nil {
		return err
	}
	w := &pendingWrite{set: encoded, outcome: make(chan error, 1)}
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	return <-w.outcome
}

func (s *Store) enqueue(ctx context.Context, w *pendingWrite) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return provisioning.ErrClosed
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitLoop commits what is in the queue until Close closes it.
func (s *Store) commitLoop() {
	for w := range s.queue {
		group := []*pendingWrite{w}
		for len(group) < maxGroup && len(s.queue) > 0 {
			group = append(group, <-s.queue)
		}
		for len(group) > 0 {
			group = s.commit(group)
		}
	}
}

// commit writes the first of a group, as many as fit into one transaction, tells
// each its outcome and returns the rest.
func (s *Store) commit(group []*pendingWrite) (rest []*pendingWrite) {
	if err := requireSpace(s.cfg); err != nil {
		return finish(group, err)
	}
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	room := s.room()
	var written []*pendingWrite
	for i, w := range group {
		ops, err := check(txn, w.set)
		if err != nil {
			w.outcome <- err
			continue
		}
		if !room.take(ops) {
			if len(written) > 0 {
				rest = group[i:]
				break
			}
			w.outcome <- fmt.Errorf("%w: %d records, %d bytes", provisioning.ErrTooLarge, len(ops), size(ops))
			continue
		}
		written = append(written, w)
		if err := write(txn, ops); err != nil {
			finish(written, err)
			return group[i+1:]
		}
	}
	finish(written, s.commitRecords(txn, written))
	return rest
}

// commitRecords commits what a group has written. From before until after that,
// the records of the group are in no cache: between the two, some readers may see
// the new ones already, and memory must not show the old ones to those who follow.
func (s *Store) commitRecords(txn *badger.Txn, group []*pendingWrite) error {
	var clients, roles []string
	for _, w := range group {
		for _, client := range w.set.clients {
			clients = append(clients, client.id)
		}
		for _, role := range w.set.roles {
			roles = append(roles, role.id)
		}
	}
	s.clients.hold(clients)
	defer s.clients.release(clients)
	s.roles.hold(roles)
	defer s.roles.release(roles)
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("writing the database: %w", err)
	}
	return nil
}

func finish(group []*pendingWrite, err error) (none []*pendingWrite) {
	for _, w := range group {
		w.outcome <- err
	}
	return nil
}

// op sets or deletes one key of the database.
type op struct {
	key    []byte
	value  []byte
	delete bool
}

func write(txn *badger.Txn, ops []op) error {
	for _, o := range ops {
		var err error
		if o.delete {
			err = txn.Delete(o.key)
		} else {
			err = txn.Set(o.key, o.value)
		}
		if errors.Is(err, badger.ErrTxnTooBig) {
			return provisioning.ErrTooLarge
		}
		if err != nil {
			return fmt.Errorf("writing the database: %w", err)
		}
	}
	return nil
}

// room is what still fits into a transaction.
type room struct{ count, bytes int64 }

// room leaves a little to Badger, which adds an entry of its own.
func (s *Store) room() *room {
	return &room{s.db.MaxBatchCount() - 2, s.db.MaxBatchSize() - 1024}
}

// take reports whether the operations fit, and makes the room smaller by them.
func (r *room) take(ops []op) bool {
	count, bytes := int64(len(ops)), size(ops)
	if count > r.count || bytes > r.bytes {
		return false
	}
	r.count -= count
	r.bytes -= bytes
	return true
}

// size is what operations take of a transaction, by Badger's way of counting.
func size(ops []op) int64 {
	const perEntry = 16 // timestamp, meta bytes
	var sum int64
	for _, o := range ops {
		sum += int64(len(o.key) + len(o.value) + perEntry)
	}
	return sum
}
