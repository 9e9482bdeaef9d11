package provisioning

import (
	"context"
	"errors"
	"fmt"
)

// RootID is the ID of the first operator.
const RootID = "root"

// EnsureRoot creates the operator [RootID] with the role [RoleFleetAdmin] if the
// registry has no operator and never had that one: at the first start. It
// reports whether it did; if not, it returns neither client nor secret.
//
// The function keep, which may be nil, gets the credential before the operator
// is written, to put it where it is found again; if it fails, nothing is
// written. So a crash between the two leaves a credential that fits nothing, and
// the next start makes another, rather than an operator whose secret nobody has.
func (s *Service) EnsureRoot(ctx context.Context, keep func(*Client, ClearSecret) error) (*Client, ClearSecret, bool, error) {
	needed, err := s.needsRoot(ctx)
	if err != nil || !needed {
		return nil, "", false, err
	}
	c, secret, err := s.create(ctx, NewClient{
		ID: RootID, Kind: KindOperator, Name: "The first operator", Roles: []string{RoleFleetAdmin},
	}, keep)
	if err != nil {
		return nil, "", false, err
	}
	return c, secret, true, nil
}

func (s *Service) needsRoot(ctx context.Context) (bool, error) {
	page, err := s.store.Clients(ctx, Query{Kind: KindOperator, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("looking for operators: %w", err)
	}
	if len(page.Clients) > 0 {
		return false, nil
	}
	_, err = s.store.Client(ctx, RootID)
	switch {
	case errors.Is(err, ErrDeleted):
		return false, nil
	case errors.Is(err, ErrNotFound):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("looking for operator %q: %w", RootID, err)
	}
	return false, fmt.Errorf("the first operator cannot be created: its ID %q is taken by a client that is no operator", RootID)
}
