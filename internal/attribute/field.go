package attribute

import (
	"encoding/json"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// prefix is what conditions name a tenant's own fields by: attributes.member_card.
const prefix = "attributes."

// Fields is the family attributes.<key> of the conditions of one tenant: the fields of its customers.
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
		return d.field(), true
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

// field is how SQL reads the values, over c. A value from before the field had its type is absent: CASE keeps a cast
// from ever seeing one that would fail it.
func (d *Definition) field() filter.Field {
	f := filter.Field{Name: prefix + d.Key, Label: fault.T(d.Label, d.Label), Unit: d.Unit, Nullable: true}
	key := d.Key
	for _, o := range d.Choices {
		if f.ChoiceLabels == nil {
			f.ChoiceLabels = make(map[string]fault.Text, len(d.Choices))
		}
		f.Choices = append(f.Choices, o.Key)
		f.ChoiceLabels[o.Key] = fault.T(o.Label, o.Label)
	}
	const text = `CASE WHEN jsonb_typeof(c.attributes -> ?::text) = 'string' THEN c.attributes ->> ?::text END`
	switch d.Type {
	case Text:
		f.Type, f.Column, f.Example = filter.TypeText, filter.SQL(text, key, key), d.example()
	case Number:
		f.Type, f.Column = filter.TypeNumber, filter.SQL(
			`CASE WHEN jsonb_typeof(c.attributes -> ?::text) = 'number' THEN (c.attributes -> ?::text)::numeric END`, key, key)
	case Money:
		f.Type, f.Unit = filter.TypeMoney, "" // compared in the base currency
		f.Column = filter.SQL(`CASE WHEN jsonb_typeof(c.attributes -> ?::text -> 'base') = 'number'
			THEN (c.attributes -> ?::text -> 'base')::bigint END`, key, key)
	case Date:
		f.Type, f.Column = filter.TypeDate, filter.SQL(`kezi_day(c.attributes -> ?::text)`, key)
	case Boolean:
		f.Type, f.Column = filter.TypeBoolean, filter.SQL(
			`CASE WHEN jsonb_typeof(c.attributes -> ?::text) = 'boolean' THEN (c.attributes -> ?::text)::boolean END`, key, key)
	case Choice:
		f.Type, f.Column = filter.TypeChoice, filter.SQL(text, key, key)
	case MultiChoice:
		f.Type, f.Column = filter.TypeTags, filter.SQL("v.key")
		f.Exists = filter.SQL(`EXISTS (SELECT 1 FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(c.attributes -> ?::text) = 'array'
			THEN c.attributes -> ?::text ELSE '[]' END) v (key) WHERE %s)`, key, key)
	case Reference:
		f.Type, f.Column = filter.TypeUUID, filter.SQL(`CASE WHEN c.attributes ->> ?::text ~
			'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN (c.attributes ->> ?::text)::uuid END`, key, key)
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
