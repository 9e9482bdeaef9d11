package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// versions are the protocol levels that every path is tried with: MQTT 3.1.1 and 5.0.
var versions = []byte{4, 5}

// eachVersion runs a test for MQTT 3.1.1 and for 5.0, one after the other.
func eachVersion(t *testing.T, test func(t *testing.T, version byte)) {
	t.Helper()
	for _, version := range versions {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) { test(t, version) })
	}
}

// wire is an MQTT connection without a client library: a test says what is sent, byte by byte if
// it wants to, and sees every packet that comes back.
type wire struct {
	tb      testing.TB
	conn    net.Conn
	in      *bufio.Reader
	version byte
	silent  bool // messages are not acknowledged
	lastID  uint16
	early   []packet // messages that came while something else was awaited
}

// dial opens a connection to an MQTT address and says nothing yet.
func dial(tb testing.TB, addr string, version byte) *wire {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	must(tb, err)
	return newWire(tb, conn, version)
}

func newWire(tb testing.TB, conn net.Conn, version byte) *wire {
	tb.Helper()
	tb.Cleanup(func() { _ = conn.Close() })
	return &wire{tb: tb, conn: conn, in: bufio.NewReader(conn), version: version}
}

// enter opens a connection that must be let in.
func enter(tb testing.TB, s *server, version byte, h hello) *wire {
	tb.Helper()
	w := dial(tb, s.mqtt, version)
	if ack := w.connect(h); ack.code() != 0 {
		tb.Fatalf("%q was refused with 0x%02x", h.id, ack.code())
	}
	return w
}

// resume opens a connection that must be let in and find its session, or not.
func resume(tb testing.TB, s *server, version byte, h hello, present bool) *wire {
	tb.Helper()
	w := dial(tb, s.mqtt, version)
	ack := w.connect(h)
	if ack.code() != 0 || ack.present != present {
		tb.Fatalf("%q: CONNACK 0x%02x, session present %v; want it let in with %v", h.id, ack.code(), ack.present, present)
	}
	return w
}

func (w *wire) send(parts ...[]byte) {
	w.tb.Helper()
	for _, part := range parts {
		_, err := w.conn.Write(part)
		must(w.tb, err)
	}
}

// connect sends a CONNECT and returns the CONNACK.
func (w *wire) connect(h hello) packet {
	w.tb.Helper()
	w.send(h.encode(w.version))
	return w.expect(typeConnack)
}

// read reads the next packet, and acknowledges what has to be.
func (w *wire) read() (packet, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return packet{}, err
	}
	p, err := readPacket(w.in, func(b []byte) error { _, err := io.ReadFull(w.in, b); return err }, w.version)
	if err != nil || w.silent {
		return p, err
	}
	switch {
	case p.kind == typePublish && p.qos() == 1:
		_, err = w.conn.Write(encodeAck(typePuback, p.id))
	case p.kind == typePublish && p.qos() == 2:
		_, err = w.conn.Write(encodeAck(typePubrec, p.id))
	case p.kind == typePubrel:
		_, err = w.conn.Write(encodeAck(typePubcomp, p.id))
	}
	return p, err
}

// expect reads up to a packet of this type. Messages that come before it are kept for until.
func (w *wire) expect(kind byte) packet {
	w.tb.Helper()
	for {
		p, err := w.read()
		switch {
		case err != nil:
			w.tb.Fatalf("waiting for a packet of type %d: %v", kind, err)
		case p.kind == kind:
			return p
		case p.kind == typePublish:
			w.early = append(w.early, p)
		case p.kind != typePubrel:
			w.tb.Fatalf("got a packet of type %d (codes % x, %q), want %d", p.kind, p.codes, p.props.text[propReasonString], kind)
		}
	}
}

// publish sends a message and returns the code that the server answers: of PUBACK or PUBREC, and
// 0 at QoS 0. It returns when the server has dealt with the message.
func (w *wire) publish(m message) byte {
	w.tb.Helper()
	w.lastID++
	id := w.lastID
	w.send(m.encode(w.version, id))
	switch m.qos {
	case 0:
		w.ping()
		return 0
	case 1:
		return w.expectAck(typePuback, id)
	default:
		if code := w.expectAck(typePubrec, id); code >= 0x80 {
			return code
		}
		w.send(encodeAck(typePubrel, id))
		return w.expectAck(typePubcomp, id)
	}
}

func (w *wire) expectAck(kind byte, id uint16) byte {
	w.tb.Helper()
	ack := w.expect(kind)
	if ack.id != id {
		w.tb.Fatalf("the acknowledgement of type %d is for packet %d, want %d", kind, ack.id, id)
	}
	return ack.code()
}

// ping proves that the connection is open and that what was sent before it was dealt with.
func (w *wire) ping() {
	w.tb.Helper()
	w.send([]byte{typePingreq << 4, 0})
	w.expect(typePingresp)
}

// subscribe asks for filters in one packet and returns the answer for each, when the retained
// messages are here, too.
func (w *wire) subscribe(qos byte, filters ...string) []byte {
	w.tb.Helper()
	w.lastID++
	w.send(encodeSubscribe(w.version, w.lastID, qos, filters...))
	ack := w.expect(typeSuback)
	if ack.id != w.lastID || len(ack.codes) != len(filters) {
		w.tb.Fatalf("SUBACK % x for packet %d; want %d codes for packet %d", ack.codes, ack.id, len(filters), w.lastID)
	}
	w.ping() // answered after the retained messages; without it, messages of others may overtake them
	return ack.codes
}

