package authhook

import (
	"cmp"
	"fmt"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// What a CONNECT over a limit is told. MQTT 3.1.1 knows neither rates nor quotas (§3.2.2.3).
var (
	connackRate  = connack{packets.ErrConnectionRateExceeded, packets.Err3ServerUnavailable}
	connackQuota = connack{packets.ErrQuotaExceeded, packets.Err3ServerUnavailable}
)

// or returns the limits, and where there is none, that of defaults.
func (l Limits) or(defaults Limits) Limits {
	return Limits{
		Sessions:          cmp.Or(l.Sessions, defaults.Sessions),
		ConnectsPerMinute: cmp.Or(l.ConnectsPerMinute, defaults.ConnectsPerMinute),
		MessagesPerSecond: cmp.Or(l.MessagesPerSecond, defaults.MessagesPerSecond),
		BytesPerSecond:    cmp.Or(l.BytesPerSecond, defaults.BytesPerSecond),
		Subscriptions:     cmp.Or(l.Subscriptions, defaults.Subscriptions),
		Retained:          cmp.Or(l.Retained, defaults.Retained),
		PayloadBytes:      cmp.Or(l.PayloadBytes, defaults.PayloadBytes),
	}
}

// meter counts a CONNECT, and its session as connected, among those of its principal, unless there are too many of them.
func (h *Hook) meter(s *session) *refusal {
	limits := s.standing.Load().limits
	m := h.meters.of(s.owner, limits, h.cfg.Now())
	if refused := h.checkConnectRate(m.allowance.Load(), take); refused != nil {
		return refused
	}
	if !h.meters.enter(s, m) {
		return tooManySessions(limits)
	}
	if m := s.meter.Load(); m != nil {
		m.limit(s.standing.Load().limits) // which may have changed before the meter was the session's
	}
	return nil
}

// checkConnectRate checks that a principal does not connect too often.
func (h *Hook) checkConnectRate(a *allowance, draw draw) *refusal {
	if draw(a.connects, h.cfg.Now(), 1) {
		return nil
	}
	return &refusal{connackRate, RuleLimitConnectRate, fmt.Sprintf("more than %d a minute", a.ConnectsPerMinute)}
}

func tooManySessions(limits Limits) *refusal {
	return &refusal{connackQuota, RuleLimitSessions, fmt.Sprintf("more than %d", limits.Sessions)}
}

// A publication is what is judged of a PUBLISH, or of a will.
type publication struct {
	topic   string
	qos     byte
	retain  bool
	payload int // its length in bytes
}

func publicationOf(pk *packets.Packet) publication {
	return publication{pk.TopicName, pk.FixedHeader.Qos, pk.FixedHeader.Retain, len(pk.Payload)}
}

func publicationOfWill(will *mqtt.Will) publication {
	return publication{will.TopicName, will.Qos, will.Retain, len(will.Payload)}
}

// A denial is why a publication is refused.
type denial struct {
	rule, detail string
	limit        bool // it is the principal's limits that refuse it, not its grants
	// ack is what an MQTT 5.0 client is told in PUBACK or PUBREC (§3.4.2.1), and end what it is told in a DISCONNECT instead (§3.14.2.1).
	ack, end packets.Code
}

// judgeRate checks that the principal does not publish too much. What grants refuse counts as well: it costs the server no less.
func (h *Hook) judgeRate(a *allowance, p publication, draw draw) *denial {
	if a == nil || a.messages == nil && a.bytes == nil {
		return nil
	}
	now := h.clock.now()
	if !draw(a.messages, now, 1) {
		return overRate(RuleLimitPublishRate, fmt.Sprintf("more than %d messages a second", a.MessagesPerSecond))
	}
	if !draw(a.bytes, now, len(p.topic)+p.payload) {
		return overRate(RuleLimitBytes, fmt.Sprintf("more than %d bytes a second", a.BytesPerSecond))
	}
	return nil
}

func overRate(rule, detail string) *denial {
	return &denial{rule: rule, detail: detail, limit: true, ack: packets.ErrQuotaExceeded, end: packets.ErrMessageRateTooHigh}
}

func overQuota(rule, detail string) *denial {
	return &denial{rule: rule, detail: detail, limit: true, ack: packets.ErrQuotaExceeded, end: packets.ErrQuotaExceeded}
}

// judgePublication judges all of a publication but its rate, by where its publisher stands. What it allows by grants is kept in a memory,
// if there is one, and not judged again.
func (h *Hook) judgePublication(owner string, st *standing, p publication, m *memory) *denial {
	if limit := st.limits.PayloadBytes; limit > 0 && p.payload > limit {
		return overQuota(RuleLimitPayload, fmt.Sprintf("%d bytes, more than %d", p.payload, limit))
	}
	if m == nil || !m.covers(st, p.topic, p.qos, p.retain) {
		if verdict := st.Publish(p.topic, p.qos, p.retain); !verdict.Allowed {
			return &denial{rule: ruleOf(verdict), detail: verdict.Grant, ack: packets.ErrNotAuthorized, end: packets.ErrNotAuthorized}
		}
		if m != nil {
			m.keep(st, p.topic, p.qos, p.retain)
		}
	}
	if st.limits.Retained > 0 && p.retain && h.retainsTooMuch(owner, st.limits.Retained, p) {
		return overQuota(RuleLimitRetained, fmt.Sprintf("more than %d", st.limits.Retained))
	}
	return nil
}

// retainsTooMuch reports whether a message would be one retained message too many. One that replaces or deletes another is not. The
// limit can be passed by as many messages as the principal's sessions publish at the same moment.
func (h *Hook) retainsTooMuch(owner string, limit int, p publication) bool {
	if h.cfg.Retained == nil || p.payload == 0 {
		return false
	}
	if _, replaces := h.server.Topics.Retained.Get(p.topic); replaces {
		return false
	}
	return h.cfg.Retained.RetainedBy(owner) >= limit
}

// reportDenied reports a refused message. Of those over a limit, which may be many, the log mentions one now and then.
func (h *Hook) reportDenied(s *session, d *denial, e Event) {
	if m := s.meter.Load(); d.limit && m != nil && !m.mayLog(d.rule, h.cfg.Now()) {
		s.refused.Add(1)
		h.observe(s, e)
		return
	}
	h.report(s, e)
}

// watchForFlapping reports an MQTT client ID that its own principal takes over again and again: two devices with one credential, as a
// rule, each of which reconnects when the other does.
func (h *Hook) watchForFlapping(s *session) {
	for _, earlier := range h.live.withMQTTID(s.mqttID) {
		if earlier == s || earlier.owner != s.owner || !earlier.is(established) || earlier.is(ended|offline) {
			continue
		}
		if m := s.meter.Load(); m != nil && m.takenOver(s.mqttID, h.cfg.Now()) {
			h.report(s, Event{
				Kind: KindConnect, Allowed: true, Rule: RuleFlapping,
				Detail: fmt.Sprintf("taken over %d times within %v, now from %s", flapsReported, flapInterval, earlier.client.Net.Remote),
			})
		}
		return
	}
}
