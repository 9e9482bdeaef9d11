package authhook

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Authentication Methods with which an MQTT 5.0 client may hand over its token in Authentication Data. They mean the same.
const (
	methodOAuth2 = "OAUTH2-JWT"
	methodCustom = "CUSTOM-JWT"
)

// credential returns the text of the token that a CONNECT carries: the password, or with an Authentication Method (MQTT 5.0 §4.12)
// the Authentication Data, which may be left out in favour of the password.
func credential(cl *mqtt.Client, pk packets.Packet) (string, *refusal) {
	method, data := cl.Properties.Props.AuthenticationMethod, cl.Properties.Props.AuthenticationData
	switch method {
	case "":
		if len(data) > 0 { // MQTT 5.0 §3.1.2.11.10
			return "", &refusal{connackProtocolError, RuleMethod, "authentication data without a method"}
		}
	case methodOAuth2, methodCustom:
		if len(data) > 0 {
			return string(data), nil
		}
	default:
		return "", &refusal{connackBadMethod, RuleMethod, printable(method)}
	}
	if len(pk.Connect.Password) == 0 {
		return "", &refusal{connackBadToken, RuleNoToken, ""}
	}
	return string(pk.Connect.Password), nil
}

// scrub overwrites the token in a packet: mochi logs whole packets when they offend, and keeps the buffer for as long as the client's
// name is in use.
func scrub(pk packets.Packet) {
	clear(pk.Connect.Password)
	clear(pk.Properties.AuthenticationData)
}
