package storetest

import "github.com/boomgate/boomgate/provisioning"

// withClocks returns a client as it is to be stored: with the clocks that are
// stored. Of no client, it returns none.
func (s memoryState) withClocks(c *provisioning.Client) *provisioning.Client {
	if c == nil {
		return nil
	}
	c = c.WithoutClocks()
	if stored := s.clients[c.ID]; stored != nil {
		c.See(provisioning.Sighting{TokenAt: stored.LastTokenAt, ConnectedAt: stored.LastConnectedAt, MessageAt: stored.LastMessageAt})
		for _, secret := range stored.Secrets {
			c.See(provisioning.Sighting{SecretID: secret.ID, TokenAt: secret.LastUsedAt})
		}
	}
	return c
}

// see moves the clocks of clients that are there.
func (s memoryState) see(sightings []provisioning.Sighting) {
	for _, sighting := range sightings {
		if c, ok := s.clients[sighting.ClientID]; ok {
			c = c.Clone()
			c.See(sighting)
			s.clients[c.ID] = c
		}
	}
}
