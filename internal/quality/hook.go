package quality

import (
	"context"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Hook holds every customer that is written to the tenant's rules, and keeps its completeness. It comes after the hooks
// that complete a customer.
type Hook struct{ Service *Service }

var _ customer.Settler = Hook{}

// Before implements customer.Hook: rules are asked of the record as it would be, so that one that is refused leaves
// nothing behind and does not hinder the others of its set. Where more is written with the customers, rules about that
// wait for Settle.
func (h Hook) Before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*customer.Write) error {
	rules, err := active(ctx, tx, call.Tenant.ID)
	if err != nil {
		return err
	}
	if customer.PartsFollow(ctx) {
		all := len(rules)
		rules = slices.DeleteFunc(rules, Rule.ofTheRest)
		for _, w := range writes {
			w.Later = w.Later || len(rules) < all
		}
	}
	if len(rules) == 0 {
		return nil
	}
	l, err := condition.For(ctx, tx, call.Tenant, h.Service.now())
	if err != nil {
		return err
	}
	list := make([]*customer.Customer, len(writes))
	of := make(map[uuid.UUID]*customer.Write, len(writes))
	for i, w := range writes {
		list[i], of[w.After.ID] = w.After, w
	}
	rows, err := customer.Records(call.Tenant, list, h.Service.now())
	if err != nil {
		return err
	}
	q := ask(l, rules)
	return q.each(ctx, tx, unwritten, []any{call.Tenant.ID, rows}, func(a answer) {
		w := of[a.id]
		blocks, warnings := verdict(q.broken(a))
		var v fault.Validator
		v.Add(blocks...)
		w.Refuse(&v)
		warn(w.After, warnings)
	})
}

// After implements customer.Hook. Whoever is new has its completeness from the beginning, and everybody has a name and a
// stage.
func (h Hook) After(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*customer.Write) error {
	var ids []uuid.UUID
	for _, w := range writes {
		if w.Before != nil && w.ChangedBeyond("name", "aliases", "stage", "deleted_at") {
			ids = append(ids, w.After.ID)
		}
	}
	return completeness.Refresh(ctx, tx, call.Tenant.ID, ids)
}

// Settle implements customer.Settler: it asks the rules about what stands beside the record, such as contact points.
func (h Hook) Settle(ctx context.Context, tx postgres.Tx, call tenant.Call, list []*customer.Customer) (map[uuid.UUID]error, error) {
	ids := make([]uuid.UUID, len(list))
	of := make(map[uuid.UUID]*customer.Customer, len(list))
	for i, c := range list {
		ids[i], of[c.ID] = c.ID, c
	}
	rules, err := active(ctx, tx, call.Tenant.ID)
	if err != nil {
		return nil, err
	}
	if rules = slices.DeleteFunc(rules, func(r Rule) bool { return !r.ofTheRest() }); len(rules) == 0 {
		return nil, nil
	}
	l, err := condition.For(ctx, tx, call.Tenant, h.Service.now())
	if err != nil {
		return nil, err
	}
	refused := map[uuid.UUID]error{}
	q := ask(l, rules)
	return refused, q.each(ctx, tx, written, []any{call.Tenant.ID, ids}, func(a answer) {
		blocks, warnings := verdict(q.broken(a))
		var v fault.Validator
		v.Add(blocks...)
		if err := v.Err(); err != nil {
			refused[a.id] = err
		}
		warn(of[a.id], warnings)
	})
}

// warn adds warnings that the customer does not have yet: one write may be looked at twice.
func warn(c *customer.Customer, warnings []fault.Field) {
	for _, f := range warnings {
		if !slices.ContainsFunc(c.Warnings, func(have fault.Field) bool { return reflect.DeepEqual(have, f) }) {
			c.Warnings = append(c.Warnings, f)
		}
	}
}
