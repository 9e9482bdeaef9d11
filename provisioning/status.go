package provisioning

import (
	"context"
	"fmt"
	"time"
)

// Disable keeps a client from getting tokens and connecting, revokes the tokens
// that it has got and closes its sessions. The tokens stay dead when it is
// enabled again; as iat has whole seconds, so does one that it gets before the
// second of the disabling is over. Disabling a disabled client revokes and closes
// what may be left. Errors are those of Update.
func (s *Service) Disable(ctx context.Context, id string, ifVersion uint64) (*Client, Receipt, error) {
	start := s.now()
	c, err := s.write(ctx, id, ifVersion, func(before *Client) (clientEdit, error) {
		return clientEdit{
			client: withStatus(before, StatusDisabled), revoked: []Revocation{s.revokeClient(id, CauseDisabled)},
		}, nil
	})
	if err != nil {
		return nil, Receipt{}, err
	}
	s.log.InfoContext(ctx, "disabled a client", logClient, id, logKind, string(c.Kind))
	return c, s.took(start, s.closeSessions(ctx, Selection{ClientID: id}, CauseDisabled)), nil
}

// Enable lets a disabled client in again, with tokens that it gets from now on.
// Errors are those of Update.
func (s *Service) Enable(ctx context.Context, id string, ifVersion uint64) (*Client, Receipt, error) {
	start := s.now()
	var revoked []Revocation
	c, err := s.write(ctx, id, ifVersion, func(before *Client) (clientEdit, error) {
		if revoked = nil; before.Status == StatusActive {
			return clientEdit{}, nil
		}
		// A request for a token that was overtaken by the disabling may have been
		// answered after it.
		r := s.revokeClient(id, CauseEnabled)
		r.IssuedBefore = instant(s.now).Truncate(time.Second)
		revoked = []Revocation{r}
		return clientEdit{client: withStatus(before, StatusActive), revoked: revoked}, nil
	})
	if err != nil {
		return nil, Receipt{}, err
	}
	s.log.InfoContext(ctx, "enabled a client", logClient, id, logKind, string(c.Kind))
	var receipt Receipt
	for _, r := range revoked {
		receipt.add(s.closeSessions(ctx, r.selection(), CauseEnabled))
	}
	return c, s.took(start, receipt), nil
}

// withStatus returns the client with another status, nil if it has that one.
func withStatus(c *Client, status Status) *Client {
	if c.Status == status {
		return nil
	}
	c = c.Clone()
	c.Status = status
	return c
}

// Delete retires a client: its secrets, certificates and tokens, its sessions
// with their queues and wills, and the retained messages that it has published.
// The record goes last and leaves a tombstone. If something of that fails, the
// error is [ErrIncomplete]: the client is out and stays in the list, disabled and
// without credentials, until Delete is called again. Further errors are those of
// Update.
func (s *Service) Delete(ctx context.Context, id string, ifVersion uint64) (Receipt, error) {
	start := s.now()
	giveBack, err := s.clientTurn(ctx, id)
	if err != nil {
		return Receipt{}, err
	}
	defer giveBack()
	var receipt Receipt
	_, err = s.writeInTurn(ctx, id, ifVersion, func(before *Client) (clientEdit, error) {
		receipt.Secrets = len(before.Secrets)
		return clientEdit{client: stripped(before), revoked: []Revocation{s.revokeClient(id, CauseDeleted)}}, nil
	})
	if err != nil {
		return Receipt{}, err
	}
	ctx = context.WithoutCancel(ctx) // begun is to be finished, whether or not the caller waits
	receipt.add(s.closeSessions(ctx, Selection{ClientID: id}, CauseDeleted))
	if err := s.bury(ctx, id, &receipt); err != nil {
		return s.took(start, receipt), fmt.Errorf("client %q can do nothing any more, but %w, and it is to be deleted again: %w",
			id, ErrIncomplete, err)
	}
	s.log.InfoContext(ctx, "deleted a client", logClient, id)
	return s.took(start, receipt), nil
}

// stripped returns the client disabled and without credentials, nil if it is so.
func stripped(c *Client) *Client {
	if c.Status == StatusDisabled && len(c.Secrets) == 0 && len(c.Certificates) == 0 {
		return nil
	}
	c = c.Clone()
	c.Status, c.Secrets, c.Certificates = StatusDisabled, nil, nil
	return c
}

// bury removes what a client has left on the broker, then its record.
func (s *Service) bury(ctx context.Context, id string, receipt *Receipt) error {
	if s.retained != nil {
		count, err := s.retained.RemoveRetained(ctx, id)
		receipt.Retained += count
		if err != nil {
			return fmt.Errorf("removing its retained messages: %w", err)
		}
	}
	_, err := s.writeInTurn(ctx, id, 0, func(before *Client) (clientEdit, error) {
		return clientEdit{tombstone: &Tombstone{
			ID: id, Kind: before.Kind, Version: before.Version + 1, DeletedAt: instant(s.now),
		}}, nil
	})
	return err
}
