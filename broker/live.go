package broker

import (
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// live knows which connection holds a client ID. mochi's own table can lose a
// client that reconnects while its old connection is being cleaned up.
type live struct {
	mu   sync.Mutex
	byID map[string]*peer
}

func newLive() *live { return &live{byID: map[string]*peer{}} }

// takeOver makes p the holder of the client ID (MQTT 5 §3.1.4). A connection
// that held it is ended, and takeOver returns when everything of it is cleaned
// up. That holds for a p that has itself been taken over meanwhile, too: if it ran
// ahead, its successor would not wait for those before it, and one of them could
// have mochi throw the successor out.
func (l *live) takeOver(id string, p *peer) {
	l.mu.Lock()
	old := l.byID[id]
	l.byID[id] = p
	l.mu.Unlock()
	if old == nil {
		return
	}
	old.kick(packets.ErrSessionTakenOver)
	<-old.done
}

// holder is the connection that holds the client ID, or nil.
func (l *live) holder(id string) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

func (l *live) remove(id string, p *peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[id] == p {
		delete(l.byID, id)
	}
}
