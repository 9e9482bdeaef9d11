package fleetapi_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/boomgate/boomgate/authhook/topicacl"
	"github.com/boomgate/boomgate/provisioning"
	"github.com/boomgate/boomgate/provisioning/fleetapi"
)

// tokens is an Authenticator whose tokens are drawn by the test.
type tokens struct {
	mu      sync.Mutex
	callers map[string]fleetapi.Caller
	broken  error
	peer    *x509.Certificate // of the last request
}

func (t *tokens) issue(clientID string, scopes ...string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := fmt.Sprintf("eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.%d-abcdefghijklmnopqrstuvwxyz0123456789", len(t.callers))
	t.callers[token] = fleetapi.Caller{ClientID: clientID, Scopes: scopes}
	return token
}

func (t *tokens) breakDown(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = err
}

func (t *tokens) Authenticate(_ context.Context, bearer string, peer *x509.Certificate) (fleetapi.Caller, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peer = peer
	caller, ok := t.callers[bearer]
	if t.broken != nil {
		return fleetapi.Caller{}, t.broken
	}
	if !ok {
		return fleetapi.Caller{}, fmt.Errorf("verifying: %w", provisioning.ErrUnauthenticated)
	}
	return caller, nil
}

// sessions are the live sessions, and what the service has of the broker.
type sessions struct {
	mu     sync.Mutex
	live   []fleetapi.Session
	panics bool
	// keeping is why retained messages cannot be removed.
	keeping error
	// credentials and keys say with what the token of a session was got and signed,
	// by the session's ID.
	credentials, keys map[string]string
	judged            []provisioning.Selection
}

func (s *sessions) open(live ...fleetapi.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = append(s.live, live...)
}

func (s *sessions) Sessions(_ context.Context, q fleetapi.SessionQuery) ([]fleetapi.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic(errors.New("the broker is gone"))
	}
	var found []fleetapi.Session
	for _, session := range s.live {
		if (q.ID == "" || q.ID == session.ID) && (q.ClientID == "" || q.ClientID == session.ClientID) {
			found = append(found, session)
		}
	}
	return found, nil
}

func (s *sessions) CloseSession(_ context.Context, id string) (provisioning.Receipt, error) {
	receipt := s.drop(func(session fleetapi.Session) bool { return session.ID == id })
	if receipt.Sessions == 0 {
		return receipt, provisioning.ErrNotFound
	}
	return receipt, nil
}

func (s *sessions) CloseSessions(_ context.Context, sel provisioning.Selection, _ string) provisioning.Receipt {
	return s.drop(func(session fleetapi.Session) bool {
		return sel != (provisioning.Selection{}) &&
			(sel.ClientID == "" || sel.ClientID == session.ClientID) &&
			(sel.TokenID == "" || sel.TokenID == session.TokenID) &&
			(sel.CredentialID == "" || sel.CredentialID == s.credentials[session.ID]) &&
			(sel.KeyID == "" || sel.KeyID == s.keys[session.ID])
	})
}

func (s *sessions) RejudgeSessions(_ context.Context, sel provisioning.Selection, _ string) provisioning.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judged = append(s.judged, sel)
	return provisioning.Receipt{Rejudged: 1}
}

func (s *sessions) RemoveRetained(context.Context, string) (int, error) {
	if s.keeping != nil {
		return 0, s.keeping
	}
	return 4, nil
}

func (s *sessions) drop(ends func(fleetapi.Session) bool) provisioning.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var receipt provisioning.Receipt
	s.live = slices.DeleteFunc(s.live, func(session fleetapi.Session) bool {
		if !ends(session) {
			return false
		}
		receipt.Sessions++
		receipt.Subscriptions += session.Subscriptions
		return true
	})
	return receipt
}

// scopeLanguage is the broker's, as the program wires it.
type scopeLanguage struct{}

func (scopeLanguage) ParseTemplate(text string) (provisioning.ScopeTemplate, error) {
	return topicacl.ParseTemplate(text)
}

func (scopeLanguage) Covers(granted, requested string) bool {
	return topicacl.Covers(granted, requested)
}

// signingKeys are keys that the test makes up.
type signingKeys struct {
	mu     sync.Mutex
	keys   []fleetapi.SigningKey
	broken error
}

func (k *signingKeys) Keys() []fleetapi.SigningKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

func (k *signingKeys) Revoke(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return k.broken
	}
	k.keys = slices.DeleteFunc(k.keys, func(key fleetapi.SigningKey) bool { return key.ID == id })
	return nil
}

// gate is an Explainer that answers what the test says.
type gate struct {
	mu       sync.Mutex
	asked    []fleetapi.ExplainRequest
	answer   fleetapi.Explanation
	refusals map[string][]fleetapi.Refusal
	broken   error
}

func (g *gate) Explain(_ context.Context, question fleetapi.ExplainRequest) (fleetapi.Explanation, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, question)
	return g.answer, g.broken
}

func (g *gate) LastRefusals(_ context.Context, clientID string) ([]fleetapi.Refusal, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refusals[clientID], g.broken
}
