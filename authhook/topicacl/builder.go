package topicacl

import (
	"slices"
	"strings"
)

// newMatcher returns a matcher of these grants, which it sorts.
func newMatcher(grants []grant) matcher {
	slices.SortStableFunc(grants, func(a, b grant) int { return int(b.MaxQoS) - int(a.MaxQoS) })
	b := builder{words: wordsFor(len(grants))}
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
	m.dollar = b.level(b.dollar)
	m.levels = make([]level, len(b.drafts))
	for i, d := range b.drafts {
		m.levels[i] = b.level(d)
	}
	return m
}

// A builder collects the levels of a matcher.
type builder struct {
	words  int
	drafts []draft
	dollar draft
}

// A draft is what the grants have at one depth, before it is laid out for searching.
type draft struct {
	texts           map[string][]cell
	plus, hash, end set
}

func (b *builder) at(depth int) *draft {
	if depth == len(b.drafts) {
		b.drafts = append(b.drafts, draft{})
	}
	return &b.drafts[depth]
}

// add adds grant i, which is greater than those added before.
func (b *builder) add(i int, filter string) {
	depth := 0
	for text := range strings.SplitSeq(filter, "/") {
		d := b.at(depth)
		if depth == 0 && strings.HasPrefix(text, "$") {
			d = &b.dollar
		}
		switch text {
		case "#":
			b.mark(&d.hash, i)
			return
		case "+":
			b.mark(&d.plus, i)
		default:
			d.spell(text, i)
		}
		depth++
	}
	b.mark(&b.at(depth).end, i)
}

func (b *builder) mark(s *set, i int) {
	if *s == nil {
		*s = make(set, b.words)
	}
	s.add(i)
}

// spell notes that grant i has this text.
func (d *draft) spell(text string, i int) {
	if d.texts == nil {
		d.texts = map[string][]cell{}
	}
	cells := d.texts[text]
	if n := len(cells); n == 0 || cells[n-1].word != i/64 {
		cells = append(cells, cell{word: i / 64})
	}
	cells[len(cells)-1].bits |= 1 << (i % 64)
	d.texts[text] = cells
}

// level lays out a draft, which it uses up.
func (b *builder) level(d draft) level {
	l := level{plus: b.overlay(d.plus, nil), hash: d.hash, end: d.end}
	if len(d.texts) >= indexedFrom {
		l.index = make(map[string]*overlay, len(d.texts))
	} else {
		l.list = make([]entry, 0, len(d.texts))
	}
	for text, cells := range d.texts {
		grants := b.overlay(d.plus, cells)
		if l.index != nil {
			l.index[text] = &grants
		} else {
			l.list = append(l.list, entry{text, grants})
		}
	}
	return l
}

// overlay returns the union of plus and cells, which it may change. It has no cells if they would take more than half the memory
// of a whole set.
func (b *builder) overlay(plus set, cells []cell) overlay {
	if plus != nil {
		for i, c := range cells {
			cells[i].bits |= plus[c.word]
		}
	}
	switch {
	case b.words == 1 && len(cells) > 0:
		return overlay{word: cells[0].bits}
	case b.words == 1:
		return overlay{word: plus.word()}
	case 4*len(cells) < b.words:
		return overlay{base: plus, cells: slices.Clip(cells)}
	}
	all := make(set, b.words)
	copy(all, plus)
	for _, c := range cells {
		all[c.word] = c.bits
	}
	return overlay{base: all}
}
