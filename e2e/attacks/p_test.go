package attacks_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// Attacks by the protocol, P1: what strangers and badly behaved clients send, or do not send.

// bystander is a client that does nothing wrong and must notice nothing.
type bystander struct {
	server *harness.Server
	token  string
	wires  []*harness.Wire
}

func newBystander(tb testing.TB, s *harness.Server) *bystander {
	tb.Helper()
	b := &bystander{server: s, token: s.Token(s.Service("bystander", "pub:bystander/#", "sub:bystander/#"))}
	for _, version := range harness.Versions {
		b.wires = append(b.wires, harness.Enter(tb, s, version, harness.Hello{ID: harness.Name("bystander:v", version), Password: b.token}))
		b.wires[len(b.wires)-1].MustSubscribe(1, "bystander/news")
	}
	return b
}

// expectUndisturbed has messages go round, and lets a new connection in.
func (b *bystander) expectUndisturbed(tb testing.TB) {
	tb.Helper()
	for _, version := range harness.Versions {
		w := harness.Enter(tb, b.server, version, harness.Hello{ID: harness.Name("bystander:new", version), Password: b.token})
		w.Publish(harness.Message{Topic: "bystander/news", QoS: 1})
		for _, old := range b.wires {
			old.TB = tb
			old.Until("bystander/news")
		}
		w.Leave()
	}
}

func TestP1_ASocketThatSaysNothingWholeIsClosed(t *testing.T) {
	t.Parallel()
	cert := harness.NewCertificate(t)
	s := harness.StartServer(t, "--connect-timeout", "2s", "--mqtts", harness.FreeAddr(t), "--tls-cert", cert.CertFile, "--tls-key", cert.KeyFile)
	b := newBystander(t, s)
	before := s.Memory()
	connect := harness.Hello{ID: "bystander", Password: b.token}.Encode(5)
	clientHello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	upgrade := "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	half := map[string]*harness.Wire{}
	for what, test := range map[string]struct {
		addr string
		sent []byte
	}{
		"nothing":                    {s.MQTT, nil},
		"one byte":                   {s.MQTT, connect[:1]},
		"half a length":              {s.MQTT, []byte{0x10, 0x80}},
		"half a CONNECT":             {s.MQTT, connect[:len(connect)/2]},
		"all but the last byte":      {s.MQTT, connect[:len(connect)-1]},
		"no TLS handshake":           {s.MQTTS, nil},
		"half a ClientHello":         {s.MQTTS, clientHello},
		"a WebSocket and no CONNECT": {strings.TrimPrefix(s.HTTP, "http://"), []byte(upgrade)},
	} {
		w := harness.Dial(t, test.addr, 5)
		w.Send(test.sent)
		half[what] = w
	}
	var crowd []*harness.Wire
	for range 1000 {
		crowd = append(crowd, harness.Dial(t, s.MQTT, 5))
	}
	trickled := trickle(harness.Dial(t, s.MQTT, 5), connect)
	b.expectUndisturbed(t) // while they are all open

	for what, w := range half {
		if text, closed := readAll(t, w); !closed || strings.HasPrefix(text, "\x20") {
			t.Errorf("%s: closed %v, %q", what, closed, text)
		}
	}
	for _, w := range crowd {
		w.ExpectClosed()
	}
	if sent := <-trickled; sent == len(connect) {
		t.Error("a CONNECT that came byte by byte had all the time in the world")
	}
	b.expectUndisturbed(t)
	s.ExpectBounded(t, before, 100, 1024)
}

// trickle sends a packet byte by byte, slowly, and says in the end how much of it the server took.
func trickle(w *harness.Wire, data []byte) <-chan int {
	done := make(chan int, 1)
	closed := make(chan struct{})
	go func() {
		_, _ = w.Conn.Read(make([]byte, 1)) // nothing is answered: it ends when the server closes
		close(closed)
	}()
	go func() {
		pace := time.NewTicker(100 * time.Millisecond)
		defer pace.Stop()
		for i := range data {
			select {
			case <-closed:
				done <- i
				return
			case <-pace.C:
			}
			if _, err := w.Conn.Write(data[i : i+1]); err != nil {
				done <- i
				return
			}
		}
		done <- len(data)
	}()
	return done
}

