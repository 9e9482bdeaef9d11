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

// claims is the payload of the default profile: RFC 9068 §2.2, with `scp` and `gty` beside it.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ClientID  string   `json:"client_id"`
	Audience  any      `json:"aud"` // a string when single (RFC 7519 §4.1.3)
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	Scope     string   `json:"scope"`
	Scopes    []string `json:"scp"`
	GrantType string   `json:"gty"`
}

// registered tells whether name is a claim that the issuer sets itself, in any letter case: verifiers that fold the case
// of claim names would otherwise read an attribute `EXP` as the expiry.
func registered(name string) bool {
	switch strings.ToLower(name) {
	case "iss", "sub", "client_id", "aud", "iat", "nbf", "exp", "jti", "scope", "scp", "gty":
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
func encodeClaims(issuer, id string, t provisioning.AccessToken, issued, expires time.Time) ([]byte, error) {
	c := claims{
		Issuer: issuer, Subject: t.ClientID, ClientID: t.ClientID, Audience: t.Audience,
		IssuedAt: issued.Unix(), NotBefore: issued.Unix(), ExpiresAt: expires.Unix(), ID: id,
		Scope: strings.Join(t.Scopes, " "), Scopes: t.Scopes, GrantType: grantTypeClaim,
	}
	if c.Scopes == nil {
		c.Scopes = []string{} // never null
	}
	if len(t.Audience) == 1 {
		c.Audience = t.Audience[0]
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
