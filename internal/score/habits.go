package score

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/habit"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Habits are how a customer buys, beside what rfm says of how much: over all purchases, nil where the facts don't tell.
type Habits struct {
	SpendingPower     *money.Money // the average net amount of a purchase
	PurchaseCycleDays *float64     // between purchase days, on average
	PreferredHour     *int         // 0 to 23, local
	PreferredWeekday  *int         // 1 for Monday to 7 for Sunday, local
	PreferredCategory string
}

func habitsOf(ctx context.Context, q postgres.Querier, t tenant.Tenant, customer uuid.UUID) (*Habits, error) {
	all, err := metric.Of(ctx, q, t.ID, []uuid.UUID{customer})
	if err != nil {
		return nil, err
	}
	found, err := habit.Of(ctx, q, t, customer)
	if err != nil {
		return nil, err
	}
	var h Habits
	m := all[customer]
	if minor, ok := m.AveragePurchase(); ok {
		h.SpendingPower = &money.Money{Minor: minor, Currency: t.Currency}
	}
	if days, ok := m.CycleDays(); ok {
		h.PurchaseCycleDays = &days
	}
	h.PreferredHour, h.PreferredWeekday = first(found.Hours), first(found.Weekdays)
	if len(found.Categories) > 0 {
		h.PreferredCategory = found.Categories[0].Value
	}
	return &h, nil
}

// first is the most frequent of some numbers.
func first(shares []habit.Share) *int {
	if len(shares) == 0 {
		return nil
	}
	n, err := strconv.Atoi(shares[0].Value)
	if err != nil {
		return nil
	}
	return &n
}
