package devicesim_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
)

// wire gives the two ends of a connection without a network. It buffers as a network does: what one end writes, the other need
// not read at once.
func wire() (near, far net.Conn) {
	near, a := net.Pipe()
	b, far := net.Pipe()
	go carry(a, b)
	go carry(b, a)
	return near, far
}

// carry moves bytes until one of the ends is closed.
func carry(from, to net.Conn) {
	parts := make(chan []byte, 1024)
	go func() {
		for part := range parts {
			if _, err := to.Write(part); err != nil {
				from.Close()
			}
		}
		to.Close()
	}()
	defer close(parts)
	for {
		part := make([]byte, 1024)
		n, err := from.Read(part)
		if err != nil {
			return
		}
		parts <- part[:n]
	}
}

// silent dials a broker that reads everything and never answers.
func silent(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	return near, nil
}

// freezing is a connection that swallows everything, both ways, while the flag is set.
type freezing struct {
	net.Conn

	frozen *atomic.Bool
}

func (f freezing) Read(p []byte) (int, error) {
	for {
		n, err := f.Conn.Read(p)
		if err != nil || !f.frozen.Load() {
			return n, err
		}
	}
}

func (f freezing) Write(p []byte) (int, error) {
	if f.frozen.Load() {
		return len(p), nil
	}
	return f.Conn.Write(p)
}
