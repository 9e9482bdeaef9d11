package badgerstore

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const blockSize = 4 << 10

// Keys of log attributes.
const (
	logReport = "report"
	logError  = "error"
)

// databaseOptions suit a registry: records of a kilobyte, 100 to some 100,000 of
// them, far more reads than writes, in little memory.
func databaseOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithMetricsEnabled(false).
		// An acknowledged write survives a power cut.
		WithSyncWrites(true).
		// There is one writer, which waits for every commit.
		WithDetectConflicts(false).
		// 15 % of a memtable bounds a change set: some 2,000 new clients.
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		// Two is the least that Badger takes.
		WithNumCompactors(2).
		WithNumLevelZeroTables(3).
		WithNumLevelZeroTablesStall(8).
		// Records stay below the threshold (1 MiB), so the value log stays empty;
		// Badger reserves twice this size for it all the same, as a sparse file.
		WithValueLogFileSize(4 << 20).
		WithBlockSize(blockSize).
		WithCompression(options.Snappy).
		WithBlockCacheSize(8 << 20).
		WithIndexCacheSize(4 << 20).
		WithChecksumVerificationMode(options.OnBlockRead)
}

// badgerLog passes on what Badger has to say, but for what it tells its own
// developers, which may hold keys.
type badgerLog struct{ log *slog.Logger }

// Errorf logs as an error.
func (b badgerLog) Errorf(format string, args ...any) { b.write(slog.LevelError, format, args) }

// Warningf logs as a warning.
func (b badgerLog) Warningf(format string, args ...any) { b.write(slog.LevelWarn, format, args) }

// Infof logs for debugging: what is news to Badger is none to an operator.
func (b badgerLog) Infof(format string, args ...any) { b.write(slog.LevelDebug, format, args) }

// Debugf drops the message.
func (b badgerLog) Debugf(string, ...any) {}

func (b badgerLog) write(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if b.log.Enabled(ctx, level) {
		b.log.Log(ctx, level, "the database reports", logReport, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
