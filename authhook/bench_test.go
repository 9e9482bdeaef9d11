package authhook_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

// benchSession returns the hook of a gate with one session that holds a sensor's usual grants, or many, and the session's mochi client.
// The grants come by one named scope, because so many would not fit into a token.
func benchSession(b *testing.B, grants int) (mqtt.Hook, *mqtt.Client) {
	b.Helper()
	var scopes []string
	for i := range grants / 2 {
		scopes = append(scopes, fmt.Sprintf("pub:parking/v1/lot/spot-%d/+", i), fmt.Sprintf("sub:parking/v1/lot/spot-%d/cmd/+", i))
	}
	g := openGate(b, func(s *settings) {
		s.Observer, s.Clients, s.Now = nil, nil, nil
		s.Issuers = map[string]authhook.Issuer{testIssuer: {Scopes: map[string][]string{"all": scopes}}}
	})
	g.enter(b, 5, "spot-1", g.token(b, "spot-1", "all"))
	cl, ok := g.server.Clients.Get("spot-1")
	if !ok {
		b.Fatal("the session is not there")
	}
	return g.hook, cl
}

// idleHook is a hook that does nothing but take what mochi hands it.
type idleHook struct{ mqtt.HookBase }

func (*idleHook) OnPacketRead(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	return pk, nil
}

func (*idleHook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func (*idleHook) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) { return pk, nil }
func (*idleHook) OnPacketEncode(_ *mqtt.Client, pk packets.Packet) packets.Packet     { return pk }

// askPublish asks a hook what mochi asks it about a PUBLISH, and askDeliver what it asks about a delivery. They report whether the hook
// allows it.
func askPublish(h mqtt.Hook, cl *mqtt.Client, pk *packets.Packet) bool {
	read, err := h.OnPacketRead(cl, *pk)
	if err != nil || !h.OnACLCheck(cl, read.TopicName, true) {
		return false
	}
	_, err = h.OnPublish(cl, read)
	return err == nil
}

func askDeliver(h mqtt.Hook, cl *mqtt.Client, pk *packets.Packet) bool {
	if !h.OnACLCheck(cl, pk.TopicName, false) {
		return false
	}
	encoded := h.OnPacketEncode(cl, *pk)
	return encoded.FixedHeader.Type == packets.Publish
}

// BenchmarkVerdicts measures what the hook costs for a PUBLISH and for a delivery, through the methods that mochi calls. The metric
// beyond-idle is the time in ns beyond that of a hook which does nothing, most of which is the copying of packets, and x-sha256 the same
// relative to "bare", one SHA-256 of 64 bytes in the same run.
func BenchmarkVerdicts(b *testing.B) {
	var bare float64
	b.Run("bare", func(b *testing.B) {
		var block [64]byte
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256(block[:])
			block[0] = sum[0]
		}
		bare = perOperation(b)
	})
	var publishes, deliveries []packets.Packet
	for i := range 16 {
		publishes = append(publishes, message(fmt.Sprint("parking/v1/lot/spot-1/state-", i), 1, true))
		deliveries = append(deliveries, message(fmt.Sprint("parking/v1/lot/spot-1/cmd/reboot-", i), 1, false))
	}
	questions := []struct {
		name     string
		ask      func(h mqtt.Hook, cl *mqtt.Client, pk *packets.Packet) bool
		messages []packets.Packet
	}{
		{"publish", askPublish, publishes[:1]},
		{"publish to many topics", askPublish, publishes},
		{"deliver", askDeliver, deliveries[:1]},
		{"deliver from many topics", askDeliver, deliveries},
	}
	nothing, idle := &idleHook{}, make([]float64, len(questions))
	for i, q := range questions {
		b.Run("idle/"+q.name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				q.ask(nothing, nil, &q.messages[n%len(q.messages)])
			}
			idle[i] = perOperation(b)
		})
	}
	for _, grants := range []int{8, 64, 2048} {
		hook, cl := benchSession(b, grants)
		for i, q := range questions {
			b.Run(fmt.Sprintf("%d grants/%s", grants, q.name), func(b *testing.B) {
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if !q.ask(hook, cl, &q.messages[n%len(q.messages)]) {
						b.Fatal("refused")
					}
				}
				beyond := perOperation(b) - idle[i]
				b.ReportMetric(beyond, "beyond-idle")
				b.ReportMetric(beyond/bare, "x-sha256")
			})
		}
	}
}

func perOperation(b *testing.B) float64 {
	b.Helper()
	return float64(b.Elapsed().Nanoseconds()) / float64(b.N)
}

// BenchmarkRejudgeOneOfMany measures Rejudge of one client whose rights stay as they are, among many that are connected: it must not
// depend on how many.
func BenchmarkRejudgeOneOfMany(b *testing.B) {
	for _, sessions := range []int{100, 10_000} {
		g := openGate(b, func(s *settings) {
			s.Observer = nil
			s.options.Capabilities = mqtt.NewDefaultServerCapabilities()
			s.options.Capabilities.MaximumClientWritesPending = 16
		})
		for i := range sessions {
			id := fmt.Sprint("sensor-", i)
			g.enterByPipe(b, 5, id, g.token(b, id))
		}
		for _, sel := range []authhook.Selection{{ClientID: "sensor-7"}, {TokenID: "jti-sensor-7"}} {
			b.Run(fmt.Sprintf("%d sessions/by client %v", sessions, sel.ClientID != ""), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r := g.hook.Rejudge(sel, "bench"); r.Rejudged != 1 {
						b.Fatalf("the receipt is %+v", r)
					}
				}
			})
		}
	}
}

// TestVerdictsAllocateNothing holds what the benchmark shows.
func TestVerdictsAllocateNothing(t *testing.T) { //nolint:paralleltest // allocations are counted for the whole process
	g := openGate(t, func(s *settings) { s.Observer = nil })
	g.enter(t, 5, "sensor-1", g.token(t, "sensor-1", "pub:a/+", "sub:b/+"))
	cl, _ := g.server.Clients.Get("sensor-1")
	g.rejudge("sensor-1")
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
