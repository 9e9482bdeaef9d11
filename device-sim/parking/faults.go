package parking

import "time"

// Faults says how often what goes wrong. A mean time between faults is that of one sensor; zero means never.
type Faults struct {
	// Missed is the share of changes that a sensor does not notice; its next heartbeat does.
	Missed float64
	// Repeated is the share of reports that are sent twice.
	Repeated float64
	// StuckEvery is the mean time between two failures to sense anything, of six hours on average.
	StuckEvery time.Duration
	// ClockEvery is the mean time between two failures of the clock, of up to two hours, for three hours on average.
	ClockEvery time.Duration
	// RebootEvery is the mean time between two reboots by watchdog, brownout or update.
	RebootEvery time.Duration
	// LinkLostEvery is the mean time between two losses of the link, of eight minutes on average.
	LinkLostEvery time.Duration
	// WeakBatteries is the share of sensors whose battery has days to live at the start; they boot with a new one when it is
	// empty. All others last for years.
	WeakBatteries float64
}

// DefaultFaults returns rates that are seen in the field: in a lot of 100 spaces, on an average day, one missed change, ten
// links lost, three reboots, and a stuck sensor and a wrong clock every other day.
func DefaultFaults() Faults {
	const day = 24 * time.Hour
	return Faults{
		Missed:        0.003,
		Repeated:      0.002,
		StuckEvery:    200 * day,
		ClockEvery:    200 * day,
		RebootEvery:   30 * day,
		LinkLostEvery: 10 * day,
		WeakBatteries: 0.03,
	}
}

// How long what lasts.
const (
	meanStuck    = 6 * time.Hour
	meanClock    = 3 * time.Hour
	meanLinkLost = 8 * time.Minute
	bootTime     = 10 * time.Second
	worstClock   = 2 * time.Hour
)

// planFaults plans the first fault of each kind. Faults hit the lot as a whole, at the rate of all its sensors together, and
// choose their sensor when they come: four planned steps are enough for any number of spaces.
func (l *Lot) planFaults() {
	for _, next := range []what{stuck, clockWrong, reboot, linkLost} {
		l.planFault(next)
	}
}

func (l *Lot) planFault(next what) {
	every := map[what]time.Duration{
		stuck: l.faults.StuckEvery, clockWrong: l.faults.ClockEvery, reboot: l.faults.RebootEvery, linkLost: l.faults.LinkLostEvery,
	}[next]
	if every > 0 {
		l.queue.plan(l.now+l.draw.after(every)/time.Duration(len(l.spaces)), next, 0)
	}
}

// fault lets a fault of the kind befall a sensor, unless it has that fault already, and plans the next one.
func (l *Lot) fault(kind what) {
	l.planFault(kind)
	space := l.draw.below(len(l.spaces))
	s := &l.spaces[space]
	switch {
	case kind == reboot && !s.down:
		l.reboot(space, []Cause{Watchdog, Watchdog, Brownout, Update}[l.draw.below(4)])
	case kind == linkLost && !s.unlinked:
		s.unlinked = true
		l.emit(Event{Space: space, Kind: LinkLost})
		l.queue.plan(l.now+l.draw.after(meanLinkLost), linkRestored, space)
	case kind == stuck && !s.stuck:
		s.stuck = true
		l.emit(Event{Space: space, Kind: StuckBegan})
		l.queue.plan(l.now+l.draw.after(meanStuck), unstuck, space)
	case kind == clockWrong && s.clockError == 0:
		s.clockError = seconds(worstClock.Seconds() * l.draw.between(-1, 1))
		l.emit(Event{Space: space, Kind: ClockWrong, ClockError: s.clockError})
		l.queue.plan(l.now+l.draw.after(meanClock), clockRight, space)
	}
}

// reboot takes the sensor down; it boots bootTime later.
func (l *Lot) reboot(space int, cause Cause) {
	s := &l.spaces[space]
	s.down, s.cause = true, cause
	l.emit(Event{Space: space, Kind: Reboot, Cause: cause})
	l.queue.plan(l.now+bootTime, boot, space)
}

// recover ends a fault.
func (l *Lot) recover(kind what, space int) {
	s := &l.spaces[space]
	switch kind {
	case boot:
		s.down = false
		s.read(l.now, l.confidence(), 0)
		l.emit(Event{Space: space, Kind: Boot, Reading: l.reading(s), Why: Booted, Cause: s.cause})
	case linkRestored:
		s.unlinked = false
		l.emit(Event{Space: space, Kind: LinkRestored})
	case clockRight:
		s.clockError = 0
		l.emit(Event{Space: space, Kind: ClockRight})
	case unstuck:
		s.stuck = false
		l.emit(Event{Space: space, Kind: StuckEnded})
		l.notice(space, Changed)
	default:
	}
}
