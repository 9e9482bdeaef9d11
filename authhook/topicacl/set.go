package topicacl

import "math/bits"

// maxWords is the number of words in a set of MaxScopes grants.
const maxWords = MaxScopes / 64

// wordsFor returns the number of words in a set of this many grants.
func wordsFor(grants int) int { return (grants + 63) / 64 }

// A set of grants has one bit for each, in words of 64. Nil is empty.
type set []uint64

func (s set) add(i int) { s[i/64] |= 1 << (i % 64) }

// addBoth adds what is both in a and in b.
func (s set) addBoth(a, b set) {
	for w := range b {
		s[w] |= a[w] & b[w]
	}
}

// fill puts all grants into the set, and bits that stand for none, which no other set holds.
func (s set) fill() {
	for w := range s {
		s[w] = ^uint64(0)
	}
}

// first returns the lowest grant that is both in s and in other, or -1.
func (s set) first(other set) int {
	for w := range other {
		if both := s[w] & other[w]; both != 0 {
			return w*64 + bits.TrailingZeros64(both)
		}
	}
	return -1
}

// word returns the only word of a set of at most 64 grants.
func (s set) word() uint64 {
	if s == nil {
		return 0
	}
	return s[0]
}

// lowest returns the lowest grant in a set of one word, or -1.
func lowest(word uint64) int {
	if word == 0 {
		return -1
	}
	return bits.TrailingZeros64(word)
}

// An overlay is a set, too: its base but for the words that have a cell. So it spends little on a text that few of many grants
// spell. An overlay of at most 64 grants is its word alone, and spares a question the way to another place in memory.
type overlay struct {
	word  uint64
	base  set
	cells []cell // in the order of their words
}

type cell struct {
	word int
	bits uint64
}

// intersect keeps in s, which has more than one word, what is in other as well, and reports whether that is anything.
func (s set) intersect(other *overlay) bool {
	var kept uint64
	at := 0
	for _, c := range other.cells {
		kept |= s.intersectWords(other.base, at, c.word)
		s[c.word] &= c.bits
		kept |= s[c.word]
		at = c.word + 1
	}
	return kept|s.intersectWords(other.base, at, len(s)) != 0
}

// intersectWords intersects some words of s with those of other, and returns the union of what is left.
func (s set) intersectWords(other set, from, to int) (kept uint64) {
	if other == nil {
		clear(s[from:to])
		return 0
	}
	s, other = s[from:to], other[from:to]
	for w := range s {
		s[w] &= other[w]
		kept |= s[w]
	}
	return kept
}
