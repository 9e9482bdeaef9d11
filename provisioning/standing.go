package provisioning

import (
	"context"
	"errors"
	"fmt"
)

// Standing is what the broker needs to know of a client. The zero Standing is
// that of a client that does not exist.
type Standing struct {
	// Client is the record without its clocks. It is shared with others: nobody may
	// change it.
	Client *Client
	// Scopes are those of [AudienceMQTT].
	Scopes []string
	Limits Limits
}

// Standing returns what a client may do on the broker now. It reads each record
// once, from memory if the store has it there. Of a client that is unknown or deleted it returns the zero Standing; of a
// disabled one what it would have.
func (r *Registry) Standing(ctx context.Context, clientID string) (Standing, error) {
	c, err := r.cachedClient(ctx, clientID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Standing{}, nil
	case err != nil:
		return Standing{}, fmt.Errorf("reading client %q: %w", clientID, err)
	}
	s := Standing{Client: c}
	var x expansion
	err = r.eachRole(ctx, c, func(role *Role) {
		s.Limits = s.Limits.widen(role.Limits)
		r.expand(&x, c, AudienceMQTT, role.ID, role.Grants)
	})
	if err != nil {
		return Standing{}, err
	}
	r.expand(&x, c, AudienceMQTT, "", c.Grants)
	s.Scopes = x.scopes
	return s, nil
}

// cachedClient reads a client without its clocks, from memory if the store has it
// there, in which case it is shared.
func (r *Registry) cachedClient(ctx context.Context, id string) (*Client, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	if c := r.store.Cached(id); c != nil {
		return c, nil
	}
	c, err := r.store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.WithoutClocks(), nil
}
