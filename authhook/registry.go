package authhook

import (
	"slices"
	"strings"
	"sync"
)

// A registry holds all sessions: those that are still connecting, the connected ones, and those that mochi keeps for their clients'
// return. mochi's own list can lose a client that reconnects quickly; this one loses none.
type registry struct {
	mu       sync.RWMutex
	byOwner  map[string]map[*session]struct{}
	byMQTTID map[string][]*session // usually one; more while a session is being taken over
}

func newRegistry() registry {
	return registry{byOwner: make(map[string]map[*session]struct{}), byMQTTID: make(map[string][]*session)}
}

// add registers a session under its owner, so that it is found while it is still connecting.
func (r *registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(s)
}

func (r *registry) addLocked(s *session) {
	if r.byOwner[s.owner] == nil {
		r.byOwner[s.owner] = make(map[*session]struct{}, 1)
	}
	r.byOwner[s.owner][s] = struct{}{}
}

func (r *registry) addMQTTIDLocked(s *session) {
	if !slices.Contains(r.byMQTTID[s.mqttID], s) {
		r.byMQTTID[s.mqttID] = append(r.byMQTTID[s.mqttID], s)
	}
}

// claim registers a session under its MQTT client ID, unless its connection is gone already or another client that is connected
// under that ID has as good a right to it.
func (r *registry) claim(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.is(offline) || r.takenLocked(s.principal, s.mqttID) {
		return false
	}
	r.addMQTTIDLocked(s)
	return true
}

// taken reports whether another client is connected under an MQTT client ID that has as good a right to it as this one.
func (r *registry) taken(p principal, mqttID string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.takenLocked(p, mqttID)
}

func (r *registry) takenLocked(p principal, mqttID string) bool {
	return slices.ContainsFunc(r.byMQTTID[mqttID], func(other *session) bool {
		return other.owner != p.owner && !other.is(ended|offline) && !p.outranks(other.principal, mqttID)
	})
}

// enter notes that mochi takes a session over: from now on it stays when its connection is gone.
func (r *registry) enter(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.raise(entered)
	r.addLocked(s)
	r.addMQTTIDLocked(s)
}

// keep returns the session that stands for the same mochi client, or registers this one.
func (r *registry) keep(s *session) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.byMQTTID[s.mqttID], func(other *session) bool { return other.client == s.client }); i >= 0 {
		return r.byMQTTID[s.mqttID][i]
	}
	r.addLocked(s)
	r.addMQTTIDLocked(s)
	return s
}

// leave removes a session whose connection is gone, unless mochi has taken it over.
func (r *registry) leave(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.is(entered) {
		r.removeLocked(s)
	}
}

// sweep removes the sessions under an MQTT client ID of which this is true.
func (r *registry) sweep(mqttID string, gone func(*session) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range slices.Clone(r.byMQTTID[mqttID]) {
		if gone(s) {
			r.removeLocked(s)
		}
	}
}

func (r *registry) removeLocked(s *session) {
	delete(r.byOwner[s.owner], s)
	if len(r.byOwner[s.owner]) == 0 {
		delete(r.byOwner, s.owner)
	}
	rest := slices.DeleteFunc(r.byMQTTID[s.mqttID], func(other *session) bool { return other == s })
	if len(rest) == 0 {
		delete(r.byMQTTID, s.mqttID)
	} else {
		r.byMQTTID[s.mqttID] = rest
	}
}

// meant returns the sessions of a selection. Those of one client are found without looking at any other.
func (r *registry) meant(sel Selection) []*session {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*session
	look := func(sessions map[*session]struct{}) {
		for s := range sessions {
			if sel.means(s) {
				found = append(found, s)
			}
		}
	}
	if sel.ClientID != "" {
		look(r.byOwner[newPrincipal(sel.Issuer, sel.ClientID).owner])
		return found
	}
	for _, sessions := range r.byOwner {
		look(sessions)
	}
	return found
}

// withMQTTID returns the sessions under an MQTT client ID.
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
