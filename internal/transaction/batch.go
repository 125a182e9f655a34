package transaction

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Result is what became of an item of a batch; Err is a fault.
type Result struct {
	Transaction Transaction
	Err         error
}

// Batch records every item as Create does. Items are independent: one that fails undoes only itself. A second item on the
// same key fails with customer.ErrTwice.
func (s *Service) Batch(ctx context.Context, call tenant.Call, items []Creation) ([]Result, error) {
	var results []Result
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		results = make([]Result, len(items))
		if err := tenant.Hold(ctx, tx, call.Tenant); err != nil {
			return err
		}
		owners, err := s.owners(ctx, tx, call.Tenant, items, results)
		if err != nil {
			return err
		}
		touched := map[uuid.UUID]bool{}
		seen := map[customer.ExternalID]bool{}
		for _, i := range keyOrder(items) {
			r, c := &results[i], items[i]
			if r.Err != nil {
				continue
			}
			if key := c.key(); key.ID != "" {
				if seen[key] {
					r.Err = customer.ErrTwice
					continue
				}
				seen[key] = true
			}
			r.Err = tx.Savepoint(ctx, func(tx postgres.Tx) error {
				if r.Transaction, err = s.create(ctx, tx, call, owners[i], c); err != nil {
					return err
				}
				return s.record(ctx, tx, call, r.Transaction, "transaction.created", nil)
			})
			switch {
			case r.Err == nil:
				touched[owners[i]] = true
			case fault.Of(r.Err) == nil:
				return r.Err
			}
		}
		if len(touched) == 0 {
			return nil
		}
		return metric.Refresh(ctx, tx, call.Tenant.ID, slices.SortedFunc(maps.Keys(touched), postgres.CompareIDs))
	})
	return results, err
}

// key is what the transaction is known by, where it has an external id.
func (c Creation) key() customer.ExternalID {
	return customer.ExternalID{Source: c.Source, ID: c.ExternalID}
}

// keyOrder is the order in which items are written: two batches with the same keys in another order would wait for each
// other.
func keyOrder(items []Creation) []int {
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := items[a].key(), items[b].key()
		return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.ID, y.ID))
	})
	return order
}

// owners finds the customers that items name and locks them in ascending order. An item whose customer is not there
// has its fault in results.
func (s *Service) owners(ctx context.Context, tx postgres.Tx, t tenant.Tenant, items []Creation, results []Result) ([]uuid.UUID, error) {
	owners := make([]uuid.UUID, len(items))
	var names []customer.ExternalID
	for i, c := range items {
		if results[i].Err = c.checkOwner(); results[i].Err == nil && c.Customer != nil {
			names = append(names, *c.Customer)
		}
	}
	found, err := customer.FindAll(ctx, tx, t.ID, names)
	if err != nil {
		return nil, err
	}
	at := map[uuid.UUID]uuid.UUID{}
	for i, c := range items {
		switch {
		case results[i].Err != nil:
			continue
		case c.CustomerID != nil:
			owners[i] = *c.CustomerID
		default:
			id, ok := found[*c.Customer]
			if !ok {
				results[i].Err = fault.ErrInvalid.At("/customer", customer.ErrNotFound.Code, customer.ErrNotFound.Message)
				continue
			}
			owners[i] = id
		}
		at[owners[i]] = owners[i]
	}
	for _, id := range slices.SortedFunc(maps.Keys(at), postgres.CompareIDs) {
		holder, err := customer.Hold(ctx, tx, t.ID, id)
		if err != nil && fault.Of(err) == nil {
			return nil, err
		}
		at[id] = holder // nil when there is none
	}
	for i, c := range items {
		if results[i].Err != nil {
			continue
		}
		if owners[i] = at[owners[i]]; owners[i] == uuid.Nil {
			pointer := "/customer_id"
			if c.Customer != nil {
				pointer = "/customer"
			}
			results[i].Err = fault.ErrInvalid.At(pointer, customer.ErrNotFound.Code, customer.ErrNotFound.Message)
		}
	}
	return owners, nil
}
