package badgerstore

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	cursorVersion = 1
	cursorSumSize = 8
)

var errCursor = errors.New("is not the cursor of this list: take it unchanged from the page before, with the same filters")

// encodeCursor makes the cursor of the page that follows the client with that
// ID: a version, a sum over the filters and the ID, and the ID. It holds a
// position and no state, so concurrent writes do not disturb it. The sum is no
// signature: a forged cursor begins the list at another ID and gains nothing else.
func encodeCursor(q provisioning.Query, after string) string {
	raw := append([]byte{cursorVersion}, cursorSum(q, after)...)
	return base64.RawURLEncoding.EncodeToString(append(raw, after...))
}

// decodeCursor returns the ID that the page is to follow, "" for the first page.
func decodeCursor(q provisioning.Query) (after string, err error) {
	if q.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil || len(raw) <= 1+cursorSumSize || raw[0] != cursorVersion {
		return "", errCursor
	}
	sum, id := raw[1:1+cursorSumSize], string(raw[1+cursorSumSize:])
	if len(id) > provisioning.MaxIDLength || subtle.ConstantTimeCompare(sum, cursorSum(q, id)) != 1 {
		return "", errCursor
	}
	return id, nil
}

// cursorSum is a sum over the filters and an ID. Each text is preceded by its
// length, so that different lists of texts never sum up alike.
func cursorSum(q provisioning.Query, id string) []byte {
	hash := sha256.New()
	write := func(texts ...string) {
		for _, text := range texts {
			var length [8]byte
			binary.BigEndian.PutUint64(length[:], uint64(len(text)))
			hash.Write(length[:])
			hash.Write([]byte(text))
		}
	}
	write(id, string(q.Kind), string(q.Status), q.Role)
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		write(key, q.Labels[key])
	}
	return hash.Sum(nil)[:cursorSumSize]
}
