package topicacl

import "strings"

// Covers reports whether whoever holds the scope granted may be given the scope requested in its place (downscoping). A topic
// scope covers another of the same action whose filter is a subset of its own and whose limits are no wider. Any other scope
// covers itself alone. A malformed topic scope, or an empty string, neither covers nor is covered.
func Covers(granted, requested string) bool {
	if !IsTopicScope(granted) && !IsTopicScope(requested) {
		return granted == requested && granted != ""
	}
	g, err := ParseScope(granted)
	if err != nil {
		return false
	}
	r, err := ParseScope(requested)
	if err != nil {
		return false
	}
	return g.covers(r)
}

func (s Scope) covers(r Scope) bool {
	return s.Action == r.Action && r.MaxQoS <= s.MaxQoS && (s.Retain || !r.Retain) && subset(r.Filter, s.Filter)
}

// subset reports whether every topic name that inner matches is matched by outer. Both are valid filters. It walks both once.
func subset(inner, outer string) bool {
	inner, outer = normalise(inner), normalise(outer)
	if inner[0] == '$' && (outer[0] == '+' || outer[0] == '#') {
		return false
	}
	more := true
	for more {
		var in, out string
		var outerMore bool
		out, outer, outerMore = strings.Cut(outer, "/")
		if out == "#" {
			return true
		}
		in, inner, more = strings.Cut(inner, "/")
		if in == "#" || (out != "+" && out != in) {
			return false
		}
		if more && !outerMore {
			return false
		}
		if !more && outerMore {
			return outer == "#" // a/# matches a as well (MQTT 5.0 §4.7.1.2)
		}
	}
	return true
}

// normalise rewrites the two filters that match the same topic names as another one does, so that the walk level by level finds
// them equal. Every topic name has a first level: "+/#" matches what "#" does. No topic name is empty: "/#" matches what "/+/#" does.
func normalise(filter string) string {
	switch filter {
	case "+/#":
		return "#"
	case "/#":
		return "/+/#"
	default:
		return filter
	}
}
