package main

import (
	"sync"

	"github.com/boomgate/boomgate/authhook"
)

// eventHub hands what the gate decides to whoever listens at the moment.
// A listener must not block: it is called by the connection concerned.
type eventHub struct {
	mu        sync.RWMutex
	listeners []func(authhook.Event)
}

func (h *eventHub) subscribe(listener func(authhook.Event)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = append(h.listeners, listener)
}

func (h *eventHub) publish(e authhook.Event) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, listener := range h.listeners {
		listener(e)
	}
}
