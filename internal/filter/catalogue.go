package filter

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
)

// Type decides a field's operators, the values that fit, and the type of its SQL.
type Type string

// The types, with the PostgreSQL type that a field's Column must have for its index to serve.
const (
	TypeText    Type = "text"    // text
	TypeNumber  Type = "number"  // numeric or double precision; an integer column would lose its index
	TypeInteger Type = "integer" // bigint, integer or smallint
	TypeMoney   Type = "money"   // bigint, minor units of the tenant's base currency; values are in major units
	TypeScore   Type = "score"   // numeric or double precision
	TypeDate    Type = "date"    // date, a local day of the tenant
	TypeTime    Type = "time"    // timestamptz; a day as value means the whole local day
	TypeBoolean Type = "boolean" // boolean
	TypeChoice  Type = "choice"  // text, one of Choices
	TypeTier    Type = "tier"    // text, the tier's key; with Choices, lowest first, tiers can be compared by rank
	TypeTags    Type = "tags"    // text, within Exists: the key of one of the customer's tags
	TypeUUID    Type = "uuid"    // uuid
)

var sqlTypes = map[Type]constant{
	TypeText: "text", TypeNumber: "numeric", TypeInteger: "bigint", TypeMoney: "bigint", TypeScore: "numeric", TypeDate: "date",
	TypeTime: "timestamptz", TypeBoolean: "boolean", TypeChoice: "text", TypeTier: "text", TypeTags: "text", TypeUUID: "uuid",
}

var (
	equality = []Op{Eq, Ne, In, NotIn}
	order    = []Op{Lt, Lte, Gt, Gte}
	ordered  = slices.Concat(equality, order)
)

var typeOps = map[Type][]Op{
	TypeText:   {Eq, Ne, In, NotIn, Has, Contains, StartsWith},
	TypeNumber: ordered, TypeInteger: ordered, TypeMoney: ordered, TypeScore: ordered, TypeDate: ordered,
	TypeTime:    {Eq, Ne, Lt, Lte, Gt, Gte},
	TypeBoolean: {Eq, Ne},
	TypeChoice:  equality, TypeTier: ordered, TypeUUID: equality,
	TypeTags: {Has, In, NotIn},
}

// Field is what a condition can ask about a customer, and how SQL answers.
type Field struct {
	Name      string // spend_total, scores.clv
	Type      Type
	Label     fault.Text
	Operators []Op     // what the field offers of its type's operators; nil is all of them
	Unit      string   // what a number counts: days, points; empty for money means the base currency
	Choices   []string // the only values of a choice; the tiers of a tier, lowest first; nil checks nothing
	// ChoiceLabels are what people call the Choices, by choice; nil when their names say enough.
	ChoiceLabels map[string]fault.Text

	Nullable bool   // offers is_null and is_not_null; comparisons with absent values are right either way
	Example  *Value // nil shows one of the type

	// Column is the value, over what the statement around the condition selects from: SQL("c.city"). Within Exists it
	// is over what Exists selects from.
	Column Expr

	// Folded is Column in lower case, where it is stored or indexed; zero is lower(Column).
	Folded Expr

	// Match, when set, makes the predicate of contains and starts_with, as an index of grams needs it. It folds the
	// needle itself and escapes it with EscapeLike where it uses LIKE. Its answer may be NULL where Column is.
	Match func(op Op, needle string) Expr

	// Exists asks whether one of several rows fits; %s is where the comparison of Column goes. It is never NULL:
	//
	//	EXISTS (SELECT 1 FROM scores s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.model_id = ? AND %s)
	//
	// A customer without a row is one whose value is absent.
	Exists Expr

	// One tells of Exists that a customer has at most one row.
	One bool

	// Whole, where given with One, is how Exists comes to the rows of Everybody: its From, Customer and All. Fields of equal
	// Names share their rows.
	Whole Source

	// Known, where given, is how Column is found to be one of several values; %s is where their array goes. It is for a
	// Column that hides from the planner how many rows have that very value, such as the key of a tag that is joined:
	//
	//	ct.tag_id = ANY(kezi_tag_ids(?, %s))
	Known Expr
}

// exists is how every Exists begins.
const exists = "EXISTS (SELECT 1 FROM "

