package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boomgate/boomgate/broker"
)

func TestTheOldestHalfOpenSocketGivesWayAfterItsFairTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := broker.NewGate(broker.Limits{MaxPending: 2, ConnectTimeout: 40 * time.Second})
		var evicted []int
		began := time.Now()
		for i := range 6 {
			_, _, err := g.Enter(t.Context(), "192.0.2.1:1", func() { evicted = append(evicted, i) })
			must(t, err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("six sockets needed %v, want 20 s: two at a time, each for 10 s", took)
		}
		if want := "[0 1 2 3]"; fmt.Sprint(evicted) != want {
			t.Errorf("evicted %v, want %s", evicted, want)
		}
	})
}

func TestAnAnsweredSocketMakesRoomAtOnceAndStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := broker.NewGate(broker.Limits{MaxPending: 1, ConnectTimeout: 40 * time.Second})
		began := time.Now()
		for range 10 {
			answered, _, err := g.Enter(t.Context(), "192.0.2.1:1", func() { t.Error("evicted") })
			must(t, err)
			time.AfterFunc(time.Second, answered)
		}
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestAWaitingSocketGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	g := broker.NewGate(broker.Limits{MaxPending: 1, ConnectTimeout: time.Hour})
	_, leave, err := g.Enter(t.Context(), "192.0.2.1:1", func() {})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := g.Enter(ctx, "192.0.2.1:1", func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	leave()
	_, _, err = g.Enter(t.Context(), "192.0.2.1:1", func() {})
	must(t, err)
}

func TestAddressesAreCountedByWhatOneCustomerHolds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[2001:db8::1]:1", "[2001:db8::2]:1", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"pipe", "@", true},
	} {
		g := broker.NewGate(broker.Limits{MaxConnectionsPerIP: 1})
		_, leave, err := g.Enter(t.Context(), tt.first, func() {})
		must(t, err)
		if _, _, err := g.Enter(t.Context(), tt.second, func() {}); (err != nil) != tt.same {
			t.Errorf("%s and %s: %v", tt.first, tt.second, err)
		}
		leave()
		if _, _, err := g.Enter(t.Context(), tt.first, func() {}); err != nil {
			t.Errorf("%s again: %v", tt.first, err)
		}
	}
}
