package importer

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
)

// writePeople writes a batch of customers: new ones are made, others merged, deleted ones refused. A customer that
// stands in the file twice may only say the same again: which of two rows is right, nobody knows.
func (b *batch) writePeople(ctx context.Context, tx postgres.Tx) (outcome, error) {
	var out outcome
	if len(b.people) == 0 {
		return out, nil
	}
	ordinals, err := b.ordinals(ctx, tx, len(b.people), func(i int) identity { return b.people[i].identity })
	if err != nil {
		return out, err
	}
	items := make([]customer.Item, len(b.people))
	for i := range b.people {
		r := &b.people[i]
		items[i] = customer.Item{ID: customer.ExternalID{Source: b.im.Source, ID: r.id}, Change: r.change, Repeats: ordinals[i] > 0}
	}
	call := b.run.Call
	call.ChangeSet = b.im.ChangeSet
	results, err := b.service.customers.Import(ctx, tx, call, items, b.im.RegistrationCheck == Warn)
	if err != nil {
		return out, err
	}
	added, err := b.writeParts(ctx, tx, results, &out)
	if err != nil {
		return out, err
	}
	touched := map[uuid.UUID]bool{}
	for i, r := range results {
		line := b.people[i].line
		switch {
		case r.Err != nil:
			out.refuse(b.rowErrors(line, r.Err)...)
			continue
		case r.Outcome == customer.Created:
			out.Created++
		case r.Outcome == customer.Updated || added[i]:
			out.Updated++
		default:
			out.Unchanged++
			continue
		}
		touched[r.Customer.ID] = true
		if len(r.Customer.Warnings) == 0 {
			continue
		}
		out.Warned++
		for _, f := range r.Customer.Warnings {
			out.errs = append(out.errs, RowError{Line: line, Column: b.file.headerAt(f.Pointer), Warning: true, Problem: Problem{f.Code, f.Detail}})
		}
	}
	out.touched = ascending(touched)
	return out, nil
}

// rowErrors are what a refused customer has wrong, by the columns that it came from.
func (b *batch) rowErrors(line int64, err error) []RowError {
	f := fault.Of(err)
	switch {
	case f.Is(customer.ErrDeleted):
		return []RowError{{Line: line, Column: b.file.headerOf("external_id"), Problem: customerDeleted}}
	case len(f.Fields) == 0:
		return []RowError{{Line: line, Column: b.file.headerOf("external_id"), Problem: Problem{f.Code, f.Message}}}
	}
	all := make([]RowError, len(f.Fields))
	for i, field := range f.Fields {
		all[i] = RowError{Line: line, Column: b.file.headerAt(field.Pointer), Problem: Problem{field.Code, field.Detail}}
	}
	return all
}

// headerAt names the column that holds a place of a customer's document, or the first one below it: /person/birthday/day
// stands in person.birthday, and /company in whatever of a company is mapped. It is empty for a place that no column holds.
func (f *file) headerAt(pointer string) string {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if parts[0] == "source" {
		parts = []string{strings.Join(parts, "_")}
	}
	name := strings.Join(parts, ".")
	for _, c := range f.columns {
		if c.field == name || strings.HasPrefix(name, c.field+".") || strings.HasPrefix(c.field, name+".") {
			return c.header
		}
	}
	return ""
}

// ascending is a set of ids as a list in the order of locks.
func ascending(set map[uuid.UUID]bool) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
