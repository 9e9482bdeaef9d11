package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheDemoShowsTheLotAndEveryRefusalAndLeavesNothingBehind runs the README's first command, shortened.
// It is not parallel: it gives the process a temporary folder of its own, to see that nothing stays in it.
func TestTheDemoShowsTheLotAndEveryRefusalAndLeavesNothingBehind(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"demo", "--plain", "--sensors", "12", "--for", "7s", "--speed", "2000"}, nil, nil, &out, &errs)
	if code != exitDone {
		t.Fatalf("code %d\n%s\n%s", code, out.String(), errs.String())
	}
	for _, want := range []string{
		"connected 12/12",
		"writes the topic of sensor-b1-002: refused (no-grant",
		"under the MQTT client ID sensor-b1-002: refused (mqtt-client-id (told 0x87)",
		"subscribes to parking/v1/#: refused (no-grant (told 0x80)",
		"a token that expired a moment ago: refused (token-expired (told 0x86)",
		"The intruder tried 4 ways, 4 were refused.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out.String())
		}
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("the demo left %s behind", left[0].Name())
	}
}

func TestTheDemoKeepsItsDataOnlyWhereItIsTold(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	args := []string{"demo", "--plain", "--sensors", "2", "--for", "5s", "--data-dir", dir}
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, nil, nil, &out, &errs); code != exitDone {
		t.Fatalf("code %d\n%s\n%s", code, out.String(), errs.String())
	}
	if _, err := os.Stat(filepath.Join(dir, rootFileName)); err != nil {
		t.Error(err)
	}
	errs.Reset()
	if code := run(t.Context(), args, nil, nil, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "already holds") {
		t.Errorf("a second demo in the same folder: code %d, %s", code, errs.String())
	}
}

func TestTheDemoRefusesWhatItCannotShow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--sensors", "1"}, {"--for", "1s"}, {"--speed", "0"}, {"--speed", "NaN"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"demo"}, args...), nil, nil, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), args[0]) {
			t.Errorf("%v: code %d, %s", args, code, errs.String())
		}
	}
}

func TestTheLotCountsWhatItHears(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := newLot()
	l.hear("parking/v1/north/a/state", []byte(`{"spot":"b1-001","status":"free","why":"boot"}`), now)
	l.hear("parking/v1/north/a/state", []byte(`{"spot":"b1-001","status":"occupied","why":"change"}`), now)
	l.hear("parking/v1/north/b/state", []byte(`{"spot":"b1-002","status":"free","why":"boot"}`), now)
	l.hear("parking/v1/north/a/health", []byte(`{"status":"occupied"}`), now)
	l.hear("parking/v1/north/a/state", []byte(`no JSON`), now)
	l.hear("parking/v1/north/a/state", []byte(`{"spot":"b1-001","status":"free","why":"change","prev_s":2580}`), now.Add(2*time.Second))
	c := l.counts(now.Add(2 * time.Second))
	if c.messages != 6 || c.arrivals != 1 || c.departures != 1 || c.free != 2 || c.known != 2 || c.perSecond != 1 {
		t.Errorf("got %+v", c)
	}
	if c.latest != "b1-001 is free after 43m" {
		t.Errorf("latest: %q", c.latest)
	}
}

func TestAFrameShowsEverySpaceAndWhatTheIntruderWasTold(t *testing.T) {
	t.Parallel()
	frame := demoFrame{
		elapsed: 3 * time.Second, total: 30 * time.Second, url: "http://127.0.0.1:1", sensors: 3, connected: 3,
		lot:      lotCounts{spots: []spotStatus{{"a", "free"}, {"b", "occupied"}, {"c", "unknown"}}, free: 1, known: 3},
		refusals: []attempt{{what: "an attempt", reason: "a reason", refused: true}, {what: "another", reason: "none"}},
	}
	text := drawFrame(frame, 80)
	for _, want := range []string{"□", "■", "·", "free 1 of 3", "27s left", "✓ refused", "an attempt", "a reason", "✗ ALLOWED"} {
		if !strings.Contains(text, want) {
			t.Errorf("the frame does not show %q:\n%s", want, text)
		}
	}
	var out bytes.Buffer
	view := &terminalView{w: &out, width: 80}
	view.frame(frame)
	view.frame(frame)
	if clears := strings.Count(out.String(), ansiClear); clears != 1 {
		t.Errorf("the screen was cleared %d times in two frames", clears)
	}
}
