package parking

import "time"

// step is something that will happen: what, where and when. The meaning of what is the Lot's.
type step struct {
	at    time.Duration // since Config.Start; negative during the warm-up
	order uint64        // of two steps at one time, the one planned first comes first
	space int
	what  what
}

func (s step) before(other step) bool {
	return s.at < other.at || s.at == other.at && s.order < other.order
}

// queue holds steps and gives the earliest one: a binary heap.
type queue struct {
	steps   []step
	planned uint64
}

func (q *queue) plan(at time.Duration, what what, space int) {
	q.planned++
	q.steps = append(q.steps, step{at: at, order: q.planned, space: space, what: what})
	for child := len(q.steps) - 1; child > 0; {
		parent := (child - 1) / 2
		if !q.steps[child].before(q.steps[parent]) {
			return
		}
		q.steps[child], q.steps[parent] = q.steps[parent], q.steps[child]
		child = parent
	}
}

// earliest tells when the next step is due; false when nothing is planned.
func (q *queue) earliest() (time.Duration, bool) {
	if len(q.steps) == 0 {
		return 0, false
	}
	return q.steps[0].at, true
}

// take removes and gives the earliest step. The queue must not be empty.
func (q *queue) take() step {
	first, last := q.steps[0], len(q.steps)-1
	q.steps[0] = q.steps[last]
	q.steps = q.steps[:last]
	for parent := 0; ; {
		child := 2*parent + 1
		if child >= last {
			return first
		}
		if right := child + 1; right < last && q.steps[right].before(q.steps[child]) {
			child = right
		}
		if !q.steps[child].before(q.steps[parent]) {
			return first
		}
		q.steps[child], q.steps[parent] = q.steps[parent], q.steps[child]
		parent = child
	}
}
