package authhook

import (
	"context"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// restoredLife is how long the grants of a restored session are good for.
const restoredLife = 30 * time.Second

// restoredSession returns the session of a client that mochi has read from a store and that has not connected since. It begins
// without grants.
func (h *Hook) restoredSession(cl *mqtt.Client) *session {
	if found, ok := h.stored.Load(cl); ok {
		return found.(*session) //nolint:forcetypeassert // nothing else is stored
	}
	s := &session{
		hook: h, client: cl, clientID: string(cl.Properties.Username), mqttID: cl.ID, shownID: printable(cl.ID),
		protocol: cl.Properties.ProtocolVersion,
	}
	s.flags.Store(offline | restored)
	found, _ := h.stored.LoadOrStore(cl, s)
	return found.(*session) //nolint:forcetypeassert // nothing else is stored
}

// reloadGrants asks for the grants of a restored session if they are older than restoredLife. Where they cannot be told there are
// none.
func (s *session) reloadGrants() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.hook.cfg.Now()
	if now.Before(s.reload) {
		return
	}
	s.reload = now.Add(restoredLife)
	status, _ := s.hook.status(s.clientID)
	grants, _ := topicacl.Compile(status.Scopes)
	s.grants.Store(grants)
}

// status asks how the owner of a restored session stands. A client that is not active has no scopes.
func (h *Hook) status(clientID string) (Status, error) {
	if h.cfg.Clients == nil || clientID == "" {
		return Status{}, nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.VerifyTimeout)
	defer cancel()
	status, err := h.cfg.Clients.ClientStatus(ctx, clientID)
	if err != nil || !status.Active {
		return Status{}, err
	}
	return status, nil
}

// OnStarted judges the sessions that the server has restored from a store: those of clients that are gone are thrown away, the others
// are held to what their owners hold now. Without ClientStatus they keep what they have, and get no message until they are resumed.
func (h *Hook) OnStarted() {
	for _, cl := range h.server.Clients.GetAll() {
		if cl.Net.Conn != nil || cl.Net.Inline {
			continue
		}
		s := h.restoredSession(cl)
		if h.cfg.Clients == nil {
			continue
		}
		status, err := h.status(s.clientID)
		switch {
		case err != nil:
			h.report(s, Event{Kind: KindResume, Rule: RuleStatusUnavailable, Detail: err.Error()})
		case !status.Active:
			h.throwAway(newTargets([]*session{s}), revoked, Event{Kind: KindResume, Rule: RuleClientInactive})
		default:
			grants, _ := topicacl.Compile(status.Scopes)
			h.narrow(cl, grants)
		}
	}
}

// OnClientExpired forgets a session when mochi does.
func (h *Hook) OnClientExpired(cl *mqtt.Client) { h.stored.Delete(cl) }
