package transaction

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Return is what came back of an order. It reduces what the customer spent, on its own day and at that day's rate, but not
// how often they bought. While the order is not a purchase, cancelled or refunded as a whole, its returns do not count.
type Return struct {
	ID            uuid.UUID
	CustomerID    uuid.UUID
	TransactionID uuid.UUID
	Day           tenant.Day // local
	Amount        money.Money
	Base          money.Money // in the base currency
	Reason        string
	Items         []ReturnItem // never nil
	Actor         string
	CreatedAt     time.Time
}

// ReturnItem is how much of a line came back, and its part of the order's money in minor units.
type ReturnItem struct {
	Line     int
	Quantity Quantity
	Amount   int64
}

// ReturnDraft is what a caller may say about a new return.
type ReturnDraft struct {
	Day    *tenant.Day  // today unless told
	Amount *money.Money // what was paid for the items unless told
	Reason string
	Items  []ReturnItem // without amounts
}

// ReturnsOf are all returns of a transaction by day. Fails with ErrNotFound.
func (s *Service) ReturnsOf(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]Return, error) {
	of, err := get(ctx, s.db, t, id)
	if err != nil {
		return nil, err
	}
	return returns(ctx, s.db, t, of, uuid.Nil)
}

// Return is one return of a transaction. Fails with ErrNotFound or ErrReturnNotFound.
func (s *Service) Return(ctx context.Context, t tenant.Tenant, id, ret uuid.UUID) (Return, error) {
	of, err := get(ctx, s.db, t, id)
	if err != nil {
		return Return{}, err
	}
	return getReturn(ctx, s.db, t, of, ret)
}

func getReturn(ctx context.Context, q postgres.Querier, t tenant.Tenant, of Transaction, id uuid.UUID) (Return, error) {
	found, err := returns(ctx, q, t, of, id)
	switch {
	case err != nil:
		return Return{}, err
	case len(found) == 0:
		return Return{}, ErrReturnNotFound
	}
	return found[0], nil
}

// AddReturn records what came back. Any number of callers at once never return more than was bought. Fails with ErrNotFound,
// ErrNoPurchase, ErrReturnsFull or fault.ErrInvalid.
func (s *Service) AddReturn(ctx context.Context, call tenant.Call, id uuid.UUID, d ReturnDraft) (Return, error) {
	var r Return
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		t, err := s.held(ctx, tx, call.Tenant, id)
		switch {
		case err != nil:
			return err
		case !t.Status.Purchase():
			return ErrNoPurchase
		case t.Returns >= maxParts:
			return ErrReturnsFull
		}
		r = Return{ID: uuid.Must(uuid.NewV7()), CustomerID: t.CustomerID, TransactionID: t.ID, Day: call.Tenant.Today(s.now()),
			Reason: d.Reason, Items: []ReturnItem{}, Actor: call.Actor, CreatedAt: s.now()}
		if d.Day != nil {
			r.Day = *d.Day
		}
		if err := s.value(ctx, tx, call.Tenant, &r, d, t); err != nil {
			return err
		}
		if err := insertReturn(ctx, tx, call.Tenant.ID, r); err != nil {
			return err
		}
		t.Returns, t.Returned, t.BaseReturned = t.Returns+1, t.Returned+r.Amount.Minor, t.BaseReturned+r.Base.Minor
		return s.returned(ctx, tx, call, t, "return.created", r.ID, nil)
	})
	return r, err
}

// value checks a return of t and fills what follows from it.
func (s *Service) value(ctx context.Context, tx postgres.Tx, of tenant.Tenant, r *Return, d ReturnDraft, t Transaction) error {
	var v fault.Validator
	v.Check(r.Day.Plausible(), "/returned_on", "out_of_range", tenant.Implausible)
	v.Check(!r.Day.After(of.Today(s.now()).Time), "/returned_on", "in_future", fault.T("must not be in the future", "不能晚于今天"))
	v.Check(!r.Day.Before(t.Day.Time), "/returned_on", "before_order", fault.T("before the order's day", "早于下单日期"))
	sum := int64(0)
	if len(d.Items) > 0 {
		if err := attach(ctx, tx, of.ID, []*Transaction{&t}); err != nil {
			return err
		}
		already, err := returnedQuantities(ctx, tx, of.ID, t)
		if err != nil {
			return err
		}
		r.Items, sum = returnItems(&v, d.Items, t, already)
	}
	left := t.Amount.Minor - t.Returned
	r.Amount = money.Money{Minor: min(sum, left), Currency: t.Amount.Currency}
	switch {
	case d.Amount != nil:
		r.Amount.Minor = minorOf(&v, "/amount", d.Amount, t.Amount.Currency)
		if v.Err() == nil {
			v.Check(r.Amount.Minor <= left, "/amount/amount", "too_large", fault.T(
				"more than is left of the order: "+money.Money{Minor: left, Currency: t.Amount.Currency}.Decimal(),
				"大于订单剩余可退金额 "+money.Money{Minor: left, Currency: t.Amount.Currency}.Decimal()))
			v.Check(r.Amount.Minor > 0 || len(d.Items) > 0, "/amount/amount", "not_positive", fault.T("must be more than 0", "必须大于 0"))
		}
	default:
		v.Check(len(d.Items) > 0, "/amount", "required", fault.T("give amount or items", "请给出 amount 或 items"))
	}
	if err := v.Err(); err != nil {
		return err
	}
	var err error
	r.Base, err = convert(ctx, tx, of, r.Amount, r.Day, "/amount")
	return err
}

