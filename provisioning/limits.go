package provisioning

import "math"

// Limits bound what each client with a role may do on the broker; zero is no
// limit of this role. A client with several roles has, field by field, the
// highest limit that any of them sets. What is over a limit is refused with the
// reason code that MQTT 5 has for it.
type Limits struct {
	// Sessions is how many sessions may be connected at once.
	Sessions          int `json:"max_sessions,omitempty"`
	ConnectsPerMinute int `json:"max_connects_per_minute,omitempty"`
	MessagesPerSecond int `json:"max_messages_per_second,omitempty"`
	// BytesPerSecond counts the payloads of what the client publishes.
	BytesPerSecond int `json:"max_bytes_per_second,omitempty"`
	// Subscriptions is how many filters a session may be subscribed to.
	Subscriptions int `json:"max_subscriptions,omitempty"`
	// Retained is how many retained messages of the client the broker keeps.
	Retained     int `json:"max_retained,omitempty"`
	PayloadBytes int `json:"max_payload_bytes,omitempty"`
}

// sensorLimits are far above what a parking sensor does in an hour. What they are
// measured by is its worst second: out of reach it keeps some 64 messages of 250
// bytes, and sends them in one go.
var sensorLimits = Limits{
	Sessions: 2, ConnectsPerMinute: 30, MessagesPerSecond: 100, BytesPerSecond: 64 << 10,
	Subscriptions: 16, Retained: 16, PayloadBytes: 16 << 10,
}

// widen raises every limit to the one of another role.
func (l Limits) widen(other Limits) Limits {
	return Limits{
		Sessions:          max(l.Sessions, other.Sessions),
		ConnectsPerMinute: max(l.ConnectsPerMinute, other.ConnectsPerMinute),
		MessagesPerSecond: max(l.MessagesPerSecond, other.MessagesPerSecond),
		BytesPerSecond:    max(l.BytesPerSecond, other.BytesPerSecond),
		Subscriptions:     max(l.Subscriptions, other.Subscriptions),
		Retained:          max(l.Retained, other.Retained),
		PayloadBytes:      max(l.PayloadBytes, other.PayloadBytes),
	}
}

// MaxLimit is the highest value of a limit.
const MaxLimit = math.MaxInt32

func (f *faults) limits(l Limits) {
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"max_sessions", l.Sessions},
		{"max_connects_per_minute", l.ConnectsPerMinute},
		{"max_messages_per_second", l.MessagesPerSecond},
		{"max_bytes_per_second", l.BytesPerSecond},
		{"max_subscriptions", l.Subscriptions},
		{"max_retained", l.Retained},
		{"max_payload_bytes", l.PayloadBytes},
	} {
		if limit.value < 0 || limit.value > MaxLimit {
			f.addf("limits."+limit.name, "must be 0 (no limit) to %d", MaxLimit)
		}
	}
}
