package badgerstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// recordVersion is the first byte of every record; what follows is JSON (but for
// seen), which encoding/json writes the same for the same record (map keys in
// order).
const recordVersion = 1

// clientRecord is a client as it is kept: with the hashes of its secrets and the
// ID of the change set that wrote it, without its clocks (see seen), and apart
// from its public JSON, so that either may change alone.
type clientRecord struct {
	Change        string              `json:"change,omitzero"`
	ID            string              `json:"id"`
	Kind          string              `json:"kind"`
	Name          string              `json:"name,omitzero"`
	Labels        map[string]string   `json:"labels,omitempty"`
	Roles         []string            `json:"roles,omitempty"`
	Grants        []grantRecord       `json:"grants,omitempty"`
	Status        string              `json:"status"`
	Secrets       []secretRecord      `json:"secrets,omitempty"`
	Attributes    map[string]string   `json:"attributes,omitempty"`
	TokenTTL      int64               `json:"token_ttl_ns,omitzero"`
	MQTTClientIDs []string            `json:"mqtt_client_ids,omitempty"`
	Certificates  []certificateRecord `json:"certificates,omitempty"`
	Version       uint64              `json:"version"`
	CreatedAt     time.Time           `json:"created_at,omitzero"`
	UpdatedAt     time.Time           `json:"updated_at,omitzero"`
}

type grantRecord struct {
	Audience string   `json:"audience"`
	Scopes   []string `json:"scopes"`
}

type secretRecord struct {
	ID        string    `json:"id"`
	Hash      string    `json:"hash"`
	NotBefore time.Time `json:"not_before,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Comment   string    `json:"comment,omitzero"`
}

type certificateRecord struct {
	Thumbprint string `json:"x5t,omitzero"`
	SubjectDN  string `json:"subject_dn,omitzero"`
	DNS        string `json:"dns,omitzero"`
	URI        string `json:"uri,omitzero"`
	IP         string `json:"ip,omitzero"`
	Email      string `json:"email,omitzero"`
}

type tombstoneRecord struct {
	Change    string    `json:"change,omitzero"`
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Version   uint64    `json:"version"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

type roleRecord struct {
	Change      string        `json:"change,omitzero"`
	ID          string        `json:"id"`
	Description string        `json:"description,omitzero"`
	Grants      []grantRecord `json:"grants,omitempty"`
	Limits      limitsRecord  `json:"limits,omitzero"`
	BuiltIn     bool          `json:"built_in,omitzero"`
	Version     uint64        `json:"version"`
	CreatedAt   time.Time     `json:"created_at,omitzero"`
	UpdatedAt   time.Time     `json:"updated_at,omitzero"`
}

type limitsRecord struct {
	Sessions          int `json:"sessions,omitzero"`
	ConnectsPerMinute int `json:"connects_per_minute,omitzero"`
	MessagesPerSecond int `json:"messages_per_second,omitzero"`
	BytesPerSecond    int `json:"bytes_per_second,omitzero"`
	Subscriptions     int `json:"subscriptions,omitzero"`
	Retained          int `json:"retained,omitzero"`
	PayloadBytes      int `json:"payload_bytes,omitzero"`
}

type revocationRecord struct {
	ID           string    `json:"id"`
	ClientID     string    `json:"client_id,omitzero"`
	TokenID      string    `json:"token_id,omitzero"`
	CredentialID string    `json:"credential_id,omitzero"`
	KeyID        string    `json:"key_id,omitzero"`
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
	CreatedBy    string    `json:"created_by,omitzero"`
	Reason       string    `json:"reason,omitzero"`
}

type keyRecord struct {
	ID        string    `json:"id"`
	Use       string    `json:"use"`
	Alg       string    `json:"alg"`
	Private   []byte    `json:"private"`
	CreatedAt time.Time `json:"created_at,omitzero"`
}

func encode(record any) ([]byte, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	return append([]byte{recordVersion}, data...), nil
}

func decode(data []byte, record any) error {
	body, err := cutVersion(data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, record); err != nil {
		return fmt.Errorf("%w: a record cannot be decoded: %w", ErrDamaged, err)
	}
	return nil
}

// cutVersion returns what follows the version of a record.
func cutVersion(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: an empty record", ErrDamaged)
	}
	if data[0] != recordVersion {
		return nil, fmt.Errorf("%w: a record has version %d and this program knows %d", ErrNewerFormat, data[0], recordVersion)
	}
	return data[1:], nil
}

