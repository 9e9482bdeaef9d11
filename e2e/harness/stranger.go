package harness

import (
	"math/rand/v2"
	"net"
	"testing"
)

// DialAsStranger opens a connection from a loopback address of its own, where the system has more than one: an address from which
// too much was tried is answered otherwise than the first time.
func DialAsStranger(tb testing.TB, addr string, version byte) *Wire {
	tb.Helper()
	conn, err := dialFrom(tb, stranger(), addr)
	if err != nil { // Linux lends the whole of 127.0.0.0/8, others one address
		return Dial(tb, addr, version)
	}
	return newWire(tb, conn, version)
}

// DialFrom opens a connection from a loopback address: of 127.0.0.0/8, on a system that has all of it.
func DialFrom(tb testing.TB, from net.IP, addr string, version byte) *Wire {
	tb.Helper()
	conn, err := dialFrom(tb, from, addr)
	Must(tb, err)
	return newWire(tb, conn, version)
}

func dialFrom(tb testing.TB, from net.IP, addr string) (net.Conn, error) {
	tb.Helper()
	dialer := net.Dialer{Timeout: Patience, LocalAddr: &net.TCPAddr{IP: from}}
	return dialer.DialContext(tb.Context(), "tcp", addr)
}

// stranger is a loopback address that hardly anybody has had.
func stranger() net.IP {
	return net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(256)), byte(1+rand.IntN(250)))
}

// StrangeAddress is a loopback address that hardly anybody has had, where the system has more than one.
func StrangeAddress(tb testing.TB) net.IP {
	tb.Helper()
	ip := stranger()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip})
	if err != nil {
		return net.IPv4(127, 0, 0, 1)
	}
	Must(tb, l.Close())
	return ip
}
