package authhook

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// Kind says what a session was doing.
type Kind string

// The kinds of an Event.
const (
	KindConnect   Kind = "connect"   // a CONNECT was accepted or refused
	KindPublish   Kind = "publish"   // a PUBLISH was accepted or refused
	KindSubscribe Kind = "subscribe" // one filter of a SUBSCRIBE was accepted or refused
	KindDeliver   Kind = "deliver"   // a message was withheld from a session; deliveries that are allowed make no event
	KindWill      Kind = "will"      // a will was published or withheld when its connection ended
	KindResume    Kind = "resume"    // a subscription or queued message of an earlier session is no longer covered
	KindExpire    Kind = "expire"    // a session's token expired
	KindRenew     Kind = "renew"     // a token was accepted on a live connection, or refused
	KindRejudge   Kind = "rejudge"   // a session has lost something that its client does not hold any longer
	KindClose     Kind = "close"     // a session was closed by Close, Revoke, Rejudge or a takeover, or for breaking the protocol
)

// Event is one decision of the hook. Strings that come from a client are made printable and cut to 128 bytes; before the client is
// authenticated its MQTT client ID is given only if it is short and plain.
type Event struct {
	Time time.Time
	Kind Kind
	// Allowed is false where the client wanted, or had, what it may not. In KindExpire it is true, and in KindClose unless the client
	// broke the protocol.
	Allowed bool
	// Rule is the stable short name of what decided, one of the Rule constants or of accesstoken.Rule.
	Rule string
	// ReasonCode is what an MQTT 5.0 client is told, 0 for success. A 3.1.1 client is told less.
	ReasonCode byte
	// ClientID is the session's owner, as in Session; empty before the token is verified.
	ClientID     string
	MQTTClientID string
	Remote       string
	// Topic is the topic name or filter in question. It is empty in a KindPublish that is Allowed.
	Topic string
	// Detail says more for the operator, such as the grant whose limit was exceeded.
	Detail string
}

// The rules that are the hook's own. A topic refused by its grants has the rule's name from topicacl: its Reason with hyphens for
// spaces, such as "no-grant".
const (
	RuleGranted              = "granted"
	RuleNoToken              = "no-token"               // the CONNECT carries no token
	RuleMethod               = "authentication-method"  // unknown method, or data without one
	RuleTimeout              = "check-timeout"          // too many CONNECTs at once, or a slow verifier or ClientStatus
	RuleStatusUnavailable    = "status-unavailable"     // ClientStatus failed
	RuleClientInactive       = "client-inactive"        // unknown, disabled or deleted
	RuleMQTTClientID         = "mqtt-client-id"         // not the client's to use
	RuleOwner                = "session-owner"          // the session is another client's
	RuleWill                 = "will-outside-grants"    // the will of a CONNECT
	RuleTopicAlias           = "topic-alias"            // unknown, zero or too large
	RuleAuthPacket           = "auth-packet"            // an AUTH where none may come, or too many
	RuleConfirmation         = "token-confirmation"     // the token is bound to a certificate that the connection does not have
	RuleRenewed              = "renewed"                // a token has taken the place of an earlier one
	RuleRenewalPrincipal     = "renewal-principal"      // the token of a renewal is another issuer's, client's or subject's
	RuleTooManySubscriptions = "too-many-subscriptions" // Limits.Subscriptions
	RuleLimitConnectRate     = "limit-connect-rate"     // Limits.ConnectsPerMinute, or too many failed authentications of one address
	RuleLimitSessions        = "limit-sessions"         // Limits.Sessions
	RuleLimitPublishRate     = "limit-publish-rate"     // Limits.MessagesPerSecond
	RuleLimitBytes           = "limit-bytes"            // Limits.BytesPerSecond
	RuleLimitPayload         = "limit-payload"          // Limits.PayloadBytes
	RuleLimitRetained        = "limit-retained"         // Limits.Retained
	RuleFlapping             = "flapping"               // a client takes over one MQTT client ID again and again
	RuleManyRefused          = "many-filters-refused"   // stands for the rest of a SUBSCRIBE with many refused filters
	RuleNotCovered           = "not-covered"            // a message on a topic that the session may not receive
	RuleNarrowed             = "narrowed"               // token or client cover less than the session had
	RuleExpired              = "token-expired"          // the token expired while the session was connected
	RuleTakenOver            = "session-taken-over"     // the client has connected again, or another with its credential
	RuleClosed               = "closed-by-operator"     // Close
	RuleRevoked              = "revoked"                // Revoke, or a token that Revocations names
)

// Keys of the log.
const (
	keyEvent        = "event"
	keyRule         = "rule"
	keyReasonCode   = "reason_code"
	keyClientID     = "client_id"
	keyMQTTClientID = "mqtt_client_id"
	keyRemote       = "remote"
	keyTopic        = "topic"
	keyDetail       = "detail"
)

