package provisioning_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// BenchmarkAuthenticate measures the check of a secret on a real store, beside
// the hash and the read under it.
func BenchmarkAuthenticate(b *testing.B) {
	f := newFixture(b, nil)
	_, secret := f.create(b, sensor("a"))
	text := secret.Reveal()
	authenticate := func(id, secret string, want bool) func(b *testing.B) {
		return func(b *testing.B) {
			b.Helper()
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.registry.Authenticate(b.Context(), id, secret); (err == nil) != want {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("right", authenticate("a", text, true))
	b.Run("wrong", authenticate("a", "bg_wrong", false))
	b.Run("unknown-client", authenticate("nobody", text, false))
	b.Run("bare-read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.store.Client(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare-hash", func(b *testing.B) {
		key := make([]byte, 32)
		b.ReportAllocs()
		for b.Loop() {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(text))
			mac.Sum(nil)
		}
	})
}

// BenchmarkScopes measures what a token request costs in scopes.
func BenchmarkScopes(b *testing.B) {
	f := newFixture(b, nil)
	c, _ := f.create(b, sensor("a"))
	b.ReportAllocs()
	for b.Loop() {
		if scopes, err := f.registry.Scopes(b.Context(), c, provisioning.AudienceMQTT); err != nil || len(scopes) != 6 {
			b.Fatal(scopes, err)
		}
	}
}
