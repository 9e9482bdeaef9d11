package issuer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/badgerstore"
	"github.com/boomgate/boomgate/provisioning/issuer"
)

func keySet(tb testing.TB, i *issuer.Issuer) []jose.JSONWebKey {
	tb.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(i.JWKS(), &set); err != nil {
		tb.Fatal(err)
	}
	return set.Keys
}

// openFolder opens the real store in a folder.
func openFolder(tb testing.TB, dir string) *badgerstore.Store {
	tb.Helper()
	store, err := badgerstore.Open(tb.Context(), badgerstore.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Errorf("closing the store: %v", err)
		}
	})
	return store
}

func TestTheFirstStartMakesOneKeyAndTheSecondFindsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := openFolder(t, dir)
	first := open(t, store)
	text := mint(t, first, sensorToken())
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, openFolder(t, dir))
	verify(t, second, text)
	if keys := keySet(t, second); len(keys) != 1 || keys[0].Algorithm != "EdDSA" {
		t.Errorf("the JWK Set is %s, want one EdDSA key", second.JWKS())
	}
	if !bytes.Equal(first.JWKS(), second.JWKS()) {
		t.Errorf("the JWK Set changed over a restart:\n%s\n%s", first.JWKS(), second.JWKS())
	}
}

func TestIssuersThatStartTogetherShareOneKey(t *testing.T) {
	t.Parallel()
	const instances = 16
	store := openFolder(t, t.TempDir())
	begin := make(chan struct{})
	sets := make([][]byte, instances)
	var group sync.WaitGroup
	for n := range instances {
		group.Go(func() {
			<-begin
			i, err := issuer.Open(t.Context(), config(store))
			if err != nil {
				t.Error(err)
				return
			}
			sets[n] = i.JWKS()
		})
	}
	close(begin)
	group.Wait()
	for _, set := range sets[1:] {
		if !bytes.Equal(set, sets[0]) {
			t.Fatalf("two instances publish different keys:\n%s\n%s", sets[0], set)
		}
	}
	keys, err := store.Keys(t.Context(), provisioning.UseSignature)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 {
		t.Errorf("the store holds %d keys, want 1", len(keys))
	}
}

