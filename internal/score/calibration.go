package score

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// Calibration is what a run learned from everyone. Time is in weeks, money in major units of Currency.
type Calibration struct {
	Currency    string
	Purchases   *PurchaseFit         // clv and churn
	Values      *ValueFit            // clv, unless too few spent anything on a repeat purchase
	Quantiles   map[string][]float64 // limits of bands, labels and scales (quantiles of type 7) per measure; empty without a score
	MeanSpend   float64              // of a purchase day over all customers, with Purchases where money is predicted
	Diagnostics []Diagnostic
}

// copied is the calibration with limits and diagnostics that can be changed without changing c's.
func (c *Calibration) copied() *Calibration {
	own := *c
	own.Quantiles = maps.Clone(c.Quantiles)
	if own.Quantiles == nil {
		own.Quantiles = map[string][]float64{}
	}
	own.Diagnostics = slices.Clone(c.Diagnostics)
	return &own
}

// PurchaseFit is the fitted model of purchases.
type PurchaseFit struct {
	Family          string
	Facts           string // digest of the histories that it was fitted to; empty in calibrations from before there was one
	Parameters      map[string]float64
	LogLikelihood   float64
	Customers       int64
	RepeatCustomers int64
	RepeatPurchases int64
	Converged       bool
}

// ValueFit is the fitted model of a purchase's value.
type ValueFit struct {
	Family        string
	Parameters    map[string]float64
	LogLikelihood float64
	Customers     int64 // repeat customers with an average repeat value above 0
	LeftOut       int64 // repeat customers whose repeat purchases were free
	Converged     bool
}

// Diagnostic is something worth knowing about a calibration; its code is stable.
type Diagnostic struct {
	Code   string
	Detail fault.Text
}

// fact is what a customer did up to the run's day; see gather.
type fact struct {
	x           int   // repeat purchase days
	tx, t       int   // days from the first purchase to the last one and to the run's day
	spend       int64 // on all purchase days, minor units
	repeatSpend int64 // without the first purchase day
}

// history in weeks, not rounded, as the published models have it.
func (f fact) history() btyd.History {
	return btyd.History{X: float64(f.x), Tx: float64(f.tx) / btyd.Week, T: float64(f.t) / btyd.Week}
}

// meanRepeat is the average spend of a repeat purchase day in major units; 0 without one.
func (f fact) meanRepeat(scale float64) float64 {
	if f.x == 0 {
		return 0
	}
	return float64(f.repeatSpend) / scale / float64(f.x)
}

// group is customers with the same x, tx, t and repeatSpend; spend is the sum over all of them.
type group struct {
	fact
	n int
}

// predictor scores customers of a clv or churn model.
type predictor struct {
	kind   Kind
	params Params
	scale  float64 // minor units in a major one
	model  btyd.Model
	// value is the model of a purchase's value; nil when it could not be fitted.
	value *btyd.GammaGamma
	// mean spend of a purchase day over all customers, in major units: where value has no mean of its own.
	mean float64
}

