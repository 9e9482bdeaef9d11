package broker_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// childEnv makes the test binary a broker on the folder that it names.
const childEnv = "BOOMGATE_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := runChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runChild is a broker in a process of its own: it prints its address, and ends with its standard input.
func runChild(dir string) error {
	ctx, cancel := contextUntilEOF(os.Stdin)
	defer cancel()
	b, err := broker.Open(ctx, broker.Config{TCP: "127.0.0.1:0", DataDir: dir, Logger: silent()})
	if err != nil {
		return err
	}
	if err := b.Attach(&allow{}); err != nil {
		return err
	}
	go func() {
		<-b.Ready()
		fmt.Fprintln(os.Stdout, b.Addr("tcp"))
	}()
	return errors.Join(b.Run(ctx), b.Close())
}

// child is a broker that can be killed.
type child struct {
	*running
	cmd   *exec.Cmd
	where string
}

func startChild(tb testing.TB, dir string) *child {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // stays open for as long as this process lives
	must(tb, err)
	stdout, err := cmd.StdoutPipe()
	must(tb, err)
	must(tb, cmd.Start())
	c := &child{running: &running{tb: tb}, cmd: cmd}
	tb.Cleanup(c.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(tb, err)
	c.where = strings.TrimSpace(line)
	return c
}

// kill ends the child as kill -9 does.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

func (c *child) connect(id string, options ...with) (*raw, packets.Packet) {
	c.tb.Helper()
	client := c.wrap(dialTCP(c.tb, c.where))
	return client, client.connect(id, options...)
}

func TestWhatWasAnsweredSurvivesKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startChild(t, dir)
	sleeper, _ := first.connect("sleeper", v5, kept)
	sleeper.subscribe("queue", 2)
	sleeper.disconnect()
	awake, _ := first.connect("awake", kept)
	awake.subscribe("live", 1)
	passing, _ := first.connect("passing")
	passing.subscribe("queue", 1)

	publisher, _ := first.connect("publisher")
	const messages = 100
	for i := range messages {
		publisher.publish(retained(fmt.Sprintf("state/%d", i), fmt.Sprint("value ", i), 1))
		pk := message("queue", fmt.Sprint(i), byte(1+i%2))
		pk.PacketID = publisher.nextID()
		publisher.send(pk)
		if i%2 == 0 {
			publisher.expectAck(packets.Puback, pk.PacketID)
		} else {
			publisher.expectAck(packets.Pubrec, pk.PacketID)
			publisher.sendAck(packets.Pubrel, pk.PacketID)
			publisher.expectAck(packets.Pubcomp, pk.PacketID)
		}
	}
	publisher.publish(retained("state/0", "", 1)) // cleared again
	publisher.publish(message("live", "unacknowledged", 1))
	awake.expectMessage("unacknowledged")
	sleeper, _ = first.connect("sleeper", v5, kept, receiveMaximum(1))
	sleeper.expectMessage("0") // resumed, and cut off again
	first.kill()

	second := startChild(t, dir)
	sleeper, ack := second.connect("sleeper", v5, kept, receiveMaximum(1))
	if !ack.SessionPresent {
		t.Fatal("the session is gone")
	}
	for i := range messages {
		pk := sleeper.expectMessage(fmt.Sprint(i))
		if want := byte(1 + i%2); pk.FixedHeader.Qos != want {
			t.Errorf("message %d came with QoS %d, want %d", i, pk.FixedHeader.Qos, want)
		}
		sleeper.acknowledge(pk.PacketID, pk.FixedHeader.Qos)
	}
	sleeper.ping()
	if awake, ack = second.connect("awake", kept); !ack.SessionPresent {
		t.Error("the session that was connected is gone")
	}
	awake.expectMessage("unacknowledged")
	if _, ack = second.connect("passing", func(pk *packets.Packet) { pk.Connect.Clean = false }); ack.SessionPresent {
		t.Error("a session that ended with its connection came back")
	}
	reader, _ := second.connect("reader")
	reader.sendSubscribe("state/#", 0)
	reader.expect(packets.Suback)
	seen := map[string]bool{}
	for range messages - 1 {
		pk := reader.expect(packets.Publish)
		if string(pk.Payload) != "value "+strings.TrimPrefix(pk.TopicName, "state/") {
			t.Errorf("%s is %q", pk.TopicName, pk.Payload)
		}
		seen[pk.TopicName] = true
	}
	if len(seen) != messages-1 || seen["state/0"] {
		t.Errorf("%d retained messages came back", len(seen))
	}
	reader.ping()
}

func TestAcknowledgedMessagesDoNotComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	c, _ := r.connect("c", v5, kept)
	c.subscribe("a", 2)
	for i := range 10 {
		must(t, r.Publish(t.Context(), "a", fmt.Append(nil, i), 2, false))
		c.acknowledge(c.expectMessage(fmt.Sprint(i)).PacketID, 2)
	}
	must(t, r.Publish(t.Context(), "a", []byte("half"), 2, false))
	half := c.expectMessage("half").PacketID
	c.sendAck(packets.Pubrec, half)
	c.expectAck(packets.Pubrel, half)
	c.ping()
	r.stop()

	r = start(t, dataDir(dir))
	c, _ = r.connect("c", v5, kept)
	c.expectAck(packets.Pubrel, half) // not the message again
	c.sendAck(packets.Pubcomp, half)
	c.ping()
	r.stop()

	r = start(t, dataDir(dir))
	c, _ = r.connect("c", v5, kept)
	c.ping()
}

func TestARestoredSubscriptionIsTheOneThatWasGranted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	guarded := func(s *setup) {
		s.hook.acl = func(_ *mqtt.Client, topic string, _ bool) bool { return !strings.HasPrefix(topic, "secret") }
	}
	r := start(t, dataDir(dir), guarded)
	c, _ := r.connect("c", v5, kept)
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: c.nextID(),
		Properties: packets.Properties{SubscriptionIdentifier: []int{7}},
		Filters: packets.Subscriptions{
			{Filter: "open", Qos: 1, NoLocal: true},
			{Filter: "secret", Qos: 1},
			{Filter: "gone", Qos: 1},
			{Filter: "$share/g/shared", Qos: 1},
		},
	})
	if codes := c.expect(packets.Suback).ReasonCodes; codes[1] != packets.ErrNotAuthorized.Code {
		t.Fatalf("SUBACK says %x", codes)
	}
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1}, PacketID: c.nextID(),
		Filters: packets.Subscriptions{{Filter: "gone"}},
	})
	c.expect(packets.Unsuback)
	r.stop()

	r = start(t, dataDir(dir)) // without the guard: only what was granted may be there
	for _, topic := range []string{"secret", "gone", "open", "shared"} {
		must(t, r.Publish(t.Context(), topic, []byte(topic), 1, false))
	}
	c, _ = r.connect("c", v5, kept)
	if pk := c.expectMessage("open"); len(pk.Properties.SubscriptionIdentifier) != 1 || pk.Properties.SubscriptionIdentifier[0] != 7 {
		t.Errorf("the subscription identifier is %v", pk.Properties.SubscriptionIdentifier)
	}
	c.expectMessage("shared")
	c.publish(message("open", "my own", 1)) // No Local
	c.ping()
	cl, _ := r.Server().Clients.Get("c")
	if len(cl.State.Subscriptions.GetAll()) != 2 {
		t.Errorf("restored are %v", cl.State.Subscriptions.GetAll())
	}
}

func TestARestoredSessionKeepsItsOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	secret := func(pk *packets.Packet) {
		pk.Connect.PasswordFlag, pk.Connect.Password = true, []byte("sesame-open-17")
		pk.Properties.AuthenticationMethod, pk.Properties.AuthenticationData = "M", []byte("sesame-open-18")
	}
	c, _ := r.connect("c", v5, kept, secret)
	c.subscribe("a", 1)
	r.stop()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, name := range files {
		content, err := os.ReadFile(name)
		must(t, err)
		if strings.Contains(string(content), "sesame") || strings.Contains(string(content), "c2VzYW1l") {
			t.Errorf("%s holds what authenticates", name)
		}
	}
	r = open(t, dataDir(dir))
	r.run()
	cl, ok := r.Server().Clients.Get("c")
	if !ok || string(cl.Properties.Username) != "owner-of-c" || cl.Net.Conn != nil {
		t.Errorf("restored: %v, %+v", ok, cl)
	}
}

// clock is a clock that a test sets.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }
func (c *clock) use(s *setup)            { s.Now = c.now }

func TestTheClockOfAnOfflineSessionGoesOnOverRestarts(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			dir, time1 := t.TempDir(), &clock{}
			as := func(pk *packets.Packet) { pk.ProtocolVersion = version }
			expiry := limits(broker.Limits{MaxSessionExpiry: time.Hour})
			r := start(t, dataDir(dir), time1.use, expiry)
			c, _ := r.connect("c", as, kept)
			c.subscribe("a", 1)
			r.stop()

			time1.advance(40 * time.Minute)
			r = start(t, dataDir(dir), time1.use, expiry)
			if _, there := r.Server().Clients.Get("c"); !there {
				t.Fatal("the session is gone too early")
			}
			r.stop()

			time1.advance(30 * time.Minute)
			r = start(t, dataDir(dir), time1.use, expiry)
			if _, there := r.Server().Clients.Get("c"); there {
				t.Error("the session is still there")
			}
			if _, ack := r.connect("c", as, kept); ack.SessionPresent {
				t.Error("the expired session was resumed")
			}
		})
	}
}

