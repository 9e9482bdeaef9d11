package authhook

import (
	"fmt"
	"slices"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// What takes the place of a refused filter on its way through mochi. None is a valid filter, so mochi refuses it without asking any
// hook and without touching its index, in which a filter of very many levels costs minutes. Which one it is says why.
const (
	refusedNotAuthorized = "#/not authorized"
	refusedMalformed     = "#/malformed"
	refusedQuota         = "#/quota exceeded"
)

// maxReported is how many refused filters of one SUBSCRIBE are reported one by one.
const maxReported = 16

// isFilter reports whether mochi speaks of a subscription's filter rather than of a topic. For a filter without wildcards the answer
// is the same either way.
func isFilter(topic string) bool {
	return strings.IndexByte(topic, '#') >= 0 || strings.IndexByte(topic, '+') >= 0 ||
		strings.HasPrefix(topic, "$") && mqtt.IsSharedFilter(topic)
}

// OnSubscribe judges each filter of a SUBSCRIBE, lowers its QoS to the limit of the grant, and takes out what is refused.
func (h *Hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	s := h.session(cl)
	if s == nil && cl.Net.Inline {
		return pk
	}
	pk.Filters = slices.Clone(pk.Filters)
	if s != nil {
		s.judged.Store(s.current())
	}
	var added, refused int
	for i := range pk.Filters {
		filter := &pk.Filters[i]
		if s == nil {
			filter.Filter = refusedNotAuthorized
			continue
		}
		_, exists := cl.State.Subscriptions.Get(filter.Filter)
		full := !exists && cl.State.Subscriptions.Len()+added >= s.current().limits.Subscriptions
		e := s.judgeFilter(filter, full)
		switch {
		case !e.Allowed:
			refused++
		case !exists:
			added++
		}
		if e.Allowed || refused <= maxReported {
			h.report(s, e)
		}
	}
	if refused > maxReported {
		h.report(s, Event{
			Kind: KindSubscribe, Rule: RuleManyRefused, ReasonCode: packets.ErrNotAuthorized.Code,
			Detail: fmt.Sprintf("%d more filters of the same SUBSCRIBE", refused-maxReported),
		})
	}
	return pk
}

// judgeFilter judges one filter, lowers its QoS or puts something else in its place. The session has no room for it if full is true.
func (s *session) judgeFilter(filter *packets.Subscription, full bool) Event {
	verdict := s.current().Subscribe(filter.Filter)
	e := Event{Kind: KindSubscribe, Allowed: verdict.Allowed, Rule: ruleOf(verdict), Topic: printable(filter.Filter)}
	switch {
	case !verdict.Allowed && malformed(verdict.Reason):
		filter.Filter = refusedMalformed
	case !verdict.Allowed:
		filter.Filter = refusedNotAuthorized
	case full:
		filter.Filter, e.Allowed, e.Rule = refusedQuota, false, RuleTooManySubscriptions
	default:
		filter.Qos = min(filter.Qos, verdict.MaxQoS)
	}
	e.ReasonCode = refusedCode(filter.Filter, s.protocol)
	return e
}

func malformed(r topicacl.Reason) bool {
	switch r {
	case topicacl.ReasonFilter, topicacl.ReasonShare, topicacl.ReasonTooDeep, topicacl.ReasonTooLong:
		return true
	default:
		return false
	}
}

// refusedCode returns the reason code (MQTT 5.0 §3.9.3) or return code (3.1.1 §3.9.3) for what stands in a refused filter's place, and
// 0 for a filter.
func refusedCode(filter string, protocol byte) byte {
	code := byte(0)
	switch filter {
	case refusedNotAuthorized:
		code = packets.ErrNotAuthorized.Code
	case refusedMalformed:
		code = packets.ErrTopicFilterInvalid.Code
	case refusedQuota:
		code = packets.ErrQuotaExceeded.Code
	}
	if code != 0 && protocol < 5 {
		return packets.ErrUnspecifiedError.Code
	}
	return code
}

// OnSubscribed puts the reason codes of refused filters into the SUBACK. mochi gives the hooks the very slice that it sends. If the
// rights have changed since OnSubscribe, what was granted is judged again: whoever changed them cannot have seen it.
func (h *Hook) OnSubscribed(cl *mqtt.Client, pk packets.Packet, reasonCodes []byte) {
	for i := range min(len(pk.Filters), len(reasonCodes)) {
		code := refusedCode(pk.Filters[i].Filter, cl.Properties.ProtocolVersion)
		if code != 0 && reasonCodes[i] >= packets.ErrUnspecifiedError.Code {
			reasonCodes[i] = code
		}
	}
	if s := h.session(cl); s != nil && s.current() != s.judged.Load() {
		h.prune(s, Event{Kind: KindRejudge, Rule: RuleNarrowed})
	}
}
