package authhook

import (
	"strings"
)

// maxMQTTClientID is the longest MQTT client ID that is let in, in bytes. MQTT allows 65,535.
const maxMQTTClientID = 256

// replicaSeparator stands between a client's own ID and the suffix that tells its replicas apart.
const replicaSeparator = ":"

// wellFormedID reports whether an MQTT client ID, or the client ID of a token, is short and free of control characters.
func wellFormedID(id string) bool {
	return id != "" && len(id) <= maxMQTTClientID && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// mayUse reports whether a client may connect under an MQTT client ID. Names are compared byte by byte.
func mayUse(clientID, mqttID string, patterns []string) bool {
	if len(patterns) == 0 {
		return closeness(clientID, mqttID) > 0
	}
	for _, pattern := range patterns {
		if matches(pattern, mqttID) {
			return true
		}
	}
	return false
}

// placeholderClient stands for the client ID in the patterns of an Issuer.
const placeholderClient = "{client_id}"

// patternsFor returns the patterns for the MQTT client IDs of one of the issuer's clients. A client whose ID has a '*' gets none but
// the pattern of no ID: its name would be read as a wildcard.
func (i Issuer) patternsFor(clientID string) []string {
	if strings.Contains(clientID, "*") {
		return []string{""}
	}
	templates := i.MQTTClientIDs
	if len(templates) == 0 {
		templates = []string{placeholderClient, placeholderClient + replicaSeparator + "*"}
	}
	patterns := make([]string, len(templates))
	for n, template := range templates {
		patterns[n] = strings.ReplaceAll(template, placeholderClient, clientID)
	}
	return patterns
}

// closeness says how near an MQTT client ID is to a client: 2 if it is the client's own ID, 1 if it is one of its replicas, 0 if only
// a pattern can let the client use it.
func closeness(clientID, mqttID string) int {
	switch rest, found := strings.CutPrefix(mqttID, clientID); {
	case !found || clientID == "":
		return 0
	case rest == "":
		return 2
	case strings.HasPrefix(rest, replicaSeparator) && len(rest) > len(replicaSeparator):
		return 1
	default:
		return 0
	}
}

// outranks reports whether a principal has a better right to an MQTT client ID than the present owner of its session: the client after
// which the ID is named throws out one that came by it through a pattern, as all clients of foreign issuers do.
func (p principal) outranks(owner principal, mqttID string) bool {
	return p.closeness(mqttID) > owner.closeness(mqttID)
}

func (p principal) closeness(mqttID string) int {
	if p.foreign() {
		return 0
	}
	return closeness(p.clientID, mqttID)
}

// matches reports whether text matches a pattern in which '*' stands for any bytes, also none. Its time is bounded by the product of
// the lengths.
func matches(pattern, text string) bool {
	p, t := 0, 0
	star, resume := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0: // let the last star take one byte more
			resume++
			p, t = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
