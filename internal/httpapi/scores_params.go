package httpapi

import (
	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
)

// scoreParamsToAPI shows every parameter of the kind, but for those whose absence says something: a window that is all
// history, bounds that there are not.
func scoreParamsToAPI(kind score.Kind, p score.Params) (apigen.ScoreParams, error) {
	out := apigen.ScoreParams{WindowDays: set(p.WindowDays), Bands: set(p.Bands), HorizonMonths: set(p.HorizonMonths),
		HorizonDays: set(p.HorizonDays), Family: set(apigen.ScoreParamsFamily(p.Family)), ClvModel: set(p.CLVModel),
		HighValueShare: set(p.HighValueShare), PotentialShare: set(p.PotentialShare), MinPoints: p.MinPoints, MaxPoints: p.MaxPoints,
		Missing: set(apigen.ScoreParamsMissing(p.Missing)), RecalibrateDays: set(p.RecalibrateDays)}
	switch kind {
	case score.RFM:
		out.Weights = &apigen.RFMWeights{R: p.Weights.R, F: p.Weights.F, M: p.Weights.M}
	case score.CLV, score.Potential:
		if out.DiscountRateMonthly = &p.DiscountRate; p.CLVModel != "" { // they are that model's
			out.Family, out.HorizonMonths, out.DiscountRateMonthly = nil, nil, nil
		}
	case score.Rules:
		rules, err := eachOr(p.Rules, scoreRuleToAPI)
		if err != nil {
			return out, err
		}
		out.Rules = &rules
		out.Groups = ptr(each(p.Groups, func(g score.Group) apigen.ScoreRuleGroup {
			return apigen.ScoreRuleGroup{Key: g.Key, Min: g.Min, Max: g.Max}
		}))
	case score.AtRisk:
		out.ClvModel, out.ChurnModel = &p.Parts[0].Score, &p.Parts[1].Score
	case score.Composite:
		out.Parts = ptr(each(p.Parts, func(x score.Part) apigen.ScorePart {
			return apigen.ScorePart{Score: x.Score, Weight: &x.Weight, Min: x.Min, Max: x.Max, Inverted: set(x.Inverted)}
		}))
	}
	return out, nil
}

func scoreRuleToAPI(r score.Rule) (apigen.ScoreRule, error) {
	condition, err := conditionToAPI(r.Condition)
	return apigen.ScoreRule{Name: r.Name, Points: r.Points, Condition: or(condition, nil), HalfLifeDays: set(r.HalfLifeDays),
		Group: set(r.Group)}, err
}

func scoreParamsFromAPI(p apigen.ScoreParams) score.ParamsChange {
	return score.ParamsChange{WindowDays: given(p.WindowDays, same[int]), Weights: given(p.Weights, weightsFromAPI),
		Bands: given(p.Bands, same[int]), Family: given(p.Family, named[apigen.ScoreParamsFamily]),
		HorizonMonths: given(p.HorizonMonths, same[int]), DiscountRate: given(p.DiscountRateMonthly, same[float64]),
		HorizonDays: given(p.HorizonDays, same[int]), CLVModel: given(p.ClvModel, same[string]), ChurnModel: given(p.ChurnModel, same[string]),
		HighValueShare: given(p.HighValueShare, same[float64]), PotentialShare: given(p.PotentialShare, same[float64]),
		Rules: given(p.Rules, scoreRulesFromAPI), Groups: given(p.Groups, scoreGroupsFromAPI),
		MinPoints: given(p.MinPoints, same[float64]), MaxPoints: given(p.MaxPoints, same[float64]), Parts: given(p.Parts, scorePartsFromAPI),
		Missing:         given(p.Missing, func(m apigen.ScoreParamsMissing) score.Missing { return score.Missing(m) }),
		RecalibrateDays: given(p.RecalibrateDays, same[int])}
}

func scoreParamsPatchFromAPI(p apigen.ScoreParamsPatch) score.ParamsChange {
	return score.ParamsChange{WindowDays: field(p.WindowDays, same[int]), Weights: field(p.Weights, weightsFromAPI),
		Bands: field(p.Bands, same[int]), Family: field(p.Family, named[apigen.ScoreParamsPatchFamily]),
		HorizonMonths: field(p.HorizonMonths, same[int]), DiscountRate: field(p.DiscountRateMonthly, same[float64]),
		HorizonDays: field(p.HorizonDays, same[int]), CLVModel: field(p.ClvModel, same[string]), ChurnModel: field(p.ChurnModel, same[string]),
		HighValueShare: field(p.HighValueShare, same[float64]), PotentialShare: field(p.PotentialShare, same[float64]),
		Rules: field(p.Rules, scoreRulesFromAPI), Groups: field(p.Groups, scoreGroupsFromAPI),
		MinPoints: field(p.MinPoints, same[float64]), MaxPoints: field(p.MaxPoints, same[float64]), Parts: field(p.Parts, scorePartsFromAPI),
		Missing:         field(p.Missing, func(m apigen.ScoreParamsPatchMissing) score.Missing { return score.Missing(m) }),
		RecalibrateDays: field(p.RecalibrateDays, same[int])}
}

// given is a member that can be absent but not null.
func given[A, B any](p *A, f func(A) B) patch.Field[B] {
	if p == nil {
		return patch.Field[B]{}
	}
	return patch.Set(f(*p))
}

func named[T ~string](s T) string { return string(s) }

func weightsFromAPI(w apigen.RFMWeights) score.Weights { return score.Weights{R: w.R, F: w.F, M: w.M} }

func scoreRulesFromAPI(rules []apigen.ScoreRule) []score.RuleDraft {
	return each(rules, func(r apigen.ScoreRule) score.RuleDraft {
		return score.RuleDraft{Name: r.Name, Points: r.Points, Condition: r.Condition, HalfLifeDays: or(r.HalfLifeDays, 0), Group: or(r.Group, "")}
	})
}

func scoreGroupsFromAPI(groups []apigen.ScoreRuleGroup) []score.Group {
	return each(groups, func(g apigen.ScoreRuleGroup) score.Group {
		return score.Group{Key: g.Key, Min: g.Min, Max: g.Max}
	})
}

func scorePartsFromAPI(parts []apigen.ScorePart) []score.PartDraft {
	return each(parts, func(x apigen.ScorePart) score.PartDraft {
		return score.PartDraft{Part: score.Part{Score: x.Score, Min: x.Min, Max: x.Max, Inverted: or(x.Inverted, false)}, Weight: x.Weight}
	})
}
