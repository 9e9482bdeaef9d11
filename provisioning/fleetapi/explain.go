package fleetapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

const explainPath = "/v1/explain"

// Explainer asks the gate what it would decide, and what it last refused. It may
// be called concurrently.
type Explainer interface {
	// Explain decides a question as the gate would, and changes nothing. Neither
	// its answer nor its error repeats the token. The error is an
	// [provisioning.InvalidError] for a question that cannot be asked.
	Explain(ctx context.Context, question ExplainRequest) (Explanation, error)
	// LastRefusals returns what a client was refused last, newest first; nothing
	// if nothing is known of it.
	LastRefusals(ctx context.Context, clientID string) ([]Refusal, error)
}

// ExplainRequest is a question to the gate: may the holder of this token, or this
// client with all that it holds now, connect like that, do that, or both? It masks
// itself in logs and errors.
type ExplainRequest struct {
	Token        string           `json:"token,omitempty" maxLength:"8192" example:"eyJ…" doc:"The access token to judge. It is not kept, logged or repeated."`
	ClientID     string           `json:"client_id,omitempty" maxLength:"256" example:"sensor-b2-017" doc:"In place of a token: the client, with the rights that it holds now."`
	Connect      *ConnectQuestion `json:"connect,omitempty" doc:"Ask about a CONNECT; with an action beside it, about that on such a connection."`
	Action       string           `json:"action,omitempty" enum:"publish,subscribe,receive" example:"publish" doc:"Ask about a message or a subscription."`
	Topic        string           `json:"topic,omitempty" maxLength:"65535" example:"parking/v1/north/sensor-b2-017/state" doc:"The topic name, or for subscribe the topic filter."`
	QoS          byte             `json:"qos,omitempty" maximum:"2" example:"1" doc:"The QoS that is asked for."`
	Retain       bool             `json:"retain,omitempty" doc:"Whether the message is to be retained."`
	PayloadBytes int              `json:"payload_bytes,omitempty" minimum:"0" maximum:"268435455" example:"120" doc:"The size of the message's payload, in bytes."`
}

// ConnectQuestion is a CONNECT to ask about.
type ConnectQuestion struct {
	MQTTClientID string        `json:"mqtt_client_id,omitempty" maxLength:"65535" example:"sensor-b2-017" doc:"The MQTT client ID; empty to have one assigned."`
	Thumbprint   string        `json:"thumbprint,omitempty" maxLength:"64" example:"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" doc:"The SHA-256 thumbprint (x5t#S256, RFC 8705 §3.1) of the client certificate that the connection presents."`
	Will         *WillQuestion `json:"will,omitempty" doc:"The will of the CONNECT."`
}

// WillQuestion is the will of a CONNECT to ask about.
type WillQuestion struct {
	Topic  string `json:"topic" minLength:"1" maxLength:"65535" example:"parking/v1/north/sensor-b2-017/$state" doc:"The topic name."`
	QoS    byte   `json:"qos,omitempty" maximum:"2" example:"1" doc:"The QoS."`
	Retain bool   `json:"retain,omitempty" doc:"Whether it is to be retained."`
}

// Explanation is what the gate decides, and why.
type Explanation struct {
	Allowed    bool     `json:"allowed" doc:"The verdict."`
	Rule       string   `json:"rule" example:"granted" doc:"The short name of what decided."`
	Grant      string   `json:"grant,omitempty" example:"pub:parking/v1/north/sensor-b2-017/state" doc:"The grant that decided, if one did."`
	ReasonCode int      `json:"reason_code" example:"0" doc:"What an MQTT 5.0 client is told; 0 for success."`
	ReturnCode int      `json:"return_code" example:"0" doc:"What an MQTT 3.1.1 client is told in CONNACK or SUBACK; 0 for success."`
	Checks     []Check  `json:"checks" nullable:"false" doc:"Every check in the order in which the gate makes them, up to the one that decided."`
	Fix        string   `json:"fix,omitempty" example:"Grant pub:parking/v1/north/sensor-b2-017/state." doc:"What would make it allowed."`
	ClientID   string   `json:"client_id,omitempty" example:"sensor-b2-017" doc:"Whose rights were judged."`
	Issuer     string   `json:"issuer,omitempty" example:"https://gate.example" doc:"Who issued the token."`
	Grants     []string `json:"grants" nullable:"false" example:"[\"pub:parking/v1/north/sensor-b2-017/state\"]" doc:"The topic scopes that were judged."`
}

// Check is one step on the way to a verdict.
type Check struct {
	Name   string `json:"name" example:"grants" doc:"What was looked at."`
	Passed bool   `json:"passed" doc:"Whether it was as it must be."`
	Detail string `json:"detail" example:"pub:parking/v1/north/sensor-b2-017/state covers the topic" doc:"What was found."`
}

// Refusal is something that the gate refused.
type Refusal struct {
	Time         time.Time `json:"time" doc:"When."`
	Kind         string    `json:"kind" example:"publish" doc:"What was wanted: connect, publish, subscribe and so on."`
	Rule         string    `json:"rule" example:"no-grant" doc:"The short name of what decided."`
	ReasonCode   int       `json:"reason_code" example:"135" doc:"What an MQTT 5.0 client was told."`
	ClientID     string    `json:"client_id" example:"sensor-b2-017" doc:"Who was refused."`
	MQTTClientID string    `json:"mqtt_client_id,omitempty" example:"sensor-b2-017" doc:"The MQTT client ID of the connection."`
	Remote       string    `json:"remote,omitempty" example:"192.0.2.17:50312" doc:"The network address of the other end."`
	Topic        string    `json:"topic,omitempty" example:"parking/v1/south/sensor-b2-017/state" doc:"The topic name or filter in question."`
	Detail       string    `json:"detail,omitempty" example:"no grant covers the topic" doc:"More, for the operator."`
	Verified     bool      `json:"verified" doc:"Whether a valid token proved the client ID; if not, somebody claimed it."`
}

