package parking

import (
	"math"
	"math/rand/v2"
	"time"
)

// draw makes the model's random numbers. It uses only the raw output of PCG, which is fixed by its definition, so that a later
// version of Go which draws distributions in another way changes nothing. (A product inside float64(…) is never fused with the
// sum around it, so processors agree.)
type draw struct{ source *rand.PCG }

func newDraw(seed uint64) draw {
	const stream = 0x626f6f6d67617465 // "boomgate": any constant will do, but never another one
	return draw{source: rand.NewPCG(seed, stream)}
}

// unit gives a number in [0, 1).
func (d draw) unit() float64 { return float64(d.source.Uint64()>>11) / (1 << 53) }

// between gives a number in [low, high).
func (d draw) between(low, high float64) float64 { return low + float64((high-low)*d.unit()) }

// chance is true with probability p.
func (d draw) chance(p float64) bool { return d.unit() < p }

// below gives an integer in [0, n), n > 0.
func (d draw) below(n int) int { return int(d.unit() * float64(n)) }

// exponential gives an exponentially distributed number with mean 1.
func (d draw) exponential() float64 { return -math.Log(1 - d.unit()) }

// normal gives a normally distributed number with mean 0 and standard deviation 1 (Box and Muller).
func (d draw) normal() float64 {
	return math.Sqrt(2*d.exponential()) * math.Cos(2*math.Pi*d.unit())
}

// lognormal gives a lognormally distributed number with the mean and the coefficient of variation.
func (d draw) lognormal(mean, variation float64) float64 {
	sigma2 := math.Log(1 + variation*variation)
	spread := float64(math.Sqrt(sigma2) * d.normal())
	return mean * math.Exp(spread-sigma2/2)
}

// after gives an exponentially distributed wait with the mean.
func (d draw) after(mean time.Duration) time.Duration {
	return seconds(mean.Seconds() * d.exponential())
}

// shuffle puts the numbers in random order.
func (d draw) shuffle(numbers []int) {
	for i := len(numbers) - 1; i > 0; i-- {
		j := d.below(i + 1)
		numbers[i], numbers[j] = numbers[j], numbers[i]
	}
}

// seconds turns seconds into a duration of whole milliseconds, the resolution of the model.
func seconds(s float64) time.Duration {
	return time.Duration(s*1000) * time.Millisecond
}
