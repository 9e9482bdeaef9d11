package harness

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// LogBuffer is what a server has logged, over all its starts.
type LogBuffer struct {
	mu      sync.Mutex
	text    []byte
	written chan struct{} // closed by the next write
}

func newLogBuffer() *LogBuffer { return &LogBuffer{written: make(chan struct{})} }

func (l *LogBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	close(l.written)
	l.written = make(chan struct{})
	return len(p), nil
}

func (l *LogBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Wait waits for a line that holds all these texts, and returns it.
func (l *LogBuffer) Wait(tb testing.TB, texts ...string) string {
	tb.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		written := l.written
		l.mu.Unlock()
		if lines := l.Lines(texts...); len(lines) > 0 {
			return lines[0]
		}
		select {
		case <-written:
		case <-late.C:
			tb.Fatalf("the log holds no line with %q:\n%s", texts, l)
		}
	}
}

// Lines returns the whole lines that hold all these texts.
func (l *LogBuffer) Lines(texts ...string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.HasSuffix(line, "\n") && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}

// secretText matches what no log may hold: a token, or a client's secret.
var secretText = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|bg_[0-9A-Za-z]{40,}`)

// knownRace matches the reports of the race detector. One is known and let through: mochi v2.7.9 writes the topic of a retained message
// (TopicsIndex.RetainMessage) while it looks for those of a SUBSCRIBE without a lock (scanMessages). docs/architecture.md says more.
var knownRace = regexp.MustCompile(`(?s)WARNING: DATA RACE.*?\n==================`)

// expectSound wants no crash, no data race and no secret in the log, whatever the test was about.
func (l *LogBuffer) expectSound(tb testing.TB) {
	tb.Helper()
	text := knownRace.ReplaceAllStringFunc(l.String(), func(report string) string {
		if strings.Contains(report, ").RetainMessage()") && strings.Contains(report, ").scanMessages()") {
			return ""
		}
		return report
	})
	for _, sign := range []string{"\npanic: ", "\nfatal error: ", "WARNING: DATA RACE"} {
		if strings.Contains("\n"+text, sign) {
			tb.Errorf("the server's log holds %q:\n%s", strings.TrimSpace(sign), text)
		}
	}
	if secret := secretText.FindString(text); secret != "" {
		tb.Errorf("the server's log holds the secret %.12s…", secret)
	}
}
