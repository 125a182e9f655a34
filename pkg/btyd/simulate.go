package btyd

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Simulated is a customer drawn from a model.
type Simulated struct {
	History
	Ahead int  // purchases in (T, T+ahead]
	Alive bool // at T
}

// maxPurchases ends the simulation of a customer whose rate is absurd.
const maxPurchases = 1 << 20

// Simulate draws one customer for each of the ages, which become T, and
// follows each for a time ahead after it. The same seed gives the same
// customers. Customers are drawn independently of one another: those of a prefix of
// ages are the prefix of the customers.
//
// Only the models of this package can be drawn from; another returns nil.
func Simulate(m Model, seed uint64, ages []float64, ahead float64) []Simulated {
	rng := rand.New(rand.NewPCG(seed, 0x627479645f73696d))
	life := lives(m, rng)
	if life == nil {
		return nil
	}
	out := make([]Simulated, len(ages))
	for i, age := range ages {
		c := Simulated{History: History{T: age}}
		rate, leaves, until := life()
		at := 0.0
		for range maxPurchases {
			at += rng.ExpFloat64() / rate
			if !(at <= age+ahead && at <= until) {
				break
			}
			if at <= age {
				c.X, c.Tx = c.X+1, at
			} else {
				c.Ahead++
			}
			if rng.Float64() < leaves {
				until = at
				break
			}
		}
		c.Alive = until > age
		out[i] = c
	}
	return out
}

// lives draws a customer's purchase rate, chance of leaving after a repeat
// purchase, and time of leaving if that is known from the start.
func lives(m Model, rng *rand.Rand) func() (rate, leaves, until float64) {
	geometric := func(b bg) func() (rate, leaves, until float64) {
		rates := distuv.Gamma{Alpha: b.r, Beta: b.alpha, Src: rng}
		chances := distuv.Beta{Alpha: b.a, Beta: b.b, Src: rng}
		return func() (rate, leaves, until float64) {
			rate, leaves, until = rates.Rand(), chances.Rand(), math.Inf(1)
			if b.k == 1 && rng.Float64() < leaves {
				until = 0
			}
			return rate, leaves, until
		}
	}
	switch m := m.(type) {
	case BGNBD:
		return geometric(m.core())
	case MBGNBD:
		return geometric(m.core())
	case ParetoNBD:
		m = m.usable()
		rates := distuv.Gamma{Alpha: m.R, Beta: m.Alpha, Src: rng}
		leaving := distuv.Gamma{Alpha: m.S, Beta: m.Beta, Src: rng}
		return func() (rate, leaves, until float64) {
			return rates.Rand(), 0, rng.ExpFloat64() / leaving.Rand()
		}
	}
	return nil
}

// Simulate draws the mean value of each customer's purchases; counts are their
// numbers. A count of 0 gives a mean of 0, and so does every count for parameters
// that are not above zero.
func (g GammaGamma) Simulate(seed uint64, counts []float64) []Spending {
	rng := rand.New(rand.NewPCG(seed, 0x67616d6d615f6767))
	scales := distuv.Gamma{Alpha: g.Q, Beta: g.V, Src: rng}
	out := make([]Spending, len(counts))
	for i, x := range counts {
		out[i] = Spending{X: x, N: 1}
		if !(g.P > 0 && g.Q > 0 && g.V > 0) {
			continue
		}
		scale := scales.Rand()
		if x > 0 {
			out[i].Mean = distuv.Gamma{Alpha: g.P * x, Beta: scale * x, Src: rng}.Rand()
		}
	}
	return out
}
