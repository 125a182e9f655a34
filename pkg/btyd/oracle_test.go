package btyd_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/gonum/mathext"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// oracle computes a model's quantities from its story alone: the behaviour
// of one customer with known rate and propensity to leave, averaged over both
// mixing distributions on a grid. It shares no formula and no code with the package.
type oracle struct {
	rate, leave []node // gamma(r, alpha) and beta(a, b) or gamma(s, beta)
	k, alpha    float64
	pareto      bool
}

type node struct{ v, lnWeight float64 }

// gammaGrid and betaGrid are trapezoidal rules in ln v and logit v, wide
// enough that what they leave out is below 1e-16.
func gammaGrid(shape, scale, upTo, step float64) []node {
	lnC := shape*math.Log(scale) - lg(shape)
	var out []node
	for y := -38/shape - 3; y < math.Log(upTo); y += step {
		v := math.Exp(y) / scale
		out = append(out, node{v, math.Log(step) + lnC + shape*math.Log(v) - scale*v})
	}
	return out
}

func betaGrid(a, b float64) []node {
	var out []node
	for y := -38/a - 3; y < 38/b+40; y += 0.1 {
		// ln v and ln(1-v) without cancellation
		lnV, lnNot := -math.Log1p(math.Exp(-y)), -math.Log1p(math.Exp(y))
		if y < -30 {
			lnV = y
		}
		if y > 30 {
			lnNot = -y
		}
		out = append(out, node{math.Exp(lnV), math.Log(0.1) + a*lnV + b*lnNot - mathext.Lbeta(a, b)})
	}
	return out
}

