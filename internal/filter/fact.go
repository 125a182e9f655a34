package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
)

// Function makes one value of many facts.
type Function string

// The functions. Count, Days and Sum of no facts are 0; the others are absent.
const (
	Count Function = "count" // facts
	Days  Function = "days"  // different local days
	Sum   Function = "sum"   // of a measure
	Avg   Function = "avg"   // of a measure
	Min   Function = "min"   // of a measure
	Max   Function = "max"   // of a measure
	First Function = "first" // local day of the earliest
	Last  Function = "last"  // local day of the latest
)

// Functions are all there are.
var Functions = []Function{Count, Days, Sum, Avg, Min, Max, First, Last}

// measures tells whether the function is of a number in each fact, such as transactions.amount.
func (f Function) measures() bool { return f == Sum || f == Avg || f == Min || f == Max }

// Fact is what a leaf may ask in place of a field: a value made of the customer's facts of one source, such as the sum of
// what was paid within a year.
type Fact struct {
	Function Function
	Of       string // a source, or one of its measures: transactions, transactions.amount
	Window   string // which days count, see windowForm, or Qualification; empty for all
	Where    Node   // which facts count; nil for all
}

// nullable tells whether no facts make an absent value.
func (f Function) nullable() bool { return f != Count && f != Days && f != Sum }

// operators are those that what the function makes can be compared with.
func (f Function) operators() []Op {
	if f.nullable() {
		return slices.Concat(ordered, []Op{IsNull, IsNotNull})
	}
	return ordered
}

// fields are the names that f reads: what it is made of, and each field of the inner condition after the source's name.
func (f *Fact) fields() []string {
	names := []string{f.Of}
	if f.Where != nil {
		source, _, _ := strings.Cut(f.Of, ".")
		for _, name := range f.Where.Fields() {
			names = append(names, source+"."+name)
		}
	}
	return names
}

// windowForm: the last so many days, weeks, months or years up to and with today, such as 90d; or from one day to
// another, both included, such as 2026-01-01..2026-12-31 or today-2y..today-1y.
var windowForm = regexp.MustCompile(`^(?:([0-9]{1,5}[dwmy])|([^.]+)\.\.([^.]+))$`)

// Qualification is the window of a tier scheme, in which facts count for its tiers. Conditions elsewhere have none.
const Qualification = "qualification"

// Span is the first and the last day of a window, as SQL over the customer. Fixed tells that they are the same for everybody.
type Span struct {
	From, To Expr
	Fixed    bool
}

// Qualifies tells whether a fact of n counts within the window of a tier scheme.
func Qualifies(n Node) bool {
	return slices.ContainsFunc(Leaves(n), func(l Leaf) bool { return l.Fact != nil && l.Fact.Window == Qualification })
}

// allTime is how the text form writes an empty window before a condition.
const allTime = "all"

// window is the first and the last day that count.
func (e Env) window(s string) (from, to day, ok bool) {
	m := windowForm.FindStringSubmatch(s)
	switch {
	case m == nil:
		return day{}, day{}, false
	case m[1] != "":
		before, ok := e.parseDay("today-" + m[1])
		return before.plus(1), dayOf(e.Now.In(e.Zone)), ok
	}
	from, okFrom := e.parseDay(m[2])
	to, okTo := e.parseDay(m[3])
	return from, to, okFrom && okTo && from.String() <= to.String()
}

// windowShaped tells whether s can be a window on some day.
func windowShaped(s string) bool {
	if s == Qualification {
		return true
	}
	m := windowForm.FindStringSubmatch(s)
	return len(m) == 4 && (m[1] != "" || dayShaped(m[2]) && dayShaped(m[3]))
}

func dayShaped(s string) bool { return relative.MatchString(s) || dateForm.MatchString(s) }

var dateForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// Source is a kind of facts of which a customer has many, such as transactions.
type Source struct {
	Name   string     // transactions
	Label  fault.Text // what one row is
	From   Expr       // SQL("transactions t"), with joins where fields need them
	Own    Expr       // which rows are the customer's: SQL("t.tenant_id = c.tenant_id AND t.customer_id = c.id")
	Day    Expr       // the local day that a row counts for
	Fields *Catalogue // what the condition within a function can ask; its numbers and amounts are the measures

	// For Everybody: whose a row is, and which rows are anybody's, without c. Zero where facts are only asked of one
	// customer after the other.
	Customer, All Expr
}

// Measures are the names of what can be summed.
func (s Source) Measures() []string {
	return slices.DeleteFunc(s.Fields.Names(), func(name string) bool {
		f, _ := s.Fields.Field(name)
		return !f.Exists.IsZero() || f.Type != TypeMoney && f.Type != TypeInteger && f.Type != TypeNumber
	})
}

