package devicesim_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	devicesim "github.com/boomgate/boomgate/device-sim"
)

func TestATokenIsRenewedBeforeItExpiresAndNobodyNotices(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const sensors, speed = 4, 10
		w := start(t, sensors, func(w *world, cfg *devicesim.Config) {
			w.issuer.life = 10 * time.Minute
			cfg.Speed = speed
		})
		pass(time.Hour)

		for i := range sensors {
			device := fmt.Sprintf("sensor-%d", i)
			if said := strings.Fields(w.life(device)); len(said) < 7 || len(said) > 9 || strings.Count(w.life(device), "ready") != len(said) {
				t.Errorf("%s said %q, want ready alone, at the start and after each of 6 to 8 renewals", device, said)
			}
			w.checkChain(t, device, speed)
		}
		for i, c := range w.broker.attempts() {
			if !c.admitted {
				t.Errorf("CONNECT %d of %s was refused: its token had expired", i, c.client)
			}
		}
		stats := w.fleet.Stats()
		if stats.Losses != 0 || stats.Renewals+sensors != stats.TokenRequests || stats.Connects != stats.TokenRequests {
			t.Errorf("Stats = %+v, want a token for each connection and no losses", stats)
		}
	})
}

func TestSensorsThatBeganTogetherDoNotRenewTogether(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 20, func(_ *world, cfg *devicesim.Config) { cfg.ConnectRate = 1000 })
		pass(59 * time.Minute)

		asked := w.issuer.asked()
		if len(asked) != 40 {
			t.Fatalf("%d requests in the life of a token, want two for each of 20 sensors", len(asked))
		}
		first, last := asked[20].Sub(asked[0]), asked[39].Sub(asked[0])
		if first < 45*time.Minute || last > 51*time.Minute+time.Second || last-first < 3*time.Minute {
			t.Errorf("the tokens of an hour were renewed from %v to %v, want them spread over 75 to 85 %%", first, last)
		}
	})
}

func TestARenewalThatFailsIsTriedAgainWhileTheConnectionLasts(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 3, nil)
		pass(40 * time.Minute)
		w.issuer.set(func() { w.issuer.down = true })
		pass(15 * time.Minute)
		during := w.fleet.Stats()
		w.issuer.set(func() { w.issuer.down = false })
		pass(3 * time.Minute)

		after := w.fleet.Stats()
		if during.Connected != 3 || during.Failures < 6 || during.Failures > 120 || during.Renewals != 0 {
			t.Errorf("while the token endpoint is down Stats = %+v, want 3 connected and some failures", during)
		}
		if after.Renewals != 3 || after.Losses != 0 || after.Connected != 3 {
			t.Errorf("after that Stats = %+v, want 3 renewals and no losses", after)
		}
	})
}

func TestATokenWithoutAnEndIsUsedUntilTheBrokerRefusesIt(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, func(w *world, _ *devicesim.Config) { w.issuer.life = 0 })
		w.issuer.set(func() { w.issuer.life = 100 * time.Millisecond }) // expires_in is 0, and the token short
		pass(2 * time.Hour)
		w.broker.cut()
		pass(2 * time.Minute)

		stats := w.fleet.Stats()
		if stats.Connected != 1 || stats.Renewals != 0 || stats.ConnectsRefused != 1 || stats.TokenRequests != 2 {
			t.Errorf("Stats = %+v, want the second token after the first was refused", stats)
		}
	})
}
