package provisioning

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"time"
)

// masked is what a secret shows in logs, errors and encodings.
const masked = "[secret]"

const (
	secretPrefix   = "bg_"
	secretBytes    = 32
	secretDigits   = 43 // base62 digits that hold 256 bits
	checksumDigits = 6  // base62 digits that hold a CRC-32
	secretLength   = len(secretPrefix) + secretDigits + checksumDigits
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Secret is one credential of a client. Several may be valid at once, so that a
// rotation needs no outage.
type Secret struct {
	ID string `json:"id"`
	// Hash is never part of JSON; a Store keeps it beside the record.
	Hash SecretHash `json:"-"`
	// NotBefore is the first instant the secret is valid; zero means always.
	NotBefore time.Time `json:"not_before,omitzero"`
	// ExpiresAt is the first instant it is valid no more; zero means never.
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Comment    string    `json:"comment,omitempty"`
}

// ValidAt reports whether now lies within the secret's life.
func (s Secret) ValidAt(now time.Time) bool {
	return !s.notYetValid(now) && !s.expired(now)
}

func (s Secret) notYetValid(now time.Time) bool { return now.Before(s.NotBefore) }

func (s Secret) expired(now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
}

// ClearSecret is a secret in clear: "bg_", 256 random bits as 43 base62 digits
// and a checksum of 6, by which secret scanners recognise it. It masks itself in
// fmt, slog and every encoding; Reveal is the only way to its text.
type ClearSecret string

// NewSecretText draws a secret from rand.
func NewSecretText(rand io.Reader) (ClearSecret, error) {
	var raw [secretBytes]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return "", fmt.Errorf("drawing a secret: %w", err)
	}
	body := secretPrefix + toBase62(new(big.Int).SetBytes(raw[:]), secretDigits)
	return ClearSecret(body + checksum(body)), nil
}

// Valid reports whether s has the form of a generated secret and its checksum
// is right. It says nothing about whose secret it is.
func (s ClearSecret) Valid() bool {
	text := string(s)
	if len(text) != secretLength || !strings.HasPrefix(text, secretPrefix) {
		return false
	}
	for i := len(secretPrefix); i < len(text); i++ {
		if strings.IndexByte(base62, text[i]) < 0 {
			return false
		}
	}
	split := len(text) - checksumDigits
	return text[split:] == checksum(text[:split])
}

// Reveal returns the text, to be shown once to whom it belongs.
func (s ClearSecret) Reveal() string { return string(s) }

// String masks the secret.
func (s ClearSecret) String() string { return masked }

// Format masks the secret under every verb.
func (s ClearSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// LogValue masks the secret.
func (s ClearSecret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText masks the secret, in JSON too.
func (s ClearSecret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// UnmarshalText refuses: what was marshalled is masked, and a clear secret comes
// from NewSecretText or a conversion that a reader can see.
func (s *ClearSecret) UnmarshalText([]byte) error {
	return errors.New("a clear secret is not read from an encoding")
}

// toBase62 writes n, most significant digit first, padded to width digits.
func toBase62(n *big.Int, width int) string {
	digits := make([]byte, width)
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		digits[i] = base62[digit.Int64()]
	}
	return string(digits)
}

func checksum(text string) string {
	sum := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text))))
	return toBase62(sum, checksumDigits)
}