// WithSources is the catalogue with facts that functions are made of.
func (c *Catalogue) WithSources(sources ...Source) *Catalogue {
	return &Catalogue{names: c.names, fields: c.fields, resolvers: c.resolvers, sources: slices.Concat(c.sources, sources)}
}

// Sources are the kinds of facts.
func (c *Catalogue) Sources() []Source { return slices.Clone(c.sources) }

func (c *Catalogue) source(name string) (Source, bool) {
	i := slices.IndexFunc(c.sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return Source{}, false
	}
	return c.sources[i], true
}

// factNames are what f.Of can be.
func (c *Catalogue) factNames(f Function) []string {
	var names []string
	for _, s := range c.sources {
		if !f.measures() {
			names = append(names, s.Name)
			continue
		}
		for _, m := range s.Measures() {
			names = append(names, s.Name+"."+m)
		}
	}
	return names
}

// fact makes the field that a fact is compared as, and answers false when it recorded a problem.
func (c *compiler) fact(f *Fact, at place) (Field, bool) {
	before := len(c.fields)
	name, measure, _ := strings.Cut(f.Of, ".")
	source, known := c.catalogue.source(name)
	if names := c.catalogue.factNames(f.Function); !slices.Contains(names, f.Of) {
		at.part = partOf
		accepted := strings.Join(names, ", ")
		c.wrong(ErrUnknownField, at, fault.T(fmt.Sprintf("%s is made of one of: %s", f.Function, accepted),
			fmt.Sprintf("%s 的对象为：%s", f.Function, accepted)), names...)
	}
	rows := []Expr{} // what they have to fulfil
	how := c.env.Facts
	if how == Everybody && source.All.IsZero() {
		how = Apart
	}
	switch {
	case f.Window == Qualification:
		if c.env.Qualification == nil {
			at.part = partWindow
			c.wrong(ErrValue, at, fault.T("only the conditions of tiers have a qualification window", "只有层级条件才有资格统计期"))
		} else if known {
			span := *c.env.Qualification
			rows = append(rows, concat(source.Day.operand(), SQL(" BETWEEN "), span.From.operand(), SQL(" AND "), span.To.operand()))
			if how == Everybody && !span.Fixed {
				how = Apart
			}
		}
	case f.Window != "":
		from, to, ok := c.env.window(f.Window)
		if !ok {
			at.part = partWindow
			c.wrong(ErrValue, at, fault.T("this window ends before it begins, or names a day that does not exist", "时间窗口的结束早于开始，或含有不存在的日期"))
		}
		if known {
			rows = append(rows, concat(source.Day.operand(), SQL(" BETWEEN ?::date AND ?::date", from.String(), to.String())))
		}
	}
	if f.Where != nil && known {
		outer := c.catalogue
		c.catalogue = source.Fields
		rows = append(rows, c.node(f.Where, at.path+"/where", false))
		c.catalogue = outer
	}
	if !known || len(c.fields) > before {
		return Field{}, false
	}
	return f.asField(source, measure, how, rows)
}

// asField is the fact over the rows that fulfil all of rows as a field.
func (f *Fact) asField(source Source, measure string, how Gathering, rows []Expr) (Field, bool) {
	of, ok := source.Fields.Field(measure)
	if f.Function.measures() != (measure != "") || measure != "" && !ok {
		return Field{}, false
	}
	field := Field{Name: "fact", Type: TypeInteger, Label: source.Label, Operators: f.Function.operators(), Nullable: f.Function.nullable()}
	var value Expr
	switch f.Function {
	case Count:
		value = SQL("count(*)")
	case Days:
		value = concat(SQL("count(DISTINCT "), source.Day, SQL(")"))
	case Sum:
		field.Type = of.Type
		value = concat(SQL("sum("), of.Column, SQL(")"))
	case First, Last:
		field.Type = TypeDate
		value = concat(SQL(extremes[f.Function]), source.Day, SQL(")"))
	default:
		field.Type = of.Type
		if f.Function == Avg && of.Type == TypeInteger {
			field.Type = TypeNumber
		}
		value = concat(SQL(extremes[f.Function]), of.Column, SQL(")"))
	}
	if how != Apart {
		absent := constant("0")
		if field.Nullable {
			absent = ""
		}
		which := Expr{}
		if len(rows) > 0 {
			which = join(rows, " AND ")
		}
		field.Column = gathered{source: source, each: how == Each, value: value, rows: which}.column(absent)
		return field, true
	}
	if f.Function == Sum {
		value = concat(SQL("coalesce("), value, SQL(", 0)"))
	}
	parts := []Expr{SQL("SELECT "), value, SQL(" FROM "), source.From, SQL(" WHERE "), source.Own}
	for _, r := range rows {
		parts = append(parts, SQL(" AND "), r)
	}
	field.Column = concat(parts...)
	return field, true
}

var extremes = map[Function]constant{First: "min(", Last: "max(", Min: "min(", Max: "max(", Avg: "avg("}
