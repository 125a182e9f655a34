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
	id    uuid.UUID
	kind  customer.Kind
	names []string
}

func namesOf(c *customer.Customer) named {
	names := append([]string{c.Name}, c.Aliases...)
	if c.Company.LegalName != "" {
		names = append(names, c.Company.LegalName)
	}
	return named{c.ID, c.Kind, names}
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
// customers that were loaded past the service. It may be interrupted at any time, and several may run at once.
func Complete(ctx context.Context, db *postgres.DB, log *slog.Logger) error {
	ctx = postgres.ForAllTenants(ctx)
	tenants, err := tenantIDs(ctx, db)
	if err != nil {
		return err
	}
	for _, id := range tenants {
		start, total, after := time.Now(), 0, uuid.Nil //nolint:forbidigo // only for the log
		for {
			n, last, err := completeChunk(ctx, db, id, after)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			total, after = total+n, last
		}
		if total > 0 {
			log.InfoContext(ctx, "the names of customers were made searchable", "tenant", id, "customers", total, "took", time.Since(start)) //nolint:forbidigo // only for the log
		}
	}
	return nil
}

func completeChunk(ctx context.Context, db *postgres.DB, tenantID int32, after uuid.UUID) (n int, last uuid.UUID, err error) {
	err = db.InTx(ctx, func(tx postgres.Tx) error {
		stale, err := lockStale(ctx, tx, tenantID, after, chunk)
		if err != nil || len(stale) == 0 {
			n = 0
			return err
		}
		n, last = len(stale), stale[len(stale)-1].id
		return put(ctx, tx, tenantID, stale)
	})
	return n, last, err
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
