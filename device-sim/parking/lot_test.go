package parking_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/boomgate/boomgate/device-sim/parking"
)

func TestTheSameSeedGivesTheSameEvents(t *testing.T) {
	t.Parallel()

	cfg := parking.Config{Seed: 7, Spaces: 60, Start: monday()}
	one, two, other := parking.New(cfg), parking.New(cfg), parking.New(parking.Config{Seed: 8, Spaces: 60, Start: monday()})
	differ := false
	for i := range 20_000 {
		a, b := one.Next(), two.Next()
		if a != b {
			t.Fatalf("event %d is %+v in one lot and %+v in its twin", i, a, b)
		}
		differ = differ || a != other.Next()
	}
	if !differ {
		t.Error("another seed gives the same events")
	}
}

func TestTheEventsOfASeedNeverChange(t *testing.T) {
	t.Parallel()

	// A change of the model changes this sum, and every recorded run with it: let it be on purpose.
	const want = "8a42cb6e"
	digest := sha256.New()
	lot := parking.New(parking.Config{Seed: 42, Spaces: 100, Start: monday()})
	for range 10_000 {
		e := lot.Next()
		fmt.Fprintln(digest, e.At.UnixMilli(), e.Space, e.Kind, e.Stay, e.Reading.Status, e.Reading.Previous, e.Why, e.Cause)
	}
	if got := hex.EncodeToString(digest.Sum(nil))[:len(want)]; got != want {
		t.Errorf("the events of seed 42 have the sum %s, want %s", got, want)
	}
}

func TestTheHourIsThatOnTheWallOfTheLot(t *testing.T) {
	t.Parallel()

	east := time.FixedZone("east", 9*3600)
	there, here := parking.New(parking.Config{Seed: 3, Spaces: 50, Start: monday()}),
		parking.New(parking.Config{Seed: 3, Spaces: 50, Start: time.Date(2023, time.May, 8, 0, 0, 0, 0, east)})
	for i := range 5_000 {
		a, b := there.Next(), here.Next()
		if a.Space != b.Space || a.Kind != b.Kind || a.At.Format(time.DateTime) != b.At.Format(time.DateTime) {
			t.Fatalf("event %d: %v %v in one zone, %v %v in the other", i, a.At, a.Kind, b.At, b.Kind)
		}
	}
}

func TestEveryFaultHappensAtItsRateAndEnds(t *testing.T) {
	t.Parallel()

	const spaces, days = 300, 60
	lot := parking.New(parking.Config{Seed: 4, Spaces: spaces, Start: monday(), Heartbeat: 6 * time.Hour})
	end := monday().AddDate(0, 0, days)
	seen, low := map[parking.Kind]int{}, 0
	causes := map[parking.Cause]int{}
	for e := lot.Next(); e.At.Before(end); e = lot.Next() {
		seen[e.Kind]++
		if e.Kind == parking.Reboot {
			causes[e.Cause]++
		}
		if e.Kind == parking.Heartbeat && e.Health.Battery != parking.BatteryNormal {
			low++
		}
	}

	rates := parking.DefaultFaults()
	for kind, every := range map[parking.Kind]time.Duration{
		parking.StuckBegan: rates.StuckEvery,
		parking.ClockWrong: rates.ClockEvery,
		parking.LinkLost:   rates.LinkLostEvery,
		parking.Reboot:     rates.RebootEvery,
	} {
		want := spaces * days * 24 * time.Hour / every
		near(t, string(kind)+" in proportion to its rate", float64(seen[kind])/float64(want), 1, 0.25)
	}
	for began, ended := range map[parking.Kind]parking.Kind{
		parking.StuckBegan: parking.StuckEnded,
		parking.ClockWrong: parking.ClockRight,
		parking.LinkLost:   parking.LinkRestored,
		parking.Reboot:     parking.Boot,
	} {
		near(t, string(ended)+" for each "+string(began), float64(seen[ended]), float64(seen[began]), 5)
	}
	if low == 0 || causes[parking.BatterySwap] == 0 {
		t.Errorf("%d heartbeats told of a low battery and %d batteries were changed, want some", low, causes[parking.BatterySwap])
	}
	for _, cause := range []parking.Cause{parking.Watchdog, parking.Brownout, parking.Update} {
		if causes[cause] == 0 {
			t.Errorf("no reboot by %s", cause)
		}
	}
}

func TestWithoutFaultsNothingGoesWrong(t *testing.T) {
	t.Parallel()

	lot := parking.New(parking.Config{Seed: 5, Spaces: 100, Start: monday(), Faults: &parking.Faults{}})
	end := monday().AddDate(0, 0, 14)
	for e := lot.Next(); e.At.Before(end); e = lot.Next() {
		switch e.Kind {
		case parking.Arrival, parking.Departure, parking.Heartbeat:
		case parking.Report:
			if e.Why != parking.Changed || e.Repeated {
				t.Fatalf("a report that is not a plain change: %+v", e)
			}
		default:
			t.Fatalf("a fault: %+v", e)
		}
	}
}

func TestTheLotKeepsItsInvariants(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		every := rapid.SampledFrom([]time.Duration{0, time.Hour, 24 * time.Hour})
		cfg := parking.Config{
			Seed:      rapid.Uint64().Draw(t, "seed"),
			Spaces:    rapid.IntRange(-1, 30).Draw(t, "spaces"),
			Start:     monday().Add(time.Duration(rapid.Int64Range(0, int64(7*24*time.Hour)).Draw(t, "start"))),
			Heartbeat: rapid.SampledFrom([]time.Duration{0, time.Minute, 5 * time.Hour}).Draw(t, "heartbeat"),
			Faults: &parking.Faults{
				Missed:        rapid.Float64Range(0, 0.5).Draw(t, "missed"),
				Repeated:      rapid.Float64Range(0, 0.5).Draw(t, "repeated"),
				StuckEvery:    every.Draw(t, "stuck"),
				ClockEvery:    every.Draw(t, "clock"),
				RebootEvery:   every.Draw(t, "reboot"),
				LinkLostEvery: every.Draw(t, "link"),
				WeakBatteries: rapid.Float64Range(0, 1).Draw(t, "weak"),
			},
		}
		lot := parking.New(cfg)
		checks := newChecker(lot, cfg.Start)
		for range rapid.IntRange(1, 2_000).Draw(t, "events") {
			if err := checks.event(lot.Next()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkLot(b *testing.B) {
	for _, spaces := range []int{60, 1_000, 100_000} {
		b.Run(fmt.Sprintf("spaces=%d", spaces), func(b *testing.B) {
			lot := parking.New(parking.Config{Seed: 1, Spaces: spaces, Start: monday()})
			b.ReportAllocs()
			for b.Loop() {
				lot.Next()
			}
		})
	}
}
