// Package directory finds customers by what people remember of them: a piece of the name, its pinyin or initials, a
// telephone number or its tail, an email, an external id, a registration number. It keeps the rows of names that this
// needs in step with the customers.
package directory

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/search"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Hook keeps the rows of names in step with every write of customers.
type Hook struct{}

// Before implements customer.Hook.
func (Hook) Before(context.Context, postgres.Tx, tenant.Call, []*customer.Write) error { return nil }

// After implements customer.Hook. A deleted customer keeps its row, so that deleted ones are found among themselves.
func (Hook) After(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*customer.Write) error {
	var changed []named
	for _, w := range writes {
		n := namesOf(w.After)
		if w.Before == nil || !n.equal(namesOf(w.Before)) {
			changed = append(changed, n)
		}
	}
	return put(ctx, tx, call.Tenant.ID, changed)
}

// named is a customer with everything that it may be called.
type named struct {
	id      uuid.UUID
	kind    customer.Kind
	names   []string
	changed time.Time // of those who are read from the database
}

func namesOf(c *customer.Customer) named {
	names := append([]string{c.Name}, c.Aliases...)
	if c.Company.LegalName != "" {
		names = append(names, c.Company.LegalName)
	}
	return named{c.ID, c.Kind, names, c.UpdatedAt}
}

func (n named) equal(o named) bool {
	return n.kind == o.kind && slices.Equal(n.names, o.names)
}

func (n named) row(tenantID int32) search.Row {
	all := make([]search.Name, len(n.names))
	for i, text := range n.names {
		all[i] = search.Name{Text: text, Person: n.kind == customer.Person}
	}
	return search.Index(tenantID, all)
}

// chunk bounds how many customers one transaction takes.
const chunk = 2000

// Complete makes the rows that are missing or were made by older rules, of all tenants: after an upgrade, and for
// customers that were loaded past the service before it first looked. Later looks are at those who changed since the one
// before, which finds what a process of an older version wrote meanwhile. It may be interrupted at any time, and several
// may run at once.
func Complete(ctx context.Context, db *postgres.DB, now time.Time, log *slog.Logger) error {
	ctx = postgres.ForAllTenants(ctx)
	tenants, err := tenantIDs(ctx, db)
	if err != nil {
		return err
	}
	for _, id := range tenants {
		start := time.Now() //nolint:forbidigo // only for the log
		total, err := complete(ctx, db, id, now)
		if err != nil {
			return err
		}
		if total > 0 {
			log.InfoContext(ctx, "the names of customers were made searchable", "tenant", id, "customers", total, "took", time.Since(start)) //nolint:forbidigo // only for the log
		}
	}
	return nil
}

// overlap is what two looks share of time: clocks differ, and a transaction says when it began and not when it ended.
const overlap = time.Hour

// complete makes the rows of one tenant and answers how many.
func complete(ctx context.Context, db *postgres.DB, tenantID int32, now time.Time) (int, error) {
	since, err := looked(ctx, db, tenantID)
	if err != nil {
		return 0, err
	}
	next := func(ctx context.Context, tx postgres.Tx, after named) ([]named, error) {
		return lockStale(ctx, tx, tenantID, after.id, chunk)
	}
	if !since.IsZero() {
		since = since.Add(-overlap)
		next = func(ctx context.Context, tx postgres.Tx, after named) ([]named, error) {
			return lockStaleSince(ctx, tx, tenantID, since, after, chunk)
		}
	}
	total := 0
	for last := (named{changed: since}); ; {
		var stale []named
		err := db.InTx(ctx, func(tx postgres.Tx) (err error) {
			if stale, err = next(ctx, tx, last); err != nil {
				return err
			}
			return put(ctx, tx, tenantID, stale)
		})
		if err != nil {
			return total, err
		}
		if len(stale) == 0 {
			return total, noteLook(ctx, db, tenantID, now)
		}
		total, last = total+len(stale), stale[len(stale)-1]
	}
}

// Refresh makes the rows of customers again from what is stored, for whoever writes customers by sets. The customers
// are locked.
func Refresh(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	all, err := read(ctx, tx, tenantID, ids)
	if err != nil {
		return err
	}
	return put(ctx, tx, tenantID, all)
}

// RefreshAll makes the rows of all customers of a tenant again and answers how many there are.
func RefreshAll(ctx context.Context, db *postgres.DB, tenantID int32) (int64, error) {
	var total int64
	after := uuid.Nil
	for {
		var n int
		err := db.InTx(ctx, func(tx postgres.Tx) error {
			all, err := lockNext(ctx, tx, tenantID, after, chunk)
			if n = len(all); err != nil || n == 0 {
				return err
			}
			after = all[n-1].id
			return put(ctx, tx, tenantID, all)
		})
		if err != nil || n == 0 {
			return total, err
		}
		total += int64(n)
	}
}

// Verify compares every row of the tenant with what the names give. It answers the customers whose row differs, at
// most limit of them.
func Verify(ctx context.Context, q postgres.Querier, tenantID int32, limit int) ([]uuid.UUID, error) {
	var wrong []uuid.UUID
	after := uuid.Nil
	for {
		all, err := stored(ctx, q, tenantID, after, chunk)
		if err != nil || len(all) == 0 {
			return wrong, err
		}
		for _, s := range all {
			if !s.right(tenantID) {
				wrong = append(wrong, s.id)
			}
			if len(wrong) == limit {
				return wrong, nil
			}
		}
		after = all[len(all)-1].id
	}
}
