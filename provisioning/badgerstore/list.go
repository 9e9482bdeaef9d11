package badgerstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// checkEvery is how many steps of a search pass between looks at the context.
const checkEvery = 1024

// Clients reads a page of clients; see [provisioning.ClientReader].
func (s *Store) Clients(ctx context.Context, q provisioning.Query) (page provisioning.Page, err error) {
	if err := q.Validate(); err != nil {
		return provisioning.Page{}, err
	}
	after, err := decodeCursor(q)
	if err != nil {
		return provisioning.Page{}, provisioning.Invalid("cursor", err.Error())
	}
	prefixes := queryPrefixes(q)
	err = s.view(ctx, func(txn *badger.Txn) error {
		if len(prefixes) == 0 {
			page.Clients, err = listAll(ctx, txn, after, q.PageSize()+1)
		} else {
			page.Clients, err = listMatching(ctx, txn, prefixes, after, q.PageSize()+1)
		}
		return err
	})
	if err != nil {
		return provisioning.Page{}, err
	}
	if size := q.PageSize(); len(page.Clients) > size {
		page.Clients = page.Clients[:size]
		page.Next = encodeCursor(q, page.Clients[size-1].ID)
	}
	return page, nil
}

// queryPrefixes returns the indexes in whose intersection the clients lie.
func queryPrefixes(q provisioning.Query) [][]byte {
	var prefixes [][]byte
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		prefixes = append(prefixes, indexPrefix(indexLabel, key, q.Labels[key]))
	}
	if q.Role != "" {
		prefixes = append(prefixes, indexPrefix(indexRole, q.Role))
	}
	if q.Status != "" {
		prefixes = append(prefixes, indexPrefix(indexStatus, string(q.Status)))
	}
	if q.Kind != "" {
		prefixes = append(prefixes, indexPrefix(indexKind, string(q.Kind)))
	}
	return prefixes
}

// listAll returns up to limit clients that follow an ID.
func listAll(ctx context.Context, txn *badger.Txn, after string, limit int) ([]provisioning.Client, error) {
	var from []byte
	if after != "" {
		from = recordKey(tagClient, after)
	}
	seen := openSeen(txn)
	defer seen.close()
	var clients []provisioning.Client
	err := scan(ctx, txn, []byte{tagClient}, from, func(_, data []byte) (bool, error) {
		c, err := decodeClient(data)
		if err != nil {
			return false, err
		}
		clients = append(clients, *c)
		return len(clients) < limit, seen.show(&clients[len(clients)-1])
	})
	return clients, err
}

// listMatching returns up to limit clients that follow an ID and are in all of
// the indexes.
func listMatching(ctx context.Context, txn *badger.Txn, prefixes [][]byte, after string, limit int) ([]provisioning.Client, error) {
	indexes := openIndexes(txn, prefixes)
	defer closeIndexes(indexes)
	seen := openSeen(txn)
	defer seen.close()
	var clients []provisioning.Client
	err := intersect(ctx, indexes, after, func(id []byte) (bool, error) {
		data, found, err := load(txn, recordKey(tagClient, string(id)))
		if err != nil {
			return false, err
		}
		if !found {
			return false, fmt.Errorf("%w: an index names a client that is not there", ErrDamaged)
		}
		c, err := decodeClient(data)
		if err != nil {
			return false, err
		}
		clients = append(clients, *c)
		return len(clients) < limit, seen.show(&clients[len(clients)-1])
	})
	return clients, err
}

// indexReader walks the IDs of one index in order.
type indexReader struct {
	it     *badger.Iterator
	prefix []byte
}

func openIndexes(txn *badger.Txn, prefixes [][]byte) []*indexReader {
	readers := make([]*indexReader, len(prefixes))
	for i, prefix := range prefixes {
		readers[i] = &indexReader{txn.NewIterator(badger.IteratorOptions{Prefix: prefix}), prefix}
	}
	return readers
}

func closeIndexes(readers []*indexReader) {
	for _, r := range readers {
		r.it.Close()
	}
}

// id is the ID at the reader's place, nil behind the last one. It stays valid
// until the reader moves.
func (r *indexReader) id() []byte {
	if !r.it.Valid() {
		return nil
	}
	return r.it.Item().Key()[len(r.prefix):]
}

// advance moves to the first ID that is not less than the given one, which lies
// ahead. Where indexes are alike that is the next one, and a step is cheaper
// than a search.
func (r *indexReader) advance(id []byte) {
	r.it.Next()
	if at := r.id(); at != nil && bytes.Compare(at, id) < 0 {
		r.it.Seek(append(slices.Clone(r.prefix), id...))
	}
}

// intersect visits the IDs behind after that are in all of the indexes, in
// order, until visit returns false. Every index that lacks the ID in question
// says which is the next one possible, so as many IDs are looked at as the
// shortest index has, times the number of indexes at most.
func intersect(ctx context.Context, indexes []*indexReader, after string, visit func(id []byte) (bool, error)) error {
	for _, r := range indexes {
		r.it.Seek(successor(r.prefix, afterKey(r.prefix, after)))
	}
	wanted := bytes.Clone(indexes[0].id())
	agreed := 0
	for step := 0; wanted != nil; step++ {
		if step%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r := indexes[step%len(indexes)]
		at := r.id()
		if at != nil && bytes.Compare(at, wanted) < 0 {
			r.advance(wanted)
			at = r.id()
		}
		if !bytes.Equal(at, wanted) {
			wanted, agreed = bytes.Clone(at), 0
		}
		if agreed++; agreed < len(indexes) {
			continue
		}
		more, err := visit(wanted)
		if err != nil || !more {
			return err
		}
		r.it.Next()
		wanted, agreed = bytes.Clone(r.id()), 0
	}
	return nil
}

func afterKey(prefix []byte, after string) []byte {
	if after == "" {
		return nil
	}
	return append(slices.Clone(prefix), after...)
}
