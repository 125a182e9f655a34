package tier

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// ErrNotPlaced is answered where nobody has placed the customer by hand.
var ErrNotPlaced = fault.New(fault.NotFound, "tier_not_placed_by_hand", "nobody has placed the customer in the scheme by hand", "该客户在此方案中没有人工定级")

// Terms of a placement by hand.
type ManualDraft struct {
	Tier   string
	Until  *tenant.Day // the last day; nil until it is lifted
	Reason string
}

// Place puts a customer into a tier by hand, which beats the rules through its last day or until it is lifted. The rules go
// on underneath: what they say is what follows. Fails with customer.ErrNotFound, ErrNotFound, ErrInactive or fault.ErrInvalid.
func (s *Service) Place(ctx context.Context, call tenant.Call, customerID uuid.UUID, key string, d ManualDraft) (Placement, error) {
	return s.byHand(ctx, call, customerID, key, "customer.tier_placed", func(x Scheme, before *Manual) (*Manual, error) {
		now := s.now()
		var v fault.Validator
		d.Reason = strings.TrimSpace(d.Reason)
		v.Check(d.Reason != "", "/reason", "required", fault.T("a reason is needed", "必须填写原因"))
		keys := make([]string, len(x.Tiers))
		for i, t := range x.Tiers {
			keys[i] = t.Key
		}
		v.Check(x.index(d.Tier) >= 0, "/tier", "unknown_value", fault.T("the scheme has no such tier", "该分层方案没有这个层级"), keys...)
		v.Check(d.Until == nil || d.Until.Plausible() && !d.Until.Before(call.Tenant.Today(now).Time), "/until", "out_of_range",
			fault.T("today or later", "须为今天或之后"))
		if before != nil && before.Tier == d.Tier && before.Reason == d.Reason && sameDay(before.Until, d.Until) {
			return before, v.Err()
		}
		return &Manual{Tier: d.Tier, Until: d.Until, Reason: d.Reason, Actor: call.Actor, At: now}, v.Err()
	})
}

func sameDay(a, b *tenant.Day) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// Lift lets the rules decide again. Fails with customer.ErrNotFound, ErrNotFound, ErrInactive or ErrNotPlaced.
func (s *Service) Lift(ctx context.Context, call tenant.Call, customerID uuid.UUID, key string) error {
	_, err := s.byHand(ctx, call, customerID, key, "customer.tier_lifted", func(_ Scheme, before *Manual) (*Manual, error) {
		if before == nil {
			return nil, ErrNotPlaced
		}
		return nil, nil
	})
	return err
}

func (s *Service) byHand(ctx context.Context, call tenant.Call, customerID uuid.UUID, key, what string, edit func(x Scheme, before *Manual) (*Manual, error)) (Placement, error) {
	var held uuid.UUID
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		id, err := customer.Hold(ctx, tx, call.Tenant.ID, customerID)
		if err != nil {
			return err
		}
		held = id
		x, err := get(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		if !x.Active() {
			return ErrInactive
		}
		placed, err := s.placement(ctx, tx, call.Tenant, id, key)
		if err != nil {
			return err
		}
		after, err := edit(x, placed.Manual)
		if err != nil || after == placed.Manual {
			return err
		}
		var tierID *uuid.UUID
		if after != nil {
			tierID = &x.Tiers[x.index(after.Tier)].ID
		}
		if err := setManual(ctx, tx, call.Tenant.ID, id, x.ID, after, tierID, call, s.now()); err != nil {
			return err
		}
		previous := map[string]any{"tiers." + key + ".manual": nil}
		if m := placed.Manual; m != nil {
			previous["tiers."+key+".manual"] = map[string]any{"tier": m.Tier, "until": m.Until, "reason": m.Reason}
		}
		return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "customer", SubjectID: id.String(), CustomerID: &id,
			Changed: []string{"tiers." + key + ".manual"}, Previous: previous})
	})
	if err != nil {
		return Placement{}, err
	}
	return s.placement(ctx, s.db, call.Tenant, held, key)
}

// placement is where a customer is in one scheme; of no tier before the first evaluation.
func (s *Service) placement(ctx context.Context, q postgres.Querier, t tenant.Tenant, customerID uuid.UUID, key string) (Placement, error) {
	found, err := Of(ctx, q, t.ID, []uuid.UUID{customerID})
	if err != nil {
		return Placement{}, err
	}
	for _, p := range found[customerID] {
		if p.Scheme == key {
			return p, nil
		}
	}
	return Placement{Scheme: key}, nil
}

// Placed are the tiers of one customer, or of the survivor that it was merged into. Fails with customer.ErrNotFound.
func (s *Service) Placed(ctx context.Context, t tenant.Tenant, customerID uuid.UUID) ([]Placement, error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return nil, err
	}
	found, err := Of(ctx, s.db, t.ID, []uuid.UUID{c.ID})
	return found[c.ID], err
}

// History is a page of what happened in a scheme, newest first. Fails with ErrNotFound.
func (s *Service) History(ctx context.Context, t tenant.Tenant, key string, req page.Request) (page.Of[Passage], error) {
	x, err := get(ctx, s.db, t.ID, key)
	if err != nil {
		return page.Of[Passage]{}, err
	}
	return history(ctx, s.db, t.ID, &x.ID, nil, req)
}

// HistoryOf is a page of what happened to a customer's tiers, newest first; of one scheme, or of all when key is empty.
// Fails with customer.ErrNotFound or ErrNotFound.
func (s *Service) HistoryOf(ctx context.Context, t tenant.Tenant, customerID uuid.UUID, key string, req page.Request) (page.Of[Passage], error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return page.Of[Passage]{}, err
	}
	var scheme *uuid.UUID
	if key != "" {
		x, err := get(ctx, s.db, t.ID, key)
		if err != nil {
			return page.Of[Passage]{}, err
		}
		scheme = &x.ID
	}
	return history(ctx, s.db, t.ID, scheme, &c.ID, req)
}
