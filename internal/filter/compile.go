package filter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
)

// Compile checks a condition against the catalogue and makes it one predicate, which is true or false or, where the
// condition is false, NULL: right in WHERE, CASE WHEN and FILTER, and in IS TRUE where a value is needed.
//
// Fails with ErrUnknownField, ErrOperator, ErrValue, ErrLimit, ErrSyntax or, for a rule, ErrContradiction; the places are pointers into the JSON
// form, or for CompileText characters of the text. All wrong leaves are told at once.
func (c *Catalogue) Compile(n Node, env Env) (Expr, error) { return c.compile(n, env, byPath) }

// CompileText is Parse and Compile.
func (c *Catalogue) CompileText(text string, env Env) (Node, Expr, error) {
	n, at, err := parse(text)
	if err != nil {
		return nil, Expr{}, err
	}
	e, err := c.compile(n, env, at)
	return n, e, err
}

// CompileJSON is ParseJSON and Compile.
func (c *Catalogue) CompileJSON(raw []byte, env Env) (Node, Expr, error) {
	n, at, err := parseJSON(raw)
	if err != nil {
		return nil, Expr{}, err
	}
	e, err := c.compile(n, env, at)
	return n, e, err
}

func (c *Catalogue) compile(n Node, env Env, at locator) (Expr, error) {
	if env.Zone == nil || env.Now.IsZero() {
		return Expr{}, errors.New("filter: the environment has no clock or no zone")
	}
	if err := check(n, at); err != nil {
		return Expr{}, err
	}
	k := compiler{catalogue: c, env: env, at: at, seen: map[string]compared{}}
	e := k.node(n, "", false)
	if k.broken != nil {
		return Expr{}, k.broken
	}
	if env.Rule && k.first == nil {
		k.never(n)
	}
	if err := k.err(); err != nil {
		return Expr{}, err
	}
	return e, nil
}

type compiler struct {
	problems
	catalogue *Catalogue
	env       Env
	at        locator
	leaves    int
	seen      map[string]compared // the leaves by path, for Env.Rule
	broken    error               // a field that a resolver made wrongly: not the caller's fault
}

func (c *compiler) wrong(f *fault.Fault, at place, detail fault.Text, accepted ...string) {
	pointer, character := c.at(at)
	c.add(f, pointer, character, detail, accepted...)
}

// node compiles n, or its complement. A complement goes down to the leaves, which know exact ones: in three-valued
// logic NOT of an unknown comparison would be unknown.
func (c *compiler) node(n Node, path string, negated bool) Expr {
	switch n := n.(type) {
	case And:
		return c.nodes(n, path+"/and", " AND ", " OR ", negated)
	case Or:
		return c.nodes(n, path+"/or", " OR ", " AND ", negated)
	case Not:
		return c.node(n.Node, path+"/not", !negated)
	case Leaf:
		at := place{path: path, leaf: c.leaves}
		c.leaves++
		return c.leaf(n, at, negated)
	}
	return Expr{}
}

func (c *compiler) nodes(nodes []Node, path string, with, complement constant, negated bool) Expr {
	parts := make([]Expr, len(nodes))
	for i, n := range nodes {
		parts[i] = c.node(n, fmt.Sprintf("%s/%d", path, i), negated)
	}
	if negated {
		with = complement
	}
	return join(parts, with)
}

// leaf answers no expression when it recorded a problem.
func (c *compiler) leaf(l Leaf, at place, negated bool) Expr {
	f, ok := c.compared(l, at)
	if !ok {
		return Expr{}
	}
	if err := f.check(); err != nil {
		c.broken = err
		return Expr{}
	}
	if offered := f.operators(); !slices.Contains(offered, l.Op) {
		at.part = partOp
		names := strings.Join(each(offered), ", ")
		c.wrong(ErrOperator, at, fault.T("this field takes "+names, "该字段支持 "+names), each(offered)...)
		return Expr{}
	}
	operands, ok := c.operands(f, l, at)
	if !ok {
		return Expr{}
	}
	if c.env.Rule {
		c.seen[at.path] = compared{l, f, at}
	}
	op := l.Op
	switch op {
	case Ne:
		op, negated = Eq, !negated
	case NotIn:
		op, negated = In, !negated
	case IsNull:
		op, negated = IsNotNull, !negated
	case Has:
		op = Eq
		if f.Type == TypeText {
			op = Contains
		}
	}
	return f.predicate(op, operands, negated)
}

// compared is the field that l compares, or its fact as one.
func (c *compiler) compared(l Leaf, at place) (Field, bool) {
	if l.Fact != nil {
		return c.fact(l.Fact, at)
	}
	f, ok := c.catalogue.Field(l.Field)
	if !ok {
		c.unknown(l.Field, at)
	}
	if c.env.Facts == Everybody && f.Whole.Name != "" {
		f = f.joined()
	}
	return f, ok
}

func (c *compiler) unknown(name string, at place) {
	at.part = partField
	nearest := c.catalogue.suggest(name)
	if nearest == "" {
		c.wrong(ErrUnknownField, at, fault.T("there is no such field; /v1/filter-fields lists them", "没有这个字段，可用字段见 /v1/filter-fields"))
		return
	}
	c.wrong(ErrUnknownField, at, fault.T("there is no such field; the nearest is "+nearest, "没有这个字段，最接近的是 "+nearest), nearest)
}