// readAll returns what the server sends until it closes the connection, and whether it does.
func readAll(tb testing.TB, w *harness.Wire) (text string, closed bool) {
	tb.Helper()
	harness.Must(tb, w.Conn.SetReadDeadline(time.Now().Add(harness.Patience)))
	sent, err := io.ReadAll(w.Conn)
	return string(sent), !errors.Is(err, os.ErrDeadlineExceeded)
}

// letIn reports whether an answer begins with a CONNACK that says success.
func letIn(answer string) bool {
	return len(answer) > 3 && answer[0] == harness.TypeConnack<<4 && answer[3] == 0
}

func TestP1_AStrangerIsCutOffAtTheFirstWrongByte(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--connect-timeout", "1m") // nothing here is closed for want of time
	b := newBystander(t, s)
	before := s.Memory()
	good := harness.Hello{ID: "bystander", Password: b.token}
	for what, sent := range map[string][]byte{
		"256 MiB announced":          {0x10, 0xff, 0xff, 0xff, 0x7f},
		"1 MiB announced":            {0x10, 0x80, 0x80, 0x40},
		"100 KiB announced":          {0x10, 0x80, 0xa0, 0x06},
		"a length without end":       {0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
		"PUBLISH first":              harness.Message{Topic: "bystander/news", QoS: 1}.Encode(5, 1),
		"SUBSCRIBE first":            harness.EncodeSubscribe(5, 1, 0, "#"),
		"PINGREQ first":              {0xc0, 0x00},
		"DISCONNECT first":           {0xe0, 0x00},
		"AUTH first":                 {0xf0, 0x00},
		"CONNACK first":              {0x20, 0x02, 0x00, 0x00},
		"HTTP":                       []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a TLS ClientHello":          []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"zeros":                      make([]byte, 100),
		"CONNECT with wrong flags":   append([]byte{0x11}, good.Encode(5)[1:]...),
		"an empty CONNECT":           {0x10, 0x00},
		"a protocol of another name": harness.Frame(0x10, append(harness.Field("HTTP"), 5, 2, 0, 0, 0, 0, 0)),
		"a reserved connect flag":    harness.Frame(0x10, append(harness.Field("MQTT"), 4, 3, 0, 0, 0, 0)),
		"a torn client ID":           harness.Frame(0x10, append(harness.Field("MQTT"), 4, 2, 0, 0, 0xff, 0xff, 'a')),
		"properties beyond the end":  harness.Frame(0x10, append(harness.Field("MQTT"), 5, 2, 0, 0, 0x7f, 0, 0)),
	} {
		for range 8 {
			w := harness.Dial(t, s.MQTT, 5)
			w.Send(sent)
			if text, closed := readAll(t, w); !closed || letIn(text) {
				t.Errorf("%s: closed %v, answered % x", what, closed, text)
			}
		}
	}
	w := harness.Dial(t, s.MQTT, 9) // a version that is still to be invented
	w.Send(good.Encode(9))
	if text, closed := readAll(t, w); !closed || letIn(text) {
		t.Errorf("version 9: closed %v, answered % x", closed, text)
	}
	b.expectUndisturbed(t)
	s.ExpectBounded(t, before, 100, 1024)
}

func TestP1_AMalformedPacketCostsItsSenderTheConnection(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	b := newBystander(t, s)
	rogue := s.Token(s.Service("rogue", "pub:rogue/#", "sub:rogue/#"))
	before := s.Memory()
	harness.EachVersion(t, func(t *testing.T, version byte) {
		props := emptyProperties(version)
		packetWith := func(first byte, id uint16, rest ...[]byte) []byte {
			body := append([]byte{byte(id >> 8), byte(id)}, props...)
			for _, part := range rest {
				body = append(body, part...)
			}
			return harness.Frame(first, body)
		}
		for what, sent := range map[string][]byte{
			"SUBSCRIBE without its options byte":   packetWith(0x82, 1, harness.Field("rogue/a")),
			"SUBSCRIBE whose last options lack":    packetWith(0x82, 1, harness.Field("rogue/a"), []byte{0}, harness.Field("rogue/b")),
			"SUBSCRIBE without a filter":           packetWith(0x82, 1),
			"SUBSCRIBE with half a filter":         packetWith(0x82, 1, []byte{0, 9, 'a'}),
			"SUBSCRIBE without a packet ID":        harness.Frame(0x82, nil),
			"SUBSCRIBE at QoS 3":                   packetWith(0x82, 1, harness.Field("rogue/a"), []byte{3}),
			"UNSUBSCRIBE without a filter":         packetWith(0xa2, 1),
			"UNSUBSCRIBE with half a filter":       packetWith(0xa2, 1, []byte{0, 9, 'a'}),
			"PUBLISH at QoS 3":                     harness.Frame(0x36, append(harness.Field("rogue/a"), 0, 1, 0)),
			"PUBLISH with half a topic":            harness.Frame(0x30, []byte{0, 9, 'a'}),
			"PUBLISH to a wildcard":                harness.Frame(0x30, append(harness.Field("rogue/#"), props...)),
			"PUBLISH at QoS 1 without a packet ID": harness.Frame(0x32, append(append(harness.Field("rogue/a"), 0, 0), props...)),
			"PUBLISH to a topic with NUL":          harness.Frame(0x30, append(harness.Field("rogue/\x00"), props...)),
			"PUBLISH to a topic that is not UTF-8": harness.Frame(0x30, append(harness.Field("rogue/\xff"), props...)),
			"256 MiB announced":                    {0x30, 0xff, 0xff, 0xff, 0x7f},
			"1 MiB announced":                      {0x30, 0x80, 0x80, 0x40},
			"a length without end":                 {0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
			"a second CONNECT":                     harness.Hello{ID: "rogue", Password: rogue}.Encode(version),
			"a packet of type 0":                   {0x00, 0x00},
			"PUBACK of one byte":                   {0x40, 0x01, 0x00},
			"PUBREL with wrong flags":              {0x60, 0x02, 0x00, 0x01},
			"PINGREQ and then nonsense":            {0xc0, 0x00, 0x00, 0x00, 0x00},
		} {
			w := harness.Enter(t, s, version, harness.Hello{ID: "rogue", Password: rogue, Will: &harness.Message{Topic: "rogue/state", Payload: "lost"}})
			w.Send(sent)
			if last, closed := w.End(); !closed || version < 5 && last.Kind != 0 {
				t.Errorf("%s: closed %v, a packet of type %d", what, closed, last.Kind)
			}
		}
		if version == 5 {
			for what, sent := range map[string][]byte{
				"properties beyond the end": harness.Frame(0x30, append(harness.Field("rogue/a"), 0x7f, 1)),
				"an unknown property":       harness.Frame(0x30, append(harness.Field("rogue/a"), 2, 0x7e, 1)),
				"half a property":           harness.Frame(0x30, append(harness.Field("rogue/a"), 3, 0x26, 0, 9)),
			} {
				w := harness.Enter(t, s, version, harness.Hello{ID: "rogue", Password: rogue})
				w.Send(sent)
				if _, closed := w.End(); !closed {
					t.Errorf("%s: the connection stays open", what)
				}
			}
		}
		b.expectUndisturbed(t)
	})
	s.ExpectBounded(t, before, 100, 1024)
	if strings.Contains(s.Log.String(), rogue[len(rogue)-20:]) {
		t.Error("a token is in the log")
	}
}

func TestP1_APanicIsContainedAndTheWillIsSent(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	b := newBystander(t, s)
	rogue := s.Token(s.Service("rogue", "pub:rogue/#", "sub:rogue/#"))
	watch := harness.Enter(t, s, 5, harness.Hello{ID: "rogue:watch", Password: rogue})
	watch.MustSubscribe(1, "rogue/#")
	for range 5 {
		h := harness.Hello{ID: "rogue", Password: rogue, Keep: true, Will: &harness.Message{Topic: "rogue/state", Payload: "lost", QoS: 1}}
		w := harness.Enter(t, s, 5, h)
		w.MustSubscribe(1, "rogue/inbox")
		w.Send(harness.Frame(0x82, append([]byte{0, 1, 0}, harness.Field("rogue/a")...))) // the options byte lacks
		w.ExpectClosed()
		watch.Until("rogue/state")
		watch.Publish(harness.Message{Topic: "rogue/inbox", Payload: "queued", QoS: 1})
		watch.Until("rogue/inbox")
		w = harness.Resume(t, s, 5, h, true) // the session is as if the network had failed
		if p := w.Next(); p.Topic != "rogue/inbox" {
			t.Errorf("%+v came", p)
		}
		w.Leave()
	}
	b.expectUndisturbed(t)
	for _, line := range s.Log.Lines("goroutine ") {
		if !strings.Contains(line, "rule=panic-contained ") {
			t.Errorf("a stack trace that nobody contained: %s", line)
		}
	}
}

func TestP1_AnyKeepAliveIsKept(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t)
	token := s.Token(s.Service("meter", "pub:a"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		var open []*harness.Wire
		for _, seconds := range []uint16{0, 2, 60, 43690, 43691, 50000, 65535} {
			w := harness.Enter(t, s, version, harness.Hello{ID: fmt.Sprint("meter:", seconds), Password: token, Keepalive: seconds})
			w.Ping()
			open = append(open, w)
		}
		short := harness.Enter(t, s, version, harness.Hello{ID: "meter:short", Password: token, Keepalive: 1})
		silent := short.ExpectClosed() // MQTT 5.0 §3.1.2-22: after one and a half times as long
		if version == 5 && silent.Kind == harness.TypeDisconnect && silent.Code() != 0x8d {
			t.Errorf("DISCONNECT 0x%02x, want 0x8d or none", silent.Code())
		}
		for _, w := range open {
			w.Ping()
			w.Leave()
		}
	})
}

func TestP1_AReaderThatNeverReadsHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--write-timeout", "1m") // nobody is to be held up for so long
	b := newBystander(t, s)
	token := s.Token(s.Service("flood", "pub:flood/#", "sub:flood/#"))
	harness.EachVersion(t, func(t *testing.T, version byte) {
		var stuck []*harness.Wire
		for qos := range byte(3) {
			stuck = append(stuck, neverRead(t, s, version, harness.Hello{ID: fmt.Sprint("flood:stuck-", qos), Password: token, Keep: true}, qos))
		}
		reader := harness.Enter(t, s, version, harness.Hello{ID: "flood:reader", Password: token})
		reader.MustSubscribe(1, "flood/#")
		writer := harness.Enter(t, s, version, harness.Hello{ID: "flood:writer", Password: token})
		payload := strings.Repeat("x", 64<<10)
		for range 200 {
			writer.Publish(harness.Message{Topic: "flood/x", Payload: payload, QoS: 1})
			reader.Until("flood/x")
		}
		b.expectUndisturbed(t)
		s.In(t).Change(http.MethodDelete, "/v1/sessions/flood:stuck-0", nil)
		for qos, w := range stuck {
			again := harness.Dial(t, s.MQTT, version)
			if ack := again.Connect(harness.Hello{ID: fmt.Sprint("flood:stuck-", qos), Password: token}); ack.Code() != 0 {
				t.Errorf("taking over a reader that never reads: 0x%02x", ack.Code())
			}
			again.Leave()
			_ = w.Conn.Close()
		}
		reader.Leave()
		writer.Leave()
	})
}

