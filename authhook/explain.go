package authhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Actions of a Question.
const (
	ActionPublish   = "publish"
	ActionSubscribe = "subscribe"
	ActionReceive   = "receive"
)

// maxQoS is the highest QoS of MQTT.
const maxQoS = 2

// ErrQuestion says that a Question cannot be answered: both or neither of token and client, an unknown action, a topic missing.
var ErrQuestion = errors.New("malformed question")

// Question is what an operator asks the gate about: a CONNECT, or what a client may do once it is connected.
type Question struct {
	// Token or ClientID says who would do it; one of the two is given. A client without a token is judged by what it holds now: it must be
	// one of those that ClientStatus knows.
	Token, ClientID string
	// Connect asks about a CONNECT, or with an Action beside it about a CONNECT and what comes after.
	Connect *ConnectQuestion
	// Action is one of the Action constants, or "" with Connect.
	Action string
	// Topic is a topic name, or a filter where Action is ActionSubscribe.
	Topic  string
	QoS    byte
	Retain bool
	// PayloadBytes is the length of the payload that would be published. An empty one with Retain deletes a retained message.
	PayloadBytes int
}

// ConnectQuestion says how a CONNECT would be made.
type ConnectQuestion struct {
	// MQTTClientID may be empty: then the server assigns one.
	MQTTClientID string
	// Thumbprint is that of the certificate that the client would present, empty if none (RFC 8705 §3.1).
	Thumbprint string
	Will       *WillQuestion
}

// WillQuestion is the will of a CONNECT.
type WillQuestion struct {
	Topic  string
	QoS    byte
	Retain bool
}

// Explanation is a verdict of the gate, and how it came about.
type Explanation struct {
	Allowed bool
	// Rule is the name of what decided, as in an Event.
	Rule string
	// Grant is the scope that allows, or whose limit forbids; empty if there is none.
	Grant string
	// ReasonCode is what an MQTT 5.0 client is told: in CONNACK, PUBACK, PUBREC, SUBACK or DISCONNECT; 0 for success and where it is
	// told nothing.
	ReasonCode byte
	// ReturnCode is what an MQTT 3.1.1 client is told, in CONNACK or SUBACK; 0 for success and where it is told nothing.
	ReturnCode byte
	// Checks are those that were made, in their order. Only the last can have failed.
	Checks []Check
	// Fix says what an operator could do so that it would be allowed; empty if it is.
	Fix string
	// ClientID and Issuer say who it is about, once a token is verified. Issuer is an Issuer's Name, "" for one's own.
	ClientID, Issuer string
	// Grants are the topic scopes of the token, or of the client if the question has no token. Named scopes and AIF are expanded.
	Grants []string
}

// Check is one step on the way to a verdict.
type Check struct {
	Name   string
	Passed bool
	// Detail says what was seen.
	Detail string
}

// Explain answers a question by the very checks that the gate makes, and changes nothing: no session, no rate. What depends on the
// connection is checked only where the question is about one: the certificate, the MQTT client ID, the rate of CONNECTs. The error wraps
// ErrQuestion.
func (h *Hook) Explain(ctx context.Context, q Question) (Explanation, error) {
	if err := h.checkQuestion(q); err != nil {
		return Explanation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.VerifyTimeout)
	defer cancel()
	x := &explainer{hook: h, question: q}
	if x.identify(ctx) && x.connect() {
		x.act() //nolint:contextcheck // where the client stands is known by then: nobody is asked any more
	}
	if x.answer.Allowed = x.refusedBy == ""; x.answer.Allowed {
		x.answer.Rule = RuleGranted
	} else {
		x.answer.Rule, x.answer.Fix = x.refusedBy, x.fix()
	}
	return x.answer, nil
}

// checkQuestion reports what is wrong with a question.
func (h *Hook) checkQuestion(q Question) error {
	for _, fault := range [...]struct {
		wrong bool
		text  string
	}{
		{(q.Token == "") == (q.ClientID == ""), "either a token or a client ID is wanted"},
		{q.ClientID != "" && !wellFormedID(q.ClientID), "the client ID is too long, or has control characters"},
		{q.ClientID != "" && (h.cfg.Clients == nil || h.ownerNamed(q.ClientID).foreign()), "only its token says what this client may do"},
		{q.Action == "" && q.Connect == nil, "neither an action nor a CONNECT"},
		{!slices.Contains([]string{"", ActionPublish, ActionSubscribe, ActionReceive}, q.Action), "unknown action"},
		{(q.Action == "") != (q.Topic == ""), "a topic without an action, or the reverse"},
		{q.QoS > maxQoS || q.Connect.willQoS() > maxQoS, "no such QoS"},
		{q.PayloadBytes < 0, "the payload has a negative length"},
	} {
		if fault.wrong {
			return fmt.Errorf("%w: %s", ErrQuestion, fault.text)
		}
	}
	return nil
}

func (c *ConnectQuestion) willQoS() byte {
	if c == nil || c.Will == nil {
		return 0
	}
	return c.Will.QoS
}
