package btyd

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// GammaGamma is the model of the value of a purchase: a customer's values are
// gamma distributed with shape P and a scale that differs between customers,
// ν ~ gamma(Q, V). It supposes that value and number of purchases are independent.
//
// Source: Fader, Hardie and Lee (2005) and Fader and Hardie, note 025 (2013),
// where V is called γ.
type GammaGamma struct {
	P, Q float64 // shapes; they do not depend on the unit of money
	V    float64 // scale, in the unit of money
}

// Spending is what a customer spent on the repeat purchases.
type Spending struct {
	X    float64 // purchases that Mean is over, usually History.X
	Mean float64 // mean value of one of them (z-bar); above zero to be of use
	N    int     // customers with the same; at least 1
}

// Mean is the expected value of a purchase of a customer about whom nothing
// is known, pv/(q-1), and whether it exists: for Q <= 1 it is infinite, and Mean
// returns 0 and false.
func (g GammaGamma) Mean() (float64, bool) {
	if !(g.Q > 1) {
		return 0, false
	}
	v := g.P * g.V / (g.Q - 1)
	return v, finite(v)
}

// Expected is the expected value of a future purchase of a customer whose x
// purchases had the mean value given: p(v + x·mean)/(px+q-1), a mean of that value
// and [GammaGamma.Mean] weighted by how much is known. For x = 0 the argument mean has no effect.
//
// Where the expectation is infinite (px+q <= 1) it returns mean as given, so
// that a caller can pass what to assume instead, for instance the average over
// all customers.
func (g GammaGamma) Expected(x, mean float64) float64 {
	if !(x > 0) {
		x = 0
	}
	if math.IsNaN(mean) || mean < 0 {
		mean = 0
	}
	mean, x = math.Min(mean, math.MaxFloat64), math.Min(x, math.MaxFloat64)
	below := g.P*x + g.Q - 1
	if !(below > 0) {
		return mean
	}
	// As weights that sum to 1: nothing overflows before the result does.
	w := g.P * x / below
	if math.IsInf(below, 1) {
		return mean
	}
	e := g.P/below*g.V + w*mean
	if !finite(e) {
		return mean
	}
	return e
}

// LogLikelihood is ln of the density of a customer's mean value z of x purchases,
//
//	Γ(px+q)/(Γ(px)Γ(q)) v^q z^(px-1) x^(px) / (v+xz)^(px+q)
//
// (Fader and Hardie, note 025); 0 for a
// customer without a repeat purchase or with a mean that is not above zero, who
// says nothing about the parameters.
func (g GammaGamma) LogLikelihood(x, mean float64) float64 {
	if !(x > 0 && mean > 0) || !finite(x, mean) {
		return 0
	}
	px := g.P * x
	return lnGammaRatio(px, g.Q) - lgamma(g.Q) - math.Log(mean) -
		px*math.Log1p(g.V/(x*mean)) - g.Q*math.Log1p(x*mean/g.V)
}

// FitGammaGamma estimates a Gamma-Gamma model by maximum likelihood.
// Customers with X = 0 or a mean value of 0, which the model cannot take, are left
// out and counted in [Report.Excluded]. Values may be in any unit of money: P, Q
// and the quality of the fit do not depend on it, V is in that unit.
//
// Fails with [ErrTooFewRepeatBuyers] when fewer than [Options.MinRepeatBuyers]
// remain, [ErrSpread], a [RowError] for a negative or non-finite row, or the context's error.
func FitGammaGamma(ctx context.Context, rows []Spending, o Options) (GammaGamma, Report, error) {
	o = o.withDefaults()
	report := Report{Family: "gamma_gamma"}
	used := make([]Spending, 0, len(rows))
	for i, r := range rows {
		switch {
		case !finite(r.X, r.Mean) || r.X < 0 || r.Mean < 0 || r.X > maxX:
			return GammaGamma{}, report, &RowError{i, fmt.Sprintf("x %v and mean value %v must be finite and not negative", r.X, r.Mean)}
		case r.N < 1:
			return GammaGamma{}, report, &RowError{i, fmt.Sprintf("n %d is not at least 1", r.N)}
		case r.X == 0 || r.Mean == 0:
			report.Excluded += r.N
		default:
			used = append(used, r)
			report.Customers += r.N
		}
	}
	report.RepeatBuyers = report.Customers
	if report.Customers < o.MinRepeatBuyers {
		return GammaGamma{}, report, ErrTooFewRepeatBuyers
	}
	g := newGGObjective(used, float64(report.Customers))
	report.Distinct = len(g.z)
	if slices.ContainsFunc(g.z, func(z float64) bool { return z < smallestNormal || z > 1/smallestNormal }) {
		return GammaGamma{}, report, ErrSpread
	}
	starts := [][maxParams]float64{{4, 4, 3}, {1, 2, 1}, {30, 30, 30}}
	best, err := search(ctx, g, starts, o, &report)
	if err != nil {
		return GammaGamma{}, report, err
	}
	report.LogLikelihood = (best.at.f - math.Log(g.unit)) * g.customers
	report.describe(best, 3, [maxParams]string{"p", "q", "v"}, [maxParams]float64{1, 1, g.unit})
	out := GammaGamma{best.theta[0], best.theta[1], best.theta[2] * g.unit}
	if _, ok := out.Mean(); !ok && report.Diagnosis == Sound {
		report.Diagnosis = InfiniteMean
	}
	return out, report, nil
}

