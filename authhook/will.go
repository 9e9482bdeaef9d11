package authhook

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnWill judges a will when its connection has ended, by what the client may do then. The will of a session whose token has expired
// is published: the device is lost, and its will was allowed. The will of a client whose rights are gone is not. An empty will reaches
// nobody: mochi finds no subscriber for an empty topic.
func (h *Hook) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	s := h.session(cl)
	if s == nil {
		return mqtt.Will{}, nil
	}
	e := Event{Kind: KindWill, Topic: printable(will.TopicName)}
	switch verdict := s.grants.Load().Publish(will.TopicName, will.Qos, will.Retain); {
	case s.is(revoked):
		e.Rule = RuleRevoked
	case !verdict.Allowed:
		e.Rule, e.Detail = ruleOf(verdict), verdict.Grant
	default:
		e.Allowed, e.Rule = true, RuleGranted
	}
	h.report(s, e)
	if !e.Allowed {
		return mqtt.Will{}, nil
	}
	return will, nil
}

// cancelWill withdraws the will of an offline client that waits for its Will Delay Interval (MQTT 5.0 §3.1.3.2.2). mochi judges it
// no more, and lets go of it only over a DISCONNECT.
func (h *Hook) cancelWill(cl *mqtt.Client) {
	// The client is gone, so there is nothing to fail.
	_ = h.server.InjectPacket(cl, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
}
