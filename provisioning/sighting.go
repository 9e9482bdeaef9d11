package provisioning

import "time"

// Sighting says when a client was seen: when it got a token, connected to the
// broker and published. What is zero has not been seen.
//
// Sightings only move clocks forward, so they may be applied in any order, and
// more than once.
type Sighting struct {
	ClientID string
	// SecretID is the secret that the token at TokenAt was got with; empty if it
	// is not known.
	SecretID    string
	TokenAt     time.Time
	ConnectedAt time.Time
	MessageAt   time.Time
}

// See moves the clocks of a client, and of its secret, forward to those of a
// sighting of it. A clock that is ahead stays.
func (c *Client) See(s Sighting) {
	c.LastTokenAt = later(c.LastTokenAt, s.TokenAt)
	c.LastConnectedAt = later(c.LastConnectedAt, s.ConnectedAt)
	c.LastMessageAt = later(c.LastMessageAt, s.MessageAt)
	for i := range c.Secrets {
		if secret := &c.Secrets[i]; secret.ID == s.SecretID {
			secret.LastUsedAt = later(secret.LastUsedAt, s.TokenAt)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
