package score

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/pkg/btyd"
)

// Params of a model; those of other kinds are zero.
type Params struct {
	WindowDays     int     // rfm: frequency and monetary count this many days back; 0 for all history
	Weights        Weights // rfm
	Bands          int     // rfm: 3 to 10
	Family         string  // clv, churn and potential: of the purchase model, see btyd.Families
	HorizonMonths  int     // clv and potential
	DiscountRate   float64 // clv and potential: monthly, 0.01 for 1 %
	HorizonDays    int     // churn
	CLVModel       string  // potential: key of the clv model whose calibration and parameters it takes; empty for its own
	HighValueShare float64 // potential: the share of buyers with the highest value so far that is high_value
	PotentialShare float64 // potential: the share of buyers with the highest value to come that is potential
	Rules          []Rule
	Groups         []Group  // rules
	MinPoints      *float64 // rules: of all together
	MaxPoints      *float64 // rules: of all together
	Parts          []Part   // composite; of value_at_risk the clv and the churn model, by their keys alone
	Missing        Missing  // composite

	RecalibrateDays int // nightly runs learn anew when the calibration is so many days old
}

// Weights of the three bands in the composite of rfm; at least one is above 0.
type Weights struct{ R, F, M float64 }

func (w Weights) sum() float64 { return w.R + w.F + w.M }

// Rule gives points to customers for whom its condition holds.
type Rule struct {
	Name         string
	Points       float64 // may be negative; at most two decimals
	Condition    filter.Node
	HalfLifeDays int    // points halve with every so many days since the newest fact that the condition counts; 0 for no decay
	Group        string // key of a group; empty for none
}

// Group bounds what its rules give together.
type Group struct {
	Key string
	Min *float64
	Max *float64
}

// Part is another model's score in a composite.
type Part struct {
	Score    string // key of the model
	Weight   float64
	Min      *float64 // the value that counts 0; nil for the 5 % quantile of the part's scores
	Max      *float64 // the value that counts 100; nil for the 95 % quantile
	Inverted bool     // lower values are better
}

// Missing is what a composite does about a part for which a customer has no score.
type Missing string

// What can be done.
const (
	Skip    Missing = "skip"     // the others' weights share its weight
	Zero    Missing = "zero"     // it counts 0
	NoScore Missing = "no_score" // the customer has no composite either
)

// ParamsChange is what a caller says about parameters; null takes the default.
type ParamsChange struct {
	WindowDays      patch.Field[int]
	Weights         patch.Field[Weights]
	Bands           patch.Field[int]
	Family          patch.Field[string]
	HorizonMonths   patch.Field[int]
	DiscountRate    patch.Field[float64]
	HorizonDays     patch.Field[int]
	CLVModel        patch.Field[string]
	ChurnModel      patch.Field[string]
	HighValueShare  patch.Field[float64]
	PotentialShare  patch.Field[float64]
	Rules           patch.Field[[]RuleDraft]
	Groups          patch.Field[[]Group]
	MinPoints       patch.Field[float64]
	MaxPoints       patch.Field[float64]
	Parts           patch.Field[[]PartDraft]
	Missing         patch.Field[Missing]
	RecalibrateDays patch.Field[int]
}

// RuleDraft is a rule whose condition is the JSON form of a filter.
type RuleDraft struct {
	Name         string
	Points       float64
	Condition    json.RawMessage
	HalfLifeDays int
	Group        string
}

// PartDraft is a part whose weight is 1 unless told.
type PartDraft struct {
	Part
	Weight *float64
}

const (
	recalibrateDays = 7
	rfmBands        = 5
)

// defaults of the parameters; those that are not of kind are zero. The rules of kind rules and the parts of composite are
// those of defaultRules and defaultParts.
func defaults(kind Kind) Params {
	p := Params{RecalibrateDays: recalibrateDays}
	switch kind {
	case RFM:
		p.Weights, p.Bands = Weights{1, 1, 1}, rfmBands
	case CLV:
		p.Family, p.HorizonMonths, p.DiscountRate = btyd.FamilyMBGNBD, 12, 0.01
	case Churn:
		// Of the families BG/NBD tells best how many will not buy: on the CDNOW log, 39 weeks ahead, its mean is 0.03 from
		// the truth, MBG/NBD's 0.06 and Pareto/NBD's 0.07, while all three rank customers about equally well.
		p.Family, p.HorizonDays = btyd.FamilyBGNBD, 90
	case Potential:
		p.Family, p.HorizonMonths, p.DiscountRate = btyd.FamilyMBGNBD, 12, 0.01
		p.HighValueShare, p.PotentialShare = 0.2, 0.4
	case Rules:
		p.Rules, p.Groups = defaultRules()
	case Composite:
		p.Missing = Skip
	case AtRisk:
		p.Parts = make([]Part, inPartChurn+1)
	}
	return p
}

