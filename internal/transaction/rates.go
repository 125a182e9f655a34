package transaction

import (
	"context"
	"fmt"
	"math/big"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// convert is an amount in the base currency, by the latest rate on or before a day. What is wrong is at pointer.
func convert(ctx context.Context, q postgres.Querier, t tenant.Tenant, amount money.Money, day tenant.Day, pointer string) (money.Money, error) {
	rate := big.NewRat(1, 1)
	if amount.Currency != t.Currency {
		found, err := tenant.RateOn(ctx, q, t.ID, amount.Currency, day)
		if err != nil {
			return money.Money{}, err
		}
		if found == nil {
			return money.Money{}, fault.ErrInvalid.At(pointer+"/currency", "rate_missing", RateMissing)
		}
		rate = found
	}
	base, ok := amount.Convert(t.Currency, rate)
	if !ok {
		return money.Money{}, fault.ErrInvalid.At(pointer+"/amount", "amount_too_large", money.BaseTooLarge)
	}
	return base, nil
}

// PutRate sets what one unit of a currency is worth from day on, and tells whether there was no rate of that day. Fails with patch.ErrVersion or fault.ErrInvalid.
func (s *Service) PutRate(ctx context.Context, call tenant.Call, expected patch.Expected, currency string, day tenant.Day, rate string) (r Rate, created bool, err error) {
	value, ok := new(big.Rat).SetString(rate)
	var v fault.Validator
	v.Check(ok && value.Sign() > 0, "/rate", "not_positive", fault.T("must be more than 0", "必须大于 0"))
	if err := v.Err(); err != nil {
		return Rate{}, false, err
	}
	switch {
	case !day.Plausible():
		return Rate{}, false, fault.ErrInvalid.AtParameter("day", "out_of_range", tenant.Implausible)
	case !money.Known(currency):
		return Rate{}, false, fault.ErrInvalid.AtParameter("currency", "currency_unknown", money.UnknownCurrency)
	case currency == call.Tenant.Currency:
		return Rate{}, false, fault.ErrInvalid.AtParameter("currency", "base_currency",
			fault.T("this is the base currency: its rate is 1", "这是本位币，汇率恒为 1"))
	}
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
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
		created = before == nil && r.Version == 1 // another one may have come first
		previous := map[string]any{"rate": nil}
		if before != nil {
			previous["rate"] = before.Rate
		}
		return event.Record(ctx, tx, call, s.now(), event.Event{Type: "exchange_rate.set", SubjectType: "exchange_rate",
			SubjectID: fmt.Sprintf("%s/%s", currency, day), Changed: []string{"rate"}, Previous: previous})
	})
	return r, created, err
}

// ListRates is a page of rates by currency, the newest day first.
func (s *Service) ListRates(ctx context.Context, t tenant.Tenant, currency string, req page.Request) (page.Of[Rate], error) {
	return listRates(ctx, s.db, t.ID, currency, req)
}
