package btyd

import (
	"context"
	"fmt"
	"math"
)

// Options of a fit; the zero value is good.
type Options struct {
	// MaxEvaluations of the likelihood and its derivatives; 500 when 0. A fit
	// on ordinary data takes 10 to 30.
	MaxEvaluations int
	// MinRepeatBuyers is the number of customers with a repeat purchase below
	// which no fit is tried; 10 when 0.
	MinRepeatBuyers int
}

func (o Options) withDefaults() Options {
	if o.MaxEvaluations <= 0 {
		o.MaxEvaluations = 500
	}
	if o.MinRepeatBuyers <= 0 {
		o.MinRepeatBuyers = 10
	}
	return o
}

// Diagnosis is how a fit ended; a stable code.
type Diagnosis string

const (
	// Sound: the likelihood has a maximum and the fit is there.
	Sound Diagnosis = "ok"
	// Boundary: the likelihood rises as the parameters in [Report.Boundary] run
	// to zero or infinity, for instance because nobody seems to leave or all
	// customers are alike. Predictions are finite and those of the limit;
	// the parameters themselves mean nothing.
	Boundary Diagnosis = "boundary"
	// NotConverged: the evaluations were used up; the model is the best one met.
	NotConverged Diagnosis = "not_converged"
	// Flat: at a maximum that does not determine every parameter.
	Flat Diagnosis = "flat"
	// InfiniteMean: the Gamma-Gamma model has q <= 1, so that the mean value over
	// all customers does not exist; see [GammaGamma.Expected].
	InfiniteMean Diagnosis = "infinite_mean"
)

// Report is what there is to know about a fit besides its parameters.
type Report struct {
	Family        string // as [Model.Family]; "gamma_gamma"
	LogLikelihood float64
	Customers     int                // that the fit is about
	RepeatBuyers  int                // of them with a repeat purchase
	Excluded      int                // customers left out: only of Gamma-Gamma, see [FitGammaGamma]
	Distinct      int                // different histories among them
	Evaluations   int                // of the likelihood
	Converged     bool               // the search ended by itself, also when on a boundary
	Diagnosis     Diagnosis          // how it ended
	Boundary      []string           // parameters that ran to zero or infinity, in the model's order
	StdErr        map[string]float64 // standard errors by parameter; nil where the curvature does not give them
}

// FitBGNBD estimates a BG/NBD model by maximum likelihood.
//
// Fails with [ErrTooFewRepeatBuyers], [ErrNoObservationTime], a [RowError], or
// the context's error. Anything else ends with a model, and a [Diagnosis] that
// may be other than [Sound].
func FitBGNBD(ctx context.Context, rows []Weighted, o Options) (BGNBD, Report, error) {
	t, report, err := fitBG(ctx, rows, o, 0, FamilyBGNBD)
	return BGNBD{t[0], t[1], t[2], t[3]}, report, err
}

// FitMBGNBD estimates an MBG/NBD model; see [FitBGNBD].
func FitMBGNBD(ctx context.Context, rows []Weighted, o Options) (MBGNBD, Report, error) {
	t, report, err := fitBG(ctx, rows, o, 1, FamilyMBGNBD)
	return MBGNBD{t[0], t[1], t[2], t[3]}, report, err
}

// FitParetoNBD estimates a Pareto/NBD model; see [FitBGNBD]. It takes some ten
// times as long as the others.
func FitParetoNBD(ctx context.Context, rows []Weighted, o Options) (ParetoNBD, Report, error) {
	o = o.withDefaults()
	c, report, err := newCohort(rows, o, FamilyParetoNBD)
	if err != nil {
		return ParetoNBD{}, report, err
	}
	starts := [][maxParams]float64{{0.7, 0.3, 0.6, 0.4}, {1, 1, 0.1, 1}, {3, 1, 3, 3}}
	best, err := search(ctx, paretoObjective{c}, starts, o, &report)
	if err != nil {
		return ParetoNBD{}, report, err
	}
	c.finish(&report, best, [maxParams]string{"r", "alpha", "s", "beta"}, [maxParams]float64{1, c.unit, 1, c.unit})
	t := best.theta
	return ParetoNBD{t[0], t[1] * c.unit, t[2], t[3] * c.unit}, report, nil
}

// Fit estimates a model of the named family; see [FitBGNBD]. Fails with
// [ErrUnknownFamily] for another name.
func Fit(ctx context.Context, family string, rows []Weighted, o Options) (Model, Report, error) {
	var m Model
	var report Report
	var err error
	switch family {
	case FamilyBGNBD:
		m, report, err = FitBGNBD(ctx, rows, o)
	case FamilyMBGNBD:
		m, report, err = FitMBGNBD(ctx, rows, o)
	case FamilyParetoNBD:
		m, report, err = FitParetoNBD(ctx, rows, o)
	default:
		err = ErrUnknownFamily
	}
	if err != nil {
		return nil, report, err
	}
	return m, report, nil
}

func fitBG(ctx context.Context, rows []Weighted, o Options, k float64, family string) ([maxParams]float64, Report, error) {
	o = o.withDefaults()
	c, report, err := newCohort(rows, o, family)
	if err != nil {
		return [maxParams]float64{}, report, err
	}
	starts := [][maxParams]float64{{0.5, 0.2, 1, 2}, {1, 1, 0.2, 4}, {3, 1, 3, 10}}
	best, err := search(ctx, bgObjective{c, k}, starts, o, &report)
	if err != nil {
		return [maxParams]float64{}, report, err
	}
	c.finish(&report, best, [maxParams]string{"r", "alpha", "a", "b"}, [maxParams]float64{1, c.unit, 1, 1})
	best.theta[1] *= c.unit
	return best.theta, report, nil
}

// search climbs from the first start and, unless that ends at a maximum
// inside the limits, from the others too; the highest end wins.
func search(ctx context.Context, o objective, starts [][maxParams]float64, opt Options, report *Report) (optimum, error) {
	var best optimum
	for i, start := range starts {
		end, err := climb(ctx, o, start, &report.Evaluations, opt.MaxEvaluations)
		if err != nil {
			return optimum{}, fmt.Errorf("btyd: fit %s: %w", report.Family, err)
		}
		if i == 0 || end.at.f > best.at.f+1e-10 {
			best = end
		}
		if end.converged && len(edges(end, o.size())) == 0 || report.Evaluations >= opt.MaxEvaluations {
			break
		}
	}
	return best, nil
}

func edges(o optimum, n int) []int {
	var out []int
	for i := range n {
		if math.Abs(math.Log(o.theta[i])) > lnEdge {
			out = append(out, i)
		}
	}
	return out
}

// describe fills in what the shape of the optimum says; factors turn the
// parameters of the search into those of the model.
func (r *Report) describe(o optimum, n int, names [maxParams]string, factors [maxParams]float64) {
	r.Converged = o.converged
	for _, i := range edges(o, n) {
		r.Boundary = append(r.Boundary, names[i])
	}
	if len(r.Boundary) == 0 {
		if se := o.stdErr(n, float64(r.Customers)); se != nil {
			r.StdErr = map[string]float64{}
			for i, v := range se {
				r.StdErr[names[i]] = v * factors[i]
			}
		}
	}
	switch {
	case !o.converged:
		r.Diagnosis = NotConverged
	case len(r.Boundary) > 0:
		r.Diagnosis = Boundary
	case r.StdErr == nil:
		r.Diagnosis = Flat
	default:
		r.Diagnosis = Sound
	}
}
