package score

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
)

// Explanations of the kinds whose contributions add up, and of potential.

func hundredths(n int) *float64 {
	v := float64(n) / 100
	return &v
}

// signed writes an amount of points with its sign and without needless zeros.
func signed(n int) string { return fmt.Sprintf("%+.4g", float64(n)/100) }

func explainRules(p Params, in []float64) (map[string]float64, Explanation) {
	total, points, contributions := p.rulePoints(in)
	known := map[string]float64{}
	e := Explanation{Factors: make([]Factor, len(p.Rules))}
	var gave, gaveZh, not []string
	for i, r := range p.Rules {
		holds := in[2*i] != 0
		known[r.Name] = in[2*i]
		f := Factor{Name: r.Name, Value: &in[2*i], Condition: r.Condition.Text(), Holds: &holds, Group: r.Group,
			Points: hundredths(points[i]), Contribution: hundredths(contributions[i])}
		if r.HalfLifeDays > 0 && in[2*i+1] != noAge {
			f.AgeDays = &in[2*i+1]
			known[r.Name+".age_days"] = in[2*i+1]
		}
		e.Factors[i] = f
		if holds {
			name := r.Name + " " + signed(contributions[i])
			en, zh := r.why(points[i], contributions[i], f.AgeDays)
			gave, gaveZh = append(gave, name+en), append(gaveZh, name+zh)
		} else {
			not = append(not, r.Name)
		}
	}
	en, zh := fmt.Sprintf("Points: %.2f", float64(total)/100), fmt.Sprintf("得分 %.2f", float64(total)/100)
	if len(gave) > 0 {
		en, zh = en+" = "+strings.Join(gave, ", "), zh+"："+strings.Join(gaveZh, "，")
	}
	if len(not) > 0 {
		en, zh = en+"; not fulfilled: "+strings.Join(not, ", "), zh+"；未满足："+strings.Join(not, "，")
	}
	e.Text = fault.T(en+".", zh+"。")
	return known, e
}

// why a rule that holds contributes other points than it gives: facts grow old, and bounds hold the sum.
func (r Rule) why(points, contribution int, age *float64) (en, zh string) {
	var ens, zhs []string
	if age != nil && points != int(math.Round(r.Points*100)) {
		ens = append(ens, fmt.Sprintf("%s halved every %d days, %.0f day(s) old", signed(int(math.Round(r.Points*100))), r.HalfLifeDays, *age))
		zhs = append(zhs, fmt.Sprintf("原为 %s，每 %d 天减半，已过 %.0f 天", signed(int(math.Round(r.Points*100))), r.HalfLifeDays, *age))
	}
	if contribution != points {
		ens = append(ens, signed(points)+" before the bounds")
		zhs = append(zhs, "上下限前为 "+signed(points))
	}
	if len(ens) == 0 {
		return "", ""
	}
	return " (" + strings.Join(ens, "; ") + ")", "（" + strings.Join(zhs, "；") + "）"
}

func explainComposite(p Params, cal *Calibration, in []float64) (map[string]float64, Explanation) {
	b := newBlend(p, cal)
	b.mix(in)
	total, contributions := weighted(b.weights, b.normalised), shares(b.weights, b.normalised)
	known := map[string]float64{}
	e := Explanation{Factors: make([]Factor, len(p.Parts))}
	var en, zh []string
	for i, part := range p.Parts {
		f := Factor{Name: part.Score, Weight: &b.weights[i], Min: &b.least[i], Max: &b.most[i], Inverted: part.Inverted, Contribution: hundredths(contributions[i])}
		if in[2*i] != 0 {
			known[part.Score] = in[2*i+1]
			f.Value, f.Normalised = &in[2*i+1], &b.normalised[i]
			value, less := strconv.FormatFloat(in[2*i+1], 'f', -1, 64), fault.Text{}
			if part.Inverted {
				less = fault.T(", less is better", "，越低越好")
			}
			en = append(en, fmt.Sprintf("%s %s%s: %.4g of 100 (%s)", part.Score, value, less.En, b.normalised[i], signed(contributions[i])))
			zh = append(zh, fmt.Sprintf("%s %s%s：%.4g/100（%s）", part.Score, value, less.Zh, b.normalised[i], signed(contributions[i])))
		} else {
			en, zh = append(en, part.Score+" without a score"), append(zh, part.Score+" 无评分")
		}
		e.Factors[i] = f
	}
	e.Text = fault.T(fmt.Sprintf("%.2f of 100: %s.", float64(total)/100, strings.Join(en, "; ")),
		fmt.Sprintf("综合 %.2f 分（满分 100）：%s。", float64(total)/100, strings.Join(zh, "；")))
	return known, e
}

// labelNames are the labels of potential for people.
var labelNames = map[string]fault.Text{
	highValue:     fault.T("high value", "高价值客户"),
	potentialOf:   fault.T("potential", "潜力客户"),
	ordinaryValue: fault.T("ordinary", "普通客户"),
}

func explainPotential(p Params, cal *Calibration, label string, in []float64) (map[string]float64, Explanation) {
	currency := cal.Currency
	known, e := explainCLV(p, cal, in[:inSoFar])
	known["value_so_far"] = in[inSoFar]
	toCome := clvValue(in, scaleOf(currency))
	g := growth(in[inSoFar], toCome)
	digits, name := money.Digits(currency), labelNames[label]
	e.Text = fault.T(
		fmt.Sprintf("Value so far: %.*f %s; to come: %.*f %s. %s Class: %s.", digits, in[inSoFar], currency, digits, toCome, currency, e.Text.En, name.En),
		fmt.Sprintf("已创造价值 %.*f %s，预计还将带来 %.*f %s。%s类别：%s。", digits, in[inSoFar], currency, digits, toCome, currency, e.Text.Zh, name.Zh))
	e.Factors = append(e.Factors, Factor{Name: "value_so_far", Value: &in[inSoFar]}, Factor{Name: "growth_ratio", Value: g})
	return known, e
}
