package devicesim

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/boomgate/boomgate/device-sim/parking"
)

// What every simulated device says of itself.
const (
	firmware = "2.4.1"
	hardware = "bps-2"
)

// bootTime is the virtual time that a reboot by command takes.
const bootTime = 10 * time.Second

// device is the firmware of a sensor: what it knows, and the messages that it makes of that. It knows no network. Safe for
// concurrent use; wake tells its one reader that something has changed.
type device struct {
	now  func() time.Time // virtual
	note func(Event)      // called without the lock
	id   Event            // the fields that every event of the device has
	wake chan struct{}

	mu         sync.Mutex
	occupied   bool // the truth, for the snapshot alone
	connected  bool // likewise
	reading    parking.Reading
	clockError time.Duration
	health     parking.Health

	installed  bool // has ever been switched on
	down       bool // rebooting, as the model has it
	restarting bool // rebooting by command
	unlinked   bool
	cause      string // of the latest boot
	booted     time.Time
	resets     uint64
	changes    uint64
	seq        uint64

	outbox   outbox
	gap      bool // readers have missed something: tell the state when the outbox is empty
	answered []Answer
	events   []Event // to be noted without the lock
}

// newDevice makes the device of a space as it is at the start.
func newDevice(id Event, space parking.Space, room int, now func() time.Time, note func(Event)) *device {
	return &device{
		now: now, note: note, id: id, wake: make(chan struct{}, 1),
		occupied: space.Occupied, reading: space.Sensed, outbox: outbox{room: room},
	}
}

// do runs f with the lock, then wakes the reader and tells the events that f has left.
func (d *device) do(f func()) {
	d.mu.Lock()
	f()
	events := d.events
	d.events = nil
	d.mu.Unlock()

	select {
	case d.wake <- struct{}{}:
	default:
	}
	for _, event := range events {
		d.note(event)
	}
}

// event leaves an event to be told.
func (d *device) event(kind Kind, at time.Time, cause string) {
	e := d.id
	e.Time, e.Kind, e.Cause = at, kind, cause
	d.events = append(d.events, e)
}

// apply takes what happens on the lot and to the sensor.
func (d *device) apply(e parking.Event) {
	d.do(func() {
		switch e.Kind {
		case parking.Arrival:
			d.occupied = true
			d.event(Arrived, e.At, "")
		case parking.Departure:
			d.occupied = false
			d.event(Departed, e.At, "")
		case parking.Report:
			d.sense(e)
		case parking.Heartbeat:
			d.health = e.Health
			if d.talks() {
				d.outbox.putBeat(d.healthMessage(e.At))
			}
		case parking.Reboot:
			d.down = true
			d.event(Rebooted, e.At, string(e.Cause))
		case parking.Boot:
			d.down, d.reading = false, e.Reading
			if d.installed {
				d.resets++
				d.boot(e.At, string(e.Cause))
			}
		case parking.LinkLost, parking.LinkRestored:
			d.unlinked = e.Kind == parking.LinkLost
		case parking.ClockWrong, parking.ClockRight:
			d.clockError = e.ClockError
		default:
		}
	})
}

// sense takes a new reading.
func (d *device) sense(e parking.Event) {
	before := d.reading.Since
	d.reading = e.Reading
	d.reading.Previous = e.Reading.Since.Sub(before) // not the model's: that knows no reboot by command
	if !d.talks() {
		return
	}
	d.changes++
	m := d.stateMessage(e.At, Why(e.Why))
	d.put(m)
	if e.Repeated {
		d.put(m)
	}
}

// talks tells whether the device runs, and so makes messages.
func (d *device) talks() bool { return d.installed && !d.down && !d.restarting }

// boot begins a new life and announces it.
func (d *device) boot(at time.Time, cause string) {
	d.booted, d.cause, d.changes = at, cause, 0
	d.put(d.infoMessage(at))
	d.put(d.stateMessage(at, WhyBoot))
}

func (d *device) put(m message) {
	dropped, full := d.outbox.put(m)
	if full {
		d.gap = true
		d.event(Dropped, d.now(), "")
		d.events[len(d.events)-1].Topic = dropped.topic
	}
}

