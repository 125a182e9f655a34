package score

import (
	"fmt"
	"math"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// unit of a kind's values.
func unit(kind Kind, currency string) string {
	return condition.ScoreUnit(string(kind), currency)
}

// scaleOf is how many minor units make a major one.
func scaleOf(currency string) float64 { return math.Pow10(money.Digits(currency)) }

// inputsOf is how many inputs a score of these parameters keeps: its own, and those that are given.
func inputsOf(kind Kind, p Params) int {
	switch own := kind.inputs(); {
	case own > 0:
		return own
	case kind == Rules:
		return 2 * len(p.Rules)
	}
	return 2 * len(p.Parts)
}

// explain derives what was known of a customer, and why the score is what it is, from the inputs stored with it, the
// parameters and the calibration. The factors reproduce the value exactly: for rfm, rules and composite the contributions
// add up to it, for clv and potential it is the rounded product of expected_value and discounted_purchases, for churn it is
// 1 - p_purchase rounded, for value_at_risk the rounded product of clv and churn.
func explain(kind Kind, p Params, cal *Calibration, label string, in []float64) (map[string]float64, Explanation, error) {
	if len(in) != inputsOf(kind, p) {
		return nil, Explanation{}, fmt.Errorf("a score of kind %s has %d inputs instead of %d", kind, len(in), inputsOf(kind, p))
	}
	if cal.Purchases != nil { // which a model may have left open
		p.Family = cal.Purchases.Family
	}
	var known map[string]float64
	var e Explanation
	switch kind {
	case RFM:
		known, e = explainRFM(p, cal.Currency, label, in)
	case CLV:
		known, e = explainCLV(p, cal.Currency, in)
	case Churn:
		known, e = explainChurn(p, in)
	case Potential:
		known, e = explainPotential(p, cal.Currency, label, in)
	case Rules:
		known, e = explainRules(p, in)
	case AtRisk:
		known, e = explainRisk(p, cal.Currency, in)
	default:
		known, e = explainComposite(p, cal, in)
	}
	return known, e, nil
}

func explainRFM(p Params, currency, label string, in []float64) (map[string]float64, Explanation) {
	r, f, m := int(in[inR]), int(in[inF]), int(in[inM])
	parts := shares([]float64{p.Weights.R, p.Weights.F, p.Weights.M}, in[inR:inM+1])
	factor := func(name string, value float64, band int, weight float64, part int) Factor {
		c := float64(part) / 100
		return Factor{Name: name, Value: &value, Band: &band, Weight: &weight, Contribution: &c}
	}
	within := fault.Text{}
	if p.WindowDays > 0 {
		within = fault.T(fmt.Sprintf(" within %d days", p.WindowDays), fmt.Sprintf("%d 天内", p.WindowDays))
	}
	spend := fmt.Sprintf("%.*f %s", money.Digits(currency), in[inSpend], currency)
	name := segmentNames[label]
	return map[string]float64{"recency_days": in[inRecency], "purchase_days": in[inDays], "spend": in[inSpend]},
		Explanation{
			Text: fault.T(
				fmt.Sprintf("Days since the last purchase: %.0f (band %d); purchase days%s: %.0f (band %d); spend: %s (band %d). Segment: %s.",
					in[inRecency], r, within.En, in[inDays], f, spend, m, name.En),
				fmt.Sprintf("距最近一次购买 %.0f 天（%d 档）；%s %.0f 个购买日（%d 档），消费 %s（%d 档）。分群：%s。",
					in[inRecency], r, within.Zh, in[inDays], f, spend, m, name.Zh)),
			Factors: []Factor{
				factor("r", in[inRecency], r, p.Weights.R, parts[0]),
				factor("f", in[inDays], f, p.Weights.F, parts[1]),
				factor("m", in[inSpend], m, p.Weights.M, parts[2]),
			}}
}

// behaviour is the part of the inputs that clv and churn share.
func behaviour(in []float64) map[string]float64 {
	return map[string]float64{"repeat_purchase_days": in[inX], "weeks_to_last_purchase": in[inTx] / btyd.Week,
		"weeks_observed": in[inT] / btyd.Week}
}

// alive is P(alive), or nil where the family takes it for granted: BG/NBD has 1 for everyone who bought once.
func alive(p Params, in []float64, at int) *float64 {
	if p.Family == btyd.FamilyBGNBD && in[inX] == 0 {
		return nil
	}
	return &in[at]
}

func explainCLV(p Params, currency string, in []float64) (map[string]float64, Explanation) {
	known := behaviour(in)
	if in[inX] > 0 {
		known["mean_repeat_spend"] = in[inMean]
	}
	months := float64(p.HorizonMonths)
	value := clvValue(in, scaleOf(currency))
	digits := money.Digits(currency)
	return known, Explanation{
		Text: fault.T(
			fmt.Sprintf("Purchases expected within %d month(s): %.2f at %.*f %s each; discounted by %.4g %% a month, %.*f %s.",
				p.HorizonMonths, in[inExpected], digits, in[inValue], currency, 100*p.DiscountRate, digits, value, currency),
			fmt.Sprintf("预计 %d 个月内购买 %.2f 次，每次 %.*f %s；按每月 %.4g%% 折现为 %.*f %s。",
				p.HorizonMonths, in[inExpected], digits, in[inValue], currency, 100*p.DiscountRate, digits, value, currency)),
		Factors: []Factor{
			{Name: "expected_value", Value: &in[inValue]},
			{Name: "discounted_purchases", Value: &in[inDiscounted]},
			{Name: "expected_purchases", Value: &in[inExpected]},
			{Name: "p_alive", Value: alive(p, in, inCLVAlive)},
			{Name: "horizon_months", Value: &months},
			{Name: "discount_rate_monthly", Value: &p.DiscountRate},
		}}
}

func explainChurn(p Params, in []float64) (map[string]float64, Explanation) {
	buys := in[inChurnAlive] * in[inIfAlive]
	days := float64(p.HorizonDays)
	value := churnValue(in)
	return behaviour(in), Explanation{
		Text: fault.T(
			fmt.Sprintf("Repeat purchase days: %.0f; days since the last purchase: %.0f; chance of no purchase within %d day(s): %.1f %%.",
				in[inX], in[inT]-in[inTx], p.HorizonDays, 100*value),
			fmt.Sprintf("首次之后 %.0f 个购买日，距最近一次购买 %.0f 天，未来 %d 天内不购买的概率为 %.1f%%。",
				in[inX], in[inT]-in[inTx], p.HorizonDays, 100*value)),
		Factors: []Factor{
			{Name: "p_purchase", Value: &buys},
			{Name: "p_alive", Value: alive(p, in, inChurnAlive)},
			{Name: "p_purchase_if_alive", Value: &in[inIfAlive]},
			{Name: "horizon_days", Value: &days},
		}}
}
