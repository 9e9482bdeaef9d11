package authhook

import (
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/boomgate/boomgate/authhook/topicacl"
)

// maxAliases is how many topic aliases there are in either direction of a connection (MQTT 5.0 §3.3.2.3.4).
const maxAliases = 16

// inboundAliases are the topic aliases that a client has set. mochi has its own, but asks about the topic before it looks the alias
// up; so it is given none to look up.
type inboundAliases struct {
	topics []string // topics[i] is the topic of alias i+1
}

// resolve puts the effective topic into a PUBLISH that has a topic alias, and takes the alias out. What it returns instead of
// CodeSuccess is a reason to disconnect.
func (a *inboundAliases) resolve(pk *packets.Packet, limit int) packets.Code {
	alias := int(pk.Properties.TopicAlias)
	if alias == 0 || alias > limit {
		return packets.ErrTopicAliasInvalid
	}
	switch {
	case pk.TopicName == "" && (alias > len(a.topics) || a.topics[alias-1] == ""):
		return packets.ErrProtocolViolation
	case pk.TopicName == "":
		pk.TopicName = a.topics[alias-1]
	case len(pk.TopicName) <= topicacl.MaxTopicLength: // a longer one is refused every time, so it need not be kept
		if a.topics == nil {
			a.topics = make([]string, limit)
		}
		a.topics[alias-1] = strings.Clone(pk.TopicName) // the topic is part of the packet's buffer
	}
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 0, false
	return packets.CodeSuccess
}

// outboundAliases are the topic aliases that the server has set for a client. mochi leaves out the topic before the message is
// queued: nobody could judge it later, and a client that comes back gets a message without a topic. Here the topic is left out
// when the message is written, and only once a message that sets the alias has been written.
type outboundAliases struct {
	limit  int // the Topic Alias Maximum of the client
	topics []outboundAlias
}

type outboundAlias struct {
	topic string
	sent  bool
}

// use returns the alias of a topic, 0 if it has none, and whether the client knows it already. The first topics get the aliases.
func (a *outboundAliases) use(topic string) (alias uint16, known bool) {
	for i := range a.topics {
		if a.topics[i].topic == topic {
			return uint16(i + 1), a.topics[i].sent
		}
	}
	if len(a.topics) >= a.limit {
		return 0, false
	}
	a.topics = append(a.topics, outboundAlias{topic: topic})
	return uint16(len(a.topics)), false
}

func (a *outboundAliases) sent(alias uint16) {
	if int(alias) <= len(a.topics) {
		a.topics[alias-1].sent = true
	}
}
