package topicacl

// indexedFrom is the number of texts at a level from which a map is faster to search than a list.
const indexedFrom = 12

// A matcher finds the grants whose filter contains a topic name or filter. It keeps, level by level, which grants accept which
// text there, one bit a grant, and intersects these sets while it walks the question's levels. Unlike a walk through a trie, which
// branches at every '+', its work does not depend on how the grants overlap.
type matcher struct {
	grants []grant
	levels []level            // levels[i] says what the grants have after i levels; one more than the deepest grant
	dollar level              // in the place of levels[0] for what begins with '$': no wildcard reaches it (MQTT 5.0 §4.7.2)
	masks  [2][maxQoS + 1]set // [retain][qos]: the grants whose limits permit it
}

// A grant is a parsed scope with its canonical text.
type grant struct {
	Scope
	text string
}

// A level is what the grants have at one depth.
type level struct {
	list  []entry             // the grants that accept a text which some grant spells, if these texts are few
	index map[string]*overlay // the same, if they are many
	plus  overlay             // the grants that accept every other text
	hash  set                 // the grants with '#' here
	end   set                 // the grants that end before this level
}

type entry struct {
	text   string
	grants overlay
}

// accepting returns the grants that accept text here.
func (l *level) accepting(text string) *overlay {
	if l.index != nil {
		if grants := l.index[text]; grants != nil {
			return grants
		}
		return &l.plus
	}
	for i := range l.list {
		if l.list[i].text == text {
			return &l.list[i].grants
		}
	}
	return &l.plus
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

// match returns the first grant of the set ok that contains p, and the first of all grants that contains it; -1 if there is none.
// Grants are ordered by the QoS that they allow, the highest first.
func (m *matcher) match(p *path, ok set) (found, first int) {
	switch words := wordsFor(len(m.grants)); words {
	case 0:
		return -1, -1
	case 1:
		hits := m.containingFew(p)
		return lowest(hits & ok.word()), lowest(hits)
	default:
		var space [2][maxWords]uint64
		now, hits := set(space[0][:words]), set(space[1][:words])
		m.containing(p, now, hits)
		return hits.first(ok), hits.first(hits)
	}
}

// containing puts into hits, which is empty, the grants that contain p. The set now is scratch.
func (m *matcher) containing(p *path, now, hits set) {
	now.fill()
	l := m.top(p)
	for i := range p.depth {
		hits.addBoth(now, l.hash)
		text := p.level(i)
		if text == "#" || !now.intersect(l.accepting(text)) {
			return // a '#' in p is contained in a '#' at its level or above alone
		}
		l = &m.levels[i+1] // it exists: some grant goes on or ends here
	}
	hits.addBoth(now, l.hash) // a/# contains a as well (MQTT 5.0 §4.7.1.2)
	hits.addBoth(now, l.end)
}

// containingFew is containing for at most 64 grants, a set of which is one word: most sessions have a handful.
func (m *matcher) containingFew(p *path) (hits uint64) {
	now := ^uint64(0)
	l := m.top(p)
	for i := range p.depth {
		hits |= now & l.hash.word()
		text := p.level(i)
		if now &= l.accepting(text).word; text == "#" || now == 0 {
			return hits
		}
		l = &m.levels[i+1]
	}
	return hits | now&(l.hash.word()|l.end.word())
}

// top returns the level that the first level of p is matched against.
func (m *matcher) top(p *path) *level {
	if p.text[0] == '$' {
		return &m.dollar
	}
	return &m.levels[0]
}
