// Package badgerstore keeps the registry in a Badger database, in one folder.
//
// A write is durable when Apply returns. One goroutine commits: it takes the
// change sets that have come in while it was writing, checks each against what
// is there and writes all that hold up in one transaction with one sync, so
// concurrent writers share the wait for the disk. A change set is whole in one
// transaction or not there at all.
//
// Lists are answered from indexes (kind, status, role, label) which hold client
// IDs in order: the indexes of a query are intersected by seeking, so the
// shortest one decides how much is read.
//
// Roles and clients that were read last are in memory, decoded, within bounds that
// no size of the registry moves. Each leaves it before it is written.
//
// The package knows nothing of what the records mean beyond the contract of
// [provisioning.Store]. Before Badger opens a folder, it is inspected for damage
// that Badger would repair by dropping data.
package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/boomgate/boomgate/provisioning"
)

const (
	defaultGCInterval = 10 * time.Minute
	defaultMinFree    = 64 << 20
)

// Config says where a store is.
type Config struct {
	// Dir is the folder, made with mode 0700 if it does not exist. It holds
	// nothing else.
	Dir string
	// Logger gets what Badger reports; nil drops it.
	Logger *slog.Logger
	// GCInterval is how often space of the value log is reclaimed; 0 means 10 min.
	GCInterval time.Duration
	// MinFree is the room on the disk in bytes below which nothing is opened or
	// written, for a full disk would end the process in the middle of a write; 0
	// means 64 MiB.
	MinFree int64
	// FreeSpace returns how many bytes can still be written in a folder; nil asks
	// the operating system.
	FreeSpace func(dir string) (int64, error)
}

// Store is a [provisioning.Store] on Badger.
type Store struct {
	cfg    Config
	db     *badger.DB
	folder *folder
	// queue hands change sets to the committing goroutine.
	queue chan *pendingWrite
	// clients are without their clocks.
	clients *cache[provisioning.Client]
	roles   *cache[provisioning.Role]
	// mu is held for reading by every method, for writing by Close.
	mu     sync.RWMutex
	closed bool
	stop   context.CancelFunc // ends the collection of garbage
	done   sync.WaitGroup
}

var _ provisioning.Store = (*Store)(nil)

// Open opens the store in a folder. It returns [ErrFolder], [ErrLocked],
// [ErrNewerFormat], [ErrDamaged] or [ErrNoSpace], with a text that says what to
// do, and has changed nothing then. The context ends the collection of garbage,
// as Close does.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, fmt.Errorf("%w: no folder is given", ErrFolder)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.GCInterval <= 0 {
		cfg.GCInterval = defaultGCInterval
	}
	if cfg.MinFree == 0 {
		cfg.MinFree = defaultMinFree
	}
	if cfg.FreeSpace == nil {
		cfg.FreeSpace = freeSpace
	}
	folder, err := openFolder(cfg)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(cfg)
	if err != nil {
		return nil, errors.Join(err, folder.close())
	}
	if err := folder.raise(); err != nil {
		return nil, errors.Join(err, db.Close(), folder.close())
	}
	ctx, stop := context.WithCancel(ctx)
	s := &Store{
		cfg: cfg, db: db, folder: folder, queue: make(chan *pendingWrite, maxGroup), stop: stop,
		clients: newCache[provisioning.Client](clientRoom), roles: newCache[provisioning.Role](roleRoom),
	}
	s.done.Go(s.commitLoop)
	s.done.Go(func() { s.collectGarbage(ctx) })
	return s, nil
}

// openDatabase opens Badger and says what to do if that fails.
func openDatabase(cfg Config) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil { // what Badger does on some kinds of nonsense
			err = damaged(cfg.Dir, fmt.Sprintf("Badger gave up: %v", r))
		}
	}()
	db, err = badger.Open(databaseOptions(cfg.Dir, cfg.Logger))
	var errno syscall.Errno
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, lockedError(cfg.Dir)
	case errors.Is(err, syscall.ENOSPC):
		return nil, fmt.Errorf("%w: %s: %w", ErrNoSpace, cfg.Dir, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return nil, folderError(cfg.Dir, "cannot be written", err)
	case errors.As(err, &errno):
		return nil, fmt.Errorf("opening %s: %w", cfg.Dir, err)
	}
	return nil, damaged(cfg.Dir, fmt.Sprintf("Badger cannot open it: %v", err))
}

// Close waits for the writes that have been handed over, ends the goroutines and
// closes the database. It may be called more than once.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.stop()
	close(s.queue)
	s.done.Wait()
	err := s.db.Close()
	if err != nil {
		err = fmt.Errorf("closing the database: %w", err)
	}
	return errors.Join(err, s.folder.close())
}

// collectGarbage reclaims space of the value log until the context ends.
func (s *Store) collectGarbage(ctx context.Context) {
	ticker := time.NewTicker(s.cfg.GCInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		const rewriteAbove = 0.5 // the share of a file that must be garbage
		var err error
		for err == nil && ctx.Err() == nil {
			err = s.db.RunValueLogGC(rewriteAbove)
		}
		if ctx.Err() == nil && !errors.Is(err, badger.ErrNoRewrite) {
			s.cfg.Logger.WarnContext(ctx, "collecting garbage of the value log failed", logError, err)
		}
	}
}

// view runs a read on a snapshot.
func (s *Store) view(ctx context.Context, read func(txn *badger.Txn) error) error {
	return s.whileOpen(ctx, func() error { return s.db.View(read) })
}

// whileOpen runs a read during which the store is not closed.
func (s *Store) whileOpen(ctx context.Context, read func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return provisioning.ErrClosed
	}
	return read()
}

// load reads a record; found is false if there is none.
func load(txn *badger.Txn, key []byte) (data []byte, found bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the database: %w", err)
	}
	data, err = item.ValueCopy(nil)
	if err != nil {
		return nil, false, fmt.Errorf("reading the database: %w", err)
	}
	return data, true, nil
}
