package badgerstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/boomgate/boomgate/provisioning"
)

// encodedSet is a change set with its records encoded, which is done before the
// set waits its turn.
type encodedSet struct {
	// named is true for a set with an ID, which every record of it holds: a
	// stored record equals the set's own if and only if the set has written it.
	named   bool
	clients []clientWrite
	roles   []roleWrite
	keys    []keyWrite
	revoked []revocationWrite
	seen    []provisioning.Sighting // in order of the clients' IDs
}

// clientWrite writes a client, or its tombstone if client is nil.
type clientWrite struct {
	id     string
	before uint64
	client *provisioning.Client
	data   []byte
}

// roleWrite writes a role, or deletes it if data is nil.
type roleWrite struct {
	id     string
	before uint64
	data   []byte
}

// keyWrite writes a key, or deletes it if data is nil.
type keyWrite struct {
	key  []byte
	data []byte
}

// revocationWrite writes a revocation, or deletes it if it is still as in data.
type revocationWrite struct {
	key    []byte
	data   []byte
	delete bool
}

var errSet = errors.New("malformed change set")

// encodeSet checks the form of a change set and encodes its records.
func encodeSet(set provisioning.ChangeSet) (*encodedSet, error) {
	out := encodedSet{named: set.ID != ""}
	seen := map[string]bool{}
	once := func(key []byte) error {
		if seen[string(key)] {
			return fmt.Errorf("%w: a record occurs twice", errSet)
		}
		seen[string(key)] = true
		return nil
	}
	for _, change := range set.Clients {
		w, err := encodeClientChange(set.ID, change)
		if err := errors.Join(err, once(recordKey(tagClient, w.id))); err != nil {
			return nil, err
		}
		out.clients = append(out.clients, w)
	}
	for _, change := range set.Roles {
		w, err := encodeRoleChange(set.ID, change)
		if err := errors.Join(err, once(recordKey(tagRole, w.id))); err != nil {
			return nil, err
		}
		out.roles = append(out.roles, w)
	}
	for _, change := range set.Keys {
		w, err := encodeKeyChange(change)
		if err := errors.Join(err, once(w.key)); err != nil {
			return nil, err
		}
		out.keys = append(out.keys, w)
	}
	for _, change := range set.Revocations {
		w, err := encodeRevocationChange(change)
		if err := errors.Join(err, once(w.key)); err != nil {
			return nil, err
		}
		out.revoked = append(out.revoked, w)
	}
	for _, s := range set.Seen {
		if s.ClientID == "" {
			return nil, fmt.Errorf("%w: a sighting names no client", errSet)
		}
	}
	out.seen = slices.SortedFunc(slices.Values(set.Seen), func(a, b provisioning.Sighting) int {
		return strings.Compare(a.ClientID, b.ClientID)
	})
	return &out, nil
}

func encodeClientChange(id string, change provisioning.ClientChange) (w clientWrite, err error) {
	switch c, t := change.Client, change.Tombstone; {
	case (c == nil) == (t == nil):
		return w, fmt.Errorf("%w: a change has either a client or a tombstone", errSet)
	case c != nil && c.Version != change.Before+1, t != nil && t.Version != change.Before+1:
		return w, fmt.Errorf("%w: a version does not follow the one before", errSet)
	case t != nil && change.Before == 0:
		return w, fmt.Errorf("%w: what is deleted has a version", errSet)
	case c != nil:
		if err := checkParts(c); err != nil {
			return w, err
		}
		w = clientWrite{id: c.ID, before: change.Before, client: c}
		w.data, err = encodeClient(id, c)
	default:
		w = clientWrite{id: t.ID, before: change.Before}
		w.data, err = encodeTombstone(id, t)
	}
	if w.id == "" {
		err = fmt.Errorf("%w: a client has no ID", errSet)
	}
	return w, err
}

// checkParts keeps out what would not fit into the key of an index.
func checkParts(c *provisioning.Client) error {
	parts := append([]string{string(c.Kind), string(c.Status), c.ID}, c.Roles...)
	for key, value := range c.Labels {
		parts = append(parts, key, value)
	}
	const limit = 1 << 10 // Badger takes keys of 65,000 bytes
	for _, part := range parts {
		if len(part) > limit {
			return fmt.Errorf("%w: an indexed value is longer than %d bytes", errSet, limit)
		}
	}
	return nil
}

func encodeRoleChange(id string, change provisioning.RoleChange) (w roleWrite, err error) {
	r := change.Role
	switch {
	case r == nil && (change.Delete == "" || change.Before == 0):
		return w, fmt.Errorf("%w: a role that is deleted has an ID and a version", errSet)
	case r == nil:
		return roleWrite{id: change.Delete, before: change.Before}, nil
	case r.ID == "" || r.Version != change.Before+1:
		return w, fmt.Errorf("%w: a role has an ID, and a version that follows the one before", errSet)
	}
	w = roleWrite{id: r.ID, before: change.Before}
	w.data, err = encodeRole(id, r)
	return w, err
}

func encodeKeyChange(change provisioning.KeyChange) (w keyWrite, err error) {
	k := change.Key
	if k.ID == "" || k.Use == "" || len(k.Use) > maxPart {
		return w, fmt.Errorf("%w: a key has an ID and a use", errSet)
	}
	w.key = append(keyPrefix(k.Use), k.ID...)
	if !change.Delete {
		w.data, err = encodeKey(k)
	}
	return w, err
}

func encodeRevocationChange(change provisioning.RevocationChange) (w revocationWrite, err error) {
	if change.Revocation.ID == "" {
		return w, fmt.Errorf("%w: a revocation has an ID", errSet)
	}
	w = revocationWrite{key: recordKey(tagRevoked, change.Revocation.ID), delete: change.Delete}
	w.data, err = encodeRevocation(change.Revocation)
	return w, err
}
