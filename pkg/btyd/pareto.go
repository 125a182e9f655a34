package btyd

import "math"

// ParetoNBD is the Pareto/NBD model: purchase rates λ ~ gamma(R, Alpha), and
// a customer leaves at a constant rate μ ~ gamma(S, Beta).
//
// Source: Schmittlein, Morrison and Colombo (1987); the likelihood as in Fader and
// Hardie, A Note on Deriving the Pareto/NBD Model and Related Expressions (2005),
// with its hypergeometric functions left as the integral over the time of
// leaving that they come from: one positive integrand, for any Alpha and Beta.
type ParetoNBD struct {
	R     float64 // shape of the purchase rates
	Alpha float64 // scale of the purchase rates, in units of time
	S     float64 // shape of the rates of leaving
	Beta  float64 // scale of the rates of leaving, in units of time
}

var _ Model = ParetoNBD{}

// Family is [FamilyParetoNBD].
func (ParetoNBD) Family() string { return FamilyParetoNBD }

// Params are r, alpha, s and beta.
func (m ParetoNBD) Params() map[string]float64 {
	return map[string]float64{"r": m.R, "alpha": m.Alpha, "s": m.S, "beta": m.Beta}
}

// usable is m, or in place of one that no formula can take one of customers who have left and buy nothing; see [Model].
func (m ParetoNBD) usable() ParetoNBD {
	if shaped(m.R, m.S) && scaled(m.Alpha) && scaled(m.Beta) {
		return m
	}
	return ParetoNBD{R: paramMin, Alpha: scaleMax, S: 100, Beta: scaleMin}
}

// lnAlive is ln of the density of the history with the customer alive at T,
// without the factor that does not depend on Tx and T.
func (m ParetoNBD) lnAlive(h History) float64 {
	return -(m.R+h.X)*math.Log1p(h.T/m.Alpha) - m.S*math.Log1p(h.T/m.Beta)
}

// lnDead is the same for a customer who left between Tx and T.
func (m ParetoNBD) lnDead(h History) float64 {
	var buf [64]timeNode
	sum := 0.0
	n := m.R + h.X
	for _, d := range leavingNodes(buf[:0], h.Tx, h.T, m.Alpha, m.Beta, n, m.S+1) {
		sum += d.w * math.Exp(-n*math.Log1p(d.after/(m.Alpha+h.Tx))-(m.S+1)*math.Log1p(d.after/(m.Beta+h.Tx)))
	}
	return math.Log(m.S/m.Beta) - n*math.Log1p(h.Tx/m.Alpha) - (m.S+1)*math.Log1p(h.Tx/m.Beta) + math.Log(sum)
}

// LogLikelihood is ln of
//
//	Γ(r+x)α^r β^s/Γ(r) · (1/((α+T)^(r+x) (β+T)^s) + s ∫ dy/((α+y)^(r+x) (β+y)^(s+1)), y from t_x to T)
//
// accurate to 1e-9; see [Model].
func (m ParetoNBD) LogLikelihood(h History) float64 {
	m, h = m.usable(), h.tame()
	alive := m.lnAlive(h)
	dead, _ := logistic(m.lnDead(h) - alive)
	return lnGammaRatioAt(m.R, h.X) - h.X*math.Log(m.Alpha) + alive + dead
}

// PAlive is the share of the likelihood with the customer alive at T, the first
// of its two terms; see [Model].
func (m ParetoNBD) PAlive(h History) float64 {
	m, h = m.usable(), h.tame()
	_, alive := logistic(m.lnAlive(h) - m.lnDead(h))
	return alive
}

// Expected is PAlive (r+x)(β+T)/((α+T)(s-1)) (1 - ((β+T)/(β+T+t))^(s-1)), with
// its limit at s = 1; see [Model].
func (m ParetoNBD) Expected(h History, t float64) float64 {
	if !(t > 0) {
		return 0
	}
	m = m.usable()
	return m.PAlive(h) * m.purchases(h.tame(), math.Min(t, math.MaxFloat32))
}

// purchases is the expected number in (T, T+t] of a customer alive at T:
// E[λ] E[(1 - e^-μt)/μ], with its limit at s = 1.
func (m ParetoNBD) purchases(h History, t float64) float64 {
	ln := math.Log1p(t / (m.Beta + h.T))
	e := m.S - 1
	within := ln
	if math.Abs(e*ln) > 1e-300 {
		within = -math.Expm1(-e*ln) / e
	}
	return (m.R + h.X) / (m.Alpha + h.T) * (m.Beta + h.T) * within
}

// PNoPurchase integrates over the time of leaving within the horizon:
//
//	1 - PAlive + PAlive ((A/(A+t))^(r+x) (B/(B+t))^s + s ∫ (A/(A+y))^(r+x) B^s/(B+y)^(s+1) dy, y from 0 to t)
//
// with A = α+T and B = β+T; see [Model].
func (m ParetoNBD) PNoPurchase(h History, t float64) float64 {
	if !(t > 0) {
		return 1
	}
	m = m.usable()
	return m.none(h.tame(), math.Min(t, math.MaxFloat32), m.PAlive(h))
}

