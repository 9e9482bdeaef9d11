package devicesim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/boomgate/boomgate/device-sim/parking"
)

// ErrRan is the error of a second Run.
var ErrRan = errors.New("devicesim: the fleet has run before")

// Fleet plays the sensors of one lot. Make it with New, run it once with Run.
type Fleet struct {
	cfg    Config
	broker *url.URL
	http   *http.Client
	gate   *gate
	always chan struct{} // closed
	counts counts

	ran     atomic.Bool
	mu      sync.RWMutex
	clock   *clock    // set by Run
	sensors []*sensor // set by Run
}

// New checks the Config, naming everything that is wrong with it, and prepares the fleet. It opens nothing.
func New(cfg Config) (*Fleet, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configuring the simulated sensors: %w", err)
	}
	cfg.setDefaults()
	broker, err := url.Parse(cfg.BrokerURL)
	if err != nil {
		return nil, fmt.Errorf("configuring the simulated sensors: %w", err)
	}
	f := &Fleet{
		cfg: cfg, broker: broker, http: cfg.HTTPClient,
		gate: newGate(cfg.ConnectRate, cfg.Concurrency), always: make(chan struct{}),
	}
	close(f.always)
	return f, nil
}

// Run plays the sensors until the context ends. They are switched on one after the other, at Config.ConnectRate. At the end each
// says goodbye and disconnects; Run returns nil when all have, Config.StopTimeout later at most.
func (f *Fleet) Run(ctx context.Context) error {
	if f.ran.Swap(true) {
		return ErrRan
	}
	if f.http == nil {
		f.http = newHTTPClient(&f.cfg)
		defer f.http.CloseIdleConnections()
	}
	lot := f.furnish()

	var running sync.WaitGroup
	running.Go(func() { f.drive(ctx, lot) })
	for _, s := range f.sensors {
		running.Go(func() { s.run(ctx) })
	}
	running.Wait()
	return nil
}

// furnish builds the lot and puts a sensor on each space.
func (f *Fleet) furnish() *parking.Lot {
	start := f.cfg.Start
	if start.IsZero() {
		start = f.cfg.Now()
	}
	lot := parking.New(parking.Config{
		Seed: f.cfg.Seed, Spaces: len(f.cfg.Sensors), Start: start, Heartbeat: f.cfg.Heartbeat, Faults: f.cfg.Faults,
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = newClock(f.cfg.Now, start, f.cfg.Speed)
	for i, sensor := range f.cfg.Sensors {
		space := lot.Space(i)
		if space.Occupied {
			f.counts.occupied.Add(1)
		}
		f.sensors = append(f.sensors, f.newSensor(i, sensor, space))
	}
	return lot
}

func (f *Fleet) newSensor(i int, who Sensor, space parking.Space) *sensor {
	random := rand.New(rand.NewPCG(f.cfg.Seed, uint64(i)+1))
	return &sensor{
		fleet:  f,
		device: newDevice(Event{Space: i, Device: who.ClientID, Spot: who.Spot}, space, f.cfg.Backlog, f.clock.now, f.note),
		prefix: "parking/v1/" + f.cfg.Site + "/" + who.ClientID + "/",
		tokens: newTokenSource(&f.cfg, who.Credential),
		rand:   random,
		waits:  backoff{retry: f.cfg.Retry, rand: random},
	}
}

// drive hands the events of the lot to the devices, each in its time, until the context ends.
func (f *Fleet) drive(ctx context.Context, lot *parking.Lot) {
	for {
		event := lot.Next()
		if f.clock.advanceTo(ctx, event.At) != nil {
			return
		}
		f.sensors[event.Space].device.apply(event)
	}
}

// note counts an event and passes it on.
func (f *Fleet) note(e Event) {
	f.counts.note(e)
	f.cfg.Observe(e)
}

// Stats gives the counts of now. It may be called at any time.
func (f *Fleet) Stats() Stats {
	s := f.counts.snapshot()
	s.Sensors = len(f.cfg.Sensors)
	return s
}

// Now gives the virtual time; before Run, the zero time.
func (f *Fleet) Now() time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.clock == nil {
		return time.Time{}
	}
	return f.clock.now()
}

// Spots gives a snapshot of the lot, in the order of Config.Sensors; before Run, an empty one. It may be called at any time, also
// by Config.Observe.
func (f *Fleet) Spots() []Spot {
	f.mu.RLock()
	defer f.mu.RUnlock()
	spots := make([]Spot, len(f.sensors))
	for i, s := range f.sensors {
		spots[i] = s.device.snapshot()
	}
	return spots
}
