package authhook

import (
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// refusedTopic takes the place of the topic of a refused PUBLISH on its way through mochi. No grant allows it and no subscription
// matches it.
const refusedTopic = "$share/refused/-"

// OnPacketRead judges what a client sends before mochi looks at it.
func (h *Hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	s := h.session(cl)
	switch {
	case s == nil && pk.FixedHeader.Type == packets.Connect:
		return pk, nil
	case s == nil || s.is(offline):
		return pk, packets.ErrRejectPacket
	case pk.FixedHeader.Type == packets.Disconnect:
		return pk, nil
	case s.is(ended):
		return s.drain(pk)
	case s.expired():
		s.expire()
		return s.drain(pk)
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		err := h.readPublish(s, &pk)
		return pk, err
	case packets.Auth:
		return h.readAuth(s, pk)
	case packets.Connect:
		scrub(pk) // mochi ends the connection over a second CONNECT, and logs it
	}
	return pk, nil
}

// readPublish judges a PUBLISH on its effective topic. A refused one goes on through mochi, whose acknowledgements stay its own, but
// under a topic that leads nowhere: mochi would not answer a PUBLISH to $SYS at all, so that the client sent it again for ever. The packet
// is large, so it is not copied.
func (h *Hook) readPublish(s *session, pk *packets.Packet) (err error) {
	if pk.Properties.TopicAliasFlag {
		if code := s.inbound.resolve(pk, h.aliasLimit()); code != packets.CodeSuccess {
			h.breakOff(s, code, RuleTopicAlias, "")
			*pk, err = s.drain(*pk)
			return err
		}
	}
	p, st := publicationOf(pk), s.current()
	denied := h.judgeRate(s.meter.Load().rates(), p, take)
	if denied == nil {
		denied = h.judgePublication(s.owner, st, p, &s.published)
	}
	switch {
	case (p.qos > 0) != (pk.PacketID > 0), denied != nil && breaksProtocol(p.topic):
		return nil // mochi ends the connection over it
	case denied != nil:
		return h.refusePublish(s, pk, denied)
	}
	return nil
}

// breaksProtocol reports whether what stands in a PUBLISH for a topic name is none (MQTT 5.0 §3.3.2.1).
func breaksProtocol(topic string) bool {
	return topic == "" || strings.IndexByte(topic, '+') >= 0 || strings.IndexByte(topic, '#') >= 0
}

// refusePublish answers a PUBLISH that is refused, or sees to it that mochi does.
func (h *Hook) refusePublish(s *session, pk *packets.Packet, denied *denial) (err error) {
	e := Event{Kind: KindPublish, Rule: denied.rule, Topic: printable(pk.TopicName), Detail: denied.detail}
	told := s.protocol == 5 && pk.FixedHeader.Qos > 0
	disconnect := !told && h.cfg.OnDenied == RFC9431
	switch {
	case told:
		e.ReasonCode, s.refusedWith = denied.ack.Code, denied.ack.Code
	case disconnect:
		e.ReasonCode = denied.end.Code
	}
	h.reportDenied(s, denied, e)
	if disconnect {
		s.kick(denied.end)
		*pk, err = s.drain(*pk)
		return err
	}
	pk.TopicName, pk.Payload, pk.FixedHeader.Retain, pk.Properties = refusedTopic, nil, false, packets.Properties{}
	return nil
}

// mayWrite answers mochi for a PUBLISH that readPublish has judged. A refusal makes mochi answer an MQTT 5.0 client with reason code
// 0x87 at QoS 1 and 2 (§3.4.2.1, §3.5.2.1). In 3.1.1 it would end the connection: there the packet goes on as far as OnPublish, and
// the client gets an acknowledgement that says nothing about the fate of the message ([MQTT-3.3.5-2]).
func (s *session) mayWrite(topic string) bool { return topic != refusedTopic || s.protocol < 5 }

// answerRefused mends mochi's answer to a refused PUBLISH: the reason code is that of the refusal and says all that a device learns, and
// what OnPublish has refused at QoS 2 is answered with a PUBREC.
func (s *session) answerRefused(pk packets.Packet) packets.Packet {
	if pk.ReasonCode != packets.ErrNotAuthorized.Code {
		return pk
	}
	pk.Properties.ReasonString = ""
	if s.refusedWith != 0 {
		pk.ReasonCode, s.refusedWith = s.refusedWith, 0
	}
	if s.refusedRec {
		s.refusedRec = false
		pk.FixedHeader.Type = packets.Pubrec
	}
	return pk
}

// OnACLCheck answers mochi's three questions: may the client publish to this topic, subscribe to this filter, receive from this
// topic. Publishing has been judged in OnPacketRead, with QoS and retain flag, and is judged again in OnPublish.
func (h *Hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	s := h.session(cl)
	switch {
	case s == nil:
		return cl.Net.Inline
	case write:
		return s.mayWrite(topic)
	case s.mayHave(topic): // first, because it is asked with every delivery; a filter with wildcards is no topic
		return true
	case isFilter(topic):
		return s.current().Subscribe(topic).Allowed
	default:
		h.reportWithheld(s, topic)
		return false
	}
}

// OnPublish is the last word on a PUBLISH, whatever other hooks have answered or changed. A refused one is answered and not
// forwarded: an MQTT 5.0 client at QoS 1 and 2 is told so, for others any error but CodeSuccessIgnore would let mochi publish it.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	s := h.session(cl)
	if s == nil && cl.Net.Inline {
		return pk, nil
	}
	if s == nil || s.is(ended|revoked|dropped) {
		return pk, packets.CodeSuccessIgnore
	}
	st := s.current()
	if s.published.covers(st, pk.TopicName, pk.FixedHeader.Qos, pk.FixedHeader.Retain) {
		h.observe(s, Event{Kind: KindPublish, Allowed: true, Rule: RuleGranted})
		return pk, nil
	}
	verdict := st.Publish(pk.TopicName, pk.FixedHeader.Qos, pk.FixedHeader.Retain)
	switch {
	case verdict.Allowed:
	case pk.TopicName != refusedTopic:
		h.report(s, Event{Kind: KindPublish, Rule: ruleOf(verdict), Topic: printable(pk.TopicName), Detail: verdict.Grant})
		return pk, packets.CodeSuccessIgnore
	case s.protocol == 5 && pk.FixedHeader.Qos > 0: // another hook has permitted what this one refused
		s.refusedRec = pk.FixedHeader.Qos == 2
		return pk, packets.ErrNotAuthorized
	default:
		return pk, packets.CodeSuccessIgnore
	}
	h.observe(s, Event{Kind: KindPublish, Allowed: true, Rule: RuleGranted})
	return pk, nil
}