// none adds the ways to buy nothing in (T, T+t]: gone by T, alive
// throughout, gone in between.
func (m ParetoNBD) none(h History, t, alive float64) float64 {
	n := m.R + h.X
	stays := math.Exp(-n*math.Log1p(t/(m.Alpha+h.T)) - m.S*math.Log1p(t/(m.Beta+h.T)))
	var buf [64]timeNode
	leaves := 0.0
	for _, d := range leavingNodes(buf[:0], h.T, h.T+t, m.Alpha, m.Beta, n, m.S+1) {
		leaves += d.w * math.Exp(-n*math.Log1p(d.after/(m.Alpha+h.T))-(m.S+1)*math.Log1p(d.after/(m.Beta+h.T)))
	}
	return unit(1 - alive + alive*unit(stays+leaves*m.S/(m.Beta+h.T)))
}

// ExpectedNew is rβ/(α(s-1)) (1 - (β/(β+t))^(s-1)); see [Model].
func (m ParetoNBD) ExpectedNew(t float64) float64 { return m.Expected(History{}, t) }

// PMF integrates over the time of leaving; it is slower than those of the other models.
func (m ParetoNBD) PMF(n int, t float64) float64 {
	if n < 0 {
		return 0
	}
	if !(t > 0) {
		t = 0
	}
	m, t = m.usable(), math.Min(t, math.MaxFloat32)
	x := float64(n)
	c := lnGammaRatioAt(m.R, x) - lgamma(x+1)
	ln := func(y float64) float64 { // n purchases in (0, y] by a customer who stays
		if y == 0 {
			if n == 0 {
				return 0
			}
			return math.Inf(-1)
		}
		return c - x*math.Log1p(m.Alpha/y) - m.R*math.Log1p(y/m.Alpha)
	}
	stays := math.Exp(ln(t) - m.S*math.Log1p(t/m.Beta))
	scale := math.Min(m.Alpha, m.Beta)
	width := math.Log1p(t / scale)
	f := func(w float64) float64 {
		y := scale * math.Expm1(w)
		return math.Exp(ln(y)-(m.S+1)*math.Log1p(y/m.Beta)) * (scale + y) * m.S / m.Beta
	}
	leaves, before := 0.0, -1.0
	for panels := 4; panels <= 1024 && math.Abs(leaves-before) > 1e-12*leaves; panels *= 2 {
		before, leaves = leaves, 0
		step := width / float64(panels)
		for i := range panels {
			for _, g := range nodes16 {
				leaves += g.w * step * f((float64(i)+g.x)*step)
			}
		}
	}
	return unit(stays + leaves)
}

func (m ParetoNBD) predictor() predictor { return m }

func (m ParetoNBD) predict(h History, ask Ask) Prediction {
	alive := m.PAlive(h)
	p := Prediction{PAlive: alive, PNoPurchase: 1}
	if ask.Horizon > 0 {
		p.Expected = alive * m.purchases(h, ask.Horizon)
		p.PNoPurchase = m.none(h, ask.Horizon, alive)
	}
	p.Discounted = alive * ask.Plan.discount(func(t float64) float64 { return m.purchases(h, t) })
	return p
}

// timeNode is a point of a quadrature over the time of leaving.
type timeNode struct {
	after float64 // from the start of the interval: y - from
	w     float64
}

// leavingNodes appends a quadrature over [from, to] for (α+y)^-na (β+y)^-nb.
//
// Over w = ln(γ+y), γ the smaller of α and β, the nearest singularity is π off
// the real line. A panel no wider than 4, over which the integrand falls by no
// more than e^16, leaves 16 Gauss-Legendre points an error below 1e-15. What lies beyond a fall of
// e^-50 is left out.
func leavingNodes(buf []timeNode, from, to, alpha, beta, na, nb float64) []timeNode {
	length := to - from
	if !(length > 0) {
		return buf
	}
	scale := math.Min(alpha, beta) + from
	fall := func(d float64) float64 { // of the integrand over w; convex in w
		return na*math.Log1p(d/(alpha+from)) + nb*math.Log1p(d/(beta+from)) - math.Log1p(d/scale)
	}
	const deepest = 50.0
	if fall(length) > deepest {
		// 1/slope at the start is too short, the length too long: bisect their logarithms.
		lo, hi := 1/(na/(alpha+from)+nb/(beta+from)), length
		for range 40 {
			if mid := math.Sqrt(lo * hi); fall(mid) > deepest {
				hi = mid
			} else {
				lo = mid
			}
			if hi < 1.1*lo {
				break
			}
		}
		length = hi
	}
	width := math.Log1p(length / scale)
	end := from + length
	slope := (scale + length) * (na/(alpha+end) + nb/(beta+end))
	panels := math.Max(1, math.Ceil(math.Max(width/4, slope*width/16)))
	step := width / panels
	for i := 0.0; i < panels; i++ {
		for _, g := range nodes16 {
			d := scale * math.Expm1((i+g.x)*step)
			buf = append(buf, timeNode{d, g.w * step * (scale + d)})
		}
	}
	return buf
}
