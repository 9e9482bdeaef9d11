package broker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// raw is a client that shows every byte.
type raw struct {
	net.Conn
	tb      testing.TB
	version byte
	lastID  uint16
}

// dial opens a TCP connection to the broker.
func (r *running) dial() *raw {
	r.tb.Helper()
	return r.wrap(dialTCP(r.tb, r.addr()))
}

func dialTCP(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	must(tb, err)
	return c
}

func (r *running) wrap(c net.Conn) *raw {
	r.tb.Helper()
	must(r.tb, c.SetDeadline(time.Now().Add(patience)))
	r.tb.Cleanup(func() { _ = c.Close() })
	return &raw{Conn: c, tb: r.tb, version: 4}
}

// with changes a CONNECT.
type with func(*packets.Packet)

func will(topic, payload string, qos byte) with {
	return func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload, pk.Connect.WillQos = true, topic, []byte(payload), qos
	}
}

// delay delays a will, by so many seconds.
func delay(n uint32) with {
	return func(pk *packets.Packet) { pk.Connect.WillProperties.WillDelayInterval = n }
}

func v5(pk *packets.Packet) { pk.ProtocolVersion = 5 }

// kept asks for a session that outlives the connection.
func kept(pk *packets.Packet) {
	pk.Connect.Clean = false
	pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
}

// expiresAfter bounds the life of a session that is offline, in seconds.
func expiresAfter(n uint32) with {
	return func(pk *packets.Packet) { pk.Properties.SessionExpiryInterval = n }
}

func receiveMaximum(n uint16) with {
	return func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = n }
}

// connect opens a connection and sends CONNECT; the CONNACK must be a success.
func (r *running) connect(id string, options ...with) (*raw, packets.Packet) {
	r.tb.Helper()
	c := r.dial()
	ack := c.connect(id, options...)
	if ack.ReasonCode != 0 {
		r.tb.Fatalf("CONNACK for %q says %#x", id, ack.ReasonCode)
	}
	return c, ack
}

func (c *raw) connect(id string, options ...with) packets.Packet {
	c.tb.Helper()
	c.sendConnect(id, options...)
	return c.expect(packets.Connack)
}

func (c *raw) sendConnect(id string, options ...with) {
	c.tb.Helper()
	pk := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Connect},
		ProtocolVersion: 4,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), Clean: true, Keepalive: 60, ClientIdentifier: id,
			UsernameFlag: true, Username: []byte("owner-of-" + id),
		},
	}
	for _, option := range options {
		option(&pk)
	}
	c.version = pk.ProtocolVersion
	c.send(pk)
}

// lives reports whether the connection is open once its packets so far have been dealt with.
func (c *raw) lives() bool {
	if c.trySend(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}}) != nil {
		return false
	}
	for {
		switch pk, err := c.read(); {
		case err != nil:
			return false
		case pk.FixedHeader.Type == packets.Pingresp:
			return true
		}
	}
}

func (c *raw) send(pk packets.Packet) {
	c.tb.Helper()
	must(c.tb, c.trySend(pk))
}

func (c *raw) trySend(pk packets.Packet) error {
	pk.ProtocolVersion = c.version
	pk.Mods.AllowResponseInfo = true
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Puback:
		err = pk.PubackEncode(&buf)
	case packets.Pubrec:
		err = pk.PubrecEncode(&buf)
	case packets.Pubrel:
		err = pk.PubrelEncode(&buf)
	case packets.Pubcomp:
		err = pk.PubcompEncode(&buf)
	case packets.Subscribe:
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		err = pk.UnsubscribeEncode(&buf)
	case packets.Pingreq:
		err = pk.PingreqEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	default:
		return errors.New("the test cannot send this packet")
	}
	if err != nil {
		return err
	}
	_, err = c.Write(buf.Bytes())
	return err
}

// read reads one packet.
func (c *raw) read() (packets.Packet, error) {
	pk := packets.Packet{ProtocolVersion: c.version}
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first[0]); err != nil {
		return pk, err
	}
	length, _, err := packets.DecodeLength(byteReader{c})
	if err != nil {
		return pk, err
	}
	pk.FixedHeader.Remaining = length
	body := make([]byte, length)
	if _, err := io.ReadFull(c, body); err != nil {
		return pk, err
	}
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Pubrec:
		err = pk.PubrecDecode(body)
	case packets.Pubrel:
		err = pk.PubrelDecode(body)
	case packets.Pubcomp:
		err = pk.PubcompDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Unsuback:
		err = pk.UnsubackDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	}
	return pk, err
}

