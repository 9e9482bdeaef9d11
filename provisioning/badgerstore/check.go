package badgerstore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// checker turns a change set into operations, if it holds up against what the
// transaction sees. It writes nothing, so a set that does not hold up leaves the
// transaction to the others.
type checker struct {
	txn   *badger.Txn
	named bool // the set has an ID
	ops   []op
	// records counts the records of the set, applied those that are already as
	// the set would have them.
	records, applied int
	// clients holds what the set makes of the clients that it changes; nil deletes.
	clients map[string]*provisioning.Client
	// roles says of the roles that the set changes whether they exist afterwards.
	roles map[string]bool
	// holders says by how many the set changes the number of clients that hold a role.
	holders map[string]int
}

// check returns the operations that a change set comes to; none if it has been
// applied before.
func check(txn *badger.Txn, set *encodedSet) ([]op, error) {
	c := &checker{txn: txn, named: set.named, clients: map[string]*provisioning.Client{}, roles: map[string]bool{}, holders: map[string]int{}}
	if err := c.all(set); err != nil {
		return nil, err
	}
	if c.applied > 0 && c.applied < c.records {
		return nil, fmt.Errorf("%w: a part of the change set is there already", provisioning.ErrConflict)
	}
	if c.applied > 0 {
		c.ops = nil
	}
	if err := c.seen(set.seen); err != nil {
		return nil, err
	}
	return c.ops, nil
}

// all adds the operations of the records of a set.
func (c *checker) all(set *encodedSet) error {
	for _, w := range set.keys {
		if err := c.key(w); err != nil {
			return err
		}
	}
	for _, w := range set.roles {
		if err := c.role(w); err != nil {
			return fmt.Errorf("role %q: %w", w.id, err)
		}
	}
	for _, w := range set.clients {
		if err := c.client(w); err != nil {
			return fmt.Errorf("client %q: %w", w.id, err)
		}
	}
	for _, w := range set.roles {
		if w.data == nil {
			if err := c.roleUnused(w.id); err != nil {
				return err
			}
		}
	}
	for _, w := range set.revoked {
		if err := c.revocation(w); err != nil {
			return fmt.Errorf("revocation: %w", err)
		}
	}
	return nil
}

func (c *checker) set(key, value []byte) { c.ops = append(c.ops, op{key: key, value: value}) }
func (c *checker) delete(key []byte)     { c.ops = append(c.ops, op{key: key, delete: true}) }

// wrote reports whether a stored record is there because the set has been applied.
func (c *checker) wrote(stored, data []byte) bool { return c.named && bytes.Equal(stored, data) }

func (c *checker) key(w keyWrite) error {
	c.records++
	stored, found, err := load(c.txn, w.key)
	switch {
	case err != nil:
		return err
	case w.data == nil && !found, w.data != nil && found && bytes.Equal(stored, w.data):
		c.applied++
	case w.data == nil:
		c.delete(w.key)
	case found:
		return fmt.Errorf("key: %w", provisioning.ErrExists)
	default:
		c.set(w.key, w.data)
	}
	return nil
}

func (c *checker) role(w roleWrite) error {
	c.records++
	c.roles[w.id] = w.data != nil
	key := recordKey(tagRole, w.id)
	stored, found, err := load(c.txn, key)
	switch {
	case err != nil:
		return err
	case w.data == nil && !found, w.data != nil && found && c.wrote(stored, w.data):
		c.applied++
		return nil
	case !found && w.before != 0:
		return provisioning.ErrNotFound
	case found && w.before == 0:
		return provisioning.ErrExists
	case found:
		r, err := decodeRole(stored)
		if err != nil {
			return err
		}
		if r.Version != w.before {
			return provisioning.ErrConflict
		}
	}
	if w.data == nil {
		c.delete(key)
	} else {
		c.set(key, w.data)
	}
	return nil
}

func (c *checker) client(w clientWrite) error {
	c.records++
	before, applied, err := c.before(w)
	if err != nil {
		return err
	}
	if applied {
		c.applied++
		return nil
	}
	c.clients[w.id] = w.client
	if w.client == nil {
		c.set(recordKey(tagTombstone, w.id), w.data)
		c.delete(recordKey(tagClient, w.id))
		c.delete(recordKey(tagSeen, w.id))
	} else {
		if err := c.rolesExist(w.client.Roles); err != nil {
			return err
		}
		c.set(recordKey(tagClient, w.id), w.data)
	}
	c.index(before, w.client)
	return nil
}

