package provisioning

import (
	"context"
	"slices"
	"sync"
)

// turns hands out one turn per name at a time, so that writers of one record in
// this process wait for each other rather than collide.
type turns struct {
	mu    sync.Mutex
	names map[string]*turn
}

type turn struct {
	free    chan struct{} // holds one token while nobody has the turn
	waiting int           // who has the turn or waits for it
}

// take waits for the turn of a name and returns the function that gives it back.
func (t *turns) take(ctx context.Context, name string) (giveBack func(), err error) {
	t.mu.Lock()
	if t.names == nil {
		t.names = map[string]*turn{}
	}
	n := t.names[name]
	if n == nil {
		n = &turn{free: make(chan struct{}, 1)}
		n.free <- struct{}{}
		t.names[name] = n
	}
	n.waiting++
	t.mu.Unlock()

	select {
	case <-n.free:
		return func() { n.free <- struct{}{}; t.leave(name, n) }, nil
	case <-ctx.Done():
		t.leave(name, n)
		return nil, ctx.Err()
	}
}

// takeAll waits for several turns, each in the same order as everybody else, and
// returns the function that gives all of them back.
func (t *turns) takeAll(ctx context.Context, names []string) (giveBack func(), err error) {
	var taken []func()
	giveBack = func() {
		for _, giveOneBack := range taken {
			giveOneBack()
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		giveOneBack, err := t.take(ctx, name)
		if err != nil {
			giveBack()
			return nil, err
		}
		taken = append(taken, giveOneBack)
	}
	return giveBack, nil
}

func (t *turns) leave(name string, n *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.waiting--; n.waiting == 0 {
		delete(t.names, name)
	}
}
