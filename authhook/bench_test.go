package authhook_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// benchSession returns a gate with one session that holds a sensor's usual grants, or many, and the session's mochi client.
func benchSession(b *testing.B, grants int) (*gate, *mqtt.Client) {
	b.Helper()
	g := openGate(b, func(s *settings) { s.Observer = nil })
	scopes := make([]string, 0, grants)
	for i := range grants / 2 {
		scopes = append(scopes, fmt.Sprintf("pub:parking/v1/lot/spot-%d/+", i), fmt.Sprintf("sub:parking/v1/lot/spot-%d/cmd/+", i))
	}
	g.enter(b, 5, "spot-1", g.token(b, "spot-1", scopes...))
	cl, ok := g.server.Clients.Get("spot-1")
	if !ok {
		b.Fatal("the session is not there")
	}
	return g, cl
}

// BenchmarkVerdicts measures what the hook adds to a PUBLISH and to a delivery, through the methods that mochi calls. "bare" is one
// SHA-256 of 64 bytes on the same machine, to compare with.
func BenchmarkVerdicts(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		var block [64]byte
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256(block[:])
			block[0] = sum[0]
		}
	})
	for _, grants := range []int{8, 64} {
		g, cl := benchSession(b, grants)
		publish := message("parking/v1/lot/spot-1/state", 1, true)
		deliver := message("parking/v1/lot/spot-1/cmd/reboot", 1, false)
		b.Run(fmt.Sprintf("publish/%d grants", grants), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pk, err := g.hook.OnPacketRead(cl, publish)
				if err != nil || !g.hook.OnACLCheck(cl, pk.TopicName, true) {
					b.Fatal("refused")
				}
				if _, err := g.hook.OnPublish(cl, pk); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("deliver/%d grants", grants), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !g.hook.OnACLCheck(cl, deliver.TopicName, false) {
					b.Fatal("refused")
				}
				if pk := g.hook.OnPacketEncode(cl, deliver); pk.FixedHeader.Type != packets.Publish {
					b.Fatal("withheld")
				}
			}
		})
	}
}

// TestVerdictsAllocateNothing holds what the benchmark shows.
func TestVerdictsAllocateNothing(t *testing.T) { //nolint:paralleltest // allocations are counted for the whole process
	g := openGate(t, func(s *settings) { s.Observer = nil })
	g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a/+", "sub:b/+"))
	cl, _ := g.server.Clients.Get("sensor-1")
	publish, deliver := message("a/x", 1, false), message("b/x", 1, false)
	if n := testing.AllocsPerRun(1000, func() {
		pk, _ := g.hook.OnPacketRead(cl, publish)
		g.hook.OnACLCheck(cl, pk.TopicName, true)
		_, _ = g.hook.OnPublish(cl, pk)
		g.hook.OnACLCheck(cl, deliver.TopicName, false)
		g.hook.OnPacketEncode(cl, deliver)
	}); n != 0 {
		t.Errorf("a publish and a delivery allocate %.0f times", n)
	}
}