// mustSubscribe subscribes to filters that must be granted at the QoS that is asked for.
func (w *wire) mustSubscribe(qos byte, filters ...string) {
	w.tb.Helper()
	for i, code := range w.subscribe(qos, filters...) {
		if code != qos {
			w.tb.Fatalf("subscribing to %q at QoS %d: 0x%02x", filters[i], qos, code)
		}
	}
}

// until returns the messages that come before the one on the marker topic. A test that sends the
// marker last knows that what is not among them does not come.
func (w *wire) until(marker string) []packet {
	w.tb.Helper()
	for i, p := range w.early {
		if p.topic == marker {
			before := w.early[:i:i]
			w.early = w.early[i+1:]
			return before
		}
	}
	before := w.early
	w.early = nil
	for {
		p := w.next()
		if p.topic == marker {
			return before
		}
		before = append(before, p)
	}
}

// next returns the next message.
func (w *wire) next() packet {
	w.tb.Helper()
	if len(w.early) > 0 {
		p := w.early[0]
		w.early = w.early[1:]
		return p
	}
	return w.expect(typePublish)
}

// expectTopics wants exactly these topics, in this order, before the marker.
func (w *wire) expectTopics(marker string, want ...string) {
	w.tb.Helper()
	if got := topics(w.until(marker)); strings.Join(got, " ") != strings.Join(want, " ") {
		w.tb.Errorf("messages on %q came, want %q", got, want)
	}
}

func topics(messages []packet) []string {
	names := make([]string, 0, len(messages))
	for _, m := range messages {
		names = append(names, m.topic)
	}
	return names
}

// expectClosed reads until the server closes the connection, and returns its DISCONNECT if it
// sent one. Messages that come before it are kept in early.
func (w *wire) expectClosed() packet {
	w.tb.Helper()
	last, closed := w.end()
	if !closed {
		w.tb.Fatal("the server did not close the connection")
	}
	return last
}

// end does the same, and reports whether the connection was closed in time.
func (w *wire) end() (last packet, closed bool) {
	for {
		p, err := w.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return last, false
		case err != nil:
			return last, true
		case p.kind == typeDisconnect:
			last = p
		case p.kind == typePublish:
			w.early = append(w.early, p)
		}
	}
}

// expectDisconnect wants the connection closed: in 5.0 with this reason code, in 3.1.1 without a
// DISCONNECT, which the server may not send there.
func (w *wire) expectDisconnect(code byte) packet {
	w.tb.Helper()
	p := w.expectClosed()
	switch {
	case w.version < 5 && p.kind != 0:
		w.tb.Errorf("the server sent a DISCONNECT in MQTT 3.1.1: % x", p.codes)
	case w.version == 5 && (p.kind == 0 || p.code() != code):
		w.tb.Errorf("the server closed with packet type %d, code 0x%02x; want DISCONNECT 0x%02x", p.kind, p.code(), code)
	}
	return p
}

// drop ends the connection as a broken network does.
func (w *wire) drop() {
	w.tb.Helper()
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		must(w.tb, tcp.SetLinger(0))
	}
	must(w.tb, w.conn.Close())
}

// leave ends the connection in order, and returns when the server has closed it.
func (w *wire) leave() {
	w.tb.Helper()
	w.send([]byte{typeDisconnect << 4, 0})
	w.expectClosed()
}

// remote is the address by which the server's log knows this connection.
func (w *wire) remote() string { return w.conn.LocalAddr().String() }

// refusal is how a CONNECT is refused: the code in 3.1.1 and in 5.0, and the name of the latter,
// which is all that a device may be told.
type refusal struct {
	v3, v5 byte
	name   string
}

var (
	badToken      = refusal{4, 0x86, "bad username or password"}
	notAuthorized = refusal{5, 0x87, "not authorized"}
	badClientID   = refusal{2, 0x85, "client identifier not valid"}
	badMethod     = refusal{0, 0x8c, "bad authentication method"}
	protocolError = refusal{0, 0x82, "protocol violation"}
)

func (r refusal) in(version byte) byte {
	if version == 5 {
		return r.v5
	}
	return r.v3
}

// expectRefused wants a CONNECT refused: the device learns a code and nothing else, the operator
// finds the rule in the server's log.
func expectRefused(tb testing.TB, s *server, version byte, h hello, want refusal, rule string) {
	tb.Helper()
	w := dial(tb, s.mqtt, version)
	ack := w.connect(h)
	if ack.code() != want.in(version) {
		tb.Errorf("CONNACK 0x%02x, want 0x%02x (%s)", ack.code(), want.in(version), rule)
		if ack.code() == 0 {
			return
		}
	}
	if reason := ack.props.text[propReasonString]; reason == want.name {
		delete(ack.props.text, propReasonString) // the code in words
	}
	if ack.present || len(ack.props.text) > 0 {
		tb.Errorf("the device learns more than a code: session present %v, %q", ack.present, ack.props.text)
	}
	if p := w.expectClosed(); p.kind != 0 {
		tb.Errorf("a packet of type %d follows the refusal", p.kind)
	}
	s.log.wait(tb, "msg=refused", "event=connect", "rule="+rule+" ", "remote="+w.remote()+" ")
}
