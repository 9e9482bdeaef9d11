package provisioning

import (
	"context"
	"errors"
	"fmt"
)

// NewRole is what a role is created from.
type NewRole struct {
	ID          string
	Description string
	Grants      []Grant
	Limits      Limits
}

// CreateRole makes a role. It returns an [InvalidError] or [ErrExists].
func (s *Service) CreateRole(ctx context.Context, n NewRole) (*Role, error) {
	now := instant(s.now)
	r := &Role{
		ID: n.ID, Description: n.Description, Grants: cloneGrants(n.Grants), Limits: n.Limits,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := checkRole(r, s.scopes).err(); err != nil {
		return nil, err
	}
	if err := s.applySet(ctx, ChangeSet{Roles: []RoleChange{{Role: r}}}); err != nil {
		return nil, fmt.Errorf("creating role %q: %w", r.ID, err)
	}
	s.log.InfoContext(ctx, "created a role", logRole, r.ID)
	return r.Clone(), nil
}

// UpdateRole changes a role's description, grants and limits. The function change gets a
// copy and may run more than once; its error is returned as it is. A change of
// the ID is refused; the rest is kept. If nothing changes, nothing is written.
// The live sessions of the clients that hold the role are judged anew.
//
// ifVersion is the version that the role must have, 0 for any; another is
// [ErrConflict]. Further errors: [ErrNotFound], [ErrBuiltIn], [InvalidError].
func (s *Service) UpdateRole(ctx context.Context, id string, ifVersion uint64, change func(*Role) error) (*Role, Receipt, error) {
	start := s.now()
	var was *Role
	r, err := s.writeRole(ctx, id, ifVersion, func(before *Role) (RoleChange, error) {
		was = before
		after := before.Clone()
		if err := change(after); err != nil {
			return RoleChange{}, err
		}
		after.BuiltIn, after.Version = before.BuiltIn, before.Version
		after.CreatedAt, after.UpdatedAt = before.CreatedAt, before.UpdatedAt
		f := checkRole(after, s.scopes)
		if after.ID != before.ID {
			f.add("id", "cannot be changed")
		}
		if err := f.err(); err != nil {
			return RoleChange{}, err
		}
		if same, err := sameJSON(before, after); same || err != nil {
			return RoleChange{}, err
		}
		return RoleChange{Role: after}, nil
	})
	if err != nil {
		return nil, Receipt{}, err
	}
	var receipt Receipt
	if r.Limits != was.Limits || !sameGrants(r.Grants, was.Grants) {
		receipt = s.rejudge(ctx, Selection{Role: id}, CauseChanged)
	}
	return r, s.took(start, receipt), nil
}

// DeleteRole deletes a role that no client holds, and has those sessions judged
// anew whose client held it a moment ago. Errors are those of UpdateRole and
// [RoleInUseError].
func (s *Service) DeleteRole(ctx context.Context, id string, ifVersion uint64) (Receipt, error) {
	start := s.now()
	_, err := s.writeRole(ctx, id, ifVersion, func(*Role) (RoleChange, error) {
		return RoleChange{Delete: id}, nil
	})
	if err != nil {
		return Receipt{}, err
	}
	s.log.InfoContext(ctx, "deleted a role", logRole, id)
	return s.took(start, s.rejudge(ctx, Selection{Role: id}, CauseChanged)), nil
}

// writeRole changes one role by what edit makes of it, as write does a client.
func (s *Service) writeRole(ctx context.Context, id string, ifVersion uint64,
	edit func(before *Role) (RoleChange, error),
) (*Role, error) {
	giveBack, err := s.turns.take(ctx, "role/"+id)
	if err != nil {
		return nil, fmt.Errorf("waiting to write role %q: %w", id, err)
	}
	defer giveBack()
	for range writeAttempts {
		var before *Role
		if before, err = s.registry.Role(ctx, id); err != nil {
			return nil, fmt.Errorf("role %q: %w", id, err)
		}
		if before.BuiltIn {
			return nil, fmt.Errorf("role %q: %w: it comes with the program and cannot be changed or deleted", id, ErrBuiltIn)
		}
		if ifVersion != 0 && before.Version != ifVersion {
			return nil, fmt.Errorf("role %q has version %d, not %d: %w", id, before.Version, ifVersion, ErrConflict)
		}
		change, err := edit(before)
		if err != nil {
			return nil, err
		}
		if change.Role == nil && change.Delete == "" {
			return before, nil
		}
		change.Before = before.Version
		if change.Role != nil {
			change.Role.Version, change.Role.UpdatedAt = before.Version+1, instant(s.now)
		}
		if err = s.applySet(ctx, ChangeSet{Roles: []RoleChange{change}}); err == nil {
			return change.Role, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("writing role %q: %w", id, err)
		}
	}
	return nil, fmt.Errorf("writing role %q, %d times overtaken: %w", id, writeAttempts, ErrConflict)
}

// installRole writes a built-in role if the store has not got it as it is in
// this program. A role of the operators' own that has the same ID is left alone.
func (s *Service) installRole(ctx context.Context, role Role) error {
	now := instant(s.now)
	role.Version, role.CreatedAt, role.UpdatedAt = 1, now, now
	current, err := s.store.Role(ctx, role.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		current = &Role{}
	case err != nil:
		return err
	case !current.BuiltIn:
		s.log.WarnContext(ctx, "a role of your own has the ID of a built-in one, which is not installed", logRole, role.ID)
		return nil
	case current.Description == role.Description && current.Limits == role.Limits && sameGrants(current.Grants, role.Grants):
		return nil
	default:
		role.Version, role.CreatedAt = current.Version+1, current.CreatedAt
	}
	return s.applySet(ctx, ChangeSet{Roles: []RoleChange{{Before: current.Version, Role: &role}}})
}
