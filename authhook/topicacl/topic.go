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

// A path is a well-formed topic name or topic filter, split into its levels.
type path struct {
	text  string
	ends  [MaxLevels]uint16 // where each level ends in text
	depth int               // the number of levels
}

func (p *path) level(i int) string {
	from := 0
	if i > 0 {
		from = int(p.ends[i-1]) + 1
	}
	return p.text[from:p.ends[i]]
}

// parseName reads a topic name into p, which is zero, or reports what is wrong with it (MQTT 5.0 §4.7.3, §1.5.4). Control
// characters, which a receiver may refuse, are refused.
func (p *path) parseName(topic string) Reason { return p.parse(topic, false, ReasonTopic) }

// parseFilter reads a topic filter into p, which is zero, or reports what is wrong with it (MQTT 5.0 §4.7.1). It does not know
// $share.
func (p *path) parseFilter(filter string) Reason { return p.parse(filter, true, ReasonFilter) }

func (p *path) parse(text string, wildcards bool, malformed Reason) Reason {
	switch {
	case text == "":
		return malformed
	case len(text) > MaxTopicLength:
		return ReasonTooLong
	}
	ascii, r := p.split(text, wildcards, malformed)
	if r == "" && !ascii && !validUnicode(text) {
		return malformed
	}
	return r
}

// split looks at every byte once. It finds the levels, and what is wrong but for text that is not ASCII.
func (p *path) split(text string, wildcards bool, malformed Reason) (ascii bool, r Reason) {
	ascii = true
	depth := 0
	for i := range len(text) {
		switch c := text[i]; {
		case '/' < c && c < 0x7f: // most bytes
		case c == '/':
			if depth == MaxLevels-1 {
				return ascii, ReasonTooDeep
			}
			p.ends[depth] = uint16(i)
			depth++
		case c == '+' || c == '#':
			if !wildcards || !wildcardStandsAlone(text, i) {
				return ascii, malformed
			}
		case c >= utf8.RuneSelf:
			ascii = false
		case c < ' ' || c == 0x7f:
			return ascii, malformed
		}
	}
	p.ends[depth] = uint16(len(text))
	p.depth = depth + 1
	p.text = text
	return ascii, ""
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
