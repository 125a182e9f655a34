package attribute

import (
	"encoding/json"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// prefix is what conditions name a tenant's own fields by: attributes.member_card.
const prefix = "attributes."

// Fields is the family attributes.<key> of the conditions of one tenant, over the customers c.
type Fields []*Definition

// Names implements filter.Resolver. An archived field still answers; it is not offered any more.
func (f Fields) Names() []string {
	var names []string
	for _, d := range f {
		if !d.Archived {
			names = append(names, prefix+d.Key)
		}
	}
	return names
}

// Resolve implements filter.Resolver.
func (f Fields) Resolve(name string) (filter.Field, bool) {
	if d := f.find(name); d != nil {
		return d.field(filter.SQL("c.attributes")), true
	}
	return filter.Field{}, false
}

// Guarded reports whether one of the names is a field whose values need pii:read.
func (f Fields) Guarded(names ...string) bool {
	for _, name := range names {
		if d := f.find(name); d != nil && d.Sensitivity.Guarded() {
			return true
		}
	}
	return false
}

// KindOf is the one kind of customers that the field of that name applies to; empty for all, and where there is none.
func (f Fields) KindOf(name string) string {
	if d := f.find(name); d != nil && d.AppliesTo != Customers {
		return string(d.AppliesTo)
	}
	return ""
}

func (f Fields) find(name string) *Definition {
	key, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return nil
	}
	for _, d := range f {
		if d.Key == key {
			return d
		}
	}
	return nil
}

// Over is the same family over rows of another table than c: of transactions, t.
type Over struct {
	Fields
	Attributes filter.Expr // SQL("t.attributes")
}

// Resolve implements filter.Resolver.
func (o Over) Resolve(name string) (filter.Field, bool) {
	if d := o.find(name); d != nil {
		return d.field(o.Attributes), true
	}
	return filter.Field{}, false
}

// field is how SQL reads the values of a row. A value from before the field had its type is absent: CASE keeps a cast from
// ever seeing one that would fail it.
func (d *Definition) field(attributes filter.Expr) filter.Field {
	f := filter.Field{Name: prefix + d.Key, Label: fault.T(d.Label, d.Label), Unit: d.Unit, Nullable: true}
	for _, o := range d.Choices {
		if f.ChoiceLabels == nil {
			f.ChoiceLabels = make(map[string]fault.Text, len(d.Choices))
		}
		f.Choices = append(f.Choices, o.Key)
		f.ChoiceLabels[o.Key] = fault.T(o.Label, o.Label)
	}
	value, text := filter.Concat(attributes, filter.SQL(` -> ?::text`, d.Key)), filter.Concat(attributes, filter.SQL(` ->> ?::text`, d.Key))
	// of is shown where the value, or what leads to it, is of a JSON type.
	of := func(kind, path, shown filter.Expr) filter.Expr {
		return filter.Concat(filter.SQL(`CASE WHEN jsonb_typeof(`), path, filter.SQL(`) = `), kind, filter.SQL(` THEN `), shown, filter.SQL(` END`))
	}
	switch d.Type {
	case Text:
		f.Type, f.Column, f.Example = filter.TypeText, of(filter.SQL(`'string'`), value, text), d.example()
	case Number:
		f.Type, f.Column = filter.TypeNumber, of(filter.SQL(`'number'`), value, filter.Concat(filter.SQL(`(`), value, filter.SQL(`)::numeric`)))
	case Money:
		f.Type, f.Unit = filter.TypeMoney, "" // compared in the base currency
		base := filter.Concat(value, filter.SQL(` -> 'base'`))
		f.Column = of(filter.SQL(`'number'`), base, filter.Concat(filter.SQL(`(`), base, filter.SQL(`)::bigint`)))
	case Date:
		f.Type, f.Column = filter.TypeDate, filter.Concat(filter.SQL(`kezi_day(`), value, filter.SQL(`)`))
	case Boolean:
		f.Type, f.Column = filter.TypeBoolean, of(filter.SQL(`'boolean'`), value, filter.Concat(filter.SQL(`(`), value, filter.SQL(`)::boolean`)))
	case Choice:
		f.Type, f.Column = filter.TypeChoice, of(filter.SQL(`'string'`), value, text)
	case MultiChoice:
		f.Type, f.Column = filter.TypeTags, filter.SQL("v.key")
		f.Exists = filter.Concat(filter.SQL(`EXISTS (SELECT 1 FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(`), value, filter.SQL(`) = 'array' THEN `), value,
			filter.SQL(` ELSE '[]' END) v (key) WHERE %s)`))
	case Reference:
		f.Type, f.Column = filter.TypeUUID, filter.Concat(filter.SQL(`CASE WHEN `), text, filter.SQL(` ~
			'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN (`), text, filter.SQL(`)::uuid END`))
	}
	return f
}

// example is a text that the field could hold; an empty one where it takes only what has a pattern, and nobody knows of one.
func (d *Definition) example() *filter.Value {
	var given string
	if err := json.Unmarshal(d.Default, &given); (err != nil || given == "") && d.Validation.Pattern == "" {
		return nil
	}
	v := filter.String(given)
	return &v
}
