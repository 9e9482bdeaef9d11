package broker

import (
	"context"
	"log/slog"
)

// Keys of the log.
const (
	keyAddress   = "address"
	keyDropped   = "dropped"
	keyError     = "error"
	keyFile      = "file"
	keyHook      = "hook"
	keyKind      = "kind"
	keyListener  = "listener"
	keyOperation = "operation"
	keyPanic     = "panic"
	keyRemote    = "remote"
	keyRule      = "rule"
	keySessions  = "sessions"
	keyStack     = "stack"
)

// quiet is the log that mochi gets. mochi logs whole packets, a second CONNECT
// with its password among them, and client-supplied names: only what is listed
// passes. Its warnings are about what single clients do, so they are for
// debugging; what it says below them is not worth reading.
type quiet struct{ next slog.Handler }

// Enabled drops everything below a warning.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.next.Enabled(ctx, quieter(level))
}

// Handle passes the record on without the attributes that hold client data.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, quieter(r.Level), "mochi: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if harmless(a) {
			clean.AddAttrs(a)
		}
		return true
	})
	return q.next.Handle(ctx, clean)
}

// WithAttrs keeps the harmless attributes.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	var kept []slog.Attr
	for _, a := range attrs {
		if harmless(a) {
			kept = append(kept, a)
		}
	}
	return quiet{q.next.WithAttrs(kept)}
}

// WithGroup opens a group.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.next.WithGroup(name)} }

func quieter(level slog.Level) slog.Level {
	if level < slog.LevelError {
		return slog.LevelDebug
	}
	return level
}

// harmless reports whether an attribute of mochi's is the broker's own data.
func harmless(a slog.Attr) bool {
	switch a.Key {
	case keyError, keyHook, keyListener, keyRemote:
		return true
	default:
		return false
	}
}