func (f Field) check() error {
	switch {
	case !isName(f.Name):
		return fmt.Errorf("filter: field %q: not a name", f.Name)
	case typeOps[f.Type] == nil:
		return fmt.Errorf("filter: field %s: no type %q", f.Name, f.Type)
	case f.Column.IsZero():
		return fmt.Errorf("filter: field %s: no column", f.Name)
	case !f.Exists.IsZero() && (strings.Count(f.Exists.text, "%s") != 1 || !strings.HasPrefix(f.Exists.text, exists)):
		return fmt.Errorf("filter: field %s: Exists begins with %s and has one %%s", f.Name, exists)
	case !f.Known.IsZero() && strings.Count(f.Known.text, "%s") != 1:
		return fmt.Errorf("filter: field %s: Known needs one %%s", f.Name)
	}
	return nil
}

// operators are those that the field offers.
func (f Field) operators() []Op {
	all := typeOps[f.Type]
	if f.Type == TypeTier && len(f.Choices) == 0 {
		all = equality
	}
	if f.Nullable {
		all = slices.Concat(all, []Op{IsNull, IsNotNull})
	}
	if f.Operators == nil {
		return slices.Clone(all)
	}
	return slices.DeleteFunc(slices.Clone(all), func(o Op) bool { return !slices.Contains(f.Operators, o) })
}

// Resolver knows a family of fields that differ by tenant, such as scores.<key>.
type Resolver interface {
	// Resolve is the field of that full name, if there is one.
	Resolve(name string) (Field, bool)

	// Names are the full names of the family, for suggestions and for Describe.
	Names() []string
}

// Catalogue is the fields that conditions may use. It does not change, so many goroutines may use it.
type Catalogue struct {
	names     []string // as registered
	fields    map[string]Field
	resolvers []Resolver
	sources   []Source
}

// NewCatalogue makes a catalogue of static fields; it panics on one that is wrong or stands twice.
func NewCatalogue(fields ...Field) *Catalogue {
	c := &Catalogue{fields: make(map[string]Field, len(fields))}
	for _, f := range fields {
		if err := f.check(); err != nil {
			panic(err)
		}
		if _, twice := c.fields[f.Name]; twice {
			panic("filter: field " + f.Name + " is registered twice")
		}
		c.names = append(c.names, f.Name)
		c.fields[f.Name] = f
	}
	return c
}

// With is the catalogue with the families of one tenant. Static fields win over resolved ones.
func (c *Catalogue) With(resolvers ...Resolver) *Catalogue {
	return &Catalogue{names: c.names, fields: c.fields, resolvers: slices.Concat(c.resolvers, resolvers), sources: c.sources}
}

// Matching is the catalogue with a way of its own to compile contains and starts_with of a static text field, as
// [Field.Match] says.
func (c *Catalogue) Matching(name string, match func(op Op, needle string) Expr) *Catalogue {
	other := *c
	other.fields = maps.Clone(c.fields)
	f := other.fields[name]
	f.Match = match
	other.fields[name] = f
	return &other
}

// Choosing is the catalogue with the only values that a field takes.
func (c *Catalogue) Choosing(name string, choices []string) *Catalogue {
	f, ok := c.Field(name)
	if !ok {
		return c
	}
	other := *c
	other.fields = maps.Clone(c.fields)
	f.Choices = append([]string{}, choices...)
	other.fields[name] = f
	return &other
}

// Field is the field of that name.
func (c *Catalogue) Field(name string) (Field, bool) {
	if f, ok := c.fields[name]; ok {
		return f, true
	}
	for _, r := range c.resolvers {
		if f, ok := r.Resolve(name); ok {
			return f, true
		}
	}
	return Field{}, false
}

// Names are the names of all fields: the static ones as registered, then the families.
func (c *Catalogue) Names() []string {
	all := slices.Clone(c.names)
	for _, r := range c.resolvers {
		for _, name := range r.Names() {
			if _, static := c.fields[name]; !static {
				all = append(all, name)
			}
		}
	}
	return all
}

// Entry describes a field to those who build user interfaces.
type Entry struct {
	Name      string
	Type      Type
	Label     fault.Text
	Operators []Op
	Unit      string   // the currency for money
	Choices   []string // nil when any value of the type fits

	ChoiceLabels map[string]fault.Text // nil, or one per choice
	Example      Value
}

// Describe lists all fields; of env it uses the currency and its digits.
func (c *Catalogue) Describe(env Env) []Entry {
	var all []Entry
	for _, name := range c.Names() {
		f, ok := c.Field(name)
		if !ok {
			continue
		}
		e := Entry{Name: name, Type: f.Type, Label: f.Label, Operators: f.operators(), Unit: f.Unit, Choices: f.Choices, ChoiceLabels: f.ChoiceLabels, Example: f.example(env)}
		if e.Unit == "" && f.Type == TypeMoney {
			e.Unit = env.Currency
		}
		all = append(all, e)
	}
	return all
}
