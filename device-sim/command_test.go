package devicesim_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	devicesim "github.com/boomgate/boomgate/device-sim"
)

func TestACommandIsAnsweredUnderItsOwnID(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 2, nil)
		pass(time.Second)
		w.broker.command(t, "sensor-0", "ping", `{"id":"p-1"}`, false)
		w.broker.command(t, "sensor-0", "identify", `{"id":"i_2","note":"the one at the exit"}`, false)
		w.broker.command(t, "sensor-0", "explode", `{"id":"x3"}`, false)
		pass(time.Second)

		for id, want := range map[string]devicesim.Answer{
			"p-1": {ID: "p-1", Command: "ping", OK: true},
			"i_2": {ID: "i_2", Command: "identify", OK: true},
			"x3":  {ID: "x3", Error: devicesim.AnswerUnknown},
		} {
			answers := w.broker.messages("sensor-0", "ack/"+id)
			if len(answers) != 1 || answers[0].qos != 1 || answers[0].retain {
				t.Fatalf("answers to %s: %+v, want one with QoS 1, not retained", id, answers)
			}
			got := decode[devicesim.Answer](t, answers[0].payload)
			if got.V != 1 || got.Seq == 0 || got.TS.IsZero() {
				t.Errorf("answer %s lacks its head", answers[0].payload)
			}
			if got.Head = want.Head; got != want {
				t.Errorf("answer %+v, want %+v", got, want)
			}
		}
		if done := w.seen(devicesim.Commanded); len(done) != 2 || done[0].Device != "sensor-0" || done[0].Cause != "ping" {
			t.Errorf("carried out: %+v, want ping and identify", done)
		}
	})
}

func TestWhatIsNoCommandIsIgnored(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, func(w *world, _ *devicesim.Config) {
			w.broker.command(t, "sensor-0", "ping", `{"id":"retained"}`, true)
		})
		pass(time.Second)
		before := w.fleet.Stats()
		for _, payload := range nonsense() {
			w.broker.command(t, "sensor-0", "ping", payload, false)
		}
		w.broker.cut()
		pass(time.Minute)
		after := w.fleet.Stats()
		if after.Commands != 0 || after.Connected != 1 || after.Dropped != 0 {
			t.Errorf("Stats = %+v, want no command carried out", after)
		}
		if told := after.Published - before.Published; told > 2 { // ready again, perhaps a heartbeat
			t.Errorf("%d messages were published after nonsense, want no answer", told)
		}
	})
}

func TestACommandThatArrivesTwiceIsAnsweredTwiceAndDoneOnce(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, nil)
		pass(time.Second)
		for range 2 {
			w.broker.command(t, "sensor-0", "identify", `{"id":"same"}`, false)
		}
		pass(time.Second)
		answers := w.broker.messages("sensor-0", "ack/same")
		if len(answers) != 2 || answers[0].payload != answers[1].payload || w.fleet.Stats().Commands != 1 {
			t.Errorf("answers %+v, %d times done, want the same answer twice and one time", answers, w.fleet.Stats().Commands)
		}

		for i := range 20 { // it does not remember for ever
			w.broker.command(t, "sensor-0", "ping", fmt.Sprintf(`{"id":"other-%d"}`, i), false)
		}
		w.broker.command(t, "sensor-0", "identify", `{"id":"same"}`, false)
		pass(time.Second)
		if got := w.fleet.Stats().Commands; got != 22 {
			t.Errorf("%d commands carried out, want 22", got)
		}
	})
}

func TestACommandForASensorThatIsAwayArrivesWhenItIsBack(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, nil)
		pass(time.Second)
		w.broker.set(func() { w.broker.deaf = true })
		w.broker.cut()
		pass(time.Second)
		w.broker.command(t, "sensor-0", "ping", `{"id":"later"}`, false)
		pass(10 * time.Minute)
		w.broker.set(func() { w.broker.deaf = false })
		pass(time.Minute)
		if answers := w.broker.messages("sensor-0", "ack/later"); len(answers) != 1 {
			t.Errorf("answers %+v, want one", answers)
		}
	})
}

func TestARebootByCommandIsOrderlyAndTold(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1, nil)
		pass(time.Second)
		w.broker.command(t, "sensor-0", "reboot", `{"id":"r1"}`, false)
		pass(5 * time.Second)
		if said := w.life("sensor-0"); said != "ready disconnected" || len(w.broker.messages("sensor-0", "ack/r1")) != 1 {
			t.Errorf("while it boots it has said %q, want ready and disconnected, and an answer", said)
		}
		pass(15 * time.Second)

		if said := w.life("sensor-0"); said != "ready disconnected ready" {
			t.Errorf("said %q", said)
		}
		infos, states := w.broker.messages("sensor-0", "info"), w.broker.messages("sensor-0", "state")
		info := decode[devicesim.Info](t, infos[len(infos)-1].payload)
		state := decode[devicesim.State](t, states[len(states)-1].payload)
		if len(infos) != 2 || info.ResetCause != devicesim.CauseCommand || info.Resets != 1 {
			t.Errorf("infos %+v, want a second one with the cause", infos)
		}
		if len(states) != 2 || state.Why != devicesim.WhyBoot || state.PrevS != 0 || !state.Since.Equal(state.TS.Time) || state.Seq <= info.Seq {
			t.Errorf("states %+v, want a second one after the info, with why=boot", states)
		}
		attempts := w.broker.attempts()
		if len(attempts) != 2 || attempts[0].password == attempts[1].password {
			t.Errorf("%d connections, want a second one with a token of its own", len(attempts))
		}
	})
}

// nonsense gives payloads that are no command.
func nonsense() []string {
	return []string{
		"", "null", "7", "[]", "{}", `{"id":7}`, `{"id":""}`, `{"id":"a/b"}`, `{"id":"+"}`, `{"id":"#"}`, "\xff", `{"id":"a\n"}`,
		`{"id":"` + strings.Repeat("x", 65) + `"}`, `{"id":"x","pad":"` + strings.Repeat("x", 5000) + `"}`, `{"id":"x"} {}`,
	}
}

func FuzzParseCommandGivesOnlyIDsThatFitIntoATopic(f *testing.F) {
	for _, payload := range append(nonsense(), `{"id":"p-1"}`, `{"id":"i_2","args":{"for":10}}`) {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := devicesim.ParseCommand(payload)
		if err == nil && (c.ID == "" || len(c.ID) > 64 || strings.ContainsAny(c.ID, "/+#$\x00\n \"")) {
			t.Errorf("%q gives the ID %q", payload, c.ID)
		}
		if err != nil && c != (devicesim.Command{}) {
			t.Errorf("%q gives %+v beside an error", payload, c)
		}
	})
}
