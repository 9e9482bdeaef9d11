package provisioning

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// hmacScheme names the hash of generated secrets: HMAC-SHA-256 under a key of
// the server. A slow hash would buy nothing for 256 random bits.
const hmacScheme = "hmac-sha256"

// SecretHash is what is kept of a secret: "$<scheme>$<parameters…>". For
// generated secrets that is "$hmac-sha256$<key ID>$<base64 of the sum>". It masks
// itself in fmt, slog and encodings; a Store keeps string(h).
type SecretHash string

// Scheme returns the name of the hash, "" if h has not the form of one.
func (h SecretHash) Scheme() string {
	scheme, _, found := strings.Cut(strings.TrimPrefix(string(h), "$"), "$")
	if !found {
		return ""
	}
	return scheme
}

// Format masks the hash under every verb.
func (h SecretHash) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// LogValue masks the hash.
func (h SecretHash) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText masks the hash, in JSON too.
func (h SecretHash) MarshalText() ([]byte, error) { return []byte(masked), nil }

// hashSecret returns the hash under which a generated secret is kept.
func hashSecret(key Key, secret ClearSecret) SecretHash {
	sum := hmacSum(key, string(secret))
	return SecretHash("$" + hmacScheme + "$" + key.ID + "$" + base64.RawStdEncoding.EncodeToString(sum))
}

// hmacParts returns the key and the sum of an HMAC hash.
func (h SecretHash) hmacParts() (keyID string, sum []byte, ok bool) {
	rest, ok := strings.CutPrefix(string(h), "$"+hmacScheme+"$")
	if !ok {
		return "", nil, false
	}
	keyID, text, ok := strings.Cut(rest, "$")
	if !ok {
		return "", nil, false
	}
	sum, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return "", nil, false
	}
	return keyID, sum, true
}

func hmacSum(key Key, text string) []byte {
	mac := hmac.New(sha256.New, key.Private)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
