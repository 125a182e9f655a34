// Package transaction is money that customers moved, and the rates at which it counts.
package transaction

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps transactions and exchange rates.
type Service struct {
	db  *postgres.DB
	now func() time.Time
}

// NewService works on db with the time that now tells.
func NewService(db *postgres.DB, now func() time.Time) *Service { return &Service{db: db, now: now} }

// Get is one transaction, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Transaction, error) {
	return get(ctx, s.db, t, id)
}

// List is a page of transactions, newest first.
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Transaction], error) {
	return list(ctx, s.db, t, q)
}

// Create records a transaction; the customer's metrics follow in the same commit. Fails with customer.ErrNotFound,
// ErrTaken, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, c Creation) (Transaction, error) {
	var made Transaction
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := tenant.Hold(ctx, tx, call.Tenant); err != nil {
			return err
		}
		owner, err := s.owner(ctx, tx, call.Tenant, c)
		if err != nil {
			return err
		}
		now := s.now()
		made = Transaction{ID: uuid.Must(uuid.NewV7()), Version: 1, CustomerID: owner, Source: c.Source, ExternalID: c.ExternalID,
			Status: c.Status, Amount: c.Amount, Units: c.Units, Channel: c.Channel, CreatedAt: now, UpdatedAt: now}
		if made.Source == "" {
			made.Source = "api"
		}
		if made.Status == "" {
			made.Status = Completed
		}
		var v fault.Validator
		made.at(c.Moment, call.Tenant.Zone, &v)
		if err := v.Err(); err != nil {
			return err
		}
		if err := s.convert(ctx, tx, call.Tenant, &made); err != nil {
			return err
		}
		if err := insert(ctx, tx, call.Tenant, made); err != nil {
			return err
		}
		if err := metric.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{owner}); err != nil {
			return err
		}
		return s.record(ctx, tx, call, made, "transaction.created", nil)
	})
	return made, err
}

// owner finds and locks the customer that a creation names: who writes facts holds the customer.
func (s *Service) owner(ctx context.Context, tx postgres.Tx, t tenant.Tenant, c Creation) (uuid.UUID, error) {
	var v fault.Validator
	v.Check((c.CustomerID == nil) != (c.Customer == nil), "/customer_id", "one_of",
		fault.T("give customer_id or customer, exactly one", "customer_id 与 customer 必须且只能给出一个"))
	if err := v.Err(); err != nil {
		return uuid.Nil, err
	}
	var id uuid.UUID
	pointer := "/customer_id"
	if c.CustomerID != nil {
		id = *c.CustomerID
	}
	var err error
	if c.Customer != nil {
		pointer = "/customer"
		id, err = customer.Find(ctx, tx, t.ID, *c.Customer)
	}
	if err == nil {
		id, err = customer.Hold(ctx, tx, t.ID, id)
	}
	if f := fault.Of(err); f != nil {
		return uuid.Nil, fault.ErrInvalid.At(pointer, f.Code, f.Message)
	}
	return id, err
}

// Update merges a change into a transaction. Fails with ErrNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, c Change) (Transaction, error) {
	var t Transaction
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := tenant.Hold(ctx, tx, call.Tenant); err != nil {
			return err
		}
		found, err := get(ctx, tx, call.Tenant, id)
		if err != nil {
			return err
		}
		if _, err := customer.Hold(ctx, tx, call.Tenant.ID, found.CustomerID); err != nil {
			return err
		}
		// Read again: now that the customer is held, nobody else changes it.
		if t, err = get(ctx, tx, call.Tenant, id); err != nil {
			return err
		}
		if err := expected.Check(t.Version); err != nil {
			return err
		}
		before := t
		patch.Keep(&t.Status, c.Status)
		patch.Keep(&t.Amount, c.Amount)
		if c.Units.Given {
			t.Units = c.Units.Value
		}
		c.Channel.Into(&t.Channel)
		if c.Moment != (Moment{}) {
			var v fault.Validator
			t.at(c.Moment, call.Tenant.Zone, &v)
			if err := v.Err(); err != nil {
				return err
			}
		}
		previous := difference(before, t)
		if len(previous) == 0 {
			return nil
		}
		if t.Amount != before.Amount || t.Day != before.Day {
			if err := s.convert(ctx, tx, call.Tenant, &t); err != nil {
				return err
			}
		}
		t.Version++
		t.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant, t); err != nil {
			return err
		}
		if err := metric.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{t.CustomerID}); err != nil {
			return err
		}
		return s.record(ctx, tx, call, t, "transaction.updated", previous)
	})
	return t, err
}

