package tier

import (
	"github.com/kezi-io/kezi/internal/filter"
)

// between is a condition that bounds one field or fact and asks nothing else: from 500 to below 3000.
type between struct {
	of         filter.Leaf  // any of its comparisons
	from, to   filter.Value // zero where it has no such bound
	open, ends bool         // whether the bound itself is left out: from, and to
}

// asBetween reads a condition as bounds, and answers false for one that asks anything else or twice for the same bound.
func asBetween(n filter.Node) (b between, ok bool) {
	nodes := []filter.Node{n}
	if and, is := n.(filter.And); is {
		nodes = and
	}
	for i, n := range nodes {
		l, is := n.(filter.Leaf)
		if !is || i > 0 && !l.SameOperand(b.of) {
			return between{}, false
		}
		b.of = l
		switch {
		case up(l.Op) && b.from == (filter.Value{}):
			b.from, b.open = l.Values[0], l.Op == filter.Gt
		case down(l.Op) && b.to == (filter.Value{}):
			b.to, b.ends = l.Values[0], l.Op == filter.Lt
		default:
			return between{}, false
		}
	}
	return b, true
}

// overlaps reports whether a tier that is bounded on both sides takes values which a higher one has taken already: who writes
// where a tier begins and ends means that it does. A tier without an end begins where the higher ones leave off.
func overlaps(n, higher filter.Node) bool {
	a, okA := asBetween(n)
	b, okB := asBetween(higher)
	none := filter.Value{}
	if !okA || !okB || a.from == none || a.to == none || !a.of.SameOperand(b.of) {
		return false
	}
	below := func(from, to filter.Value, open bool) bool { // whether from lies before to ends
		if from == none || to == none {
			return true
		}
		order, ok := filter.Order(from, to)
		return ok && (order < 0 || order == 0 && !open)
	}
	return below(b.from, a.to, b.open || a.ends) && below(a.from, b.to, a.open || b.ends)
}
