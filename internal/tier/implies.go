package tier

import (
	"reflect"
	"slices"

	"github.com/kezi-io/kezi/internal/filter"
)

// implies reports whether it is certain that everybody who fulfils a fulfils b. It knows ands and ors, and comparisons of
// one field with numbers, days and lists; where it does not know, the answer is no.
func implies(a, b filter.Node) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	holds := func(nodes []filter.Node, all bool, of func(filter.Node) bool) bool {
		if all {
			return !slices.ContainsFunc(nodes, func(n filter.Node) bool { return !of(n) })
		}
		return slices.ContainsFunc(nodes, of)
	}
	if or, ok := a.(filter.Or); ok {
		return holds(or, true, func(n filter.Node) bool { return implies(n, b) })
	}
	switch b := b.(type) {
	case filter.And:
		return holds(b, true, func(n filter.Node) bool { return implies(a, n) })
	case filter.Or:
		if holds(b, false, func(n filter.Node) bool { return implies(a, n) }) {
			return true
		}
	}
	if and, ok := a.(filter.And); ok {
		return holds(and, false, func(n filter.Node) bool { return implies(n, b) })
	}
	x, okX := a.(filter.Leaf)
	y, okY := b.(filter.Leaf)
	return okX && okY && x.SameOperand(y) && leafImplies(x, y)
}

func leafImplies(x, y filter.Leaf) bool {
	if y.Op == filter.IsNotNull {
		return slices.Contains([]filter.Op{filter.Eq, filter.In, filter.Lt, filter.Lte, filter.Gt, filter.Gte}, x.Op)
	}
	if x.Op == filter.Eq || x.Op == filter.In {
		return len(x.Values) > 0 && !slices.ContainsFunc(x.Values, func(v filter.Value) bool { return !fits(v, y) })
	}
	if len(x.Values) != 1 || len(y.Values) != 1 {
		return false
	}
	c, ok := filter.Order(x.Values[0], y.Values[0])
	if !ok {
		return false
	}
	switch {
	case up(x.Op) && up(y.Op):
		return c > 0 || c == 0 && (y.Op == filter.Gte || x.Op == filter.Gt)
	case down(x.Op) && down(y.Op):
		return c < 0 || c == 0 && (y.Op == filter.Lte || x.Op == filter.Lt)
	}
	return false
}

// fits reports whether a value that equals v certainly fulfils y.
func fits(v filter.Value, y filter.Leaf) bool {
	if y.Op == filter.Eq || y.Op == filter.In {
		return slices.Contains(y.Values, v)
	}
	if len(y.Values) != 1 {
		return false
	}
	c, ok := filter.Order(v, y.Values[0])
	switch y.Op {
	case filter.Gte:
		return ok && c >= 0
	case filter.Gt:
		return ok && c > 0
	case filter.Lte:
		return ok && c <= 0
	case filter.Lt:
		return ok && c < 0
	}
	return false
}

func up(o filter.Op) bool   { return o == filter.Gt || o == filter.Gte }
func down(o filter.Op) bool { return o == filter.Lt || o == filter.Lte }
