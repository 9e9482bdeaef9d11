package authhook

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnSelectSubscribers leaves in each shared subscription (MQTT 5.0 §4.8.2) only members that may have the message, and of these only
// connected ones if there are any: mochi picks one blindly, and with the wrong one the message would be lost.
func (h *Hook) OnSelectSubscribers(subs *mqtt.Subscribers, pk packets.Packet) *mqtt.Subscribers {
	for filter, members := range subs.Shared {
		var away []string
		for id := range members {
			s := h.memberSession(id)
			switch {
			case s == nil || !s.mayHave(pk.TopicName):
				delete(members, id)
			case !s.reachable():
				away = append(away, id)
			}
		}
		if len(away) < len(members) {
			for _, id := range away {
				delete(members, id)
			}
		}
		if len(members) == 0 {
			delete(subs.Shared, filter)
		}
	}
	return subs
}

// memberSession returns the session of the client that mochi would give a message for this MQTT client ID.
func (h *Hook) memberSession(id string) *session {
	if cl, ok := h.server.Clients.Get(id); ok {
		return h.session(cl)
	}
	return nil
}
