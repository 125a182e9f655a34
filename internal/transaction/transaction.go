package transaction

import (
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "transaction_not_found", "no such transaction", "没有这笔交易")
	ErrTaken    = fault.New(fault.Conflict, "transaction_exists",
		"this source has already sent a transaction with this external id", "该来源已提交过相同外部编号的交易")
)

// RateMissing is what is wrong with an amount in a currency that has no rate on or before its day.
var RateMissing = fault.T("no exchange rate into the base currency on or before that day; set one at /v1/exchange-rates",
	"在该日及之前没有兑换为本位币的汇率；请先在 /v1/exchange-rates 设置")

// Status is where an order stands.
type Status string

// Paid, ToShip, Shipped and Completed are purchases.
const (
	Pending   Status = "pending"
	Paid      Status = "paid"
	ToShip    Status = "to_ship"
	Shipped   Status = "shipped"
	Completed Status = "completed"
	Cancelled Status = "cancelled"
	Refunded  Status = "refunded"
)

// Statuses are all there are, for conditions.
var Statuses = []string{string(Pending), string(Paid), string(ToShip), string(Shipped), string(Completed), string(Cancelled), string(Refunded)}

// Transaction is one order of a customer.
type Transaction struct {
	ID         uuid.UUID
	Version    int64
	CustomerID uuid.UUID
	Source     string // the system that recorded it
	ExternalID string // its id there
	Status     Status
	OccurredAt time.Time  // UTC; local midnight when only the day is known
	DateOnly   bool       // whether only the day is known
	Day        tenant.Day // in the tenant's zone
	Amount     money.Money
	Base       money.Money // in the tenant's base currency, converted when it was written
	Units      *int
	Channel    string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Moment is when something happened: an instant, or only a local day.
type Moment struct {
	At *time.Time
	On *tenant.Day
}

// Creation is what a caller may say about a new transaction. The customer is named by id or by external id.
type Creation struct {
	CustomerID *uuid.UUID
	Customer   *customer.ExternalID
	Source     string // api unless told
	ExternalID string
	Status     Status // completed unless told
	Moment     Moment
	Amount     money.Money
	Units      *int
	Channel    string
}

// Change is a merge patch of a transaction.
type Change struct {
	Status  *Status
	Moment  Moment
	Amount  *money.Money
	Units   patch.Field[int]
	Channel patch.Field[string]
}

// Query asks for transactions.
type Query struct {
	Page       page.Request
	CustomerID *uuid.UUID
	Status     []Status
	From       *tenant.Day // inclusive
	Until      *tenant.Day // inclusive
}

// Rate is what one unit of Currency is worth in the base currency, from Day on until the next rate.
type Rate struct {
	Currency  string
	Day       tenant.Day
	Rate      string // decimal, more than 0
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// at fills when t happened. Exactly one of the moment's members is given.
func (t *Transaction) at(m Moment, zone *time.Location, v *fault.Validator) {
	only := fault.T("give occurred_at or occurred_on, exactly one", "occurred_at 与 occurred_on 必须且只能给出一个")
	switch {
	case m.At != nil && m.On != nil:
		v.Check(false, "/occurred_on", "one_of", only)
	case m.At != nil:
		t.OccurredAt, t.DateOnly, t.Day = m.At.UTC().Truncate(time.Microsecond), false, tenant.DayOf(*m.At, zone)
		v.Check(t.Day.Plausible(), "/occurred_at", "out_of_range", tenant.Implausible)
	case m.On != nil:
		t.OccurredAt, t.DateOnly, t.Day = m.On.Start(zone), true, *m.On
		v.Check(t.Day.Plausible(), "/occurred_on", "out_of_range", tenant.Implausible)
		v.Check(t.Day.ExistsIn(zone), "/occurred_on", "bad_date", tenant.LeftOut)
	default:
		v.Check(false, "/occurred_at", "required", only)
	}
}
