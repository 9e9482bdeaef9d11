package storetest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/boomgate/boomgate/provisioning"
)

// Memory is a store in memory: one lock around maps. Nothing of it is fast, and
// nothing is kept when it is closed.
type Memory struct {
	mu     sync.Mutex
	state  memoryState
	closed bool
}

type memoryState struct {
	clients    map[string]*provisioning.Client
	tombstones map[string]provisioning.Tombstone
	roles      map[string]*provisioning.Role
	keys       map[string]provisioning.Key
	revoked    map[string]provisioning.Revocation
	// writers says which change set has written a record: "client x", "role x".
	writers map[string]string
}

var _ provisioning.Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{state: memoryState{
		clients: map[string]*provisioning.Client{}, tombstones: map[string]provisioning.Tombstone{},
		roles: map[string]*provisioning.Role{}, keys: map[string]provisioning.Key{},
		revoked: map[string]provisioning.Revocation{}, writers: map[string]string{},
	}}
}

func (m *Memory) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, provisioning.ErrClosed
	}
	return m.mu.Unlock, nil
}

// Close closes the store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Client implements [provisioning.ClientReader].
func (m *Memory) Client(ctx context.Context, id string) (*provisioning.Client, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if c, ok := m.state.clients[id]; ok {
		return c.Clone(), nil
	}
	if _, ok := m.state.tombstones[id]; ok {
		return nil, provisioning.ErrDeleted
	}
	return nil, provisioning.ErrNotFound
}

// Cached implements [provisioning.ClientReader].
func (m *Memory) Cached(id string) *provisioning.Client {
	leave, err := m.enter(context.Background())
	if err != nil {
		return nil
	}
	defer leave()
	if c, ok := m.state.clients[id]; ok {
		return c.WithoutClocks()
	}
	return nil
}

// Clients implements [provisioning.ClientReader].
func (m *Memory) Clients(ctx context.Context, q provisioning.Query) (provisioning.Page, error) {
	if err := q.Validate(); err != nil {
		return provisioning.Page{}, err
	}
	after, _, _ := strings.Cut(q.Cursor, ".")
	if q.Cursor != "" && q.Cursor != memoryCursor(q, after) {
		return provisioning.Page{}, provisioning.Invalid("cursor", "is none of this list")
	}
	leave, err := m.enter(ctx)
	if err != nil {
		return provisioning.Page{}, err
	}
	defer leave()
	var page provisioning.Page
	for _, id := range slices.Sorted(maps.Keys(m.state.clients)) {
		c := m.state.clients[id]
		if id <= after || !Matches(c, q) {
			continue
		}
		if len(page.Clients) == q.PageSize() {
			page.Next = memoryCursor(q, page.Clients[len(page.Clients)-1].ID)
			break
		}
		page.Clients = append(page.Clients, *c.Clone())
	}
	return page, nil
}

func memoryCursor(q provisioning.Query, after string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", q.Kind, q.Status, q.Role, q.Labels, after))
	return after + "." + hex.EncodeToString(sum[:8])
}

// Matches reports whether a client is one of those that a query asks for.
func Matches(c *provisioning.Client, q provisioning.Query) bool {
	for key, value := range q.Labels {
		if has, ok := c.Labels[key]; !ok || has != value {
			return false
		}
	}
	return (q.Kind == "" || c.Kind == q.Kind) && (q.Status == "" || c.Status == q.Status) &&
		(q.Role == "" || slices.Contains(c.Roles, q.Role))
}

// Role implements [provisioning.RoleReader].
func (m *Memory) Role(ctx context.Context, id string) (*provisioning.Role, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if r, ok := m.state.roles[id]; ok {
		return r.Clone(), nil
	}
	return nil, provisioning.ErrNotFound
}

// Roles implements [provisioning.RoleReader].
func (m *Memory) Roles(ctx context.Context) ([]provisioning.Role, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var roles []provisioning.Role
	for _, id := range slices.Sorted(maps.Keys(m.state.roles)) {
		roles = append(roles, *m.state.roles[id].Clone())
	}
	return roles, nil
}

