package parking

// freeSpaces holds the free spaces by popularity and picks one at random, a popular one sooner: a Fenwick tree over whole
// weights, so that nothing drifts however long the model runs.
type freeSpaces struct {
	sums  []uint64 // sums[i] is the weight of the spaces (i - lowest bit of i, i]
	total uint64
}

func newFreeSpaces(spaces int) *freeSpaces {
	return &freeSpaces{sums: make([]uint64, spaces+1)}
}

// add makes the space free.
func (f *freeSpaces) add(space int, weight uint64) {
	f.total += weight
	for i := space + 1; i < len(f.sums); i += i & -i {
		f.sums[i] += weight
	}
}

// remove makes the space taken. It must have been added with the same weight.
func (f *freeSpaces) remove(space int, weight uint64) {
	f.total -= weight
	for i := space + 1; i < len(f.sums); i += i & -i {
		f.sums[i] -= weight
	}
}

// at gives the space on which the point lies when all weights are laid end to end; the point must be less than total.
func (f *freeSpaces) at(point uint64) int {
	width := 1
	for width*2 < len(f.sums) {
		width *= 2
	}
	position := 0
	for ; width > 0; width /= 2 {
		if next := position + width; next < len(f.sums) && f.sums[next] <= point {
			position = next
			point -= f.sums[next]
		}
	}
	return position
}