func difference(before, after Transaction) map[string]any {
	previous := map[string]any{}
	if before.Status != after.Status {
		previous["status"] = before.Status
	}
	if before.Amount != after.Amount {
		previous["amount"] = map[string]string{"amount": before.Amount.Decimal(), "currency": before.Amount.Currency}
	}
	if (before.Units == nil) != (after.Units == nil) || (before.Units != nil && *before.Units != *after.Units) {
		previous["units"] = before.Units
	}
	if before.Channel != after.Channel {
		previous["channel"] = before.Channel
	}
	if !before.OccurredAt.Equal(after.OccurredAt) || before.DateOnly != after.DateOnly {
		previous["occurred_at"] = before.OccurredAt
	}
	return previous
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, t Transaction, what string, previous map[string]any) error {
	version, err := customerVersion(ctx, tx, call.Tenant.ID, t.CustomerID)
	if err != nil {
		return err
	}
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "transaction", SubjectID: t.ID.String(),
		CustomerID: &t.CustomerID, CustomerVersion: &version, Changed: slices.Sorted(maps.Keys(previous)), Previous: previous})
}

// convert fills the amount in the base currency, by the latest rate on or before the day.
func (s *Service) convert(ctx context.Context, q postgres.Querier, t tenant.Tenant, x *Transaction) error {
	rate := big.NewRat(1, 1)
	if x.Amount.Currency != t.Currency {
		found, err := tenant.RateOn(ctx, q, t.ID, x.Amount.Currency, x.Day)
		if err != nil {
			return err
		}
		if found == nil {
			return fault.ErrInvalid.At("/amount/currency", "rate_missing", RateMissing)
		}
		rate = found
	}
	base, ok := x.Amount.Convert(t.Currency, rate)
	if !ok {
		return fault.ErrInvalid.At("/amount/amount", "amount_too_large", money.BaseTooLarge)
	}
	x.Base = base
	return nil
}

// PutRate sets what one unit of a currency is worth from day on. Fails with patch.ErrVersion or fault.ErrInvalid.
func (s *Service) PutRate(ctx context.Context, call tenant.Call, expected patch.Expected, currency string, day tenant.Day, rate string) (Rate, error) {
	value, ok := new(big.Rat).SetString(rate)
	var v fault.Validator
	v.Check(ok && value.Sign() > 0, "/rate", "not_positive", fault.T("must be more than 0", "必须大于 0"))
	if err := v.Err(); err != nil {
		return Rate{}, err
	}
	switch {
	case !day.Plausible():
		return Rate{}, fault.ErrInvalid.AtParameter("day", "out_of_range", tenant.Implausible)
	case !money.Known(currency):
		return Rate{}, fault.ErrInvalid.AtParameter("currency", "currency_unknown", money.UnknownCurrency)
	case currency == call.Tenant.Currency:
		return Rate{}, fault.ErrInvalid.AtParameter("currency", "base_currency",
			fault.T("this is the base currency: its rate is 1", "这是本位币，汇率恒为 1"))
	}
	var r Rate
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := tenant.Hold(ctx, tx, call.Tenant); err != nil {
			return err
		}
		before, err := lockRate(ctx, tx, call.Tenant.ID, currency, day)
		if err != nil {
			return err
		}
		if before == nil && expected != nil {
			return patch.ErrVersion
		}
		if before != nil {
			if err := expected.Check(before.Version); err != nil {
				return err
			}
			if old, ok := new(big.Rat).SetString(before.Rate); ok && old.Cmp(value) == 0 {
				r = *before
				return nil
			}
		}
		if r, err = upsertRate(ctx, tx, call.Tenant.ID, currency, day, rate, s.now()); err != nil {
			return err
		}
		previous := map[string]any{"rate": nil}
		if before != nil {
			previous["rate"] = before.Rate
		}
		return event.Record(ctx, tx, call, s.now(), event.Event{Type: "exchange_rate.set", SubjectType: "exchange_rate",
			SubjectID: fmt.Sprintf("%s/%s", currency, day), Changed: []string{"rate"}, Previous: previous})
	})
	return r, err
}

// ListRates is a page of rates by currency, the newest day first.
func (s *Service) ListRates(ctx context.Context, t tenant.Tenant, currency string, req page.Request) (page.Of[Rate], error) {
	return listRates(ctx, s.db, t.ID, currency, req)
}
