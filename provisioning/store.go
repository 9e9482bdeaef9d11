package provisioning

import (
	"context"
	"time"
)

// Bounds of [Query].
const (
	DefaultPageSize = 100
	MaxPageSize     = 1000
	MaxQueryLabels  = 8
)

// Store keeps the registry. Every method may be called concurrently; what it
// returns belongs to the caller, but for Cached. A read that begins after Apply
// has returned sees what was written, and after one that saw it, none sees what
// was there before. Nobody but its owner writes to what a store keeps. After Close
// every method returns [ErrClosed], but for Cached, which returns nil.
type Store interface {
	ClientReader
	RoleReader
	KeyReader
	RevocationReader
	Applier
	// Close ends the store's goroutines and releases what it holds. It may be
	// called more than once.
	Close() error
}

// ClientReader reads clients.
type ClientReader interface {
	// Client returns [ErrNotFound], or [ErrDeleted] where a tombstone is left.
	Client(ctx context.Context, id string) (*Client, error)
	// Clients returns a page of the clients that match the query in all its
	// parts, in order of their IDs, without reading the whole store for it.
	Clients(ctx context.Context, q Query) (Page, error)
	// Cached returns a client as Client would now, but without its clocks, if the
	// store happens to have it in memory. If not it returns nil, which does not
	// say that there is no such client. The record is shared: nobody may change it.
	Cached(id string) *Client
}

// RoleReader reads roles.
type RoleReader interface {
	// Role returns [ErrNotFound].
	Role(ctx context.Context, id string) (*Role, error)
	// Roles returns all roles in order of their IDs.
	Roles(ctx context.Context) ([]Role, error)
}

// KeyReader reads keys.
type KeyReader interface {
	// Keys returns the keys of one use, oldest first.
	Keys(ctx context.Context, use string) ([]Key, error)
}

// RevocationReader reads revocations.
type RevocationReader interface {
	// Revocations returns the revocations whose IDs follow after ("" for the first
	// ones), in order of their IDs, up to limit of them.
	Revocations(ctx context.Context, after string, limit int) ([]Revocation, error)
}

// Applier writes.
type Applier interface {
	// Apply writes the whole change set durably, or nothing of it. Applying a
	// set with an ID again while all its records still stand as it left them
	// writes nothing and is no error, so a write whose outcome is unknown can be
	// repeated.
	//
	// It returns [ErrExists] for a record that must not exist and does (with
	// [ErrDeleted] if it did once), [ErrNotFound] or [ErrDeleted] for one that
	// must exist and does not, [ErrConflict] for another version than expected,
	// a [RoleInUseError] for the deletion of a role that a client holds,
	// [ErrConflict] for a client that would hold a role which does not exist, and
	// [ErrTooLarge] for a set that cannot be written at once.
	Apply(ctx context.Context, set ChangeSet) error
}

// ChangeSet is one write: all of it happens or nothing. No record occurs twice.
type ChangeSet struct {
	// ID tells this write from another one that happens to make the same change.
	// A set without one is not recognised when it is applied again.
	ID      string
	Clients []ClientChange
	Roles   []RoleChange
	Keys    []KeyChange
	// Revocations have no versions and no part in a conflict.
	Revocations []RevocationChange
	// Seen moves clocks forward, and nothing else: it has no part in the versions,
	// and never in a conflict. Each one names a client; of a client or a secret
	// that is not there when the rest has been applied, it counts as done. Several
	// may be of one client. Times are kept to the millisecond.
	Seen []Sighting
}

// ClientChange writes or deletes a client: exactly one of Client and Tombstone
// is set, and its Version is Before+1. The clocks of the client and its secrets
// (LastTokenAt, LastUsedAt and so on) are no part of what is written: those that
// are stored stay, and ChangeSet.Seen alone moves them.
type ClientChange struct {
	// Before is the version that the record must have now; 0 means that no
	// record may have that ID, nor ever have had it.
	Before    uint64
	Client    *Client
	Tombstone *Tombstone
}

// RoleChange writes or deletes a role. A deleted role leaves nothing: its ID can
// be used again, and deleting it once more counts as done.
type RoleChange struct {
	// Before is the version that the role must have now, 0 for none.
	Before uint64
	// Role is the role afterwards, of version Before+1; nil deletes.
	Role *Role
	// Delete is the ID of the role to delete if Role is nil.
	Delete string
}

// KeyChange adds a key, or deletes the one with Key's ID and Use. Adding a key
// that is there, byte for byte, and deleting one that is not count as done.
type KeyChange struct {
	Key    Key
	Delete bool
}

// RevocationChange writes a revocation in place of one with its ID, if any. Or it
// deletes one, if that is still as given; one that is not, or is gone, stays so,
// and counts as done.
type RevocationChange struct {
	Revocation Revocation
	Delete     bool
}

// Query selects clients; what is empty selects all.
type Query struct {
	Kind   Kind
	Status Status
	Role   string
	// Labels, at most [MaxQueryLabels], must all be there with exactly that value.
	Labels map[string]string
	// Limit is the size of the page, 1 to [MaxPageSize]; 0 means [DefaultPageSize].
	Limit int
	// Cursor is Page.Next of the page before, with the same query otherwise.
	Cursor string
}

// Validate returns an [InvalidError] that names every bound the query breaks.
// Whether the cursor is one, only the Store can say.
func (q Query) Validate() error {
	var f faults
	if q.Kind != "" && !q.Kind.Valid() {
		f.add("kind", "must be device, service or operator")
	}
	if q.Status != "" && !q.Status.Valid() {
		f.add("status", "must be active or disabled")
	}
	if q.Role != "" && !validID(q.Role) {
		f.add("role", idRule)
	}
	if len(q.Labels) > MaxQueryLabels {
		f.addf("labels", "must be %d at most", MaxQueryLabels)
	} else {
		f.labels(q.Labels)
	}
	if q.Limit < 0 || q.Limit > MaxPageSize {
		f.addf("limit", "must be 1 to %d", MaxPageSize)
	}
	return f.err()
}

// PageSize is Limit, or [DefaultPageSize] if that is 0.
func (q Query) PageSize() int {
	if q.Limit == 0 {
		return DefaultPageSize
	}
	return q.Limit
}

// Page is a part of a list. Next is the cursor of the next part, empty after the
// last one. A client that is created, changed or deleted while a list is paged
// through may or may not appear; every other one appears exactly once.
type Page struct {
	Clients []Client
	Next    string
}

// ScopeLanguage is the part of the language of topic scopes that the registry
// needs. Its functions are pure.
type ScopeLanguage interface {
	// ParseTemplate reads a scope template of [AudienceMQTT]; its error says why it
	// is malformed.
	ParseTemplate(text string) (ScopeTemplate, error)
	// Covers reports whether whoever holds the first scope may do all that the
	// second one allows.
	Covers(granted, requested string) bool
}

// ScopeTemplate is a scope with placeholders. It may be used concurrently.
type ScopeTemplate interface {
	// Expand fills in the placeholders; value reports whether there is one. An
	// absent or unsuitable value is an error: the template then grants nothing.
	Expand(value func(name string) (string, bool)) (string, error)
}

// instant is now as records keep it: UTC, whole milliseconds.
func instant(now func() time.Time) time.Time {
	return now().UTC().Truncate(time.Millisecond)
}
