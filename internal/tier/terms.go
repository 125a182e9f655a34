package tier

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// initial is a definition of which nothing is said.
var initial = Definition{Window: Rolling, Months: 12, Downgrade: Direct, DowngradeAt: AtOnce}

// compiler checks a condition; it is compiled only to see that it can be.
type compiler func(raw []byte) (filter.Node, error)

// apply is the definition that terms make of a former one, with what is wrong recorded. Tiers keep their ids by key.
func (t Terms) apply(v *fault.Validator, scheme string, to Definition, compile compiler) (Definition, error) {
	if t.Window != nil {
		to.Window, to.Months, to.Days = t.Window.Window, t.Window.Months, t.Window.Days
		if to.Months == 0 && to.Days == 0 {
			to.Months = 12
		}
		v.Check(to.Window == Rolling || to.Months == 12 && to.Days == 0, "/qualification", "not_allowed",
			fault.T("only a rolling window has a length", "只有滚动统计期可以指定长度"))
		v.Check(to.Months == 0 || to.Days == 0, "/qualification", "conflict", fault.T("give either months or days", "months 与 days 只能提供其一"))
	}
	keep(&to.Downgrade, t.Downgrade)
	keep(&to.DowngradeAt, t.DowngradeAt)
	keep(&to.GraceDays, t.GraceDays)
	if t.Tiers == nil {
		return to, nil
	}
	tiers, err := read(v, scheme, t.Tiers, compile)
	if err != nil {
		return Definition{}, err
	}
	for i, r := range tiers {
		if at := to.index(r.Key); at >= 0 {
			tiers[i].ID = to.Tiers[at].ID
		}
	}
	to.Tiers = tiers
	return to, nil
}

func keep[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

// read turns drafts into tiers of the scheme with that key. What is wrong is recorded below /tiers.
func read(v *fault.Validator, scheme string, drafts []TierDraft, compile compiler) ([]Tier, error) {
	tiers := make([]Tier, len(drafts))
	seen := map[string]bool{}
	v.Check(len(drafts) >= 2, "/tiers", "too_few", fault.T("a scheme has two tiers or more", "分层方案至少有两个层级"))
	for i, d := range drafts {
		at := pointer(i)
		t := Tier{ID: uuid.Must(uuid.NewV7()), Key: d.Key, Name: strings.TrimSpace(d.Name), Strategy: d.Strategy, Benefits: d.Benefits}
		if t.Benefits == nil {
			t.Benefits = []Benefit{}
		}
		v.Check(t.Name != "", at+"/name", "required", fault.T("a tier needs a name", "层级必须有名称"))
		v.Check(!seen[t.Key], at+"/key", "repeated", fault.T("a tier above has the same key", "与上方层级的键重复"))
		seen[t.Key] = true
		for n, b := range d.Benefits {
			b.check(v, fmt.Sprintf("%s/benefits/%d", at, n))
		}
		last := i == len(drafts)-1
		v.Check(last || len(d.Condition) > 0, at+"/condition", "required", fault.T("every tier but the last needs a condition", "除最后一个外，每个层级都需要条件"))
		for _, c := range []struct {
			name string
			raw  json.RawMessage
			to   *filter.Node
		}{{"condition", d.Condition, &t.Condition}, {"keep", d.Keep, &t.Keep}} {
			if len(c.raw) == 0 {
				continue
			}
			if last {
				v.Check(false, at+"/"+c.name, "not_allowed",
					fault.T("the last tier takes whom no other takes and has no condition", "最后一个层级接收其余所有客户，不能有条件"))
				continue
			}
			var err error
			if *c.to, err = readCondition(scheme, c.raw, compile); err != nil {
				if err := v.Merge(at+"/"+c.name, err); err != nil {
					return nil, err
				}
			}
		}
		tiers[i] = t
	}
	unreachable(v, tiers)
	overlapping(v, tiers)
	return tiers, nil
}

func (b Benefit) check(v *fault.Validator, at string) {
	needs := b.Kind == Discount || b.Kind == PointsMultiplier
	v.Check(!needs || b.Value != nil, at+"/value", "required", fault.T("this benefit needs a value", "该权益必须有数值"))
	v.Check(needs || b.Value == nil, at+"/value", "not_allowed", fault.T("this benefit has no value", "该权益没有数值"))
	if b.Value != nil {
		v.Check(*b.Value > 0 && (b.Kind != Discount || *b.Value <= 100), at+"/value", "out_of_range",
			fault.T("above 0, and at most 100 for a discount", "须大于 0，折扣不超过 100"))
	}
}

func readCondition(scheme string, raw []byte, compile compiler) (filter.Node, error) {
	n, err := filter.ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	if slices.Contains(n.Fields(), "tiers."+scheme) {
		return nil, fault.ErrInvalid.At("", "own_tier",
			fault.T("a condition cannot depend on the tiers of its own scheme", "条件不能依赖本方案自身的层级"))
	}
	return compile(raw)
}

func pointer(i int) string { return "/tiers/" + strconv.Itoa(i) }

// unreachable records tiers that nobody can enter, because everybody who fulfils the condition fulfils that of a higher tier.
func unreachable(v *fault.Validator, tiers []Tier) {
	for i, t := range tiers {
		for _, above := range tiers[:i] {
			if t.Condition != nil && above.Condition != nil && implies(t.Condition, above.Condition) {
				v.Check(false, pointer(i)+"/condition", "unreachable", fault.T(
					fmt.Sprintf("whoever fulfils it also fulfils the condition of the higher tier %s; the highest tier comes first", above.Key),
					fmt.Sprintf("满足该条件的客户也都满足更高层级 %s 的条件；请将最高层级排在最前", above.Key)))
				break
			}
		}
	}
}

// overlapping records tiers whose range of one field begins or ends within that of a higher tier.
func overlapping(v *fault.Validator, tiers []Tier) {
	for i, t := range tiers {
		for _, above := range tiers[:i] {
			if t.Condition != nil && above.Condition != nil && overlaps(t.Condition, above.Condition) && !implies(t.Condition, above.Condition) {
				v.Check(false, pointer(i)+"/condition", "overlapping", fault.T(
					fmt.Sprintf("its range overlaps with that of the higher tier %s; leave its upper bound away, or let it end where that begins", above.Key),
					fmt.Sprintf("其取值范围与更高层级 %s 的范围重叠；请去掉上限，或使其止于该层级的起点", above.Key)))
				break
			}
		}
	}
}
