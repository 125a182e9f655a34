package rule

import (
	"maps"
	"slices"
	"strings"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
)

// set is names of fields or of families of fields.
type set map[string]bool

func (s set) add(names ...string) {
	for _, n := range names {
		s[n] = true
	}
}

// String is the names, separated by commas.
func (s set) String() string { return strings.Join(slices.Sorted(maps.Keys(s)), ",") }

// any reports whether one of the fields, or its family, is in s.
func (s set) any(fields []string) bool {
	for _, name := range fields {
		if s[everything] || s[name] || s[familyOf(name)] {
			return true
		}
	}
	return false
}

// everything stands for all families: a customer that comes, goes or returns, and sets of customers of whom the
// transaction does not say what changed.
const everything = "*"

// Listed is the family of what people decide by hand about a rule's customers: who is on a static segment's list, carries
// a tag by hand or must not carry it. A rule that reads it has it in front of its name: listed.<anything>.
const Listed = "listed"

// Placed is the family of placements by hand: placed.<tier scheme>.
const Placed = "placed"

func familyOf(name string) string {
	if family, _, _ := strings.Cut(name, "."); family == Listed || family == Placed {
		return family
	}
	return condition.Family(name)
}

// changes are the families that an event about customers changes, by its type or the subject in its type. A subject that
// is not here changes everything, which costs time and never truth.
var changes = map[string][]string{
	"customer.updated":     {condition.Record},
	"customer.tagged":      {condition.Tags, Listed},
	"customer.untagged":    {condition.Tags, Listed},
	"customer.tag_lifted":  {Listed},
	"tags":                 {condition.Tags, Listed},
	"tag":                  {condition.Tags, Listed},
	"customer.tier_placed": {Placed},
	"customer.tier_lifted": {Placed},
	"transaction":          {condition.Metrics, condition.Transactions},
	"return":               {condition.Metrics, condition.Transactions},
	"payment":              {condition.Metrics, condition.Transactions},
	"contact_point":        {condition.Record, condition.Metrics},
	"address":              {condition.Record, condition.Metrics},
	"contact":              {condition.Record, condition.Metrics},
	"note":                 {},
	"relation":             {},
	"customer.scored":      {condition.Scores},
	"customer.classified":  {},
	"customers.classified": {},
}

func changedBy(what string) []string {
	if names, ok := changes[what]; ok {
		return names
	}
	subject, _, _ := strings.Cut(what, ".")
	if names, ok := changes[subject]; ok {
		return names
	}
	return []string{everything}
}

// setChanges are the families that an event about a set of customers changes, by its type. A transaction that notes a set
// without any of these changes everything.
var setChanges = map[string][]string{
	"customers.tagged":    {condition.Tags, Listed},
	"customers.untagged":  {condition.Tags, Listed},
	"tags.expired":        {condition.Tags, Listed},
	"tag.deleted":         {condition.Tags, Listed},
	"tag.merged":          {condition.Tags, Listed},
	"tier_scheme.deleted": {}, // what a condition reads is not deleted
	"segment.listed":      {Listed},
	"segment.unlisted":    {Listed},
	event.Imported:        {everything},
}

// meaningOf is what means something else after an event that is about no customer: fields, or families of them.
func meaningOf(what string) []string {
	if what == "field_definition.updated" || what == "field_definition.deleted" {
		return []string{condition.Record}
	}
	return nil
}
