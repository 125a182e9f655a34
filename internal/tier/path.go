package tier

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Path is what a customer lacks for entering a tier.
type Path struct {
	CustomerID   uuid.UUID
	Tier         Tier
	Current      string // key of the tier where the customer is; empty for none
	Reached      bool   // the tier, or a higher one, could be entered now
	Alternatives []Way  // the cheapest first; each alone would do; none when Reached
}

// Way is what to change so that a condition holds.
type Way []Step

// Step is a value that would have to be another one.
type Step struct {
	Pointer    string   // of the comparison within the tier's condition
	Text       string   // the comparison
	Seen       []string // the values now, of the kind that conditions are written with
	Needed     string   // the nearest value that does; empty for any or none, see Want
	Want       string   // at_least, at_most, equal, other, absent or present
	Difference string   // Needed less what was seen; empty where there is none: days for dates
	Unit       string
}

// most alternatives are answered.
const most = 3

// Path tells what a customer lacks for a tier. Each alternative was checked by evaluating the whole condition with the needed
// values. Fails with ErrNotFound, ErrNoTier, ErrInactive or customer.ErrNotFound.
func (s *Service) Path(ctx context.Context, t tenant.Tenant, customerID uuid.UUID, key, tierKey string) (Path, error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return Path{}, err
	}
	x, err := get(ctx, s.db, t.ID, key)
	if err != nil {
		return Path{}, err
	}
	if !x.Active() {
		return Path{}, ErrInactive
	}
	at := x.index(tierKey)
	if at < 0 {
		return Path{}, ErrNoTier
	}
	j, err := s.judge(ctx, s.db, t, x)
	if err != nil {
		return Path{}, err
	}
	placed, err := s.placement(ctx, s.db, t, c.ID, key)
	if err != nil {
		return Path{}, err
	}
	p := Path{CustomerID: c.ID, Tier: x.Tiers[at], Current: placed.Key, Alternatives: []Way{}}
	span := j.current()
	l := j.language
	l.Env.Qualification = &span
	for _, higher := range x.Tiers[:at+1] {
		if higher.Condition == nil {
			p.Reached = true
			break
		}
		e, err := l.Explain(ctx, s.db, t.ID, c.ID, higher.Condition)
		if err != nil {
			return Path{}, err
		}
		p.Reached = p.Reached || e.Matches
		if higher.ID == p.Tier.ID && !p.Reached {
			p.Alternatives = ways(higher.Condition, e.Leaves, l.Env)
		}
	}
	return p, nil
}

// ways are the cheapest ways in which a condition comes to hold, of which its leaves were seen as they are.
func ways(n filter.Node, leaves []condition.Leaf, env filter.Env) []Way {
	s := search{leaves: leaves, env: env}
	found := s.solve(n, 0, true, plan{})
	found = slices.DeleteFunc(found, func(p plan) bool { return !s.evaluate(n, 0, p) })
	slices.SortStableFunc(found, plan.compare)
	out := []Way{}
	for _, p := range found {
		w := make(Way, 0, len(p.changes))
		for _, i := range slices.Sorted(maps.Keys(p.changes)) {
			w = append(w, p.changes[i].step)
		}
		if !slices.ContainsFunc(out, func(o Way) bool {
			return slices.EqualFunc(o, w, func(a, b Step) bool { return a.Pointer == b.Pointer })
		}) {
			out = append(out, w)
		}
		if len(out) == most {
			break
		}
	}
	return out
}

// plan is a set of changed values.
type plan struct {
	changes map[int]change // by the first leaf that looks at the value
	cost    float64
}

type change struct {
	step   Step
	leaf   int // that asked for it
	want   bool
	values []string // instead of those seen
}

func (p plan) compare(q plan) int {
	return cmp.Or(cmp.Compare(len(p.changes), len(q.changes)), cmp.Compare(p.cost, q.cost))
}

// breadth bounds the plans that a search follows.
const breadth = 16

type search struct {
	leaves []condition.Leaf
	env    filter.Env
}

// solve are plans under which n, whose first leaf is at first, would hold or not, as wanted.
func (s search) solve(n filter.Node, first int, want bool, from plan) []plan {
	if s.evaluate(n, first, from) == want {
		return []plan{from}
	}
	var nodes []filter.Node
	all := want
	switch n := n.(type) {
	case filter.Leaf:
		return s.repair(first, want, from)
	case filter.Not:
		return s.solve(n.Node, first, !want, from)
	case filter.And:
		nodes = n
	case filter.Or:
		nodes, all = n, !want
	}
	plans := []plan{from}
	var any []plan
	for _, child := range nodes {
		if !all {
			any = append(any, s.solve(child, first, want, from)...)
		} else {
			var next []plan
			for _, p := range plans {
				next = append(next, s.solve(child, first, want, p)...)
			}
			plans = cheapest(next)
		}
		first += len(filter.Leaves(child))
	}
	if all {
		return plans
	}
	return cheapest(any)
}

func cheapest(plans []plan) []plan {
	slices.SortStableFunc(plans, plan.compare)
	return plans[:min(len(plans), breadth)]
}

// evaluate tells whether n holds under a plan.
func (s search) evaluate(n filter.Node, first int, p plan) bool {
	holds := make([]bool, len(filter.Leaves(n)))
	for i := range holds {
		holds[i] = s.holds(first+i, p)
	}
	return filter.Evaluate(n, holds)
}

// subject is the first leaf that looks at the same value as the leaf at i.
func (s search) subject(i int) int {
	return slices.IndexFunc(s.leaves, func(l condition.Leaf) bool { return l.Comparison.SameOperand(s.leaves[i].Comparison) })
}

// holds tells whether a leaf holds under a plan. Where a changed value can't be compared here, the leaf that asked for the
// change has what it wants and the others see no difference.
func (s search) holds(i int, p plan) bool {
	l := s.leaves[i]
	c, changed := p.changes[s.subject(i)]
	if !changed {
		return l.Holds
	}
	if known, holds := s.compares(l, c.values); known {
		return holds
	}
	if c.leaf == i {
		return c.want
	}
	return l.Holds
}

// repair changes the value that a leaf looks at so that the leaf holds or not, as wanted.
func (s search) repair(i int, want bool, from plan) []plan {
	at, l := s.subject(i), s.leaves[i]
	seen := l.Seen
	if c, changed := from.changes[at]; changed {
		seen = c.values
	}
	c, cost, ok := s.need(l, seen, want)
	if !ok {
		return nil
	}
	c.leaf, c.want = i, want
	c.step.Pointer, c.step.Text, c.step.Unit, c.step.Seen = l.Pointer, l.Text, l.Unit, l.Seen
	to := plan{changes: maps.Clone(from.changes), cost: from.cost + cost}
	if to.changes == nil {
		to.changes = map[int]change{}
	}
	to.changes[at] = c
	if s.holds(i, to) != want {
		return nil
	}
	return []plan{to}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
