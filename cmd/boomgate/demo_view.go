package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// demoView shows the demo: redrawn in place on a terminal, a line at a time elsewhere. Its methods may be called concurrently.
type demoView interface {
	// frame shows the state of things; called a few times a second.
	frame(f demoFrame)
	// note tells something that happened once.
	note(text string)
}

// demoFrame is everything that the demo shows at one moment.
type demoFrame struct {
	elapsed, total time.Duration
	url            string
	sensors        int
	connected      int
	lot            lotCounts
	refusals       []attempt
}

// plainView prints a line a second, for pipes and CI.
type plainView struct {
	w    io.Writer
	mu   sync.Mutex // one line at a time
	last time.Duration
}

func (v *plainView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, _ = fmt.Fprintln(v.w, text)
}

func (v *plainView) frame(f demoFrame) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.elapsed-v.last < time.Second {
		return
	}
	v.last = f.elapsed
	_, _ = fmt.Fprintf(v.w, "%5.0fs  connected %d/%d  free %d/%d  arrivals %d  departures %d  messages %d (%d/s)\n",
		f.elapsed.Seconds(), f.connected, f.sensors, f.lot.free, f.lot.known, f.lot.arrivals, f.lot.departures, f.lot.messages, f.lot.perSecond)
}

const (
	ansiHome  = "\x1b[H"
	ansiClear = "\x1b[2J"
	ansiBelow = "\x1b[J"
	ansiEOL   = "\x1b[K"
	ansiReset = "\x1b[0m"
	ansiBold  = "\x1b[1m"
	ansiDim   = "\x1b[2m"
	ansiRed   = "\x1b[31m"
	ansiGreen = "\x1b[32m"
)

// terminalView redraws the whole picture in place.
type terminalView struct {
	w     io.Writer
	width int
	mu    sync.Mutex
	drawn bool
}

// note is for what comes before the first picture, which shows everything else.
func (v *terminalView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.drawn {
		_, _ = fmt.Fprintln(v.w, text)
	}
}

func (v *terminalView) frame(f demoFrame) {
	v.mu.Lock()
	defer v.mu.Unlock()
	start := ansiHome
	if !v.drawn {
		start = ansiClear + ansiHome
		v.drawn = true
	}
	body := strings.ReplaceAll(drawFrame(f, v.width), "\n", ansiEOL+"\n")
	_, _ = io.WriteString(v.w, start+body+ansiBelow)
}

// drawFrame is the picture as text with ANSI colours.
func drawFrame(f demoFrame, width int) string {
	var b strings.Builder
	left := max(0, f.total-f.elapsed).Round(time.Second)
	fmt.Fprintf(&b, "%sBoomgate%s  a parking lot behind the gate                  %s left   %s\n\n", ansiBold, ansiReset, left, f.url)
	drawSpots(&b, f.lot.spots, width)
	fmt.Fprintf(&b, "\n  %sfree %d of %d%s   sensors connected %d of %d\n", ansiBold, f.lot.free, f.lot.known, ansiReset, f.connected, f.sensors)
	fmt.Fprintf(&b, "  arrivals %d   departures %d   messages %d (%d a second)\n", f.lot.arrivals, f.lot.departures, f.lot.messages, f.lot.perSecond)
	fmt.Fprintf(&b, "  %slatest: %s%s\n\n", ansiDim, f.lot.latest, ansiReset)
	if len(f.refusals) > 0 {
		fmt.Fprintf(&b, "  %sAn intruder tries%s\n", ansiBold, ansiReset)
	}
	for _, r := range f.refusals {
		drawAttempt(&b, r)
	}
	return b.String()
}

// drawSpots draws the lot in rows: a filled square is a taken space.
func drawSpots(b *strings.Builder, spots []spotStatus, width int) {
	perRow := max(10, min(30, (width-4)/2/10*10))
	for i, s := range spots {
		if i%perRow == 0 {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString("  ")
		}
		switch s.status {
		case "free":
			b.WriteString(ansiGreen + "□ " + ansiReset)
		case "occupied":
			b.WriteString(ansiRed + "■ " + ansiReset)
		default:
			b.WriteString(ansiDim + "· " + ansiReset)
		}
	}
	b.WriteString("\n")
}

func drawAttempt(b *strings.Builder, r attempt) {
	mark, colour := "✓ refused", ansiGreen
	if !r.refused {
		mark, colour = "✗ ALLOWED", ansiRed
	}
	fmt.Fprintf(b, "  %s%s%s  %s\n             %s%s%s\n", colour, mark, ansiReset, r.what, ansiDim, r.reason, ansiReset)
}