func lg(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// step is that of the grid of rates: a third of 1/√x or less.
func oracleOf(m btyd.Model, step float64) oracle {
	p := m.Params()
	o := oracle{rate: gammaGrid(p["r"], p["alpha"], 2000, step), alpha: p["alpha"]}
	switch m.Family() {
	case btyd.FamilyMBGNBD:
		o.k = 1
		fallthrough
	case btyd.FamilyBGNBD:
		o.leave = betaGrid(p["a"], p["b"])
	default:
		o.pareto = true
		o.leave = gammaGrid(p["s"], p["beta"], 200, 0.1)
	}
	return o
}

type answers struct{ ll, pAlive, expected, pNone float64 }

func (o oracle) ask(h btyd.History, t float64) answers {
	// Relative to the largest integrand over the rates, against underflow.
	ref := 0.0
	if h.X > 0 {
		ref = h.X*math.Log(h.X/(o.alpha+h.Tx)) - h.X
	}
	var likely, later, alive, purchases float64
	for _, r := range o.rate {
		lambda := r.v
		lnX := h.X*math.Log(lambda) - ref
		if h.X == 0 {
			lnX = 0
		}
		for _, l := range o.leave {
			w := r.lnWeight + l.lnWeight + lnX
			if w-lambda*h.Tx < -60 {
				continue
			}
			var a, d, dLater, e float64
			if o.pareto {
				mu := l.v
				a = math.Exp(w - (lambda+mu)*h.T)
				share := mu / (lambda + mu)
				d = share * (math.Exp(w-(lambda+mu)*h.Tx) - a)
				aLater := math.Exp(w - (lambda+mu)*(h.T+t))
				dLater = share*(math.Exp(w-(lambda+mu)*h.Tx)-aLater) + aLater
				e = -lambda * math.Expm1(-mu*t) / mu
				if mu*t < 1e-12 {
					e = lambda * t
				}
			} else {
				p := l.v
				chances := h.X + o.k
				stay := 0.0
				if chances > 0 {
					stay = chances * math.Log1p(-p)
				}
				a = math.Exp(w + stay - lambda*h.T)
				if chances > 0 && p < 1 {
					d = p * math.Exp(w+stay-math.Log1p(-p)-lambda*h.Tx)
				} else if chances == 1 {
					d = math.Exp(w - lambda*h.Tx)
				}
				dLater = d + math.Exp(w+stay-lambda*(h.T+t))
				e = -math.Expm1(-lambda*p*t) / p
				if lambda*p*t < 1e-12 {
					e = lambda * t
				}
			}
			likely += a + d
			later += dLater
			alive += a
			purchases += a * e
		}
	}
	return answers{math.Log(likely) + ref, alive / likely, purchases / likely, later / likely}
}

func TestModelsAgreeWithTheirStory(t *testing.T) {
	t.Parallel()
	ms := append(models(),
		btyd.BGNBD{R: 2, Alpha: 3, A: 1, B: 0.4}, // the pole of the closed form; a+b small
		btyd.MBGNBD{R: 0.6, Alpha: 40, A: 0.5, B: 0.3},
		btyd.ParetoNBD{R: 1.3, Alpha: 2, S: 1, Beta: 20}, // the pole of the closed form
		btyd.ParetoNBD{R: 0.8, Alpha: 30, S: 0.5, Beta: 0.5},
	)
	for _, m := range ms {
		t.Run(fmt.Sprintf("%T%v", m, m), func(t *testing.T) {
			t.Parallel()
			coarse, fine := oracleOf(m, 0.1), oracleOf(m, 0.02)
			for _, tt := range []struct {
				h     btyd.History
				ahead float64
			}{
				{btyd.History{}, 52},
				{btyd.History{T: 38.86}, 39},
				{btyd.History{X: 2, Tx: 30.43, T: 38.86}, 39},
				{btyd.History{X: 1, Tx: 2, T: 30}, 500},
				{btyd.History{X: 26, Tx: 30.86, T: 31}, 52},
				{btyd.History{X: 300, Tx: 38, T: 39}, 52}, // terms of the series overflow
				{btyd.History{X: 12, Tx: 39, T: 39}, 4.345},
			} {
				o := coarse
				if tt.h.X > 20 {
					o = fine
				}
				want := o.ask(tt.h, tt.ahead)
				assert.InDelta(t, want.ll, m.LogLikelihood(tt.h), 1e-9*math.Abs(want.ll)+1e-9, "%+v", tt)
				assert.InDelta(t, want.pAlive, m.PAlive(tt.h), 1e-9, "%+v", tt)
				assert.InDelta(t, want.pNone, m.PNoPurchase(tt.h, tt.ahead), 1e-9, "%+v", tt)
				assert.InEpsilon(t, want.expected, m.Expected(tt.h, tt.ahead), 1e-9, "%+v", tt)
			}
		})
	}
}

// closedForm is E[Y(t)] as published, with Gauss' hypergeometric function.
func closedForm(r, alpha, a, b, k float64, h btyd.History, t float64) float64 {
	x := h.X + k
	odds := 0.0
	if x > 0 {
		odds = a / (b + x - 1) * math.Pow((alpha+h.T)/(alpha+h.Tx), r+h.X)
	}
	f := mathext.Hypergeo(r+h.X, b+x, a+b+x-1, t/(alpha+h.T+t))
	return (a + b + x - 1) / (a - 1) * (1 - math.Pow((alpha+h.T)/(alpha+h.T+t), r+h.X)*f) / (1 + odds)
}

func TestExpectedIsThePublishedClosedForm(t *testing.T) {
	t.Parallel()
	for _, a := range []float64{0.3, 0.793, 1.6, 3.5} {
		for _, b := range []float64{0.9, 2.426, 9.3} {
			for _, h := range []btyd.History{{T: 38.86}, {X: 2, Tx: 30.43, T: 38.86}, {X: 9, Tx: 10, T: 31}, {X: 40, Tx: 31, T: 31}} {
				for _, ahead := range []float64{0.5, 4.345, 52, 300} {
					bgn := btyd.BGNBD{R: 0.243, Alpha: 4.414, A: a, B: b}
					assert.InEpsilon(t, closedForm(0.243, 4.414, a, b, 0, h, ahead), bgn.Expected(h, ahead), 1e-9)
					mbg := btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: a, B: b}
					assert.InEpsilon(t, closedForm(0.525, 6.183, a, b, 1, h, ahead), mbg.Expected(h, ahead), 1e-9)
				}
			}
		}
	}
}

