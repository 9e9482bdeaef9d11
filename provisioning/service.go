package provisioning

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Keys of log attributes.
const (
	logClient     = "client_id"
	logKind       = "kind"
	logRole       = "role"
	logKey        = "key_id"
	logKeyUse     = "use"
	logKeyAlg     = "alg"
	logOverlap    = "overlap"
	logSecret     = "secret_id"
	logRevocation = "revocation_id"
	logCount      = "count"
	logError      = "error"
)

// Config is what a Service needs. Store, Scopes and Revocations must be given, and
// so must Rand and Logger; Now is time.Now if nil.
type Config struct {
	Store  Store
	Scopes ScopeLanguage
	// Revocations is what OpenRevocations has read from the store. The service
	// keeps it up to date; others ask it.
	Revocations *Revocations
	// Sessions closes the live sessions of whoever loses a right to them, Judge
	// looks again at those whose rights have changed, and Retained removes what a
	// deleted client has left. Each is nil if there is no broker.
	Sessions SessionCloser
	Judge    SessionJudge
	Retained RetainedRemover
	Now      func() time.Time
	// Rand is the source of secrets and generated IDs: crypto/rand.Reader.
	Rand   io.Reader
	Logger *slog.Logger
}

// Service writes the registry. Its methods may be called concurrently. Every
// write is one change set: it happens whole or not at all.
type Service struct {
	store       Store
	scopes      ScopeLanguage
	revocations *Revocations
	sessions    SessionCloser
	judge       SessionJudge
	retained    RetainedRemover
	now         func() time.Time
	rand        *lockedReader
	log         *slog.Logger
	registry    *Registry
	hmacKey     Key
	// turns lets the writers of one record in one after the other.
	turns turns
	// admins is held while a write may take the fleet from its last operator.
	admins sync.Mutex
}

// NewService opens the registry in a store: at the first start it makes the key
// under which secrets are hashed; at every start it installs the built-in roles
// and brings them up to date.
func NewService(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Service{
		store: cfg.Store, scopes: cfg.Scopes, revocations: cfg.Revocations,
		sessions: cfg.Sessions, judge: cfg.Judge, retained: cfg.Retained, now: cfg.Now,
		rand: &lockedReader{r: cfg.Rand}, log: cfg.Logger,
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.registry = NewRegistry(s.store, s.scopes, s.now)
	if err := s.openHMACKey(ctx); err != nil {
		return nil, err
	}
	for _, role := range BuiltInRoles() {
		if err := s.installRole(ctx, role); err != nil {
			return nil, fmt.Errorf("installing the built-in role %q: %w", role.ID, err)
		}
	}
	return s, nil
}

func (cfg Config) check() error {
	var missing []error
	for _, need := range []struct {
		name  string
		given bool
	}{
		{"Store", cfg.Store != nil},
		{"Scopes", cfg.Scopes != nil},
		{"Revocations", cfg.Revocations != nil},
		{"Rand", cfg.Rand != nil},
		{"Logger", cfg.Logger != nil},
	} {
		if !need.given {
			missing = append(missing, fmt.Errorf("provisioning.Config: %s is missing", need.name))
		}
	}
	return errors.Join(missing...)
}

// Registry returns the reader of what the service writes.
func (s *Service) Registry() *Registry { return s.registry }

// openHMACKey takes the newest key of hashes, or makes one for an empty store.
func (s *Service) openHMACKey(ctx context.Context) error {
	keys, err := s.store.Keys(ctx, UseSecretHMAC)
	if err != nil {
		return fmt.Errorf("reading the keys of secrets: %w", err)
	}
	if len(keys) > 0 {
		s.hmacKey = keys[len(keys)-1]
		return nil
	}
	page, err := s.store.Clients(ctx, Query{Limit: 1})
	if err != nil {
		return fmt.Errorf("looking for clients: %w", err)
	}
	if len(page.Clients) > 0 {
		return errors.New("the store holds clients but not the key under which their secrets are hashed: restore a backup")
	}
	return s.makeHMACKey(ctx)
}

func (s *Service) makeHMACKey(ctx context.Context) error {
	id, err := s.rand.id("hmac-")
	if err != nil {
		return err
	}
	key := Key{ID: id, Use: UseSecretHMAC, Alg: hmacScheme, Private: make([]byte, 32), CreatedAt: instant(s.now)}
	if err := s.rand.fill(key.Private); err != nil {
		return err
	}
	if err := s.applySet(ctx, ChangeSet{Keys: []KeyChange{{Key: key}}}); err != nil {
		return fmt.Errorf("writing the key of secrets: %w", err)
	}
	s.hmacKey = key
	s.log.InfoContext(ctx, "made the key under which secrets are hashed", logKey, key.ID)
	return nil
}

// applySet hands a write to the store under an ID of its own.
func (s *Service) applySet(ctx context.Context, set ChangeSet) (err error) {
	if set.ID, err = s.rand.id(""); err != nil {
		return err
	}
	return s.store.Apply(ctx, set)
}
