package authhook_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// TestS7_NothingGoesWrongInAStorm lets clients connect, publish, receive and be closed at the same time. It is for the race detector;
// and no reader may ever see what it must not.
func TestS7_NothingGoesWrongInAStorm(t *testing.T) {
	t.Parallel()
	g := openGate(t, besidePermitAll)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup

	for _, id := range []string{"writer-1", "writer-2"} {
		w := g.enter(t, 5, id, g.token(t, id, "pub:open/#"))
		context.AfterFunc(ctx, func() { _ = w.conn.Close() })
		wg.Go(func() { // its answers
			for {
				if _, err := w.read(); err != nil {
					return
				}
			}
		})
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				// Not retained: mochi has a data race of its own between retaining and subscribing.
				if w.write(message([]string{"open/x", "secret/x", "open/y"}[i%3], byte(i%2), false)) != nil {
					return
				}
			}
		})
	}
	var closers sync.WaitGroup
	for r := range 3 {
		id := fmt.Sprint("reader-", r)
		token := g.token(t, id, "sub:open/#")
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := g.readAsReader(ctx, byte(4+r%2), id, token); err != nil {
					t.Error(err)
				}
			}
		})
		closers.Go(func() {
			for range 40 {
				g.hook.Close(id, "storm")
				g.revoke(id)
				g.rejudge(id)
				g.hook.Sessions()
				g.server.Topics.Subscribe(id, packets.Subscription{Filter: "secret/#", Qos: 1})
				g.say(t, "open/z", "secret/z")
			}
		})
	}
	closers.Wait()
	cancel()
	wg.Wait()
}

// readAsReader connects and reads until it is closed, or has had enough. Its error is a message that it should not have seen.
func (g *gate) readAsReader(ctx context.Context, version byte, id, token string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", g.addr)
	if err != nil {
		return nil // the test is over
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	w := &wire{conn: conn, reader: bufio.NewReader(conn), version: version}
	subscribe := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "open/#", Qos: 1}},
	}
	if w.write(connectPacket(version, id, token, clean)) != nil || w.write(subscribe) != nil {
		return nil
	}
	for range 200 {
		pk, err := w.read()
		if err != nil {
			return nil // it was closed
		}
		if pk.FixedHeader.Type == packets.Publish && pk.TopicName[:4] != "open" {
			return fmt.Errorf("%s received a message on %q", id, pk.TopicName)
		}
	}
	return nil
}
