package broker

import "github.com/mochi-mqtt/server/v2/packets"

// willProperties stands for the properties of a will among those of packets.
const willProperties = 0

// Forms of a property's value (MQTT 5 §2.2.2.2).
const (
	formFlag   = iota + 1 // a byte, 0 or 1
	formTwo               // two bytes
	formTwoSet            // two bytes, not 0
	formFour
	formFourSet
	formNumber // a variable byte integer, not 0
	formBinary
	formText
	formPair
)

// property is what the standard says of one: the form of its value and in which
// packets from a client it may be, as bits.
type property struct {
	form byte
	in   uint16
}

const (
	inWill, inConnect, inPublish = 1 << willProperties, 1 << packets.Connect, 1 << packets.Publish
	inSubscribe, inUnsubscribe   = 1 << packets.Subscribe, 1 << packets.Unsubscribe
	inDisconnect, inAuth         = 1 << packets.Disconnect, 1 << packets.Auth
	inAcks                       = 1<<packets.Puback | 1<<packets.Pubrec | 1<<packets.Pubrel | 1<<packets.Pubcomp
	inAll                        = inWill | inConnect | inPublish | inSubscribe | inUnsubscribe | inDisconnect | inAuth | inAcks
)

// clientProperties are the properties that clients send, by identifier (MQTT 5 §2.2.2.2).
var clientProperties = [...]property{
	packets.PropPayloadFormat:          {formFlag, inPublish | inWill},
	packets.PropMessageExpiryInterval:  {formFour, inPublish | inWill},
	packets.PropContentType:            {formText, inPublish | inWill},
	packets.PropResponseTopic:          {formText, inPublish | inWill},
	packets.PropCorrelationData:        {formBinary, inPublish | inWill},
	packets.PropSubscriptionIdentifier: {formNumber, inSubscribe | inPublish}, // in a PUBLISH mochi refuses it as §3.3.4 says
	packets.PropSessionExpiryInterval:  {formFour, inConnect | inDisconnect},
	packets.PropAuthenticationMethod:   {formText, inConnect | inAuth},
	packets.PropAuthenticationData:     {formBinary, inConnect | inAuth},
	packets.PropRequestProblemInfo:     {formFlag, inConnect},
	packets.PropWillDelayInterval:      {formFour, inWill},
	packets.PropRequestResponseInfo:    {formFlag, inConnect},
	packets.PropReasonString:           {formText, inAcks | inDisconnect | inAuth},
	packets.PropReceiveMaximum:         {formTwoSet, inConnect},
	packets.PropTopicAliasMaximum:      {formTwo, inConnect},
	packets.PropTopicAlias:             {formTwo, inPublish}, // 0 is an invalid alias and no protocol error
	packets.PropUser:                   {formPair, inAll},
	packets.PropMaximumPacketSize:      {formFourSet, inConnect},
}

// properties reads the properties of a packet (MQTT 5 §2.2.2).
func (r *reader) properties(kind byte) {
	length := r.number()
	block := reader{rest: r.take(length), version: r.version}
	var seen uint64
	for len(block.rest) > 0 {
		var p property
		id := block.number()
		if id < len(clientProperties) {
			p = clientProperties[id]
		}
		block.fail(p.in&(1<<kind) == 0, errMalformed)
		block.fail(seen&(1<<id) != 0 && p.form != formPair, errProtocol)
		seen |= 1 << id
		block.value(p.form)
	}
	r.fail(block.err != nil, block.err)
}

func (r *reader) value(form byte) {
	switch form {
	case formFlag:
		r.fail(r.byte() > 1, errProtocol)
	case formTwo:
		r.two()
	case formTwoSet:
		r.fail(r.two() == 0, errProtocol)
	case formFour:
		r.take(4)
	case formFourSet:
		p := r.take(4)
		r.fail(len(p) == 4 && p[0]|p[1]|p[2]|p[3] == 0, errProtocol)
	case formNumber:
		r.fail(r.number() == 0, errProtocol)
	case formBinary:
		r.binary()
	case formText:
		r.text()
	case formPair:
		r.text()
		r.text()
	}
}
