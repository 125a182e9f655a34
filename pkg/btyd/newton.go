package btyd

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"
)

const maxParams = 4

// moments are a mean log-likelihood with its gradient and Hessian.
type moments struct {
	f float64
	g [maxParams]float64
	h [maxParams][maxParams]float64
}

// toLog turns derivatives in the parameters for which natural is set into
// derivatives in their logarithms; the others already are.
func (m *moments) toLog(theta [maxParams]float64, natural [maxParams]bool) {
	for i := range maxParams {
		if !natural[i] {
			theta[i] = 1
		}
	}
	for i := range maxParams {
		for j := range maxParams {
			m.h[i][j] *= theta[i] * theta[j]
		}
	}
	for i := range maxParams {
		m.g[i] *= theta[i]
		if natural[i] {
			m.h[i][i] += m.g[i]
		}
	}
}

// objective is a mean log-likelihood as a function of positive parameters,
// in units in which every one of them is of order 1 where data are ordinary.
type objective interface {
	size() int // number of parameters, at most maxParams
	eval(ctx context.Context, theta [maxParams]float64) (moments, error)
}

// Parameters are searched within these limits of their logarithms, [1e-5,
// 1e5]; where an optimum is at or within a factor 10 of one, the likelihood
// still rises towards infinity or zero.
var (
	lnLimit = math.Log(1e5)
	lnEdge  = math.Log(1e4)
)

type optimum struct {
	theta     [maxParams]float64
	at        moments // derivatives in the logarithms of theta
	converged bool
}

// climb is Newton's method on the logarithms of the parameters, inside a
// trust region and a box. Directions in which the likelihood is not concave are
// climbed by the size of their curvature, so that it needs no concavity and
// cannot be drawn to a saddle. It ends when a full step promises less than
// 1e-12 a customer.
func climb(ctx context.Context, o objective, theta [maxParams]float64, evaluations *int, limit int) (optimum, error) {
	const enough = 1e-12
	n := o.size()
	eval := func(x [maxParams]float64) (moments, [maxParams]float64, error) {
		*evaluations++
		var t [maxParams]float64
		for i := range n {
			t[i] = math.Exp(x[i])
		}
		m, err := o.eval(ctx, t)
		return m, t, err
	}
	var x [maxParams]float64
	for i := range n {
		x[i] = clampLn(math.Log(theta[i]))
	}
	at, theta, err := eval(x)
	if err != nil {
		return optimum{}, err
	}
	best := optimum{theta: theta, at: at}
	for radius := 2.0; *evaluations < limit; {
		step, gain := ascent(&at, x, n, radius)
		next := x
		for i := range n {
			next[i] = clampLn(x[i] + step[i])
		}
		if gain < enough || next == x || radius < 1e-9 {
			best.converged = gain < 1e-7
			return best, nil
		}
		m, t, err := eval(next)
		if err != nil {
			return optimum{}, err
		}
		ratio := (m.f - at.f) / gain
		if !(ratio > 0.1) {
			radius = math.Min(radius, norm(step, n)) / 4
		} else if ratio > 0.7 {
			radius = math.Min(radius*2, 8)
		}
		if m.f > at.f && finite(m.f) {
			x, at = next, m
			best = optimum{theta: t, at: m}
		}
	}
	return best, nil
}

func clampLn(v float64) float64 { return math.Max(-lnLimit, math.Min(lnLimit, v)) }

func norm(v [maxParams]float64, n int) float64 {
	sum := 0.0
	for _, c := range v[:n] {
		sum += c * c
	}
	return math.Sqrt(sum)
}

// ascent is the Newton step within radius among the parameters that are free
// (not held at a limit by the gradient) and the gain the quadratic model promises.
func ascent(m *moments, x [maxParams]float64, n int, radius float64) (step [maxParams]float64, gain float64) {
	var free []int
	for i := range n {
		if !(x[i] >= lnLimit && m.g[i] >= 0 || x[i] <= -lnLimit && m.g[i] <= 0) {
			free = append(free, i)
		}
	}
	if len(free) == 0 {
		return step, 0
	}
	h := mat.NewSymDense(len(free), nil)
	for a, i := range free {
		for b, j := range free {
			if !finite(m.h[i][j], m.g[i]) {
				return step, 0
			}
			h.SetSym(a, b, -(m.h[i][j]+m.h[j][i])/2)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(h, true) {
		return step, 0
	}
	values := eig.Values(nil)
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	largest := 0.0
	for _, v := range values {
		largest = math.Max(largest, math.Abs(v))
	}
	slope := make([]float64, len(free))
	for k := range free {
		for a, i := range free {
			slope[k] += vectors.At(a, k) * m.g[i]
		}
	}
	// Shrinking by adding to the curvature, not by scaling, keeps the steep
	// directions right while the flat ones are held back.
	floor := math.Max(1e-14*largest, 1e-300)
	length := func(shift float64) float64 {
		sum := 0.0
		for k, v := range values {
			d := slope[k] / (math.Max(math.Abs(v), floor) + shift)
			sum += d * d
		}
		return math.Sqrt(sum)
	}
	shift := 0.0
	if length(0) > radius {
		lo, hi := 0.0, norm(m.g, n)/radius // at hi the step is within the radius
		for range 60 {
			shift = (lo + hi) / 2
			if length(shift) > radius {
				lo = shift
			} else {
				hi = shift
			}
		}
		shift = hi
	}
	for k, v := range values {
		curvature := math.Max(math.Abs(v), floor)
		d := slope[k] / (curvature + shift)
		gain += slope[k]*d - curvature*d*d/2
		for a, i := range free {
			step[i] += vectors.At(a, k) * d
		}
	}
	return step, gain
}

// stdErr is the standard error of each parameter from the curvature of the
// log-likelihood of n customers, or nil where it is not a strict maximum.
func (o optimum) stdErr(n int, customers float64) []float64 {
	h := mat.NewSymDense(n, nil)
	for i := range n {
		for j := range i + 1 {
			h.SetSym(i, j, -(o.at.h[i][j]+o.at.h[j][i])/2*customers)
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) || chol.Cond() > 1e12 {
		return nil
	}
	var inv mat.SymDense
	if chol.InverseTo(&inv) != nil {
		return nil
	}
	out := make([]float64, n)
	for i := range n {
		out[i] = math.Sqrt(inv.At(i, i)) * o.theta[i]
	}
	if !finite(out...) {
		return nil
	}
	return out
}
