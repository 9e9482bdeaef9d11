package devicesim_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	devicesim "github.com/boomgate/boomgate/device-sim"
)

func TestARefusedCredentialDoesNotHammerTheTokenEndpoint(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, func(w *world, _ *devicesim.Config) { w.issuer.disabled["sensor-0"] = true })
		pass(2 * time.Hour)

		asked := w.issuer.asked()
		if len(asked) < 5 || len(asked) > 16 {
			t.Errorf("%d requests in two hours, want a few", len(asked))
		}
		for i := 1; i < len(asked); i++ {
			if gap := asked[i].Sub(asked[i-1]); gap < time.Minute || gap > 21*time.Minute {
				t.Errorf("request %d comes %v after the one before, want 1 to 20 minutes", i, gap)
			}
		}
		if stats := w.fleet.Stats(); stats.TokensRefused != len(asked) || w.broker.dialed != 0 {
			t.Errorf("Stats = %+v and %d connections, want every request refused and no connection", stats, w.broker.dialed)
		}

		w.issuer.set(func() { clear(w.issuer.disabled) })
		pass(21 * time.Minute)
		if stats := w.fleet.Stats(); stats.Connected != 1 {
			t.Errorf("after the credential was enabled again Stats = %+v, want it connected", stats)
		}
	})
}

func TestADisabledSensorKeepsItsDistanceAfterItWasKicked(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, nil)
		pass(time.Minute)
		w.issuer.set(func() { w.issuer.disabled["sensor-0"] = true })
		w.broker.set(func() { w.broker.refuse = true })
		w.broker.cut()
		pass(time.Hour)

		stats := w.fleet.Stats()
		if stats.ConnectsRefused != 1 || stats.TokensRefused < 2 || stats.TokensRefused > 12 {
			t.Errorf("Stats = %+v, want one CONNECT with the old token and few requests for another", stats)
		}
	})
}

func TestAnUnwillingBrokerGetsAFreshTokenEachTimeAndIsNotHammered(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, func(w *world, _ *devicesim.Config) { w.broker.refuse = true })
		pass(time.Hour)

		seen := map[string]bool{}
		attempts := w.broker.attempts()
		for _, c := range attempts {
			if seen[c.password] {
				t.Errorf("the token %s was tried again after it was refused", c.password)
			}
			seen[c.password] = true
		}
		if len(attempts) < 60 || len(attempts) > 240 || w.fleet.Stats().ConnectsRefused != len(attempts) {
			t.Errorf("%d CONNECTs in an hour, want one in half a minute on average; Stats = %+v", len(attempts), w.fleet.Stats())
		}
	})
}

func TestAnUnreachableBrokerCostsOneTokenAndFewAttempts(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, func(w *world, _ *devicesim.Config) { w.broker.deaf = true })
		pass(40 * time.Minute)
		stats := w.fleet.Stats()
		if stats.TokenRequests != 1 || stats.Failures != w.broker.dialed || stats.Failures < 40 || stats.Failures > 160 {
			t.Errorf("Stats = %+v and %d attempts, want one token and an attempt in half a minute", stats, w.broker.dialed)
		}
		w.broker.set(func() { w.broker.deaf = false })
		pass(2 * time.Minute)
		if stats := w.fleet.Stats(); stats.Connected != 1 {
			t.Errorf("Stats = %+v, want it connected", stats)
		}
	})
}

func TestLogsAndEventsTellTheCauseAndNoSecret(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		log := &lockedBuffer{}
		w := start(t, 3, func(w *world, cfg *devicesim.Config) {
			w.issuer.disabled["sensor-0"] = true
			w.broker.refuse = true
			cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		pass(time.Minute)
		w.broker.set(func() { w.broker.deaf = true })
		pass(5 * time.Minute)

		told := log.String()
		for _, e := range append(w.seen(devicesim.Refused), w.seen(devicesim.Failed)...) {
			told += e.Cause + "\n"
		}
		for _, want := range []string{"the token endpoint refuses the credential: status 401", "the broker refuses", "cannot be reached", "sensor-0"} {
			if !strings.Contains(strings.ReplaceAll(told, `" error="`, ": "), want) {
				t.Errorf("neither the log nor the events tell %q:\n%s", want, told)
			}
		}
		for _, secret := range []string{"secret-of", "token-", "invalid_client"} {
			if strings.Contains(told, secret) {
				t.Errorf("the log or the events tell %q:\n%s", secret, told)
			}
		}
	})
}

// lockedBuffer is a buffer that many goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
