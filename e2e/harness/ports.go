package harness

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Ports that systems do not give to outgoing connections: a server that restarts finds its own still free. They come in blocks, since
// the tests of several packages run at the same time, each in a process of its own: a port that one has found free is still free
// when its server takes it.
const (
	firstPort = 20_000
	blockSize = 1_000
	blocks    = 12
)

// portBlock is the block of ports of this process.
type portBlock struct {
	first int
	last  atomic.Int64 // counts those that were given
	lock  net.Listener // on the first port, for as long as the process lives
}

// takeBlock finds a block that no other process has.
var takeBlock = sync.OnceValues(func() (*portBlock, error) {
	for i := range blocks {
		first := firstPort + i*blockSize
		if lock, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first)); err == nil {
			return &portBlock{first: first, lock: lock}, nil
		}
	}
	return nil, errors.New("no block of ports is free")
})

// FreeAddr is a loopback address that nobody listens on and no other test gets.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	block, err := takeBlock()
	Must(tb, err)
	for range blockSize {
		addr := fmt.Sprintf("127.0.0.1:%d", block.first+1+int(block.last.Add(1))%(blockSize-1))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		Must(tb, l.Close())
		return addr
	}
	tb.Fatal("no port is free")
	return ""
}
