package tier

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
)

// opposite is the comparison that holds where a comparison fails, for values that are there.
var opposite = map[filter.Op]filter.Op{
	filter.Eq: filter.Ne, filter.Ne: filter.Eq, filter.Lt: filter.Gte, filter.Gte: filter.Lt, filter.Lte: filter.Gt, filter.Gt: filter.Lte,
	filter.In: filter.NotIn, filter.NotIn: filter.In, filter.IsNull: filter.IsNotNull, filter.IsNotNull: filter.IsNull,
}

// need is the nearest value with which a leaf holds or not, as wanted, and what reaching it costs: for numbers the part of
// the needed value that is missing, for days the part of a year, 1 for anything else.
func (s search) need(l condition.Leaf, seen []string, want bool) (change, float64, bool) {
	op, values := l.Comparison.Op, texts(l.Comparison)
	if l.Type == filter.TypeTags || op == filter.Has || op == filter.Contains || op == filter.StartsWith {
		return labelled(op, values, seen, want)
	}
	if !want {
		op = opposite[op]
	}
	switch op {
	case filter.IsNull:
		return change{step: Step{Want: "absent"}}, 1, true
	case filter.IsNotNull:
		return change{step: Step{Want: "present"}}, 1, true
	case filter.Ne, filter.NotIn:
		if s.scale(l.Type) == nil {
			return change{step: Step{Want: "other", Needed: ""}}, 1, true
		}
	}
	var best change
	cost := math.Inf(1)
	for _, v := range values {
		c, price, ok := s.nearest(l, op, v, seen)
		if ok && price < cost {
			best, cost = c, price
		}
	}
	return best, cost, !math.IsInf(cost, 1)
}

// scale is the smallest step of a type of numbers or days; nil for other types, and 0 for numbers without one.
func (s search) scale(t filter.Type) *big.Rat {
	switch t {
	case filter.TypeInteger, filter.TypeDate:
		return big.NewRat(1, 1)
	case filter.TypeMoney:
		return new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s.env.Digits)), nil))
	case filter.TypeNumber, filter.TypeScore:
		return big.NewRat(1, 1_000_000)
	}
	return nil
}

var wants = map[filter.Op]string{filter.Gte: "at_least", filter.Gt: "at_least", filter.Lte: "at_most", filter.Lt: "at_most", filter.Eq: "equal",
	filter.In: "equal", filter.Ne: "other", filter.NotIn: "other"}

func (s search) nearest(l condition.Leaf, op filter.Op, value string, seen []string) (change, float64, bool) {
	step := s.scale(l.Type)
	if step == nil {
		return change{step: Step{Want: wants[op], Needed: value}, values: []string{value}}, 1, true
	}
	needed, ok := s.number(l.Type, value)
	if !ok {
		return change{}, 0, false
	}
	switch op {
	case filter.Gt, filter.Ne, filter.NotIn:
		needed = new(big.Rat).Add(needed, step)
	case filter.Lt:
		needed = new(big.Rat).Sub(needed, step)
	}
	text := s.text(l.Type, needed)
	c := change{step: Step{Want: wants[op], Needed: text}, values: []string{text}}
	now, ok := s.number(l.Type, first(seen))
	if !ok {
		return c, 1, true
	}
	difference := new(big.Rat).Sub(needed, now)
	c.step.Difference = s.plain(l.Type, difference)
	whole, _ := new(big.Rat).Abs(needed).Float64()
	missing, _ := new(big.Rat).Abs(difference).Float64()
	if l.Type == filter.TypeDate {
		whole = 365
	}
	return c, missing / max(whole, 1), true
}

// number is a value of a type that has a scale; days are counted from a fixed one.
func (s search) number(t filter.Type, value string) (*big.Rat, bool) {
	if t != filter.TypeDate {
		return new(big.Rat).SetString(value)
	}
	text, ok := s.env.Day(value)
	if !ok {
		return nil, false
	}
	d, err := time.Parse(time.DateOnly, text)
	return big.NewRat(d.Unix()/(24*60*60), 1), err == nil
}

func (s search) text(t filter.Type, n *big.Rat) string {
	if t == filter.TypeDate {
		return time.Unix(n.Num().Int64()*24*60*60, 0).UTC().Format(time.DateOnly)
	}
	return s.plain(t, n)
}

func (s search) plain(t filter.Type, n *big.Rat) string {
	switch {
	case t == filter.TypeMoney:
		return n.FloatString(s.env.Digits)
	case n.IsInt():
		return n.Num().String()
	}
	return strings.TrimRight(n.FloatString(6), "0")
}

// labelled is for comparisons with several values, or with parts of text.
func labelled(op filter.Op, values, seen []string, want bool) (change, float64, bool) {
	if op == filter.NotIn || op == filter.Ne {
		want = !want
	}
	if want {
		return change{step: Step{Want: "equal", Needed: first(values)}, values: append(slices.Clone(seen), values[:min(len(values), 1)]...)}, 1, true
	}
	kept := slices.DeleteFunc(slices.Clone(seen), func(v string) bool { return slices.Contains(values, v) })
	return change{step: Step{Want: "other", Needed: ""}, values: kept}, 1, true
}

// compares tells whether a leaf would hold with these values, if that can be told here.
func (s search) compares(l condition.Leaf, values []string) (known, holds bool) {
	op, wanted := l.Comparison.Op, texts(l.Comparison)
	switch op {
	case filter.IsNull, filter.IsNotNull:
		return len(values) > 0, op == filter.IsNotNull
	case filter.Contains, filter.StartsWith:
		return false, false
	}
	if l.Type == filter.TypeTags {
		has := slices.ContainsFunc(values, func(v string) bool { return slices.Contains(wanted, v) })
		return true, has == (op == filter.Has || op == filter.In)
	}
	if op == filter.Has || len(values) != 1 {
		return false, false
	}
	if s.scale(l.Type) == nil {
		is := slices.Contains(wanted, values[0])
		switch op {
		case filter.Eq, filter.In:
			return l.Type != filter.TypeTime, is
		case filter.Ne, filter.NotIn:
			return l.Type != filter.TypeTime, !is
		}
		return false, false
	}
	now, ok := s.number(l.Type, values[0])
	if !ok {
		return false, false
	}
	equal := false
	for _, v := range wanted {
		n, ok := s.number(l.Type, v)
		if !ok {
			return false, false
		}
		c := now.Cmp(n)
		switch op {
		case filter.Lt:
			return true, c < 0
		case filter.Lte:
			return true, c <= 0
		case filter.Gt:
			return true, c > 0
		case filter.Gte:
			return true, c >= 0
		}
		equal = equal || c == 0
	}
	return true, equal == (op == filter.Eq || op == filter.In)
}

func texts(l filter.Leaf) []string {
	all := make([]string, len(l.Values))
	for i, v := range l.Values {
		all[i] = v.Text
	}
	return all
}
