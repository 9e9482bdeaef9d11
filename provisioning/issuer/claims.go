package issuer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// grantTypeClaim is the value of `gty`, spelled as Auth0 does: its consumers look for it.
const grantTypeClaim = "client-credentials"

// tokenIDBytes makes a `jti` unique without a register: 128 random bits.
const tokenIDBytes = 16

// claims is the payload of the default profile: RFC 9068 §2.2, with `scp`, `gty` and `credential_id` beside it.
type claims struct {
	Issuer       string        `json:"iss"`
	Subject      string        `json:"sub"`
	ClientID     string        `json:"client_id"`
	Audience     any           `json:"aud"` // a string when single (RFC 7519 §4.1.3)
	IssuedAt     int64         `json:"iat"`
	NotBefore    int64         `json:"nbf"`
	ExpiresAt    int64         `json:"exp"`
	ID           string        `json:"jti"`
	Scope        string        `json:"scope"`
	Scopes       []string      `json:"scp,omitzero"` // nil: scope is in the authorization information format
	GrantType    string        `json:"gty"`
	CredentialID string        `json:"credential_id,omitempty"`
	Confirmation *confirmation `json:"cnf,omitempty"`
}

// confirmation binds the token to the holder of a certificate (RFC 8705 §3.1).
type confirmation struct {
	Thumbprint string `json:"x5t#S256"`
}

// registered tells whether name is a claim that the issuer sets itself, in any letter case: verifiers that fold the case
// of claim names would otherwise read an attribute `EXP` as the expiry.
func registered(name string) bool {
	switch strings.ToLower(name) {
	case "iss", "sub", "client_id", "aud", "iat", "nbf", "exp", "jti", "scope", "scp", "gty", "credential_id", "cnf":
		return true
	default:
		return false
	}
}

func newTokenID(rand io.Reader) (string, error) {
	var id [tokenIDBytes]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return "", fmt.Errorf("making a token ID: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// encodeClaims returns the payload's JSON: the claims in a fixed order, then the attributes in the order of their names.
func (i *Issuer) encodeClaims(id string, t provisioning.AccessToken, issued, expires time.Time) ([]byte, error) {
	c := claims{
		Issuer: i.cfg.Issuer, Subject: t.ClientID, ClientID: t.ClientID, Audience: t.Audience,
		IssuedAt: issued.Unix(), NotBefore: issued.Unix(), ExpiresAt: expires.Unix(), ID: id,
		GrantType: grantTypeClaim, CredentialID: t.CredentialID,
	}
	if t.Thumbprint != "" {
		c.Confirmation = &confirmation{t.Thumbprint}
	}
	if len(t.Audience) == 1 {
		c.Audience = t.Audience[0]
	}
	if err := i.setScope(&c, t); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding the claims: %w", err)
	}
	attributes := make(map[string]string, len(t.Attributes))
	for name, value := range t.Attributes {
		if !registered(name) {
			attributes[name] = value
		}
	}
	if len(attributes) == 0 {
		return payload, nil
	}
	tail, err := json.Marshal(attributes)
	if err != nil {
		return nil, fmt.Errorf("encoding the attributes: %w", err)
	}
	payload[len(payload)-1] = ','
	return append(payload, tail[1:]...), nil
}

// setScope says the scopes in the form that the token is to have.
func (i *Issuer) setScope(c *claims, t provisioning.AccessToken) error {
	if !t.AIF {
		c.Scope, c.Scopes = strings.Join(t.Scopes, " "), t.Scopes
		if c.Scopes == nil {
			c.Scopes = []string{} // said to be none, not left out
		}
		return nil
	}
	if i.cfg.FormatAIF == nil {
		return fmt.Errorf("%w: this issuer has no authorization information format", ErrInvalidToken)
	}
	format, err := i.cfg.FormatAIF(t.Scopes)
	if err != nil {
		return fmt.Errorf("%w: writing its authorization information: %w", ErrInvalidToken, err)
	}
	c.Scope = base64.RawURLEncoding.EncodeToString(format) // RFC 9431 §2.3: in a JWT, the JSON is base64url-encoded
	return nil
}
