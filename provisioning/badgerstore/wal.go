package badgerstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
)

// The format of Badger's logs: a header, then entries of meta byte, user meta
// byte, three varints (length of key and value, expiry), key, value, CRC-32C.
// Keys end in 8 bytes of timestamp. The last entry of a transaction has a key of
// its own and the timestamp as text.
const (
	logHeaderSize  = 20
	timestampSize  = 8
	metaLast       = 1 << 7 // the entry ends a transaction
	lastEntryKey   = "!badger!txn"
	maxEntryHeader = 22
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logEntry is what checkLogs needs to know of an entry.
type logEntry struct {
	size int
	last bool
	ts   uint64 // of an entry that ends a transaction
}

// checkLogs reads the logs of one kind, oldest first, and returns ErrDamaged if
// one holds a bad entry which is not just the end of an unfinished write. It
// returns the paths of those that hold not a byte.
//
// After a power cut the last write may be there in part, in any part: Badger
// drops it, which is right, for it was never acknowledged. This store has one
// write on its way at a time and syncs it before the next. So a write that ends
// behind a bad entry, and is not itself the one with the bad entry, says that
// acknowledged data is bad, and dropping it would be a loss.
func checkLogs(dir string, names []string) (empty []string, err error) {
	cut := "" // the log before that does not end where it should
	for _, name := range names {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, folderError(dir, "cannot be read", err)
		}
		if len(data) == 0 {
			empty = append(empty, path)
		}
		end, lastTS := readLog(data)
		if lastTS != 0 && cut != "" {
			return nil, damaged(dir, cut+" is damaged at its end, and later writes follow")
		}
		later := laterWrites(data[end:])
		unfinished := len(later) == 0 || len(later) == 1 && (lastTS == 0 || later[0] == lastTS+1)
		if !unfinished {
			return nil, damaged(dir, fmt.Sprintf("%s is damaged behind byte %d, and later writes follow; "+
				"to give those up instead, cut the file there (truncate -s %d)", name, end, end))
		}
		if len(bytes.TrimLeft(data[end:], "\x00")) > 0 {
			cut = name
		}
	}
	return empty, nil
}

// readLog reads entries up to the first bad one. It returns where the last whole
// transaction ends and its timestamp.
func readLog(data []byte) (end int, lastTS uint64) {
	end = min(logHeaderSize, len(data))
	for at := end; ; {
		entry, ok := readEntry(data[at:])
		if !ok {
			return end, lastTS
		}
		at += entry.size
		if entry.last {
			end, lastTS = at, entry.ts
		}
	}
}

// laterWrites returns the timestamps of the transactions that end in data.
func laterWrites(data []byte) []uint64 {
	const header = 5 // of an entry whose lengths and expiry take a byte each
	var found []uint64
	for at := 0; ; {
		next := bytes.Index(data[at:], []byte(lastEntryKey))
		if next < 0 {
			return found
		}
		at += next
		if at >= header {
			if entry, ok := readEntry(data[at-header:]); ok && entry.last {
				found = append(found, entry.ts)
			}
		}
		at += len(lastEntryKey)
	}
}

// readEntry reads the entry at the beginning of data; ok is false if there is
// none or its checksum is wrong.
func readEntry(data []byte) (entry logEntry, ok bool) {
	at := 2
	if len(data) < maxEntryHeader {
		return logEntry{}, false
	}
	var lengths [3]uint64
	for i := range lengths {
		value, n := binary.Uvarint(data[at:min(at+binary.MaxVarintLen64, len(data))])
		if n <= 0 {
			return logEntry{}, false
		}
		lengths[i] = value
		at += n
	}
	keyLen, valueLen := lengths[0], lengths[1]
	left := uint64(len(data) - at)
	if keyLen < timestampSize || keyLen > left || valueLen > left-keyLen || left-keyLen-valueLen < crc32.Size {
		return logEntry{}, false
	}
	keyEnd := at + int(keyLen)
	end := keyEnd + int(valueLen)
	if crc32.Checksum(data[:end], castagnoli) != binary.BigEndian.Uint32(data[end:]) {
		return logEntry{}, false
	}
	entry.size = end + crc32.Size
	if data[0]&metaLast == 0 {
		return entry, true
	}
	ts, err := strconv.ParseUint(string(data[keyEnd:end]), 10, 64)
	entry.last, entry.ts = true, ts
	return entry, err == nil
}
