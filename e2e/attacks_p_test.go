package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Attacks by the protocol, P1: what strangers and badly behaved clients send, or do not send.

// bystander is a client that does nothing wrong and must notice nothing.
type bystander struct {
	server *server
	token  string
	wires  []*wire
}

func newBystander(tb testing.TB, s *server) *bystander {
	tb.Helper()
	b := &bystander{server: s, token: s.token(s.service("bystander", "pub:bystander/#", "sub:bystander/#"))}
	for _, version := range versions {
		b.wires = append(b.wires, enter(tb, s, version, hello{id: name("bystander:v", version), password: b.token}))
		b.wires[len(b.wires)-1].mustSubscribe(1, "bystander/news")
	}
	return b
}

// expectUndisturbed has messages go round, and lets a new connection in.
func (b *bystander) expectUndisturbed(tb testing.TB) {
	tb.Helper()
	for _, version := range versions {
		w := enter(tb, b.server, version, hello{id: name("bystander:new", version), password: b.token})
		w.publish(message{topic: "bystander/news", qos: 1})
		for _, old := range b.wires {
			old.tb = tb
			old.until("bystander/news")
		}
		w.leave()
	}
}

func TestP1_ASocketThatSaysNothingWholeIsClosed(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t)
	s := startServer(t, "--connect-timeout", "2s", "--mqtts", freeAddr(t), "--tls-cert", cert.certFile, "--tls-key", cert.keyFile)
	b := newBystander(t, s)
	before := s.memory()
	connect := hello{id: "bystander", password: b.token}.encode(5)
	clientHello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	upgrade := "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	half := map[string]*wire{}
	for what, test := range map[string]struct {
		addr string
		sent []byte
	}{
		"nothing":                    {s.mqtt, nil},
		"one byte":                   {s.mqtt, connect[:1]},
		"half a length":              {s.mqtt, []byte{0x10, 0x80}},
		"half a CONNECT":             {s.mqtt, connect[:len(connect)/2]},
		"all but the last byte":      {s.mqtt, connect[:len(connect)-1]},
		"no TLS handshake":           {s.mqtts, nil},
		"half a ClientHello":         {s.mqtts, clientHello},
		"a WebSocket and no CONNECT": {strings.TrimPrefix(s.http, "http://"), []byte(upgrade)},
	} {
		w := dial(t, test.addr, 5)
		w.send(test.sent)
		half[what] = w
	}
	var crowd []*wire
	for range 1000 {
		crowd = append(crowd, dial(t, s.mqtt, 5))
	}
	trickled := trickle(dial(t, s.mqtt, 5), connect)
	b.expectUndisturbed(t) // while they are all open

	for what, w := range half {
		if text, closed := readAll(t, w); !closed || strings.HasPrefix(text, "\x20") {
			t.Errorf("%s: closed %v, %q", what, closed, text)
		}
	}
	for _, w := range crowd {
		w.expectClosed()
	}
	if sent := <-trickled; sent == len(connect) {
		t.Error("a CONNECT that came byte by byte had all the time in the world")
	}
	b.expectUndisturbed(t)
	s.expectBounded(t, before, 100, 1024)
}

// trickle sends a packet byte by byte, slowly, and says in the end how much of it the server took.
func trickle(w *wire, data []byte) <-chan int {
	done := make(chan int, 1)
	closed := make(chan struct{})
	go func() {
		_, _ = w.conn.Read(make([]byte, 1)) // nothing is answered: it ends when the server closes
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
			if _, err := w.conn.Write(data[i : i+1]); err != nil {
				done <- i
				return
			}
		}
		done <- len(data)
	}()
	return done
}

// readAll returns what the server sends until it closes the connection, and whether it does.
func readAll(tb testing.TB, w *wire) (text string, closed bool) {
	tb.Helper()
	must(tb, w.conn.SetReadDeadline(time.Now().Add(patience)))
	sent, err := io.ReadAll(w.conn)
	return string(sent), !errors.Is(err, os.ErrDeadlineExceeded)
}

