package authhook

import (
	"context"
	"fmt"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook/accesstoken"
	"github.com/boomgate/boomgate/authhook/topicacl"
)

// An explainer puts the checks of the gate to a question, one after the other, and notes what each has seen.
type explainer struct {
	hook     *Hook
	question Question
	answer   Explanation

	token   *accesstoken.Token // nil if the question is about a client
	session *session           // on no registry: what the gate would have of this client
	status  Status
	ignored []topicacl.Ignored

	refusedBy string // the rule that refuses, "" while none does
	detail    string // of that rule
}

// A step is one check among those that a function of the gate makes together.
type step struct {
	name string
	rule string // the rule by which it refuses; the last step of several stands for all other rules
	seen string // what was seen, if it passed
}

// pass notes the steps of a function that refused by a rule, or by none if it is empty, and reports whether it let pass.
func (x *explainer) pass(rule, detail string, steps ...step) bool {
	for i, s := range steps {
		failed := rule != "" && (rule == s.rule || i == len(steps)-1)
		if failed {
			x.refusedBy, x.detail = rule, detail
			if detail == "" {
				detail = rule
			}
			x.answer.Checks = append(x.answer.Checks, Check{Name: s.name, Detail: detail})
			return false
		}
		x.answer.Checks = append(x.answer.Checks, Check{Name: s.name, Passed: true, Detail: s.seen})
	}
	return true
}

// admits is pass for a function that refuses a CONNECT.
func (x *explainer) admits(refused *refusal, steps ...step) bool {
	if refused == nil {
		return x.pass("", "", steps...)
	}
	x.answer.ReasonCode, x.answer.ReturnCode = refused.v5.Code, refused.v3.Code
	return x.pass(refused.rule, refused.detail, steps...)
}

// identify finds out who it is and where he stands.
func (x *explainer) identify(ctx context.Context) bool {
	p := newPrincipal("", x.question.ClientID)
	if x.question.Token != "" {
		var ok bool
		if p, ok = x.verify(ctx); !ok {
			return false
		}
	}
	x.answer.ClientID, x.answer.Issuer = p.clientID, p.issuer
	x.session = &session{principal: p, hook: x.hook, mqttID: p.owner, assigned: true, protocol: 5}
	if c := x.question.Connect; c != nil {
		x.session.mqttID, x.session.assigned = c.MQTTClientID, c.MQTTClientID == ""
		if x.session.assigned {
			x.session.mqttID = p.owner + replicaSeparator + "assigned"
		}
	}
	return x.checkToken() && x.stand(ctx) && x.checkRevoked()
}

// verify verifies the token.
func (x *explainer) verify(ctx context.Context) (principal, bool) {
	token, refused := x.hook.verify(ctx, x.question.Token)
	if refused != nil {
		return principal{}, x.admits(refused, step{name: "token"})
	}
	x.token = token
	seen := fmt.Sprintf("issued by %s to %s, key %s", printable(token.Issuer), printable(token.ClientID), printable(token.KeyID))
	x.admits(nil, step{name: "token", seen: seen})
	p, refused := x.hook.principalOf(token)
	if refused == nil {
		seen = "the gate's own"
		if p.foreign() {
			seen = p.issuer
		}
	}
	return p, x.admits(refused, step{name: "issuer", seen: seen})
}

// checkToken checks what a verified token may be refused for.
func (x *explainer) checkToken() bool {
	if x.token == nil {
		return true
	}
	presented, certificate := x.token.Thumbprint, "the token is bound to none"
	switch connect := x.question.Connect; {
	case connect != nil:
		presented = connect.Thumbprint
		if x.token.Thumbprint != "" {
			certificate = "the one that the token is bound to"
		}
	case x.token.Thumbprint != "":
		certificate = "the token is bound to " + printable(x.token.Thumbprint) + "; whether it is presented was not asked"
	}
	refused := x.hook.checkToken(x.token, x.session.mqttID, presented)
	return x.admits(refused,
		step{"expiry", accesstoken.Rule(accesstoken.ErrExpired), "expires " + x.token.ExpiresAt.UTC().Format(time.RFC3339)},
		step{"certificate", RuleConfirmation, certificate},
	)
}

// checkRevoked checks that the token was not revoked.
func (x *explainer) checkRevoked() bool {
	return x.token == nil || x.admits(x.hook.checkRevoked(x.token), step{"revocation", RuleRevoked, "not revoked"})
}

