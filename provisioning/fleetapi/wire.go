package fleetapi

import (
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// Settings are the parts of a client that an operator chooses and may change.
type Settings struct {
	Name          string            `json:"name,omitempty" maxLength:"256" example:"Level B2, space 17" doc:"A name for people."`
	Labels        map[string]string `json:"labels,omitempty" maxProperties:"64" example:"{\"site\":\"north\"}" doc:"Labels to group and find clients by, and to fill the placeholders {labels.x} of scopes."`
	Roles         []string          `json:"roles,omitempty" nullable:"false" maxItems:"64" example:"[\"parking-sensor\"]" doc:"IDs of the roles that the client has."`
	Grants        []Grant           `json:"grants,omitempty" nullable:"false" maxItems:"256" doc:"Rights of the client's own, beside those of its roles."`
	Attributes    map[string]string `json:"attributes,omitempty" maxProperties:"32" example:"{\"department\":\"parking\"}" doc:"Claims that every token of the client carries."`
	TokenTTL      int64             `json:"token_ttl,omitempty" minimum:"60" maximum:"86400" example:"3600" doc:"How long the client's tokens live, in seconds; absent for the server's default."`
	MQTTClientIDs []string          `json:"mqtt_client_ids,omitempty" nullable:"false" maxItems:"16" example:"[\"sensor-b2-017\"]" doc:"Patterns of the MQTT client IDs that the client may connect with, * for any text; empty for its own ID, or its own ID, a colon and a suffix."`
	Certificates  []Certificate     `json:"certificates,omitempty" nullable:"false" maxItems:"8" doc:"TLS client certificates that the client may authenticate with at the token endpoint in place of a secret (RFC 8705)."`
}

// Grant gives scopes on an audience.
type Grant struct {
	Audience string   `json:"audience" maxLength:"256" example:"boomgate:mqtt" doc:"Who the tokens are for: boomgate:mqtt is the broker, boomgate:fleet this API."`
	Scopes   []string `json:"scopes" nullable:"false" minItems:"1" maxItems:"256" example:"[\"sub:parking/v1/{labels.site}/+/state\"]" doc:"What the tokens allow. Scopes of the broker may hold placeholders: {client_id}, {kind}, {labels.x}, {attributes.x}."`
}

// NewClient is the body of a creation.
type NewClient struct {
	ID string `json:"id,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,63}$" example:"sensor-b2-017" doc:"The client ID; absent to have one generated. It is never used again, not even after the client is deleted."`
	Settings
	SecretExpiresAt time.Time `json:"secret_expires_at,omitzero" example:"2027-12-31T00:00:00Z" doc:"When the secret ends; absent for never."`
}

// Client is the record of a device, a service or an operator.
type Client struct {
	ID            string            `json:"id" example:"sensor-b2-017" doc:"The client ID."`
	Kind          string            `json:"kind" enum:"device,service,operator" doc:"What the client is."`
	Name          string            `json:"name" example:"Level B2, space 17" doc:"A name for people."`
	Labels        map[string]string `json:"labels" example:"{\"site\":\"north\"}" doc:"Labels."`
	Roles         []string          `json:"roles" nullable:"false" example:"[\"parking-sensor\"]" doc:"IDs of the client's roles."`
	Grants        []Grant           `json:"grants" nullable:"false" doc:"Rights of the client's own."`
	Status        string            `json:"status" enum:"active,disabled" doc:"Whether the client may get tokens and connect."`
	Secrets       []Secret          `json:"secrets" nullable:"false" doc:"The client's secrets, without their texts."`
	Attributes    map[string]string `json:"attributes" example:"{\"department\":\"parking\"}" doc:"Claims that every token of the client carries."`
	TokenTTL      int64             `json:"token_ttl,omitzero" example:"3600" doc:"How long tokens live, in seconds; absent for the server's default."`
	MQTTClientIDs []string          `json:"mqtt_client_ids" nullable:"false" doc:"Patterns of MQTT client IDs; empty for the client's own."`
	Certificates  []Certificate     `json:"certificates" nullable:"false" doc:"TLS client certificates that the client may authenticate with."`
	Version       uint64            `json:"version" example:"3" doc:"Counts the writes of the record; its ETag."`
	CreatedAt     time.Time         `json:"created_at" doc:"When the client was created."`
	UpdatedAt     time.Time         `json:"updated_at" doc:"When the record was last written."`

	LastTokenAt     time.Time `json:"last_token_at,omitzero" doc:"When the client last got a token."`
	LastConnectedAt time.Time `json:"last_connected_at,omitzero" doc:"When the client last connected to the broker."`
	LastMessageAt   time.Time `json:"last_message_at,omitzero" doc:"When the client last published."`
}

// Secret is what is known of a secret beside its text.
type Secret struct {
	ID         string    `json:"id" example:"secret-4c1x7q" doc:"The secret's ID."`
	NotBefore  time.Time `json:"not_before,omitzero" doc:"When it begins; absent for always."`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"When it ends; absent for never."`
	CreatedAt  time.Time `json:"created_at" doc:"When it was drawn."`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When a token was last got with it."`
	Comment    string    `json:"comment,omitempty" example:"handed to the installer" doc:"What an operator noted."`
}

// Credential is the answer that holds a secret: the only one that ever does.
type Credential struct {
	ClientID              string     `json:"client_id" example:"sensor-b2-017" doc:"The client ID."`
	ClientSecret          string     `json:"client_secret" example:"bg_…" doc:"The secret. It is shown here and never again."`
	ClientSecretExpiresAt *time.Time `json:"client_secret_expires_at" doc:"When the secret ends; null for never."`
	TokenEndpoint         string     `json:"token_endpoint" example:"https://gate.example/oauth/token" doc:"Where to get access tokens with it."`
	MQTTURL               string     `json:"mqtt_url" example:"mqtts://gate.example:8883" doc:"Where to connect with an access token."`
	Client                Client     `json:"client" doc:"The record."`
	Receipt               *Receipt   `json:"receipt,omitempty" doc:"What a rotation without overlap ended."`
}

// UpdatedClient is the answer to a change of a client.
type UpdatedClient struct {
	Client
	Receipt Receipt `json:"receipt" doc:"What ended with the change."`
}

// ClientChange is the answer to disable and enable, and to the retirement of a
// secret.
type ClientChange struct {
	Client  Client  `json:"client" doc:"The record as it is now."`
	Receipt Receipt `json:"receipt" doc:"What ended with it."`
}

// Removal is the answer to a deletion.
type Removal struct {
	Receipt Receipt `json:"receipt" doc:"What ended with it."`
}

// Rotation is the body of a rotation.
type Rotation struct {
	Overlap         int64     `json:"overlap,omitempty" minimum:"0" maximum:"7776000" example:"86400" doc:"How long the present secrets stay valid, in seconds; 0 or absent ends them at once, and live sessions too."`
	Comment         string    `json:"comment,omitempty" maxLength:"256" example:"quarterly" doc:"A note on the new secret."`
	SecretExpiresAt time.Time `json:"secret_expires_at,omitzero" example:"2027-12-31T00:00:00Z" doc:"When the new secret ends; absent for never."`
}

// RoleSettings are the parts of a role that an operator may change.
type RoleSettings struct {
	Description string  `json:"description,omitempty" maxLength:"1024" example:"Reads the state of every space of a site." doc:"What the role is for."`
	Grants      []Grant `json:"grants,omitempty" nullable:"false" maxItems:"256" doc:"The rights that the role gives."`
	Limits      Limits  `json:"limits,omitzero" doc:"What a client with the role may do at most on the broker."`
}

// Limits bound what a client may do on the broker. What is absent is not limited
// by the role; of several roles the highest limit counts.
type Limits struct {
	Sessions          int `json:"max_sessions,omitempty" minimum:"0" maximum:"2147483647" example:"2" doc:"Sessions at once."`
	ConnectsPerMinute int `json:"max_connects_per_minute,omitempty" minimum:"0" maximum:"2147483647" example:"30" doc:"Connections per minute."`
	MessagesPerSecond int `json:"max_messages_per_second,omitempty" minimum:"0" maximum:"2147483647" example:"10" doc:"Messages published per second."`
	BytesPerSecond    int `json:"max_bytes_per_second,omitempty" minimum:"0" maximum:"2147483647" example:"10000" doc:"Bytes of payload published per second."`
	Subscriptions     int `json:"max_subscriptions,omitempty" minimum:"0" maximum:"2147483647" example:"8" doc:"Subscriptions of a session."`
	Retained          int `json:"max_retained,omitempty" minimum:"0" maximum:"2147483647" example:"16" doc:"Retained messages that the broker keeps of the client."`
	PayloadBytes      int `json:"max_payload_bytes,omitempty" minimum:"0" maximum:"2147483647" example:"4096" doc:"The size of a message's payload, in bytes."`
}

// NewRole is the body of a role's creation.
type NewRole struct {
	ID string `json:"id" pattern:"^[a-z0-9][a-z0-9-]{0,63}$" example:"site-reader" doc:"The role's ID."`
	RoleSettings
}

// Role is a named set of grants.
type Role struct {
	ID          string    `json:"id" example:"site-reader" doc:"The role's ID."`
	Description string    `json:"description" example:"Reads the state of every space of a site." doc:"What the role is for."`
	Grants      []Grant   `json:"grants" nullable:"false" doc:"The rights that the role gives."`
	Limits      Limits    `json:"limits" doc:"What a client with the role may do at most on the broker."`
	BuiltIn     bool      `json:"built_in" doc:"Whether the role comes with the program and cannot be changed."`
	Version     uint64    `json:"version" example:"1" doc:"Counts the writes of the record; its ETag."`
	CreatedAt   time.Time `json:"created_at" doc:"When the role was created."`
	UpdatedAt   time.Time `json:"updated_at" doc:"When the record was last written."`
}

// UpdatedRole is the answer to a change of a role.
type UpdatedRole struct {
	Role
	Receipt Receipt `json:"receipt" doc:"What ended with the change."`
}

// Session is a live connection to the broker.
type Session struct {
	ID            string    `json:"id" example:"sensor-b2-017" doc:"The MQTT client ID."`
	ClientID      string    `json:"client_id" example:"sensor-b2-017" doc:"Whose session it is: the client ID of the token."`
	Remote        string    `json:"remote" example:"192.0.2.17:50312" doc:"The network address of the other end."`
	Protocol      string    `json:"protocol" example:"5" doc:"The version of MQTT: 3.1, 3.1.1 or 5."`
	Listener      string    `json:"listener" example:"tls" doc:"Where it came in."`
	ConnectedAt   time.Time `json:"connected_at" doc:"When it began."`
	ExpiresAt     time.Time `json:"expires_at,omitzero" doc:"When its token ends, and the session with it."`
	TokenID       string    `json:"token_id,omitempty" example:"0mq3wzk7v1c9" doc:"The jti of the token that it lives on."`
	Renewals      int       `json:"renewals" example:"0" doc:"How often it has brought a new token."`
	Refused       int       `json:"refused" example:"0" doc:"How often it was refused a publication, a subscription or a delivery."`
	Subscriptions int       `json:"subscriptions" example:"1" doc:"How many subscriptions it has."`
}

// Page is a part of a list.
type Page[T any] struct {
	Items      []T    `json:"items" nullable:"false" doc:"This part of the list, in order of the IDs."`
	NextCursor string `json:"next_cursor,omitempty" example:"c2Vuc29yLWIyLTAxNw" doc:"Send it as ?cursor= for the next part; absent in the last."`
}

func clientOf(c *provisioning.Client) Client {
	return Client{
		ID: c.ID, Kind: string(c.Kind), Name: c.Name, Labels: orEmptyMap(c.Labels), Roles: orEmpty(c.Roles),
		Grants: grantsOf(c.Grants), Status: string(c.Status), Secrets: secretsOf(c.Secrets),
		Attributes: orEmptyMap(c.Attributes), TokenTTL: int64(c.TokenTTL / time.Second),
		MQTTClientIDs: orEmpty(c.MQTTClientIDs), Certificates: certificatesOf(c.Certificates), Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		LastTokenAt: c.LastTokenAt, LastConnectedAt: c.LastConnectedAt, LastMessageAt: c.LastMessageAt,
	}
}

func secretsOf(secrets []provisioning.Secret) []Secret {
	out := make([]Secret, len(secrets))
	for i, s := range secrets {
		out[i] = Secret{s.ID, s.NotBefore, s.ExpiresAt, s.CreatedAt, s.LastUsedAt, s.Comment}
	}
	return out
}

func settingsOf(c *provisioning.Client) Settings {
	return Settings{
		Name: c.Name, Labels: c.Labels, Roles: c.Roles, Grants: grantsOf(c.Grants), Attributes: c.Attributes,
		TokenTTL: int64(c.TokenTTL / time.Second), MQTTClientIDs: c.MQTTClientIDs, Certificates: certificatesOf(c.Certificates),
	}
}

func (s Settings) applyTo(c *provisioning.Client) {
	c.Name, c.Labels, c.Roles, c.Grants, c.Attributes = s.Name, s.Labels, s.Roles, s.grants(), s.Attributes
	c.TokenTTL, c.MQTTClientIDs, c.Certificates = s.tokenTTL(), s.MQTTClientIDs, s.certificates()
}

func (s Settings) tokenTTL() time.Duration { return time.Duration(s.TokenTTL) * time.Second }

func (s Settings) grants() []provisioning.Grant { return domainGrants(s.Grants) }

func roleOf(r *provisioning.Role) Role {
	return Role{r.ID, r.Description, grantsOf(r.Grants), Limits(r.Limits), r.BuiltIn, r.Version, r.CreatedAt, r.UpdatedAt}
}

func grantsOf(grants []provisioning.Grant) []Grant {
	out := make([]Grant, len(grants))
	for i, g := range grants {
		out[i] = Grant(g)
	}
	return out
}

func domainGrants(grants []Grant) []provisioning.Grant {
	out := make([]provisioning.Grant, len(grants))
	for i, g := range grants {
		out[i] = provisioning.Grant(g)
	}
	return out
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func orEmptyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
