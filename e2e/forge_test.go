package e2e_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
)

// forger makes tokens with the server's own signing key, so that a token can be wrong in one
// property and right in all others.
type forger struct {
	tb  testing.TB
	key ed25519.PrivateKey
}

// startForging starts a server whose signing key the test knows.
func startForging(tb testing.TB, flags ...string) (*server, forger) {
	tb.Helper()
	s := startServer(tb, flags...)
	s.stop()
	f := forger{tb: tb, key: signingKey(tb, s.dataDir)}
	s.restart()
	return s, f
}

// signingKey reads the key that signs the tokens out of the data folder of a stopped server.
func signingKey(tb testing.TB, dataDir string) ed25519.PrivateKey {
	tb.Helper()
	store, err := badgerstore.Open(tb.Context(), badgerstore.Config{Dir: filepath.Join(dataDir, "registry")})
	must(tb, err)
	defer func() { must(tb, store.Close()) }()
	keys, err := store.Keys(tb.Context(), provisioning.UseSignature)
	must(tb, err)
	if len(keys) != 1 {
		tb.Fatalf("the server has %d signing keys, want 1", len(keys))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keys[0].Private)
	must(tb, err)
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		tb.Fatalf("the signing key is a %T", parsed)
	}
	return key
}

// in is the forger of a subtest.
func (f forger) in(tb testing.TB) forger {
	tb.Helper()
	f.tb = tb
	return f
}

// sign signs header and payload as they are written.
func (f forger) sign(header, payload string) string {
	text := encode(header) + "." + encode(payload)
	return text + "." + encode(string(ed25519.Sign(f.key, []byte(text))))
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// claims are members of a token's header or payload. nil takes a member out; null writes null.
type claims map[string]any

// null stands for JSON's null.
const null = json.Number("null")

// alter signs a genuine token again with some claims changed.
func (f forger) alter(token string, changes claims) string {
	f.tb.Helper()
	header, payload := f.open(token)
	return f.sign(header, f.merge(payload, changes))
}

// alterHeader signs a genuine token again with parts of its header changed.
func (f forger) alterHeader(token string, changes claims) string {
	f.tb.Helper()
	header, payload := f.open(token)
	return f.sign(f.merge(header, changes), payload)
}

// append signs a genuine token again with a member written at the end of its payload, whatever
// is there already.
func (f forger) append(token, member string) string {
	f.tb.Helper()
	header, payload := f.open(token)
	return f.sign(header, strings.TrimSuffix(payload, "}")+","+member+"}")
}

// appendHeader does the same to the header.
func (f forger) appendHeader(token, member string) string {
	f.tb.Helper()
	header, payload := f.open(token)
	return f.sign(strings.TrimSuffix(header, "}")+","+member+"}", payload)
}

// lasting is a genuine token that expires so long from now.
func (f forger) lasting(token string, life time.Duration) string {
	f.tb.Helper()
	return f.alter(token, claims{"exp": secondsFromNow(life)})
}

// secondsFromNow is a NumericDate (RFC 7519 §2), with fractions.
func secondsFromNow(d time.Duration) float64 {
	return float64(time.Now().Add(d).UnixMilli()) / 1000
}

// open returns the JSON of a token's header and payload.
func (f forger) open(token string) (header, payload string) {
	f.tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		f.tb.Fatalf("a token of %d parts", len(parts))
	}
	decode := func(part string) string {
		text, err := base64.RawURLEncoding.DecodeString(part)
		must(f.tb, err)
		return string(text)
	}
	return decode(parts[0]), decode(parts[1])
}

func (f forger) merge(object string, changes claims) string {
	f.tb.Helper()
	var members map[string]json.RawMessage
	must(f.tb, json.Unmarshal([]byte(object), &members))
	for name, value := range changes {
		switch value {
		case nil:
			delete(members, name)
			continue
		case null:
			members[name] = json.RawMessage("null")
			continue
		}
		encoded, err := json.Marshal(value)
		must(f.tb, err)
		members[name] = encoded
	}
	text, err := json.Marshal(members)
	must(f.tb, err)
	return string(text)
}
