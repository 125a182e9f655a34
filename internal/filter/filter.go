// Package filter is the one condition language: lists, segments, automatic tags, tier rules, alerts, exports and
// reports all say with it which customers they mean.
//
// A condition is a tree of [Node]. It has two forms that convert both ways without loss: text for URLs ([Parse] and
// Text) and JSON for user interfaces ([ParseJSON] and MarshalJSON). A [Catalogue] knows the fields; it checks a
// condition and compiles it to one bound SQL predicate ([Expr]).
//
// # Text
//
//	filter     = term { "AND" term } | term { "OR" term } ;      (* both at one level need parentheses *)
//	term       = "NOT" term | "(" filter ")" | condition ;
//	condition  = operand ( "=" | "!=" ) ( value | wildcard | "null" )
//	           | operand ( "<" | "<=" | ">" | ">=" ) value
//	           | operand ":" ( value | "*" )                      (* has; ":*" is "!= null" *)
//	           | operand [ "NOT" ] "IN" "(" value { "," value } ")" ;
//	operand    = field | fact ;
//	field      = name { "." name } ;                              (* spend_total, scores.clv.band *)
//	fact       = function "(" field [ "," string [ "," string ] ] ")" ;  (* what of, window, a filter in quotes *)
//	function   = "count" | "days" | "sum" | "avg" | "min" | "max" | "first" | "last" ;
//	value      = string | number | "true" | "false" | relative ;
//	relative   = "today" [ ( "+" | "-" ) digits ( "d" | "w" | "m" | "y" ) ] ;
//	string     = '"' { character | escape } '"' | "'" { character | escape } "'" ;
//	escape     = "\" ( '"' | "'" | "\" | "*" | "n" | "r" | "t" ) ;
//	wildcard   = string ending in "*" (starts with), or beginning and ending in "*" (contains) ;
//	number     = [ "+" | "-" ] digits [ "." digits ] ;
//
// Keywords are read in any case. A star that is not a wildcard is written \*. A relative day is the same value as
// its quoted text.
//
// A fact is counted or summed over the rows of a [Source]: sum(transactions.amount, "365d", "channel = 'web'") >= 500. The
// window is the last so many days, weeks, months or years with today (90d), from one day to another
// ("2026-01-01..2026-12-31", "today-2y..today-1y"), "all" or, for tiers, "qualification": the window of the tier scheme. The quoted filter asks about one row, without functions.
//
// # JSON
//
//	{"and": [...]}  {"or": [...]}  {"not": {...}}
//	{"field": "spend_total", "op": "gte", "value": "1000"}
//	{"field": "city", "op": "in", "values": ["上海", "杭州"]}
//	{"field": "city", "op": "is_null"}
//	{"function": "sum", "of": "transactions.amount", "window": "365d", "where": {...}, "op": "gte", "value": "500"}
//
// Lists stand in "values", everything else in "value". "eq" and "ne" with the value null are read as is_null and
// is_not_null. An "and" or "or" of one element is read as that element.
//
// # Meaning
//
// Every condition is true or false, never unknown: a comparison with an absent value is false, so ne and not_in are
// true for absent values, and NOT is the exact complement.
//
// Departures from AIP-160 (https://google.aip.dev/160): AND and OR do not mix without parentheses, where AIP-160
// binds OR tighter; != is true for absent values, where AIP-160 skips them; = null asks for absent values; IN, today
// and days on instants are ours; text needs quotes; there is no "-" for NOT and no AND by mere juxtaposition.
package filter

import (
	"encoding/json"
	"slices"
)

// The limits of a condition, in both forms.
const (
	MaxDepth  = 10     // and, or and not above a leaf; parentheses and NOT in text
	MaxLeaves = 200    // comparisons
	MaxValues = 1000   // values of one in or not_in
	MaxText   = 20_000 // characters that Parse reads; a longer JSON condition has a text form that is only for reading

	maxName   = 100 // characters of a field's name
	maxNumber = 40  // characters of a number
)

// Op is how a leaf compares.
type Op string

// The operators.
const (
	Eq         Op = "eq"
	Ne         Op = "ne"
	Lt         Op = "lt"
	Lte        Op = "lte"
	Gt         Op = "gt"
	Gte        Op = "gte"
	In         Op = "in"
	NotIn      Op = "not_in"
	Has        Op = "has" // one of several: tags; on text it is Contains
	Contains   Op = "contains"
	StartsWith Op = "starts_with"
	IsNull     Op = "is_null"
	IsNotNull  Op = "is_not_null"
)

var ops = []Op{Eq, Ne, Lt, Lte, Gt, Gte, In, NotIn, Has, Contains, StartsWith, IsNull, IsNotNull}

// list tells whether the operator takes several values.
func (o Op) list() bool { return o == In || o == NotIn }

// null tells whether the operator takes no value.
func (o Op) null() bool { return o == IsNull || o == IsNotNull }

// Node is a condition: And, Or, Not or Leaf. Nodes are values: compare them with reflect.DeepEqual.
type Node interface {
	json.Marshaler

	// Text is the condition's text form.
	Text() string

	// Fields are the names of the fields that the condition reads, each once, sorted.
	Fields() []string

	node()
}

type (
	// And is true when all of its nodes are; it has two or more.
	And []Node

	// Or is true when one of its nodes is; it has two or more.
	Or []Node

	// Not is the complement of its node.
	Not struct{ Node Node }

	// Leaf compares a field or a fact: with no value for is_null and is_not_null, with any number for in and not_in, else
	// with one.
	Leaf struct {
		Field  string
		Fact   *Fact // in place of Field
		Op     Op
		Values []Value // nil when there are none
	}
)

func (And) node()  {}
func (Or) node()   {}
func (Not) node()  {}
func (Leaf) node() {}

// Fields implements Node.
func (a And) Fields() []string { return fields(a) }

// Fields implements Node.
func (o Or) Fields() []string { return fields(o) }

// Fields implements Node.
func (n Not) Fields() []string { return fields(n) }

// Fields implements Node.
func (l Leaf) Fields() []string { return fields(l) }

func fields(n Node) []string {
	var names []string
	var walk func(Node)
	walk = func(n Node) {
		switch n := n.(type) {
		case And:
			for _, c := range n {
				walk(c)
			}
		case Or:
			for _, c := range n {
				walk(c)
			}
		case Not:
			walk(n.Node)
		case Leaf:
			if n.Fact != nil {
				names = append(names, n.Fact.fields()...)
				return
			}
			names = append(names, n.Field)
		}
	}
	walk(n)
	slices.Sort(names)
	return slices.Compact(names)
}

// Kind is the sort of a Value.
type Kind int

// The kinds of values.
const (
	KindString Kind = iota + 1 // also days, instants, relative days, identifiers and amounts
	KindNumber
	KindBool
)

// Value is what a field is compared with, as it was written: a number keeps its digits.
type Value struct {
	Kind Kind
	Text string // a number as in JSON but without exponent; true or false
}

// String is the text s as a value.
func String(s string) Value { return Value{KindString, s} }

// Number is a number as a value; a text that is none is refused when the condition is compiled.
func Number(digits string) Value { return Value{KindNumber, digits} }

// Bool is true or false as a value.
func Bool(b bool) Value {
	if b {
		return Value{KindBool, "true"}
	}
	return Value{KindBool, "false"}
}
