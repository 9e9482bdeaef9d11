package authhook

import (
	"fmt"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
)

// fixes say what an operator can do about a rule where that depends on nothing else.
var fixes = map[string]string{
	RuleTimeout:              "ask again: the checks took too long, so see whether the store and the issuers' keys answer",
	RuleStatusUnavailable:    "ask again: it cannot be told how the client stands, so see whether the store answers",
	RuleRevoked:              "let the client get a fresh token, if it is meant to be let in: this one was revoked",
	RuleConfirmation:         "let the client connect over TLS with the certificate that its token is bound to, or get a token without one",
	RuleClientInactive:       "create the client, or enable it",
	RuleOwner:                "let the client use another MQTT client ID, or close the other client's session under this one",
	RuleLimitConnectRate:     "wait a minute, and see whether two devices share the credential; or raise max_connects_per_minute in one of its roles",
	RuleLimitSessions:        "close one of the client's other sessions, or raise max_sessions in one of its roles",
	RuleLimitPublishRate:     "let the client publish less often, or raise max_messages_per_second in one of its roles",
	RuleLimitBytes:           "let the client publish less, or raise max_bytes_per_second in one of its roles: no message can be larger than that",
	RuleLimitPayload:         "let the client send smaller messages, or raise max_payload_bytes in one of its roles",
	RuleLimitRetained:        "remove retained messages of the client, or raise max_retained in one of its roles",
	RuleTooManySubscriptions: "let the client subscribe to fewer, wider filters, or raise max_subscriptions in one of its roles",
}

// fix says what an operator can do so that the answer is another.
func (x *explainer) fix() string {
	if text, known := fixes[x.refusedBy]; known {
		return text
	}
	q := x.question
	switch x.refusedBy {
	case RuleMQTTClientID:
		return x.fixMQTTClientID()
	case RuleWill:
		return x.fixGrants(topicacl.ActionPublish, "the will's topic ", q.Connect.Will.Topic, q.Connect.Will.QoS, q.Connect.Will.Retain)
	case accesstoken.Rule(accesstoken.ErrExpired):
		return "let the client get a fresh token: this one has expired"
	case accesstoken.Rule(accesstoken.ErrKeysUnavailable):
		return "ask again: the issuer's keys cannot be had, so see whether its JWKS answers"
	}
	switch {
	case len(x.answer.Checks) == 0, x.session == nil || x.session.standing.Load() == nil:
		return "let the client get a token for this audience from an issuer that the gate accepts"
	case q.Action == ActionPublish:
		return x.fixGrants(topicacl.ActionPublish, "", q.Topic, q.QoS, q.Retain)
	default:
		return x.fixGrants(topicacl.ActionSubscribe, "", q.Topic, 0, false)
	}
}

func (x *explainer) fixMQTTClientID() string {
	patterns := x.status.MQTTClientIDs
	if len(patterns) == 0 {
		id := x.session.clientID
		patterns = []string{id, id + replicaSeparator + "*"}
	}
	return fmt.Sprintf("let the client connect as %s, or allow it %s", printable(strings.Join(patterns, " or ")), printable(x.session.mqttID))
}

// fixGrants says how a publisher or subscriber could come by a right that it lacks.
func (x *explainer) fixGrants(action topicacl.Action, what, topic string, qos byte, retain bool) string {
	st := x.session.standing.Load()
	verdict := publishOrSubscribe(st.rights, action, topic, qos, retain)
	switch verdict.Reason {
	case topicacl.ReasonQoS:
		return fmt.Sprintf("%s grants QoS %d at most: publish at that, or give the client a scope without the limit", verdict.Grant,
			maxQoSOf(verdict.Grant))
	case topicacl.ReasonRetain:
		return verdict.Grant + " grants no retained messages: publish without the retain flag, or give the client a scope without the limit"
	case topicacl.ReasonReserved:
		return "choose another topic: nobody may publish below $SYS or $share"
	case topicacl.ReasonTopic, topicacl.ReasonFilter, topicacl.ReasonShare, topicacl.ReasonTooDeep, topicacl.ReasonTooLong:
		return "choose another topic: the gate takes none like this one (" + string(verdict.Reason) + ")"
	case topicacl.ReasonGranted, topicacl.ReasonNoGrant:
	}
	wanted := topicacl.Scope{Action: action, Filter: unshared(topic), MaxQoS: maxQoS, Retain: true}
	switch {
	case x.wouldHold(action, topic, qos, retain):
		return "the client holds " + wanted.String() + ", but its token does not: let it get a fresh one that does"
	case publishOrSubscribe(rights{granted: st.granted}, action, topic, qos, retain).Allowed:
		return "the token grants it, but the client does not hold it any longer: give it back, e.g. in one of its roles"
	}
	text := fmt.Sprintf("give the client a scope that covers %s, e.g. in one of its roles", wanted)
	if x.session.foreign() {
		text = fmt.Sprintf("let the issuer give the client a scope that stands for %s", wanted)
	}
	if near := nearest(x.answer.Grants, wanted); near != "" {
		text += fmt.Sprintf("; %s%s is not inside any grant, nearest: %s", what, printable(topic), near)
	}
	return text
}

// maxQoSOf returns the highest QoS that a grant allows.
func maxQoSOf(grant string) byte {
	scope, _ := topicacl.ParseScope(grant) // the grants themselves have written it
	return scope.MaxQoS
}

func publishOrSubscribe(r rights, action topicacl.Action, topic string, qos byte, retain bool) topicacl.Verdict {
	if action == topicacl.ActionPublish {
		return r.Publish(topic, qos, retain)
	}
	return r.Subscribe(topic)
}

// wouldHold reports whether the client holds at present what its token does not grant.
func (x *explainer) wouldHold(action topicacl.Action, topic string, qos byte, retain bool) bool {
	if x.token == nil {
		return false
	}
	held, _ := x.hook.rightsOf(x.session.principal, nil, nil, x.status)
	return publishOrSubscribe(held, action, topic, qos, retain).Allowed
}

// unshared returns the filter within a shared subscription.
func unshared(filter string) string {
	if parts := strings.SplitN(filter, "/", 3); len(parts) == 3 && mqtt.IsSharedFilter(filter) {
		return parts[2]
	}
	return filter
}

// nearest returns the grant whose filter has the most levels in common with the one that is wanted, from the first on; empty if none has
// any.
func nearest(grants []string, wanted topicacl.Scope) string {
	best, most := "", 0
	for _, text := range grants {
		scope, err := topicacl.ParseScope(text)
		if err != nil || scope.Action != wanted.Action {
			continue
		}
		if n := commonLevels(scope.Filter, wanted.Filter); n > most {
			best, most = text, n
		}
	}
	return best
}

// commonLevels counts the levels, from the first on, that are the same or that a wildcard of the grant stands for.
func commonLevels(grant, wanted string) int {
	n := 0
	for {
		g, grantRest, more := strings.Cut(grant, "/")
		w, wantedRest, moreWanted := strings.Cut(wanted, "/")
		if g != w && g != "+" && g != "#" {
			return n
		}
		n++
		if !more || !moreWanted {
			return n
		}
		grant, wanted = grantRest, wantedRest
	}
}
