package devicesim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	devicesim "github.com/boomgate/boomgate/device-sim"
	"github.com/boomgate/boomgate/device-sim/parking"
)

// world is a fleet, its issuer and its broker, in virtual time and without a network.
type world struct {
	issuer *issuer
	broker *broker
	fleet  *devicesim.Fleet
	stop   func() // and wait for the end

	mu     sync.Mutex
	events []devicesim.Event
}

const site = "north"

func sensors(n int) []devicesim.Sensor {
	var list []devicesim.Sensor
	for i := range n {
		id := fmt.Sprintf("sensor-%d", i)
		list = append(list, devicesim.Sensor{Credential: devicesim.Credential{ClientID: id, ClientSecret: "secret-of-" + id}})
	}
	return list
}

// start runs a fleet of n sensors in the bubble of the test. Tokens live an hour, nothing goes wrong by itself, and change may
// change all that.
func start(t *testing.T, n int, change func(w *world, cfg *devicesim.Config)) *world {
	t.Helper()

	w := &world{issuer: newIssuer(time.Hour)}
	w.broker = newBroker(t, w.issuer)
	w.broker.start(t)
	cfg := devicesim.Config{
		TokenURL: "https://boomgate.example/oauth/token", BrokerURL: "mqtt://boomgate.example:1883",
		Site: site, Sensors: sensors(n), Seed: 1, Faults: &parking.Faults{},
		HTTPClient: &http.Client{Transport: w.issuer}, Dial: w.broker.dial, Observe: w.observe,
	}
	if change != nil {
		change(w, &cfg)
	}
	fleet, err := devicesim.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	w.fleet = fleet
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) observe(e devicesim.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// seen gives the events of a kind.
func (w *world) seen(kind devicesim.Kind) []devicesim.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.events), func(e devicesim.Event) bool { return e.Kind != kind })
}

// pass lets time pass, and everything happen that is due.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestEverySensorConnectsWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 20, nil)
		pass(10 * time.Second)

		tokens, clients := map[string]bool{}, map[string]bool{}
		for _, c := range w.broker.attempts() {
			tokens[c.password], clients[c.client] = true, true
			want := connect{
				client: c.client, user: c.client, password: c.password, admitted: true, keepalive: 60,
				willTopic: "parking/v1/north/" + c.client + "/$state", will: "lost", willQoS: 1, willRetained: true,
			}
			if c != want {
				t.Errorf("CONNECT %+v, want %+v", c, want)
			}
		}
		if len(tokens) != 20 || len(clients) != 20 || len(w.broker.attempts()) != 20 {
			t.Errorf("%d CONNECTs with %d tokens of %d sensors, want 20 of each", len(w.broker.attempts()), len(tokens), len(clients))
		}
		if got := w.fleet.Stats(); got.Sensors != 20 || got.Connected != 20 || got.TokenRequests != 20 || got.Connects != 20 {
			t.Errorf("Stats = %+v, want 20 sensors connected", got)
		}
	})
}

func TestASensorIntroducesItselfInOrder(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		begin := time.Date(2026, time.March, 2, 9, 30, 0, 0, time.FixedZone("lot", 3600))
		w := start(t, 1, func(_ *world, cfg *devicesim.Config) { cfg.Start = begin })
		pass(time.Minute)

		w.broker.mu.Lock()
		heard := slices.Clone(w.broker.heard)
		w.broker.mu.Unlock()
		if len(heard) < 3 {
			t.Fatalf("heard %+v, want $state, info and state", heard)
		}
		for i, want := range []struct{ topic, payload string }{
			{"$state", "ready"},
			{"info", `{"v":1,"seq":1,"ts":"2026-03-02T08:30:00.000Z","spot":"b1-001","firmware":"2.4.1","hardware":"bps-2","reset_cause":"power_on","resets":0}`},
			{"state", ""},
		} {
			got := heard[i]
			if got.topic != "parking/v1/north/sensor-0/"+want.topic || got.qos != 1 || !got.retain {
				t.Errorf("message %d is %+v, want %s with QoS 1, retained", i, got, want.topic)
			}
			if want.payload != "" && got.payload != want.payload {
				t.Errorf("message %d is %s, want %s", i, got.payload, want.payload)
			}
		}
		state := decode[devicesim.State](t, heard[2].payload)
		if state.V != 1 || state.Seq != 2 || state.Spot != "b1-001" || state.Why != devicesim.WhyBoot || state.PrevS != 0 ||
			!state.TS.Equal(begin) || !state.Since.Equal(begin) || state.Confidence < 0.9 {
			t.Errorf("the first state is %s", heard[2].payload)
		}
	})
}

func TestPayloadsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const speed, sensors = 60, 6
		w := start(t, sensors, func(_ *world, cfg *devicesim.Config) {
			cfg.Start = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)
			cfg.Speed = speed
		})
		pass(12 * time.Hour / speed)

		stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
		for _, h := range w.broker.messages("sensor-1", "health") {
			if h.qos != 0 || !h.retain {
				t.Errorf("health with QoS %d, retain %t, want 0 and retained", h.qos, h.retain)
			}
			members := decode[map[string]any](t, h.payload)
			for _, name := range strings.Fields("v seq ts spot status since prev_s why conf battery_v battery temp_c rssi_dbm uptime_s changes resets flags") {
				if _, ok := members[name]; !ok {
					t.Errorf("health has no %s: %s", name, h.payload)
				}
			}
			if ts, _ := members["ts"].(string); !stamp.MatchString(ts) {
				t.Errorf("ts is %q, want UTC with milliseconds", ts)
			}
		}
		if beats := len(w.broker.messages("sensor-1", "health")); beats != 12*4 {
			t.Errorf("%d heartbeats in 12 hours, want one each quarter of an hour", beats)
		}
		states := 0
		for i := range sensors {
			states += w.checkChain(t, fmt.Sprintf("sensor-%d", i), speed)
		}
		if states < 3*sensors {
			t.Errorf("%d states, want some changes to judge", states)
		}
	})
}

// checkChain checks the states of a device that had no mishap, and counts them: numbered upwards, told at once, each beginning
// where the last one ended.
func (w *world) checkChain(t *testing.T, device string, speed float64) int {
	t.Helper()

	var last devicesim.State
	states := w.broker.messages(device, "state")
	for i, h := range states {
		s := decode[devicesim.State](t, h.payload)
		if i > 0 {
			since := s.Since.Sub(last.Since.Time)
			if s.Seq <= last.Seq || s.Status == last.Status || int64(since/time.Second) != s.PrevS || s.Why != devicesim.WhyChange {
				t.Errorf("state %s follows %+v", h.payload, last)
			}
			ago := time.Duration(float64(time.Since(h.at)) * speed)
			if delay := w.fleet.Now().Add(-ago).Sub(s.TS.Time); delay.Abs() > time.Second {
				t.Errorf("state %s comes %v late", h.payload, delay)
			}
		}
		last = s
	}
	return len(states)
}

func TestEventsAndSnapshotTellTheSameLot(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 30, func(_ *world, cfg *devicesim.Config) {
			cfg.Start = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)
			cfg.Speed = 600
		})
		pass(30 * time.Second)
		w.stop()

		stats, taken, status := w.fleet.Stats(), 0, map[string]devicesim.Status{}
		for _, e := range w.seen(devicesim.Published) {
			if e.Status != "" {
				status[e.Device] = e.Status
			}
		}
		for i, spot := range w.fleet.Spots() {
			if spot.Occupied {
				taken++
			}
			if spot.Name != devicesim.SpotName(i) || spot.Connected || status[spot.Device] != spot.Status {
				t.Errorf("spot %+v after the end, and the last published status was %q", spot, status[spot.Device])
			}
		}
		arrived, departed := len(w.seen(devicesim.Arrived)), len(w.seen(devicesim.Departed))
		if taken != stats.Occupied || arrived != stats.Arrivals || departed != stats.Departures || arrived < 20 {
			t.Errorf("%d taken, %d came, %d left; Stats = %+v", taken, arrived, departed, stats)
		}
	})
}

