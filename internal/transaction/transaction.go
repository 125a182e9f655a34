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
	ErrItemsReturned = fault.New(fault.Conflict, "items_returned",
		"returns name items of the order; delete those returns before the items change", "已有退货引用订单明细；请先删除退货记录再更改明细")
	ErrPaymentNotFound = fault.New(fault.NotFound, "payment_not_found", "the transaction has no such payment", "该交易没有这笔付款")
	ErrPaymentsFull    = fault.New(fault.Conflict, "payments_full", "a transaction has at most 500 payments", "一笔交易最多 500 笔付款")
	ErrReturnNotFound  = fault.New(fault.NotFound, "return_not_found", "the transaction has no such return", "该交易没有这笔退货")
	ErrReturnsFull     = fault.New(fault.Conflict, "returns_full", "a transaction has at most 500 returns", "一笔交易最多 500 笔退货")
	ErrNoPurchase      = fault.New(fault.Conflict, "not_a_purchase",
		"only what was bought can come back: the order is pending, cancelled or refunded", "仅已成交的订单可以退货：该订单处于待付款、已取消或已退款状态")
)

// RateMissing is what is wrong with an amount in a currency that has no rate on or before its day.
var RateMissing = fault.T("no exchange rate into the base currency on or before that day; set one at /v1/exchange-rates",
	"在该日及之前没有兑换为本位币的汇率；请先在 /v1/exchange-rates 设置")

// Method is a way to pay.
type Method string

// Methods are the ways to pay.
var Methods = []string{"card", "cash", "wechat_pay", "alipay", "bank_transfer", "credit", "other"}

// Transaction is one order of a customer. Empty texts are values that nobody gave.
//
// Where it has items, Amount is what their amounts add up to, less Discount, plus Shipping.
type Transaction struct {
	ID            uuid.UUID
	Version       int64
	CustomerID    uuid.UUID
	Source        string // the system that recorded it
	ExternalID    string // its id there
	Status        Status
	OccurredAt    time.Time  // UTC; local midnight when only the day is known
	DateOnly      bool       // whether only the day is known
	Day           tenant.Day // in the tenant's zone
	Amount        money.Money
	Base          money.Money // in the tenant's base currency, converted when it was written
	Discount      int64       // on the order as a whole, minor units of Amount's currency
	Shipping      int64       // what the customer pays for it, likewise
	Units         *int
	PaymentMethod Method
	Channel       string
	Store         string
	Delivery      Delivery
	Attributes    map[string]any // the tenant's own fields; never nil
	Lines         int            // how many items there are
	Items         []Item         // nil unless they were asked for
	Returns       int            // how many returns there are
	Returned      int64          // what they add up to, minor units of Amount's currency
	BaseReturned  int64          // the same in the base currency, each at the rate of its own day
	CreatedBy     string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Delivery is how an order comes to the customer.
type Delivery struct {
	Carrier, TrackingNumber string
	ShippedAt, DeliveredAt  *time.Time
}

// DeliveryState is how far it has come.
type DeliveryState string

// DeliveryState is what status and delivery together say; empty when there is nothing to deliver.
func (t *Transaction) DeliveryState() DeliveryState {
	switch {
	case t.Delivery.DeliveredAt != nil:
		return "delivered"
	case t.Delivery.ShippedAt != nil || t.Status == Shipped:
		return "in_transit"
	case t.Status == ToShip:
		return "awaiting_shipment"
	}
	return ""
}

// Moment is when something happened: an instant, or only a local day.
type Moment struct {
	At *time.Time
	On *tenant.Day
}

// Creation is what a caller may say about a new transaction. The customer is named by id or by external id.
type Creation struct {
	CustomerID    *uuid.UUID
	Customer      *customer.ExternalID
	Source        string // api unless told
	ExternalID    string
	Status        Status // completed unless told
	Moment        Moment
	Amount        *money.Money // what the items add up to unless told
	Discount      *money.Money
	Shipping      *money.Money
	Items         []ItemDraft
	Units         *int
	PaymentMethod Method
	Channel       string
	Store         string
	Delivery      Delivery
	Attributes    map[string]any
}

// DeliveryChange is a merge patch of a delivery.
type DeliveryChange struct {
	Carrier, TrackingNumber patch.Field[string]
	ShippedAt, DeliveredAt  patch.Field[time.Time]
}

// Change is a merge patch of a transaction. Items are replaced as a whole.
type Change struct {
	Status        *Status
	Reason        string // of a change of the status
	Moment        Moment
	Amount        *money.Money
	Discount      patch.Field[money.Money]
	Shipping      patch.Field[money.Money]
	Items         patch.Field[[]ItemDraft]
	Units         patch.Field[int]
	PaymentMethod patch.Field[Method]
	Channel       patch.Field[string]
	Store         patch.Field[string]
	Delivery      patch.Field[DeliveryChange]
	Attributes    patch.Field[map[string]any] // itself a merge patch
}

// Query asks for transactions. Amounts are minor units of the base currency; bounds are inclusive.
type Query struct {
	Page            page.Request
	CustomerID      *uuid.UUID
	Status          []Status
	From, Until     *tenant.Day
	PaymentMethods  []Method
	Channel, Store  string
	ProductID       *uuid.UUID
	SKU             string
	AtLeast, AtMost *int64
	Up              bool // the oldest first
	Items           bool // with their items
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

// InFuture says what is wrong with such a moment.
var InFuture = fault.T("must not be more than 24 hours ahead (somewhere tomorrow has begun already): a transaction is something that happened",
	"不能晚于现在 24 小时以上（以容纳其他时区的日期）：交易是已经发生的事")

// Ahead reports whether a moment is further in the future than clocks and time zones explain: whatever happened cannot
// have happened then.
func Ahead(at, now time.Time) bool { return at.After(now.Add(24 * time.Hour)) }

// at fills when t happened. Exactly one of the moment's members is given.
func (t *Transaction) at(m Moment, zone *time.Location, now time.Time, v *fault.Validator) {
	only := fault.T("give occurred_at or occurred_on, exactly one", "occurred_at 与 occurred_on 必须且只能给出一个")
	switch {
	case m.At != nil && m.On != nil:
		v.Check(false, "/occurred_on", "one_of", only)
	case m.At != nil:
		t.OccurredAt, t.DateOnly, t.Day = m.At.UTC().Truncate(time.Microsecond), false, tenant.DayOf(*m.At, zone)
		if v.Check(t.Day.Plausible(), "/occurred_at", "out_of_range", tenant.Implausible) {
			v.Check(!Ahead(t.OccurredAt, now), "/occurred_at", "in_future", InFuture)
		}
	case m.On != nil:
		t.OccurredAt, t.DateOnly, t.Day = m.On.Start(zone), true, *m.On
		if v.Check(t.Day.Plausible(), "/occurred_on", "out_of_range", tenant.Implausible) {
			v.Check(!Ahead(t.OccurredAt, now), "/occurred_on", "in_future", InFuture)
		}
		v.Check(t.Day.ExistsIn(zone), "/occurred_on", "bad_date", tenant.LeftOut)
	default:
		v.Check(false, "/occurred_at", "required", only)
	}
}
