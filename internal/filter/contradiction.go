package filter

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/kezi-io/kezi/internal/fault"
)

// compared is a leaf of a condition with the field that it compares.
type compared struct {
	Leaf
	field Field
	at    place
}

// mostPairs bounds how many values of two lists are compared with each other.
const mostPairs = 1000

// never records that nobody can fulfil n, where two comparisons that have to hold together exclude each other. It takes
// for possible what it does not understand.
func (c *compiler) never(n Node) {
	a, b, found := c.contradiction(n, "")
	if !found {
		return
	}
	for _, pair := range [][2]compared{{a, b}, {b, a}} {
		other := text(pair[1].Leaf)
		at := pair[0].at
		at.part = partField
		c.wrong(ErrContradiction, at, fault.T("this and "+other+" exclude each other", "该条件与 "+other+" 互相矛盾"))
	}
}

// contradiction looks for two comparisons because of which n is never true.
func (c *compiler) contradiction(n Node, path string) (a, b compared, found bool) {
	switch n := n.(type) {
	case Or: // each alternative has to be impossible
		for i, alternative := range n {
			if a, b, found = c.contradiction(alternative, fmt.Sprintf("%s/or/%d", path, i)); !found {
				return compared{}, compared{}, false
			}
		}
		return a, b, found
	case And:
		together, others := c.together(n, path+"/and")
		for i, x := range together {
			for _, y := range together[:i] {
				if exclusive(y, x) {
					return y, x, true
				}
			}
		}
		for _, other := range others {
			if a, b, found = c.contradiction(other.Node, other.path); found {
				return a, b, true
			}
		}
	}
	return compared{}, compared{}, false
}

// placed is a part of a condition, and where it stands.
type placed struct {
	Node
	path string
}

// together are the leaves of which each has to hold for nodes to, and what else has to.
func (c *compiler) together(nodes And, path string) (leaves []compared, others []placed) {
	for i, n := range nodes {
		at := fmt.Sprintf("%s/%d", path, i)
		switch n := n.(type) {
		case And:
			inner, more := c.together(n, at+"/and")
			leaves, others = append(leaves, inner...), append(others, more...)
		case Leaf:
			leaves = append(leaves, c.seen[at])
		default:
			others = append(others, placed{n, at})
		}
	}
	return leaves, others
}

// exclusive reports whether no value fulfils both.
func exclusive(x, y compared) bool {
	if !x.SameOperand(y.Leaf) || x.field.several() {
		return false
	}
	switch {
	case x.Op == IsNull:
		return y.Op.needsValue()
	case y.Op == IsNull:
		return x.Op.needsValue()
	case x.Op == Eq || x.Op == In:
		return len(x.Values)*len(y.Values) <= mostPairs && !slices.ContainsFunc(x.Values, func(v Value) bool { return x.field.allows(y.Leaf, v) })
	case y.Op == Eq || y.Op == In:
		return exclusive(y, x)
	case x.Op.down() && y.Op.up():
		x, y = y, x
	case !x.Op.up() || !y.Op.down():
		return false
	}
	order, ok := x.field.order(x.Values[0], y.Values[0])
	return ok && (order > 0 || order == 0 && (x.Op == Gt || y.Op == Lt))
}

// SameOperand reports whether two comparisons look at the same field or fact.
func (l Leaf) SameOperand(other Leaf) bool {
	return l.Field == other.Field && reflect.DeepEqual(l.Fact, other.Fact)
}

func (o Op) up() bool   { return o == Gt || o == Gte }
func (o Op) down() bool { return o == Lt || o == Lte }

// needsValue tells whether the operator never holds for an absent value.
func (o Op) needsValue() bool { return !slices.Contains([]Op{IsNull, Ne, NotIn}, o) }

// several tells whether a customer can have more than one value.
func (f Field) several() bool { return !f.Exists.IsZero() && !f.One }

// allows reports whether a value that equals v may fulfil l.
func (f Field) allows(l Leaf, v Value) bool {
	equal := func(w Value) bool { // may equal
		order, ok := f.order(v, w)
		return !ok || order == 0
	}
	switch l.Op {
	case Eq, In:
		return slices.ContainsFunc(l.Values, equal)
	case Ne, NotIn:
		return !slices.Contains(l.Values, v)
	}
	if len(l.Values) != 1 {
		return true
	}
	order, ok := f.order(v, l.Values[0])
	if !ok {
		return true
	}
	switch l.Op {
	case Lt:
		return order < 0
	case Lte:
		return order <= 0
	case Gt:
		return order > 0
	case Gte:
		return order >= 0
	}
	return true
}

// order compares two values of the field, and answers false where their order is not the same at all times. Values
// without an order are equal or not.
func (f Field) order(a, b Value) (int, bool) {
	switch f.Type {
	case TypeNumber, TypeInteger, TypeMoney, TypeScore, TypeDate, TypeTime:
		return Order(a, b)
	case TypeTier:
		if x, y := slices.Index(f.Choices, a.Text), slices.Index(f.Choices, b.Text); x >= 0 && y >= 0 {
			return x - y, true
		}
	case TypeText, TypeChoice, TypeBoolean:
		if a == b {
			return 0, true
		}
		return 1, true
	}
	return 0, false
}
