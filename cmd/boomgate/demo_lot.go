package main

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

// lot is what the demo's reader knows of the parking lot: only what it heard
// through the gate, never what the simulator knows. Safe for concurrent use.
type lot struct {
	mu         sync.Mutex
	spots      map[string]string // spot name to status
	messages   int
	arrivals   int
	departures int
	latest     string
	recent     []time.Time // of the last second's messages, for the rate
}

// lotCounts is a snapshot of a lot.
type lotCounts struct {
	spots                          []spotStatus
	free, known                    int
	messages, arrivals, departures int
	perSecond                      int
	latest                         string
}

type spotStatus struct{ name, status string }

func newLot() *lot { return &lot{spots: map[string]string{}} }

// hear takes one message as the reader received it.
func (l *lot) hear(topic string, payload []byte, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages++
	l.recent = append(l.recent, now)
	if !strings.HasSuffix(topic, "/state") {
		return
	}
	var state struct {
		Spot   string `json:"spot"`
		Status string `json:"status"`
		Why    string `json:"why"`
		PrevS  int    `json:"prev_s"`
	}
	if json.Unmarshal(payload, &state) != nil || state.Spot == "" {
		return
	}
	before := l.spots[state.Spot]
	l.spots[state.Spot] = state.Status
	if before == state.Status || state.Why != "change" {
		return
	}
	switch state.Status {
	case "occupied":
		l.arrivals++
		l.latest = state.Spot + " is taken"
	case "free":
		l.departures++
		l.latest = state.Spot + " is free after " + stay(time.Duration(state.PrevS)*time.Second)
	}
}

func stay(d time.Duration) string {
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// counts gives a snapshot; the rate is over the second before now.
func (l *lot) counts(now time.Time) lotCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = slices.DeleteFunc(l.recent, func(t time.Time) bool { return now.Sub(t) > time.Second })
	c := lotCounts{messages: l.messages, arrivals: l.arrivals, departures: l.departures, perSecond: len(l.recent), latest: l.latest}
	for name, status := range l.spots {
		c.spots = append(c.spots, spotStatus{name, status})
		c.known++
		if status == "free" {
			c.free++
		}
	}
	slices.SortFunc(c.spots, func(a, b spotStatus) int { return strings.Compare(a.name, b.name) })
	return c
}
