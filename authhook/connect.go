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
	refused := h.receive(cl, pk)
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

// admit makes all checks of a CONNECT and readies the session. The session is on the registry before anybody is asked about its token
// and its client, so that whoever revokes one of them and then closes the sessions misses none.
func (h *Hook) admit(cl *mqtt.Client, pk packets.Packet, slots chan struct{}) *refusal {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.VerifyTimeout)
	defer cancel()
	ctx, slot, refused := takeSlot(ctx, slots)
	if refused != nil {
		return refused
	}
	defer slot.release()
	text, refused := credential(cl, pk)
	if refused != nil {
		return refused
	}
	token, refused := h.verify(ctx, text)
	if refused != nil {
		return refused
	}
	p, refused := h.principalOf(token)
	if refused != nil {
		return refused
	}
	assigned := pk.Connect.ClientIdentifier == ""
	if assigned {
		cl.ID = p.owner + replicaSeparator + cl.ID
		cl.Properties.Props.AssignedClientID = cl.ID
	}
	s := newSession(h, cl, p, token)
	s.assigned = assigned
	h.live.add(s)
	if refused := h.checkToken(token, s.mqttID, thumbprint(s.conn)); refused != nil {
		return refused
	}
	ignored, refused := s.judge(ctx, token)
	if refused != nil {
		return refused
	}
	if refused := h.checkRevoked(token); refused != nil {
		return refused
	}
	if refused := h.meter(s); refused != nil {
		return refused
	}
	if refused := h.checkWill(s.owner, s.standing.Load(), &s.will); refused != nil {
		return refused
	}
	if refused := h.claim(s); refused != nil {
		return refused
	}
	h.watchForFlapping(s)
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

// checkToken checks what a verified token may be refused for beside its text: that its time is over for this MQTT client ID, or that it
// is bound to another certificate than the one that was presented.
func (h *Hook) checkToken(token *accesstoken.Token, mqttID, presented string) *refusal {
	if !h.cfg.Now().Before(spreadDeadline(token, mqttID, h.cfg.Leeway)) {
		return &refusal{connackBadToken, accesstoken.Rule(accesstoken.ErrExpired), ""}
	}
	return checkConfirmation(token, presented)
}

// checkRevoked checks that a token was not revoked. The client's status is checked before: that a client is disabled says more than that
// its tokens are revoked with it.
func (h *Hook) checkRevoked(token *accesstoken.Token) *refusal {
	if h.cfg.Revocations != nil && h.cfg.Revocations.Revoked(token) {
		return &refusal{connackBadToken, RuleRevoked, ""}
	}
	return nil
}

// judge asks how the session's client stands and holds the session to a token, unless the client may not be connected.
func (s *session) judge(ctx context.Context, token *accesstoken.Token) ([]topicacl.Ignored, *refusal) {
	s.judging.Lock()
	defer s.judging.Unlock()
	status, err := s.hook.statusOf(ctx, s.principal)
	if err != nil {
		return nil, &refusal{connackUnavailable, RuleStatusUnavailable, err.Error()}
	}
	st, ignored := s.newStanding(token, status)
	if st.barred == nil && !s.is(ended) { // one that was taken over stands as its successor
		s.stand(st)
	}
	return ignored, st.barred
}

// checkStatus checks that a client is active and may use an MQTT client ID, which it always may if the server has assigned it.
func checkStatus(p principal, mqttID string, assigned bool, status Status) *refusal {
	switch {
	case !status.Active:
		return &refusal{connackNotAuthorized, RuleClientInactive, ""}
	case !wellFormedID(mqttID):
		return &refusal{connackBadClientID, RuleMQTTClientID, "too long, or with control characters"}
	case !assigned && !mayUse(p.clientID, mqttID, status.MQTTClientIDs):
		return &refusal{connackNotAuthorized, RuleMQTTClientID, ""}
	}
	return nil
}

// checkWill checks that a client that stands like this could publish its own will.
func (h *Hook) checkWill(owner string, st *standing, will *mqtt.Will) *refusal {
	if will.Flag == 0 {
		return nil
	}
	denied := h.judgePublication(owner, st, publicationOfWill(will), nil)
	switch {
	case denied == nil:
		return nil
	case denied.limit:
		return &refusal{connackQuota, denied.rule, "the will: " + denied.detail}
	default:
		return &refusal{connackNotAuthorized, RuleWill, fmt.Sprintf("%s: %s", denied.rule, printable(will.TopicName))}
	}
}

// refusedOwner refuses a CONNECT with an MQTT client ID under which another client has a session.
var refusedOwner = &refusal{connackNotAuthorized, RuleOwner, ""}

// claim reserves the MQTT client ID for the session, unless another client owns what exists under it.
func (h *Hook) claim(s *session) *refusal {
	if refused := h.checkOwner(s.principal, s.mqttID); refused != nil {
		return refused
	}
	if !h.live.claim(s) {
		return refusedOwner
	}
	return nil
}

// checkOwner checks that the session that exists under an MQTT client ID is the principal's to take over.
func (h *Hook) checkOwner(p principal, mqttID string) *refusal {
	existing, ok := h.server.Clients.Get(mqttID)
	switch {
	case !ok:
		return nil
	case existing.Net.Inline:
		return &refusal{connackBadClientID, RuleMQTTClientID, "in use by the server itself"}
	}
	if owner := h.owner(existing); owner != p && !h.abandoned(existing) && !p.outranks(owner, mqttID) {
		return refusedOwner
	}
	return nil
}

// takeOver hands the accepted connection to the session: its clock starts, and what the hook does in mochi's place is switched off
// there.
func (h *Hook) takeOver(s *session, cl *mqtt.Client) {
	cl.Properties.Username = []byte(s.owner) // who owns the session, for the next CONNECT and for stores
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
