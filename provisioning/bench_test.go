package provisioning_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"sync"
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

// BenchmarkRevoked measures what every CONNECT and every request is asked, with
// few revocations and with as many as there may be, alone and on all processors.
func BenchmarkRevoked(b *testing.B) {
	good := provisioning.TokenFacts{ClientID: "client-x", TokenID: "token-x", CredentialID: "secret-x", KeyID: "key-x", IssuedAt: epoch}
	last := provisioning.TokenFacts{ClientID: "client-x", TokenID: "token-x", CredentialID: "secret-x", KeyID: "10000003", IssuedAt: epoch}
	for _, count := range []int{0, 4, 1000, provisioning.MaxRevocations} {
		revocations := openRevocations(b, numbered(count))
		ask := func(token provisioning.TokenFacts, want bool) func(b *testing.B) {
			return func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if revocations.Revoked(token) != want {
						b.Fatalf("got %v", !want)
					}
				}
			}
		}
		b.Run(fmt.Sprintf("good/of-%d", count), ask(good, false))
		b.Run(fmt.Sprintf("revoked/of-%d", count), ask(last, count > 0))
		b.Run(fmt.Sprintf("parallel/of-%d", count), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					revocations.Revoked(good)
				}
			})
		})
	}
}

// BenchmarkStanding measures what a CONNECT reads of the registry, beside the read
// of the client alone.
func BenchmarkStanding(b *testing.B) {
	f := newFixture(b, nil)
	f.create(b, sensor("a"))
	b.Run("standing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if s, err := f.registry.Standing(b.Context(), "a"); err != nil || len(s.Scopes) != 6 {
				b.Fatal(s, err)
			}
		}
	})
	b.Run("bare-read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.store.Client(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStandingsAfterARoleChange measures what it takes to look again at the
// 10,000 clients with live sessions that hold a role which has changed, on all
// processors. They have connected before, so they are among those read last.
func BenchmarkStandingsAfterARoleChange(b *testing.B) {
	const count = 10_000
	f := newFixture(b, nil)
	if _, err := f.CreateRole(b.Context(), newRole("guest")); err != nil {
		b.Fatal(err)
	}
	n := sensor("a")
	n.Roles = append(n.Roles, "guest")
	c, _ := f.create(b, n)
	ids := make([]string, count)
	first := 0
	for batch := range slices.Chunk(ids, 1000) {
		var set provisioning.ChangeSet
		for i := range batch {
			other := c.Clone()
			other.ID = fmt.Sprintf("client-%d", first+i)
			batch[i] = other.ID
			set.Clients = append(set.Clients, provisioning.ClientChange{Client: other})
		}
		first += len(batch)
		if err := f.store.Apply(b.Context(), set); err != nil {
			b.Fatal(err)
		}
	}
	standings := func(scopes int) {
		var group sync.WaitGroup
		for part := range slices.Chunk(ids, count/runtime.GOMAXPROCS(0)+1) {
			group.Go(func() {
				for _, id := range part {
					if s, err := f.registry.Standing(b.Context(), id); err != nil || len(s.Scopes) != scopes {
						b.Error(s, err)
					}
				}
			})
		}
		group.Wait()
	}
	standings(7)
	grants := [][]provisioning.Grant{mqttGrants("sub:b/{client_id}", "sub:c"), mqttGrants("sub:b/{client_id}")}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		if _, _, err := f.UpdateRole(b.Context(), "guest", 0, func(r *provisioning.Role) error { r.Grants = grants[i%2]; return nil }); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		standings(6 + len(grants[i%2][0].Scopes))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/client")
}

// BenchmarkDisableAndEnable measures two writes with a revocation each, until the
// sessions would be closed.
func BenchmarkDisableAndEnable(b *testing.B) {
	f := newFixture(b, nil)
	f.create(b, sensor("a"))
	for b.Loop() {
		if _, _, err := f.Disable(b.Context(), "a", 0); err != nil {
			b.Fatal(err)
		}
		if _, _, err := f.Enable(b.Context(), "a", 0); err != nil {
			b.Fatal(err)
		}
	}
}