// Inputs and outputs of the explanations.
type (
	explainInput  struct{ Body ExplainRequest }
	refusalsInput struct {
		ClientID string `query:"client_id" required:"true" minLength:"1" maxLength:"256" example:"sensor-b2-017" doc:"The client that was refused."`
	}

	explainOutput  struct{ Body Explanation }
	refusalsOutput struct{ Body Page[Refusal] }
)

// masked is what a question shows in a log or an error.
const masked = "[question with a token]"

// LogValue masks the question.
func (ExplainRequest) LogValue() slog.Value { return slog.StringValue(masked) }

// Format masks the question under every verb.
func (ExplainRequest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

func (a *API) registerExplain() {
	example := explainExample()
	register(a, operation{
		id: "explain", method: http.MethodPost, path: explainPath, scope: "sessions:read", tag: "explain", status: http.StatusOK,
		summary: "Explain a verdict",
		description: "Says whether the gate would allow a CONNECT, a publication, a subscription or a delivery: the verdict, the grant that " +
			"decided, every check in order, and what would make it allowed. It runs what the gate runs and changes nothing. " +
			"Ask with a token or with a client ID, and about a CONNECT, an action, or an action after a CONNECT.",
		request: ExplainRequest{ClientID: "sensor-b2-017", Action: "publish", Topic: "parking/v1/north/sensor-b2-017/state", QoS: 1},
		answer:  example, problems: []problemType{notFound},
	}, a.explain)
	register(a, operation{
		id: "list-refusals", method: http.MethodGet, path: explainPath + "/last", scope: "sessions:read", tag: "explain", status: http.StatusOK,
		summary: "Show what a client was refused last",
		description: "Lists what the gate refused a client last, newest first. It is kept in memory and bounded: a restart forgets it. " +
			"A refusal that is not verified was caused by somebody who claimed the client ID and did not prove it.",
		answer: Page[Refusal]{Items: []Refusal{refusalExample()}},
	}, a.listRefusals)
}

func (a *API) explain(ctx context.Context, in *explainInput) (*explainOutput, error) {
	if err := in.Body.check(); err != nil {
		return nil, err
	}
	explanation, err := a.explainer.Explain(ctx, in.Body)
	if err != nil {
		return nil, in.Body.concealIn(err)
	}
	explanation.Checks, explanation.Grants = orEmpty(explanation.Checks), orEmpty(explanation.Grants)
	explanation.Fix = in.Body.conceal(explanation.Fix)
	for i := range explanation.Checks {
		explanation.Checks[i].Detail = in.Body.conceal(explanation.Checks[i].Detail)
	}
	return &explainOutput{explanation}, nil
}

// check refuses a question that is none, or two, and what has no part in it.
func (q ExplainRequest) check() error {
	faults := &provisioning.InvalidError{}
	for _, rule := range []struct {
		broken         bool
		field, message string
	}{
		{(q.Token == "") == (q.ClientID == ""), "token", "give either a token or a client_id"},
		{q.Connect == nil && q.Action == "", "action", "give an action, a connect, or both"},
		{q.Action != "" && q.Topic == "", "topic", "is missing"},
		{q.Action == "" && q.Topic != "", "topic", "belongs to an action"},
		{q.Action == "" && q.QoS != 0, "qos", "belongs to an action"},
		{q.Action != "publish" && q.Retain, "retain", "belongs to the action publish"},
		{q.Action != "publish" && q.PayloadBytes != 0, "payload_bytes", "belongs to the action publish"},
	} {
		if rule.broken {
			faults.Fields = append(faults.Fields, provisioning.FieldError{Field: rule.field, Message: rule.message})
		}
	}
	if len(faults.Fields) == 0 {
		return nil
	}
	return faults
}

// concealIn takes the token out of an error: its text goes to the log or into the
// answer.
func (q ExplainRequest) concealIn(err error) error {
	if faults, ok := errors.AsType[*provisioning.InvalidError](err); ok {
		concealed := &provisioning.InvalidError{}
		for _, f := range faults.Fields {
			concealed.Fields = append(concealed.Fields, provisioning.FieldError{Field: f.Field, Message: q.conceal(f.Message)})
		}
		return concealed
	}
	if problemOf(err) != nil {
		return err
	}
	return errors.New(q.conceal(err.Error()))
}

// minSecretPart is the length from which on a part of a token is concealed, in
// bytes: the shortest header of a JWT is longer.
const minSecretPart = 8

// conceal takes the parts of the token out of a text.
func (q ExplainRequest) conceal(text string) string {
	for part := range strings.SplitSeq(q.Token, ".") {
		if len(part) >= minSecretPart {
			text = strings.ReplaceAll(text, part, "…")
		}
	}
	return text
}

func (a *API) listRefusals(ctx context.Context, in *refusalsInput) (*refusalsOutput, error) {
	refusals, err := a.explainer.LastRefusals(ctx, in.ClientID)
	if err != nil {
		return nil, err
	}
	return &refusalsOutput{Page[Refusal]{Items: orEmpty(refusals)}}, nil
}
