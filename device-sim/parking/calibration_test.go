package parking_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/boomgate/boomgate/device-sim/parking"
)

// measured are the hourly means of the source: occupancy, and the share of arrivals between 06 and 20.
var (
	measuredWeekday = []float64{
		0.2995, 0.2989, 0.31, 0.3104, 0.3107, 0.3123, 0.3023, 0.2983, 0.381, 0.4775, 0.5782, 0.6338,
		0.6352, 0.6087, 0.5873, 0.5678, 0.54, 0.5043, 0.467, 0.4368, 0.3965, 0.3632, 0.3407, 0.3215,
	}
	measuredSaturday = []float64{
		0.3477, 0.333, 0.3335, 0.3308, 0.3285, 0.3286, 0.3272, 0.3005, 0.3026, 0.3533, 0.4922, 0.6182,
		0.6932, 0.723, 0.7231, 0.71, 0.682, 0.631, 0.5792, 0.5395, 0.4913, 0.4555, 0.4233, 0.3865,
	}
	measuredArrivals = []float64{
		0.0668, 0.0839, 0.0884, 0.0904, 0.0909, 0.0763, 0.0637, 0.0625, 0.0648, 0.0664, 0.069, 0.069, 0.0622, 0.0456,
	}
)

// monday is a Monday at midnight.
func monday() time.Time { return time.Date(2023, time.May, 8, 0, 0, 0, 0, time.UTC) }

// diary is what was seen of a lot over many days.
type diary struct {
	spaces    int
	days      int
	weekdays  int
	arrivals  [24]float64     // on weekdays
	stays     []time.Duration // of cars that came on a weekday between 06 and 20, and are no long-stayers
	occupancy map[time.Weekday]*[24]float64
	peaks     []float64 // highest occupancy of each day but Sundays, at whole quarters of an hour
	reports   int
	changes   int // arrivals and departures
	healed    int
}

// keepDiary watches a lot for days.
func keepDiary(cfg parking.Config, days int) *diary {
	lot := parking.New(cfg)
	d := &diary{spaces: lot.Len(), days: days, occupancy: map[time.Weekday]*[24]float64{}}
	came := make([]time.Time, lot.Len())
	next := lot.Next()
	for day := range days {
		date := cfg.Start.AddDate(0, 0, day)
		if measuredDay(date) {
			d.weekdays++
		}
		peak := 0.0
		for quarter := range 24 * 4 {
			until := date.Add(time.Duration(quarter+1) * 15 * time.Minute)
			for ; next.At.Before(until); next = lot.Next() {
				d.note(next, came, lot.Space(next.Space).LongStay)
			}
			full := share(lot)
			peak = math.Max(peak, full)
			d.fill(date.Weekday(), quarter/4, full)
		}
		if date.Weekday() != time.Sunday {
			d.peaks = append(d.peaks, peak)
		}
	}
	return d
}

func (d *diary) note(event parking.Event, came []time.Time, longStay bool) {
	switch event.Kind {
	case parking.Arrival:
		d.changes++
		came[event.Space] = event.At
		if measuredDay(event.At) {
			d.arrivals[event.At.Hour()]++
		}
	case parking.Departure:
		d.changes++
		at := came[event.Space]
		if !at.IsZero() && !longStay && measuredDay(at) && at.Hour() >= 6 && at.Hour() < 20 {
			d.stays = append(d.stays, event.Stay)
		}
	case parking.Report:
		d.reports++
		if event.Why == parking.Healed {
			d.healed++
		}
	default:
	}
}

func (d *diary) fill(day time.Weekday, hour int, full float64) {
	if measuredDay(monday().AddDate(0, 0, int(day)+6)) {
		day = time.Monday
	}
	if d.occupancy[day] == nil {
		d.occupancy[day] = &[24]float64{}
	}
	d.occupancy[day][hour] += full
}

func measuredDay(t time.Time) bool { return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday }

func share(lot *parking.Lot) float64 {
	taken := 0
	for i := range lot.Len() {
		if lot.Space(i).Occupied {
			taken++
		}
	}
	return float64(taken) / float64(lot.Len())
}

func TestTheLotBehavesLikeTheMeasuredGarages(t *testing.T) {
	t.Parallel()

	d := keepDiary(parking.Config{Seed: 1, Spaces: 200, Start: monday(), Heartbeat: time.Hour}, 12*7)

	byDay := sum(d.arrivals[6:20]) / float64(d.spaces*d.weekdays)
	near(t, "arrivals per space and weekday between 06 and 20", byDay, parking.ArrivalsPerSpace, 0.05)

	mean, variation := moments(d.stays)
	near(t, "mean stay in hours", mean, parking.MeanStay.Hours(), 0.05)
	near(t, "variation of the stays", variation, parking.StayVariation, 0.05)

	slices.Sort(d.peaks)
	near(t, "median of the daily peaks of occupancy", d.peaks[len(d.peaks)/2], parking.PeakOccupancy, 0.04)

	atLeast(t, "correlation of arrivals by hour", correlation(d.arrivals[6:20], measuredArrivals), 0.98)
	weekday, saturday := d.occupancy[time.Monday][:], d.occupancy[time.Saturday][:]
	atLeast(t, "correlation of a weekday's occupancy by hour", correlation(weekday, measuredWeekday), 0.97)
	atLeast(t, "correlation of a Saturday's occupancy by hour", correlation(saturday, measuredSaturday), 0.97)
	for hour := range 24 {
		near(t, "occupancy on a weekday by hour", weekday[hour]/float64(d.weekdays*4), measuredWeekday[hour], 0.08)
	}
}

func TestSensorsMissThreeChangesInAThousandAndHeartbeatsHealThem(t *testing.T) {
	t.Parallel()

	faults := parking.Faults{Missed: parking.DefaultFaults().Missed}
	d := keepDiary(parking.Config{Seed: 2, Spaces: 400, Start: monday(), Faults: &faults}, 6*7)

	// A missed change is healed by a heartbeat, or, when the next change undoes it first, never told: two reports less.
	near(t, "share of changes told late", float64(d.healed)/float64(d.changes), faults.Missed, 0.001)
	near(t, "share of changes told", float64(d.reports)/float64(d.changes), 1, 0.003)
}

func near(tb testing.TB, what string, got, want, tolerance float64) {
	tb.Helper()
	if math.Abs(got-want) > tolerance {
		tb.Errorf("%s = %.4f, want %.4f ± %.4f", what, got, want, tolerance)
	}
}

func atLeast(tb testing.TB, what string, got, want float64) {
	tb.Helper()
	if got < want {
		tb.Errorf("%s = %.4f, want at least %.4f", what, got, want)
	}
}

func sum(numbers []float64) float64 {
	total := 0.0
	for _, n := range numbers {
		total += n
	}
	return total
}

// moments gives the mean in hours and the coefficient of variation.
func moments(stays []time.Duration) (mean, variation float64) {
	for _, stay := range stays {
		mean += stay.Hours() / float64(len(stays))
	}
	for _, stay := range stays {
		variation += (stay.Hours() - mean) * (stay.Hours() - mean) / float64(len(stays))
	}
	return mean, math.Sqrt(variation) / mean
}

func correlation(a, b []float64) float64 {
	meanA, meanB := sum(a)/float64(len(a)), sum(b)/float64(len(b))
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - meanA) * (b[i] - meanB)
		aa += (a[i] - meanA) * (a[i] - meanA)
		bb += (b[i] - meanB) * (b[i] - meanB)
	}
	return ab / math.Sqrt(aa*bb)
}
