package topicacl

import "slices"

// MaxScopes is the largest number of scopes in one set.
const MaxScopes = 2048

// Grants is an immutable compiled set of topic grants. The zero value, and nil, grant nothing. Its methods may be called
// concurrently; the verdicts allocate nothing, and their work is bounded by the number of levels in the question times the number
// of 64-bit words that hold one bit a grant (at most 32), whatever the grants look like.
type Grants struct {
	scopes     []string
	publishing matcher
	subscribed matcher
}

// Ignored is a scope that grants nothing, and why.
type Ignored struct {
	// Scope is the text as given; empty where the fault is the set's.
	Scope string
	Err   error
}

// Compile compiles scopes such as "pub:a/#?qos=1&retain=false" and "sub:a/+". Strings that are not topic scopes, or are malformed,
// grant nothing and are reported. A set of more than MaxScopes strings grants nothing at all. Scopes that mean the same count once.
// The Grants are never nil.
func Compile(scopes []string) (*Grants, []Ignored) {
	if len(scopes) > MaxScopes {
		return &Grants{}, []Ignored{{Err: ErrTooManyScopes}}
	}
	var (
		ignored   []Ignored
		publish   []grant
		subscribe []grant
		texts     = make([]string, 0, len(scopes))
		seen      = make(map[Scope]struct{}, len(scopes))
	)
	for _, text := range scopes {
		scope, err := ParseScope(text)
		if err != nil {
			ignored = append(ignored, Ignored{Scope: text, Err: err})
			continue
		}
		if _, twice := seen[scope]; twice {
			continue
		}
		seen[scope] = struct{}{}
		canonical := scope.String()
		texts = append(texts, canonical)
		if scope.Action == ActionPublish {
			publish = append(publish, grant{scope, canonical})
		} else {
			subscribe = append(subscribe, grant{scope, canonical})
		}
	}
	return &Grants{scopes: texts, publishing: newMatcher(publish), subscribed: newMatcher(subscribe)}, ignored
}

// Publish says whether a message may be published to topic with this QoS and retain flag. One grant alone must allow all three.
// Topic names with wildcards are malformed; $share/… and $SYS… are reserved in any letter case, whatever the grants.
func (g *Grants) Publish(topic string, qos byte, retain bool) Verdict {
	var p path
	if r := p.parseName(topic); r != "" {
		return refused(r)
	}
	if reservedForPublish(topic) {
		return refused(ReasonReserved)
	}
	if g == nil {
		return refused(ReasonNoGrant)
	}
	m := &g.publishing
	if qos > maxQoS {
		return refused(ReasonQoS)
	}
	found, limited := m.match(&p, m.permitting(qos, retain))
	switch {
	case found >= 0:
		return m.allowed(found)
	case limited < 0:
		return refused(ReasonNoGrant)
	case m.grants[limited].MaxQoS < qos:
		return Verdict{Grant: m.grants[limited].text, Reason: ReasonQoS}
	default:
		return Verdict{Grant: m.grants[limited].text, Reason: ReasonRetain}
	}
}

// Subscribe says whether filter is a subset of one grant. The filter may be $share/<group>/<filter>, in any letter case, and is
// then judged on the filter within. Where several grants contain it, one with the highest QoS decides.
func (g *Grants) Subscribe(filter string) Verdict {
	if len(filter) > MaxTopicLength {
		return refused(ReasonTooLong)
	}
	judged, r := judgedFilter(filter)
	if r != "" {
		return refused(r)
	}
	var p path
	if r := p.parseFilter(normalise(judged)); r != "" {
		return refused(r)
	}
	if g == nil {
		return refused(ReasonNoGrant)
	}
	m := &g.subscribed
	if found, _ := m.match(&p, m.permitting(0, false)); found >= 0 {
		return m.allowed(found)
	}
	return refused(ReasonNoGrant)
}

// Deliver says whether a message on this topic name may be given to the session.
func (g *Grants) Deliver(topic string) bool {
	var p path
	if g == nil || p.parseName(topic) != "" {
		return false
	}
	m := &g.subscribed
	found, _ := m.match(&p, m.permitting(0, false))
	return found >= 0
}

// Holds reports whether a topic scope lies within one grant of the same action, its limits included: whether these grants allow all
// that it allows. What is no topic scope, or a malformed one, is not held.
func (g *Grants) Holds(scope string) bool {
	s, err := ParseScope(scope)
	var p path
	if g == nil || err != nil || p.parseFilter(normalise(s.Filter)) != "" {
		return false
	}
	m := &g.subscribed
	if s.Action == ActionPublish {
		m = &g.publishing
	}
	found, _ := m.match(&p, m.permitting(s.MaxQoS, s.Retain))
	return found >= 0
}

// Len returns the number of distinct grants.
func (g *Grants) Len() int {
	if g == nil {
		return 0
	}
	return len(g.scopes)
}

// Scopes returns the canonical scope strings in the order in which they were given. The slice is the caller's.
func (g *Grants) Scopes() []string {
	if g == nil {
		return nil
	}
	return slices.Clone(g.scopes)
}
