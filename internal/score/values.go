package score

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// The value of a purchase is Gamma-Gamma, one model for all customers, or one for persons and one for companies. Where the two
// differ widely in what they spend, one model of both has to have a very long tail, in the worst case without a mean, and what a
// single purchase tells of a customer counts for too much.

// leastOfKind is how many repeat customers with an average repeat value above 0 it takes of each kind to tell them apart.
const leastOfKind = 100

// kindNames are those of the calibrations' models, persons first.
var kindNames = [2]struct {
	key  string
	name fault.Text
}{{"person", fault.T("value model of persons", "个人客户的消费金额模型")}, {"company", fault.T("value model of companies", "企业客户的消费金额模型")}}

// fitValues fits the models of a purchase's value to everyone.
func (c *Calibration) fitValues(ctx context.Context, scale float64, groups []group) error {
	var of [2][]group
	for _, g := range groups {
		kind := 0
		if g.company {
			kind = 1
		}
		of[kind] = append(of[kind], g)
	}
	one, report, err := fitValue(ctx, scale, groups)
	if err != nil {
		return err
	}
	c.MeanSpend = meanSpend(scale, groups)
	if c.Values = one; one == nil {
		c.Diagnostics = append(c.Diagnostics, Diagnostic{valueModel + "_not_fitted", fault.T(
			"fewer than 10 customers spent anything on a repeat purchase; each customer's own average per purchase day stands in for the expected value",
			"有消费金额的重复购买客户少于 10 个；以每个客户自己的购买日平均消费代替期望值")})
		return nil
	}
	apart, reports, err := fitApart(ctx, scale, of)
	if err != nil {
		return err
	}
	if !tellApart(one, apart) {
		c.diagnose(valueModel, fault.T("value model", "消费金额模型"), report)
		return nil
	}
	c.ByKind = map[string]*ValueFit{}
	for i, kind := range kindNames {
		apart[i].MeanSpend = meanSpend(scale, of[i])
		c.ByKind[kind.key] = apart[i]
		c.diagnose(valueModel, kind.name, reports[i])
	}
	c.Diagnostics = append(c.Diagnostics, Diagnostic{valueModel + "_by_kind", fault.T(
		"persons and companies spend so differently that each kind has a value model of its own",
		"个人客户与企业客户的消费差异明显，分别拟合消费金额模型")})
	return nil
}

// fitApart fits a model to each kind; none of both where one has too few customers.
func fitApart(ctx context.Context, scale float64, of [2][]group) (apart [2]*ValueFit, reports [2]btyd.Report, err error) {
	for _, groups := range of {
		n := 0
		for _, g := range groups {
			if g.x > 0 && g.repeatSpend > 0 {
				n += g.n
			}
		}
		if n < leastOfKind {
			return apart, reports, nil
		}
	}
	for i, groups := range of {
		if apart[i], reports[i], err = fitValue(ctx, scale, groups); err != nil {
			return apart, reports, err
		}
	}
	return apart, reports, nil
}

// tellApart reports whether two models say more than one: by the Bayesian information criterion, which takes three parameters
// more to be worth it only where the likelihood grows by enough.
func tellApart(one *ValueFit, apart [2]*ValueFit) bool {
	if apart[0] == nil || apart[1] == nil {
		return false
	}
	return apart[0].LogLikelihood+apart[1].LogLikelihood-one.LogLikelihood > 1.5*math.Log(float64(one.Customers))
}

// fitValue fits one model; nil where too few spent anything on a repeat purchase.
func fitValue(ctx context.Context, scale float64, groups []group) (*ValueFit, btyd.Report, error) {
	var spendings []btyd.Spending
	for _, g := range groups {
		if g.x > 0 {
			spendings = append(spendings, btyd.Spending{X: float64(g.x), Mean: g.meanRepeat(scale), N: g.n})
		}
	}
	m, report, err := btyd.FitGammaGamma(ctx, spendings, btyd.Options{})
	switch {
	case errors.Is(err, btyd.ErrTooFewRepeatBuyers):
		return nil, report, nil
	case err != nil:
		return nil, report, fmt.Errorf("fit the value model: %w", err)
	}
	return &ValueFit{Family: "gamma_gamma", Parameters: map[string]float64{"p": m.P, "q": m.Q, "v": m.V},
		LogLikelihood: report.LogLikelihood, Customers: int64(report.Customers), LeftOut: int64(report.Excluded),
		Converged: report.Converged}, report, nil
}

// meanSpend is that of a purchase day, in major units.
func meanSpend(scale float64, groups []group) float64 {
	var days, spend int64
	for _, g := range groups {
		days += int64(g.n) * int64(g.x+1)
		spend += g.spend
	}
	return float64(spend) / scale / float64(days)
}

// restoreValues takes the models of a purchase's value from a calibration.
func (p *predictor) restoreValues(cal *Calibration) {
	for i, kind := range kindNames {
		v, mean := cal.Values, cal.MeanSpend
		if own := cal.ByKind[kind.key]; own != nil {
			v, mean = own, own.MeanSpend
		}
		p.worth[i] = worth{mean: mean}
		if v != nil {
			p.worth[i].model = &btyd.GammaGamma{P: v.Parameters["p"], Q: v.Parameters["q"], V: v.Parameters["v"]}
		}
	}
}