// letIn reports whether an answer begins with a CONNACK that says success.
func letIn(answer string) bool {
	return len(answer) > 3 && answer[0] == typeConnack<<4 && answer[3] == 0
}

func TestP1_AStrangerIsCutOffAtTheFirstWrongByte(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--connect-timeout", "1m") // nothing here is closed for want of time
	b := newBystander(t, s)
	before := s.memory()
	good := hello{id: "bystander", password: b.token}
	for what, sent := range map[string][]byte{
		"256 MiB announced":          {0x10, 0xff, 0xff, 0xff, 0x7f},
		"1 MiB announced":            {0x10, 0x80, 0x80, 0x40},
		"100 KiB announced":          {0x10, 0x80, 0xa0, 0x06},
		"a length without end":       {0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
		"PUBLISH first":              message{topic: "bystander/news", qos: 1}.encode(5, 1),
		"SUBSCRIBE first":            encodeSubscribe(5, 1, 0, "#"),
		"PINGREQ first":              {0xc0, 0x00},
		"DISCONNECT first":           {0xe0, 0x00},
		"AUTH first":                 {0xf0, 0x00},
		"CONNACK first":              {0x20, 0x02, 0x00, 0x00},
		"HTTP":                       []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a TLS ClientHello":          []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"zeros":                      make([]byte, 100),
		"CONNECT with wrong flags":   append([]byte{0x11}, good.encode(5)[1:]...),
		"an empty CONNECT":           {0x10, 0x00},
		"a protocol of another name": frame(0x10, append(field("HTTP"), 5, 2, 0, 0, 0, 0, 0)),
		"a reserved connect flag":    frame(0x10, append(field("MQTT"), 4, 3, 0, 0, 0, 0)),
		"a torn client ID":           frame(0x10, append(field("MQTT"), 4, 2, 0, 0, 0xff, 0xff, 'a')),
		"properties beyond the end":  frame(0x10, append(field("MQTT"), 5, 2, 0, 0, 0x7f, 0, 0)),
	} {
		for range 8 {
			w := dial(t, s.mqtt, 5)
			w.send(sent)
			if text, closed := readAll(t, w); !closed || letIn(text) {
				t.Errorf("%s: closed %v, answered % x", what, closed, text)
			}
		}
	}
	w := dial(t, s.mqtt, 9) // a version that is still to be invented
	w.send(good.encode(9))
	if text, closed := readAll(t, w); !closed || letIn(text) {
		t.Errorf("version 9: closed %v, answered % x", closed, text)
	}
	b.expectUndisturbed(t)
	s.expectBounded(t, before, 100, 1024)
}

func TestP1_AMalformedPacketCostsItsSenderTheConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := newBystander(t, s)
	rogue := s.token(s.service("rogue", "pub:rogue/#", "sub:rogue/#"))
	before := s.memory()
	eachVersion(t, func(t *testing.T, version byte) {
		props := emptyProperties(version)
		packetWith := func(first byte, id uint16, rest ...[]byte) []byte {
			body := append([]byte{byte(id >> 8), byte(id)}, props...)
			for _, part := range rest {
				body = append(body, part...)
			}
			return frame(first, body)
		}
		for what, sent := range map[string][]byte{
			"SUBSCRIBE without its options byte":   packetWith(0x82, 1, field("rogue/a")),
			"SUBSCRIBE whose last options lack":    packetWith(0x82, 1, field("rogue/a"), []byte{0}, field("rogue/b")),
			"SUBSCRIBE without a filter":           packetWith(0x82, 1),
			"SUBSCRIBE with half a filter":         packetWith(0x82, 1, []byte{0, 9, 'a'}),
			"SUBSCRIBE without a packet ID":        frame(0x82, nil),
			"SUBSCRIBE at QoS 3":                   packetWith(0x82, 1, field("rogue/a"), []byte{3}),
			"UNSUBSCRIBE without a filter":         packetWith(0xa2, 1),
			"UNSUBSCRIBE with half a filter":       packetWith(0xa2, 1, []byte{0, 9, 'a'}),
			"PUBLISH at QoS 3":                     frame(0x36, append(field("rogue/a"), 0, 1, 0)),
			"PUBLISH with half a topic":            frame(0x30, []byte{0, 9, 'a'}),
			"PUBLISH to a wildcard":                frame(0x30, append(field("rogue/#"), props...)),
			"PUBLISH at QoS 1 without a packet ID": frame(0x32, append(append(field("rogue/a"), 0, 0), props...)),
			"PUBLISH to a topic with NUL":          frame(0x30, append(field("rogue/\x00"), props...)),
			"PUBLISH to a topic that is not UTF-8": frame(0x30, append(field("rogue/\xff"), props...)),
			"256 MiB announced":                    {0x30, 0xff, 0xff, 0xff, 0x7f},
			"1 MiB announced":                      {0x30, 0x80, 0x80, 0x40},
			"a length without end":                 {0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
			"a second CONNECT":                     hello{id: "rogue", password: rogue}.encode(version),
			"a packet of type 0":                   {0x00, 0x00},
			"PUBACK of one byte":                   {0x40, 0x01, 0x00},
			"PUBREL with wrong flags":              {0x60, 0x02, 0x00, 0x01},
			"PINGREQ and then nonsense":            {0xc0, 0x00, 0x00, 0x00, 0x00},
		} {
			w := enter(t, s, version, hello{id: "rogue", password: rogue, will: &message{topic: "rogue/state", payload: "lost"}})
			w.send(sent)
			if last, closed := w.end(); !closed || version < 5 && last.kind != 0 {
				t.Errorf("%s: closed %v, a packet of type %d", what, closed, last.kind)
			}
		}
		if version == 5 {
			for what, sent := range map[string][]byte{
				"properties beyond the end": frame(0x30, append(field("rogue/a"), 0x7f, 1)),
				"an unknown property":       frame(0x30, append(field("rogue/a"), 2, 0x7e, 1)),
				"half a property":           frame(0x30, append(field("rogue/a"), 3, 0x26, 0, 9)),
			} {
				w := enter(t, s, version, hello{id: "rogue", password: rogue})
				w.send(sent)
				if _, closed := w.end(); !closed {
					t.Errorf("%s: the connection stays open", what)
				}
			}
		}
		b.expectUndisturbed(t)
	})
	s.expectBounded(t, before, 100, 1024)
	if strings.Contains(s.log.String(), rogue[len(rogue)-20:]) {
		t.Error("a token is in the log")
	}
}

func TestP1_APanicIsContainedAndTheWillIsSent(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := newBystander(t, s)
	rogue := s.token(s.service("rogue", "pub:rogue/#", "sub:rogue/#"))
	watch := enter(t, s, 5, hello{id: "rogue:watch", password: rogue})
	watch.mustSubscribe(1, "rogue/#")
	for range 5 {
		h := hello{id: "rogue", password: rogue, keep: true, will: &message{topic: "rogue/state", payload: "lost", qos: 1}}
		w := enter(t, s, 5, h)
		w.mustSubscribe(1, "rogue/inbox")
		w.send(frame(0x82, append([]byte{0, 1, 0}, field("rogue/a")...))) // the options byte lacks
		w.expectClosed()
		watch.until("rogue/state")
		watch.publish(message{topic: "rogue/inbox", payload: "queued", qos: 1})
		watch.until("rogue/inbox")
		w = resume(t, s, 5, h, true) // the session is as if the network had failed
		if p := w.next(); p.topic != "rogue/inbox" {
			t.Errorf("%+v came", p)
		}
		w.leave()
	}
	b.expectUndisturbed(t)
	for _, line := range s.log.lines("goroutine ") {
		if !strings.Contains(line, "rule=panic-contained ") {
			t.Errorf("a stack trace that nobody contained: %s", line)
		}
	}
}

func TestP1_AnyKeepAliveIsKept(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	token := s.token(s.service("meter", "pub:a"))
	eachVersion(t, func(t *testing.T, version byte) {
		var open []*wire
		for _, seconds := range []uint16{0, 2, 60, 43690, 43691, 50000, 65535} {
			w := enter(t, s, version, hello{id: fmt.Sprint("meter:", seconds), password: token, keepalive: seconds})
			w.ping()
			open = append(open, w)
		}
		short := enter(t, s, version, hello{id: "meter:short", password: token, keepalive: 1})
		silent := short.expectClosed() // MQTT 5.0 §3.1.2-22: after one and a half times as long
		if version == 5 && silent.kind == typeDisconnect && silent.code() != 0x8d {
			t.Errorf("DISCONNECT 0x%02x, want 0x8d or none", silent.code())
		}
		for _, w := range open {
			w.ping()
			w.leave()
		}
	})
}

func TestP1_AReaderThatNeverReadsHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--write-timeout", "1m") // nobody is to be held up for so long
	b := newBystander(t, s)
	token := s.token(s.service("flood", "pub:flood/#", "sub:flood/#"))
	eachVersion(t, func(t *testing.T, version byte) {
		var stuck []*wire
		for qos := range byte(3) {
			stuck = append(stuck, neverRead(t, s, version, hello{id: fmt.Sprint("flood:stuck-", qos), password: token, keep: true}, qos))
		}
		reader := enter(t, s, version, hello{id: "flood:reader", password: token})
		reader.mustSubscribe(1, "flood/#")
		writer := enter(t, s, version, hello{id: "flood:writer", password: token})
		payload := strings.Repeat("x", 64<<10)
		for range 200 {
			writer.publish(message{topic: "flood/x", payload: payload, qos: 1})
			reader.until("flood/x")
		}
		b.expectUndisturbed(t)
		s.in(t).change(http.MethodDelete, "/v1/sessions/flood:stuck-0", nil)
		for qos, w := range stuck {
			again := dial(t, s.mqtt, version)
			if ack := again.connect(hello{id: fmt.Sprint("flood:stuck-", qos), password: token}); ack.code() != 0 {
				t.Errorf("taking over a reader that never reads: 0x%02x", ack.code())
			}
			again.leave()
			_ = w.conn.Close()
		}
		reader.leave()
		writer.leave()
	})
}

