package provisioning

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Uses of a key.
const (
	// UseSignature is a key that signs tokens.
	UseSignature = "sig"
	// UseSecretHMAC is a key under which secrets are hashed.
	UseSecretHMAC = "secret-hmac"
)

// Key is a private key of the server. It is written once and never changed; a
// successor has another ID.
type Key struct {
	ID  string
	Use string
	Alg string
	// Private is PKCS #8 for an asymmetric key, the bytes themselves for a
	// symmetric one.
	Private   []byte
	CreatedAt time.Time
}

// Format writes the key without its private part, under every verb.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "key "+k.ID+" ("+k.Use+", "+k.Alg+")")
}

// LogValue is the key without its private part.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String(logKey, k.ID), slog.String(logKeyUse, k.Use), slog.String(logKeyAlg, k.Alg))
}

// MarshalText writes the key without its private part, in JSON too.
func (k Key) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(k)), nil }

// AccessToken is what a token is to say, handed to the minter of tokens.
type AccessToken struct {
	ClientID   string
	Audience   []string
	Scopes     []string
	Attributes map[string]string
	Lifetime   time.Duration
	// CredentialID is the secret or certificate that the token is got with.
	CredentialID string
	// Thumbprint binds the token to a client certificate (RFC 8705 §3.1): base64url
	// of its SHA-256. Empty for none.
	Thumbprint string
	// AIF writes the scopes as AIF-MQTT (RFC 9431 §2.3).
	AIF bool
}
