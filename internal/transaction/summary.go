package transaction

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Grouping is what sales are added up by.
type Grouping string

// The groupings.
const (
	ByDay           Grouping = "day"
	ByMonth         Grouping = "month"
	ByProduct       Grouping = "product"
	ByCategory      Grouping = "category"
	ByPaymentMethod Grouping = "payment_method"
	ByChannel       Grouping = "channel"
	ByStore         Grouping = "store"
	ByStatus        Grouping = "status"
)

// Sales are purchases added up; amounts are minor units of the base currency.
type Sales struct {
	Key       string // empty for what has none
	ProductID *uuid.UUID
	Name      string // of a product
	Orders    int64
	Units     float64 // of products and categories the quantity
	Amount    int64
	Returned  int64
}

// SalesQuery asks for sales of some days, bounds included.
type SalesQuery struct {
	By          Grouping
	From, Until *tenant.Day
	CustomerID  *uuid.UUID
}

// Summary is sales in groups.
type Summary struct {
	By          Grouping
	From, Until tenant.Day
	Groups      []Sales
	Total       Sales
	More        bool // whether there are more groups
}

// maxGroups is how many groups a summary shows.
const maxGroups = 1000

// Summarize adds up sales: the last 365 days up to today unless told. Fails with fault.ErrInvalid.
func (s *Service) Summarize(ctx context.Context, t tenant.Tenant, q SalesQuery) (Summary, error) {
	sum := Summary{By: q.By, Until: t.Today(s.now())}
	if q.Until != nil {
		sum.Until = *q.Until
	}
	if !sum.Until.Plausible() {
		return Summary{}, fault.ErrInvalid.AtParameter("until", "out_of_range", tenant.Implausible)
	}
	sum.From = tenant.Day{Time: sum.Until.AddDate(0, 0, -365)}
	if q.From != nil {
		sum.From = *q.From
	}
	if sum.From.After(sum.Until.Time) {
		return Summary{}, fault.ErrInvalid.AtParameter("from", "out_of_range", fault.T("must not be after until", "不能晚于 until"))
	}
	groups, total, err := summarize(ctx, s.db, t, sum, q.CustomerID)
	if len(groups) > maxGroups {
		groups, sum.More = groups[:maxGroups], true
	}
	sum.Groups, sum.Total = groups, total
	return sum, err
}