// stand finds out where the client stands.
func (x *explainer) stand(ctx context.Context) bool {
	status, err := x.hook.statusOf(ctx, x.session.principal)
	if err != nil {
		return x.admits(&refusal{connackUnavailable, RuleStatusUnavailable, err.Error()}, step{name: "client"})
	}
	st, ignored := x.session.newStanding(x.token, status)
	x.status, x.ignored = status, ignored
	x.session.standing.Store(st)
	steps := []step{{"client", RuleClientInactive, "active"}}
	if connect := x.question.Connect; connect != nil {
		seen := printable(connect.MQTTClientID)
		if x.session.assigned {
			seen = "the server assigns one"
		}
		steps = append(steps, step{"mqtt-client-id", RuleMQTTClientID, seen})
	}
	if !x.admits(st.barred, steps...) {
		return false
	}
	x.answer.Grants = st.granted.Scopes()
	seen := fmt.Sprintf("%d topic scopes", len(x.answer.Grants))
	if n := len(x.ignored); n > 0 {
		seen += fmt.Sprintf(", %d grant nothing, the first because: %v", n, x.ignored[0].Err)
	}
	return x.pass("", "", step{name: "scopes", seen: seen})
}

// connect makes the checks of a CONNECT that are left, if the question is about one.
func (x *explainer) connect() bool {
	c := x.question.Connect
	if c == nil {
		return true
	}
	h, s := x.hook, x.session
	st := s.standing.Load()
	allowance := h.meters.allowance(s.owner, st.limits)
	if !x.admits(h.checkConnectRate(allowance, look), step{"connect-rate", RuleLimitConnectRate, limitText(st.limits.ConnectsPerMinute, "a minute")}) {
		return false
	}
	var refused *refusal
	if h.meters.full(s.owner, s.mqttID, st.limits) {
		refused = tooManySessions(st.limits)
	}
	if !x.admits(refused, step{"sessions", RuleLimitSessions, limitText(st.limits.Sessions, "at a time")}) {
		return false
	}
	if c.Will != nil && !x.will(st, c.Will) {
		return false
	}
	refused = h.checkOwner(s.principal, s.mqttID)
	if refused == nil && h.live.taken(s.principal, s.mqttID) {
		refused = refusedOwner
	}
	return x.admits(refused, step{"session-owner", RuleOwner, "no other client has a session under this ID"})
}

func (x *explainer) will(st *standing, w *WillQuestion) bool {
	will := mqtt.Will{Flag: 1, TopicName: w.Topic, Qos: w.QoS, Retain: w.Retain, Payload: []byte{0}} // not empty, which would delete
	verdict := st.Publish(w.Topic, w.QoS, w.Retain)
	x.answer.Grant = verdict.Grant
	seen := printable(w.Topic)
	if verdict.Allowed {
		seen += " is covered by " + verdict.Grant
	}
	return x.admits(x.hook.checkWill(x.session.owner, st, &will), step{"will", RuleWill, seen})
}

// act makes the checks of the action, if the question is about one.
func (x *explainer) act() {
	switch x.question.Action {
	case ActionPublish:
		x.publish()
	case ActionSubscribe:
		x.subscribe()
	case ActionReceive:
		x.receive()
	}
}

func (x *explainer) publish() {
	q, h, s := x.question, x.hook, x.session
	st := s.standing.Load()
	p := publication{topic: q.Topic, qos: q.QoS, retain: q.Retain, payload: q.PayloadBytes}
	if breaksProtocol(q.Topic) {
		x.answer.ReasonCode = packets.ErrProtocolViolation.Code
		x.pass(ruleOf(topicacl.Verdict{Reason: topicacl.ReasonTopic}), "no topic name: the connection is closed", step{name: "topic"})
		return
	}
	denied := h.judgeRate(h.meters.allowance(s.owner, st.limits), p, look)
	if !x.accepts(denied,
		step{"publish-rate", RuleLimitPublishRate, limitText(st.limits.MessagesPerSecond, "a second")},
		step{"bytes", RuleLimitBytes, limitText(st.limits.BytesPerSecond, "a second")},
	) {
		return
	}
	verdict := st.Publish(q.Topic, q.QoS, q.Retain)
	x.answer.Grant = verdict.Grant
	steps := []step{{"payload", RuleLimitPayload, limitText(st.limits.PayloadBytes, "bytes")}}
	steps = append(steps, grantSteps(st, ruleOf(verdict), func(g *topicacl.Grants) topicacl.Verdict {
		return g.Publish(q.Topic, q.QoS, q.Retain)
	})...)
	if q.Retain {
		steps = append(steps, step{"retained", RuleLimitRetained, limitText(st.limits.Retained, "messages")})
	}
	x.accepts(h.judgePublication(s.owner, st, p, nil), steps...)
}

