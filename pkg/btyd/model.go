package btyd

import "math"

// Families of models, as [Model.Family] names them.
const (
	FamilyBGNBD     = "bg_nbd"
	FamilyMBGNBD    = "mbg_nbd"
	FamilyParetoNBD = "pareto_nbd"
)

// Families lists what [Fit] and [Restore] accept.
func Families() []string { return []string{FamilyBGNBD, FamilyMBGNBD, FamilyParetoNBD} }

// Model is a fitted model of purchases and of customers' leaving.
//
// While alive, a customer buys at a constant rate, and the rates differ between
// customers by a gamma distribution; the families differ in how customers leave.
// Times have the unit of the histories the model was fitted to. Every method is
// pure, safe for concurrent use and returns a finite number; a time ahead that
// is negative or NaN counts as 0, and a history for which [History.Problem] is
// not empty is pulled into range. A model with parameters that [Restore]
// refuses, such as the zero value that comes with an error, is one of customers
// who have left and buy nothing. [Predict] refuses both instead.
type Model interface {
	// Family is one of [Families].
	Family() string
	// Params are the parameters by their published names in lower case.
	Params() map[string]float64
	// LogLikelihood is the natural logarithm of the density of the history.
	LogLikelihood(h History) float64
	// PAlive is the chance that the customer has not left by T.
	PAlive(h History) float64
	// Expected is the expected number of purchases in (T, T+t], given h.
	Expected(h History, t float64) float64
	// PNoPurchase is the chance of no purchase in (T, T+t], given h:
	// L(x, t_x, T+t) / L(x, t_x, T). It falls from 1 to 1 - PAlive as t grows.
	PNoPurchase(h History, t float64) float64
	// ExpectedNew is the expected number of repeat purchases in (0, t] of a
	// customer who has just bought for the first time.
	ExpectedNew(t float64) float64
	// PMF is the chance of exactly n repeat purchases in (0, t] of a customer
	// who has just bought for the first time; 0 for negative n.
	PMF(n int, t float64) float64
}

// Restore makes a model from its family and what [Model.Params] returned.
// Fails with [ErrUnknownFamily] or [ErrBadParameters].
func Restore(family string, params map[string]float64) (Model, error) {
	var m Model
	switch family {
	case FamilyBGNBD:
		m = BGNBD{params["r"], params["alpha"], params["a"], params["b"]}
	case FamilyMBGNBD:
		m = MBGNBD{params["r"], params["alpha"], params["a"], params["b"]}
	case FamilyParetoNBD:
		m = ParetoNBD{params["r"], params["alpha"], params["s"], params["beta"]}
	default:
		return nil, ErrUnknownFamily
	}
	return m, checkParams(m)
}

// A parameter within these limits cannot make a formula overflow. Those in units of time have wider ones: what a fit finds
// is within a factor 1e5 of the mean T, which is from minT to maxT.
const (
	paramMin, paramMax = 1e-9, 1e12
	scaleMin, scaleMax = 1e-5 * minT, 1e5 * maxT
)

func checkParams(m Model) error {
	if m == nil {
		return ErrBadParameters
	}
	for name, v := range m.Params() {
		least, most := paramMin, paramMax
		if name == "alpha" || name == "beta" {
			least, most = scaleMin, scaleMax
		}
		if !(v >= least && v <= most) {
			return ErrBadParameters
		}
	}
	return nil
}

// shaped and scaled report whether parameters are such as [Restore] takes.
func shaped(v, w float64) bool {
	return v >= paramMin && v <= paramMax && w >= paramMin && w <= paramMax
}
func scaled(v float64) bool { return v >= scaleMin && v <= scaleMax }

// WeeksPerMonth is the length of a month that the lifetimes package uses,
// and the published lifetime values with it.
const WeeksPerMonth = 4.345

// Plan is a series of equal periods ahead of T and how the later ones are
// discounted.
type Plan struct {
	Steps int     // number of periods
	Step  float64 // length of a period in the model's unit of time
	Rate  float64 // discount rate a period, 0.01 for 1 %; above -1
}

// Months is a plan of n months for a model in weeks.
func Months(n int, monthlyRate float64) Plan { return Plan{n, WeeksPerMonth, monthlyRate} }

func (p Plan) valid() bool {
	return p.Steps >= 0 && p.Steps <= 1e6 && finite(p.Step, p.Rate) && p.Step >= 0 && p.Step < math.MaxFloat32 && p.Rate > -1
}

// discount sums the purchases of each period, from the running total of
// expected purchases, at (1+rate)^-k for the k-th.
func (p Plan) discount(expected func(t float64) float64) float64 {
	if !p.valid() {
		return 0
	}
	sum, before, factor := 0.0, 0.0, 1.0
	for k := 1; k <= p.Steps; k++ {
		factor /= 1 + p.Rate
		now := expected(p.Step * float64(k))
		if now > before {
			sum += (now - before) * factor
			before = now
		}
	}
	return sum
}

// Discounted is the expected number of purchases during the plan, each
// discounted from the end of its period:
// Σ_k (E[X(k·step)] - E[X((k-1)·step)]) / (1+rate)^k. A plan that makes no
// sense (negative step, rate of -1 or less) gives 0.
func Discounted(m Model, h History, p Plan) float64 {
	return p.discount(func(t float64) float64 { return m.Expected(h, t) })
}

// CLV is the discounted value of the purchases expected during the plan, in
// the unit of value, which is the expected value of one purchase (see
// [GammaGamma.Expected]). With [Months] it is the customer lifetime value as the
// lifetimes package computes it.
func CLV(m Model, h History, value float64, p Plan) float64 {
	return value * Discounted(m, h, p)
}
