package harness

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
)

// Forger makes tokens with the server's own signing key, so that a token can be wrong in one
// property and right in all others.
type Forger struct {
	tb  testing.TB
	Key ed25519.PrivateKey
}

// StartForging starts a server whose signing key the test knows.
func StartForging(tb testing.TB, flags ...string) (*Server, Forger) {
	tb.Helper()
	s := StartServer(tb, flags...)
	s.Stop()
	f := Forger{tb: tb, Key: signingKey(tb, s.DataDir)}
	s.Restart()
	return s, f
}

// signingKey reads the key that signs the tokens out of the data folder of a stopped server.
func signingKey(tb testing.TB, dataDir string) ed25519.PrivateKey {
	tb.Helper()
	store, err := badgerstore.Open(tb.Context(), badgerstore.Config{Dir: filepath.Join(dataDir, "registry")})
	Must(tb, err)
	defer func() { Must(tb, store.Close()) }()
	keys, err := store.Keys(tb.Context(), provisioning.UseSignature)
	Must(tb, err)
	if len(keys) != 1 {
		tb.Fatalf("the server has %d signing keys, want 1", len(keys))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keys[0].Private)
	Must(tb, err)
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		tb.Fatalf("the signing key is a %T", parsed)
	}
	return key
}

// In is the forger of a subtest.
func (f Forger) In(tb testing.TB) Forger {
	tb.Helper()
	f.tb = tb
	return f
}

// Sign signs header and payload as they are written.
func (f Forger) Sign(header, payload string) string {
	text := Encode(header) + "." + Encode(payload)
	return text + "." + Encode(string(ed25519.Sign(f.Key, []byte(text))))
}

// Encode is base64url without padding, as a JWT has it.
func Encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// Claims are members of a token's header or payload. nil takes a member out; null writes null.
type Claims map[string]any

// Null stands for JSON's null.
const Null = json.Number("null")

// Alter signs a genuine token again with some claims changed.
func (f Forger) Alter(token string, changes Claims) string {
	f.tb.Helper()
	header, payload := f.Open(token)
	return f.Sign(header, f.merge(payload, changes))
}

// AlterHeader signs a genuine token again with parts of its header changed.
func (f Forger) AlterHeader(token string, changes Claims) string {
	f.tb.Helper()
	header, payload := f.Open(token)
	return f.Sign(f.merge(header, changes), payload)
}

// Append signs a genuine token again with a member written at the end of its payload, whatever
// is there already.
func (f Forger) Append(token, member string) string {
	f.tb.Helper()
	header, payload := f.Open(token)
	return f.Sign(header, strings.TrimSuffix(payload, "}")+","+member+"}")
}

// AppendHeader does the same to the header.
func (f Forger) AppendHeader(token, member string) string {
	f.tb.Helper()
	header, payload := f.Open(token)
	return f.Sign(strings.TrimSuffix(header, "}")+","+member+"}", payload)
}

// Lasting is a genuine token that expires so long from now.
func (f Forger) Lasting(token string, life time.Duration) string {
	f.tb.Helper()
	return f.Alter(token, Claims{"exp": SecondsFromNow(life)})
}

// SecondsFromNow is a NumericDate (RFC 7519 §2), with fractions.
func SecondsFromNow(d time.Duration) float64 {
	return float64(time.Now().Add(d).UnixMilli()) / 1000
}

// Open returns the JSON of a token's header and payload.
func (f Forger) Open(token string) (header, payload string) {
	f.tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		f.tb.Fatalf("a token of %d parts", len(parts))
	}
	decode := func(part string) string {
		text, err := base64.RawURLEncoding.DecodeString(part)
		Must(f.tb, err)
		return string(text)
	}
	return decode(parts[0]), decode(parts[1])
}

func (f Forger) merge(object string, changes Claims) string {
	f.tb.Helper()
	var members map[string]json.RawMessage
	Must(f.tb, json.Unmarshal([]byte(object), &members))
	for name, value := range changes {
		switch value {
		case nil:
			delete(members, name)
			continue
		case Null:
			members[name] = json.RawMessage("null")
			continue
		}
		encoded, err := json.Marshal(value)
		Must(f.tb, err)
		members[name] = encoded
	}
	text, err := json.Marshal(members)
	Must(f.tb, err)
	return string(text)
}

// Kid is the key ID in a token's header.
func (f Forger) Kid(token string) string {
	f.tb.Helper()
	var header struct {
		KeyID string `json:"kid"`
	}
	text, _ := f.Open(token)
	Must(f.tb, json.Unmarshal([]byte(text), &header))
	return header.KeyID
}

// SignedWith replaces the header of a genuine token and signs it with any function.
func (f Forger) SignedWith(token, alg string, sign func(text string) []byte) string {
	f.tb.Helper()
	_, payload := f.Open(token)
	text := Encode(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, alg, f.Kid(token))) + "." + Encode(payload)
	return text + "." + Encode(string(sign(text)))
}

// Claim is a text in a token's payload.
func (f Forger) Claim(token, name string) string {
	f.tb.Helper()
	_, payload := f.Open(token)
	var members map[string]any
	Must(f.tb, json.Unmarshal([]byte(payload), &members))
	return fmt.Sprint(members[name])
}
