package parking

import "time"

// The numbers below come from github.com/defgsus/parking-data, csv/2023 (March, May, June, September, October): counts of free
// spaces every five minutes in 86 German garages, 06 to 20 o'clock, Europe/Berlin; own computation. Arrivals and departures
// were separated by a Skellam estimator, stays follow by Little's law.

// What the median garage showed, and what the model is held to.
const (
	// ArrivalsPerSpace is the number of arrivals per space on a weekday between 06 and 20 o'clock.
	ArrivalsPerSpace = 2.25
	// MeanStay is the mean stay of the cars that come between 06 and 20 o'clock on a weekday and are no long-stayers.
	MeanStay = 114 * time.Minute
	// StayVariation is the coefficient of variation of those stays.
	StayVariation = 0.9
	// PeakOccupancy is the highest share of occupied spaces of a day.
	PeakOccupancy = 0.68
	// LongStayShare is the share of the spaces that are taken by cars which stay for days.
	LongStayShare = 0.2
)

// weekdayArrivals is the share of a weekday's arrivals (of those between 06 and 20) in each hour. 06 to 19 are measured. The
// night was not; its shares are small and keep the nightly occupancy near the measured one.
var weekdayArrivals = [24]float64{
	0.005, 0.003, 0.002, 0.002, 0.004, 0.018,
	0.0668, 0.0839, 0.0884, 0.0904, 0.0909, 0.0763,
	0.0637, 0.0625, 0.0648, 0.0664, 0.0690, 0.0690,
	0.0622, 0.0456, 0.028, 0.020, 0.014, 0.009,
}

// saturdayArrivals is in the unit of weekdayArrivals (1 = a weekday's arrivals between 06 and 20). It is what the measured
// occupancy of Saturdays requires, given the stays below.
var saturdayArrivals = [24]float64{
	0.0017, 0.0096, 0.0120, 0.0118, 0.0137, 0.0237,
	0.0365, 0.0320, 0.0339, 0.0567, 0.0903, 0.0997,
	0.0952, 0.0930, 0.0990, 0.1036, 0.1052, 0.1023,
	0.0940, 0.0795, 0.0520, 0.0326, 0.0110, 0.0054,
}

// sundayFactor scales Saturday's arrivals for a Sunday, when shops are closed. Sundays were not measured.
const sundayFactor = 0.45

// stayHours is the mean stay of a car by the hour in which it comes. The values are those which turn the measured arrivals into
// the measured occupancy; their mean over a weekday's arrivals between 06 and 20 is MeanStay.
var stayHours = [24]float64{
	6, 5, 4, 3, 2, 1,
	0.7, 0.8, 1.6, 2.7, 2.9, 2.7,
	2.5, 2.3, 1.9, 1.8, 1.5, 1.4,
	1.6, 1.9, 4.5, 6.5, 7, 7,
}

const (
	// hourlyVariation is the coefficient of variation within an hour of stayHours: together with the hours' own differences
	// it makes StayVariation.
	hourlyVariation = 0.76
	// longStayHours and longStayVariation describe the long-stayers.
	longStayHours     = 60.0
	longStayVariation = 0.8
	// longStayReturns is the rate at which a free long-stay space is taken again, per unit of the hour's share of arrivals:
	// about two an hour by day, so that these spaces are occupied 97 % of the time.
	longStayReturns = 28.0
	// transientArrivals leaves the long-stayers' part out of ArrivalsPerSpace.
	transientArrivals = ArrivalsPerSpace - 0.07

	shortestStay = time.Minute
	longestStay  = 21 * 24 * time.Hour
)

// arrivalShare gives the share of a weekday's arrivals that come in the hour of t, in t's own location.
func arrivalShare(t time.Time) float64 {
	switch t.Weekday() {
	case time.Saturday:
		return saturdayArrivals[t.Hour()]
	case time.Sunday:
		return saturdayArrivals[t.Hour()] * sundayFactor
	default:
		return weekdayArrivals[t.Hour()]
	}
}

// highestShare bounds arrivalShare, for thinning.
const highestShare = 0.1052
