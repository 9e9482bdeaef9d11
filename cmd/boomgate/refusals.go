package main

import (
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/boomgate/boomgate/authhook"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
	"github.com/boomgate/boomgate/provisioning/oauth"
)

const (
	// refusalsEach is how many refusals are remembered of one client.
	refusalsEach = 8
	// refusedClients is of how many clients: those that were refused last.
	refusedClients = 10_000
)

// refusals remembers why clients were last refused, for `boomgate explain --last`. It is bounded, and lost with the process. What
// somebody only claimed to be is kept apart, so that no stranger pushes out what is known for certain.
type refusals struct {
	verified, claimed *refusalLog
}

func newRefusals() *refusals {
	return &refusals{verified: newRefusalLog(), claimed: newRefusalLog()}
}

// of returns the refusals of a client, latest first.
func (l *refusals) of(clientID string) []fleetapi.Refusal {
	found := append(l.verified.of(clientID), l.claimed.of(clientID)...)
	slices.SortStableFunc(found, func(a, b fleetapi.Refusal) int { return b.Time.Compare(a.Time) })
	return found
}

// seeDecision remembers what the gate refused: under the client ID of the token or, where no token proved one, the MQTT client ID.
func (l *refusals) seeDecision(e authhook.Event) {
	if e.Allowed || e.Kind == authhook.KindDeliver {
		return
	}
	l.add(firstOf(e.ClientID, e.MQTTClientID), fleetapi.Refusal{
		Time: e.Time, Kind: string(e.Kind), Rule: e.Rule, ReasonCode: int(e.ReasonCode), ClientID: e.ClientID, MQTTClientID: e.MQTTClientID,
		Remote: e.Remote, Topic: e.Topic, Detail: e.Detail, Verified: e.ClientID != "",
	})
}

// seeToken remembers what the token endpoint refused.
func (l *refusals) seeToken(e oauth.Event) {
	if e.Issued() {
		return
	}
	l.add(e.ClientID, fleetapi.Refusal{
		Time: e.Time, Kind: "token", Rule: string(e.Reason), ClientID: e.ClientID, Remote: e.Remote, Detail: e.Error, Verified: e.CredentialID != "",
	})
}

func (l *refusals) add(id string, r fleetapi.Refusal) {
	switch {
	case id == "":
	case r.Verified:
		l.verified.add(id, r)
	default:
		l.claimed.add(id, r)
	}
}

// refusalLog holds the last refusals, oldest first, of the clients that were refused last.
type refusalLog struct {
	mu      sync.Mutex
	clients *simplelru.LRU[string, []fleetapi.Refusal]
}

func newRefusalLog() *refusalLog {
	clients, err := simplelru.NewLRU[string, []fleetapi.Refusal](refusedClients, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &refusalLog{clients: clients}
}

// of returns the refusals of a client.
func (l *refusalLog) of(clientID string) []fleetapi.Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, _ := l.clients.Peek(clientID)
	return slices.Clone(kept)
}

func (l *refusalLog) add(clientID string, r fleetapi.Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, _ := l.clients.Get(clientID)
	l.clients.Add(clientID, append(kept[max(0, len(kept)-refusalsEach+1):], r))
}
