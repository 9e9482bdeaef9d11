package harness

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

// Versions are the protocol levels that every path is tried with: MQTT 3.1.1 and 5.0.
var Versions = []byte{4, 5}

// EachVersion runs a test for MQTT 3.1.1 and for 5.0, one after the other.
func EachVersion(t *testing.T, test func(t *testing.T, version byte)) {
	t.Helper()
	for _, version := range Versions {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) { test(t, version) })
	}
}

// Wire is an MQTT connection without a client library: a test says what is sent, byte by byte if
// it wants to, and sees every packet that comes back.
type Wire struct {
	TB      testing.TB
	Conn    net.Conn
	in      *bufio.Reader
	version byte
	Silent  bool // messages are not acknowledged
	lastID  uint16
	Early   []Packet // messages that came while something else was awaited
}

// Dial opens a connection to an MQTT address and says nothing yet.
func Dial(tb testing.TB, addr string, version byte) *Wire {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, Patience)
	Must(tb, err)
	return newWire(tb, conn, version)
}

func newWire(tb testing.TB, conn net.Conn, version byte) *Wire {
	tb.Helper()
	tb.Cleanup(func() { _ = conn.Close() })
	return &Wire{TB: tb, Conn: conn, in: bufio.NewReader(conn), version: version}
}

// Enter opens a connection that must be let in.
func Enter(tb testing.TB, s *Server, version byte, h Hello) *Wire {
	tb.Helper()
	w := Dial(tb, s.MQTT, version)
	if ack := w.Connect(h); ack.Code() != 0 {
		tb.Fatalf("%q was refused with 0x%02x", h.ID, ack.Code())
	}
	return w
}

// Resume opens a connection that must be let in and find its session, or not.
func Resume(tb testing.TB, s *Server, version byte, h Hello, present bool) *Wire {
	tb.Helper()
	w := Dial(tb, s.MQTT, version)
	ack := w.Connect(h)
	if ack.Code() != 0 || ack.present != present {
		tb.Fatalf("%q: CONNACK 0x%02x, session present %v; want it let in with %v", h.ID, ack.Code(), ack.present, present)
	}
	return w
}

// Send writes bytes as they are.
func (w *Wire) Send(parts ...[]byte) {
	w.TB.Helper()
	for _, part := range parts {
		_, err := w.Conn.Write(part)
		Must(w.TB, err)
	}
}

// Connect sends a CONNECT and returns the CONNACK.
func (w *Wire) Connect(h Hello) Packet {
	w.TB.Helper()
	w.Send(h.Encode(w.version))
	return w.expect(TypeConnack)
}

// Read reads the next packet, and acknowledges what has to be.
func (w *Wire) Read() (Packet, error) {
	if err := w.Conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return Packet{}, err
	}
	p, err := readPacket(w.in, func(b []byte) error { _, err := io.ReadFull(w.in, b); return err }, w.version)
	if err != nil || w.Silent {
		return p, err
	}
	switch {
	case p.Kind == TypePublish && p.QoS() == 1:
		_, err = w.Conn.Write(encodeAck(TypePuback, p.id))
	case p.Kind == TypePublish && p.QoS() == 2:
		_, err = w.Conn.Write(encodeAck(typePubrec, p.id))
	case p.Kind == typePubrel:
		_, err = w.Conn.Write(encodeAck(typePubcomp, p.id))
	}
	return p, err
}

// expect reads up to a packet of this type. Messages that come before it are kept for until.
func (w *Wire) expect(kind byte) Packet {
	w.TB.Helper()
	for {
		p, err := w.Read()
		switch {
		case err != nil:
			w.TB.Fatalf("waiting for a packet of type %d: %v", kind, err)
		case p.Kind == kind:
			return p
		case p.Kind == TypePublish:
			w.Early = append(w.Early, p)
		case p.Kind != typePubrel:
			w.TB.Fatalf("got a packet of type %d (codes % x, %q), want %d", p.Kind, p.codes, p.Props.text[propReasonString], kind)
		}
	}
}

