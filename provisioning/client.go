package provisioning

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Audiences that are built in.
const (
	// AudienceMQTT is the broker's audience; its scopes are topic scopes.
	AudienceMQTT = "boomgate:mqtt"
	// AudienceFleet is the audience of the operators' API; its scopes are [FleetScopes].
	AudienceFleet = "boomgate:fleet"
)

// Kind says what a client is.
type Kind string

// The kinds of client.
const (
	KindDevice   Kind = "device"
	KindService  Kind = "service"
	KindOperator Kind = "operator"
)

// Valid reports whether k is one of the three kinds.
func (k Kind) Valid() bool {
	return k == KindDevice || k == KindService || k == KindOperator
}

// Status says whether a client may get tokens and connect.
type Status string

// The states of a client.
const (
	StatusActive   Status = "active"
	StatusDisabled Status = "disabled"
)

// Valid reports whether s is one of the two states.
func (s Status) Valid() bool { return s == StatusActive || s == StatusDisabled }

// Client is one record of the registry. In JSON, times are RFC 3339 in UTC and
// absent when they are zero, and secrets show no hash.
type Client struct {
	ID         string            `json:"id"`
	Kind       Kind              `json:"kind"`
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels"`
	Roles      []string          `json:"roles"`
	Grants     []Grant           `json:"grants"`
	Status     Status            `json:"status"`
	Secrets    []Secret          `json:"secrets"`
	Attributes map[string]string `json:"attributes"`
	// TokenTTL is the lifetime of the client's tokens, in whole seconds; zero
	// means the server's default. In JSON it is a number of seconds.
	TokenTTL time.Duration `json:"-"`
	// MQTTClientIDs are the patterns that the client's MQTT client ID must match
	// one of ('*' stands for any text); empty means the client's own ID, or that
	// ID followed by ':' and a suffix.
	MQTTClientIDs []string `json:"mqtt_client_ids"`
	// Certificates are those that the client authenticates with by mutual TLS, any
	// one of them.
	Certificates []Certificate `json:"certificates"`
	// Version counts the writes of the record, from 1.
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	LastTokenAt     time.Time `json:"last_token_at,omitzero"`
	LastConnectedAt time.Time `json:"last_connected_at,omitzero"`
	LastMessageAt   time.Time `json:"last_message_at,omitzero"`
}

// Grant gives scopes on an audience. The scopes are templates: placeholders
// {client_id}, {kind}, {labels.x} and {attributes.x} take the client's values.
type Grant struct {
	Audience string   `json:"audience"`
	Scopes   []string `json:"scopes"`
}

// Tombstone is what a deleted client leaves: its ID is never used again.
type Tombstone struct {
	ID        string    `json:"id"`
	Kind      Kind      `json:"kind"`
	Version   uint64    `json:"version"`
	DeletedAt time.Time `json:"deleted_at"`
}

// Clone returns a copy that shares nothing with c.
func (c *Client) Clone() *Client {
	d := *c
	d.Labels = maps.Clone(c.Labels)
	d.Roles = slices.Clone(c.Roles)
	d.Grants = cloneGrants(c.Grants)
	d.Secrets = slices.Clone(c.Secrets)
	d.Attributes = maps.Clone(c.Attributes)
	d.MQTTClientIDs = slices.Clone(c.MQTTClientIDs)
	d.Certificates = slices.Clone(c.Certificates)
	return &d
}

// WithoutClocks returns a copy that shares nothing with c and was never seen.
func (c *Client) WithoutClocks() *Client {
	d := c.Clone()
	d.LastTokenAt, d.LastConnectedAt, d.LastMessageAt = time.Time{}, time.Time{}, time.Time{}
	for i := range d.Secrets {
		d.Secrets[i].LastUsedAt = time.Time{}
	}
	return d
}

func cloneGrants(grants []Grant) []Grant {
	out := slices.Clone(grants)
	for i := range out {
		out[i].Scopes = slices.Clone(out[i].Scopes)
	}
	return out
}

// plainClient has the fields of Client and none of its methods.
type plainClient Client

// clientJSON adds to the plain fields those whose form differs in JSON.
type clientJSON struct {
	*plainClient
	TokenTTL int64 `json:"token_ttl,omitzero"`
}

// MarshalJSON writes the record with empty lists and maps in place of nil ones.
func (c Client) MarshalJSON() ([]byte, error) {
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if c.Attributes == nil {
		c.Attributes = map[string]string{}
	}
	c.Roles = orEmpty(c.Roles)
	c.Grants = orEmpty(c.Grants)
	c.Secrets = orEmpty(c.Secrets)
	c.MQTTClientIDs = orEmpty(c.MQTTClientIDs)
	c.Certificates = orEmpty(c.Certificates)
	return json.Marshal(clientJSON{(*plainClient)(&c), int64(c.TokenTTL / time.Second)})
}

// UnmarshalJSON reads what MarshalJSON writes; a client read from JSON has no
// secret hashes.
func (c *Client) UnmarshalJSON(data []byte) error {
	in := clientJSON{plainClient: (*plainClient)(c)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	c.TokenTTL = time.Duration(in.TokenTTL) * time.Second
	return nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
