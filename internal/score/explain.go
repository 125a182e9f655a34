package score

import (
	"fmt"
	"math"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/pkg/btyd"
)

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
		known, e = explainCLV(p, cal, in)
	case Churn:
		known, e = explainChurn(p, cal, in)
	case Potential:
		known, e = explainPotential(p, cal, label, in)
	case Rules:
		known, e = explainRules(p, in)
	case AtRisk:
		known, e = explainRisk(p, cal.Currency, in)
	default:
		known, e = explainComposite(p, cal, in)
	}
	for i := range e.Factors {
		e.Factors[i].name(kind, cal.Currency)
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
	name, total := segmentNames[label], float64(parts[0]+parts[1]+parts[2])/100
	return map[string]float64{"recency_days": in[inRecency], "purchase_days": in[inDays], "spend": in[inSpend]},
		Explanation{
			Text: fault.T(
				fmt.Sprintf("Days since the last purchase: %.0f (band %d); purchase days%s: %.0f (band %d); spend: %s (band %d); together %.2f of %d. Segment: %s.",
					in[inRecency], r, within.En, in[inDays], f, spend, m, total, p.Bands, name.En),
				fmt.Sprintf("距最近一次购买 %.0f 天（%d 档）；%s购买日 %.0f 个（%d 档），消费 %s（%d 档）；综合 %.2f（最高 %d）。分群：%s。",
					in[inRecency], r, within.Zh, in[inDays], f, spend, m, total, p.Bands, name.Zh)),
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

// behaved tells when a customer bought, as of the scoring day.
func behaved(in []float64) fault.Text {
	if in[inX] == 0 {
		return fault.T(fmt.Sprintf("Bought on one day, %.0f day(s) ago", in[inT]), fmt.Sprintf("仅有一个购买日，距今 %.0f 天", in[inT]))
	}
	return fault.T(fmt.Sprintf("Bought on %.0f days within %.0f, the last %.0f day(s) ago", in[inX]+1, in[inT], in[inT]-in[inTx]),
		fmt.Sprintf("%.0f 天内有 %.0f 个购买日，最近一次在 %.0f 天前", in[inT], in[inX]+1, in[inT]-in[inTx]))
}

func explainCLV(p Params, cal *Calibration, in []float64) (map[string]float64, Explanation) {
	known, currency := behaviour(in), cal.Currency
	months, scale, digits := float64(p.HorizonMonths), scaleOf(cal.Currency), money.Digits(cal.Currency)
	alive, value, did := alive(p, in, inCLVAlive), clvValue(in, scale), behaved(in)
	of := fault.Text{} // what the expected value of a purchase is taken from
	if in[inX] > 0 {
		known["mean_repeat_spend"] = in[inMean]
		did.En += fmt.Sprintf(", for %.*f %s on an average repeat day", digits, in[inMean], currency)
		did.Zh += fmt.Sprintf("，重复购买日平均消费 %.*f %s", digits, in[inMean], currency)
	} else if cal.Values != nil {
		of = fault.T(" (the average customer's)", "（客户平均水平）")
	}
	if alive != nil {
		did.En += fmt.Sprintf("; still a customer with %.1f %%", 100**alive)
		did.Zh += fmt.Sprintf("，仍是客户的概率为 %.1f%%", 100**alive)
	}
	return known, Explanation{
		Text: fault.T(
			fmt.Sprintf("%s. Expected within %d month(s): %.2f purchases at %.*f %s each%s; discounted by %.4g %% a month they count as %.2f, %.*f %s.",
				did.En, p.HorizonMonths, in[inExpected], digits, in[inValue], currency, of.En, 100*p.DiscountRate, in[inDiscounted], digits, value, currency),
			fmt.Sprintf("%s。预计 %d 个月内购买 %.2f 次，每次 %.*f %s%s；按每月 %.4g%% 折现相当于 %.2f 次，即 %.*f %s。",
				did.Zh, p.HorizonMonths, in[inExpected], digits, in[inValue], currency, of.Zh, 100*p.DiscountRate, in[inDiscounted], digits, value, currency)),
		Factors: []Factor{
			{Name: "expected_value", Value: &in[inValue]},
			{Name: "discounted_purchases", Value: &in[inDiscounted]},
			{Name: "expected_purchases", Value: &in[inExpected]},
			{Name: "p_alive", Value: alive},
			{Name: "horizon_months", Value: &months},
			{Name: "discount_rate_monthly", Value: &p.DiscountRate},
		}}
}

func explainChurn(p Params, cal *Calibration, in []float64) (map[string]float64, Explanation) {
	buys := in[inChurnAlive] * in[inIfAlive]
	days := float64(p.HorizonDays)
	alive, value, why := alive(p, in, inChurnAlive), churnValue(in), behaved(in)
	// The mean of a customer's own rate, given that they still are one (Fader, Hardie and Lee 2005): the crowd's and what this one did.
	rate := (cal.Purchases.Parameters["r"] + in[inX]) / (cal.Purchases.Parameters["alpha"] + in[inT]/btyd.Week)
	why.En += fmt.Sprintf("; as a customer, buys %.3g times a week on average", rate)
	why.Zh += fmt.Sprintf("；作为客户平均每周购买 %.3g 次", rate)
	if alive != nil {
		why.En += fmt.Sprintf("; still a customer with %.1f %%, and if so buys again within %d day(s) with %.1f %%", 100**alive, p.HorizonDays, 100*in[inIfAlive])
		why.Zh += fmt.Sprintf("；仍是客户的概率为 %.1f%%，若仍是客户，%d 天内再次购买的概率为 %.1f%%", 100**alive, p.HorizonDays, 100*in[inIfAlive])
	} else {
		why.En += fmt.Sprintf("; buys again within %d day(s) with %.1f %%", p.HorizonDays, 100*buys)
		why.Zh += fmt.Sprintf("；%d 天内再次购买的概率为 %.1f%%", p.HorizonDays, 100*buys)
	}
	return behaviour(in), Explanation{
		Text: fault.T(fmt.Sprintf("%s. Chance of no purchase: %.1f %%.", why.En, 100*value), fmt.Sprintf("%s。不购买的概率为 %.1f%%。", why.Zh, 100*value)),
		Factors: []Factor{
			{Name: "p_purchase", Value: &buys},
			{Name: "p_alive", Value: alive},
			{Name: "p_purchase_if_alive", Value: &in[inIfAlive]},
			{Name: "purchase_rate", Value: &rate},
			{Name: "horizon_days", Value: &days},
		}}
}

// inCurrency is the unit of factors that are money.
const inCurrency = "currency"

// factorNames are the factors of the kinds that give them names, and the units of their values.
var factorNames = map[string]struct {
	label fault.Text
	unit  string
}{
	"r":                     {fault.T("days since the last purchase", "距最近一次购买的天数"), "days"},
	"f":                     {fault.T("purchase days", "购买日数"), "days"},
	"m":                     {fault.T("spend", "消费金额"), inCurrency},
	"expected_value":        {fault.T("expected value of a purchase", "每次购买的期望金额"), inCurrency},
	"discounted_purchases":  {fault.T("expected purchases, discounted", "折现后的期望购买次数"), "purchases"},
	"expected_purchases":    {fault.T("expected purchases", "期望购买次数"), "purchases"},
	"p_alive":               {fault.T("chance of still being a customer", "仍是客户的概率"), "probability"},
	"p_purchase":            {fault.T("chance of a purchase", "再次购买的概率"), "probability"},
	"p_purchase_if_alive":   {fault.T("chance of a purchase if still a customer", "仍是客户时再次购买的概率"), "probability"},
	"purchase_rate":         {fault.T("average purchases a week while a customer", "作为客户期间平均每周购买次数"), "purchases_per_week"},
	"horizon_months":        {fault.T("months looked ahead", "预测月数"), "months"},
	"horizon_days":          {fault.T("days looked ahead", "预测天数"), "days"},
	"discount_rate_monthly": {fault.T("discount rate a month", "月折现率"), "share_per_month"},
	"value_so_far":          {fault.T("value so far", "已创造价值"), inCurrency},
	"growth_ratio":          {fault.T("value to come for each unit of value so far", "预计价值与已创造价值之比"), "ratio"},
	"clv":                   {fault.T("value to come", "预计未来价值"), inCurrency},
	"churn":                 {fault.T("chance of no purchase", "不购买的概率"), "probability"},
}

// name puts the label and the unit in place. Rules and parts of a composite have names of their own.
func (f *Factor) name(kind Kind, currency string) {
	f.Label = fault.T(f.Name, f.Name)
	if kind == Rules || kind == Composite {
		return
	}
	of := factorNames[f.Name]
	if f.Label, f.Unit = of.label, of.unit; f.Unit == inCurrency {
		f.Unit = currency
	}
}
