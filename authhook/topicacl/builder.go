package topicacl

import (
	"slices"
	"strings"
)

func newMatcher(grants []grant) matcher {
	if len(grants) == 0 {
		return matcher{}
	}
	b := builder{words: (len(grants) + 63) / 64}
	m := matcher{grants: grants}
	for i, g := range grants {
		b.add(i, normalise(g.Filter))
		for qos := byte(0); qos <= g.MaxQoS; qos++ {
			b.mark(&m.masks[0][qos], i)
			if g.Retain {
				b.mark(&m.masks[1][qos], i)
			}
		}
	}
	m.levels = b.levels
	for i := range m.levels {
		m.cells = b.lay(&m.levels[i], b.texts[i], m.cells)
	}
	m.cells = slices.Clip(m.cells)
	return m
}

// A builder collects the levels of a matcher.
type builder struct {
	words  int
	levels []level
	texts  []map[string][]cell // texts[i] belongs to levels[i]
}

func (b *builder) at(depth int) *level {
	for len(b.levels) <= depth {
		b.levels = append(b.levels, level{})
		b.texts = append(b.texts, map[string][]cell{})
	}
	return &b.levels[depth]
}

func (b *builder) mark(s *set, i int) {
	if *s == nil {
		*s = make(set, b.words)
	}
	s.add(i)
}

func (b *builder) add(i int, filter string) {
	depth := 0
	for text := range strings.SplitSeq(filter, "/") {
		l := b.at(depth)
		switch text {
		case "#":
			b.mark(&l.hash, i)
			return
		case "+":
			b.mark(&l.plus, i)
		default:
			b.texts[depth][text] = mark(b.texts[depth][text], i)
		}
		depth++
	}
	b.mark(&b.at(depth).end, i)
}

// mark adds grant i, which is no smaller than those already there, to a sparse set.
func mark(cells []cell, i int) []cell {
	word, bit := uint32(i/64), uint64(1)<<(i%64)
	if n := len(cells); n > 0 && cells[n-1].word == word {
		cells[n-1].bits |= bit
		return cells
	}
	return append(cells, cell{word, bit})
}

// lay appends the sparse sets of one level to cells and makes l refer to them.
func (b *builder) lay(l *level, texts map[string][]cell, cells []cell) []cell {
	if len(texts) >= indexedFrom {
		l.index = make(map[string]span, len(texts))
	} else {
		l.list = make([]entry, 0, len(texts))
	}
	for text, own := range texts {
		s := span{uint32(len(cells)), uint32(len(cells) + len(own))}
		cells = append(cells, own...)
		if l.index != nil {
			l.index[text] = s
		} else {
			l.list = append(l.list, entry{text, s})
		}
	}
	return cells
}