// install switches the device on for the first time; it does nothing after that.
func (d *device) install() {
	d.do(func() {
		if d.installed {
			return
		}
		d.installed, d.booted = true, d.now()
		if !d.down { // else it announces itself when it is up
			d.boot(d.booted, string(parking.PowerOn))
		}
	})
}

// restart takes the device down by command; restarted brings it up again, bootTime later.
func (d *device) restart() {
	d.do(func() {
		d.restarting = true
		d.event(Rebooted, d.now(), CauseCommand)
	})
}

func (d *device) restarted() {
	d.do(func() {
		now := d.now()
		d.restarting = false
		d.reading.Since, d.reading.Previous = now, 0
		d.resets++
		if !d.down {
			d.boot(now, CauseCommand)
		}
	})
}

// up tells whether the device can have a connection, and if not, why.
func (d *device) up() (bool, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.down || d.restarting:
		return false, causeRebooting
	case d.unlinked:
		return false, causeOutOfReach
	default:
		return true, ""
	}
}

// waitUp waits until the device can have a connection. It fails only when the context ends.
func (d *device) waitUp(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if up, _ := d.up(); up {
			return nil
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
		}
	}
}

// first gives the message to publish next, if there is one.
func (d *device) first() (message, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gap && d.outbox.empty() && d.talks() {
		d.gap = false
		d.put(d.stateMessage(d.now(), WhyResync))
	}
	return d.outbox.first()
}

// delivered forgets the message.
func (d *device) delivered(m message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outbox.delivered(m.number)
}

// setConnected notes whether there is a connection. A fresh session of the broker means that it may have forgotten everything.
func (d *device) setConnected(connected, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connected = connected
	d.gap = d.gap || fresh
}

func (d *device) snapshot() Spot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Spot{Device: d.id.Device, Name: d.id.Spot, Occupied: d.occupied, Status: Status(d.reading.Status), Connected: d.connected}
}

// head makes the beginning of the next message, by the device's own clock.
func (d *device) head(at time.Time) Head {
	d.seq++
	return Head{V: Version, Seq: d.seq, TS: d.stamp(at)}
}

func (d *device) stamp(at time.Time) Stamp { return Stamp{at.Add(d.clockError)} }

func (d *device) state(at time.Time, why Why) State {
	return State{
		Head: d.head(at), Spot: d.id.Spot, Status: Status(d.reading.Status), Since: d.stamp(d.reading.Since),
		PrevS: int64(d.reading.Previous / time.Second), Why: why, Confidence: d.reading.Confidence,
	}
}

func (d *device) stateMessage(at time.Time, why Why) message {
	s := d.state(at, why)
	return message{topic: topicState, payload: encode(s), qos: 1, retain: true, status: s.Status}
}

func (d *device) healthMessage(at time.Time) message {
	h := Health{
		State: d.state(at, WhyHeartbeat), BatteryV: d.health.BatteryVolts, Battery: string(d.health.Battery),
		TempC: d.health.Temperature, RSSI: d.health.Signal, UptimeS: int64(at.Sub(d.booted) / time.Second),
		Changes: d.changes, Resets: d.resets, Flags: []string{},
	}
	if d.health.Battery != parking.BatteryNormal {
		h.Flags = append(h.Flags, FlagBatteryLow)
	}
	if d.clockError != 0 {
		h.Flags = append(h.Flags, FlagClockUnsynced)
	}
	return message{topic: topicHealth, payload: encode(h), qos: 0, retain: true}
}

func (d *device) infoMessage(at time.Time) message {
	i := Info{
		Head: d.head(at), Spot: d.id.Spot, Firmware: firmware, Hardware: hardware, ResetCause: d.cause, Resets: d.resets,
	}
	return message{topic: topicInfo, payload: encode(i), qos: 1, retain: true}
}

// encode writes a payload. The payload types hold nothing that JSON cannot.
func encode(payload any) []byte {
	text, err := json.Marshal(payload)
	if err != nil {
		panic("devicesim: a payload that is no JSON: " + err.Error())
	}
	return text
}
