package devicesim_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	devicesim "github.com/boomgate/boomgate/device-sim"
	"github.com/boomgate/boomgate/device-sim/parking"
)

// day is a Monday morning on which cars come.
var day = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)

func TestABrokenConnectionLeavesTheWillAndIsMended(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 5, nil)
		pass(time.Minute)
		w.broker.cut()
		pass(10 * time.Second)

		for i := range 5 {
			if said := w.life(fmt.Sprintf("sensor-%d", i)); said != "ready lost ready" {
				t.Errorf("sensor %d said %q, want ready, lost, ready", i, said)
			}
		}
		if lost := w.seen(devicesim.Lost); len(lost) != 5 || lost[0].Cause == "" {
			t.Errorf("lost connections: %+v, want 5 with their causes", lost)
		}
		for _, h := range w.broker.messages("sensor-0", "$state") {
			if h.qos != 1 || !h.retain {
				t.Errorf("$state %s with QoS %d, retained %t, want 1 and retained", h.payload, h.qos, h.retain)
			}
		}
	})
}

func TestChangesThatNobodyCouldHearAreToldLaterWithTheirOwnTimes(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const sensors, speed = 5, 60
		w := start(t, sensors, func(_ *world, cfg *devicesim.Config) {
			cfg.Start, cfg.Speed = day, speed
		})
		pass(time.Minute)
		w.broker.set(func() { w.broker.deaf = true })
		w.broker.cut()
		pass(8 * time.Minute)
		w.broker.set(func() { w.broker.deaf = false })
		pass(2 * time.Minute)

		late := 0
		for i := range sensors {
			device := fmt.Sprintf("sensor-%d", i)
			var last devicesim.State
			for _, h := range w.broker.messages(device, "state") {
				s := decode[devicesim.State](t, h.payload)
				if last.Seq > 0 && (int64(s.Since.Sub(last.Since.Time)/time.Second) != s.PrevS || s.Seq <= last.Seq) {
					t.Errorf("%s follows %+v: something was lost", h.payload, last)
				}
				last = s
				told := w.fleet.Now().Add(-time.Since(h.at) * speed)
				if told.Sub(s.TS.Time) > 10*time.Minute {
					late++
				}
			}
		}
		if late < sensors {
			t.Errorf("%d states were told late, want some to judge", late)
		}
		if stats := w.fleet.Stats(); stats.Dropped != 0 || stats.Connected != sensors {
			t.Errorf("Stats = %+v, want all connected and nothing dropped", stats)
		}
	})
}

func TestWhatDoesNotFitIsDroppedAndEndsInAResync(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const sensors = 8
		w := start(t, sensors, func(_ *world, cfg *devicesim.Config) {
			cfg.Start, cfg.Speed, cfg.Backlog = day, 60, 2
		})
		pass(time.Minute)
		w.broker.set(func() { w.broker.deaf = true })
		w.broker.cut()
		pass(15 * time.Minute)
		dropped := map[string]bool{}
		for _, e := range w.seen(devicesim.Dropped) {
			dropped[e.Device] = true
		}
		w.broker.set(func() { w.broker.deaf = false })
		pass(90 * time.Second)

		resyncs := map[string]bool{}
		for i := range sensors {
			device := fmt.Sprintf("sensor-%d", i)
			for _, h := range w.broker.messages(device, "state") {
				if decode[devicesim.State](t, h.payload).Why == devicesim.WhyResync {
					resyncs[device] = true
				}
			}
			states := w.broker.messages(device, "state")
			last := decode[devicesim.State](t, states[len(states)-1].payload)
			if last.Status != w.fleet.Spots()[i].Status {
				t.Errorf("%s said %s at last, and takes its space for %s", device, last.Status, w.fleet.Spots()[i].Status)
			}
		}
		if len(dropped) == 0 || fmt.Sprint(dropped) != fmt.Sprint(resyncs) {
			t.Errorf("%v dropped messages and %v told their state anew, want the same, and some", dropped, resyncs)
		}
	})
}

func TestABrokerThatHasForgottenEverythingIsToldTheState(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 4, nil)
		pass(time.Minute)
		fresh := newBroker(t, w.issuer)
		fresh.start(t)
		t.Cleanup(w.stop)
		w.broker.set(func() { w.broker.moved = fresh })
		w.broker.cut()
		pass(5 * time.Second)

		for i := range 4 {
			states := fresh.messages(fmt.Sprintf("sensor-%d", i), "state")
			if len(states) != 1 || decode[devicesim.State](t, states[0].payload).Why != devicesim.WhyResync {
				t.Errorf("sensor %d told the new broker %+v, want its state with why=resync", i, states)
			}
		}
	})
}

func TestFaultsOfTheModelReachTheBroker(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		const sensors = 6
		w := start(t, sensors, func(_ *world, cfg *devicesim.Config) {
			cfg.Start, cfg.Speed = day, 60
			cfg.Faults = &parking.Faults{
				Repeated: 0.5, ClockEvery: 6 * time.Hour, RebootEvery: 8 * time.Hour, LinkLostEvery: 8 * time.Hour, WeakBatteries: 1,
			}
		})
		pass(16 * time.Minute)

		var repeated, unsynced, low, reboots int
		for i := range sensors {
			device := fmt.Sprintf("sensor-%d", i)
			states := w.broker.messages(device, "state")
			for n := 1; n < len(states); n++ {
				if states[n].payload == states[n-1].payload {
					repeated++
				}
			}
			for _, h := range w.broker.messages(device, "health") {
				unsynced += strings.Count(h.payload, devicesim.FlagClockUnsynced)
				low += strings.Count(h.payload, devicesim.FlagBatteryLow)
			}
			infos := w.broker.messages(device, "info")
			reboots += len(infos) - 1
			last := decode[devicesim.Info](t, infos[len(infos)-1].payload)
			if int(last.Resets) != len(infos)-1 || (last.Resets > 0) == (last.ResetCause == string(parking.PowerOn)) {
				t.Errorf("%s is the info number %d", infos[len(infos)-1].payload, len(infos))
			}
		}
		if repeated == 0 || unsynced == 0 || low == 0 || reboots == 0 {
			t.Errorf("%d repeated states, %d heartbeats with a wrong clock, %d with a low battery, %d reboots, want some of each",
				repeated, unsynced, low, reboots)
		}
		rebooted, lost := len(w.seen(devicesim.Rebooted)), len(w.seen(devicesim.Lost))
		if lost <= rebooted {
			t.Errorf("%d reboots and %d losses, want losses by the link as well", rebooted, lost)
		}
		if stats := w.fleet.Stats(); stats.Failures != 0 || stats.Connected < sensors-2 {
			t.Errorf("Stats = %+v, want no failures, and nearly all connected", stats)
		}
	})
}

func TestABrokerThatFallsSilentIsLeft(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var frozen atomic.Bool
		w := start(t, 1, func(w *world, cfg *devicesim.Config) {
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := w.broker.dial(ctx, network, address)
				return freezing{conn, &frozen}, err
			}
		})
		pass(time.Minute)
		frozen.Store(true)
		pass(5 * time.Minute)
		during := w.fleet.Stats()
		frozen.Store(false)
		pass(2 * time.Minute)

		if during.Connected != 0 || during.Losses != 1 || during.Failures < 3 {
			t.Errorf("while the broker is silent Stats = %+v, want one loss and some failures", during)
		}
		if stats := w.fleet.Stats(); stats.Connected != 1 {
			t.Errorf("after that Stats = %+v, want it connected", stats)
		}
	})
}
