package authhook

import (
	"context"
	"errors"
	"fmt"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
)

// A connack is a refusal as the client is told it: its code in MQTT 5.0 (§3.2.2.2) and in 3.1.1 (§3.2.2.3).
type connack struct{ v5, v3 packets.Code }

var (
	connackBadToken      = connack{packets.ErrBadUsernameOrPassword, packets.ErrMalformedUsernameOrPassword}
	connackNotAuthorized = connack{packets.ErrNotAuthorized, packets.Err3NotAuthorized}
	connackBadClientID   = connack{packets.ErrClientIdentifierNotValid, packets.Err3ClientIdentifierNotValid}
	connackBadMethod     = connack{packets.ErrBadAuthenticationMethod, packets.Err3NotAuthorized}
	connackProtocolError = connack{packets.ErrProtocolViolation, packets.Err3NotAuthorized}
	connackUnavailable   = connack{packets.ErrServerUnavailable, packets.Err3ServerUnavailable}
)

// A refusal is why a CONNECT is not accepted. The client learns the connack, the operator the rest.
type refusal struct {
	connack
	rule   string
	detail string
}

// OnConnect decides about a CONNECT. Until it returns nil nothing has happened to a session that exists under the MQTT client ID.
func (h *Hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	refused := h.admit(cl, pk)
	scrub(pk)
	clear(cl.Properties.Props.AuthenticationData)
	cl.Properties.Props.AuthenticationData = nil
	if refused == nil {
		return nil
	}
	code := refused.v5
	if cl.Properties.ProtocolVersion < 5 {
		code = refused.v3
	}
	h.reportRefusal(cl, refused)
	// A client that has gone away need not be told.
	_ = h.server.SendConnack(cl, code, false, nil)
	return refused.v5
}

// OnConnectAuthenticate confirms what OnConnect decided.
func (h *Hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	s := h.session(cl)
	return s != nil && !s.is(ended|offline)
}

// admit makes all checks of a CONNECT and readies the session. The session is on the list of its client before the client's status is
// asked for, so that whoever disables the client and then closes its sessions misses none.
func (h *Hook) admit(cl *mqtt.Client, pk packets.Packet) *refusal {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.VerifyTimeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return &refusal{connackUnavailable, RuleTimeout, ""}
	}

	text, refused := credential(cl, pk)
	if refused != nil {
		return refused
	}
	token, refused := h.verify(ctx, text)
	if refused != nil {
		return refused
	}
	if pk.Connect.ClientIdentifier == "" {
		cl.ID = token.ClientID + replicaSeparator + cl.ID
		cl.Properties.Props.AssignedClientID = cl.ID
	}
	s := newSession(h, cl, token)
	h.live.add(s)
	if s.expired() {
		return &refusal{connackBadToken, accesstoken.Rule(accesstoken.ErrExpired), ""}
	}
	if refused := h.checkClient(ctx, s, pk.Connect.ClientIdentifier == ""); refused != nil {
		return refused
	}
	grants, ignored := topicacl.Compile(token.Scopes)
	s.grants.Store(grants)
	if refused := checkWill(cl, grants); refused != nil {
		return refused
	}
	if refused := h.claim(s); refused != nil {
		return refused
	}
	h.takeOver(s, cl)
	h.reportConnect(s, ignored)
	return nil
}

// verify verifies the text of a token.
func (h *Hook) verify(ctx context.Context, text string) (*accesstoken.Token, *refusal) {
	token, err := h.cfg.Verifier.Verify(ctx, text)
	switch {
	case ctx.Err() != nil:
		return nil, &refusal{connackUnavailable, RuleTimeout, ""}
	case errors.Is(err, accesstoken.ErrKeysUnavailable):
		return nil, &refusal{connackUnavailable, accesstoken.Rule(err), err.Error()}
	case err != nil:
		return nil, &refusal{connackBadToken, accesstoken.Rule(err), err.Error()}
	case token == nil || !wellFormedID(token.ClientID) || token.ExpiresAt.IsZero():
		return nil, &refusal{connackBadToken, accesstoken.Rule(accesstoken.ErrClaims), ""}
	}
	return token, nil
}

// checkClient checks that the client is active and may use the MQTT client ID, which it always may if the server has assigned it.
func (h *Hook) checkClient(ctx context.Context, s *session, assigned bool) *refusal {
	status := Status{Active: true}
	if h.cfg.Clients != nil {
		var err error
		if status, err = h.cfg.Clients.ClientStatus(ctx, s.clientID); err != nil {
			return &refusal{connackUnavailable, RuleStatusUnavailable, err.Error()}
		}
	}
	switch {
	case !status.Active:
		return &refusal{connackNotAuthorized, RuleClientInactive, ""}
	case !wellFormedID(s.mqttID):
		return &refusal{connackBadClientID, RuleMQTTClientID, "too long, or with control characters"}
	case !assigned && !mayUse(s.clientID, s.mqttID, status.MQTTClientIDs):
		return &refusal{connackNotAuthorized, RuleMQTTClientID, ""}
	}
	return nil
}

// checkWill checks that the client could publish its own will.
func checkWill(cl *mqtt.Client, grants *topicacl.Grants) *refusal {
	will := &cl.Properties.Will
	if will.Flag == 0 {
		return nil
	}
	verdict := grants.Publish(will.TopicName, will.Qos, will.Retain)
	if verdict.Allowed {
		return nil
	}
	return &refusal{connackNotAuthorized, RuleWill, fmt.Sprintf("%s: %s", verdict.Reason, printable(will.TopicName))}
}

// claim reserves the MQTT client ID for the session, unless another client owns what exists under it.
func (h *Hook) claim(s *session) *refusal {
	taken := &refusal{connackNotAuthorized, RuleOwner, ""}
	if existing, ok := h.server.Clients.Get(s.mqttID); ok {
		if existing.Net.Inline {
			return &refusal{connackBadClientID, RuleMQTTClientID, "in use by the server itself"}
		}
		if owner := h.owner(existing); owner != s.clientID && !h.abandoned(existing) && !outranks(s.clientID, owner, s.mqttID) {
			return taken
		}
	}
	if !h.live.claim(s) {
		return taken
	}
	return nil
}

// takeOver hands the accepted connection to the session: its clock starts, and what the hook does in mochi's place is switched off
// there.
func (h *Hook) takeOver(s *session, cl *mqtt.Client) {
	cl.Properties.Username = []byte(s.clientID) // who owns the session, for the next CONNECT and for stores
	if s.protocol == 5 {
		s.outbound.limit = min(h.aliasLimit(), int(cl.Properties.Props.TopicAliasMaximum))
		cl.Properties.Props.TopicAliasMaximum = 0
	}
	s.arm()
}

// aliasLimit returns how many topic aliases a client may set.
func (h *Hook) aliasLimit() int {
	return min(maxAliases, int(h.server.Options.Capabilities.TopicAliasMaximum))
}