// apply changes p, the parameters of a model of kind. What is not of that kind is recorded in v. Conditions are only
// read here; whether they mean anything is the language's to say.
func (c ParamsChange) apply(kind Kind, p *Params, v *fault.Validator) error {
	d := defaults(kind)
	member(v, kind, "window_days", &p.WindowDays, c.WindowDays, d.WindowDays, RFM)
	member(v, kind, "weights", &p.Weights, c.Weights, d.Weights, RFM)
	member(v, kind, "bands", &p.Bands, c.Bands, d.Bands, RFM)
	member(v, kind, "family", &p.Family, c.Family, d.Family, CLV, Churn, Potential)
	member(v, kind, "horizon_months", &p.HorizonMonths, c.HorizonMonths, d.HorizonMonths, CLV, Potential)
	member(v, kind, "discount_rate_monthly", &p.DiscountRate, c.DiscountRate, d.DiscountRate, CLV, Potential)
	member(v, kind, "horizon_days", &p.HorizonDays, c.HorizonDays, d.HorizonDays, Churn)
	clv, churn := &p.CLVModel, new(string)
	if kind == AtRisk {
		p.Parts = slices.Clone(p.Parts)
		clv, churn = &p.Parts[inPartCLV].Score, &p.Parts[inPartChurn].Score
	}
	member(v, kind, "clv_model", clv, c.CLVModel, "", Potential, AtRisk)
	member(v, kind, "churn_model", churn, c.ChurnModel, "", AtRisk)
	member(v, kind, "high_value_share", &p.HighValueShare, c.HighValueShare, d.HighValueShare, Potential)
	member(v, kind, "potential_share", &p.PotentialShare, c.PotentialShare, d.PotentialShare, Potential)
	member(v, kind, "groups", &p.Groups, c.Groups, d.Groups, Rules)
	member(v, kind, "min_points", &p.MinPoints, pointed(c.MinPoints), nil, Rules)
	member(v, kind, "max_points", &p.MaxPoints, pointed(c.MaxPoints), nil, Rules)
	member(v, kind, "missing", &p.Missing, c.Missing, d.Missing, Composite)
	member(v, kind, "recalibrate_days", &p.RecalibrateDays, c.RecalibrateDays, d.RecalibrateDays, Kinds...)
	rules, err := readRules(c.Rules, v)
	if err != nil {
		return err
	}
	member(v, kind, "rules", &p.Rules, rules, d.Rules, Rules)
	member(v, kind, "parts", &p.Parts, readParts(c.Parts), nil, Composite)
	if kind == Potential && p.CLVModel != "" {
		p.Family, p.HorizonMonths, p.DiscountRate = d.Family, d.HorizonMonths, d.DiscountRate
		theirs := fault.T("it is that of clv_model; to say another, clear clv_model with null", "该参数取自 clv_model；如需另行指定，请先用 null 清除 clv_model")
		v.Check(c.Family.Value == nil, "/params/family", "not_with_clv_model", theirs)
		v.Check(c.HorizonMonths.Value == nil, "/params/horizon_months", "not_with_clv_model", theirs)
		v.Check(c.DiscountRate.Value == nil, "/params/discount_rate_monthly", "not_with_clv_model", theirs)
	}
	if kind == RFM {
		v.Check(p.Weights.sum() > 0, "/params/weights", "all_zero",
			fault.T("at least one weight must be above 0", "至少一个权重须大于 0"))
	}
	return nil
}

// pointed is a field whose absence after null is kept apart from 0.
func pointed(f patch.Field[float64]) patch.Field[*float64] {
	if f.Value == nil {
		return patch.Field[*float64]{Given: f.Given}
	}
	return patch.Set(f.Value)
}

func member[T any](v *fault.Validator, kind Kind, name string, stored *T, given patch.Field[T], otherwise T, of ...Kind) {
	if !given.Given {
		return
	}
	if !slices.Contains(of, kind) {
		v.Check(false, "/params/"+name, "not_of_kind",
			fault.T("models of kind "+string(kind)+" have no such parameter", "类型为 "+string(kind)+" 的模型没有该参数"))
		return
	}
	if *stored = otherwise; given.Value != nil {
		*stored = *given.Value
	}
}

func readRules(drafts patch.Field[[]RuleDraft], v *fault.Validator) (patch.Field[[]Rule], error) {
	read := patch.Field[[]Rule]{Given: drafts.Given}
	if drafts.Value == nil {
		return read, nil
	}
	rules := make([]Rule, len(*drafts.Value))
	for i, d := range *drafts.Value {
		rules[i] = Rule{Name: d.Name, Points: d.Points, HalfLifeDays: d.HalfLifeDays, Group: d.Group}
		var err error
		if rules[i].Condition, err = filter.ParseJSON(d.Condition); err != nil {
			if err := v.Merge(ruleAt(i)+"/condition", err); err != nil {
				return read, err
			}
		}
	}
	read.Value = &rules
	return read, nil
}

