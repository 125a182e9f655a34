package btyd

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// BGNBD is the BG/NBD model: purchase rates λ ~ gamma(R, Alpha), and after
// each repeat purchase the customer leaves with probability p ~ beta(A, B).
//
// A customer without a repeat purchase cannot have left, so that PAlive is 1
// for every X = 0, however long ago: a property of the model and not a finding,
// best shown as "unknown". [MBGNBD] does not have it.
//
// Source: Fader, Hardie and Lee (2005).
type BGNBD struct {
	R     float64 // shape of the purchase rates
	Alpha float64 // scale of the purchase rates, in units of time
	A, B  float64 // of the probabilities of leaving
}

// MBGNBD is the MBG/NBD model: as [BGNBD], but customers may also leave
// right after the first purchase.
//
// Source: Batislam, Denizel and Filiztekin (2007).
type MBGNBD struct {
	R     float64 // shape of the purchase rates
	Alpha float64 // scale of the purchase rates, in units of time
	A, B  float64 // of the probabilities of leaving
}

var _, _ Model = BGNBD{}, MBGNBD{}

func (m BGNBD) core() bg  { return bg{m.R, m.Alpha, m.A, m.B, 0}.usable() }
func (m MBGNBD) core() bg { return bg{m.R, m.Alpha, m.A, m.B, 1}.usable() }

// Family is [FamilyBGNBD].
func (BGNBD) Family() string { return FamilyBGNBD }

// Family is [FamilyMBGNBD].
func (MBGNBD) Family() string { return FamilyMBGNBD }

// Params are r, alpha, a and b.
func (m BGNBD) Params() map[string]float64 {
	return map[string]float64{"r": m.R, "alpha": m.Alpha, "a": m.A, "b": m.B}
}

// Params are r, alpha, a and b.
func (m MBGNBD) Params() map[string]float64 { return BGNBD(m).Params() }

// LogLikelihood is that of Fader, Hardie and Lee (2005), with δ = 0 for x = 0 and 1 otherwise ln of
//
//	Γ(r+x)α^r/Γ(r) · (B(a,b+x)/B(a,b)/(α+T)^(r+x) + δ B(a+1,b+x-1)/B(a,b)/(α+t_x)^(r+x))
//
// see [Model].
func (m BGNBD) LogLikelihood(h History) float64 { return m.core().logLikelihood(h.tame()) }

// LogLikelihood is that of Batislam, Denizel and Filiztekin (2007), ln of
//
//	Γ(r+x)α^r/Γ(r) · (B(a,b+x+1)/B(a,b)/(α+T)^(r+x) + B(a+1,b+x)/B(a,b)/(α+t_x)^(r+x))
//
// see [Model].
func (m MBGNBD) LogLikelihood(h History) float64 { return m.core().logLikelihood(h.tame()) }

// PAlive is 1 for every customer with X = 0, see [BGNBD], and otherwise
// 1 / (1 + a/(b+x-1) ((α+T)/(α+t_x))^(r+x)).
func (m BGNBD) PAlive(h History) float64 { return m.core().pAlive(h.tame()) }

// PAlive is 1 / (1 + a/(b+x) ((α+T)/(α+t_x))^(r+x)): below 1 also for X = 0;
// see [Model].
func (m MBGNBD) PAlive(h History) float64 { return m.core().pAlive(h.tame()) }

// Expected is that of Fader, Hardie and Lee (2005),
//
//	PAlive (a+b+x-1)/(a-1) (1 - ((α+T)/(α+T+t))^(r+x) ₂F₁(r+x, b+x; a+b+x-1; t/(α+T+t)))
//
// accurate to 1e-9 of itself, also where this has a pole (A = 1); see [Model].
func (m BGNBD) Expected(h History, t float64) float64 { return m.core().expected(h.tame(), t) }

// Expected is
//
//	PAlive (a+b+x)/(a-1) (1 - ((α+T)/(α+T+t))^(r+x) ₂F₁(r+x, b+x+1; a+b+x; t/(α+T+t)))
//
// accurate to 1e-9 of itself, also where this has a pole (A = 1); see [Model].
func (m MBGNBD) Expected(h History, t float64) float64 { return m.core().expected(h.tame(), t) }

// PNoPurchase is 1 - PAlive + PAlive ((α+T)/(α+T+t))^(r+x); see [Model].
func (m BGNBD) PNoPurchase(h History, t float64) float64 { return m.core().pNone(h.tame(), t) }

// PNoPurchase is 1 - PAlive + PAlive ((α+T)/(α+T+t))^(r+x); see [Model].
func (m MBGNBD) PNoPurchase(h History, t float64) float64 { return m.core().pNone(h.tame(), t) }

// ExpectedNew is that of Fader, Hardie and Lee (2005):
// (a+b-1)/(a-1) (1 - (α/(α+t))^r ₂F₁(r, b; a+b-1; t/(α+t))); see [Model].
func (m BGNBD) ExpectedNew(t float64) float64 { return m.core().expected(History{}, t) }