func encodeClient(change string, c *provisioning.Client) ([]byte, error) {
	r := clientRecord{
		Change: change, ID: c.ID, Kind: string(c.Kind), Name: c.Name, Labels: c.Labels, Roles: c.Roles, Grants: grantRecords(c.Grants),
		Status: string(c.Status), Attributes: c.Attributes, TokenTTL: int64(c.TokenTTL), MQTTClientIDs: c.MQTTClientIDs,
		Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
	for _, s := range c.Secrets {
		r.Secrets = append(r.Secrets, secretRecord{
			ID: s.ID, Hash: string(s.Hash), NotBefore: s.NotBefore.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
			CreatedAt: s.CreatedAt.UTC(), Comment: s.Comment,
		})
	}
	for _, certificate := range c.Certificates {
		r.Certificates = append(r.Certificates, certificateRecord(certificate))
	}
	return encode(r)
}

func decodeClient(data []byte) (*provisioning.Client, error) {
	var r clientRecord
	if err := decode(data, &r); err != nil {
		return nil, err
	}
	c := &provisioning.Client{
		ID: r.ID, Kind: provisioning.Kind(r.Kind), Name: r.Name, Labels: r.Labels, Roles: r.Roles, Grants: grants(r.Grants),
		Status: provisioning.Status(r.Status), Attributes: r.Attributes, TokenTTL: time.Duration(r.TokenTTL),
		MQTTClientIDs: r.MQTTClientIDs, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	for _, s := range r.Secrets {
		c.Secrets = append(c.Secrets, provisioning.Secret{
			ID: s.ID, Hash: provisioning.SecretHash(s.Hash), NotBefore: s.NotBefore, ExpiresAt: s.ExpiresAt,
			CreatedAt: s.CreatedAt, Comment: s.Comment,
		})
	}
	for _, certificate := range r.Certificates {
		c.Certificates = append(c.Certificates, provisioning.Certificate(certificate))
	}
	return c, nil
}

func encodeTombstone(change string, t *provisioning.Tombstone) ([]byte, error) {
	return encode(tombstoneRecord{
		Change: change, ID: t.ID, Kind: string(t.Kind), Version: t.Version, DeletedAt: t.DeletedAt.UTC(),
	})
}

func encodeRole(change string, r *provisioning.Role) ([]byte, error) {
	return encode(roleRecord{
		Change: change, ID: r.ID, Description: r.Description, Grants: grantRecords(r.Grants),
		Limits: limitsRecord(r.Limits), BuiltIn: r.BuiltIn, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	})
}

func decodeRole(data []byte) (*provisioning.Role, error) {
	var r roleRecord
	if err := decode(data, &r); err != nil {
		return nil, err
	}
	return &provisioning.Role{
		ID: r.ID, Description: r.Description, Grants: grants(r.Grants), Limits: provisioning.Limits(r.Limits), BuiltIn: r.BuiltIn,
		Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}, nil
}

func encodeRevocation(r provisioning.Revocation) ([]byte, error) {
	record := revocationRecord(r)
	record.IssuedBefore, record.ExpiresAt, record.CreatedAt = r.IssuedBefore.UTC(), r.ExpiresAt.UTC(), r.CreatedAt.UTC()
	return encode(record)
}

func decodeRevocation(data []byte) (provisioning.Revocation, error) {
	var r revocationRecord
	err := decode(data, &r)
	return provisioning.Revocation(r), err
}

func encodeKey(k provisioning.Key) ([]byte, error) {
	return encode(keyRecord{ID: k.ID, Use: k.Use, Alg: k.Alg, Private: k.Private, CreatedAt: k.CreatedAt.UTC()})
}

func decodeKey(data []byte) (provisioning.Key, error) {
	var r keyRecord
	if err := decode(data, &r); err != nil {
		return provisioning.Key{}, err
	}
	return provisioning.Key{ID: r.ID, Use: r.Use, Alg: r.Alg, Private: r.Private, CreatedAt: r.CreatedAt}, nil
}

func grantRecords(list []provisioning.Grant) []grantRecord {
	out := make([]grantRecord, len(list))
	for i, g := range list {
		out[i] = grantRecord(g)
	}
	return out
}

func grants(list []grantRecord) []provisioning.Grant {
	if len(list) == 0 {
		return nil
	}
	out := make([]provisioning.Grant, len(list))
	for i, g := range list {
		out[i] = provisioning.Grant(g)
	}
	return out
}