// smallestNormal is the smallest float64 that has all its digits.
const smallestNormal = 0x1p-1022

// ggObjective: parameters p, q, v; values divided by their geometric mean.
type ggObjective struct {
	unit      float64
	customers float64
	groups    []group // by x
	z, n      []float64
	chunks    []chunk
	meanLnZ   float64
}

func newGGObjective(rows []Spending, customers float64) ggObjective {
	slices.SortFunc(rows, func(a, b Spending) int {
		return compare(Weighted{History: History{X: a.X, T: a.Mean}}, Weighted{History: History{X: b.X, T: b.Mean}})
	})
	o := ggObjective{customers: customers}
	sum := 0.0
	for _, r := range rows {
		sum += float64(r.N) * math.Log(r.Mean)
	}
	o.unit = math.Exp(sum / customers)
	for i, r := range rows {
		n := float64(r.N)
		if i > 0 && rows[i-1].X == r.X && rows[i-1].Mean == r.Mean {
			o.n[len(o.n)-1] += n
		} else {
			if k := len(o.groups); k == 0 || o.groups[k-1].x != r.X {
				o.groups = append(o.groups, group{x: r.X})
			}
			if len(o.z)%chunkSize == 0 {
				o.chunks = append(o.chunks, chunk{len(o.z), len(o.z), len(o.groups) - 1})
			}
			z := r.Mean / o.unit
			o.z, o.n = append(o.z, z), append(o.n, n)
			o.chunks[len(o.chunks)-1].to = len(o.z)
		}
		g := &o.groups[len(o.groups)-1]
		g.customers += n
		g.end = len(o.z)
	}
	o.meanLnZ = sum/customers - math.Log(o.unit)
	return o
}

func (ggObjective) size() int { return 3 }

func (o ggObjective) eval(ctx context.Context, theta [maxParams]float64) (moments, error) {
	p, q, v := theta[0], theta[1], theta[2]
	all, err := total(ctx, len(o.chunks), func(i int, s *sums) { o.chunk(o.chunks[i], p, q, v, s) })
	if err != nil {
		return moments{}, err
	}
	lnQ, psiQ, psi1Q := lgamma(q), mathext.Digamma(q), trigamma(q)
	for _, g := range o.groups {
		n, x := g.customers, g.x
		psi, psi1 := mathext.Digamma(p*x+q), trigamma(p*x+q)
		all.f += n * (lnGammaRatio(p*x, q) - lnQ)
		all.g[0] += n * x * (psi - mathext.Digamma(p*x))
		all.g[1] += n * (psi - psiQ)
		all.h[0] += n * x * x * (psi1 - trigamma(p*x))
		all.h[1] += n * x * psi1
		all.h[4] += n * (psi1 - psi1Q)
	}
	all.f -= o.meanLnZ * o.customers
	m := all.moments(o.customers)
	m.toLog(theta, [maxParams]bool{true, true, false, false})
	return m, nil
}

// chunk adds -px ln(1 + v/xz) - q ln(1 + xz/v) with its derivatives in p, q
// and ln v.
func (o ggObjective) chunk(c chunk, p, q, v float64, s *sums) {
	for from, gi := c.from, c.group; from < c.to; gi++ {
		g := o.groups[gi]
		to := min(g.end, c.to)
		x, px := g.x, p*g.x
		var lnA, lnB, share, curve, count float64
		n := o.n[from:to]
		for i, z := range o.z[from:to] {
			n := n[i]
			ratio := v / (x * z)
			up := math.Log1p(ratio)
			w := ratio / (1 + ratio) // v/(v+xz)
			lnA += n * up
			lnB += n * (up - math.Log(ratio)) // ln(1 + xz/v)
			share += n * w
			curve += n * w * (1 - w)
			count += n
		}
		s.f -= px*lnA + q*lnB
		s.g[0] -= x * lnA
		s.g[1] -= lnB
		s.g[2] += q*count - (px+q)*share
		s.h[2] -= x * share
		s.h[5] += count - share
		s.h[7] -= (px + q) * curve
		from = to
	}
}