// TestExpectedMeetsWhereItsMethodsMeet: the series and the quadrature give
// the same on both sides of the limits at which one takes over from the other,
// where the expectation is smooth in t.
func TestExpectedMeetsWhereItsMethodsMeet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m btyd.MBGNBD
		h btyd.History
		t float64
	}{
		{btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614}, btyd.History{}, 49 * 6.183}, // z = 0.98
		{btyd.MBGNBD{R: 30, Alpha: 1, A: 0.01, B: 1e3}, btyd.History{X: 3, Tx: 1, T: 1}, 2 * 48.999999},
		{btyd.MBGNBD{R: 900, Alpha: 1, A: 0.001, B: 2}, btyd.History{}, math.Expm1(600.0 / 900)}, // (1-z)^m = e^-600
		{btyd.MBGNBD{R: 1e5, Alpha: 1e5, A: 1e5, B: 1e5}, btyd.History{X: 1, Tx: 1, T: 1}, 603},
	} {
		step := tt.t * 1e-3
		var v [5]float64
		for i := range v {
			v[i] = tt.m.Expected(tt.h, tt.t+step*(float64(i)-2.5))
		}
		// Fourth differences of a smooth function at steps of 1e-3 are ~1e-12 of it.
		assert.InDelta(t, 0, (v[0]-4*v[1]+6*v[2]-4*v[3]+v[4])/v[2], 2e-11, "%+v: %v", tt, v)
	}
}

func TestParetoLikelihoodIsThePublishedClosedForm(t *testing.T) {
	t.Parallel()
	for _, m := range []btyd.ParetoNBD{
		{R: 0.553, Alpha: 10.578, S: 0.606, Beta: 11.669},
		{R: 0.553, Alpha: 11.669, S: 0.606, Beta: 10.578},
		{R: 2, Alpha: 50, S: 3, Beta: 5},
		{R: 0.1, Alpha: 0.5, S: 0.05, Beta: 20},
	} {
		for _, h := range []btyd.History{{T: 38.86}, {X: 2, Tx: 30.43, T: 38.86}, {X: 26, Tx: 30.86, T: 31}, {X: 5, Tx: 0.5, T: 70}} {
			hi, lo, b := m.Alpha, m.Beta, m.S+1
			if hi < lo {
				hi, lo, b = lo, hi, m.R+h.X
			}
			n := m.R + m.S + h.X
			part := func(y float64) float64 {
				return mathext.Hypergeo(n, b, n+1, (hi-lo)/(hi+y)) / math.Pow(hi+y, n)
			}
			sum := math.Pow(m.Alpha+h.T, -m.R-h.X)*math.Pow(m.Beta+h.T, -m.S) + m.S/n*(part(h.Tx)-part(h.T))
			want := lg(m.R+h.X) - lg(m.R) + m.R*math.Log(m.Alpha) + m.S*math.Log(m.Beta) + math.Log(sum)
			assert.InDelta(t, want, m.LogLikelihood(h), 1e-8, "%v %v", m, h)
		}
	}
}

func TestPMFIsADistribution(t *testing.T) {
	t.Parallel()
	for _, m := range models() {
		for _, ahead := range []float64{0, 0.1, 2, 39} {
			sum, mean := 0.0, 0.0
			for n := range 1500 {
				p := m.PMF(n, ahead)
				sum += p
				mean += float64(n) * p
			}
			assert.InDelta(t, 1, sum, 1e-9, "%v %v", m, ahead)
			assert.InDelta(t, m.ExpectedNew(ahead), mean, 1e-9, "%v %v", m, ahead)
			assert.Zero(t, m.PMF(-1, ahead))
			assert.InDelta(t, m.PNoPurchase(btyd.History{}, ahead), m.PMF(0, ahead), 1e-12)
		}
	}
}

func TestBulkPredictionsAreThoseOfTheMethods(t *testing.T) {
	t.Parallel()
	hs, _ := simulated(1200)
	hs = append(hs, btyd.History{}, btyd.History{X: 300, Tx: 38, T: 39}, btyd.History{X: 5000, Tx: 38, T: 39})
	for _, m := range models() {
		ask := btyd.Ask{Horizon: 52, Plan: btyd.Months(12, 0.01)}
		got, err := btyd.Predict(t.Context(), m, hs, ask)
		assert.NoError(t, err)
		slow, err := btyd.Predict(t.Context(), foreign{m}, hs, ask)
		assert.NoError(t, err)
		for i := range slow {
			assert.InEpsilon(t, slow[i].Expected, got[i].Expected, 1e-12)
			assert.InEpsilon(t, slow[i].Discounted, got[i].Discounted, 1e-12)
			assert.InDelta(t, slow[i].PAlive, got[i].PAlive, 1e-12)
			assert.InDelta(t, slow[i].PNoPurchase, got[i].PNoPurchase, 1e-12)
		}
	}
}

// foreign hides what the package knows about its own models.
type foreign struct{ btyd.Model }