func TestP1_WhatWaitsForAReaderThatNeverReadsIsBounded(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, "--write-timeout", "1m")
	b := newBystander(t, s)
	token := s.Token(s.Service("flood", "pub:flood/#", "sub:flood/#"))
	before := s.Memory()
	for _, version := range harness.Versions {
		neverRead(t, s, version, harness.Hello{ID: harness.Name("flood:stuck", version), Password: token}, 0)
	}
	const batches, perBatch, size = 100, 500, 4 << 10 // 200 MiB in all
	w := harness.Enter(t, s, 5, harness.Hello{ID: "flood", Password: token})
	batch := bytes.Repeat(harness.Message{Topic: "flood/x", Payload: strings.Repeat("x", size)}.Encode(5, 0), perBatch)
	for range batches {
		w.Send(batch)
		w.Ping()
	}
	b.expectUndisturbed(t)
	s.ExpectBounded(t, before, 110, 1024)
	s.Log.Wait(t, "level=WARN", "reads too slowly")
}

// neverRead lets a client in, with a subscription to everything of the flood, that will not read.
func neverRead(tb testing.TB, s *harness.Server, version byte, h harness.Hello, qos byte) *harness.Wire {
	tb.Helper()
	w := harness.Dial(tb, s.MQTT, version)
	readLittle(tb, w)
	if ack := w.Connect(h); ack.Code() != 0 {
		tb.Fatalf("CONNACK 0x%02x", ack.Code())
	}
	w.MustSubscribe(qos, "flood/#")
	return w
}
