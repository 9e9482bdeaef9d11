package soak_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/boomgate/boomgate/e2e/harness"
)

// A stranger has no token, or does not behave.
type stranger struct {
	world  *world
	random *rand.Rand
}

// halfOpen is how many sockets a stranger holds without a word.
const halfOpen = 30

// pester sends what nobody should, from addresses of its own, and waits each time until the server has closed the connection.
func (s *stranger) pester(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := s.dial(ctx)
		if err != nil {
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(harness.Patience))
		_, _ = conn.Write(s.garbage()) // the server may have closed already
		s.expectClosed(ctx, conn, "garbage")
	}
}

// besiege holds sockets that never say who they are.
func (s *stranger) besiege(ctx context.Context) {
	for ctx.Err() == nil {
		var held []net.Conn
		for range halfOpen {
			conn, err := s.dial(ctx)
			if err != nil {
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(harness.Patience))
			if s.random.IntN(2) == 0 {
				_, _ = conn.Write([]byte{0x10}) // the beginning of a CONNECT
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			s.expectClosed(ctx, conn, "half-open socket")
		}
	}
}

// expectClosed reads until the server ends the connection; at the end of the soak it does not wait for that.
func (s *stranger) expectClosed(ctx context.Context, conn net.Conn, what string) {
	defer conn.Close()
	forget := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer forget()
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		s.world.faultf("the server does not close a connection: %s", what)
	}
	s.world.saw(what)
}

// dial opens a connection from a loopback address that hardly anybody has, on systems with more than one.
func (s *stranger) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: harness.Patience, LocalAddr: &net.TCPAddr{
		IP: net.IPv4(127, byte(1+s.random.IntN(250)), byte(s.random.IntN(256)), byte(1+s.random.IntN(250))),
	}}
	if conn, err := dialer.DialContext(ctx, "tcp", s.world.MQTT); err == nil {
		return conn, nil
	}
	return s.world.dial(ctx, false)
}

// garbage is something that no client may send.
func (s *stranger) garbage() []byte {
	version := harness.Versions[s.random.IntN(2)]
	connect := harness.Hello{ID: s.world.clients[0].id, Password: strings.Repeat("x", s.random.IntN(2000))}.Encode(version)
	noise := make([]byte, s.random.IntN(500))
	for i := range noise {
		noise[i] = byte(s.random.IntN(256))
	}
	switch s.random.IntN(6) {
	case 0:
		return noise
	case 1:
		return append(connect, noise...) // of a client with a bad token
	case 2:
		return connect[:s.random.IntN(len(connect))]
	case 3:
		return append([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, noise...) // 256 MiB are to follow
	case 4:
		return harness.Message{Topic: "plant/north/x/state", Payload: "x"}.Encode(version, 1)
	default:
		connect[s.random.IntN(len(connect))] ^= byte(1 + s.random.IntN(255))
		return connect
	}
}

// stall connects as a reader of everything that does not read for a while.
func (d *device) stall(ctx context.Context) {
	for ctx.Err() == nil {
		if d.token == nil {
			d.token = d.world.fetch(ctx, d.client)
			continue
		}
		l := d.connectWith(ctx, func(l *link) harness.Hello {
			return harness.Hello{ID: d.id, Password: d.token.text, Keep: l.number%2 == 0}
		})
		if l == nil {
			continue
		}
		if tcp, ok := l.conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4096)
		}
		l.forgiven.Store(true)
		d.asks("plant/#")
		_ = l.write(harness.EncodeSubscribe(l.version, 1, byte(d.random.IntN(3)), "plant/#"))
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(1+d.random.IntN(4)) * time.Second):
		}
		d.world.saw("stuck reader")
		go l.read()
		d.part(l)
	}
}
