package broker_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/broker"
)

// target is a broker that is fuzzed through its listener.
type target struct{ *running }

// newTarget starts a broker; when the fuzzing ends, nothing of it may be left running.
func newTarget(f *testing.F) target {
	f.Helper()
	f.Cleanup(func() {
		eventually(f, "every goroutine has ended", func() bool {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			return !bytes.Contains(stacks, []byte("boomgate/broker.(")) && !bytes.Contains(stacks, []byte("mochi-mqtt/server/v2.("))
		})
	})
	log := &logBuffer{}
	r := start(f, func(s *setup) {
		s.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	},
		limits(broker.Limits{
			ConnectTimeout: time.Second, KickTimeout: 20 * time.Millisecond, MaxPacketSize: 16 << 10, MaxQueueBytes: 64 << 10,
		}))
	r.log = log
	return target{r}
}

func (r target) dial(t *testing.T) *raw {
	c := dialTCP(t, r.addr())
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return &raw{Conn: c, tb: t, version: 4}
}

// connect opens a connection that CONNECT is answered on, with whatever answer.
func (r target) connect(t *testing.T, id string, options ...with) *raw {
	c := r.dial(t)
	c.connect(id, options...)
	return c
}

// drain reads until the broker ends the connection. All that it sends is well-formed.
func (c *raw) drain() {
	c.tb.Helper()
	half, _ := c.Conn.(*net.TCPConn)
	_ = half.CloseWrite()
	for {
		_, err := c.read()
		var wrong packets.Code
		var timeout net.Error
		switch {
		case errors.As(err, &wrong):
			c.tb.Fatalf("the broker sent a malformed packet: %v", err)
		case errors.As(err, &timeout) && timeout.Timeout():
			c.tb.Fatal("the broker does not close the connection")
		case err != nil:
			_ = c.Close()
			return
		}
	}
}

// expectNothing ends the sessions that may outlive their connections; after that the broker knows of nobody.
func (r target) expectNothing(t *testing.T) {
	t.Helper()
	eventually(t, "the connections are gone", func() bool {
		connections, _ := r.Remains()
		return connections == 0
	})
	for _, cl := range r.Server().Clients.GetAll() {
		r.ExpireLate(cl)
	}
	if _, sessions := r.Remains(); sessions != 0 {
		t.Errorf("%d sessions are left", sessions)
	}
	for _, owner := range []string{"owner-of-a", "owner-of-b"} {
		_, err := r.RemoveRetained(t.Context(), owner)
		must(t, err)
		if n := r.RetainedBy(owner); n != 0 {
			t.Errorf("%d retained messages are left", n)
		}
	}
	if log := r.log.String(); strings.Contains(log, "panic") {
		t.Errorf("something has panicked: %s", log)
	}
}

// FuzzPacketsIntoTheListener sends arbitrary bytes over an accepted connection.
func FuzzPacketsIntoTheListener(f *testing.F) {
	for _, bad := range badPackets {
		f.Add(true, []byte(bad.packet))
	}
	for _, good := range []string{
		"\x82\x07\x00\x09\x00\x00\x01#\x02" + "\x33\x07\x00\x01a\x00\x01\x00x" + "\x40\x02\x00\x01" + "\xC0\x00",
		"\x34\x06\x00\x01a\x00\x01\x00" + "\x62\x02\x00\x01" + "\x50\x02\x00\x01" + "\x70\x02\x00\x01",
		"\x82\x0d\x00\x09\x02\x0b\x07\x00\x06$share\x00" + "\xA2\x06\x00\x0a\x00\x00\x01a" + "\xE0\x00",
		"\x30\x07\x00\x01a\x03\x23\x00\x01" + "\x30\x06\x00\x00\x03\x23\x00\x01" + "\xF0\x02\x19\x00",
		"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00",
	} {
		f.Add(true, []byte(good))
	}
	f.Add(false, []byte("\x82\x06\x00\x09\x00\x01#\x02"+"\x33\x05\x00\x01a\x00\x01"+"\xE0\x00"))
	r := newTarget(f)
	f.Fuzz(func(t *testing.T, five bool, stream []byte) {
		c := r.connect(t, "a", func(pk *packets.Packet) {
			if five {
				pk.ProtocolVersion = 5
			}
		}, will("will", "lost", 1))
		_, _ = c.Write(stream) // the broker may close at any byte
		c.drain()
		r.expectNothing(t)
	})
}

// FuzzConnectSequences lets two clients come, go and take each other over, among other sockets with arbitrary CONNECTs.
func FuzzConnectSequences(f *testing.F) {
	const connect = "\x10\x15\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x00\x00\x01u\x00\x01p"
	f.Add([]byte{0, 1, 8, 9, 0, 1}, []byte(connect))
	f.Add([]byte{2, 10, 6, 2, 12, 4, 10, 2}, []byte(connect[:9]))
	f.Add([]byte{3, 11, 3, 11, 7, 3, 13, 5, 3, 15}, []byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"))
	f.Add([]byte{4, 14, 4, 14, 4}, []byte("\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00"))
	r := newTarget(f)
	f.Fuzz(func(t *testing.T, steps, connect []byte) {
		for _, stream := range [][]byte{connect, append([]byte{0x10, 0x20}, connect...)} {
			c := r.dial(t)
			_, _ = c.Write(stream)
			c.version = 5
			c.drainQuietly()
		}
		var clients [2]*raw
		defer func() {
			for _, c := range clients {
				if c != nil {
					_ = c.Close()
				}
			}
			r.expectNothing(t)
		}()
		for _, step := range steps[:min(len(steps), 24)] {
			who := step & 1
			clients[who] = r.step(t, clients[who], []string{"a", "b"}[who], step>>1)
		}
	})
}

// drainQuietly is drain for a socket of which it is not known which version the broker takes it for.
func (c *raw) drainQuietly() {
	half, _ := c.Conn.(*net.TCPConn)
	_ = half.CloseWrite()
	_, _ = io.Copy(io.Discard, c.Conn)
	_ = c.Close()
}

// step lets a client do one thing and gives the connection that it has then.
func (r target) step(t *testing.T, c *raw, id string, what byte) *raw {
	switch what % 8 {
	case 0:
		return r.connect(t, id)
	case 1:
		return r.connect(t, id, kept, will("will/"+id, id, 1))
	case 2:
		return r.connect(t, id, v5, kept, will("will/"+id, id, 2), delay(1), receiveMaximum(1))
	case 3:
		return r.connect(t, id, v5, will("will/"+id, "", 0))
	}
	if c == nil {
		return nil
	}
	switch what % 8 {
	case 4: // it may have been closed already; so may it be below
		_ = c.Close()
		return nil
	case 5:
		_ = c.trySend(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	case 6:
		_ = c.trySend(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: c.nextID(),
			Filters: packets.Subscriptions{{Filter: "#", Qos: 2}},
		})
		pk := retained("state/"+id, "x", 1)
		pk.PacketID = c.nextID()
		_ = c.trySend(pk)
	case 7:
		_ = c.trySend(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}})
	}
	return c
}
