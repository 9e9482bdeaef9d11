package topicacl

// WorstSteps returns the largest number of words that any question to these grants can touch: what intersect and addBoth loop
// over, summed over all levels.
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
	longest := l.plus.steps()
	for _, e := range l.list {
		longest = max(longest, e.grants.steps())
	}
	for _, o := range l.index {
		longest = max(longest, o.steps())
	}
	return longest + len(l.hash) + len(l.end)
}

func (o *overlay) steps() int { return len(o.base) + len(o.cells) }
