package parking

import "time"

// planCandidate plans the next car that may come. Arrivals are a Poisson process whose rate follows the hour, by thinning:
// candidates come at the highest rate of the week, and of those of another hour only their share stays.
func (l *Lot) planCandidate() {
	rate := transientArrivals * highestShare * float64(len(l.spaces)) // an hour
	l.queue.plan(l.now+seconds(3600/rate*l.draw.exponential()), candidate, 0)
}

// consider lets a candidate park, in a popular free space sooner than in another. When there is none it drives on.
func (l *Lot) consider() {
	l.planCandidate()
	if l.draw.chance(arrivalShare(l.at(l.now))/highestShare) && l.free.total > 0 {
		i := l.free.at(uint64(l.draw.unit() * float64(l.free.total)))
		l.free.remove(i, l.spaces[i].weight())
		l.arrive(i)
	}
}

// returns lets a car take a free long-stay space, or asks again a little later, by the same thinning.
func (l *Lot) returns(i int) {
	if l.draw.chance(arrivalShare(l.at(l.now)) / highestShare) {
		l.arrive(i)
		return
	}
	l.planReturn(i)
}

func (l *Lot) planReturn(i int) {
	l.queue.plan(l.now+seconds(3600/(longStayReturns*highestShare)*l.draw.exponential()), returning, i)
}

// arrive puts a car on the free space i.
func (l *Lot) arrive(i int) {
	s := &l.spaces[i]
	s.occupied, s.since = true, l.now
	l.emit(Event{Space: i, Kind: Arrival})
	l.queue.plan(l.now+l.stay(s), departure, i)
	l.changed(i)
}

// stay draws how long the car that has just come will stay.
func (l *Lot) stay(s *space) time.Duration {
	mean, variation := stayHours[l.at(l.now).Hour()], hourlyVariation
	if s.longStay {
		mean, variation = longStayHours, longStayVariation
	}
	return min(max(seconds(3600*l.draw.lognormal(mean, variation)), shortestStay), longestStay)
}

// depart lets the car on the space i leave.
func (l *Lot) depart(i int) {
	s := &l.spaces[i]
	stayed := l.now - s.since
	s.occupied, s.since = false, l.now
	l.emit(Event{Space: i, Kind: Departure, Stay: stayed})
	if s.longStay {
		l.planReturn(i)
	} else {
		l.free.add(i, s.weight())
	}
	l.changed(i)
}

// changed lets the sensor of the space look soon, unless it misses the change.
func (l *Lot) changed(i int) {
	if !l.spaces[i].on || l.draw.chance(l.faults.Missed) {
		return
	}
	l.queue.plan(l.now+seconds(l.draw.between(fastestDetection, slowestDetection)), detection, i)
}