// maxPrinted is how much is shown of a text that a client has chosen, in bytes.
const maxPrinted = 128

// printable makes a text that a client has chosen fit for a log: cut, and with anything but plain characters escaped.
func printable(text string) string {
	cut := text
	if len(text) > maxPrinted {
		cut = text[:maxPrinted]
	}
	quoted := strconv.QuoteToASCII(cut)
	quoted = quoted[1 : len(quoted)-1]
	if len(text) > maxPrinted {
		quoted += "…"
	}
	return quoted
}

// plain matches the MQTT client IDs that may be shown of a client that nobody has authenticated. Some devices send their secret in
// the wrong field: nothing that could be one, or a token, is among them.
var plain = regexp.MustCompile(`^[a-z0-9-]{1,64}(:[a-z0-9-]{1,32})?$`)

// ruleOf returns the name of the rule behind a verdict.
func ruleOf(v topicacl.Verdict) string {
	if v.Allowed {
		return RuleGranted
	}
	return strings.ReplaceAll(string(v.Reason), " ", "-")
}

// report completes an event of a session, logs it and shows it to the observer.
func (h *Hook) report(s *session, e Event) {
	if !e.Allowed {
		s.refused.Add(1)
	}
	e.ClientID, e.MQTTClientID, e.Remote = printable(s.owner), s.shownID, s.client.Net.Remote
	h.emit(e)
}

// reportRefusal reports a CONNECT that was not accepted.
func (h *Hook) reportRefusal(cl *mqtt.Client, r *refusal) {
	e := Event{Kind: KindConnect, Rule: r.rule, ReasonCode: r.v5.Code, Remote: cl.Net.Remote, Detail: r.detail}
	if s := h.session(cl); s != nil {
		e.ClientID, e.MQTTClientID = printable(s.owner), s.shownID
	} else if plain.MatchString(cl.ID) {
		e.MQTTClientID = cl.ID
	}
	h.emit(e)
}

// reportConnect reports a CONNECT that was accepted. Topic scopes of the token that grant nothing are mentioned.
func (h *Hook) reportConnect(s *session, ignored []topicacl.Ignored) {
	faulty := 0
	for _, i := range ignored {
		if i.Scope == "" || topicacl.IsTopicScope(i.Scope) {
			faulty++
		}
	}
	e := Event{Kind: KindConnect, Allowed: true, Rule: RuleGranted}
	if faulty > 0 {
		e.Detail = fmt.Sprintf("%d topic scopes of the token grant nothing", faulty)
	}
	h.report(s, e)
}

// reportWithheld reports a message that was not given to a session.
func (h *Hook) reportWithheld(s *session, topic string) {
	if h.cfg.Observer != nil || h.log.Enabled(h.ctx, slog.LevelDebug) {
		h.report(s, Event{Kind: KindDeliver, Rule: RuleNotCovered, Topic: printable(topic)})
	}
}

// observe shows the observer an event too frequent to be logged.
func (h *Hook) observe(s *session, e Event) {
	if h.cfg.Observer != nil {
		e.Time, e.ClientID, e.MQTTClientID, e.Remote = h.clock.now(), s.owner, s.shownID, s.client.Net.Remote
		h.cfg.Observer(e)
	}
}

func (h *Hook) emit(e Event) {
	e.Time = h.cfg.Now()
	if h.cfg.Observer != nil {
		h.cfg.Observer(e)
	}
	level := slog.LevelInfo
	switch {
	case e.Kind == KindDeliver || e.Kind == KindSubscribe && e.Allowed:
		level = slog.LevelDebug
	case !e.Allowed || e.Rule == RuleFlapping:
		level = slog.LevelWarn
	}
	if !h.log.Enabled(h.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String(keyEvent, string(e.Kind)), slog.String(keyRule, e.Rule), slog.String(keyRemote, e.Remote),
		slog.Int(keyReasonCode, int(e.ReasonCode)))
	for _, optional := range [...]slog.Attr{
		slog.String(keyClientID, e.ClientID), slog.String(keyMQTTClientID, e.MQTTClientID), slog.String(keyTopic, e.Topic),
		slog.String(keyDetail, e.Detail),
	} {
		if optional.Value.String() != "" {
			attrs = append(attrs, optional)
		}
	}
	switch {
	case e.Kind == KindClose || e.Kind == KindExpire:
		h.log.LogAttrs(h.ctx, level, "session closed", attrs...)
	case e.Allowed:
		h.log.LogAttrs(h.ctx, level, "allowed", attrs...)
	default:
		h.log.LogAttrs(h.ctx, level, "refused", attrs...)
	}
}
