package badgerstore

import (
	"bytes"
	"slices"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// These tests are internal: the codecs are no part of the package's interface.

func FuzzKeys(f *testing.F) {
	f.Add("a", "b:c", "a:b", "c", "device-1")
	f.Add("site", "garage-1", "site", "garage-10", "x")
	f.Add("", "", "", "\x00", "0")
	f.Add("a", "x", "ax", "", "b-c")
	f.Add("\x00\x01a", "\xff", "", "", "z")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2, id string) {
		if len(key1)+len(value1)+len(key2)+len(value2) > maxPart || id == "" {
			return
		}
		one := indexKey(id, indexLabel, key1, value1)
		gotID, field, values, err := parseIndexKey(one)
		if err != nil || gotID != id || field != indexLabel || !slices.Equal(values, []string{key1, value1}) {
			t.Fatalf("parseIndexKey(%q) = %q, %q, %q, %v", one, gotID, field, values, err)
		}
		two := indexPrefix(indexLabel, key2, value2)
		same := key1 == key2 && value1 == value2
		if bytes.HasPrefix(one, two) != same {
			t.Fatalf("the entry of %q=%q lies in the index of %q=%q", key1, value1, key2, value2)
		}
		if bytes.HasPrefix(one, indexPrefix(indexRole, key1)) || bytes.HasPrefix(one, indexPrefix(indexKind, key1)) {
			t.Fatal("the entry of a label lies in the index of another field")
		}
		use, other := append(keyPrefix(key1), id...), keyPrefix(key2)
		if bytes.HasPrefix(use, other) != (key1 == key2) {
			t.Fatalf("the key of use %q is listed under use %q", key1, key2)
		}
	})
}

func FuzzParseIndexKey(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("ik"))
	f.Add(indexKey("a", indexKind, "device"))
	f.Add(indexKey("a", indexLabel, "site", "garage-1"))
	f.Add([]byte("il\xff\xff"))
	f.Fuzz(func(t *testing.T, key []byte) {
		id, field, values, err := parseIndexKey(key)
		if err == nil && !bytes.Equal(indexKey(id, field, values...), key) {
			t.Fatalf("parseIndexKey(%q) = %q, %q, %q, which make another key", key, id, field, values)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("device-1", "device", "site", "garage-1", "")
	f.Add("a", "", "", "", "AQ")
	f.Add("a", "service", "k", "v", "AQAAAAAAAAAAYQ")
	f.Add("z", "", "\x00", "=", "!")
	f.Fuzz(func(t *testing.T, id, kind, key, value, forged string) {
		if id == "" || len(id) > provisioning.MaxIDLength {
			return
		}
		q := provisioning.Query{Kind: provisioning.Kind(kind), Labels: map[string]string{key: value}}
		q.Cursor = encodeCursor(q, id)
		if got, err := decodeCursor(q); err != nil || got != id {
			t.Fatalf("decodeCursor(%q) = %q, %v, want %q", q.Cursor, got, err, id)
		}
		other := q
		other.Labels = map[string]string{key: value + "x"}
		if _, err := decodeCursor(other); err == nil {
			t.Fatal("a cursor was taken for another list's")
		}
		q.Cursor = forged
		if after, err := decodeCursor(q); err == nil && forged != "" && encodeCursor(q, after) != forged {
			t.Fatalf("the cursor %q was taken for the one of %q", forged, after)
		}
	})
}

func FuzzSeen(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&seen{}).encode())
	f.Add((&seen{token: 1, message: 1 << 40, secrets: []secretUse{{"one", 1}, {"", -1}}}).encode())
	f.Add((&seen{secrets: []secretUse{{"one", 1}}}).encode()[:30])
	f.Add([]byte{recordVersion + 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSeen(data)
		if err == nil && !bytes.Equal(s.encode(), data) {
			t.Fatalf("decodeSeen(%q) = %+v, which makes another record", data, s)
		}
	})
}
