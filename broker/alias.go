package broker

import "github.com/mochi-mqtt/server/v2/packets"

// maxAliases bounds the outbound topic aliases of one connection.
const maxAliases = 16

// aliases gives outbound messages topic aliases (MQTT 5 §3.3.2.3.4). mochi
// would give them when it queues a message; the message may then be dropped, or
// resent over a connection to which the alias means nothing. Here they are given
// when the packet is written, and count once it has been. Only a connection's
// write loop uses its aliases, so there is no lock.
type aliases struct {
	max   uint16
	known map[string]alias
}

type alias struct {
	number    uint16
	announced bool // the client has been told
}

// apply puts an alias on the packet if its topic has or can get one.
func (a *aliases) apply(pk *packets.Packet) {
	if a.max == 0 || pk.TopicName == "" || pk.Properties.TopicAliasFlag {
		return
	}
	entry, ok := a.known[pk.TopicName]
	if !ok {
		if len(a.known) >= int(a.max) {
			return
		}
		if a.known == nil {
			a.known = map[string]alias{}
		}
		entry.number = uint16(len(a.known)) + 1
		a.known[pk.TopicName] = entry
	}
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = entry.number, true
	if entry.announced {
		pk.TopicName = ""
	}
}

// written notes that a packet has told the client an alias. An attached hook
// may have given it one of its own.
func (a *aliases) written(pk packets.Packet) {
	if entry, ok := a.known[pk.TopicName]; ok && pk.Properties.TopicAlias == entry.number {
		a.known[pk.TopicName] = alias{number: entry.number, announced: true}
	}
}
