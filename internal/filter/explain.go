package filter

import "fmt"

// Reason is one leaf of a condition, with SQL that tells of one customer whether it holds and what it saw.
type Reason struct {
	Leaf    Leaf
	Pointer string // of the leaf in the condition's JSON form
	Type    Type   // of what the leaf compares
	Unit    string // of its numbers: the currency for money
	Holds   Expr   // boolean, never NULL
	Seen    Expr   // text[]: the values that the leaf compares, as a condition would write them; empty where there are none
}

// Explain takes a condition that compiles apart into its leaves, in the order in which they stand.
func (c *Catalogue) Explain(n Node, env Env) ([]Reason, error) {
	if _, err := c.Compile(n, env); err != nil {
		return nil, err
	}
	k := compiler{catalogue: c, env: env, at: byPath}
	var all []Reason
	k.explain(n, "", &all)
	if k.broken != nil {
		return nil, k.broken
	}
	return all, k.err()
}

func (c *compiler) explain(n Node, path string, all *[]Reason) {
	nodes := func(nodes []Node, path string) {
		for i, n := range nodes {
			c.explain(n, fmt.Sprintf("%s/%d", path, i), all)
		}
	}
	switch n := n.(type) {
	case And:
		nodes(n, path+"/and")
	case Or:
		nodes(n, path+"/or")
	case Not:
		c.explain(n.Node, path+"/not", all)
	case Leaf:
		at := place{path: path}
		f, ok := c.compared(n, at)
		if !ok {
			return
		}
		unit := f.Unit
		if unit == "" && f.Type == TypeMoney {
			unit = c.env.Currency
		}
		*all = append(*all, Reason{Leaf: n, Pointer: path, Type: f.Type, Unit: unit, Holds: concat(SQL("("), c.leaf(n, at, false), SQL(") IS TRUE")), Seen: f.seen(c.env)})
	}
}

// Evaluate tells whether n holds where its leaves hold as holds says, in the order of Explain.
func Evaluate(n Node, holds []bool) bool {
	result, _ := evaluate(n, holds)
	return result
}

// evaluate also answers the leaves that come after n.
func evaluate(n Node, holds []bool) (result bool, rest []bool) {
	every := func(nodes []Node, with bool) bool {
		all := with
		for _, n := range nodes {
			var one bool
			if one, holds = evaluate(n, holds); one != with {
				all = !with
			}
		}
		return all
	}
	switch n := n.(type) {
	case And:
		result = every(n, true)
	case Or:
		result = every(n, false)
	case Not:
		result, holds = evaluate(n.Node, holds)
		result = !result
	case Leaf:
		return holds[0], holds[1:]
	}
	return result, holds
}

// seen is what the field's comparisons look at.
func (f Field) seen(env Env) Expr {
	value := concat(SQL("("), f.Column, SQL(")::text"))
	switch f.Type {
	case TypeMoney:
		value = concat(SQL("round(("), f.Column, SQL(")::numeric / 10::numeric ^ ?::integer, ?::integer)::text", env.Digits, env.Digits))
	case TypeTime:
		value = concat(SQL("to_char(("), f.Column, SQL(`) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`))
	}
	if f.Exists.IsZero() {
		return concat(SQL("array_remove(ARRAY["), value, SQL("], NULL)"))
	}
	rows := Expr{text: f.Exists.text[len(exists):], args: f.Exists.args}
	return concat(SQL("ARRAY(SELECT "), value, SQL(" FROM "), rows.fill(concat(f.Column.operand(), SQL(" IS NOT NULL"))))
}
