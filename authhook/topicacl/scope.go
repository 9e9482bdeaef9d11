package topicacl

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Errors of scopes. Their texts never repeat the scope.
var (
	// ErrNotTopicScope says that a string does not begin with "pub:" or "sub:".
	ErrNotTopicScope = errors.New("not a topic scope")
	// ErrMalformedScope says that a string begins like a topic scope and is none.
	ErrMalformedScope = errors.New("malformed topic scope")
	// ErrTooManyScopes says that a set holds more than MaxScopes scopes.
	ErrTooManyScopes = fmt.Errorf("more than %d scopes", MaxScopes)
)

// maxScopeLength bounds the text of a scope in bytes: a filter with every byte encoded, its prefix and its limits.
const maxScopeLength = len("pub:") + 3*MaxTopicLength + len("?qos=0&retain=false")

// maxQoS is the highest QoS of MQTT.
const maxQoS = 2

// Action is what a scope permits.
type Action byte

// The actions. The zero Action permits nothing.
const (
	ActionPublish Action = iota + 1
	ActionSubscribe
)

// String returns "pub" or "sub", as a scope spells it.
func (a Action) String() string {
	switch a {
	case ActionPublish:
		return "pub"
	case ActionSubscribe:
		return "sub"
	default:
		return "none"
	}
}

// Scope is one topic scope. Only ParseScope makes valid ones. Scopes are comparable: two that are equal permit the same.
type Scope struct {
	Action Action
	// Filter is the topic filter, decoded.
	Filter string
	// MaxQoS is the highest QoS allowed; 2 unless the scope limits it.
	MaxQoS byte
	// Retain says whether retained messages may be published. It is true for subscriptions, which have no such limit.
	Retain bool
}

// IsTopicScope reports whether s begins with the prefix of a topic scope, in this letter case. It need not be well-formed.
func IsTopicScope(s string) bool {
	return strings.HasPrefix(s, "pub:") || strings.HasPrefix(s, "sub:")
}

// ParseScope parses "pub:<filter>" or "sub:<filter>", optionally followed by "?" and the limits "qos=0|1|2" and (pub alone)
// "retain=false", each at most once, joined by "&". In the filter the space, '"', '\', '%', '?' and everything that is not ASCII is
// percent-encoded, and nothing else may be: one filter has one spelling, but for the letter case of the hexadecimal digits.
//
// Refused as well: a filter that MQTT calls malformed or that exceeds MaxLevels or MaxTopicLength, control characters, filters
// below $share (shared subscriptions are judged on the filter within), and publishing below $SYS. The error wraps ErrNotTopicScope
// or ErrMalformedScope.
func ParseScope(s string) (Scope, error) {
	if !IsTopicScope(s) {
		return Scope{}, ErrNotTopicScope
	}
	if len(s) > maxScopeLength {
		return Scope{}, malformedScope("too long")
	}
	scope := Scope{Action: ActionPublish, MaxQoS: maxQoS, Retain: true}
	if s[0] == 's' {
		scope.Action = ActionSubscribe
	}
	encoded, limits, limited := strings.Cut(s[len("pub:"):], "?")
	filter, err := decodeFilter(encoded)
	if err != nil {
		return Scope{}, err
	}
	if r := checkGrantFilter(scope.Action, filter); r != "" {
		return Scope{}, malformedScope(string(r))
	}
	scope.Filter = filter
	if limited {
		if err := scope.parseLimits(limits); err != nil {
			return Scope{}, err
		}
	}
	return scope, nil
}

func malformedScope(what string) error { return fmt.Errorf("%w: %s", ErrMalformedScope, what) }

func checkGrantFilter(action Action, filter string) Reason {
	var p path
	if r := p.parseFilter(filter); r != "" {
		return r
	}
	if strings.EqualFold(firstLevel(filter), shareLevel) || (action == ActionPublish && reservedForPublish(filter)) {
		return ReasonReserved
	}
	return ""
}

func (s *Scope) parseLimits(limits string) error {
	var seenQoS, seenRetain bool
	for limit := range strings.SplitSeq(limits, "&") {
		switch {
		case limit == "qos=0" || limit == "qos=1" || limit == "qos=2":
			if seenQoS {
				return malformedScope("qos given twice")
			}
			seenQoS, s.MaxQoS = true, limit[len(limit)-1]-'0'
		case limit == "retain=false" && s.Action == ActionPublish:
			if seenRetain {
				return malformedScope("retain given twice")
			}
			seenRetain, s.Retain = true, false
		default:
			return malformedScope("unknown limit")
		}
	}
	return nil
}

// String returns the canonical text, which ParseScope turns into the same Scope. It holds only characters that an OAuth scope
// token may hold (RFC 6749 §3.3). Limits that do not limit are left out.
func (s Scope) String() string {
	var b strings.Builder
	b.Grow(len("pub:") + len(s.Filter))
	b.WriteString(s.Action.String())
	b.WriteByte(':')
	writeEncoded(&b, s.Filter)
	separator := byte('?')
	if s.MaxQoS < maxQoS {
		b.WriteString("?qos=")
		b.WriteByte('0' + s.MaxQoS)
		separator = '&'
	}
	if !s.Retain {
		b.WriteByte(separator)
		b.WriteString("retain=false")
	}
	return b.String()
}

// needsEncoding reports whether scope text must percent-encode this byte of a filter.
func needsEncoding(c byte) bool {
	return c == ' ' || c == '"' || c == '\\' || c == '%' || c == '?' || c >= utf8.RuneSelf
}

// plain reports whether a filter and its scope text are the same.
func plain(filter string) bool {
	for i := range len(filter) {
		if needsEncoding(filter[i]) {
			return false
		}
	}
	return true
}

func writeEncoded(b *strings.Builder, filter string) {
	if plain(filter) {
		b.WriteString(filter)
		return
	}
	const hexadecimal = "0123456789ABCDEF"
	for i := range len(filter) {
		c := filter[i]
		if !needsEncoding(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexadecimal[c>>4])
		b.WriteByte(hexadecimal[c&15])
	}
}

// decodeFilter undoes writeEncoded and refuses every other encoding.
func decodeFilter(encoded string) (string, error) {
	if plain(encoded) {
		return encoded, nil
	}
	var b strings.Builder
	b.Grow(len(encoded))
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		switch {
		case c == '%':
			if i+2 >= len(encoded) {
				return "", malformedScope("bad percent-encoding")
			}
			decoded, ok := decodeByte(encoded[i+1], encoded[i+2])
			if !ok {
				return "", malformedScope("bad percent-encoding")
			}
			b.WriteByte(decoded)
			i += 2
		case needsEncoding(c):
			return "", malformedScope("character that must be percent-encoded")
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// decodeByte reads two hexadecimal digits that stand for a byte which needs encoding.
func decodeByte(high, low byte) (byte, bool) {
	h, okHigh := hexDigit(high)
	l, okLow := hexDigit(low)
	c := h<<4 | l
	return c, okHigh && okLow && needsEncoding(c)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	default:
		return 0, false
	}
}
