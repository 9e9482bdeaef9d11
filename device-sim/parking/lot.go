package parking

import (
	"math"
	"time"
)

// Config describes a lot. The same Config gives the same events.
type Config struct {
	Seed   uint64
	Spaces int // at least 1; less counts as 1
	// Start is when the events begin. Its location is the lot's: cars come by the hour on the wall there. The lot has been in
	// use before, so that it is as full at Start as it should be.
	Start time.Time
	// Heartbeat is the time between two heartbeats of a sensor; 0 means DefaultHeartbeat.
	Heartbeat time.Duration
	// Faults says what goes wrong; nil means DefaultFaults. Nothing goes wrong with &Faults{}.
	Faults *Faults
}

// DefaultHeartbeat is the time between two heartbeats of a sensor.
const DefaultHeartbeat = 15 * time.Minute

// warmUp is how long cars have come and gone before Config.Start.
const warmUp = 3 * 24 * time.Hour

// A sensor notices a change this long after it happened.
const (
	fastestDetection = 3.0 // seconds
	slowestDetection = 5.0
)

// what is the meaning of a step.
type what uint8

const (
	candidate    what = iota // a car may come to the lot
	returning                // a car may come to the free long-stay space
	departure                // the car leaves
	detection                // the sensor looks, after a change
	heartbeat                // the sensor looks, for its heartbeat
	stuck                    // faults, see fault
	clockWrong               //
	reboot                   //
	linkLost                 //
	unstuck                  // their ends, see recover
	clockRight               //
	boot                     //
	linkRestored             //
)

// Lot is a parking lot in virtual time. Make one with New. It must not be used by two goroutines at once.
type Lot struct {
	start     time.Time
	heartbeat time.Duration
	faults    Faults
	draw      draw
	queue     queue
	spaces    []space
	free      *freeSpaces   // the free ones that are no long-stay spaces
	now       time.Duration // since start
	events    []Event       // happened
	given     int           // so many of them have been given out
}

// New builds a lot at Config.Start.
func New(cfg Config) *Lot {
	l := &Lot{
		start:     cfg.Start.Round(0),
		heartbeat: cfg.Heartbeat,
		faults:    DefaultFaults(),
		draw:      newDraw(cfg.Seed),
		spaces:    make([]space, max(cfg.Spaces, 1)),
		now:       -warmUp,
	}
	if l.heartbeat <= 0 {
		l.heartbeat = DefaultHeartbeat
	}
	if cfg.Faults != nil {
		l.faults = *cfg.Faults
	}
	l.free = newFreeSpaces(len(l.spaces))
	l.furnish()
	l.planCandidate()
	for due, ok := l.queue.earliest(); ok && due < 0; due, ok = l.queue.earliest() {
		l.step()
		l.events = l.events[:0] // nobody was there to see
	}
	l.now = 0
	l.switchOn()
	return l
}

// furnish chooses the long-stay spaces, fills them, and gives every space its popularity.
func (l *Lot) furnish() {
	order := make([]int, len(l.spaces))
	for i := range order {
		order[i] = i
	}
	l.draw.shuffle(order)
	longStay := int(math.Round(LongStayShare * float64(len(l.spaces))))
	for n, i := range order {
		s := &l.spaces[i]
		s.popularity = uint64(1000 * math.Min(l.draw.lognormal(1, 0.6), 10))
		s.longStay = n < longStay
		if s.longStay {
			l.arrive(i)
			continue
		}
		l.free.add(i, s.weight())
	}
}

// switchOn starts the sensors: each takes its space for what it is, and beats from a moment of its own.
func (l *Lot) switchOn() {
	for i := range l.spaces {
		s := &l.spaces[i]
		s.equip(l.draw, l.faults.WeakBatteries)
		s.on = true
		s.read(0, l.confidence(), 0)
		l.queue.plan(seconds(l.heartbeat.Seconds()*l.draw.unit()), heartbeat, i)
	}
	l.planFaults()
}

// Next gives the next event. Events come in the order of their times; the stream never ends.
func (l *Lot) Next() Event {
	for l.given == len(l.events) {
		l.events, l.given = l.events[:0], 0
		l.step()
	}
	l.given++
	return l.events[l.given-1]
}

// step carries out the earliest planned step.
func (l *Lot) step() {
	due := l.queue.take()
	l.now = due.at
	switch due.what {
	case candidate:
		l.consider()
	case returning:
		l.returns(due.space)
	case departure:
		l.depart(due.space)
	case detection:
		l.notice(due.space, Changed)
	case heartbeat:
		l.beat(due.space)
	case stuck, clockWrong, reboot, linkLost:
		l.fault(due.what)
	default:
		l.recover(due.what, due.space)
	}
}

// emit gives out an event that happens now.
func (l *Lot) emit(e Event) {
	e.At = l.at(l.now)
	l.events = append(l.events, e)
}

func (l *Lot) at(since time.Duration) time.Time { return l.start.Add(since) }

// Now is the time up to which the lot has been worked out: that of the latest event, or a little later.
func (l *Lot) Now() time.Time { return l.at(max(l.now, 0)) }
