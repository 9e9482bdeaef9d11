package provisioning

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// validateNew checks a client that is to be created, roles included.
func (s *Service) validateNew(ctx context.Context, c *Client, now time.Time) error {
	f := checkClient(c, s.scopes)
	f = append(f, expiryFault(c.Secrets[0].ExpiresAt, now)...)
	if err := s.checkRolesExist(ctx, c.Roles, &f); err != nil {
		return err
	}
	return f.err()
}

// validateUpdate checks a client that was changed.
func (s *Service) validateUpdate(ctx context.Context, before, after *Client) error {
	f := checkClient(after, s.scopes)
	if after.ID != before.ID {
		f.add("id", "cannot be changed")
	}
	if after.Kind != before.Kind {
		f.add("kind", "cannot be changed")
	}
	if after.Status != before.Status {
		f.add("status", "is changed by disable and enable only")
	}
	if err := s.checkRolesExist(ctx, after.Roles, &f); err != nil {
		return err
	}
	return f.err()
}

func (s *Service) checkRolesExist(ctx context.Context, roles []string, f *faults) error {
	if len(roles) > MaxRoles {
		return nil // found to be too many already
	}
	for i, id := range roles {
		if !validID(id) {
			continue
		}
		_, err := s.store.Role(ctx, id)
		if errors.Is(err, ErrNotFound) {
			f.addf(indexPath("roles", i), "there is no role %q", id)
		} else if err != nil {
			return fmt.Errorf("reading role %q: %w", id, err)
		}
	}
	return nil
}

// administers reports whether a client is an operator that can undo whatever
// another one did, and has a credential to do it with; nil is none.
func administers(c *Client) bool {
	return c != nil && c.Kind == KindOperator && c.Status == StatusActive && slices.Contains(c.Roles, RoleFleetAdmin) &&
		len(c.Secrets)+len(c.Certificates) > 0
}

// requireOtherAdmin returns [ErrLastOperator] if nobody but that client
// administers the fleet.
func (s *Service) requireOtherAdmin(ctx context.Context, id string) error {
	page, err := s.store.Clients(ctx, Query{Kind: KindOperator, Role: RoleFleetAdmin, Status: StatusActive})
	if err != nil {
		return fmt.Errorf("looking for another operator: %w", err)
	}
	if !slices.ContainsFunc(page.Clients, func(c Client) bool { return c.ID != id && administers(&c) }) {
		return fmt.Errorf("%q is the %w: give another operator that role first", id, ErrLastOperator)
	}
	return nil
}

// sameJSON reports whether two records are the same to whoever reads them.
func sameJSON(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}
