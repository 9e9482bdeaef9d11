package topicacl

// WorstSteps returns the largest number of words that any question to these grants can touch: what advance and pick loop over,
// summed over all levels.
func (g *Grants) WorstSteps() int {
	worst := 0
	for _, m := range []*matcher{&g.publishing, &g.subscribed} {
		steps := 0
		for i := range m.levels {
			steps += m.levels[i].steps()
		}
		worst = max(worst, steps)
	}
	return worst
}

func (l *level) steps() int {
	longest := 0
	for _, e := range l.list {
		longest = max(longest, int(e.span.to-e.span.from))
	}
	for _, s := range l.index {
		longest = max(longest, int(s.to-s.from))
	}
	return longest + len(l.plus) + len(l.hash) + len(l.end)
}
