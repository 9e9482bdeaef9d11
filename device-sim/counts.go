package devicesim

import "sync/atomic"

// counts are the Stats while they are counted.
type counts struct {
	connected, occupied                            atomic.Int64
	tokenRequests, tokensRefused                   atomic.Int64
	connects, connectsRefused, failures            atomic.Int64
	renewals, losses, published, dropped, commands atomic.Int64
	arrivals, departures                           atomic.Int64
}

// note counts an event.
func (c *counts) note(e Event) {
	switch e.Kind {
	case Arrived:
		c.arrivals.Add(1)
		c.occupied.Add(1)
	case Departed:
		c.departures.Add(1)
		c.occupied.Add(-1)
	case Refused:
		if e.Cause == causeCredential {
			c.tokensRefused.Add(1)
		} else {
			c.connectsRefused.Add(1)
		}
	case Failed:
		c.failures.Add(1)
	case Renewed:
		c.renewals.Add(1)
	case Lost:
		c.losses.Add(1)
	case Published:
		c.published.Add(1)
	case Dropped:
		c.dropped.Add(1)
	case Commanded:
		c.commands.Add(1)
	default:
	}
}

func (c *counts) snapshot() Stats {
	return Stats{
		Connected:       int(c.connected.Load()),
		Occupied:        int(c.occupied.Load()),
		TokenRequests:   int(c.tokenRequests.Load()),
		TokensRefused:   int(c.tokensRefused.Load()),
		Connects:        int(c.connects.Load()),
		ConnectsRefused: int(c.connectsRefused.Load()),
		Failures:        int(c.failures.Load()),
		Renewals:        int(c.renewals.Load()),
		Losses:          int(c.losses.Load()),
		Published:       int(c.published.Load()),
		Dropped:         int(c.dropped.Load()),
		Commands:        int(c.commands.Load()),
		Arrivals:        int(c.arrivals.Load()),
		Departures:      int(c.departures.Load()),
	}
}
