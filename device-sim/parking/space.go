package parking

import "time"

// space is one parking space and its sensor. Times are since Config.Start.
type space struct {
	popularity uint64 // a typical one has 1000
	longStay   bool
	occupied   bool
	since      time.Duration // of occupied

	on         bool // the sensor has been switched on: not so during the warm-up
	down       bool // between reboot and boot
	cause      Cause
	stuck      bool
	unlinked   bool
	clockError time.Duration

	sensed      bool // occupied, as the sensor has it
	sensedSince time.Duration
	previous    time.Duration
	confidence  float64

	charged  time.Duration // when the battery was charged to charge
	charge   float64       // 0 to 1
	life     time.Duration // for which a full battery lasts
	warmth   float64       // degrees above the air
	baseline int           // dBm without a car
}

// weight is what the space counts for among the free ones: never nothing.
func (s *space) weight() uint64 { return max(s.popularity, 1) }

// read lets the sensor take the space for what it is. previous is how long it held it for the opposite.
func (s *space) read(now time.Duration, confidence float64, previous time.Duration) {
	s.sensed, s.sensedSince, s.previous, s.confidence = s.occupied, now, previous, confidence
}

// Space is a snapshot of a space and its sensor.
type Space struct {
	LongStay   bool
	Popularity float64 // 1 is typical

	Occupied bool // the truth
	Since    time.Time

	Sensed     Reading // what the sensor takes for the truth
	Down       bool    // rebooting
	Stuck      bool
	Unlinked   bool // cannot reach anybody
	ClockError time.Duration
}

// Len is the number of spaces.
func (l *Lot) Len() int { return len(l.spaces) }

// Space gives a snapshot of the space i, 0 ≤ i < Len, as it is at Now.
func (l *Lot) Space(i int) Space {
	s := &l.spaces[i]
	return Space{
		LongStay:   s.longStay,
		Popularity: float64(s.popularity) / 1000,
		Occupied:   s.occupied,
		Since:      l.at(s.since),
		Sensed:     l.reading(s),
		Down:       s.down,
		Stuck:      s.stuck,
		Unlinked:   s.unlinked,
		ClockError: s.clockError,
	}
}