func readParts(drafts patch.Field[[]PartDraft]) patch.Field[[]Part] {
	read := patch.Field[[]Part]{Given: drafts.Given}
	if drafts.Value == nil {
		return read
	}
	parts := make([]Part, len(*drafts.Value))
	for i, d := range *drafts.Value {
		parts[i] = d.Part
		if parts[i].Weight = 1; d.Weight != nil {
			parts[i].Weight = *d.Weight
		}
	}
	read.Value = &parts
	return read
}

func ruleAt(i int) string { return "/params/rules/" + strconv.Itoa(i) }
func partAt(i int) string { return "/params/parts/" + strconv.Itoa(i) }

// check is what the parameters must fulfil by themselves.
func (p Params) check(kind Kind, v *fault.Validator) {
	switch kind {
	case Rules:
		p.checkRules(v)
	case Composite:
		sum := 0.0
		seen := map[string]bool{}
		for i, part := range p.Parts {
			sum += part.Weight
			v.Check(!seen[part.Score], partAt(i)+"/score", "repeated", fault.T("a part above has the same score", "与上方的组成部分重复"))
			seen[part.Score] = true
			v.Check(part.Min == nil || part.Max == nil || *part.Min < *part.Max, partAt(i)+"/max", "not_above_min",
				fault.T("max must be above min", "max 必须大于 min"))
		}
		v.Check(sum > 0, "/params/parts", "all_zero", fault.T("at least one part with a weight above 0 is needed", "至少需要一个权重大于 0 的组成部分"))
	}
}

func (p Params) checkRules(v *fault.Validator) {
	v.Check(len(p.Rules) > 0, "/params/rules", "required", fault.T("at least one rule is needed", "至少需要一条规则"))
	groups, keys := map[string]bool{}, []string{}
	for i, g := range p.Groups {
		keys = append(keys, g.Key)
		at := "/params/groups/" + strconv.Itoa(i)
		v.Check(!groups[g.Key], at+"/key", "repeated", fault.T("a group above has the same key", "与上方分组的键重复"))
		groups[g.Key] = true
		v.Check(bounds(g.Min, g.Max), at, "excludes_zero", zeroWithin)
		v.Check(hundredthsOf(g.Min) && hundredthsOf(g.Max), at, "too_precise", twoDecimals)
	}
	names := map[string]bool{}
	for i, r := range p.Rules {
		v.Check(!names[r.Name], ruleAt(i)+"/name", "repeated", fault.T("a rule above has the same name", "与上方规则的名称重复"))
		names[r.Name] = true
		v.Check(r.Group == "" || groups[r.Group], ruleAt(i)+"/group", "unknown_group", fault.T("there is no such group in groups", "groups 中没有该分组"), keys...)
		v.Check(hundredthsOf(&r.Points), ruleAt(i)+"/points", "too_precise", twoDecimals)
		if r.HalfLifeDays > 0 && r.Condition != nil {
			v.Check(len(counted(r.Condition)) > 0, ruleAt(i)+"/half_life_days", "nothing_ages", fault.T(
				"only a condition with a function over facts, such as count(transactions, \"90d\") >= 1, has something that grows older",
				"只有含有事实函数（如 count(transactions, \"90d\") >= 1）的条件才有可随时间衰减的内容"))
		}
	}
	v.Check(bounds(p.MinPoints, p.MaxPoints), "/params/max_points", "excludes_zero", zeroWithin)
	v.Check(hundredthsOf(p.MinPoints) && hundredthsOf(p.MaxPoints), "/params/max_points", "too_precise", twoDecimals)
}

func bounds(least, most *float64) bool {
	return (least == nil || *least <= 0) && (most == nil || *most >= 0)
}

var zeroWithin = fault.T("a lower bound is at most 0 and an upper one at least 0: who fulfils no rule has no points",
	"下限不得大于 0，上限不得小于 0：不满足任何规则的客户为 0 分")

var twoDecimals = fault.T("points have at most two decimals", "分值最多两位小数")

func hundredthsOf(p *float64) bool {
	return p == nil || math.Abs(math.Round(*p*100)/100-*p) < 1e-12
}

// same reports whether both say the same.
func (p Params) same(kind Kind, q Params) (bool, error) {
	a, err := writeParams(kind, p)
	if err != nil {
		return false, err
	}
	b, err := writeParams(kind, q)
	return bytes.Equal(a, b), err
}