// Keys implements [provisioning.KeyReader].
func (m *Memory) Keys(ctx context.Context, use string) ([]provisioning.Key, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var keys []provisioning.Key
	for _, k := range m.state.keys {
		if k.Use == use {
			k.Private = slices.Clone(k.Private)
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b provisioning.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// Apply implements [provisioning.Applier]: on a copy, which takes the place of
// the state if all goes well.
func (m *Memory) Apply(ctx context.Context, set provisioning.ChangeSet) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	next := m.state.clone()
	applied, err := next.apply(set)
	if err != nil {
		return err
	}
	switch total := len(set.Clients) + len(set.Roles) + len(set.Keys); applied {
	case 0:
		next.revoke(set.Revocations)
	case total: // only the sightings are left
		next = m.state.clone()
	default:
		return provisioning.ErrConflict
	}
	next.see(set.Seen)
	m.state = next
	return nil
}

func (s memoryState) clone() memoryState {
	return memoryState{
		maps.Clone(s.clients), maps.Clone(s.tombstones), maps.Clone(s.roles), maps.Clone(s.keys), maps.Clone(s.revoked),
		maps.Clone(s.writers),
	}
}

// apply returns how many records were as the set would have them.
func (s memoryState) apply(set provisioning.ChangeSet) (applied int, err error) {
	if err := wellFormed(set); err != nil {
		return 0, err
	}
	var steps []func() (bool, error)
	for _, change := range set.Keys {
		steps = append(steps, func() (bool, error) { return s.applyKey(change) })
	}
	for _, change := range set.Roles {
		steps = append(steps, func() (bool, error) { return s.applyRole(set.ID, change) })
	}
	for _, change := range set.Clients {
		steps = append(steps, func() (bool, error) { return s.applyClient(set.ID, change) })
	}
	for _, step := range steps {
		same, err := step()
		if err != nil {
			return 0, err
		}
		if same {
			applied++
		}
	}
	return applied, s.checkReferences(set)
}

func (s memoryState) applyKey(change provisioning.KeyChange) (same bool, err error) {
	name := fmt.Sprintf("%q %q", change.Key.Use, change.Key.ID)
	stored, found := s.keys[name]
	switch {
	case change.Delete:
		delete(s.keys, name)
		return !found, nil
	case found && !reflect.DeepEqual(stored, change.Key):
		return false, provisioning.ErrExists
	}
	s.keys[name] = change.Key
	return found, nil
}

func (s memoryState) applyRole(writer string, change provisioning.RoleChange) (same bool, err error) {
	if change.Role == nil {
		stored, found := s.roles[change.Delete]
		if found && stored.Version != change.Before {
			return false, provisioning.ErrConflict
		}
		delete(s.roles, change.Delete)
		return !found, nil
	}
	stored, found := s.roles[change.Role.ID]
	switch {
	case found && s.wrote(writer, "role "+change.Role.ID) && reflect.DeepEqual(stored, change.Role):
		return true, nil
	case found && change.Before == 0:
		return false, provisioning.ErrExists
	case !found && change.Before != 0:
		return false, provisioning.ErrNotFound
	case found && stored.Version != change.Before:
		return false, provisioning.ErrConflict
	}
	s.roles[change.Role.ID] = change.Role.Clone()
	s.writers["role "+change.Role.ID] = writer
	return false, nil
}

func (s memoryState) applyClient(writer string, change provisioning.ClientChange) (same bool, err error) {
	id := changedID(change)
	again := s.wrote(writer, "client "+id)
	record := s.withClocks(change.Client)
	if buried, ok := s.tombstones[id]; ok {
		switch {
		case again && change.Tombstone != nil && buried == *change.Tombstone:
			return true, nil
		case change.Before == 0:
			return false, errors.Join(provisioning.ErrExists, provisioning.ErrDeleted)
		}
		return false, provisioning.ErrDeleted
	}
	stored, found := s.clients[id]
	switch {
	case again && found && record != nil && reflect.DeepEqual(stored, record):
		return true, nil
	case found && change.Before == 0:
		return false, provisioning.ErrExists
	case !found && change.Before != 0:
		return false, provisioning.ErrNotFound
	case found && stored.Version != change.Before:
		return false, provisioning.ErrConflict
	}
	s.writers["client "+id] = writer
	if record != nil {
		s.clients[id] = record
		return false, nil
	}
	delete(s.clients, id)
	s.tombstones[id] = *change.Tombstone
	return false, nil
}

// wrote reports whether a record is there because the set of that ID wrote it.
func (s memoryState) wrote(writer, record string) bool {
	return writer != "" && s.writers[record] == writer
}

// checkReferences holds the rule that a client's roles exist.
func (s memoryState) checkReferences(set provisioning.ChangeSet) error {
	for _, change := range set.Roles {
		if change.Role != nil {
			continue
		}
		holders := 0
		for _, c := range s.clients {
			if slices.Contains(c.Roles, change.Delete) {
				holders++
			}
		}
		if holders > 0 {
			return &provisioning.RoleInUseError{Role: change.Delete, Clients: holders}
		}
	}
	for _, change := range set.Clients {
		if change.Client == nil {
			continue
		}
		for _, role := range change.Client.Roles {
			if s.roles[role] == nil {
				return provisioning.ErrConflict
			}
		}
	}
	return nil
}

func changedID(change provisioning.ClientChange) string {
	if change.Client != nil {
		return change.Client.ID
	}
	return change.Tombstone.ID
}

// wellFormed checks the form that [provisioning.ChangeSet] prescribes.
func wellFormed(set provisioning.ChangeSet) error {
	seen := map[string]bool{}
	for _, change := range set.Clients {
		c, t := change.Client, change.Tombstone
		if (c == nil) == (t == nil) || c != nil && c.Version != change.Before+1 || t != nil && t.Version != change.Before+1 {
			return errors.New("malformed client change")
		}
		name := "client " + changedID(change)
		if seen[name] || t != nil && change.Before == 0 {
			return errors.New("malformed client change")
		}
		seen[name] = true
	}
	for _, change := range set.Revocations {
		name := "revocation " + change.Revocation.ID
		if seen[name] || change.Revocation.ID == "" {
			return errors.New("malformed revocation change")
		}
		seen[name] = true
	}
	for _, sighting := range set.Seen {
		if sighting.ClientID == "" {
			return errors.New("malformed sighting")
		}
	}
	for _, change := range set.Roles {
		name := "role " + change.Delete
		if change.Role != nil {
			name = "role " + change.Role.ID
		}
		if seen[name] || change.Role != nil && change.Role.Version != change.Before+1 {
			return errors.New("malformed role change")
		}
		seen[name] = true
	}
	return nil
}