// fit calibrates a clv or churn model on everyone. groups are sorted by x, tx and t.
//
// same and alike save fits: alike is a calibration of the very same facts, its model of values included; both may be nil.
//
// Fails with ErrTooFewRepeatBuyers or ErrNoObservationTime.
func fit(ctx context.Context, kind Kind, params Params, currency string, scale float64, groups []group, same earlier, alike *Calibration) (predictor, Calibration, error) {
	p := predictor{kind: kind, params: params, scale: scale}
	cal := Calibration{Currency: currency, Quantiles: map[string][]float64{}, Diagnostics: []Diagnostic{}}
	var rows []btyd.Weighted
	var spendings []btyd.Spending
	var days, repeats, spend int64
	for _, g := range groups {
		h := g.history()
		if last := len(rows) - 1; last >= 0 && rows[last].History == h {
			rows[last].N += g.n
		} else {
			rows = append(rows, btyd.Weighted{History: h, N: g.n})
		}
		if g.x > 0 {
			spendings = append(spendings, btyd.Spending{X: h.X, Mean: g.meanRepeat(scale), N: g.n})
		}
		repeats += int64(g.n) * int64(g.x)
		days += int64(g.n) * int64(g.x+1)
		spend += g.spend
	}
	facts := digest(rows)
	var before *Calibration
	var err error
	if same != nil {
		if before, err = same(params.Family, facts); err != nil {
			return p, cal, err
		}
	}
	if cal.takeOver(before) {
		if p.model, err = btyd.Restore(cal.Purchases.Family, cal.Purchases.Parameters); err != nil {
			return p, cal, fmt.Errorf("restore the purchase model: %w", err)
		}
	} else if err := p.fitPurchases(ctx, rows, repeats, facts, &cal); err != nil {
		return p, cal, err
	}
	if !kind.worth() {
		return p, cal, nil
	}
	p.mean = float64(spend) / scale / float64(days)
	cal.MeanSpend = p.mean
	if alike != nil {
		cal.Values = alike.Values
		cal.Diagnostics = append(cal.Diagnostics, alike.about(valueModel)...)
		return p, cal, nil
	}
	gg, report, err := btyd.FitGammaGamma(ctx, spendings, btyd.Options{})
	switch {
	case errors.Is(err, btyd.ErrTooFewRepeatBuyers):
		cal.Diagnostics = append(cal.Diagnostics, Diagnostic{valueModel + "_not_fitted", fault.T(
			"fewer than 10 customers spent anything on a repeat purchase; each customer's own average per purchase day stands in for the expected value",
			"有消费金额的重复购买客户少于 10 个；以每个客户自己的购买日平均消费代替期望值")})
		return p, cal, nil
	case err != nil:
		return p, cal, fmt.Errorf("fit the value model: %w", err)
	}
	p.value = &gg
	cal.Values = &ValueFit{Family: "gamma_gamma", Parameters: map[string]float64{"p": gg.P, "q": gg.Q, "v": gg.V},
		LogLikelihood: report.LogLikelihood, Customers: int64(report.Customers), LeftOut: int64(report.Excluded),
		Converged: report.Converged}
	cal.diagnose(valueModel, fault.T("value model", "消费金额模型"), report)
	return p, cal, nil
}

// earlier is a calibration whose purchase model of a family was fitted to the histories of a digest; nil for none.
type earlier func(family, facts string) (*Calibration, error)

// What is said about the fits of the two models has codes that begin so.
const (
	purchaseModel = "purchase_model"
	valueModel    = "value_model"
)

// about are the diagnostics of one of the two models.
func (c *Calibration) about(model string) []Diagnostic {
	var found []Diagnostic
	for _, d := range c.Diagnostics {
		if strings.HasPrefix(d.Code, model) {
			found = append(found, d)
		}
	}
	return found
}

// fitPurchases fits the model of purchases to rows.
func (p *predictor) fitPurchases(ctx context.Context, rows []btyd.Weighted, repeats int64, facts string, cal *Calibration) error {
	m, report, err := btyd.Fit(ctx, p.params.Family, rows, btyd.Options{})
	switch {
	case errors.Is(err, btyd.ErrTooFewRepeatBuyers):
		return ErrTooFewRepeatBuyers
	case errors.Is(err, btyd.ErrNoObservationTime):
		return ErrNoObservationTime
	case err != nil:
		return fmt.Errorf("fit the purchase model: %w", err)
	}
	p.model = m
	cal.Purchases = &PurchaseFit{Family: p.params.Family, Facts: facts, Parameters: m.Params(), LogLikelihood: report.LogLikelihood,
		Customers: int64(report.Customers), RepeatCustomers: int64(report.RepeatBuyers), RepeatPurchases: repeats,
		Converged: report.Converged}
	cal.diagnose(purchaseModel, fault.T("purchase model", "购买模型"), report)
	return nil
}

