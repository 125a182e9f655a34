package condition

import (
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/filter"
)

// The families of fields: what changes together.
const (
	Record       = "record" // the customer's own fields, custom attributes among them
	Metrics      = "metrics"
	Transactions = "transactions" // facts that functions are made of
	Tags         = "tags"
	Scores       = "scores"
	Tiers        = "tiers"
	Segments     = "segments"

	// Facts of the family transactions.
	orders = "orders"
	items  = "items"
)

// Family is the family of a field or fact, see filter.Node's Fields, and of what Reads answers.
func Family(name string) string {
	first, _, _ := strings.Cut(name, ".")
	switch {
	case name == AtRisk:
		return Scores
	case first == Tags || first == Scores || first == Tiers || first == Segments:
		return first
	case first == Transactions || first == orders || first == items:
		return Transactions
	case slices.Contains(owed{}.Names(), name) || slices.ContainsFunc(metrics, func(f filter.Field) bool { return f.Name == name }):
		return Metrics
	}
	return Record
}

// Reads is what a condition depends on, sorted: the fields that it names, but tags and segments one by one, as tags.vip,
// and scores without their parts.
func Reads(n filter.Node) []string {
	var names []string
	for _, l := range filter.Leaves(n) {
		names = append(names, LeafReads(l)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// LeafReads is Reads of one comparison.
func LeafReads(l filter.Leaf) []string {
	switch {
	case l.Fact != nil:
		return l.Fields()
	case l.Field == Tags || l.Field == Segments:
		names := make([]string, len(l.Values))
		for i, v := range l.Values {
			names[i] = l.Field + "." + v.Text
		}
		return names
	case l.Field == AtRisk:
		return []string{Scores + "." + AtRisk}
	case Family(l.Field) == Scores:
		parts := strings.SplitN(l.Field, ".", 3)
		return []string{strings.Join(parts[:min(len(parts), 2)], ".")}
	}
	return []string{l.Field}
}

// Graded reports whether a condition reads nothing of scores but bands and labels, which a new run gives anew to few.
func Graded(n filter.Node) bool {
	return !slices.ContainsFunc(filter.Leaves(n), func(l filter.Leaf) bool {
		return Family(l.Field) == Scores && strings.Count(l.Field, ".") < 2
	})
}

// Relative reports whether what a condition means changes as days pass: it names a day relative to today, or a field that
// counts days until today.
func Relative(n filter.Node) bool {
	return filter.Relative(n) || slices.ContainsFunc(filter.Leaves(n), func(l filter.Leaf) bool {
		return slices.Contains(owed{}.Names(), l.Field) || slices.Contains(aged{}.Names(), l.Field)
	})
}
