package topicacl

import (
	"strings"
	"unicode/utf8"
)

// Bounds on topic names and topic filters. MQTT itself allows 65,535 bytes and as many levels; nobody needs them, and work grows
// with them.
const (
	// MaxLevels is the largest number of levels in a topic name or filter ("a/b" has two).
	MaxLevels = 128
	// MaxTopicLength is the largest length of a topic name or filter in bytes, a $share prefix included.
	MaxTopicLength = 1024
)

// maxGroupLength bounds the name of a shared subscription's group, in bytes.
const maxGroupLength = 128

// Reserved first levels. Brokers recognise them in any letter case.
const (
	shareLevel = "$share"
	sysPrefix  = "$sys"
)

// checkName reports what is wrong with a topic name, or "" (MQTT 5.0 §4.7.3, §1.5.4). Control characters, which a receiver may
// refuse, are refused.
func checkName(topic string) Reason { return checkPath(topic, false, ReasonTopic) }

// checkFilter reports what is wrong with a topic filter, or "" (MQTT 5.0 §4.7.1). It does not know $share.
func checkFilter(filter string) Reason { return checkPath(filter, true, ReasonFilter) }

func checkPath(path string, wildcards bool, malformed Reason) Reason {
	if path == "" {
		return malformed
	}
	if len(path) > MaxTopicLength {
		return ReasonTooLong
	}
	levels, ascii, ok := scan(path, wildcards)
	switch {
	case !ok || (!ascii && !validUnicode(path)):
		return malformed
	case levels > MaxLevels:
		return ReasonTooDeep
	default:
		return ""
	}
}

// scan looks at every byte once. It counts the levels and reports whether all is ASCII, and whether wildcards and control
// characters are where they may be.
func scan(path string, wildcards bool) (levels int, ascii, ok bool) {
	levels, ascii = 1, true
	for i := range len(path) {
		switch c := path[i]; {
		case '/' < c && c < 0x7f: // most bytes
		case c == '/':
			levels++
		case c == '+' || c == '#':
			if !wildcards || !wildcardStandsAlone(path, i) {
				return 0, false, false
			}
		case c >= utf8.RuneSelf:
			ascii = false
		case c < ' ' || c == 0x7f:
			return 0, false, false
		}
	}
	return levels, ascii, true
}

// wildcardStandsAlone reports whether the wildcard at path[i] is a whole level, and the last one if it is '#'.
func wildcardStandsAlone(path string, i int) bool {
	if i > 0 && path[i-1] != '/' {
		return false
	}
	last := i == len(path)-1
	return last || (path[i] == '+' && path[i+1] == '/')
}

// validUnicode reports whether text is well-formed UTF-8 without the control characters U+0080 to U+009F.
func validUnicode(text string) bool {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return false
			}
		}
		if r >= 0x80 && r <= 0x9f {
			return false
		}
	}
	return true
}

// reservedForPublish reports whether no client may ever publish to topic: $SYS… belongs to the broker, and a name below $share
// would be read as a shared subscription somewhere.
func reservedForPublish(topic string) bool {
	if topic[0] != '$' {
		return false
	}
	if len(topic) >= len(sysPrefix) && strings.EqualFold(topic[:len(sysPrefix)], sysPrefix) {
		return true
	}
	return strings.EqualFold(firstLevel(topic), shareLevel)
}

func firstLevel(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// judgedFilter returns the filter on which a subscription is judged: filter itself, or what follows $share/<group>/ (MQTT 5.0
// §4.8.2).
func judgedFilter(filter string) (string, Reason) {
	if filter == "" || filter[0] != '$' {
		return filter, ""
	}
	first, rest, _ := strings.Cut(filter, "/")
	if !strings.EqualFold(first, shareLevel) {
		return filter, ""
	}
	// Folding also equates letters such as U+017F with s; no client spells $share that way by accident.
	if len(first) != len(shareLevel) {
		return "", ReasonShare
	}
	group, inner, _ := strings.Cut(rest, "/")
	if !validGroup(group) || inner == "" || strings.EqualFold(firstLevel(inner), shareLevel) {
		return "", ReasonShare
	}
	return inner, ""
}

// validGroup reports whether a shared subscription may carry this group name: ASCII letters, digits and "-_.:@~".
func validGroup(group string) bool {
	if group == "" || len(group) > maxGroupLength {
		return false
	}
	for i := range len(group) {
		if !isAlphanumeric(group[i]) && strings.IndexByte("-_.:@~", group[i]) < 0 {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
