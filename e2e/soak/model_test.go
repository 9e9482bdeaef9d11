package soak_test

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// What a client may do, as an operator would say it, without a look at how the program does it.

// A span is all moments between two, both included.
type span struct{ from, to time.Time }

// overlap is what two spans have in common, and whether there is any.
func (s span) overlap(other span) (span, bool) {
	if other.from.After(s.from) {
		s.from = other.from
	}
	if other.to.Before(s.to) {
		s.to = other.to
	}
	return s, !s.to.Before(s.from)
}

// always is longer than any soak.
var always = span{time.Unix(0, 0), time.Unix(1<<40, 0)}

func since(from time.Time) span { return span{from, always.to} }
func until(to time.Time) span   { return span{always.from, to} }

// A timeline is a value that changes. Nobody outside knows when: each change is asked for at one moment and certain at a later one,
// when its answer has come, and between the two either value may hold.
type timeline[T any] struct {
	mu      sync.Mutex
	changes []change[T] // guarded by mu
}

type change[T any] struct {
	asked, certain time.Time
	value          T
}

// ask notes that a value is asked for; from the call of what it returns on, the value is certain.
func (l *timeline[T]) ask(value T) (certain func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := len(l.changes)
	l.changes = append(l.changes, change[T]{time.Now(), always.to, value})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changes[at].certain = time.Now()
	}
}

// set makes a value certain at once.
func (l *timeline[T]) set(value T) { l.ask(value)() }

// last is the value that was asked for last.
func (l *timeline[T]) last() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes[len(l.changes)-1].value
}

// A phase is a span in which a value may have held.
type phase[T any] struct {
	span
	value T
}

// during returns the values that may have held at some moment of a span.
func (l *timeline[T]) during(s span) []phase[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []phase[T]
	end := always.to
	for _, c := range slices.Backward(l.changes) {
		if common, ok := s.overlap(span{c.asked, end}); ok {
			found = append(found, phase[T]{common, c.value})
		}
		if end = c.certain; end.Before(s.from) {
			break
		}
	}
	return found
}

// rights are topic filters: what may be published and what may be had.
type rights struct{ pub, sub []string }

// rightsOf reads scopes. The placeholder that they may have is the client's own ID.
func rightsOf(clientID string, scopes ...string) rights {
	var r rights
	for _, scope := range scopes {
		kind, filter, _ := strings.Cut(scope, ":")
		filter = strings.ReplaceAll(filter, "{client_id}", clientID)
		if kind == "pub" {
			r.pub = append(r.pub, filter)
		} else {
			r.sub = append(r.sub, filter)
		}
	}
	return r
}

// allows says what a message, or a subscription, needs of somebody's rights.
type allows func(rights) bool

func publishing(topic string) allows {
	return func(r rights) bool { return anyMatches(r.pub, topic) }
}

func receiving(topic string) allows {
	return func(r rights) bool { return anyMatches(r.sub, topic) }
}

// subscribing needs one filter that lets through whatever the subscription asks for.
func subscribing(filter string) allows {
	filter = unshared(filter)
	return func(r rights) bool {
		return slices.ContainsFunc(r.sub, func(granted string) bool { return includes(strings.Split(granted, "/"), strings.Split(filter, "/")) })
	}
}

// connecting needs no right but that of being there.
func connecting(rights) bool { return true }

func anyMatches(filters []string, topic string) bool {
	return slices.ContainsFunc(filters, func(filter string) bool { return matches(strings.Split(filter, "/"), strings.Split(topic, "/")) })
}

// matches says whether a topic is one that a filter asks for (MQTT 5.0 §4.7). No topic here begins with $.
func matches(filter, topic []string) bool {
	switch {
	case len(filter) == 0:
		return len(topic) == 0
	case filter[0] == "#":
		return true
	case len(topic) == 0 || filter[0] != "+" && filter[0] != topic[0]:
		return false
	default:
		return matches(filter[1:], topic[1:])
	}
}

// includes says whether a filter asks for everything that another asks for.
func includes(wide, narrow []string) bool {
	switch {
	case len(wide) > 0 && wide[0] == "#":
		return true
	case len(wide) == 0 || len(narrow) == 0:
		return len(wide) == len(narrow)
	case narrow[0] == "#" || wide[0] != "+" && wide[0] != narrow[0]:
		return false
	default:
		return includes(wide[1:], narrow[1:])
	}
}

// unshared is the filter of a shared subscription (MQTT 5.0 §4.8.2).
func unshared(filter string) string {
	if rest, shared := strings.CutPrefix(filter, "$share/"); shared {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return filter
}

// A verdict says whether something may have been allowed at some moment of a span, and whether it may have been forbidden.
type verdict struct{ may, mayNot bool }

// judge judges what somebody may do who holds one of these tokens and is this client. It needs both to allow it, the token to live
// and the client to be there.
func (c *client) judge(tokens *timeline[*token], s span, allowed allows) verdict {
	var v verdict
	for _, t := range tokens.during(s) {
		lives, dies := c.life(t.value)
		if _, dead := t.overlap(dies); dead {
			v.mayNot = true
		}
		alive, ok := t.overlap(lives)
		if !ok {
			continue
		}
		for _, active := range c.active.during(alive) {
			if !active.value {
				v.mayNot = true
				continue
			}
			for _, held := range c.role.held.during(active.span) {
				if allowed(t.value.rights) && allowed(held.value.of(c.id)) {
					v.may = true
				} else {
					v.mayNot = true
				}
			}
		}
	}
	return v
}

// life returns when a token may have been good, and when it may not.
func (c *client) life(t *token) (lives, dies span) {
	lives, dies = until(t.expires.Add(leeway)), since(t.expires)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.kills {
		may, must := k.concerns(t)
		if must && k.certain.Before(lives.to) {
			lives.to = k.certain
		}
		if may && k.asked.Before(dies.from) {
			dies.from = k.asked
		}
	}
	return lives, dies
}

// A kill is a revocation of tokens: of one token, of those that were got with a secret, or of those issued up to now. Like every change
// it is asked for at one moment and certain at a later one.
type kill struct {
	asked, certain time.Time
	tokenID        string
	secret         int  // the number of the secret, 0 for none
	maybe          bool // it concerns nothing for certain
}

// concerns says whether a token may be, and whether it must be, one of those that are revoked. A revocation of all tokens up to now
// takes those of the whole second, and nobody outside knows which second that was.
func (k kill) concerns(t *token) (may, must bool) {
	switch {
	case k.tokenID != "":
		return k.tokenID == t.id, k.tokenID == t.id
	case k.secret != 0:
		return k.secret == t.secret, k.secret == t.secret
	default:
		return !t.issued.After(k.certain), !t.issued.After(k.asked) && !k.maybe
	}
}
