package btyd

import "math"

// never is a time ahead that stands for all time; in any unit nothing comes later.
const never = math.MaxFloat32

// NextPurchase is the time from T within which the next purchase falls with
// probability q, from 0 to 1, given that there is one at all, which
// [PAnotherPurchase] tells: the q-quantile of the waiting time. It is never
// infinite; where the quantile lies beyond any time it is the largest float32.
//
// For [BGNBD] and [MBGNBD] the waiting time of a customer alive at T is that of
// a gamma mixture of exponentials (a Pareto distribution of the second kind):
// (α+T)((1-q)^(-1/(r+x)) - 1). For any other model it is found by bisection of
// [Model.PNoPurchase] over the logarithm of the time, to 1e-9 of itself.
func NextPurchase(m Model, h History, q float64) float64 {
	if !(q > 0) {
		return 0
	}
	q = math.Min(q, 1)
	h = h.tame()
	switch m := m.(type) {
	case BGNBD:
		return m.core().wait(h, q)
	case MBGNBD:
		return m.core().wait(h, q)
	}
	bought := boughtBy(m, h)
	want := q * bought(never)
	if !(bought(never) > want) {
		return never
	}
	lo, hi := math.Log(1e-9), math.Log(never)
	if bought(math.Exp(lo)) >= want {
		return 0
	}
	for range 64 {
		mid := (lo + hi) / 2
		if bought(math.Exp(mid)) < want {
			lo = mid
		} else {
			hi = mid
		}
	}
	return math.Exp(hi)
}

// PAnotherPurchase is the chance that there is ever another purchase:
// 1 - [Model.PNoPurchase] for an endless time ahead. For [BGNBD] and [MBGNBD] it is
// PAlive, since those alive leave after a purchase only; for [ParetoNBD] less.
func PAnotherPurchase(m Model, h History) float64 {
	h = h.tame()
	switch m := m.(type) {
	case BGNBD, MBGNBD:
		return m.PAlive(h)
	case ParetoNBD:
		return m.PAlive(h) * (1 - m.usable().none(h, never, 1))
	}
	return 1 - m.PNoPurchase(h, never)
}

// boughtBy is the chance of a purchase in (T, T+t], up to a factor that does not depend on t.
func boughtBy(m Model, h History) func(t float64) float64 {
	if p, ok := m.(ParetoNBD); ok {
		// Of a customer alive at T: for one who hardly is, 1 - PNoPurchase has few digits left.
		p = p.usable()
		return func(t float64) float64 { return 1 - p.none(h, t, 1) }
	}
	return func(t float64) float64 { return 1 - m.PNoPurchase(h, t) }
}

// wait is the quantile of the waiting time of a customer alive at T.
func (m bg) wait(h History, q float64) float64 {
	return math.Min((m.alpha+h.T)*math.Expm1(-math.Log1p(-q)/(m.r+h.X)), never)
}
