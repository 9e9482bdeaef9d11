package provisioning

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// writeAttempts bounds how often a write is tried that another one overtook.
const writeAttempts = 16

// Causes that a SessionCloser is given.
const (
	CauseDisabled = "client disabled"
	CauseDeleted  = "client deleted"
	CauseRotated  = "secrets rotated"
)

// NewClient is what a client is created from. What is empty takes its default:
// a generated ID, no expiry.
type NewClient struct {
	ID            string
	Kind          Kind
	Name          string
	Labels        map[string]string
	Roles         []string
	Grants        []Grant
	Attributes    map[string]string
	TokenTTL      time.Duration
	MQTTClientIDs []string
	// SecretExpiresAt is the end of the first secret's life; zero for none.
	SecretExpiresAt time.Time
}

// Create makes an active client with one secret, which is returned here and
// never again. It returns an [InvalidError], [ErrExists] for an ID that is taken,
// and [ErrExists] with [ErrDeleted] for one that a deleted client had.
func (s *Service) Create(ctx context.Context, n NewClient) (*Client, ClearSecret, error) {
	return s.create(ctx, n, nil)
}

// create makes a client; keep, if given, is called before the write and may
// refuse it.
func (s *Service) create(ctx context.Context, n NewClient, keep func(*Client, ClearSecret) error) (*Client, ClearSecret, error) {
	now := instant(s.now)
	secret, text, err := s.newSecret(now, n.SecretExpiresAt, "")
	if err != nil {
		return nil, "", err
	}
	c := n.client(now, secret)
	for range writeAttempts {
		if n.ID == "" {
			if c.ID, err = s.newID(n.Kind); err != nil {
				return nil, "", err
			}
		}
		if err := s.validateNew(ctx, c, now); err != nil {
			return nil, "", err
		}
		if keep != nil {
			if err := keep(c.Clone(), text); err != nil {
				return nil, "", fmt.Errorf("keeping the credential of client %q: %w", c.ID, err)
			}
		}
		err = s.applySet(ctx, ChangeSet{Clients: []ClientChange{{Client: c}}})
		taken := errors.Is(err, ErrExists) && n.ID == ""
		if !taken && !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, "", createError(c.ID, err)
	}
	s.log.InfoContext(ctx, "created a client", logClient, c.ID, logKind, string(c.Kind))
	return c.Clone(), text, nil
}

func (s *Service) newID(kind Kind) (string, error) {
	if !kind.Valid() {
		kind = "client" // a fault that validation names
	}
	return s.rand.id(string(kind) + "-")
}