func TestTheEndIsSaidByEverySensor(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 10, nil)
		pass(5 * time.Second)
		before := time.Now()
		w.stop()

		if took := time.Since(before); took > 5*time.Second {
			t.Errorf("the end took %v, want at most StopTimeout", took)
		}
		for i := range 10 {
			device := fmt.Sprintf("sensor-%d", i)
			if got := w.life(device); got != "ready disconnected" {
				t.Errorf("%s said %q, want ready and disconnected", device, got)
			}
		}
		if got := w.fleet.Stats().Connected; got != 0 {
			t.Errorf("%d connected after the end", got)
		}
	})
}

// life gives what was said in the device's $state, in order.
func (w *world) life(device string) string {
	var said []string
	for _, h := range w.broker.messages(device, "$state") {
		said = append(said, h.payload)
	}
	return strings.Join(said, " ")
}

func TestTheEndIsBoundedWhenTheBrokerIsSilent(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 3, func(_ *world, cfg *devicesim.Config) {
			cfg.Dial = silent
			cfg.StopTimeout = 2 * time.Second
		})
		pass(3 * time.Second)
		before := time.Now()
		w.stop()
		if took := time.Since(before); took > 2*time.Second {
			t.Errorf("the end took %v, want at most StopTimeout", took)
		}
	})
}

func TestAFleetRunsOnce(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, nil)
		pass(time.Second)
		if err := w.fleet.Run(t.Context()); err == nil || err.Error() != devicesim.ErrRan.Error() {
			t.Errorf("a second Run = %v, want ErrRan", err)
		}
	})
}

func TestConnectionsAreSpreadOverTime(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 50, func(_ *world, cfg *devicesim.Config) { cfg.ConnectRate = 10 })
		pass(1500 * time.Millisecond)
		if n := len(w.broker.attempts()); n < 10 || n > 16 {
			t.Errorf("%d connected after 1.5 s at 10 a second", n)
		}
		pass(5 * time.Second)
		if n := len(w.broker.attempts()); n != 50 {
			t.Errorf("%d connected after 6.5 s at 10 a second, want all 50", n)
		}
	})
}

func TestABadConfigIsRefusedWithEveryFaultNamed(t *testing.T) {
	t.Parallel()

	_, err := devicesim.New(devicesim.Config{
		TokenURL: "ftp://x", BrokerURL: "1883", Site: "a/b", Speed: -1, ConnectRate: -1, Concurrency: -1, Backlog: -1,
		KeepAlive: time.Millisecond, StopTimeout: -1,
		Sensors: []devicesim.Sensor{
			{Credential: devicesim.Credential{ClientID: "a+b", ClientSecret: "s3cret"}},
			{Credential: devicesim.Credential{ClientID: "a", ClientSecret: "s3cret"}, Spot: "x"},
			{Credential: devicesim.Credential{ClientID: "a", ClientSecret: "s3cret"}, Spot: "x"},
			{Credential: devicesim.Credential{ClientID: "b"}},
		},
	})
	if err == nil {
		t.Fatal("New accepts it")
	}
	for _, want := range []string{
		"TokenURL", "BrokerURL", "Site", "Speed", "ConnectRate", "Concurrency", "Backlog", "KeepAlive", "StopTimeout",
		`"a+b"`, `"a" is used twice`, `spot "x"`, "no client secret",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells a secret: %v", err)
	}
}

func BenchmarkStatePayload(b *testing.B) {
	now := devicesim.Stamp{Time: time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)}
	state := devicesim.State{
		Head: devicesim.Head{V: 1, Seq: 4711, TS: now}, Spot: "b2-017", Status: devicesim.StatusOccupied, Since: now, PrevS: 2580,
		Why: devicesim.WhyChange, Confidence: 0.99,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(state); err != nil {
			b.Fatal(err)
		}
	}
}
