package topicacl

// Reason says in a few stable words why a verdict is what it is. It never holds text that came from a client.
type Reason string

// The reasons of a Verdict.
const (
	ReasonGranted  Reason = "granted"
	ReasonNoGrant  Reason = "no grant"
	ReasonQoS      Reason = "qos above limit"
	ReasonRetain   Reason = "retain not allowed"
	ReasonTopic    Reason = "malformed topic"
	ReasonFilter   Reason = "malformed filter"
	ReasonShare    Reason = "malformed shared subscription"
	ReasonTooDeep  Reason = "too deep"
	ReasonTooLong  Reason = "too long"
	ReasonReserved Reason = "reserved topic"
)

// Verdict is the answer to one question.
type Verdict struct {
	Allowed bool
	// MaxQoS is the highest QoS that the deciding grant allows, 0 when nothing is allowed. A subscription's QoS is lowered to it.
	MaxQoS byte
	// Grant is the canonical scope that decided: the one that allows, or the one whose limit forbids. It is empty if there is none.
	Grant string
	// Reason is ReasonGranted exactly when Allowed is true.
	Reason Reason
}

func refused(r Reason) Verdict { return Verdict{Reason: r} }
