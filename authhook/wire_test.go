package authhook_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A wire is a client that says what it is told to, packet by packet, and sees every byte that comes back.
type wire struct {
	conn    net.Conn
	reader  *bufio.Reader
	version byte
}

// dial opens a connection, on which nothing is said yet.
func (g *gate) dial(tb testing.TB, version byte) *wire {
	tb.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		tb.Fatal(err)
	}
	return newWire(tb, conn, version)
}

func newWire(tb testing.TB, conn net.Conn, version byte) *wire {
	tb.Helper()
	tb.Cleanup(func() { _ = conn.Close() })
	return &wire{conn: conn, reader: bufio.NewReader(conn), version: version}
}

// connectPacket returns a CONNECT with the token as its password, for a session that stays.
func connectPacket(version byte, id, token string, change ...func(*packets.Packet)) packets.Packet {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version,
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: id, Keepalive: 60,
			UsernameFlag: true, Username: []byte("anything"), PasswordFlag: token != "", Password: []byte(token),
		},
	}
	if version == 3 {
		pk.Connect.ProtocolName = []byte("MQIsdp")
	}
	if version == 5 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
	}
	for _, c := range change {
		c(&pk)
	}
	return pk
}

func clean(pk *packets.Packet) { pk.Connect.Clean = true }

func withWill(topic string, qos byte, retain bool) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, topic, []byte("lost")
		pk.Connect.WillQos, pk.Connect.WillRetain = qos, retain
	}
}

// connect connects and returns the client and the CONNACK.
func (g *gate) connect(tb testing.TB, version byte, id, token string, change ...func(*packets.Packet)) (*wire, packets.Packet) {
	tb.Helper()
	w := g.dial(tb, version)
	w.send(tb, connectPacket(version, id, token, change...))
	return w, w.expect(tb, packets.Connack)
}

// enter connects a client that must be let in.
func (g *gate) enter(tb testing.TB, version byte, id, token string, change ...func(*packets.Packet)) *wire {
	tb.Helper()
	w, ack := g.connect(tb, version, id, token, change...)
	if ack.ReasonCode != 0 {
		tb.Fatalf("CONNACK 0x%02x, want success", ack.ReasonCode)
	}
	return w
}

func (w *wire) send(tb testing.TB, pk packets.Packet) {
	tb.Helper()
	if err := w.write(pk); err != nil {
		tb.Fatal(err)
	}
}

func (w *wire) write(pk packets.Packet) error {
	pk.ProtocolVersion = w.version
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
		pk.FixedHeader.Qos = 1
		err = pk.PubrelEncode(&buf)
	case packets.Pubcomp:
		err = pk.PubcompEncode(&buf)
	case packets.Subscribe:
		pk.FixedHeader.Qos = 1
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
		err = pk.UnsubscribeEncode(&buf)
	case packets.Auth:
		err = pk.AuthEncode(&buf)
	default:
		pk.FixedHeader.Encode(&buf)
	}
	if err != nil {
		return err
	}
	_, err = w.conn.Write(buf.Bytes())
	return err
}

// read returns the next packet from the server.
func (w *wire) read() (packets.Packet, error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(patience))
	first, err := w.reader.ReadByte()
	if err != nil {
		return packets.Packet{}, err
	}
	pk := packets.Packet{ProtocolVersion: w.version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	if pk.FixedHeader.Remaining, _, err = packets.DecodeLength(w.reader); err != nil {
		return pk, err
	}
	body := make([]byte, pk.FixedHeader.Remaining)
	if _, err := io.ReadFull(w.reader, body); err != nil {
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
	case packets.Auth:
		err = pk.AuthDecode(body)
	}
	return pk, err
}

// expect reads the next packet, which must be of this type.
func (w *wire) expect(tb testing.TB, packetType byte) packets.Packet {
	tb.Helper()
	pk, err := w.read()
	if err != nil {
		tb.Fatalf("reading a %s: %v", packets.PacketNames[packetType], err)
	}
	if pk.FixedHeader.Type != packetType {
		tb.Fatalf("received a %s (code 0x%02x, topic %q), want a %s", packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode, pk.TopicName,
			packets.PacketNames[packetType])
	}
	return pk
}