// ExpectedNew counts those who left right after the first purchase:
// b/(a-1) (1 - (α/(α+t))^r ₂F₁(r, b+1; a+b; t/(α+t))); see [Model].
func (m MBGNBD) ExpectedNew(t float64) float64 { return m.core().expected(History{}, t) }

// PMF is that of Fader, Hardie and Lee (2005): with z = t/(α+t), NB(j) = Γ(r+j)/(Γ(r)j!) (1-z)^r z^j,
// and δ = 0 for n = 0 and 1 otherwise,
//
//	B(a,b+n)/B(a,b) NB(n) + δ B(a+1,b+n-1)/B(a,b) (1 - Σ_{j<n} NB(j))
//
// see [Model].
func (m BGNBD) PMF(n int, t float64) float64 { return m.core().pmf(n, t) }

// PMF is that of [BGNBD.PMF] with one chance more to leave: B(a,b+n+1) and B(a+1,b+n), and δ = 1
// also for n = 0; see [Model].
func (m MBGNBD) PMF(n int, t float64) float64 { return m.core().pmf(n, t) }

func (m BGNBD) predictor() predictor  { return newBGPredictor(m.core()) }
func (m MBGNBD) predictor() predictor { return newBGPredictor(m.core()) }

// bg is what BG/NBD and MBG/NBD share. A customer who has bought x times
// again had x+k chances to leave: k is 0 for BG/NBD and 1 for MBG/NBD.
type bg struct{ r, alpha, a, b, k float64 }

// usable is m, or in place of one that no formula can take one of customers who have left and buy nothing; see [Model].
func (m bg) usable() bg {
	if shaped(m.r, m.a) && shaped(m.b, m.b) && scaled(m.alpha) {
		return m
	}
	return bg{paramMin, scaleMax, paramMax, paramMin, m.k}
}

// lnDeadOdds is ln of (left right after the last purchase : alive at T).
// Written as a ratio, so that large x and T neither overflow nor cancel.
func (m bg) lnDeadOdds(h History) float64 {
	chances := h.X + m.k
	if chances == 0 {
		return math.Inf(-1)
	}
	return math.Log(m.a/(m.b+chances-1)) + (m.r+h.X)*math.Log1p((h.T-h.Tx)/(m.alpha+h.Tx))
}

func (m bg) logLikelihood(h History) float64 {
	dead, _ := logistic(m.lnDeadOdds(h))
	return lnGammaRatioAt(m.r, h.X) - h.X*math.Log(m.alpha) - (m.r+h.X)*math.Log1p(h.T/m.alpha) +
		lnBetaRatio(m.a, m.b, h.X+m.k) + dead
}

func (m bg) pAlive(h History) float64 {
	_, dead := logistic(-m.lnDeadOdds(h))
	return dead
}

func (m bg) pNone(h History, t float64) float64 {
	if !(t > 0) {
		return 1
	}
	return unit(1 + m.pAlive(h)*m.noneLess1(h, t))
}

// noneLess1 is the chance that a customer who is alive buys nothing in
// (T, T+t], less 1; 0 for t = 0.
func (m bg) noneLess1(h History, t float64) float64 {
	return math.Expm1(-(m.r + h.X) * math.Log1p(t/(m.alpha+h.T)))
}

func (m bg) expected(h History, t float64) float64 {
	if !(t > 0) {
		return 0
	}
	t = math.Min(t, math.MaxFloat32)
	return m.pAlive(h) * m.renewals(h.X).until(t/(m.alpha+h.T))
}

func (m bg) renewals(x float64) *renewals {
	return &renewals{m: m.r + x, a: m.a, b: m.b + x + m.k}
}

// pmf is the formula of Fader, Hardie and Lee (2005), its finite sum written
// as an incomplete beta function: of W purchases without leaving, W negative
// binomial, the customer made n because W = n or because the n-th was the last.
func (m bg) pmf(n int, t float64) float64 {
	if n < 0 {
		return 0
	}
	x := float64(n)
	if !(t > 0) {
		t = 0
	}
	t = math.Min(t, math.MaxFloat32)
	z := t / (m.alpha + t)
	exactly, atLeast := 0.0, 1.0 // P(W = n), P(W >= n)
	switch {
	case n == 0:
		exactly = math.Exp(-m.r * math.Log1p(t/m.alpha))
	case z == 0:
		atLeast = 0
	default:
		exactly = math.Exp(lnGammaRatioAt(m.r, x) - lgamma(x+1) + x*math.Log(z) - m.r*math.Log1p(t/m.alpha))
		atLeast = mathext.RegIncBeta(x, m.r, z)
	}
	chances := x + m.k
	if chances == 0 {
		return unit(exactly)
	}
	stays := math.Exp(lnBetaRatio(m.a, m.b, chances))
	leaves := math.Exp(lnBetaRatio(m.a, m.b, chances-1)) * m.a / (m.a + m.b + chances - 1)
	return unit(stays*exactly + leaves*atLeast)
}

// lnGammaRatioAt allows x = 0.
func lnGammaRatioAt(y, x float64) float64 {
	if x == 0 {
		return 0
	}
	return lnGammaRatio(y, x)
}
