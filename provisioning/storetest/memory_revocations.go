package storetest

import (
	"context"
	"maps"
	"slices"

	"github.com/boomgate/boomgate/provisioning"
)

// Revocations implements [provisioning.RevocationReader].
func (m *Memory) Revocations(ctx context.Context, after string, limit int) ([]provisioning.Revocation, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var list []provisioning.Revocation
	for _, id := range slices.Sorted(maps.Keys(m.state.revoked)) {
		if id > after && len(list) < limit {
			list = append(list, m.state.revoked[id])
		}
	}
	return list, nil
}

// revoke writes and deletes revocations.
func (s memoryState) revoke(changes []provisioning.RevocationChange) {
	for _, change := range changes {
		id := change.Revocation.ID
		if !change.Delete {
			s.revoked[id] = change.Revocation
		} else if stored, found := s.revoked[id]; found && compare(stored, change.Revocation) == "" {
			delete(s.revoked, id)
		}
	}
}
