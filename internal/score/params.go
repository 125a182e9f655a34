package score

import (
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// Params of a model; those of other kinds are zero.
type Params struct {
	WindowDays    int     // rfm: frequency and monetary count this many days back; 0 for all history
	Weights       Weights // rfm
	Family        string  // clv and churn: of the purchase model, see btyd.Families
	HorizonMonths int     // clv
	DiscountRate  float64 // clv: monthly, 0.01 for 1 %
	HorizonDays   int     // churn
	// value_at_risk: keys of the models whose scores are multiplied; empty for the first by key. A run has them filled in.
	CLVModel, ChurnModel string
}

// Weights of the three bands in the composite of rfm; at least one is above 0.
type Weights struct{ R, F, M float64 }

func (w Weights) sum() float64 { return w.R + w.F + w.M }

// ParamsChange is what a caller says about parameters; null takes the default.
type ParamsChange struct {
	WindowDays    patch.Field[int]
	Weights       patch.Field[Weights]
	Family        patch.Field[string]
	HorizonMonths patch.Field[int]
	DiscountRate  patch.Field[float64]
	HorizonDays   patch.Field[int]
	CLVModel      patch.Field[string]
	ChurnModel    patch.Field[string]
}

// defaults of the parameters; those that are not of kind are zero.
func defaults(kind Kind) Params {
	switch kind {
	case RFM:
		return Params{Weights: Weights{1, 1, 1}}
	case CLV:
		return Params{Family: btyd.FamilyMBGNBD, HorizonMonths: 12, DiscountRate: 0.01}
	case AtRisk:
		return Params{}
	default:
		// Of the families BG/NBD tells best how many will not buy: on the CDNOW log, 39 weeks ahead, its mean is 0.03 from
		// the truth, MBG/NBD's 0.06 and Pareto/NBD's 0.07, while all three rank customers about equally well.
		return Params{Family: btyd.FamilyBGNBD, HorizonDays: 90}
	}
}

// apply changes p, the parameters of a model of kind. What is not of that kind is recorded in v.
func (c ParamsChange) apply(kind Kind, p *Params, v *fault.Validator) {
	d := defaults(kind)
	member(v, kind, "window_days", &p.WindowDays, c.WindowDays, d.WindowDays, RFM)
	member(v, kind, "weights", &p.Weights, c.Weights, d.Weights, RFM)
	member(v, kind, "family", &p.Family, c.Family, d.Family, CLV, Churn)
	member(v, kind, "horizon_months", &p.HorizonMonths, c.HorizonMonths, d.HorizonMonths, CLV)
	member(v, kind, "discount_rate_monthly", &p.DiscountRate, c.DiscountRate, d.DiscountRate, CLV)
	member(v, kind, "horizon_days", &p.HorizonDays, c.HorizonDays, d.HorizonDays, Churn)
	member(v, kind, "clv_model", &p.CLVModel, c.CLVModel, d.CLVModel, AtRisk)
	member(v, kind, "churn_model", &p.ChurnModel, c.ChurnModel, d.ChurnModel, AtRisk)
	if kind == RFM {
		v.Check(p.Weights.sum() > 0, "/params/weights", "all_zero",
			fault.T("at least one weight must be above 0", "至少一个权重须大于 0"))
	}
}

func member[T any](v *fault.Validator, kind Kind, name string, stored *T, given patch.Field[T], otherwise T, of ...Kind) {
	if !given.Given {
		return
	}
	for _, k := range of {
		if k != kind {
			continue
		}
		if *stored = otherwise; given.Value != nil {
			*stored = *given.Value
		}
		return
	}
	v.Check(false, "/params/"+name, "not_of_kind",
		fault.T("models of kind "+string(kind)+" have no such parameter", "类型为 "+string(kind)+" 的模型没有该参数"))
}
