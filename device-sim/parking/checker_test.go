package parking_test

import (
	"fmt"
	"time"

	"github.com/boomgate/boomgate/device-sim/parking"
)

// checker follows a lot's events and knows what may come next.
type checker struct {
	lot  *parking.Lot
	now  time.Time
	last []known
}

// known is what a checker knows of one space.
type known struct {
	occupied bool
	since    time.Time // of occupied; zero before the first event
	reading  parking.Reading
	down     bool
	stuck    bool
	unlinked bool
	wrong    bool
}

func newChecker(lot *parking.Lot, start time.Time) *checker {
	c := &checker{lot: lot, now: start}
	for i := range lot.Len() {
		space := lot.Space(i)
		c.last = append(c.last, known{occupied: space.Occupied, since: space.Since, reading: space.Sensed})
	}
	return c
}

// event says what is wrong with the event, given those before.
func (c *checker) event(e parking.Event) error {
	if e.At.Before(c.now) {
		return fmt.Errorf("%+v comes after an event of %v", e, c.now)
	}
	if e.Space < 0 || e.Space >= len(c.last) {
		return fmt.Errorf("%+v happens at no space", e)
	}
	c.now = e.At
	k := &c.last[e.Space]
	if err := k.follow(e); err != nil {
		return fmt.Errorf("%+v: %w", e, err)
	}
	return nil
}

func (k *known) follow(e parking.Event) error {
	switch e.Kind {
	case parking.Arrival, parking.Departure:
		return k.move(e)
	case parking.Report, parking.Heartbeat, parking.Boot:
		return k.sense(e)
	case parking.Reboot:
		return flip(&k.down, true)
	case parking.StuckBegan, parking.StuckEnded:
		return flip(&k.stuck, e.Kind == parking.StuckBegan)
	case parking.LinkLost, parking.LinkRestored:
		return flip(&k.unlinked, e.Kind == parking.LinkLost)
	case parking.ClockWrong, parking.ClockRight:
		return flip(&k.wrong, e.Kind == parking.ClockWrong)
	default:
		return fmt.Errorf("unknown kind")
	}
}

// flip sets the flag, which must not have that value yet.
func flip(flag *bool, value bool) error {
	if *flag == value {
		return fmt.Errorf("it is so already")
	}
	*flag = value
	return nil
}

func (k *known) move(e parking.Event) error {
	since := k.since
	k.since = e.At
	if e.Kind == parking.Departure && e.Stay != e.At.Sub(since) {
		return fmt.Errorf("the car came at %v", since)
	}
	return flip(&k.occupied, e.Kind == parking.Arrival)
}

func (k *known) sense(e parking.Event) error {
	before := k.reading
	k.reading = e.Reading
	if c := e.Reading.Confidence; c < 0.9 || c > 1 {
		return fmt.Errorf("implausible confidence")
	}
	switch {
	case e.Kind == parking.Boot:
		if e.Reading.Previous != 0 || !e.Reading.Since.Equal(e.At) || (e.Reading.Status == parking.Occupied) != k.occupied {
			return fmt.Errorf("a boot must read the space anew, which is occupied: %t", k.occupied)
		}
		return flip(&k.down, false)
	case k.down:
		return fmt.Errorf("the sensor is down")
	case e.Kind == parking.Heartbeat:
		if e.Reading != before {
			return fmt.Errorf("a heartbeat must repeat %+v", before)
		}
		return nil
	case k.stuck:
		return fmt.Errorf("the sensor is stuck")
	case e.Reading.Status == before.Status || (e.Reading.Status == parking.Occupied) != k.occupied:
		return fmt.Errorf("the sensor told %s before, and the space is occupied: %t", before.Status, k.occupied)
	case !e.Reading.Since.Equal(e.At) || e.Reading.Since.Sub(before.Since) != e.Reading.Previous:
		return fmt.Errorf("the chain of times is broken after %+v", before)
	}
	return nil
}
