// Package owned keeps the lists of things that belong to one customer, such as its contacts, addresses and notes. What
// these lists have in common is here once: the customer is held, versions count, a change without effect is none, every
// change has its event, at most one item is the primary one, and no list grows without end.
package owned

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Most is how many items of one kind a customer can have.
const Most = 1000

// ErrFull is answered where a customer has Most items of the kind already.
var ErrFull = fault.New(fault.Conflict, "too_many_items",
	"the customer has 1000 of these already, which is the most; delete some first", "该客户的此类记录已达上限 1000 条；请先删除一些")

// Base is what items of every kind have. A subject's item embeds it.
type Base struct {
	ID         uuid.UUID // UUIDv7
	CustomerID uuid.UUID
	Version    int64     // raised by each change
	CreatedAt  time.Time // UTC, microseconds: what the database keeps
	UpdatedAt  time.Time
}

// Hidden stands in a difference for a value that no event may show: the event tells that the field changed, not what it
// was. Personal contact values are hidden, and free text, into which people write them.
var Hidden any = hidden{}

type hidden struct{}

// Kind is one kind of owned things: T is the subject's item, R the row of its table.
type Kind[T any, R Row] struct {
	Name     string // contact: its events are contact.created, contact.updated and contact.deleted
	NotFound *fault.Fault
	Base     func(*T) *Base
	ToRow    func(tenantID int32, item T) (R, error)
	ToItem   func(R) (T, error)
	// Difference names the contract's fields in which two items differ, with their values before, or Hidden.
	Difference func(before, after T) map[string]any
	// Order is how items are listed; nil lists the oldest first.
	Order *Order[T]
	// Primary, where a kind knows primary items, finds an item's flag, whose column is is_primary, and the columns
	// whose values say among which items it is the only one; none are all items of the customer.
	Primary func(*T) (flag *bool, among map[string]any)
	// Refusals are the faults that the table's constraints mean, by constraint.
	Refusals map[string]*fault.Fault
	// Removing is told of an item that is being deleted, in the same transaction.
	Removing func(ctx context.Context, tx postgres.Tx, call tenant.Call, item T) error
}

// Order is a total order of a kind's items.
type Order[T any] struct {
	By         []Term // the id last
	Descending bool   // all of them
	Key        func(T) page.Key
}

// Term is an expression over the row, such as a column, and its type in SQL.
type Term struct{ Expr, Type string }

// Keeper keeps one kind. A subject's service embeds it and adds Create and Update.
type Keeper[T any, R Row] struct {
	db   *postgres.DB
	now  func() time.Time
	kind Kind[T, R]
}

// Keep keeps a kind on db with the time that now tells.
func Keep[T any, R Row](db *postgres.DB, now func() time.Time, kind Kind[T, R]) *Keeper[T, R] {
	if kind.Order == nil {
		kind.Order = &Order[T]{By: []Term{{"created_at", "timestamptz"}, {"id", "uuid"}}, Key: func(item T) page.Key {
			b := kind.Base(&item)
			return page.Key{b.CreatedAt.Format(time.RFC3339Nano), b.ID.String()}
		}}
	}
	return &Keeper[T, R]{db, now, kind}
}

// Get is one item of the customer, or of the survivor that it was merged into. Fails with customer.ErrNotFound or the
// kind's NotFound.
func (k *Keeper[T, R]) Get(ctx context.Context, t tenant.Tenant, customerID, id uuid.UUID) (T, error) {
	owner, err := customer.Present(ctx, k.db, t.ID, customerID)
	if err != nil {
		var none T
		return none, err
	}
	return k.get(ctx, k.db, t.ID, owner, id)
}

