package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

func TestWhatOthersChoseIsHarmlessForATerminal(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"Bay 2, spot 17":     "Bay 2, spot 17",
		"Parkhaus Süd 🚗":     "Parkhaus Süd 🚗",
		`{"a":"b"}`:          `{"a":"b"}`,
		"\x1b[2Jgone":        `\x1b[2Jgone`,
		"two\nlines\ttab":    `two\nlines\ttab`,
		"right\u202eto left": `right\u202eto left`,
		"bad \xff byte":      `bad \xff byte`,
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestATableIsAlignedAndShowsEmptyCells(t *testing.T) {
	t.Parallel()

	rows := newTable("ID", "NAME", "STATUS")
	if !rows.empty() {
		t.Error("a table without rows is not empty")
	}
	rows.add("b1", "", "active")
	rows.add("b2-long", "a name", "disabled")
	var out bytes.Buffer
	if err := rows.print(&out); err != nil {
		t.Fatal(err)
	}
	want := "ID       NAME    STATUS\n" +
		"b1       -       active\n" +
		"b2-long  a name  disabled\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestAMessageKeepsItsPayloadWhateverItIs(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ payload, want string }{
		{`{"v":1}`, `{"topic":"t","payload":{"v":1},"qos":1,"retained":false,"received_at":"2026-05-01T12:00:00Z"}`},
		{`21.5`, `{"topic":"t","payload":21.5,"qos":1,"retained":false,"received_at":"2026-05-01T12:00:00Z"}`},
		{`hot`, `{"topic":"t","payload":"hot","qos":1,"retained":false,"received_at":"2026-05-01T12:00:00Z"}`},
		{``, `{"topic":"t","payload":"","qos":1,"retained":false,"received_at":"2026-05-01T12:00:00Z"}`},
		{"\xff\x00", `{"topic":"t","payload":"/wA=","encoding":"base64","qos":1,"retained":false,"received_at":"2026-05-01T12:00:00Z"}`},
	} {
		text, err := json.Marshal(newMessage("t", []byte(c.payload), 1, false, at))
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != c.want {
			t.Errorf("payload %q:\n got %s\nwant %s", c.payload, text, c.want)
		}
	}
}

func TestTheLatestSignOfLifeIsShown(t *testing.T) {
	t.Parallel()

	early, late := time.Unix(100, 0), time.Unix(200, 0)
	for _, c := range []provisioning.Client{
		{LastTokenAt: late},
		{LastTokenAt: early, LastConnectedAt: late},
		{LastTokenAt: early, LastConnectedAt: early, LastMessageAt: late},
	} {
		if got := lastSeen(c); !got.Equal(late) {
			t.Errorf("last seen %v, want %v", got, late)
		}
	}
	if got := clock(lastSeen(provisioning.Client{})); got != "never" {
		t.Errorf("a client that was never seen shows %q", got)
	}
}
