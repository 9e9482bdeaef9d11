package accesstoken_test

import (
	"crypto"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// BenchmarkVerify measures a whole verification beside "bare", the check of the same signature alone. The metric x-bare is their
// ratio in the same run.
func BenchmarkVerify(b *testing.B) {
	public := publicKeys()
	for _, c := range []struct {
		method jwt.SigningMethod
		key    crypto.PublicKey
	}{
		{jwt.SigningMethodEdDSA, public[edKeyID]},
		{jwt.SigningMethodES256, public[ecKeyID]},
		{jwt.SigningMethodRS256, public[rsaKeyID]},
	} {
		text := goodTokens(b)[c.method.Alg()]
		last := strings.LastIndexByte(text, '.')
		signature, err := base64.RawURLEncoding.DecodeString(text[last+1:])
		if err != nil {
			b.Fatal(err)
		}
		var bare float64
		b.Run(c.method.Alg()+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.method.Verify(text[:last], signature, c.key); err != nil {
					b.Fatal(err)
				}
			}
			bare = perOperation(b)
		})
		v := verifier(b, nil)
		b.Run(c.method.Alg()+"/verify", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(perOperation(b)/bare, "x-bare")
		})
		issuers := twoIssuers(b)
		b.Run(c.method.Alg()+"/among-issuers", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := issuers.Verify(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(perOperation(b)/bare, "x-bare")
		})
	}
}

// BenchmarkRefuse measures what a stranger can make the verifier do.
func BenchmarkRefuse(b *testing.B) {
	good := goodTokens(b)["EdDSA"]
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"too-large":   strings.Repeat(".", 64<<10),
		"dots":        strings.Repeat(".", accesstoken.MaxTokenSize),
		"unknown-key": strings.Join([]string{encode(`{"alg":"EdDSA","kid":"x","typ":"at+jwt"}`), parts[1], parts[2]}, "."),
		"signature":   strings.Join([]string{parts[0], encode("{}"), parts[2]}, "."),
		"deep-header": encode(strings.Repeat("[", 1000)) + "." + parts[1] + "." + parts[2],
	} {
		b.Run(name, func(b *testing.B) {
			v := verifier(b, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), text); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// BenchmarkRemoteKey measures what the cache costs while it is fresh.
func BenchmarkRemoteKey(b *testing.B) {
	_, keys := newSite(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Key(b.Context(), edKeyID, "EdDSA"); err != nil {
			b.Fatal(err)
		}
	}
}

func perOperation(b *testing.B) float64 {
	b.Helper()
	return float64(b.Elapsed().Nanoseconds()) / float64(b.N)
}
