package parking

import (
	"math"
	"time"
)

// notice lets the sensor look at its space, and report if it finds a change.
func (l *Lot) notice(i int, why Why) {
	s := &l.spaces[i]
	if s.down || s.stuck || s.sensed == s.occupied {
		return
	}
	s.read(l.now, l.confidence(), l.now-s.sensedSince)
	l.emit(Event{Space: i, Kind: Report, Reading: l.reading(s), Why: why, Repeated: l.draw.chance(l.faults.Repeated)})
}

// beat is a heartbeat: it heals a missed change and tells the sensor's health. A sensor whose battery is empty goes down instead
// and comes back with a new one.
func (l *Lot) beat(i int) {
	l.queue.plan(l.now+l.heartbeat, heartbeat, i)
	s := &l.spaces[i]
	switch {
	case s.down:
	case s.level(l.now) <= 0:
		s.charged, s.charge, s.life = l.now, 1, sturdyLife
		l.reboot(i, BatterySwap)
	default:
		if l.now-s.since > seconds(slowestDetection) { // else the sensor is about to notice by itself
			l.notice(i, Healed)
		}
		l.emit(Event{Space: i, Kind: Heartbeat, Reading: l.reading(s), Health: l.health(s)})
	}
}

func (l *Lot) reading(s *space) Reading {
	status := Free
	if s.sensed {
		status = Occupied
	}
	return Reading{Status: status, Since: l.at(s.sensedSince), Previous: s.previous, Confidence: s.confidence}
}

// confidence draws how sure a sensor is.
func (l *Lot) confidence() float64 { return round(l.draw.between(0.95, 1), 2) }

// How long batteries last.
const (
	sturdyLife = 5 * 365 * 24 * time.Hour
	weakLife   = 60 * 24 * time.Hour
)

// equip gives the sensor what makes it differ from the others.
func (s *space) equip(d draw, weak float64) {
	s.charge, s.life = d.between(0.4, 1), sturdyLife
	if d.chance(weak) {
		s.charge, s.life = d.between(0.02, 0.2), weakLife
	}
	s.warmth = d.between(-1, 2)
	s.baseline = -60 - d.below(30)
}

// level is the charge of the battery.
func (s *space) level(now time.Duration) float64 {
	return s.charge - (now-s.charged).Seconds()/s.life.Seconds()
}

// health measures the sensor. A lithium cell holds its voltage for long and drops at the end; a car on top takes some of the signal.
func (l *Lot) health(s *space) Health {
	volts := 3 + 0.6*math.Sqrt(max(s.level(l.now), 0))
	battery := BatteryNormal
	switch {
	case volts < 3.1:
		battery = BatteryCritical
	case volts < 3.25:
		battery = BatteryLow
	}
	signal := s.baseline + l.draw.below(5) - 2
	if s.occupied {
		signal -= 6
	}
	return Health{
		BatteryVolts: round(volts, 2),
		Battery:      battery,
		Temperature:  round(airTemperature(l.at(l.now))+s.warmth, 1),
		Signal:       signal,
	}
}

// airTemperature is that of a mild climate: warmest in July and at three in the afternoon.
func airTemperature(t time.Time) float64 {
	season := math.Cos(2 * math.Pi * float64(t.YearDay()-200) / 365)
	hour := float64(t.Hour()) + float64(t.Minute())/60
	return 11 + 9*season + 4*math.Cos(2*math.Pi*(hour-15)/24)
}

func round(x float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(x*scale) / scale
}
