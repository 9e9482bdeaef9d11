package badgerstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

// seen is what is kept of the sightings of a client, under a key of its own, so
// that neither the client's record nor an index is written for it. Times are
// milliseconds since 1970, 0 for never.
type seen struct {
	token, connected, message int64
	secrets                   []secretUse
}

// secretUse says when a secret was last used.
type secretUse struct {
	id string
	at int64
}

// encode writes the record: its version, the three clocks of eight bytes each,
// and the secrets with theirs. It has no JSON, for lists read it with every client.
func (s *seen) encode() []byte {
	data := []byte{recordVersion}
	for _, at := range []int64{s.token, s.connected, s.message} {
		data = binary.BigEndian.AppendUint64(data, uint64(at))
	}
	for _, use := range s.secrets {
		data = binary.BigEndian.AppendUint64(appendPart(data, use.id), uint64(use.at))
	}
	return data
}

// decodeSeen undoes encode.
func decodeSeen(data []byte) (*seen, error) {
	rest, err := cutVersion(data)
	if err != nil {
		return nil, err
	}
	s := &seen{}
	for _, clock := range []*int64{&s.token, &s.connected, &s.message} {
		if *clock, rest, err = cutClock(rest); err != nil {
			return nil, err
		}
	}
	for len(rest) > 0 {
		var use secretUse
		if use.id, rest, err = cutPart(rest); err != nil {
			return nil, fmt.Errorf("%w: the ID of a used secret: %w", ErrDamaged, err)
		}
		if use.at, rest, err = cutClock(rest); err != nil {
			return nil, err
		}
		s.secrets = append(s.secrets, use)
	}
	return s, nil
}

func cutClock(data []byte) (at int64, rest []byte, err error) {
	const size = 8
	if len(data) < size {
		return 0, nil, fmt.Errorf("%w: a clock is cut short", ErrDamaged)
	}
	return int64(binary.BigEndian.Uint64(data)), data[size:], nil
}

// merge moves the clocks forward to those of a sighting. It reports false for a
// secret that is not known to have been used, whose clock is left then.
func (s *seen) merge(sighting provisioning.Sighting) (known bool) {
	s.token = max(s.token, milliseconds(sighting.TokenAt))
	s.connected = max(s.connected, milliseconds(sighting.ConnectedAt))
	s.message = max(s.message, milliseconds(sighting.MessageAt))
	if sighting.SecretID == "" {
		return true
	}
	for i := range s.secrets {
		if use := &s.secrets[i]; use.id == sighting.SecretID {
			use.at = max(use.at, milliseconds(sighting.TokenAt))
			return true
		}
	}
	return false
}

// take remembers the use of a secret that the client has, and forgets those of
// secrets that it has no more.
func (s *seen) take(client *provisioning.Client, use secretUse) {
	has := func(id string) bool {
		return slices.ContainsFunc(client.Secrets, func(secret provisioning.Secret) bool { return secret.ID == id })
	}
	s.secrets = slices.DeleteFunc(s.secrets, func(use secretUse) bool { return !has(use.id) })
	if has(use.id) {
		s.secrets = append(s.secrets, use)
	}
}

// show sets the clocks of a client.
func (s *seen) show(c *provisioning.Client) {
	c.LastTokenAt, c.LastConnectedAt, c.LastMessageAt = instant(s.token), instant(s.connected), instant(s.message)
	for _, use := range s.secrets {
		for i := range c.Secrets {
			if c.Secrets[i].ID == use.id {
				c.Secrets[i].LastUsedAt = instant(use.at)
			}
		}
	}
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// seen adds the operations of sightings, which are in order of their clients.
func (c *checker) seen(sightings []provisioning.Sighting) error {
	for len(sightings) > 0 {
		id := sightings[0].ClientID
		count := slices.IndexFunc(sightings, func(s provisioning.Sighting) bool { return s.ClientID != id })
		if count < 0 {
			count = len(sightings)
		}
		if err := c.seenClient(id, sightings[:count]); err != nil {
			return fmt.Errorf("clocks of client %q: %w", id, err)
		}
		sightings = sightings[count:]
	}
	return nil
}

// seenClient adds the operation of the sightings of one client.
func (c *checker) seenClient(id string, sightings []provisioning.Sighting) error {
	client, err := c.after(id)
	if err != nil || client == nil {
		return err
	}
	key := recordKey(tagSeen, id)
	stored, found, err := load(c.txn, key)
	if err != nil {
		return err
	}
	s := &seen{}
	if found {
		if s, err = decodeSeen(stored); err != nil {
			return err
		}
	}
	for _, sighting := range sightings {
		if s.merge(sighting) {
			continue
		}
		record, err := client()
		if err != nil {
			return err
		}
		s.take(record, secretUse{sighting.SecretID, milliseconds(sighting.TokenAt)})
	}
	if data := s.encode(); !bytes.Equal(data, stored) {
		c.set(key, data)
	}
	return nil
}

// after returns what reads a client as it is when the set has been applied, or
// nil if there is none then. Most sightings need no more than that there is one.
func (c *checker) after(id string) (read func() (*provisioning.Client, error), err error) {
	if client, changed := c.clients[id]; changed {
		if client == nil {
			return nil, nil
		}
		return func() (*provisioning.Client, error) { return client, nil }, nil
	}
	data, found, err := load(c.txn, recordKey(tagClient, id))
	if err != nil || !found {
		return nil, err
	}
	return func() (*provisioning.Client, error) { return decodeClient(data) }, nil
}

// seenReader walks the sightings of clients in order of their IDs, beside a walk
// over the clients.
type seenReader struct {
	index indexReader
	begun bool
}

func openSeen(txn *badger.Txn) *seenReader {
	prefix := []byte{tagSeen}
	return &seenReader{index: indexReader{txn.NewIterator(badger.IteratorOptions{Prefix: prefix}), prefix}}
}

func (r *seenReader) close() { r.index.it.Close() }

// show sets the clocks of a client, whose ID is greater than that of the one before.
func (r *seenReader) show(c *provisioning.Client) error {
	id := []byte(c.ID)
	if !r.begun {
		r.begun = true
		r.index.it.Seek(recordKey(tagSeen, c.ID))
	} else if at := r.index.id(); at != nil && bytes.Compare(at, id) < 0 {
		r.index.advance(id)
	}
	if !bytes.Equal(r.index.id(), id) {
		return nil
	}
	return r.index.it.Item().Value(func(data []byte) error {
		s, err := decodeSeen(data)
		if err != nil {
			return err
		}
		s.show(c)
		return nil
	})
}