// Publish sends a message and returns the code that the server answers: of PUBACK or PUBREC, and
// 0 at QoS 0. It returns when the server has dealt with the message.
func (w *Wire) Publish(m Message) byte {
	w.TB.Helper()
	w.lastID++
	id := w.lastID
	w.Send(m.Encode(w.version, id))
	switch m.QoS {
	case 0:
		w.Ping()
		return 0
	case 1:
		return w.ExpectAck(TypePuback, id)
	default:
		if code := w.ExpectAck(typePubrec, id); code >= 0x80 {
			return code
		}
		w.Send(encodeAck(typePubrel, id))
		return w.ExpectAck(typePubcomp, id)
	}
}

// ExpectAck waits for an acknowledgement and returns its reason code.
func (w *Wire) ExpectAck(kind byte, id uint16) byte {
	w.TB.Helper()
	ack := w.expect(kind)
	if ack.id != id {
		w.TB.Fatalf("the acknowledgement of type %d is for packet %d, want %d", kind, ack.id, id)
	}
	return ack.Code()
}

// Ping proves that the connection is open and that what was sent before it was dealt with.
func (w *Wire) Ping() {
	w.TB.Helper()
	w.Send([]byte{typePingreq << 4, 0})
	w.expect(typePingresp)
}

// Subscribe asks for filters in one packet and returns the answer for each, when the retained
// messages are here, too.
func (w *Wire) Subscribe(qos byte, filters ...string) []byte {
	w.TB.Helper()
	w.lastID++
	w.Send(EncodeSubscribe(w.version, w.lastID, qos, filters...))
	ack := w.expect(TypeSuback)
	if ack.id != w.lastID || len(ack.codes) != len(filters) {
		w.TB.Fatalf("SUBACK % x for packet %d; want %d codes for packet %d", ack.codes, ack.id, len(filters), w.lastID)
	}
	w.Ping() // answered after the retained messages; without it, messages of others may overtake them
	return ack.codes
}

// MustSubscribe subscribes to filters that must be granted at the QoS that is asked for.
func (w *Wire) MustSubscribe(qos byte, filters ...string) {
	w.TB.Helper()
	for i, code := range w.Subscribe(qos, filters...) {
		if code != qos {
			w.TB.Fatalf("subscribing to %q at QoS %d: 0x%02x", filters[i], qos, code)
		}
	}
}

// Until returns the messages that come before the one on the marker topic. A test that sends the
// marker last knows that what is not among them does not come.
func (w *Wire) Until(marker string) []Packet {
	w.TB.Helper()
	for i, p := range w.Early {
		if p.Topic == marker {
			before := w.Early[:i:i]
			w.Early = w.Early[i+1:]
			return before
		}
	}
	before := w.Early
	w.Early = nil
	for {
		p := w.Next()
		if p.Topic == marker {
			return before
		}
		before = append(before, p)
	}
}

// Next returns the next message.
func (w *Wire) Next() Packet {
	w.TB.Helper()
	if len(w.Early) > 0 {
		p := w.Early[0]
		w.Early = w.Early[1:]
		return p
	}
	return w.expect(TypePublish)
}

// ExpectTopics wants exactly these topics, in this order, before the marker.
func (w *Wire) ExpectTopics(marker string, want ...string) {
	w.TB.Helper()
	if got := Topics(w.Until(marker)); strings.Join(got, " ") != strings.Join(want, " ") {
		w.TB.Errorf("messages on %q came, want %q", got, want)
	}
}

// Topics returns the topics of messages, in their order.
func Topics(messages []Packet) []string {
	names := make([]string, 0, len(messages))
	for _, m := range messages {
		names = append(names, m.Topic)
	}
	return names
}

// ExpectClosed reads until the server closes the connection, and returns its DISCONNECT if it
// sent one. Messages that come before it are kept in early.
func (w *Wire) ExpectClosed() Packet {
	w.TB.Helper()
	last, closed := w.End()
	if !closed {
		w.TB.Fatal("the server did not close the connection")
	}
	return last
}