func TestTheKeySetShowsEveryLiveKeyAndNothingPrivate(t *testing.T) {
	t.Parallel()
	store := threeAlgorithms(t)
	i := open(t, store)
	if !bytes.Equal(i.JWKS(), open(t, store).JWKS()) {
		t.Error("the same keys make different documents")
	}
	keys := keySet(t, i)
	if len(keys) != 3 {
		t.Fatalf("the JWK Set has %d keys, want 3", len(keys))
	}
	for n, alg := range []string{"EdDSA", "RS256", "ES256"} { // by age
		key := keys[n]
		thumbprint, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if key.Algorithm != alg || key.Use != "sig" || !key.IsPublic() ||
			key.KeyID != base64.RawURLEncoding.EncodeToString(thumbprint) {
			t.Errorf("key %d is %+v, want a public %s key for signatures named by its thumbprint", n, key, alg)
		}
	}
	for _, private := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`, `"k"`} {
		if bytes.Contains(i.JWKS(), []byte(private)) {
			t.Errorf("the JWK Set has a private member %s", private)
		}
	}
}

func TestACallerCannotChangeThePublishedDocument(t *testing.T) {
	t.Parallel()
	i := open(t, new(memory))
	want := string(i.JWKS())
	clear(i.JWKS())
	if got := string(i.JWKS()); got != want {
		t.Errorf("the document is %q after a caller has changed its copy", got)
	}
}

func TestAKeyIsFoundUnderItsAlgorithmOnly(t *testing.T) {
	t.Parallel()
	i := open(t, threeAlgorithms(t))
	for _, key := range keySet(t, i) {
		public, err := i.Key(t.Context(), key.KeyID, key.Algorithm)
		if err != nil {
			t.Errorf("%s: %v", key.Algorithm, err)
			continue
		}
		if same, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(key.Key) {
			t.Errorf("%s: the key is not the published one", key.Algorithm)
		}
		for _, alg := range []string{"", "none", "HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA", "eddsa"} {
			if _, err := i.Key(t.Context(), key.KeyID, alg); alg != key.Algorithm && !errors.Is(err, issuer.ErrUnknownKey) {
				t.Errorf("the %s key under %q: error is %v, want ErrUnknownKey", key.Algorithm, alg, err)
			}
		}
	}
	for _, kid := range []string{"", "nobody", "../../etc/passwd", "' OR 1=1 --", "sig-eddsa-1"} {
		if _, err := i.Key(t.Context(), kid, "EdDSA"); !errors.Is(err, issuer.ErrUnknownKey) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("kid %q: error is %v, want ErrUnknownKey, which is fs.ErrNotExist", kid, err)
		}
	}
}

func TestTheNewestKeySignsAndTheOlderStayPublished(t *testing.T) {
	t.Parallel()
	store := new(memory)
	old := mint(t, open(t, store), sensorToken())
	_, successor, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	store.keys["sig-eddsa-2"] = newKey(t, "sig-eddsa-2", "EdDSA", successor, start().Add(time.Hour))
	// The same key under a second name must not be published twice.
	store.keys["sig-eddsa-3"] = newKey(t, "sig-eddsa-3", "EdDSA", successor, start().Add(2*time.Hour))
	i := open(t, store)
	keys := keySet(t, i)
	if len(keys) != 2 {
		t.Fatalf("the JWK Set is %s, want two keys", i.JWKS())
	}
	verify(t, i, old)
	text := mint(t, i, sensorToken())
	verify(t, i, text)
	if header, _ := decode(t, text); header["kid"] != keys[1].KeyID {
		t.Errorf("the token was signed with %v, want the newest key %s", header["kid"], keys[1].KeyID)
	}
}

func TestABadKeyInTheStoreStopsTheStart(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]provisioning.Key{
		"not a key":         {ID: "broken-key", Use: provisioning.UseSignature, Alg: "EdDSA", Private: []byte("hunter2hunter2")},
		"nothing":           {ID: "broken-key", Use: provisioning.UseSignature, Alg: "EdDSA"},
		"wrong algorithm":   newKey(t, "broken-key", "EdDSA", p256, start()),
		"wrong curve":       newKey(t, "broken-key", "ES256", p384, start()),
		"short RSA key":     newKey(t, "broken-key", "RS256", rsa1024, start()),
		"unknown algorithm": newKey(t, "broken-key", "ML-DSA-44", p256, start()),
	} {
		_, err := issuer.Open(t.Context(), config(&memory{keys: map[string]provisioning.Key{key.ID: key}}))
		if err == nil || !strings.Contains(err.Error(), "broken-key") {
			t.Errorf("%s: error is %v, want one that names the key", name, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), fmt.Sprintf("%x", key.Private)) && len(key.Private) > 0 {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestATakenNameStopsTheStart(t *testing.T) {
	t.Parallel()
	store := &memory{keys: map[string]provisioning.Key{"sig-eddsa-1": {ID: "sig-eddsa-1", Use: "something else"}}}
	if _, err := issuer.Open(t.Context(), config(store)); err == nil || !strings.Contains(err.Error(), "sig-eddsa-1") {
		t.Errorf("error is %v, want one that names the taken name", err)
	}
}

func TestOpenNamesEveryFaultOfItsConfiguration(t *testing.T) {
	t.Parallel()
	_, err := issuer.Open(t.Context(), issuer.Config{Issuer: "gate.example"})
	for _, field := range []string{"Issuer", "Store", "Now", "Rand", "Logger"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error is %v, want it to name %s", err, field)
		}
	}
	for _, url := range []string{
		"", "ftp://gate.example", "https://", "https://u:p@gate.example", "https://gate.example?", "https://gate.example?a=b",
		"https://gate.example#f", "https://gate.example/%zz",
	} {
		cfg := config(new(memory))
		cfg.Issuer = url
		if _, err := issuer.Open(t.Context(), cfg); err == nil {
			t.Errorf("the issuer %q is taken", url)
		}
	}
}

func TestTheLogTellsOfANewKeyAndShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	store := new(memory)
	cfg := config(store)
	cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	for range 2 {
		if _, err := issuer.Open(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "signing key made") {
		t.Errorf("the log of two starts is %q, want one record of one new key", log.String())
	}
	private := store.keys["sig-eddsa-1"].Private
	for _, encoded := range []string{fmt.Sprintf("%x", private), base64.StdEncoding.EncodeToString(private)} {
		if len(private) == 0 || strings.Contains(log.String(), encoded) {
			t.Errorf("the log shows the private key: %s", log.String())
		}
	}
}
