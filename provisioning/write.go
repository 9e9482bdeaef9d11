package provisioning

import (
	"context"
	"errors"
	"fmt"
)

// writeAttempts bounds how often a write is tried that another one overtook.
const writeAttempts = 16

// clientEdit is what a write makes of a client: one of client and tombstone, or
// neither if the record stays as it is. What is revoked is written with it.
type clientEdit struct {
	client    *Client
	tombstone *Tombstone
	revoked   []Revocation
}

// write changes one client by what change makes of it, and returns the record as
// it is afterwards. The function may run more than once. Version and time of a
// client are set here.
func (s *Service) write(ctx context.Context, id string, ifVersion uint64, change func(before *Client) (clientEdit, error),
) (*Client, error) {
	giveBack, err := s.clientTurn(ctx, id)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	return s.writeInTurn(ctx, id, ifVersion, change)
}

// clientTurn waits until no other writer of this process is at a client.
func (s *Service) clientTurn(ctx context.Context, id string) (giveBack func(), err error) {
	giveBack, err = s.turns.take(ctx, "client/"+id)
	if err != nil {
		return nil, fmt.Errorf("waiting to write client %q: %w", id, err)
	}
	return giveBack, nil
}

// writeInTurn is write for whoever has the turn.
func (s *Service) writeInTurn(ctx context.Context, id string, ifVersion uint64, change func(before *Client) (clientEdit, error),
) (*Client, error) {
	for range writeAttempts {
		before, err := s.registry.Client(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("client %q: %w", id, err)
		}
		if ifVersion != 0 && before.Version != ifVersion {
			return nil, fmt.Errorf("client %q has version %d, not %d: %w", id, before.Version, ifVersion, ErrConflict)
		}
		edit, err := change(before)
		if err != nil {
			return nil, err
		}
		after, err := s.applyEdit(ctx, before, edit)
		if err == nil {
			return after, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("writing client %q: %w", id, err)
		}
	}
	return nil, fmt.Errorf("writing client %q, %d times overtaken: %w", id, writeAttempts, ErrConflict)
}

// applyEdit writes an edit unless it takes the fleet from its last operator.
func (s *Service) applyEdit(ctx context.Context, before *Client, edit clientEdit) (after *Client, err error) {
	var set ChangeSet
	after = before
	if edit.client != nil {
		edit.client.Version, edit.client.UpdatedAt = before.Version+1, instant(s.now)
	}
	if edit.client != nil || edit.tombstone != nil {
		after = edit.client
		set.Clients = []ClientChange{{Before: before.Version, Client: edit.client, Tombstone: edit.tombstone}}
		if administers(before) && !administers(after) {
			s.admins.Lock()
			defer s.admins.Unlock()
			if err := s.requireOtherAdmin(ctx, before.ID); err != nil {
				return nil, err
			}
		}
	} else if len(edit.revoked) == 0 {
		return before, nil
	}
	_, err = s.applyRevoking(ctx, set, edit.revoked)
	return after, err
}