// List is a page of the customer's items in which each column has the value given, or one of the values in a slice.
// Fails with customer.ErrNotFound.
func (k *Keeper[T, R]) List(ctx context.Context, t tenant.Tenant, customerID uuid.UUID, where map[string]any, req page.Request) (page.Of[T], error) {
	owner, err := customer.Present(ctx, k.db, t.ID, customerID)
	if err != nil {
		return page.Of[T]{}, err
	}
	items, err := k.list(ctx, t.ID, owner, where, req)
	if err != nil {
		return page.Of[T]{}, err
	}
	return page.Cut(items, req.Limit, k.kind.Order.Key, func(item T) T { return item }), nil
}

// Of are the first items of each of up to 1000 customers, at most so many of each, in the order of the list.
func (k *Keeper[T, R]) Of(ctx context.Context, q postgres.Querier, t tenant.Tenant, customers []uuid.UUID, most int) (map[uuid.UUID][]T, error) {
	items, err := k.first(ctx, q, t.ID, customers, most)
	if err != nil {
		return nil, err
	}
	all := make(map[uuid.UUID][]T, len(customers))
	for _, item := range items {
		owner := k.kind.Base(&item).CustomerID
		all[owner] = append(all[owner], item)
	}
	return all, nil
}

// Add makes an item that fill completes and checks; ids and times are there already. Fails with customer.ErrNotFound,
// ErrFull, one of the kind's Refusals, or what fill refuses.
func (k *Keeper[T, R]) Add(ctx context.Context, call tenant.Call, customerID uuid.UUID, fill func(tx postgres.Tx, item *T) error) (T, error) {
	var item T
	err := k.db.InTx(ctx, func(tx postgres.Tx) error {
		owner, err := customer.Hold(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		var fresh T
		now := k.now()
		*k.kind.Base(&fresh) = Base{ID: uuid.Must(uuid.NewV7()), CustomerID: owner, Version: 1, CreatedAt: now, UpdatedAt: now}
		if err := fill(tx, &fresh); err != nil {
			return err
		}
		n, err := k.count(ctx, tx, call.Tenant.ID, owner)
		if err != nil {
			return err
		}
		if n >= Most {
			return ErrFull
		}
		if err := k.takePrimary(ctx, tx, call, fresh); err != nil {
			return err
		}
		if err := k.insert(ctx, tx, call.Tenant.ID, fresh); err != nil {
			return err
		}
		item = fresh
		return k.record(ctx, tx, call, item, "created", nil)
	})
	return item, err
}

// Change lets change edit an item and check it. Slices and maps in the item are replaced, never edited: the item before
// has the same. A change without effect keeps the version and writes no event. Fails with customer.ErrNotFound, the
// kind's NotFound, patch.ErrVersion, one of the kind's Refusals, or what change refuses.
func (k *Keeper[T, R]) Change(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected,
	change func(tx postgres.Tx, item *T) error,
) (T, error) {
	var item T
	err := k.db.InTx(ctx, func(tx postgres.Tx) error {
		before, err := k.hold(ctx, tx, call, customerID, id, expected)
		if err != nil {
			return err
		}
		after := before
		if err := change(tx, &after); err != nil {
			return err
		}
		item = before
		previous := k.kind.Difference(before, after)
		if len(previous) == 0 {
			return nil
		}
		if err := k.takePrimary(ctx, tx, call, after); err != nil {
			return err
		}
		item, err = k.write(ctx, tx, call, after, previous)
		return err
	})
	return item, err
}

// Delete removes an item for good. Fails with customer.ErrNotFound, the kind's NotFound or patch.ErrVersion.
func (k *Keeper[T, R]) Delete(ctx context.Context, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected) error {
	return k.db.InTx(ctx, func(tx postgres.Tx) error {
		item, err := k.hold(ctx, tx, call, customerID, id, expected)
		if err != nil {
			return err
		}
		return k.Remove(ctx, tx, call, item)
	})
}

// Remove deletes an item whose customer the caller holds, with its event.
func (k *Keeper[T, R]) Remove(ctx context.Context, tx postgres.Tx, call tenant.Call, item T) error {
	if k.kind.Removing != nil {
		if err := k.kind.Removing(ctx, tx, call, item); err != nil {
			return err
		}
	}
	if err := k.remove(ctx, tx, call.Tenant.ID, item); err != nil {
		return err
	}
	var nothing T
	return k.record(ctx, tx, call, item, "deleted", k.kind.Difference(item, nothing))
}

// RemoveAll deletes all items of a customer that the caller holds in which each column has the value given, each with its
// event: for what goes with something else.
func (k *Keeper[T, R]) RemoveAll(ctx context.Context, tx postgres.Tx, call tenant.Call, customerID uuid.UUID, where map[string]any) error {
	items, err := k.all(ctx, tx, call.Tenant.ID, customerID, where)
	if err != nil {
		return err
	}
	for _, item := range items {
		if err := k.Remove(ctx, tx, call, item); err != nil {
			return err
		}
	}
	return nil
}

// hold locks the customer and reads the item that is to change.
func (k *Keeper[T, R]) hold(ctx context.Context, tx postgres.Tx, call tenant.Call, customerID, id uuid.UUID, expected patch.Expected) (T, error) {
	var none T
	owner, err := customer.Hold(ctx, tx, call.Tenant.ID, customerID)
	if err != nil {
		return none, err
	}
	item, err := k.get(ctx, tx, call.Tenant.ID, owner, id)
	if err != nil {
		return none, err
	}
	if err := expected.Check(k.kind.Base(&item).Version); err != nil {
		return none, err
	}
	return item, nil
}

// takePrimary makes the item that was primary an ordinary one when another, by, is to take its place.
func (k *Keeper[T, R]) takePrimary(ctx context.Context, tx postgres.Tx, call tenant.Call, by T) error {
	if k.kind.Primary == nil {
		return nil
	}
	flag, among := k.kind.Primary(&by)
	if !*flag {
		return nil
	}
	others, err := k.primaries(ctx, tx, call.Tenant.ID, *k.kind.Base(&by), among)
	if err != nil {
		return err
	}
	for _, other := range others {
		before := other
		flag, _ := k.kind.Primary(&other)
		*flag = false
		if _, err := k.write(ctx, tx, call, other, k.kind.Difference(before, other)); err != nil {
			return err
		}
	}
	return nil
}

// write stores a changed item under its next version, with its event.
func (k *Keeper[T, R]) write(ctx context.Context, tx postgres.Tx, call tenant.Call, item T, previous map[string]any) (T, error) {
	b := k.kind.Base(&item)
	b.Version++
	b.UpdatedAt = k.now()
	if err := k.update(ctx, tx, call.Tenant.ID, item); err != nil {
		return item, err
	}
	return item, k.record(ctx, tx, call, item, "updated", previous)
}

func (k *Keeper[T, R]) record(ctx context.Context, tx postgres.Tx, call tenant.Call, item T, verb string, previous map[string]any) error {
	b := k.kind.Base(&item)
	return Record(ctx, tx, call, k.now(), k.kind.Name+"."+verb, k.kind.Name, b.ID, b.CustomerID, previous)
}

// Record writes the event of something that a customer owns and the caller holds, whose completeness follows; previous names what changed, with
// values before or Hidden.
func Record(ctx context.Context, tx postgres.Tx, call tenant.Call, now time.Time, what, subject string, id, customerID uuid.UUID, previous map[string]any) error {
	version, err := customer.Version(ctx, tx, call.Tenant.ID, customerID)
	if err != nil {
		return err
	}
	if err := completeness.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{customerID}); err != nil {
		return err
	}
	shown := maps.Clone(previous)
	maps.DeleteFunc(shown, func(_ string, value any) bool { return value == Hidden })
	return event.Record(ctx, tx, call, now, event.Event{Type: what, SubjectType: subject, SubjectID: id.String(),
		CustomerID: &customerID, CustomerVersion: &version, Changed: slices.Sorted(maps.Keys(previous)), Previous: shown})
}
