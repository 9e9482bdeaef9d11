package authhook

import (
	"context"
	"strconv"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// A client may renew its token every renewalInterval, and renewalBurst times at once: each renewal costs a signature check.
const (
	renewalInterval = 5 * time.Second
	renewalBurst    = 10
)

// propertyRenewAfter is the user property with which CONNACK and AUTH say in how many seconds the client should have a new token.
const propertyRenewAfter = "token-renew-after"

// readAuth renews the token of a connection (MQTT 5.0 §4.12.1), or ends the connection.
func (h *Hook) readAuth(s *session, pk packets.Packet) (packets.Packet, error) {
	text, method := string(pk.Properties.AuthenticationData), pk.Properties.AuthenticationMethod
	scrub(pk)
	now := h.cfg.Now()
	s.nextRenewal = later(s.nextRenewal, now).Add(renewalInterval)
	switch {
	case s.protocol < 5 || s.method == "" || method == "" || pk.ReasonCode != packets.CodeReAuthenticate.Code:
		h.breakOff(s, packets.ErrProtocolViolation, RuleAuthPacket, printable(method))
	case s.nextRenewal.Sub(now) > renewalBurst*renewalInterval:
		h.breakOff(s, packets.ErrMessageRateTooHigh, RuleAuthPacket, "too many renewals")
	case method != s.method:
		h.refuseRenewal(s, &refusal{connackNotAuthorized, RuleMethod, printable(method)})
	default:
		if refused := h.renew(s, text); refused != nil {
			h.refuseRenewal(s, refused)
		}
	}
	if s.is(ended) {
		return s.drain(pk)
	}
	return pk, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// refuseRenewal ends a connection over a token. An MQTT 5.0 server has no other way to say no (§4.12.1).
func (h *Hook) refuseRenewal(s *session, r *refusal) {
	code := packets.ErrNotAuthorized
	if r.connack == connackUnavailable {
		code = packets.ErrServerBusy // DISCONNECT knows no "server unavailable" (§3.14.2.1)
	}
	h.report(s, Event{Kind: KindRenew, Rule: r.rule, ReasonCode: code.Code, Detail: r.detail})
	s.kick(code)
}

// renew makes the checks of a CONNECT with another token of the same principal, and holds the session to it: its rights, its limits and
// its end are those of the new token, whether there is more of it or less.
func (h *Hook) renew(s *session, text string) *refusal {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.VerifyTimeout)
	defer cancel()
	ctx, slot, refused := takeSlot(ctx, h.slots)
	if refused != nil {
		return refused
	}
	defer slot.release()
	if text == "" {
		return &refusal{connackBadToken, RuleNoToken, ""}
	}
	token, refused := h.verify(ctx, text)
	if refused != nil {
		return refused
	}
	earlier := s.standing.Load().token
	if p, refused := h.principalOf(token); refused != nil || p != s.principal || token.Issuer != earlier.Issuer || token.Subject != earlier.Subject {
		return &refusal{connackNotAuthorized, RuleRenewalPrincipal, ""}
	}
	s.candidate.Store(token)
	defer s.candidate.Store(nil)
	if refused := h.checkToken(token, s.mqttID, thumbprint(s.conn)); refused != nil {
		return refused
	}
	if refused := h.checkRevoked(token); refused != nil {
		return refused
	}
	if _, refused := s.judge(ctx, token); refused != nil {
		return refused
	}
	s.arm()
	s.renewals.Add(1)
	h.prune(s, Event{Kind: KindRenew, Rule: RuleNarrowed})
	h.report(s, Event{
		Kind: KindRenew, Allowed: true, Rule: RuleRenewed, Detail: "until " + token.ExpiresAt.UTC().Format(time.RFC3339),
	})
	s.confirmRenewal()
	return nil
}

// confirmRenewal tells the client that its new token counts. A client that has gone away need not be told.
func (s *session) confirmRenewal() {
	_ = s.client.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Auth}, ReasonCode: packets.CodeSuccess.Code,
		Properties: packets.Properties{AuthenticationMethod: s.method, User: []packets.UserProperty{s.renewAfter()}},
	})
}

// renewAfter says in how many seconds the client should renew its token: when 80 % of the token's life are over, give or take 4 % that
// depend on token and MQTT client ID, so that clients whose tokens are of one age do not all come at once.
func (s *session) renewAfter() packets.UserProperty {
	token := s.standing.Load().token
	now := s.hook.cfg.Now()
	begin := token.IssuedAt
	if begin.IsZero() || begin.After(now) {
		begin = now
	}
	life := token.ExpiresAt.Sub(begin)
	share := 0.76 + 0.08*float64(spread(token, s.mqttID)%1000)/1000
	after := begin.Add(time.Duration(share * float64(life))).Sub(now)
	return packets.UserProperty{Key: propertyRenewAfter, Val: strconv.Itoa(max(0, int(after/time.Second)))}
}
