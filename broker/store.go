package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Errors of Open about the data folder. Their texts say what to do.
var (
	// ErrFolder: the folder cannot be created, read or written.
	ErrFolder = errors.New("data folder of the broker cannot be used")
	// ErrLocked: another process has the folder open.
	ErrLocked = errors.New("data folder of the broker is in use by another process")
	// ErrNewerFormat: a newer version of the program has written the folder. Nothing was changed in it.
	ErrNewerFormat = errors.New("data folder of the broker has a newer format")
	// ErrDamaged: what the folder holds is not what was written.
	ErrDamaged = errors.New("data folder of the broker is damaged")
)

const (
	formatFile   = "FORMAT" // holds formatPrefix and the number of the format
	newSuffix    = ".new"   // of its next version, until that is whole
	formatPrefix = "boomgate broker "
	storeFormat  = 2 // 1 did not say who published a retained message
)

// store is the broker's own Badger database: retained messages, and the
// sessions that outlive their connection.
//
// A write is in the kernel's hands when it returns, so it survives the end of
// the process, kill -9 included. It is not synced to the disk: after a power cut
// the last moments may be missing, which costs a redelivery or a retained state
// that its device publishes anew; a sync for every message would cost far more.
type store struct {
	db  *badger.DB
	log *slog.Logger
}

// openStore opens the database, made at the first start. A folder that it
// refuses is left as it was.
func openStore(dir string, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, folderError(dir, err)
	}
	format, err := checkFormat(dir)
	if err != nil {
		return nil, err
	}
	db, err := badger.Open(storeOptions(dir, log))
	switch {
	case err == nil:
		if err := raiseFormat(dir, format); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return &store{db: db, log: log}, nil
	case caused(err, syscall.EWOULDBLOCK):
		return nil, fmt.Errorf("%w: %s: stop that process or choose another folder", ErrLocked, dir)
	case caused(err, syscall.EACCES), caused(err, syscall.EROFS), caused(err, syscall.ENOSPC):
		return nil, folderError(dir, err)
	default:
		return nil, fmt.Errorf("%w: %s (%w): restore a backup; or move the folder away to start without "+
			"retained messages and sessions, which clients make anew", ErrDamaged, dir, err)
	}
}

// caused reports whether the operating system said this. Badger flattens the errors that it wraps.
func caused(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
}

func folderError(dir string, err error) error {
	return fmt.Errorf("%w: %s (%w): choose another folder, or let the user that runs this program write to it",
		ErrFolder, dir, err)
}

// storeOptions suit small records in little memory.
func storeOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithMetricsEnabled(false).
		WithSyncWrites(false).
		WithDetectConflicts(false). // every key has one writer at a time
		WithMemTableSize(16 << 20). // 15 % of it bounds a transaction, so every packet fits
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithNumLevelZeroTables(3).
		WithNumLevelZeroTablesStall(8).
		WithValueThreshold(32 << 10).
		WithValueLogFileSize(16 << 20).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnTableRead)
}

// checkFormat reads the format's number before anything touches the folder, and
// writes it into an empty one. It also finds out whether the folder can be written.
func checkFormat(dir string) (format int, err error) {
	path := filepath.Join(dir, formatFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return storeFormat, beginFormat(dir)
	}
	if err != nil {
		return 0, folderError(dir, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, 100))
	if err := errors.Join(err, file.Close()); err != nil {
		return 0, folderError(dir, err)
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(text)), formatPrefix)
	format, err = strconv.Atoi(number)
	switch {
	case !ok || err != nil || format < 1:
		return 0, fmt.Errorf("%w: %s is not what this program writes: choose another folder or restore a backup", ErrDamaged, path)
	case format > storeFormat:
		return 0, fmt.Errorf("%w: %s has format %d, this program knows %d: use the newer program, or another folder",
			ErrNewerFormat, dir, format, storeFormat)
	}
	return format, nil
}

// beginFormat writes the format into a folder that is empty.
func beginFormat(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folderError(dir, err)
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != formatFile+newSuffix }) {
		return fmt.Errorf("%w: %s holds other files and no %s: choose an empty folder", ErrFolder, dir, formatFile)
	}
	return raiseFormat(dir, 0)
}

// raiseFormat notes that the folder now has this program's format, so that an
// older program does not misread it. What older formats hold is read as it is.
func raiseFormat(dir string, from int) error {
	if from == storeFormat {
		return nil
	}
	path := filepath.Join(dir, formatFile)
	if err := os.WriteFile(path+newSuffix, fmt.Appendf(nil, "%s%d\n", formatPrefix, storeFormat), 0o600); err != nil {
		return folderError(dir, err)
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return folderError(dir, err)
	}
	return nil
}

// put writes a record; it has survived kill -9 when put returns.
func (s *store) put(key, value []byte) error {
	return s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) })
}

// remove deletes records without waiting: if the process dies first, a message
// is delivered once more.
func (s *store) remove(keys ...[]byte) {
	txn := s.db.NewTransaction(true)
	for _, key := range keys {
		if err := txn.Delete(key); err != nil {
			s.failed("delete", key[0], err)
		}
	}
	txn.CommitWith(func(err error) {
		if err != nil {
			s.failed("delete", keys[0][0], err)
		}
	})
}

// removeAll deletes every record under these prefixes.
func (s *store) removeAll(prefixes [][]byte) error {
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	for _, prefix := range prefixes {
		err := s.each(prefix, false, func(key, _ []byte) error { return batch.Delete(key) })
		if err != nil {
			return err
		}
	}
	return batch.Flush()
}

// each calls f for every record under a prefix; key and value are f's to keep.
func (s *store) each(prefix []byte, values bool, f func(key, value []byte) error) error {
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: values, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, value := it.Item().KeyCopy(nil), []byte(nil)
			if values {
				var err error
				if value, err = it.Item().ValueCopy(nil); err != nil {
					s.skipped(key[0], err)
					continue
				}
			}
			if err := f(key, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// skipped reports a record that cannot be read. The others are not affected.
func (s *store) skipped(kind byte, err error) {
	s.log.Error("a stored record is damaged and was skipped", keyKind, kindName(kind), keyError, err)
}

// failed reports a write that did not succeed.
func (s *store) failed(what string, kind byte, err error) {
	s.log.Error("the broker's store cannot be written", keyOperation, what, keyKind, kindName(kind), keyError, err)
}

// collect frees the space of values that were replaced.
func (s *store) collect(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.db.RunValueLogGC(0.5); err != nil {
			if !errors.Is(err, badger.ErrNoRewrite) && !errors.Is(err, badger.ErrRejected) {
				s.log.Warn("the broker's store cannot be compacted", keyError, err)
			}
			return
		}
	}
}

func (s *store) close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the broker's store: %w", err)
	}
	return nil
}

// badgerLog passes on what Badger has to say to an operator.
type badgerLog struct{ log *slog.Logger }

// Errorf logs an error.
func (b badgerLog) Errorf(format string, args ...any) {
	b.log.Error("badger", keyError, line(format, args))
}

// Warningf logs a warning.
func (b badgerLog) Warningf(format string, args ...any) {
	b.log.Warn("badger", keyError, line(format, args))
}

// Infof drops the message: it is for Badger's developers.
func (b badgerLog) Infof(string, ...any) {}

// Debugf drops the message: it is for Badger's developers.
func (b badgerLog) Debugf(string, ...any) {}

func line(format string, args []any) string {
	return string(bytes.TrimSpace(fmt.Appendf(nil, format, args...)))
}