// before returns the client that a write replaces, nil for none, or that the
// write has been applied.
func (c *checker) before(w clientWrite) (before *provisioning.Client, applied bool, err error) {
	tombstone, deleted, err := load(c.txn, recordKey(tagTombstone, w.id))
	if err != nil {
		return nil, false, err
	}
	if deleted {
		switch {
		case w.client == nil && c.wrote(tombstone, w.data):
			return nil, true, nil
		case w.before == 0:
			return nil, false, fmt.Errorf("%w: it %w", provisioning.ErrExists, provisioning.ErrDeleted)
		}
		return nil, false, provisioning.ErrDeleted
	}
	stored, found, err := load(c.txn, recordKey(tagClient, w.id))
	switch {
	case err != nil:
		return nil, false, err
	case !found && w.before == 0:
		return nil, false, nil
	case !found:
		return nil, false, provisioning.ErrNotFound
	case w.client != nil && c.wrote(stored, w.data):
		return nil, true, nil
	case w.before == 0:
		return nil, false, provisioning.ErrExists
	}
	if before, err = decodeClient(stored); err != nil {
		return nil, false, err
	}
	if before.Version != w.before {
		return nil, false, provisioning.ErrConflict
	}
	return before, false, nil
}

// rolesExist returns ErrConflict for a role that is not there when the set has
// been applied.
func (c *checker) rolesExist(roles []string) error {
	for _, id := range roles {
		exists, known := c.roles[id]
		if !known {
			var err error
			if _, exists, err = load(c.txn, recordKey(tagRole, id)); err != nil {
				return err
			}
		}
		if !exists {
			return fmt.Errorf("%w: there is no role %q", provisioning.ErrConflict, id)
		}
	}
	return nil
}

// revocation adds the operation of a revocation, which has no part in the versions.
func (c *checker) revocation(w revocationWrite) error {
	stored, found, err := load(c.txn, w.key)
	same := found && bytes.Equal(stored, w.data)
	switch {
	case err != nil:
		return err
	case w.delete && same:
		c.delete(w.key)
	case !w.delete && !same:
		c.set(w.key, w.data)
	}
	return nil
}

// roleUnused returns a RoleInUseError if clients hold a role when the set has
// been applied.
func (c *checker) roleUnused(id string) error {
	it := c.txn.NewIterator(badger.IteratorOptions{Prefix: indexPrefix(indexRole, id)})
	defer it.Close()
	count := c.holders[id]
	for it.Rewind(); it.Valid(); it.Next() {
		count++
	}
	if count > 0 {
		return &provisioning.RoleInUseError{Role: id, Clients: count}
	}
	return nil
}

// index brings the indexes from one state of a client to the next; nil is no client.
func (c *checker) index(before, after *provisioning.Client) {
	old, now := indexKeys(before), indexKeys(after)
	for _, key := range old {
		if _, kept := slices.BinarySearchFunc(now, key, bytes.Compare); !kept {
			c.delete(key)
		}
	}
	for _, key := range now {
		if _, there := slices.BinarySearchFunc(old, key, bytes.Compare); !there {
			c.set(key, nil)
		}
	}
	for _, role := range rolesOf(before) {
		c.holders[role]--
	}
	for _, role := range rolesOf(after) {
		c.holders[role]++
	}
}

// rolesOf returns the roles of a client, each once; nil has none.
func rolesOf(client *provisioning.Client) []string {
	if client == nil {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(client.Roles)))
}

// indexKeys returns the index entries of a client, in order and each once.
func indexKeys(client *provisioning.Client) [][]byte {
	if client == nil {
		return nil
	}
	keys := [][]byte{
		indexKey(client.ID, indexKind, string(client.Kind)),
		indexKey(client.ID, indexStatus, string(client.Status)),
	}
	for _, role := range client.Roles {
		keys = append(keys, indexKey(client.ID, indexRole, role))
	}
	for key, value := range client.Labels {
		keys = append(keys, indexKey(client.ID, indexLabel, key, value))
	}
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}