func (c *compiler) operands(f Field, l Leaf, at place) ([]operand, bool) {
	good := true
	all := make([]operand, 0, len(l.Values))
	for i, v := range l.Values {
		o, ok := f.operand(v, c.env)
		if !ok {
			at.part, at.item = partValue, i
			if l.Op.list() {
				at.part = partItem
			}
			detail, choices := f.accepted(c.env, v)
			c.wrong(ErrValue, at, detail, choices...)
			good = false
		}
		all = append(all, o)
	}
	return all, good
}

// predicate is the comparison or its complement. Comparisons stay plain, so that an index serves them.
func (f Field) predicate(op Op, values []operand, negated bool) Expr {
	positive := f.compare(op, values)
	column := f.Column.operand()
	switch {
	case !f.Exists.IsZero() && negated:
		return concat(SQL("NOT ("), f.Exists.fill(positive), SQL(")"))
	case !f.Exists.IsZero():
		return concat(SQL("("), f.Exists.fill(positive), SQL(")"))
	case !negated:
		return positive
	case op == IsNotNull:
		return concat(column, SQL(" IS NULL"))
	case op == Eq && values[0].until == nil:
		return concat(column, SQL(" IS DISTINCT FROM "), f.bind(values[0].arg))
	}
	return concat(SQL("("), positive, SQL(") IS NOT TRUE"))
}

var comparators = map[Op]constant{Eq: " = ", Lt: " < ", Lte: " <= ", Gt: " > ", Gte: " >= "}

// compare is what holds for a value that is there; NULL counts as false.
func (f Field) compare(op Op, values []operand) Expr {
	column := f.Column.operand()
	switch op {
	case IsNotNull:
		return concat(column, SQL(" IS NOT NULL"))
	case In:
		return f.anyOf(values)
	case Contains, StartsWith:
		return f.match(op, values[0].arg.(string))
	}
	v := values[0]
	switch {
	case !f.Known.IsZero() && op == Eq:
		return f.anyOf(values)
	case f.Type == TypeTier && op != Eq:
		return f.anyOf(f.ranked(op, v.arg.(string)))
	case v.until == nil:
		return concat(column, Expr{text: string(comparators[op])}, f.bind(v.arg))
	case op == Eq:
		return concat(SQL("("), column, SQL(" >= "), f.bind(v.arg), SQL(" AND "), column, SQL(" < "), f.bind(v.until), SQL(")"))
	case op == Lte:
		return concat(column, SQL(" < "), f.bind(v.until))
	case op == Gt:
		return concat(column, SQL(" >= "), f.bind(v.until))
	}
	return concat(column, Expr{text: string(comparators[op])}, f.bind(v.arg))
}

// bind is a placeholder for arg in the field's type.
func (f Field) bind(arg any) Expr {
	return Expr{text: "?::" + string(sqlTypes[f.Type]), args: []any{arg}}
}

// anyOf binds all values as the text of one array: the statement stays the same whatever their number, and no number
// of them passes the protocol's limit of 65,535 parameters.
func (f Field) anyOf(values []operand) Expr {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		switch arg := v.arg.(type) {
		case string:
			b.WriteByte('"')
			_, _ = arrayEscapes.WriteString(&b, arg)
			b.WriteByte('"')
		case int64:
			b.WriteString(strconv.FormatInt(arg, 10))
		}
	}
	b.WriteByte('}')
	array := Expr{text: "?::" + string(sqlTypes[f.Type]) + "[]", args: []any{b.String()}}
	if !f.Known.IsZero() {
		return f.Known.fill(array)
	}
	return concat(f.Column.operand(), SQL(" = ANY("), array, SQL(")"))
}

// arrayEscapes are those of a quoted array element.
//
// Source: https://www.postgresql.org/docs/15/arrays.html#ARRAYS-IO
var arrayEscapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// ranked are the tiers that stand on that side of the given one.
func (f Field) ranked(op Op, tier string) []operand {
	rank := slices.Index(f.Choices, tier)
	var side []string
	switch op {
	case Lt:
		side = f.Choices[:rank]
	case Lte:
		side = f.Choices[:rank+1]
	case Gt:
		side = f.Choices[rank+1:]
	case Gte:
		side = f.Choices[rank:]
	}
	all := make([]operand, len(side))
	for i, t := range side {
		all[i] = operand{arg: t}
	}
	return all
}

// match compares in lower case; both sides are folded by the database, so that they agree.
func (f Field) match(op Op, needle string) Expr {
	if f.Match != nil {
		return concat(SQL("("), f.Match(op, needle), SQL(")"))
	}
	folded := f.Folded.operand()
	if folded.IsZero() {
		folded = concat(SQL("lower("), f.Column, SQL(")"))
	}
	pattern := EscapeLike(needle) + "%"
	if op == Contains {
		pattern = "%" + pattern
	}
	return concat(folded, SQL(" LIKE lower(?::text)", pattern))
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// EscapeLike is s as a pattern of LIKE that matches s alone.
func EscapeLike(s string) string { return likeEscapes.Replace(s) }