func TestARestoredSessionEndsAtItsTime(t *testing.T) {
	t.Parallel()
	dir, later := t.TempDir(), &clock{}
	r := start(t, dataDir(dir), later.use)
	for i, id := range []string{"three", "five"} {
		c, _ := r.connect(id, kept, func(pk *packets.Packet) { pk.ProtocolVersion = byte(4 + i) })
		c.subscribe("a", 1)
	}
	r.stop()
	later.advance(3596 * time.Second) // some are left to the 5 session
	r = start(t, dataDir(dir), later.use)
	if n := r.Server().Clients.Len(); n != 2 {
		t.Fatalf("%d sessions were restored", n)
	}
	eventually(t, "the 5 session has ended", func() bool {
		_, there := r.Server().Clients.Get("five")
		return !there
	})
	later.advance(8 * 24 * time.Hour)
	eventually(t, "the 3.1.1 session has ended, too", func() bool {
		_, there := r.Server().Clients.Get("three")
		return !there && len(r.Server().Topics.Subscribers("a").Subscriptions) == 0
	})
}

func TestExpiredMessagesAreNotRestored(t *testing.T) {
	t.Parallel()
	dir, later := t.TempDir(), &clock{}
	r := start(t, dataDir(dir), later.use)
	c, _ := r.connect("c", v5, kept)
	c.subscribe("a", 1)
	c.disconnect()
	publisher, _ := r.connect("publisher", v5)
	for _, pk := range []packets.Packet{message("a", "brief", 1), retained("r/brief", "x", 1)} {
		pk.Properties.MessageExpiryInterval = 60
		publisher.publish(pk)
	}
	for _, pk := range []packets.Packet{message("a", "lasting", 1), retained("r/lasting", "x", 1), retained("r/endless", "x", 1)} {
		if pk.TopicName != "r/endless" {
			pk.Properties.MessageExpiryInterval = 7200
		}
		publisher.publish(pk)
	}
	r.stop()

	later.advance(10 * time.Minute)
	r = start(t, dataDir(dir), later.use)
	c, _ = r.connect("c", v5, kept)
	if left := c.expectMessage("lasting").Properties.MessageExpiryInterval; left < 7000 || left > 7200 {
		t.Errorf("%d seconds are left", left) // by the real clock, which is mochi's
	}
	c.ping()
	for topic, want := range map[string]bool{"r/brief": false, "r/lasting": true, "r/endless": true} {
		if _, there := r.Server().Topics.Retained.Get(topic); there != want {
			t.Errorf("%s: restored %v", topic, there)
		}
	}
}

func TestASessionThatEndsIsRemovedFromTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	for name, end := range map[string]func(id string){
		"clean start":  func(id string) { r.connect(id, v5) },
		"clean 3.1.1":  func(id string) { r.connect(id) },
		"thrown away":  func(id string) { r.throwAway(id) },
		"said so":      func(id string) { c, _ := r.connect(id, v5, kept); c.leaveForGood() },
		"other client": func(string) {},
	} {
		id := "session " + name
		c, _ := r.connect(id, v5, kept)
		c.subscribe("a", 1)
		c.disconnect()
		must(t, r.Publish(t.Context(), "a", []byte("x"), 1, false))
		end(id)
	}
	r.stop()
	r = start(t, dataDir(dir))
	var left []string
	for id := range r.Server().Clients.GetAll() {
		left = append(left, id)
	}
	if len(left) != 1 || left[0] != "session other client" {
		t.Errorf("restored: %q", left)
	}
}

// throwAway ends an offline session as an attached hook would.
func (r *running) throwAway(id string) {
	r.tb.Helper()
	cl, ok := r.Server().Clients.Get(id)
	if !ok {
		r.tb.Fatalf("no session %q", id)
	}
	r.Server().UnsubscribeClient(cl)
	cl.ClearInflights()
	r.Server().Clients.Delete(id)
}

// leaveForGood disconnects with a session expiry of zero (MQTT 5 §3.14.2.2.2).
func (c *raw) leaveForGood() {
	c.tb.Helper()
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Disconnect},
		Properties:  packets.Properties{SessionExpiryIntervalFlag: true},
	})
	c.expectEnd()
}

func TestTheProgramsOwnTopicsAreNotStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dataDir(dir))
	must(t, r.Publish(t.Context(), "$SYS/boomgate/x", []byte("x"), 0, true))
	must(t, r.Publish(t.Context(), "never/there", nil, 0, true))
	r.stop()
	for _, key := range storedKeys(t, dir) {
		t.Errorf("stored: %q", key)
	}
}
