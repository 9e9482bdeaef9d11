package broker

import "sync"

// serving is the set of open connections.
type serving struct {
	mu      sync.Mutex
	stopped bool
	peers   map[*peer]struct{}
	idle    chan struct{} // closed when stopped and empty
}

func newServing() *serving {
	return &serving{peers: map[*peer]struct{}{}, idle: make(chan struct{})}
}

// open reports whether connections are admitted.
func (s *serving) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.stopped
}

// add admits a connection; not when the broker is stopping.
func (s *serving) add(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.peers[p] = struct{}{}
	return true
}

func (s *serving) remove(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
	s.checkIdleLocked()
}

// stop admits no more connections and gives those that are open.
func (s *serving) stop() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make([]*peer, 0, len(s.peers))
	for p := range s.peers {
		open = append(open, p)
	}
	if !s.stopped {
		s.stopped = true
		s.checkIdleLocked()
	}
	return open
}

func (s *serving) checkIdleLocked() {
	if !s.stopped || len(s.peers) > 0 {
		return
	}
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}
