package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// Gathering is how a statement comes to facts.
type Gathering int

const (
	// Apart is each fact for itself, in a query of its own.
	Apart Gathering = iota

	// Each is all facts of a source together, for one customer after the other: [Expr.Gathered] joins them to c and m.
	Each

	// Everybody is all facts of a source together, for all customers of a catalogue's tenant at once: [Expr.Gathered] joins
	// them to c and m.
	Everybody
)

// gathered is a value that is read together with others of a source.
type gathered struct {
	source Source
	each   bool   // for one customer; else for all, grouped by customer
	one    bool   // of the only row that a customer has, and so no aggregate
	name   string // of its column, which equal ones share, whoever asks
	value  Expr
	rows   Expr // which of the source's rows count; zero for all
}

// column is the value in a statement that [Expr.Gathered] joins g to.
func (g gathered) column(absent constant) Expr {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%v|%s|%v", g.source.Name, g.value.text, g.value.args, g.rows.text, g.rows.args))
	g.name = "f_" + hex.EncodeToString(sum[:12])
	e := Expr{text: g.name, facts: []gathered{g}}
	if absent != "" {
		e.text = "coalesce(" + g.name + ", " + string(absent) + ")"
	}
	return e
}

// Gather is an aggregate over a source's rows, as the environment comes to facts: absent for a customer without any.
func (env Env) Gather(source Source, value Expr, absent constant) Expr {
	if env.Facts == Apart {
		return concat(SQL("coalesce((SELECT "), value, SQL(" FROM "), source.From, SQL(" WHERE "), source.Own, SQL("), "), SQL(absent), SQL(")"))
	}
	return gathered{source: source, each: env.Facts == Each, value: value}.column(absent)
}

// joined is f over the rows of everybody instead of those that Exists looks up.
func (f Field) joined() Field {
	f.Column = gathered{source: f.Whole, one: true, value: f.Column}.column("")
	f.Exists, f.Known = Expr{}, Expr{}
	return f
}

// Gathered is SQL for the joins to the customers c that e needs when facts were not taken apart. Each source is read once,
// however many facts are made of it.
func (e Expr) Gathered() Expr {
	var all []Expr
	var sources []string
	for _, f := range e.facts {
		if slices.Contains(sources, f.source.Name) {
			continue
		}
		sources = append(sources, f.source.Name)
		var same []gathered
		for _, other := range e.facts {
			if other.source.Name == f.source.Name {
				same = append(same, other)
			}
		}
		alias := "g_" + strconv.Itoa(len(sources))
		if f.each {
			all = append(all, SQL(" CROSS JOIN LATERAL (SELECT c.id AS of"))
		} else {
			all = append(all, SQL(" LEFT JOIN (SELECT "), f.source.Customer, SQL(" AS of"))
		}
		for _, one := range same {
			all = append(all, SQL(", "), one.value)
			if len(same) > 1 && !one.rows.IsZero() {
				all = append(all, SQL(" FILTER (WHERE "), one.rows, SQL(")"))
			}
			all = append(all, Expr{text: " AS " + one.name})
		}
		which := f.source.All
		if f.each {
			which = f.source.Own
		}
		all = append(all, SQL(" FROM "), f.source.From, SQL(" WHERE "), which)
		if len(same) == 1 && !f.rows.IsZero() {
			all = append(all, SQL(" AND "), f.rows)
		}
		if f.each {
			all = append(all, Expr{text: ") " + alias})
			continue
		}
		if !f.one {
			all = append(all, SQL(" GROUP BY 1"))
		}
		all = append(all, Expr{text: ") " + alias + " ON " + alias + ".of = c.id"})
	}
	return concat(all...)
}

func mergeFacts(all, more []gathered) []gathered {
	for _, f := range more {
		if !slices.ContainsFunc(all, func(g gathered) bool { return g.name == f.name }) {
			all = append(all, f)
		}
	}
	return all
}