// paid is what t's lines cost with their parts of its discount, without its shipping. The differences of rounded running
// shares add up to the whole, as in itemFacts.
func (t Transaction) paid() []int64 {
	gross := int64(0)
	for _, i := range t.Items {
		gross += i.Amount
	}
	if gross == 0 {
		return make([]int64, len(t.Items))
	}
	paid, running := make([]int64, 0, len(t.Items)), int64(0)
	for _, i := range t.Items {
		before := share(gross-t.Discount, Quantity(running), Quantity(gross))
		running += i.Amount
		paid = append(paid, share(gross-t.Discount, Quantity(running), Quantity(gross))-before)
	}
	return paid
}

// returnItems prices what came back of t's lines, of which already had come back before: what was paid for a line in
// proportion to its quantity, so that all of a line is all of its money.
func returnItems(v *fault.Validator, drafts []ReturnItem, t Transaction, already map[int]Quantity) (items []ReturnItem, sum int64) {
	seen, paid := map[int]bool{}, t.paid()
	for n, d := range drafts {
		at := "/items/" + strconv.Itoa(n)
		if !v.Check(d.Line >= 1 && d.Line <= len(t.Items), at+"/line", "item_unknown", fault.T("the order has no such line", "订单没有这一行")) {
			continue
		}
		v.Check(!seen[d.Line], at+"/line", "repeated", fault.T("the line is given twice", "该行重复"))
		seen[d.Line] = true
		line, before := t.Items[d.Line-1], already[d.Line]
		left := line.Quantity - before
		if !v.Check(d.Quantity > 0 && d.Quantity <= left, at+"/quantity", "out_of_range",
			fault.T(fmt.Sprintf("of this line %v can still come back", float64(left)/1000), fmt.Sprintf("该行还可退 %v", float64(left)/1000))) {
			continue
		}
		// The difference of two rounded shares: in whatever parts a line comes back, they add up to it.
		upTo := share(paid[d.Line-1], before+d.Quantity, line.Quantity)
		item := ReturnItem{Line: d.Line, Quantity: d.Quantity, Amount: upTo - share(paid[d.Line-1], before, line.Quantity)}
		items, sum = append(items, item), sum+item.Amount
	}
	return items, sum
}

// DeleteReturn takes a return back that was recorded by mistake. Fails with ErrNotFound or ErrReturnNotFound.
func (s *Service) DeleteReturn(ctx context.Context, call tenant.Call, id, ret uuid.UUID) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		t, err := s.held(ctx, tx, call.Tenant, id)
		if err != nil {
			return err
		}
		r, err := getReturn(ctx, tx, call.Tenant, t, ret)
		if err != nil {
			return err
		}
		if err := removeReturn(ctx, tx, call.Tenant.ID, r); err != nil {
			return err
		}
		t.Returns, t.Returned, t.BaseReturned = t.Returns-1, t.Returned-r.Amount.Minor, t.BaseReturned-r.Base.Minor
		return s.returned(ctx, tx, call, t, "return.deleted", r.ID, map[string]any{"returned_on": r.Day.String(),
			"amount": document(r.Amount.Minor, r.Amount.Currency), "reason": r.Reason})
	})
}

// returned writes what t's returns add up to, brings metrics up to date and writes the return's event.
func (s *Service) returned(ctx context.Context, tx postgres.Tx, call tenant.Call, t Transaction, what string, id uuid.UUID, previous map[string]any) error {
	t.Version++
	t.UpdatedAt = s.now()
	if err := update(ctx, tx, call.Tenant, t); err != nil {
		return err
	}
	if err := metric.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{t.CustomerID}); err != nil {
		return err
	}
	return s.recordOf(ctx, tx, call, t, what, "return", id, previous)
}
