package filter

import (
	"strconv"
	"strings"
)

// Leaf is the number of the leaf that [Catalogue.Deciding] found whoever the customer is; false where it depends on that.
func (e Expr) Leaf() (int, bool) {
	n, err := strconv.Atoi(e.text)
	return n, err == nil
}

// Deciding is SQL for the place of the leaf that decides n's outcome, 1 for the first one in the order of Explain. It
// means something only where the outcome of n is holds: for a conjunction that fails it is the first leaf that fails, for a
// disjunction that holds the first that holds; where all leaves of a conjunction or disjunction agree, the first one that
// prefer likes, or else the first.
func (c *Catalogue) Deciding(n Node, env Env, holds bool, prefer func(Leaf) bool) (Expr, error) {
	if _, err := c.Compile(n, env); err != nil {
		return Expr{}, err
	}
	d := decider{compiler: compiler{catalogue: c, env: env, at: byPath}, prefer: prefer}
	e := d.node(n, 1, holds)
	if d.compiler.broken != nil {
		return Expr{}, d.compiler.broken
	}
	return e, d.compiler.err()
}

type decider struct {
	compiler compiler
	prefer   func(Leaf) bool
}

// node is the deciding leaf of n, whose first leaf is at first.
func (d *decider) node(n Node, first int, holds bool) Expr {
	switch n := n.(type) {
	case And:
		return d.nodes(n, first, holds, !holds)
	case Or:
		return d.nodes(n, first, holds, holds)
	case Not:
		return d.node(n.Node, first, !holds)
	}
	return Expr{text: strconv.Itoa(first)}
}

// nodes is the deciding leaf of several: of the one that decides alone, or of one among those that all agree.
func (d *decider) nodes(nodes []Node, first int, holds, alone bool) Expr {
	if !alone {
		chosen, at := nodes[0], first
		for _, n := range nodes {
			if d.likes(n) {
				chosen, at = n, first
				break
			}
			first += leaves(n)
		}
		return d.node(chosen, at, holds)
	}
	parts := []Expr{SQL("CASE")}
	for i, n := range nodes {
		decided := d.node(n, first, holds)
		if i == len(nodes)-1 {
			parts = append(parts, SQL(" ELSE "), decided, SQL(" END"))
			break
		}
		is := SQL(" IS TRUE THEN ")
		if !holds {
			is = SQL(" IS NOT TRUE THEN ")
		}
		parts = append(parts, SQL(" WHEN ("), d.compiler.node(n, "", false), SQL(")"), is, decided)
		first += leaves(n)
	}
	return concat(parts...)
}

func (d *decider) likes(n Node) bool {
	found := false
	each := func(nodes []Node) {
		for _, c := range nodes {
			found = found || d.likes(c)
		}
	}
	switch n := n.(type) {
	case And:
		each(n)
	case Or:
		each(n)
	case Not:
		return d.likes(n.Node)
	case Leaf:
		return d.prefer(n)
	}
	return found
}

// Leaves are the leaves of n in the order of Explain.
func Leaves(n Node) []Leaf {
	var all []Leaf
	each := func(nodes []Node) {
		for _, c := range nodes {
			all = append(all, Leaves(c)...)
		}
	}
	switch n := n.(type) {
	case And:
		each(n)
	case Or:
		each(n)
	case Not:
		return Leaves(n.Node)
	case Leaf:
		return []Leaf{n}
	}
	return all
}

func leaves(n Node) int { return len(Leaves(n)) }

// Comparisons are the leaves, and those of conditions within functions with the source in front of their fields:
// transactions.channel.
func Comparisons(n Node) []Leaf {
	all := Leaves(n)
	for _, l := range all {
		if l.Fact == nil || l.Fact.Where == nil {
			continue
		}
		source, _, _ := strings.Cut(l.Fact.Of, ".")
		for _, inner := range Leaves(l.Fact.Where) {
			inner.Field = source + "." + inner.Field
			all = append(all, inner)
		}
	}
	return all
}