func TestP1_WhatWaitsForAReaderThatNeverReadsIsBounded(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--write-timeout", "1m")
	b := newBystander(t, s)
	token := s.token(s.service("flood", "pub:flood/#", "sub:flood/#"))
	before := s.memory()
	for _, version := range versions {
		neverRead(t, s, version, hello{id: name("flood:stuck", version), password: token}, 0)
	}
	const batches, perBatch, size = 100, 500, 4 << 10 // 200 MiB in all
	w := enter(t, s, 5, hello{id: "flood", password: token})
	batch := bytes.Repeat(message{topic: "flood/x", payload: strings.Repeat("x", size)}.encode(5, 0), perBatch)
	for range batches {
		w.send(batch)
		w.ping()
	}
	b.expectUndisturbed(t)
	s.expectBounded(t, before, 110, 1024)
	s.log.wait(t, "level=WARN", "reads too slowly")
}

// neverRead lets a client in, with a subscription to everything of the flood, that will not read.
func neverRead(tb testing.TB, s *server, version byte, h hello, qos byte) *wire {
	tb.Helper()
	w := dial(tb, s.mqtt, version)
	tcp, ok := w.conn.(*net.TCPConn)
	if !ok {
		tb.Fatal("no TCP connection")
	}
	must(tb, tcp.SetReadBuffer(4096))
	if ack := w.connect(h); ack.code() != 0 {
		tb.Fatalf("CONNACK 0x%02x", ack.code())
	}
	w.mustSubscribe(qos, "flood/#")
	return w
}
