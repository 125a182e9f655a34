package customer

import (
	"context"
	"math/big"
	"slices"
	"time"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// save brings writes into the database, each customer at most once: it checks and normalises them, lets the hooks take
// part, and stores those that nothing refuses and that change something. Each write has its Outcome or its Err then.
// Events are the caller's.
func (s *Service) save(ctx context.Context, tx postgres.Tx, call tenant.Call, lenient bool, writes ...*Write) error {
	now := s.now()
	if err := s.normaliseAll(ctx, tx, call, now, lenient, writes); err != nil {
		return err
	}
	for _, w := range writes {
		if err := w.claim(ctx, tx, call.Tenant.ID, now); err != nil {
			return err
		}
	}
	if err := s.before(ctx, tx, call, writes); err != nil {
		return err
	}
	var fresh, changing []*Write
	for _, w := range writes {
		c := w.After
		switch {
		case w.Err != nil:
			continue
		case w.Before == nil:
			if c.CreatedAt.IsZero() {
				c.CreatedAt = now
			}
			c.Version, c.UpdatedAt = 1, c.CreatedAt
			w.Outcome = Created
			fresh = append(fresh, w)
			continue
		}
		w.previous = w.changes()
		if w.Before.DeletedAt != nil && c.DeletedAt == nil {
			w.previous["deleted_at"] = w.Before.DeletedAt
		}
		if w.Outcome = Unchanged; len(w.previous) > 0 {
			c.Version, c.UpdatedAt = c.Version+1, now
			w.Outcome = Updated
			changing = append(changing, w)
		}
	}
	if err := insert(ctx, tx, call, fresh, now); err != nil {
		return err
	}
	if err := update(ctx, tx, call, changing, now); err != nil {
		return err
	}
	return s.after(ctx, tx, call, slices.Concat(fresh, changing))
}

// claim takes the external ids of a new customer before anything else is written or asked: rules read them, and who waits
// for another's claim holds nothing else. Fails with ErrExternalIDTaken.
func (w *Write) claim(ctx context.Context, tx postgres.Tx, tenantID int32, now time.Time) error {
	if !w.claims || w.Err != nil {
		return nil
	}
	for _, id := range w.After.ExternalIDs {
		holder, _, err := claim(ctx, tx, tenantID, id, w.After.ID, now)
		if err != nil {
			return err
		}
		if holder != w.After.ID {
			return ErrExternalIDTaken
		}
	}
	return nil
}

// one saves a single write with its event, or answers why it was refused.
func (s *Service) one(ctx context.Context, tx postgres.Tx, call tenant.Call, w *Write) error {
	if err := s.save(ctx, tx, call, false, w); err != nil {
		return err
	}
	if w.Err != nil {
		return w.Err
	}
	return s.record(ctx, tx, call, w)
}

// record writes the event of a write that changed something.
func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, w *Write) error {
	what := "customer.updated"
	switch _, revived := w.previous["deleted_at"]; {
	case w.Outcome == Unchanged:
		return nil
	case w.Outcome == Created:
		what = "customer.created"
	case w.After.DeletedAt != nil:
		what = "customer.deleted"
	case revived:
		what = "customer.undeleted"
	}
	for name, told := range w.Told {
		if _, changed := w.previous[name]; changed {
			w.previous[name] = told
		}
	}
	c := w.After
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "customer", SubjectID: c.ID.String(),
		CustomerID: &c.ID, CustomerVersion: &c.Version, Previous: w.previous})
}

// touch stores a change that no rule looks at, previous being the fields that it changed: a delete, an external id.
func (s *Service) touch(ctx context.Context, tx postgres.Tx, call tenant.Call, w *Write, previous map[string]any) error {
	now := s.now()
	w.previous, w.Outcome = previous, Updated
	w.After.Version, w.After.UpdatedAt = w.After.Version+1, now
	if err := update(ctx, tx, call, []*Write{w}, now); err != nil {
		return err
	}
	if err := s.record(ctx, tx, call, w); err != nil {
		return err
	}
	return s.after(ctx, tx, call, []*Write{w})
}

// normaliseAll normalises and checks what the writes say, and converts amounts.
func (s *Service) normaliseAll(ctx context.Context, tx postgres.Tx, call tenant.Call, now time.Time, lenient bool, writes []*Write) error {
	today := call.Tenant.Today(now)
	rates := map[string]*big.Rat{} // of this set; nil where there is none
	for _, w := range writes {
		before := Customer{}
		if w.Before != nil {
			before = *w.Before
		}
		c := w.After
		if c.Stage == "" {
			c.Stage = Prospect
		}
		var v fault.Validator
		c.tidy()
		c.normalise(&v, before, lenient)
		if err := c.check(&v, before, today); err != nil {
			return err
		}
		c.ExternalIDs = sorted(c.ExternalIDs)
		if err := c.convert(ctx, tx, &v, call.Tenant, today, before, rates); err != nil {
			return err
		}
		w.Refuse(&v)
	}
	return nil
}

// convert keeps the annual revenue in the base currency as well, by today's rate: what conditions and reports compare.
func (c *Customer) convert(ctx context.Context, tx postgres.Tx, v *fault.Validator, t tenant.Tenant, today tenant.Day, before Customer, rates map[string]*big.Rat) error {
	d := &c.Company
	switch {
	case d.AnnualRevenue == nil:
		d.baseRevenue = nil
		return nil
	case equal(d.AnnualRevenue, before.Company.AnnualRevenue):
		return nil
	}
	// What is computed in the base currency keeps the tenant from changing it.
	if _, held := rates[t.Currency]; !held {
		if err := tenant.Hold(ctx, tx, t); err != nil {
			return err
		}
		rates[t.Currency] = big.NewRat(1, 1)
	}
	currency := d.AnnualRevenue.Currency
	rate, known := rates[currency]
	if !known {
		var err error
		if rate, err = tenant.RateOn(ctx, tx, t.ID, currency, today); err != nil {
			return err
		}
		rates[currency] = rate
	}
	d.baseRevenue = nil
	if !v.Check(rate != nil, "/company/annual_revenue/currency", "rate_missing", tenant.NoRateToday) {
		return nil
	}
	base, ok := d.AnnualRevenue.Convert(t.Currency, rate)
	if v.Check(ok, "/company/annual_revenue/amount", "amount_too_large", money.BaseTooLarge) {
		d.baseRevenue = &base.Minor
	}
	return nil
}
