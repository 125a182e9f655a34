package importer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
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
	results, added, err := b.putPeople(ctx, tx, call, items, &out)
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

// errAgain undoes an attempt.
var errAgain = errors.New("write the batch again without the rows that were refused")

// putPeople writes customers with what belongs to them, and answers what became of each row and which rows added
// something. Whom the tenant's rules refuse when all of it is there is left out by writing the batch again without.
func (b *batch) putPeople(ctx context.Context, tx postgres.Tx, call tenant.Call, items []customer.Item, out *outcome) (results []customer.Result, added map[int]bool, err error) {
	refused := map[int]error{}
	var attempt outcome
	for err = errAgain; errors.Is(err, errAgain); { // each attempt has fewer rows
		attempt = outcome{}
		err = tx.Savepoint(ctx, func(tx postgres.Tx) error {
			var err error
			if results, err = b.importPeople(ctx, tx, call, items, refused); err != nil {
				return err
			}
			if added, err = b.writeParts(ctx, tx, results, &attempt); err != nil {
				return err
			}
			var written []*customer.Customer
			var extended []uuid.UUID // whose parts the rows added to
			seen := map[uuid.UUID]bool{}
			for i := range results {
				r := &results[i]
				if r.Err == nil && added[i] {
					extended = append(extended, r.Customer.ID)
				}
				if r.Err == nil && (r.Outcome != customer.Unchanged || added[i]) && !seen[r.Customer.ID] {
					seen[r.Customer.ID] = true
					written = append(written, &r.Customer)
				}
			}
			if err := completeness.Refresh(ctx, tx, call.Tenant.ID, extended); err != nil {
				return err
			}
			wrong, err := b.service.customers.Settle(ctx, tx, call, written)
			if err != nil || len(wrong) == 0 {
				return err
			}
			for i, r := range results {
				if why := wrong[r.Customer.ID]; r.Err == nil && why != nil {
					refused[i] = why
				}
			}
			return errAgain
		})
	}
	out.errs = append(out.errs, attempt.errs...)
	out.Counts = out.plus(attempt.Counts)
	return results, added, err
}

// importPeople writes the customers of all rows but those refused.
func (b *batch) importPeople(ctx context.Context, tx postgres.Tx, call tenant.Call, items []customer.Item, refused map[int]error) ([]customer.Result, error) {
	results := make([]customer.Result, len(items))
	open, at := make([]customer.Item, 0, len(items)), make([]int, 0, len(items))
	for i, item := range items {
		if results[i].Err = refused[i]; results[i].Err == nil {
			open, at = append(open, item), append(at, i)
		}
	}
	done, err := b.service.customers.Import(ctx, tx, call, open, b.im.RegistrationCheck == Warn)
	for n, r := range done {
		results[at[n]] = r
	}
	return results, err
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
	slices.SortFunc(ids, postgres.CompareIDs)
	return ids
}
