package badgerstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// Room for decoded records in memory, in bytes. A device takes some 1.5 KB, so the
// 40,000 that were asked for last find room.
const (
	clientRoom = 64 << 20
	roleRoom   = 8 << 20
)

// weight is about how much memory a record takes, decoded, with all its strings,
// lists and maps.
func weight(data []byte) int {
	const fixed, perByte = 512, 2
	return fixed + perByte*len(data)
}

// Client reads a client; see [provisioning.ClientReader]. It reads the database
// always, and keeps in memory what it has read.
func (s *Store) Client(ctx context.Context, id string) (c *provisioning.Client, err error) {
	var kept *provisioning.Client
	var size int
	claim := s.clients.claim(id)
	err = s.view(ctx, func(txn *badger.Txn) error {
		data, err := loadClient(txn, id)
		if err != nil {
			return err
		}
		if kept, err = decodeClient(data); err != nil {
			return err
		}
		c, size = kept.Clone(), weight(data)
		return showSeen(txn, c)
	})
	s.clients.put(id, claim, kept, size)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Cached returns a client from memory; see [provisioning.ClientReader].
func (s *Store) Cached(id string) *provisioning.Client {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil
	}
	return s.clients.get(id)
}

// loadClient returns ErrNotFound or ErrDeleted if there is no such client.
func loadClient(txn *badger.Txn, id string) (data []byte, err error) {
	data, found, err := load(txn, recordKey(tagClient, id))
	if err != nil || found {
		return data, err
	}
	_, deleted, err := load(txn, recordKey(tagTombstone, id))
	switch {
	case err != nil:
		return nil, err
	case deleted:
		return nil, provisioning.ErrDeleted
	}
	return nil, provisioning.ErrNotFound
}

// showSeen sets the clocks of a client.
func showSeen(txn *badger.Txn, c *provisioning.Client) error {
	data, found, err := load(txn, recordKey(tagSeen, c.ID))
	if err != nil || !found {
		return err
	}
	s, err := decodeSeen(data)
	if err != nil {
		return err
	}
	s.show(c)
	return nil
}

// Role reads a role; see [provisioning.RoleReader].
func (s *Store) Role(ctx context.Context, id string) (r *provisioning.Role, err error) {
	err = s.whileOpen(ctx, func() error {
		if r = s.roles.get(id); r == nil {
			r, err = s.loadRole(id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.Clone(), nil
}

// loadRole reads a role from the database and keeps it in memory.
func (s *Store) loadRole(id string) (r *provisioning.Role, err error) {
	var size int
	claim := s.roles.claim(id)
	err = s.db.View(func(txn *badger.Txn) error {
		data, found, err := load(txn, recordKey(tagRole, id))
		switch {
		case err != nil:
			return err
		case !found:
			return provisioning.ErrNotFound
		}
		r, err = decodeRole(data)
		size = weight(data)
		return err
	})
	s.roles.put(id, claim, r, size)
	return r, err
}

// Roles reads all roles; see [provisioning.RoleReader].
func (s *Store) Roles(ctx context.Context) (roles []provisioning.Role, err error) {
	err = s.view(ctx, func(txn *badger.Txn) error {
		return scan(ctx, txn, []byte{tagRole}, nil, func(_, data []byte) (bool, error) {
			r, err := decodeRole(data)
			if err != nil {
				return false, err
			}
			roles = append(roles, *r)
			return true, nil
		})
	})
	return roles, err
}

// Keys reads the keys of one use; see [provisioning.KeyReader].
func (s *Store) Keys(ctx context.Context, use string) (keys []provisioning.Key, err error) {
	if len(use) > maxPart {
		return nil, nil
	}
	err = s.view(ctx, func(txn *badger.Txn) error {
		return scan(ctx, txn, keyPrefix(use), nil, func(_, data []byte) (bool, error) {
			k, err := decodeKey(data)
			keys = append(keys, k)
			return true, err
		})
	})
	slices.SortStableFunc(keys, func(a, b provisioning.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, err
}

// Revocations reads revocations; see [provisioning.RevocationReader].
func (s *Store) Revocations(ctx context.Context, after string, limit int) (list []provisioning.Revocation, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	var from []byte
	if after != "" {
		from = recordKey(tagRevoked, after)
	}
	err = s.view(ctx, func(txn *badger.Txn) error {
		return scan(ctx, txn, []byte{tagRevoked}, from, func(_, data []byte) (bool, error) {
			r, err := decodeRevocation(data)
			list = append(list, r)
			return len(list) < limit, err
		})
	})
	return list, err
}

// scan visits the records whose keys begin with prefix, in order, from the key
// after on, until visit returns false. What visit gets is its own only during
// the call.
func scan(ctx context.Context, txn *badger.Txn, prefix, after []byte, visit func(key, data []byte) (bool, error)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(successor(prefix, after)); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		item := it.Item()
		more := false
		err := item.Value(func(data []byte) (err error) {
			more, err = visit(item.Key(), data)
			return err
		})
		if err != nil {
			return fmt.Errorf("reading the database: %w", err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// successor is the least key that is greater than after, or the least of all
// that begin with prefix if after is nil.
func successor(prefix, after []byte) []byte {
	if after == nil {
		return prefix
	}
	return append(slices.Clone(after), 0)
}
