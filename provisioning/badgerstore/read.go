package badgerstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// Client reads a client; see [provisioning.ClientReader].
func (s *Store) Client(ctx context.Context, id string) (c *provisioning.Client, err error) {
	err = s.view(ctx, func(txn *badger.Txn) error {
		c, err = readClient(txn, id)
		return err
	})
	return c, err
}

// readClient returns ErrNotFound or ErrDeleted if there is no such client.
func readClient(txn *badger.Txn, id string) (*provisioning.Client, error) {
	data, found, err := load(txn, recordKey(tagClient, id))
	if err != nil {
		return nil, err
	}
	if found {
		c, err := decodeClient(data)
		if err != nil {
			return nil, err
		}
		if err := showSeen(txn, c); err != nil {
			return nil, err
		}
		return c, nil
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
	err = s.view(ctx, func(txn *badger.Txn) error {
		data, found, err := load(txn, recordKey(tagRole, id))
		if err != nil {
			return err
		}
		if !found {
			return provisioning.ErrNotFound
		}
		r, err = decodeRole(data)
		return err
	})
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
