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

// Before implements customer.Hook: rules about the record itself are asked of the record as it would be, so that one
// that is refused leaves nothing behind and does not hinder the others of its set.
func (h Hook) Before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*customer.Write) error {
	rules, l, err := h.Service.asked(ctx, tx, call.Tenant, true)
	if err != nil || len(rules) == 0 {
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
	q := ask(l, rules, 3)
	return q.each(ctx, tx, unwritten, []any{call.Tenant.ID, rows}, func(a answer) {
		w := of[a.id]
		blocks, warnings := verdict(q.broken(a))
		var v fault.Validator
		v.Add(blocks...)
		w.Refuse(&v)
		warn(w.After, warnings)
	})
}

// After implements customer.Hook.
func (h Hook) After(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*customer.Write) error {
	ids := make([]uuid.UUID, len(writes))
	var there []*customer.Customer
	for i, w := range writes {
		ids[i] = w.After.ID
		if w.After.DeletedAt == nil {
			there = append(there, w.After)
		}
	}
	if err := completeness.Refresh(ctx, tx, call.Tenant.ID, ids); err != nil {
		return err
	}
	if customer.PartsFollow(ctx) || len(there) == 0 {
		return nil
	}
	return h.settle(ctx, tx, call, there)
}

// Settle implements customer.Settler.
func (h Hook) Settle(ctx context.Context, tx postgres.Tx, call tenant.Call, c *customer.Customer) error {
	return h.settle(ctx, tx, call, []*customer.Customer{c})
}

// settle asks the rules about what stands beside the record, such as contact points, when everything is written. One
// customer is refused; of a set, where that would undo all, each is warned.
func (h Hook) settle(ctx context.Context, tx postgres.Tx, call tenant.Call, list []*customer.Customer) error {
	rules, l, err := h.Service.asked(ctx, tx, call.Tenant, false)
	if err != nil || len(rules) == 0 {
		return err
	}
	ids := make([]uuid.UUID, len(list))
	of := make(map[uuid.UUID]*customer.Customer, len(list))
	for i, c := range list {
		ids[i], of[c.ID] = c.ID, c
	}
	var v fault.Validator
	q := ask(l, rules, 3)
	err = q.each(ctx, tx, written, []any{call.Tenant.ID, ids}, func(a answer) {
		blocks, warnings := verdict(q.broken(a))
		if len(list) == 1 {
			v.Add(blocks...)
		} else {
			warnings = append(warnings, blocks...)
		}
		warn(of[a.id], warnings)
	})
	if err != nil {
		return err
	}
	return v.Err()
}

// warn adds warnings that the customer does not have yet: one write may be looked at twice.
func warn(c *customer.Customer, warnings []fault.Field) {
	for _, f := range warnings {
		if !slices.ContainsFunc(c.Warnings, func(have fault.Field) bool { return reflect.DeepEqual(have, f) }) {
			c.Warnings = append(c.Warnings, f)
		}
	}
}

// asked are the active rules about the record itself, or those about the rest, with the language to ask them in.
func (s *Service) asked(ctx context.Context, q postgres.Querier, t tenant.Tenant, ofRecord bool) ([]Rule, condition.Language, error) {
	rules, err := active(ctx, q, t.ID)
	if err != nil {
		return nil, condition.Language{}, err
	}
	rules = slices.DeleteFunc(rules, func(r Rule) bool { return r.ofRecord() != ofRecord })
	if len(rules) == 0 {
		return nil, condition.Language{}, nil
	}
	l, err := condition.For(ctx, q, t, s.now())
	return rules, l, err
}