// End does the same, and reports whether the connection was closed in time.
func (w *Wire) End() (last Packet, closed bool) {
	for {
		p, err := w.Read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return last, false
		case err != nil:
			return last, true
		case p.Kind == TypeDisconnect:
			last = p
		case p.Kind == TypePublish:
			w.Early = append(w.Early, p)
		}
	}
}

// ExpectDisconnect wants the connection closed: in 5.0 with this reason code, in 3.1.1 without a
// DISCONNECT, which the server may not send there.
func (w *Wire) ExpectDisconnect(code byte) Packet {
	w.TB.Helper()
	p := w.ExpectClosed()
	switch {
	case w.version < 5 && p.Kind != 0:
		w.TB.Errorf("the server sent a DISCONNECT in MQTT 3.1.1: % x", p.codes)
	case w.version == 5 && (p.Kind == 0 || p.Code() != code):
		w.TB.Errorf("the server closed with packet type %d, code 0x%02x; want DISCONNECT 0x%02x", p.Kind, p.Code(), code)
	}
	return p
}

// Drop ends the connection as a broken network does.
func (w *Wire) Drop() {
	w.TB.Helper()
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		Must(w.TB, tcp.SetLinger(0))
	}
	Must(w.TB, w.Conn.Close())
}

// Leave ends the connection in order, and returns when the server has closed it.
func (w *Wire) Leave() {
	w.TB.Helper()
	w.Send([]byte{TypeDisconnect << 4, 0})
	w.ExpectClosed()
}

// Remote is the address by which the server's log knows this connection.
func (w *Wire) Remote() string { return w.Conn.LocalAddr().String() }

// Refusal is how a CONNECT is refused: the code in 3.1.1 and in 5.0, and the name of the latter,
// which is all that a device may be told.
type Refusal struct {
	v3, v5 byte
	name   string
}

// The refusals of a CONNECT.
var (
	BadToken      = Refusal{4, 0x86, "bad username or password"}
	NotAuthorized = Refusal{5, 0x87, "not authorized"}
	BadClientID   = Refusal{2, 0x85, "client identifier not valid"}
	BadMethod     = Refusal{0, 0x8c, "bad authentication method"}
	ProtocolError = Refusal{0, 0x82, "protocol violation"}
	Unavailable   = Refusal{3, 0x88, "server unavailable"}
	TooMany       = Refusal{3, 0x9f, "connection rate exceeded"}
	OverQuota     = Refusal{3, 0x97, "quota exceeded"}
)

// In is the code in a protocol version.
func (r Refusal) In(version byte) byte {
	if version == 5 {
		return r.v5
	}
	return r.v3
}

// ExpectRefused wants a CONNECT refused: the device learns a code and nothing else, the operator
// finds the rule in the server's log.
func ExpectRefused(tb testing.TB, s *Server, version byte, h Hello, want Refusal, rule string) {
	tb.Helper()
	w := Dial(tb, s.MQTT, version)
	ack := w.Connect(h)
	if ack.Code() != want.In(version) {
		tb.Errorf("CONNACK 0x%02x, want 0x%02x (%s)", ack.Code(), want.In(version), rule)
		if ack.Code() == 0 {
			return
		}
	}
	if reason := ack.Props.text[propReasonString]; reason == want.name {
		delete(ack.Props.text, propReasonString) // the code in words
	}
	if ack.present || len(ack.Props.text) > 0 {
		tb.Errorf("the device learns more than a code: session present %v, %q", ack.present, ack.Props.text)
	}
	if p := w.ExpectClosed(); p.Kind != 0 {
		tb.Errorf("a packet of type %d follows the refusal", p.Kind)
	}
	if line := s.Log.Wait(tb, "msg=refused", "event=connect", "remote="+w.Remote()+" "); !strings.Contains(line, "rule="+rule+" ") {
		tb.Errorf("the rule is another than %s: %s", rule, line)
	}
}