// accepts is pass for a function that refuses a PUBLISH.
func (x *explainer) accepts(denied *denial, steps ...step) bool {
	if denied == nil {
		return x.pass("", "", steps...)
	}
	switch {
	case x.question.QoS > 0:
		x.answer.ReasonCode = denied.ack.Code
	case x.hook.cfg.OnDenied == RFC9431:
		x.answer.ReasonCode = denied.end.Code
	}
	return x.pass(denied.rule, denied.detail, steps...)
}

// grantSteps are the steps behind a verdict that refuses by this rule: what the token grants, and what the client holds, if that is
// less.
func grantSteps(st *standing, rule string, ask func(*topicacl.Grants) topicacl.Verdict) []step {
	byToken := ask(st.granted)
	steps := []step{{name: stepGrants, seen: "covered by " + byToken.Grant}}
	if !byToken.Allowed {
		steps[0].rule = rule
	}
	if st.held != nil {
		steps = append(steps, step{stepHeld, rule, "the client holds it at present"})
	}
	return steps
}

// Names of the steps that are about grants.
const (
	stepGrants = "grants"
	stepHeld   = "held"
)

func (x *explainer) subscribe() {
	q, s := x.question, x.session
	st := s.standing.Load()
	held, exists := x.subscriptions(q.Topic)
	filter := packets.Subscription{Filter: q.Topic, Qos: q.QoS}
	e := s.judgeFilter(&filter, !exists && held >= st.limits.Subscriptions)
	verdict := st.Subscribe(q.Topic)
	x.answer.Grant = verdict.Grant
	rule := ""
	if !e.Allowed {
		rule = e.Rule
		x.answer.ReasonCode, x.answer.ReturnCode = e.ReasonCode, refusedCode(filter.Filter, mqtt311)
	}
	steps := grantSteps(st, ruleOf(verdict), func(g *topicacl.Grants) topicacl.Verdict { return g.Subscribe(q.Topic) })
	if filter.Qos < q.QoS {
		steps[0].seen += fmt.Sprintf(", at QoS %d", filter.Qos)
	}
	steps = append(steps, step{"subscriptions", RuleTooManySubscriptions, fmt.Sprintf("%d of %d", held, st.limits.Subscriptions)})
	x.pass(rule, e.Detail, steps...)
}

// mqtt311 is the protocol level of MQTT 3.1.1.
const mqtt311 = 4

// subscriptions returns how many the client's session under this MQTT client ID has, and whether one has this filter.
func (x *explainer) subscriptions(filter string) (n int, exists bool) {
	for _, s := range x.hook.live.withMQTTID(x.session.mqttID) {
		if s.owner == x.session.owner && s.is(established|restored) {
			n = max(n, s.client.State.Subscriptions.Len())
			_, found := s.client.State.Subscriptions.Get(filter)
			exists = exists || found
		}
	}
	return n, exists
}

func (x *explainer) receive() {
	q, st := x.question, x.session.standing.Load()
	rule := ""
	if !x.session.mayHave(q.Topic) {
		rule = RuleNotCovered
	}
	// A subscription to a topic name reaches that topic alone, so the grant that would permit it is one that covers the topic.
	ask := func(g *topicacl.Grants) topicacl.Verdict {
		if !g.Deliver(q.Topic) {
			return topicacl.Verdict{Reason: topicacl.ReasonNoGrant}
		}
		verdict := g.Subscribe(q.Topic)
		verdict.Allowed = true
		return verdict
	}
	steps := grantSteps(st, rule, ask)
	x.answer.Grant = ask(st.granted).Grant
	x.pass(rule, "", steps...)
}

// limitText says what a limit is.
func limitText(limit int, of string) string {
	if limit == 0 {
		return "no limit"
	}
	return strings.TrimSpace(fmt.Sprintf("within %d %s", limit, of))
}
