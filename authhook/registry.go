package authhook

import (
	"slices"
	"strings"
	"sync"
)

// A registry holds the connected sessions. mochi's own list can lose a client that reconnects quickly; this one loses none.
type registry struct {
	mu       sync.RWMutex
	byClient map[string]map[*session]struct{} // by client ID of the token
	byMQTTID map[string][]*session            // usually one; more while a session is being taken over
}

// add registers a session under its client, so that CloseClient finds it while it is still connecting.
func (r *registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byClient[s.clientID] == nil {
		r.byClient[s.clientID] = make(map[*session]struct{}, 1)
	}
	r.byClient[s.clientID][s] = struct{}{}
}

// claim registers a session under its MQTT client ID, unless its connection is gone already or another client that is connected
// under that ID has as good a right to it.
func (r *registry) claim(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.is(offline) {
		return false
	}
	for _, other := range r.byMQTTID[s.mqttID] {
		if other.clientID != s.clientID && !other.is(ended) && !outranks(s.clientID, other.clientID, s.mqttID) {
			return false
		}
	}
	r.byMQTTID[s.mqttID] = append(r.byMQTTID[s.mqttID], s)
	return true
}

func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byClient[s.clientID], s)
	if len(r.byClient[s.clientID]) == 0 {
		delete(r.byClient, s.clientID)
	}
	rest := slices.DeleteFunc(r.byMQTTID[s.mqttID], func(other *session) bool { return other == s })
	if len(rest) == 0 {
		delete(r.byMQTTID, s.mqttID)
	} else {
		r.byMQTTID[s.mqttID] = rest
	}
}

// ofClient returns the sessions of a client, also those that are still connecting.
func (r *registry) ofClient(clientID string) []*session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	found := make([]*session, 0, len(r.byClient[clientID]))
	for s := range r.byClient[clientID] {
		found = append(found, s)
	}
	return found
}

// withMQTTID returns the sessions under an MQTT client ID, also those that are still connecting.
func (r *registry) withMQTTID(id string) []*session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.byMQTTID[id])
}

// connected returns the established sessions, ordered by MQTT client ID.
func (r *registry) connected() []*session {
	r.mu.RLock()
	var found []*session
	for _, sessions := range r.byMQTTID {
		for _, s := range sessions {
			if s.is(established) && !s.is(ended|offline) {
				found = append(found, s)
			}
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(found, func(a, b *session) int { return strings.Compare(a.mqttID, b.mqttID) })
	return found
}