func (n NewClient) client(now time.Time, secret Secret) *Client {
	return &Client{
		ID: n.ID, Kind: n.Kind, Name: n.Name, Status: StatusActive,
		Labels: maps.Clone(n.Labels), Roles: slices.Clone(n.Roles), Grants: cloneGrants(n.Grants),
		Attributes: maps.Clone(n.Attributes), MQTTClientIDs: slices.Clone(n.MQTTClientIDs),
		Secrets: []Secret{secret}, TokenTTL: n.TokenTTL,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
}

func createError(id string, err error) error {
	if errors.Is(err, ErrDeleted) {
		return fmt.Errorf("client ID %q cannot be used (%w): the client that had it %w, and an ID is never used again",
			id, ErrExists, ErrDeleted)
	}
	return fmt.Errorf("creating client %q: %w", id, err)
}

// Update changes a client's name, labels, roles, grants, attributes, token TTL
// and MQTT client IDs. The function change gets a copy and may run more than
// once; its error is returned as it is. A change of ID, kind or status is
// refused (see Disable and Enable); secrets, version and times are not the
// function's to change and are kept. If nothing changes, nothing is written.
//
// ifVersion is the version that the client must have, 0 for any; another is
// [ErrConflict]. Further errors: [ErrNotFound], [ErrDeleted], [InvalidError],
// [ErrLastOperator].
func (s *Service) Update(ctx context.Context, id string, ifVersion uint64, change func(*Client) error) (*Client, error) {
	return s.write(ctx, id, ifVersion, func(before *Client) (ClientChange, error) {
		after := before.Clone()
		if err := change(after); err != nil {
			return ClientChange{}, err
		}
		after.Secrets = before.Clone().Secrets
		after.Version, after.CreatedAt, after.UpdatedAt = before.Version, before.CreatedAt, before.UpdatedAt
		after.LastTokenAt, after.LastConnectedAt, after.LastMessageAt = before.LastTokenAt, before.LastConnectedAt, before.LastMessageAt
		if err := s.validateUpdate(ctx, before, after); err != nil {
			return ClientChange{}, err
		}
		if same, err := sameJSON(before, after); same || err != nil {
			return ClientChange{}, err
		}
		return ClientChange{Client: after}, nil
	})
}

// Disable keeps a client from getting tokens and closes its sessions. Disabling
// a disabled client writes nothing and closes what may be open. Errors are those
// of Update.
func (s *Service) Disable(ctx context.Context, id string, ifVersion uint64) (*Client, Receipt, error) {
	c, err := s.setStatus(ctx, id, ifVersion, StatusDisabled)
	if err != nil {
		return nil, Receipt{}, err
	}
	s.log.InfoContext(ctx, "disabled a client", logClient, id, logKind, string(c.Kind))
	return c, s.closeSessions(ctx, id, CauseDisabled), nil
}

// Enable lets a disabled client in again. The receipt is empty: it is there so
// that Enable and Disable answer alike. Errors are those of Update.
func (s *Service) Enable(ctx context.Context, id string, ifVersion uint64) (*Client, Receipt, error) {
	c, err := s.setStatus(ctx, id, ifVersion, StatusActive)
	if err != nil {
		return nil, Receipt{}, err
	}
	s.log.InfoContext(ctx, "enabled a client", logClient, id, logKind, string(c.Kind))
	return c, Receipt{}, nil
}

func (s *Service) setStatus(ctx context.Context, id string, ifVersion uint64, status Status) (*Client, error) {
	return s.write(ctx, id, ifVersion, func(before *Client) (ClientChange, error) {
		if before.Status == status {
			return ClientChange{}, nil
		}
		after := before.Clone()
		after.Status = status
		return ClientChange{Client: after}, nil
	})
}

// Delete removes a client, leaves a tombstone and closes its sessions. Errors
// are those of Update.
func (s *Service) Delete(ctx context.Context, id string, ifVersion uint64) (Receipt, error) {
	_, err := s.write(ctx, id, ifVersion, func(before *Client) (ClientChange, error) {
		return ClientChange{Tombstone: &Tombstone{
			ID: id, Kind: before.Kind, Version: before.Version + 1, DeletedAt: instant(s.now),
		}}, nil
	})
	if err != nil {
		return Receipt{}, err
	}
	s.log.InfoContext(ctx, "deleted a client", logClient, id)
	return s.closeSessions(ctx, id, CauseDeleted), nil
}

// write changes one client by what edit makes of it, and returns the record as
// it is afterwards. Edit may run more than once; a change with neither client
// nor tombstone writes nothing. Version and time of a client are set here.
func (s *Service) write(ctx context.Context, id string, ifVersion uint64,
	edit func(before *Client) (ClientChange, error),
) (*Client, error) {
	giveBack, err := s.turns.take(ctx, "client/"+id)
	if err != nil {
		return nil, fmt.Errorf("waiting to write client %q: %w", id, err)
	}
	defer giveBack()
	for range writeAttempts {
		var before *Client
		if before, err = s.registry.Client(ctx, id); err != nil {
			return nil, fmt.Errorf("client %q: %w", id, err)
		}
		if ifVersion != 0 && before.Version != ifVersion {
			return nil, fmt.Errorf("client %q has version %d, not %d: %w", id, before.Version, ifVersion, ErrConflict)
		}
		change, err := edit(before)
		if err != nil {
			return nil, err
		}
		if change.Client == nil && change.Tombstone == nil {
			return before, nil
		}
		change.Before = before.Version
		if change.Client != nil {
			change.Client.Version, change.Client.UpdatedAt = before.Version+1, instant(s.now)
		}
		if err = s.apply(ctx, before, change); err == nil {
			return change.Client, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("writing client %q: %w", id, err)
		}
	}
	return nil, fmt.Errorf("writing client %q, %d times overtaken: %w", id, writeAttempts, ErrConflict)
}

// apply writes a change unless it takes the fleet from its last operator.
func (s *Service) apply(ctx context.Context, before *Client, change ClientChange) error {
	if administers(before) && !administers(change.Client) {
		s.admins.Lock()
		defer s.admins.Unlock()
		if err := s.requireOtherAdmin(ctx, before.ID); err != nil {
			return err
		}
	}
	return s.applySet(ctx, ChangeSet{Clients: []ClientChange{change}})
}
