package tier

import (
	"encoding/json"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// The presets.
const (
	Value      = "value"      // three tiers by the value of customers: a score
	Membership = "membership" // four tiers by spend within a rolling year
	Credit     = "credit"     // four tiers by how customers pay
)

// Presets are all there are.
var Presets = []string{Value, Membership, Credit}

const defaultScore = "clv" // the model that the preset value reads

var presetNames = map[string]string{Value: "客户价值", Membership: "会员等级", Credit: "信用等级"}

// check collects what is wrong with the draft itself.
func (d Draft) check(v *fault.Validator) {
	switch {
	case d.Preset == "":
		v.Check(len(d.Tiers) > 0, "/tiers", "required", fault.T("give either tiers or a preset", "请提供 tiers 或 preset 之一"))
		v.Check(d.Score == "", "/score", "not_allowed", fault.T("only the preset value reads a score", "仅 value 预设可指定 score"))
	case len(d.Tiers) > 0:
		v.Check(false, "/preset", "conflict", fault.T("give either tiers or a preset, not both", "tiers 与 preset 只能提供其一"))
	case presetNames[d.Preset] == "":
		v.Check(false, "/preset", "unknown_value", fault.T("there is no such preset", "没有这个预设"), Presets...)
	default:
		v.Check(d.Score == "" || d.Preset == Value, "/score", "not_allowed", fault.T("only the preset value reads a score", "仅 value 预设可指定 score"))
	}
}

// complete fills what a draft leaves away from its preset.
func (d Draft) complete() Draft {
	d.Name = orElse(d.Name, presetNames[d.Preset])
	var p Terms
	switch d.Preset {
	case Value:
		p.Tiers = byValue(orElse(d.Score, defaultScore))
	case Membership:
		p = membership()
	case Credit:
		p.Tiers = byCredit()
	default:
		return d
	}
	d.Tiers = p.Tiers
	d.Window, d.Downgrade = or(d.Window, p.Window), or(d.Downgrade, p.Downgrade)
	d.DowngradeAt, d.GraceDays = or(d.DowngradeAt, p.DowngradeAt), or(d.GraceDays, p.GraceDays)
	return d
}

func or[T any](given, otherwise *T) *T {
	if given == nil {
		return otherwise
	}
	return given
}

// tree is a condition that is written in source code as text.
func tree(text string) json.RawMessage {
	n, err := filter.Parse(text)
	if err != nil {
		panic(err)
	}
	return raw(n)
}

// byValue are the three tiers of a score's bands: 5 is the best fifth, 3 and 4 the next two.
func byValue(score string) []TierDraft {
	band := func(op filter.Op, than string) json.RawMessage {
		return raw(filter.Leaf{Field: "scores." + score + ".band", Op: op, Values: []filter.Value{filter.Number(than)}})
	}
	return []TierDraft{
		{Key: "high", Name: "高价值", Condition: band(filter.Eq, "5"), Strategy: "专人维护，优先响应，以专属权益留住客户。"},
		{Key: "potential", Name: "潜力", Condition: band(filter.Gte, "3"), Strategy: "推荐搭配与升级，培养为高价值客户。"},
		{Key: "ordinary", Name: "普通", Strategy: "以标准服务和自助渠道维护，留意成长信号。"},
	}
}

// membership is by spend in the window, in major units of the base currency. A level lasts for a year from the day on which it
// was reached; who has not spent enough by then has 30 days to make up for it, and then comes down by one level.
func membership() Terms {
	step, end, grace := OneStep, PeriodEnd, 30
	multiplied := func(by float64) Benefit { return Benefit{Kind: PointsMultiplier, Name: "积分加倍", Value: &by} }
	off := func(percent float64) Benefit { return Benefit{Kind: Discount, Name: "会员折扣", Value: &percent} }
	const spent = `sum(transactions.net_amount, "qualification") >= `
	return Terms{Window: &WindowDraft{Window: Rolling, Months: 12}, Downgrade: &step, DowngradeAt: &end, GraceDays: &grace, Tiers: []TierDraft{
		{Key: "platinum", Name: "铂金", Condition: tree(spent + `"10000"`), Keep: tree(spent + `"8000"`), Strategy: "专属顾问主动关怀，邀请参加新品与会员活动。",
			Benefits: []Benefit{off(12), multiplied(2), {Kind: ServicePerson, Name: "专属顾问"}, {Kind: EarlyAccess, Name: "新品优先购"}}},
		{Key: "gold", Name: "金", Condition: tree(spent + `"3000"`), Keep: tree(spent + `"2400"`), Strategy: "提示距离铂金的差额，推荐高频搭配。",
			Benefits: []Benefit{off(8), multiplied(1.5), {Kind: EarlyAccess, Name: "新品优先购"}}},
		{Key: "silver", Name: "银", Condition: tree(spent + `"1000"`), Keep: tree(spent + `"800"`), Strategy: "以复购优惠提升频次。",
			Benefits: []Benefit{off(5), multiplied(1.2)}},
		{Key: "ordinary", Name: "普通", Strategy: "引导完成首购与第二次购买。"},
	}}
}

// byCredit is by what is known of payments: how many were on time, late, or are overdue today. Who never had to pay anything
// later stands at B: nothing speaks against them, and nothing for them.
func byCredit() []TierDraft {
	return []TierDraft{
		{Key: "a", Name: "A", Condition: tree(`on_time_payments >= 3 AND late_payments = 0 AND overdue_payments = 0`), Strategy: "可给予较高账期与额度。"},
		{Key: "b", Name: "B", Condition: tree(`late_payments <= 2 AND overdue_payments = 0`), Strategy: "标准账期，按期复核。"},
		{Key: "c", Name: "C", Condition: tree(`overdue_payments <= 1 AND late_payments <= 5`), Strategy: "缩短账期，到期前提醒，超额需审批。"},
		{Key: "d", Name: "D", Strategy: "先款后货，催收逾期款项。"},
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
