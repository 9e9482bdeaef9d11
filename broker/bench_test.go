package broker_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// bare runs mochi without anything of ours, to compare with. It is not closed:
// that may hang.
func bare(b *testing.B) string {
	b.Helper()
	server := mqtt.New(&mqtt.Options{Logger: silent()})
	must(b, server.AddHook(&allow{}, nil))
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	must(b, server.AddListener(listener))
	must(b, server.Serve())
	return listener.Address()
}

func quietly(s *setup) { s.Logger = silent() }

// brokers runs a benchmark against this broker, with and without a store, and against bare mochi.
func brokers(b *testing.B, bench func(b *testing.B, addr string)) {
	b.Helper()
	b.Run("ours", func(b *testing.B) { bench(b, start(b, quietly).addr()) })
	b.Run("stored", func(b *testing.B) { bench(b, start(b, quietly, dataDir(b.TempDir())).addr()) })
	b.Run("bare", func(b *testing.B) { bench(b, bare(b)) })
}

// plain connects a client without patience.
func plain(b *testing.B, addr, id string, options ...with) *raw {
	b.Helper()
	c := &raw{Conn: dialTCP(b, addr), tb: b, version: 4}
	b.Cleanup(func() { _ = c.Close() })
	c.connect(id, options...)
	return c
}

// BenchmarkDeliver measures a message from one client to another; up to 64 are on their way.
func BenchmarkDeliver(b *testing.B) {
	benchmarkDeliver(b)
}

// BenchmarkDeliverToSession is the same to a session that outlives its connection: with a store every message of QoS 1 is kept.
func BenchmarkDeliverToSession(b *testing.B) {
	benchmarkDeliver(b, kept)
}

func benchmarkDeliver(b *testing.B, readerOptions ...with) {
	b.Helper()
	for _, qos := range []byte{0, 1} {
		b.Run(fmt.Sprint("QoS", qos), func(b *testing.B) {
			brokers(b, func(b *testing.B, addr string) {
				b.Helper()
				reader, writer := plain(b, addr, "reader", readerOptions...), plain(b, addr, "writer")
				reader.subscribe("bench", qos)
				deliver(b, reader, writer, qos)
			})
		})
	}
}

func deliver(b *testing.B, reader, writer *raw, qos byte) {
	b.Helper()
	pk := message("bench", "0123456789012345678901234567890123456789", qos)
	pk.PacketID, pk.ProtocolVersion = 1, 4
	var wire bytes.Buffer
	must(b, pk.PublishEncode(&wire))
	window := make(chan struct{}, 64)
	go func() { _, _ = io.Copy(io.Discard, writer) }()
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			window <- struct{}{}
			if _, err := writer.Write(wire.Bytes()); err != nil {
				return
			}
		}
	}()
	in := bufio.NewReader(reader)
	for range b.N {
		id := skipMessage(b, in)
		if qos > 0 {
			_, err := reader.Write([]byte{0x40, 2, byte(id >> 8), byte(id)})
			must(b, err)
		}
		<-window
	}
}

// skipMessage reads a small PUBLISH of one byte's length and gives its identifier.
func skipMessage(b *testing.B, in *bufio.Reader) uint16 {
	b.Helper()
	header, err := in.Peek(11)
	must(b, err)
	id := uint16(header[9])<<8 | uint16(header[10])
	_, err = in.Discard(2 + int(header[1]))
	must(b, err)
	return id
}

// BenchmarkConnect measures a connection from its SYN to its end.
func BenchmarkConnect(b *testing.B) {
	brokers(b, func(b *testing.B, addr string) {
		b.Helper()
		connect := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Connect}, Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), Clean: true, Keepalive: 60, ClientIdentifier: "bench",
		}}
		var wire bytes.Buffer
		must(b, connect.ConnectEncode(&wire))
		b.ReportAllocs()
		for b.Loop() {
			c, err := net.Dial("tcp", addr)
			must(b, err)
			_, err = c.Write(wire.Bytes())
			must(b, err)
			_, err = io.ReadFull(c, make([]byte, 4))
			must(b, err)
			_, err = c.Write([]byte{0xE0, 0})
			must(b, err)
			_, _ = io.Copy(io.Discard, c)
			must(b, c.Close())
		}
	})
}

// BenchmarkRetain measures a retained QoS 1 message from its PUBLISH to its PUBACK.
func BenchmarkRetain(b *testing.B) {
	brokers(b, func(b *testing.B, addr string) {
		b.Helper()
		c := plain(b, addr, "c")
		pk := retained("state", "0123456789012345678901234567890123456789", 1)
		pk.PacketID, pk.ProtocolVersion = 1, 4
		var wire bytes.Buffer
		must(b, pk.PublishEncode(&wire))
		ack := make([]byte, 4)
		b.ReportAllocs()
		for b.Loop() {
			_, err := c.Write(wire.Bytes())
			must(b, err)
			_, err = io.ReadFull(c, ack)
			must(b, err)
		}
	})
}
