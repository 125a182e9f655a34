package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// constant is a string that only source code can make: other packages can pass literals and constants, because they
// cannot convert to a type they cannot name. So the compiler proves that no caller's words become SQL.
type constant string

// Expr is SQL with a ? for each bound value. Its text comes from source code alone.
type Expr struct {
	text  string
	args  []any
	facts []gathered // which the text names, see Gathered
}

// SQL makes an expression; each ? in text stands for one of args, so text must not use ? as an operator or in a
// literal. It panics when their numbers differ.
func SQL(text constant, args ...any) Expr {
	parts := strings.Split(string(text), "?")
	if n := len(parts) - 1; n != len(args) {
		panic(fmt.Sprintf("filter: SQL with %d placeholders and %d values: %s", n, len(args), text))
	}
	e := Expr{text: parts[0]}
	for i, arg := range args {
		if n, ok := arg.(Part); ok {
			e.text += strconv.FormatInt(int64(n), 10) + parts[i+1]
			continue
		}
		e.text, e.args = e.text+"?"+parts[i+1], append(e.args, arg)
	}
	return e
}

// Part is a value that says which partition of a table is meant. It stands in the text instead of being bound: a plan for any value
// would be one for all partitions, of which there are thousands, and would lock them.
type Part int64

// IsZero tells whether there is no expression.
func (e Expr) IsZero() bool { return e.text == "" }

// Now stands among the values of an expression for the instant at which it is executed. Whoever executes it puts the
// instant in its place.
type Now struct{}

// Where is the expression with ? placeholders, for GORM's Where: db.Where(sql, args...).
func (e Expr) Where() (sql string, args []any) { return e.text, e.args }

// Numbered is the expression with $n placeholders for pgx, the first of them numbered first. Values that are equal and cast
// alike are bound once: a statement of hundreds of rules names the same days and ids again and again.
func (e Expr) Numbered(first int) (sql string, args []any) {
	var b strings.Builder
	bound := map[string]int{}
	for i, s := range strings.Split(e.text, "?") {
		if i > 0 {
			arg := e.args[i-1]
			n := first + len(args)
			if cast := casts.FindString(s); cast != "" {
				key := fmt.Sprintf("%s %T %#v", cast, arg, arg)
				if before, ok := bound[key]; ok {
					n = before
				}
				bound[key] = n
			}
			if n == first+len(args) {
				args = append(args, arg)
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteString(s)
	}
	return b.String(), args
}

// casts is what follows a value whose type does not depend on where it stands.
var casts = regexp.MustCompile(`^::[a-z]+(?:\[\])?`)

// fill puts inner in the place of the one %s.
func (e Expr) fill(inner Expr) Expr {
	before, after, _ := strings.Cut(e.text, "%s")
	n := strings.Count(before, "?")
	return concat(Expr{before, e.args[:n], e.facts}, inner, Expr{text: after, args: e.args[n:]})
}

// operand is the expression, in parentheses unless it is a plain column.
func (e Expr) operand() Expr {
	for _, r := range e.text {
		if !isNamePart(r) && r != '.' {
			return concat(SQL("("), e, SQL(")"))
		}
	}
	return e
}

func concat(parts ...Expr) Expr {
	var b strings.Builder
	var args []any
	var facts []gathered
	for _, p := range parts {
		b.WriteString(p.text)
		args = append(args, p.args...)
		facts = mergeFacts(facts, p.facts)
	}
	return Expr{b.String(), args, facts}
}

// join joins the parts with " AND " or " OR ", in parentheses so that it can stand anywhere.
func join(parts []Expr, with constant) Expr {
	if len(parts) == 1 {
		return parts[0]
	}
	all := []Expr{SQL("(")}
	for i, p := range parts {
		if i > 0 {
			all = append(all, Expr{text: string(with)})
		}
		all = append(all, p)
	}
	return concat(append(all, SQL(")"))...)
}

// AllOf is true where all of the parts are.
func AllOf(parts ...Expr) Expr { return join(parts, " AND ") }

// AnyOf is true where one of the parts is.
func AnyOf(parts ...Expr) Expr { return join(parts, " OR ") }

// Concat is the expressions one after the other.
func Concat(parts ...Expr) Expr { return concat(parts...) }
