package topicacl

import (
	"math/bits"
	"strings"
)

// maxWords is the number of 64-bit words that hold one bit for each of MaxScopes grants.
const maxWords = MaxScopes / 64

// indexedFrom is the number of texts at a level from which a map is faster to search than a list.
const indexedFrom = 12

// A matcher finds the grants whose filter contains a topic name or filter. It keeps, level by level, which grants accept which
// text there, one bit a grant, and intersects these sets while it walks the question's levels. Unlike a walk through a trie, which
// branches at every '+', its work does not depend on how the grants overlap.
type matcher struct {
	grants []grant
	levels []level // levels[i] describes what the grants have after i levels; one more than the deepest grant
	cells  []cell
	masks  [2][maxQoS + 1]set // [retain][qos]: the grants whose limits permit it
}

// A grant is a parsed scope with its canonical text.
type grant struct {
	Scope
	text string
}

// A set of grants, one bit each, word by word.
type set []uint64

func (s set) add(i int) { s[i/64] |= 1 << (i % 64) }

// fill puts all grants into the set, and bits that stand for none, which no other set holds.
func (s set) fill() {
	for w := range s {
		s[w] = ^uint64(0)
	}
}

// A cell is one word of a sparse set.
type cell struct {
	word uint32
	bits uint64
}

// A span is a sparse set: cells[from:to] of the matcher.
type span struct{ from, to uint32 }

// A level is what the grants have at one depth. Sets that would be empty are nil.
type level struct {
	list  []entry         // texts and the grants that have them here, if they are few
	index map[string]span // the same, if they are many
	plus  set             // grants with '+' here
	hash  set             // grants with '#' here
	end   set             // grants that end before this level
}

type entry struct {
	text string
	span span
}

func (l *level) find(text string) span {
	if l.index != nil {
		return l.index[text]
	}
	for i := range l.list {
		if l.list[i].text == text {
			return l.list[i].span
		}
	}
	return span{}
}

// permitting returns the grants whose limits permit this QoS (at most 2) and retain flag.
func (m *matcher) permitting(qos byte, retain bool) set {
	if retain {
		return m.masks[1][qos]
	}
	return m.masks[0][qos]
}

func (m *matcher) allowed(i int) Verdict {
	return Verdict{Allowed: true, MaxQoS: m.grants[i].MaxQoS, Grant: m.grants[i].text, Reason: ReasonGranted}
}

// match returns a grant of the set ok that contains path, a valid topic name or filter, or -1; and then a grant outside ok that
// contains it, or -1. A nil ok is empty.
func (m *matcher) match(path string, ok set) (found, limited int) {
	switch {
	case len(m.grants) == 0:
		return -1, -1
	case len(m.grants) <= 64:
		return m.matchFew(path, ok.word())
	}
	var first, second [maxWords]uint64
	words := (len(m.grants) + 63) / 64
	now, next := set(first[:words]), set(second[:words])
	now.fill()
	limited = -1
	wild := path[0] != '$' // a wildcard at the first level does not match '$' (MQTT 5.0 §4.7.2)
	l := &m.levels[0]
	for depth, more := 1, true; more; depth++ {
		if wild {
			if found, limited = pick(now, l.hash, ok, limited); found >= 0 {
				return found, limited
			}
		}
		var text string
		if text, path, more = strings.Cut(path, "/"); text == "#" {
			return -1, limited // only a '#' at this level or above contains it
		}
		if !m.advance(l, text, wild, now, next) {
			return -1, limited
		}
		now, next, wild = next, now, true
		l = &m.levels[depth] // it exists: some grant goes on or ends here
	}
	if found, limited = pick(now, l.hash, ok, limited); found >= 0 {
		return found, limited // a/# matches a as well (MQTT 5.0 §4.7.1.2)
	}
	return pick(now, l.end, ok, limited)
}

// matchFew is match for grants that fit one word: most sessions have a handful.
func (m *matcher) matchFew(path string, ok uint64) (found, limited int) {
	now := ^uint64(0)
	hits := uint64(0)
	wild := path[0] != '$'
	l := &m.levels[0]
	for depth, more := 1, true; more; depth++ {
		if wild {
			if hits |= now & l.hash.word(); hits&ok != 0 {
				return lowest(hits & ok), -1
			}
		}
		var text string
		if text, path, more = strings.Cut(path, "/"); text == "#" {
			return -1, lowest(hits)
		}
		accept := m.word(l.find(text))
		if wild {
			accept |= l.plus.word()
		}
		if now &= accept; now == 0 {
			return -1, lowest(hits)
		}
		wild = true
		l = &m.levels[depth]
	}
	hits |= now & (l.hash.word() | l.end.word())
	if hits&ok != 0 {
		return lowest(hits & ok), -1
	}
	return -1, lowest(hits)
}

// word returns the only word of a set of at most 64 grants.
func (s set) word() uint64 {
	if s == nil {
		return 0
	}
	return s[0]
}

// word returns the only word of a sparse set of at most 64 grants.
func (m *matcher) word(s span) uint64 {
	if s.from == s.to {
		return 0
	}
	return m.cells[s.from].bits
}

// lowest returns the number of the lowest bit, or -1.
func lowest(word uint64) int {
	if word == 0 {
		return -1
	}
	return bits.TrailingZeros64(word)
}

// advance puts into next those grants of now that accept text at level l, and reports whether there are any.
func (m *matcher) advance(l *level, text string, wild bool, now, next set) bool {
	var alive uint64
	if l.plus != nil && wild {
		for w := range next {
			next[w] = now[w] & l.plus[w]
			alive |= next[w]
		}
	} else {
		clear(next)
	}
	s := l.find(text)
	for _, c := range m.cells[s.from:s.to] {
		both := now[c.word] & c.bits
		next[c.word] |= both
		alive |= both
	}
	return alive != 0
}

// pick returns a grant that is in now, here and ok, or -1; without one, limited becomes a grant in now and here if it was -1.
func pick(now, here, ok set, limited int) (int, int) {
	for w := range here {
		both := now[w] & here[w]
		if both == 0 {
			continue
		}
		if ok != nil && both&ok[w] != 0 {
			return w*64 + bits.TrailingZeros64(both&ok[w]), limited
		}
		if limited < 0 {
			limited = w*64 + bits.TrailingZeros64(both)
		}
	}
	return -1, limited
}
