package badgerstore

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What a key begins with.
const (
	tagClient    = 'c' // tagClient, ID -> client record
	tagTombstone = 't' // tagTombstone, ID -> tombstone record
	tagRole      = 'r' // tagRole, ID -> role record
	tagKey       = 'k' // tagKey, use, ID -> key record
	tagSeen      = 's' // tagSeen, ID -> when a client was seen
	tagRevoked   = 'v' // tagRevoked, ID -> revocation record
	tagIndex     = 'i' // tagIndex, field, values, ID -> nothing
)

// The fields that clients are indexed by.
const (
	indexKind   = 'k' // one value: the kind
	indexStatus = 's' // one value: the status
	indexRole   = 'r' // one value: a role's ID
	indexLabel  = 'l' // two values: a label's key and value
)

// maxPart bounds one part of a key; its length takes two bytes.
const maxPart = 1<<16 - 1

var errKey = errors.New("malformed key")

// recordKey is the key of a record that has an ID of its own kind.
func recordKey(tag byte, id string) []byte {
	return append([]byte{tag}, id...)
}

// keyPrefix is what all keys of one use begin with.
func keyPrefix(use string) []byte {
	return appendPart([]byte{tagKey}, use)
}

// indexPrefix is what all entries of one index begin with; the rest of each is a
// client's ID. Every value is preceded by its length, so that no two lists of
// values have the same prefix.
func indexPrefix(field byte, values ...string) []byte {
	key := []byte{tagIndex, field}
	for _, value := range values {
		key = appendPart(key, value)
	}
	return key
}

func indexKey(id string, field byte, values ...string) []byte {
	return append(indexPrefix(field, values...), id...)
}

// parseIndexKey undoes indexKey.
func parseIndexKey(key []byte) (id string, field byte, values []string, err error) {
	if len(key) < 2 || key[0] != tagIndex {
		return "", 0, nil, fmt.Errorf("%w: no index entry", errKey)
	}
	field, rest := key[1], key[2:]
	count := 1
	switch field {
	case indexKind, indexStatus, indexRole:
	case indexLabel:
		count = 2
	default:
		return "", 0, nil, fmt.Errorf("%w: no such index", errKey)
	}
	for range count {
		var value string
		if value, rest, err = cutPart(rest); err != nil {
			return "", 0, nil, err
		}
		values = append(values, value)
	}
	if len(rest) == 0 {
		return "", 0, nil, fmt.Errorf("%w: no ID", errKey)
	}
	return string(rest), field, values, nil
}

func appendPart(key []byte, part string) []byte {
	key = binary.BigEndian.AppendUint16(key, uint16(len(part)))
	return append(key, part...)
}

func cutPart(key []byte) (part string, rest []byte, err error) {
	if len(key) < 2 {
		return "", nil, fmt.Errorf("%w: cut short", errKey)
	}
	n := int(binary.BigEndian.Uint16(key))
	if len(key) < 2+n {
		return "", nil, fmt.Errorf("%w: cut short", errKey)
	}
	return string(key[2 : 2+n]), key[2+n:], nil
}
