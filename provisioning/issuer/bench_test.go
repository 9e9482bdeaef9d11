package issuer_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/boomgate/boomgate/provisioning"
)

// BenchmarkMint sets the making of a token beside the bare signature over the same bytes.
func BenchmarkMint(b *testing.B) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	i := open(b, &memory{keys: map[string]provisioning.Key{"k": newKey(b, "k", "EdDSA", private, start())}})
	token := sensorToken()
	token.Attributes = map[string]string{"department": "sales"}
	text := mint(b, i, token)
	input := []byte(text[:strings.LastIndexByte(text, '.')])

	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ed25519.Sign(private, input)
		}
	})
	b.Run("mint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := i.Mint(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
