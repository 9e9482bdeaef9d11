package harness

import (
	"math/rand/v2"
	"net"
	"testing"
)

// DialAsStranger opens a connection from a loopback address that hardly anybody has had: an address from which too much was tried is
// answered otherwise than the first time.
func DialAsStranger(tb testing.TB, addr string, version byte) *Wire {
	tb.Helper()
	return DialFrom(tb, StrangeAddress(tb), addr, version)
}

// DialFrom opens a connection from a loopback address.
func DialFrom(tb testing.TB, from net.IP, addr string, version byte) *Wire {
	tb.Helper()
	dialer := net.Dialer{Timeout: Patience, LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := dialer.DialContext(tb.Context(), "tcp", addr)
	Must(tb, err)
	return newWire(tb, conn, version)
}

// StrangeAddress is a loopback address that hardly anybody has had: Linux has all of 127.0.0.0/8, other systems have one address for
// everybody.
func StrangeAddress(tb testing.TB) net.IP {
	tb.Helper()
	address := net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(256)), byte(1+rand.IntN(250)))
	l, err := net.Listen("tcp", net.JoinHostPort(address.String(), "0"))
	if err != nil {
		return net.IPv4(127, 0, 0, 1)
	}
	Must(tb, l.Close())
	return address
}