// diagnose records a fit that did not end as it should.
func (c *Calibration) diagnose(prefix string, model fault.Text, r btyd.Report) {
	var d fault.Text
	switch r.Diagnosis {
	case btyd.Sound:
		return
	case btyd.Boundary:
		which := strings.Join(r.Boundary, ", ")
		d = fault.T(" runs to zero or infinity in "+which+": predictions are those of the limit, the parameters mean nothing",
			"的参数 "+which+" 趋于零或无穷：预测取其极限，参数本身没有意义")
	case btyd.NotConverged:
		d = fault.T(" was not found within the evaluations allowed; the best one met is used", "未在允许的计算次数内收敛；采用其中最好的结果")
	case btyd.Flat:
		d = fault.T(" fits, but the data do not determine every parameter", "已拟合，但数据不足以确定全部参数")
	case btyd.InfiniteMean:
		d = fault.T(" has no finite mean (q <= 1): the average spend per purchase day stands in for it",
			"没有有限的均值（q <= 1）：以购买日平均消费代替")
	default:
		d = fault.T(" ended as "+string(r.Diagnosis), "的结果为 "+string(r.Diagnosis))
	}
	c.Diagnostics = append(c.Diagnostics, Diagnostic{prefix + "_" + string(r.Diagnosis),
		fault.T("the "+model.En+d.En, model.Zh+d.Zh)})
}

// ask is what the model predicts of each customer.
func (p predictor) ask() btyd.Ask {
	if p.kind.worth() {
		return btyd.Ask{Horizon: float64(p.params.HorizonMonths) * btyd.WeeksPerMonth,
			Plan: btyd.Months(p.params.HorizonMonths, p.params.DiscountRate)}
	}
	return btyd.Ask{Horizon: float64(p.params.HorizonDays) / btyd.Week}
}

// Places of the inputs of clv and churn; the first three are a fact.
const (
	inX = iota
	inTx
	inT
	inMean       // clv: average spend of a repeat purchase day, major units
	inExpected   // clv: purchases within the horizon
	inDiscounted // clv: the same, each discounted
	inValue      // clv: expected value of a purchase, major units
	inCLVAlive   // clv: P(alive)

	inChurnAlive = 3 // churn: P(alive)
	inIfAlive    = 4 // churn: chance of a purchase within the horizon, if alive
)

// clv is a customer's value by what is predicted; in takes the inputs that explain derives everything from.
func (p predictor) clv(f fact, by btyd.Prediction, in []float64) float64 {
	in[inX], in[inTx], in[inT] = float64(f.x), float64(f.tx), float64(f.t)
	in[inMean], in[inExpected], in[inDiscounted] = f.meanRepeat(p.scale), by.Expected, by.Discounted
	in[inValue], in[inCLVAlive] = p.expectedValue(f), by.PAlive
	return clvValue(in, p.scale)
}

// expectedValue is what a purchase to come of the customer is worth, in major units.
func (p predictor) expectedValue(f fact) float64 {
	switch {
	case p.value == nil:
		return float64(f.spend) / p.scale / float64(f.x+1)
	case f.x == 0:
		return p.value.Expected(0, p.mean)
	default:
		return p.value.Expected(float64(f.x), f.meanRepeat(p.scale))
	}
}

// clvValue is the discounted value of the expected purchases, as the lifetimes package has it, rounded to the
// currency's minor unit: scale of them make a major one.
func clvValue(in []float64, scale float64) float64 {
	return math.Round(in[inValue]*in[inDiscounted]*scale) / scale
}

// churn is as clv.
func churn(f fact, by btyd.Prediction, in []float64) float64 {
	in[inX], in[inTx], in[inT], in[inChurnAlive] = float64(f.x), float64(f.tx), float64(f.t), by.PAlive
	if by.PAlive > 0 {
		in[inIfAlive] = min((1-by.PNoPurchase)/by.PAlive, 1)
	}
	return churnValue(in)
}

// churnValue is the chance of no purchase within the horizon, rounded to six decimals.
func churnValue(in []float64) float64 {
	return math.Round((1-in[inChurnAlive]*in[inIfAlive])*1e6) / 1e6
}
