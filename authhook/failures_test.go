package authhook_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/authhook/accesstoken"
)

// failing lets so many authentications of an address fail each minute.
func failing(perMinute int) func(*settings) {
	return func(s *settings) { s.FailuresPerMinute = perMinute }
}

// dialFrom opens a connection from an address of this machine.
func (g *gate) dialFrom(tb testing.TB, address string, version byte) *wire {
	tb.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := dialer.DialContext(tb.Context(), "tcp", g.addr)
	if err != nil {
		tb.Fatal(err)
	}
	return newWire(tb, conn, version)
}

func TestS2_WhoGuessesIsSlowedDownAndKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g, still := openLimited(t, authhook.Limits{}, failing(3))
		expired := g.tokenWith(t, "sensor-1", jwt.MapClaims{"iat": g.clock.unix(-3 * time.Hour), "exp": g.clock.unix(-2 * time.Hour)})
		for range 3 {
			g.expectRefused(t, version, "sensor-1", "bad", badToken, "token-malformed")
		}
		for range 2 {
			e := g.expectRefused(t, version, "sensor-1", "bad", overRate, authhook.RuleLimitConnectRate)
			if !strings.Contains(e.Detail, "token-malformed") {
				t.Errorf("the event does not say what failed: %q", e.Detail)
			}
		}
		g.expectRefused(t, version, "sensor-1", expired, badToken, "token-expired") // or it would never get another
		g.expectRefused(t, version, "sensor-1", g.token(t, "other"), notAuthorized, authhook.RuleMQTTClientID)
		g.enter(t, version, "sensor-1", g.token(t, "sensor-1"))

		elsewhere := g.dialFrom(t, "127.0.0.2", version)
		elsewhere.send(t, connectPacket(version, "sensor-2", "bad"))
		if ack := elsewhere.expect(t, packets.Connack); ack.ReasonCode != badToken.of(version) {
			t.Errorf("another address: CONNACK 0x%02x, want 0x%02x", ack.ReasonCode, badToken.of(version))
		}
		still.forward(time.Minute)
		g.expectRefused(t, version, "sensor-1", "bad", badToken, "token-malformed")
	}
}

// A turnstile is a verifier that lets a test hold those who bring a token of this text.
type turnstile struct {
	authhook.TokenVerifier
	held    string
	entered chan struct{}
	release chan struct{}
}

func (v *turnstile) Verify(ctx context.Context, text string) (*accesstoken.Token, error) {
	if text == v.held {
		v.entered <- struct{}{}
		<-v.release
		return nil, accesstoken.ErrSignature
	}
	return v.TokenVerifier.Verify(ctx, text)
}

func TestS2_WhoGuessesWaitsForOthersWhoGuessAlone(t *testing.T) {
	t.Parallel()
	slow := &turnstile{held: "slow", entered: make(chan struct{}, 64), release: make(chan struct{})}
	g, _ := openLimited(t, authhook.Limits{}, failing(1), func(s *settings) {
		slow.TokenVerifier, s.Verifier = s.Verifier, slow
	})
	release := sync.OnceFunc(func() { close(slow.release) })
	t.Cleanup(release) // or the server would wait for those who are held
	g.expectRefused(t, 5, "sensor-1", "bad", badToken, "token-malformed")
	var guessers []*wire
	for range 16 { // more than there are processors
		w := g.dial(t, 5)
		w.send(t, connectPacket(5, "sensor-1", "slow"))
		guessers = append(guessers, w)
	}
	<-slow.entered
	elsewhere := g.dialFrom(t, "127.0.0.2", 5)
	elsewhere.send(t, connectPacket(5, "sensor-2", g.token(t, "sensor-2")))
	if ack := elsewhere.expect(t, packets.Connack); ack.ReasonCode != 0 {
		t.Errorf("another address: CONNACK 0x%02x, want success", ack.ReasonCode)
	}
	if n := len(slow.entered); n != 0 {
		t.Errorf("%d CONNECTs of an address over its rate are checked beside the first", n)
	}
	release()
	for _, w := range guessers {
		if ack := w.expect(t, packets.Connack); ack.ReasonCode != 0x9f {
			t.Errorf("CONNACK 0x%02x, want 0x9f", ack.ReasonCode)
		}
	}
	g.enter(t, 5, "sensor-1", g.token(t, "sensor-1"))
}

func TestAnAddressOfIPv6IsMeteredWithItsNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"192.0.2.1:1000", "192.0.2.1:2000", true},
		{"192.0.2.1:1000", "192.0.2.2:1000", false},
		{"192.0.2.1:1000", "[::ffff:192.0.2.1]:1000", true},
		{"[2001:db8:1:2::1]:1000", "[2001:db8:1:2:ffff::9]:1000", true},
		{"[2001:db8:1:2::1]:1000", "[2001:db8:1:3::1]:1000", false},
		{"[fe80::1%eth0]:1000", "[fe80::2%eth1]:1000", true},
	} {
		one, known := authhook.AddressOf(c.one)
		other, knownToo := authhook.AddressOf(c.other)
		if !known || !knownToo || (one == other) != c.same {
			t.Errorf("%s and %s: %v, %v; want the same: %v", c.one, c.other, one, other, c.same)
		}
	}
	for _, remote := range []string{"", "@", "pipe", "/run/mqtt.sock", "192.0.2.1"} {
		if address, known := authhook.AddressOf(remote); known {
			t.Errorf("%q is metered as %v", remote, address)
		}
	}
}

func TestWhatIsRememberedOfGuessersAndPrincipalsIsBounded(t *testing.T) {
	t.Parallel()
	if n := authhook.RememberedAddresses(10_000); n > 5_000 {
		t.Errorf("%d addresses are remembered", n)
	}
	if n := authhook.RememberedPrincipals(10_000); n > 5_000 {
		t.Errorf("%d idle principals are remembered", n)
	}
}

func TestNoSessionThatIsGoneIsCounted(t *testing.T) {
	t.Parallel()
	g, still := openLimited(t, authhook.Limits{Sessions: 5})
	for _, id := range []string{"sensor-1", "sensor-2", "sensor-3"} {
		for range 2 { // the second takes over the first
			g.enter(t, 5, id, g.token(t, id))
		}
		g.porter.expect(t, id)
		w := g.enter(t, 5, id+":2", g.token(t, id))
		g.awaitOffline(t, w, id+":2")
	}
	if sessions, principals := g.hook.Metered(); sessions != 3 || principals != 3 {
		t.Errorf("%d sessions of %d principals are counted, want 3 of 3", sessions, principals)
	}
	g.hook.Revoke(authhook.Selection{ClientID: "sensor-1"}, "test")
	g.porter.expect(t, "sensor-1")
	g.hook.Close("sensor-2", "test")
	g.porter.expect(t, "sensor-2")
	still.forward(time.Hour)
	if sessions, principals := g.hook.Metered(); sessions != 1 || principals != 1 {
		t.Errorf("%d sessions of %d principals are counted, want 1 of 1", sessions, principals)
	}
}
