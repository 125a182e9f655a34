package score

import (
	"math"

	"github.com/kezi-io/kezi/internal/filter"
)

// A rules score adds up points. A rule whose condition holds gives its points; with a half-life h they are
// points * 2^(-age/h), where age is the number of days from the newest fact that one of the condition's functions counts
// to the scoring day (0 for a fact of that day or later). Points are rounded to two decimals, halves away from zero.
//
// The points of a group's rules add up to a sum that is then held between the group's min and max, and the sum of all
// between min_points and max_points; neither bound excludes 0. A rule's contribution is how far it moves the bounded
// total when rules are counted in the order in which they stand: contributions add up to the value exactly, and the value
// does not depend on the order.

// Each rule has two inputs: whether it holds, 0 or 1, and the age in days of its newest fact, noAge without one.
const noAge = -1

// points of a rule in hundredths.
func (r Rule) points(holds, age float64) int {
	if holds == 0 {
		return 0
	}
	points := r.Points
	if r.HalfLifeDays > 0 {
		points *= math.Exp2(-max(age, 0) / float64(r.HalfLifeDays))
	}
	return int(math.Round(points * 100))
}

// rulePoints is the value in hundredths, each rule's points, and its contribution.
func (p Params) rulePoints(in []float64) (total int, points, contributions []int) {
	type bounds struct{ sum, least, most int }
	bound := func(min, max *float64) bounds {
		b := bounds{least: math.MinInt32, most: math.MaxInt32}
		if min != nil {
			b.least = int(math.Round(*min * 100))
		}
		if max != nil {
			b.most = int(math.Round(*max * 100))
		}
		return b
	}
	kept := func(b bounds) int { return min(max(b.sum, b.least), b.most) }
	groups := map[string]bounds{}
	for _, g := range p.Groups {
		groups[g.Key] = bound(g.Min, g.Max)
	}
	all := bound(p.MinPoints, p.MaxPoints)
	points, contributions = make([]int, len(p.Rules)), make([]int, len(p.Rules))
	for i, r := range p.Rules {
		points[i] = r.points(in[2*i], in[2*i+1])
		moved := points[i]
		if g, ok := groups[r.Group]; ok {
			before := kept(g)
			g.sum += points[i]
			groups[r.Group] = g
			moved = kept(g) - before
		}
		before := kept(all)
		all.sum += moved
		contributions[i] = kept(all) - before
	}
	return kept(all), points, contributions
}

func (s scorer) rules(c subject) rated {
	total, _, _ := s.params.rulePoints(c.given)
	return rated{ok: true, value: float64(total) / 100, inputs: c.given}
}

// counted are the functions over facts that a condition asks.
func counted(n filter.Node) []filter.Fact {
	var all []filter.Fact
	for _, l := range filter.Leaves(n) {
		if l.Fact != nil {
			all = append(all, *l.Fact)
		}
	}
	return all
}

// defaultRules are those of a model that is made without any: how recently and how often a customer bought, how much is
// known of them, and what speaks against them. They name nothing but what every tenant has.
func defaultRules() ([]Rule, []Group) {
	leaf := func(field string, op filter.Op, than string) filter.Node {
		return filter.Leaf{Field: field, Op: op, Values: []filter.Value{filter.Number(than)}}
	}
	bought := filter.Leaf{Fact: &filter.Fact{Function: filter.Count, Of: "transactions", Window: "365d"}, Op: filter.Gte,
		Values: []filter.Value{filter.Number("1")}}
	most := 60.0
	return []Rule{
		{Name: "bought_recently", Points: 40, Condition: bought, HalfLifeDays: 60, Group: "purchases"},
		{Name: "bought_on_3_days", Points: 20, Condition: leaf("purchase_days", filter.Gte, "3"), Group: "purchases"},
		{Name: "bought_on_10_days", Points: 20, Condition: leaf("purchase_days", filter.Gte, "10"), Group: "purchases"},
		{Name: "well_known", Points: 20, Condition: leaf("completeness", filter.Gte, "60")},
		{Name: "often_returns", Points: -10, Condition: leaf("return_count", filter.Gte, "3")},
		{Name: "pays_late", Points: -20, Condition: leaf("overdue_payments", filter.Gt, "0")},
	}, []Group{{Key: "purchases", Max: &most}}
}