type byteReader struct{ io.Reader }

func (b byteReader) ReadByte() (byte, error) {
	var one [1]byte
	_, err := io.ReadFull(b.Reader, one[:])
	return one[0], err
}

// next reads one packet, which must come.
func (c *raw) next() packets.Packet {
	c.tb.Helper()
	pk, err := c.read()
	must(c.tb, err)
	return pk
}

// expect reads one packet, which must be of a type.
func (c *raw) expect(kind byte) packets.Packet {
	c.tb.Helper()
	pk := c.next()
	if pk.FixedHeader.Type != kind {
		c.tb.Fatalf("got %s with code 0x%02x on %q, want %s",
			packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode, pk.TopicName, packets.PacketNames[kind])
	}
	return pk
}

// expectMessage reads a PUBLISH with a payload.
func (c *raw) expectMessage(payload string) packets.Packet {
	c.tb.Helper()
	pk := c.expect(packets.Publish)
	if string(pk.Payload) != payload {
		c.tb.Fatalf("got message %.60q, want %.60q", pk.Payload, payload)
	}
	return pk
}

// expectEnd waits for the broker to close the connection; it gives what came before.
func (c *raw) expectEnd() []packets.Packet {
	c.tb.Helper()
	var got []packets.Packet
	for {
		pk, err := c.read()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			c.tb.Fatal("the broker does not close the connection")
		}
		if err != nil {
			return got
		}
		got = append(got, pk)
	}
}

// ping makes sure that the broker has processed everything before.
func (c *raw) ping() {
	c.tb.Helper()
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	c.expect(packets.Pingresp)
}

func (c *raw) nextID() uint16 { c.lastID++; return c.lastID }

func (c *raw) subscribe(filter string, qos byte) packets.Packet {
	c.tb.Helper()
	c.sendSubscribe(filter, qos)
	return c.expect(packets.Suback)
}

func (c *raw) sendSubscribe(filter string, qos byte) {
	c.tb.Helper()
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: c.nextID(),
		Filters: packets.Subscriptions{{Filter: filter, Qos: qos}},
	})
}

func message(topic, payload string, qos byte) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic, Payload: []byte(payload),
	}
}

func retained(topic, payload string, qos byte) packets.Packet {
	pk := message(topic, payload, qos)
	pk.FixedHeader.Retain = true
	return pk
}

// publish sends a message and waits until the broker has taken charge of it.
func (c *raw) publish(pk packets.Packet) {
	c.tb.Helper()
	if pk.FixedHeader.Qos == 0 {
		c.send(pk)
		c.ping()
		return
	}
	pk.PacketID = c.nextID()
	c.send(pk)
	if pk.FixedHeader.Qos == 1 {
		c.expectAck(packets.Puback, pk.PacketID)
		return
	}
	c.expectAck(packets.Pubrec, pk.PacketID)
	c.sendAck(packets.Pubrel, pk.PacketID)
	c.expectAck(packets.Pubcomp, pk.PacketID)
}

func (c *raw) expectAck(kind byte, id uint16) {
	c.tb.Helper()
	pk := c.expect(kind)
	if pk.PacketID != id || pk.ReasonCode >= 0x80 {
		c.tb.Fatalf("%s for %d with %#x, want for %d", packets.PacketNames[kind], pk.PacketID, pk.ReasonCode, id)
	}
}

func (c *raw) sendAck(kind byte, id uint16) {
	c.tb.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}, PacketID: id}
	if kind == packets.Pubrel {
		pk.FixedHeader.Qos = 1
	}
	c.send(pk)
}

// disconnect leaves in order and waits until the broker has let go.
func (c *raw) disconnect() {
	c.tb.Helper()
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	c.expectEnd()
	_ = c.Close()
}

// eventually waits for a condition that no packet announces.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("never: %s", what)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// logBuffer collects a log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// contextUntilEOF is a context that ends when the reader does.
func contextUntilEOF(r io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx, cancel
}

// collector is a connection that keeps what is written.
type collector struct {
	net.Conn
	bytes []byte
}

func (c *collector) Write(p []byte) (int, error) {
	c.bytes = append(c.bytes, p...)
	return len(p), nil
}