// expectMessage reads the next packet, which must be a message on this topic.
func (w *wire) expectMessage(tb testing.TB, topic string) packets.Packet {
	tb.Helper()
	pk := w.expect(tb, packets.Publish)
	if pk.TopicName != topic {
		tb.Fatalf("received a message on %q, want %q", pk.TopicName, topic)
	}
	return pk
}

// expectDisconnect waits for the end of the connection: with this reason code in MQTT 5.0, in silence before.
func (w *wire) expectDisconnect(tb testing.TB, code byte) packets.Packet {
	tb.Helper()
	var pk packets.Packet
	if w.version == 5 {
		pk = w.expect(tb, packets.Disconnect)
		if pk.ReasonCode != code {
			tb.Fatalf("DISCONNECT 0x%02x, want 0x%02x", pk.ReasonCode, code)
		}
	}
	w.expectClosed(tb)
	return pk
}

// expectClosed waits for the end of the connection.
func (w *wire) expectClosed(tb testing.TB) {
	tb.Helper()
	pk, err := w.read()
	var timeout net.Error
	switch {
	case err == nil:
		tb.Fatalf("received a %s (code 0x%02x), want the end of the connection", packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode)
	case errors.As(err, &timeout) && timeout.Timeout():
		tb.Fatal("the connection is still open")
	}
}

// ping makes sure that the server has dealt with everything that was sent before, and had nothing to say about it.
func (w *wire) ping(tb testing.TB) {
	tb.Helper()
	w.send(tb, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	w.expect(tb, packets.Pingresp)
}

// message returns a PUBLISH; above QoS 0 its packet identifier is 10 + qos.
func message(topic string, qos byte, retain bool) packets.Packet {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Retain: retain}, TopicName: topic, Payload: []byte("payload"),
	}
	if qos > 0 {
		pk.PacketID = 10 + uint16(qos)
	}
	return pk
}

// publish publishes and goes through the exchange of the QoS, with the reason code of the first answer.
func (w *wire) publish(tb testing.TB, topic string, qos byte, retain bool) byte {
	tb.Helper()
	pk := message(topic, qos, retain)
	w.send(tb, pk)
	return w.finishPublish(tb, pk)
}

func (w *wire) finishPublish(tb testing.TB, pk packets.Packet) byte {
	tb.Helper()
	switch pk.FixedHeader.Qos {
	case 0:
		w.ping(tb)
		return 0
	case 1:
		ack := w.expect(tb, packets.Puback)
		if ack.PacketID != pk.PacketID {
			tb.Fatalf("PUBACK for %d, want %d", ack.PacketID, pk.PacketID)
		}
		return ack.ReasonCode
	}
	ack := w.expect(tb, packets.Pubrec)
	if ack.PacketID != pk.PacketID {
		tb.Fatalf("PUBREC for %d, want %d", ack.PacketID, pk.PacketID)
	}
	if ack.ReasonCode < 0x80 {
		w.send(tb, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pubrel}, PacketID: pk.PacketID})
		if done := w.expect(tb, packets.Pubcomp); done.PacketID != pk.PacketID {
			tb.Fatalf("PUBCOMP for %d, want %d", done.PacketID, pk.PacketID)
		}
	}
	return ack.ReasonCode
}

// subscribe subscribes at QoS 2 and returns the codes of the SUBACK.
func (w *wire) subscribe(tb testing.TB, filters ...string) []byte {
	tb.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 99}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: 2})
	}
	w.send(tb, pk)
	return w.expect(tb, packets.Suback).ReasonCodes
}

// mustSubscribe subscribes to filters that are granted.
func (w *wire) mustSubscribe(tb testing.TB, filters ...string) {
	tb.Helper()
	for i, code := range w.subscribe(tb, filters...) {
		if code > 2 {
			tb.Fatalf("SUBACK 0x%02x for %q, want success", code, filters[i])
		}
	}
}
