package authhook_test

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook"
)

func TestASessionIsForgottenWhenMochiForgetsIt(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		g := openGate(t)
		token := g.token(t, "sensor-1", "sub:a")
		expect := func(want int, when string) {
			t.Helper()
			if byOwner, byMQTTID := g.hook.Registered(); byOwner != want || byMQTTID != want {
				t.Errorf("%s: %d sessions by owner and %d by MQTT client ID, want %d", when, byOwner, byMQTTID, want)
			}
		}
		once := func(pk *packets.Packet) {
			pk.Connect.Clean, pk.Properties.SessionExpiryInterval = true, 0
		}
		w := g.enter(t, version, "sensor-1", token, once)
		expect(1, "connected")
		g.awaitOffline(t, w, "sensor-1")
		expect(0, "a session that ends with its connection")

		for range 3 {
			w = g.enter(t, version, "sensor-1", token)
		}
		for range 2 {
			g.porter.expect(t, "sensor-1")
		}
		w.ping(t)
		expect(1, "taken over")
		g.awaitOffline(t, w, "sensor-1")
		expect(1, "offline")
		g.expectRefused(t, version, "sensor-2", token, notAuthorized, authhook.RuleMQTTClientID)
		expect(1, "refused")
		w = g.enter(t, version, "sensor-1", token)
		w.ping(t)
		expect(1, "back again")

		g.server.Clients.Delete("sensor-1") // as mochi does at the wrong moment
		g.awaitOffline(t, w, "sensor-1")
		expect(0, "a ghost")

		w = g.enter(t, version, "sensor-1", token)
		g.awaitOffline(t, w, "sensor-1")
		cl, _ := g.server.Clients.Get("sensor-1")
		g.hook.OnClientExpired(cl)
		expect(0, "expired")
	}
}
