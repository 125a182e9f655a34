package transaction

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// maxParts is how many payments, and how many returns, an order may have.
const maxParts = 500

// Payment is what is to be paid for an order on a day, and what was. Orders paid in instalments have several.
type Payment struct {
	ID            uuid.UUID
	Version       int64
	CustomerID    uuid.UUID
	TransactionID uuid.UUID
	DueOn         tenant.Day
	Due           money.Money // in the order's currency, more than 0
	PaidOn        *tenant.Day // of the latest part; nil while nothing is paid
	Paid          money.Money // from 0 to Due
	Open          money.Money // what is not paid yet, in the base currency at the rate of the due day
	Method        Method
	Reference     string // a receipt or bank reference
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// PaymentStatus is where a payment stands.
type PaymentStatus string

// The statuses. Overdue goes before partial.
const (
	PaymentOpen    PaymentStatus = "open"
	PaymentPartial PaymentStatus = "partial"
	PaymentPaid    PaymentStatus = "paid"
	PaymentOverdue PaymentStatus = "overdue"
)

// Status is where the payment stands on a day of the tenant. It is not stored, for it changes as days pass.
func (p Payment) Status(today tenant.Day) PaymentStatus {
	switch {
	case p.Paid.Minor == p.Due.Minor:
		return PaymentPaid
	case p.DueOn.Before(today.Time):
		return PaymentOverdue
	case p.Paid.Minor > 0:
		return PaymentPartial
	}
	return PaymentOpen
}

// DaysLate is how many days after the due day it was paid in full, or today is while it is not; 0 in time.
func (p Payment) DaysLate(today tenant.Day) int {
	end := today
	if p.Paid.Minor == p.Due.Minor {
		end = *p.PaidOn
	}
	return max(int(end.Sub(p.DueOn.Time).Hours()/24), 0)
}

// PaymentDraft is what a caller may say about a new payment.
type PaymentDraft struct {
	DueOn     tenant.Day
	Due       money.Money
	PaidOn    *tenant.Day
	Paid      *money.Money // all of Due when only PaidOn is told
	Method    Method
	Reference string
}

// PaymentChange is a merge patch of a payment.
type PaymentChange struct {
	DueOn     *tenant.Day
	Due       *money.Money
	PaidOn    patch.Field[tenant.Day]
	Paid      patch.Field[money.Money]
	Method    patch.Field[Method]
	Reference patch.Field[string]
}

// PaymentQuery asks for payments of one customer, the earliest due day first.
type PaymentQuery struct {
	Page       page.Request
	CustomerID uuid.UUID
	Status     []PaymentStatus
}

// Payments are all payments of a transaction by due day. Fails with ErrNotFound.
func (s *Service) Payments(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]Payment, error) {
	of, err := get(ctx, s.db, t, id)
	if err != nil {
		return nil, err
	}
	return payments(ctx, s.db, t, of)
}

// CustomerPayments is a page of one customer's payments.
func (s *Service) CustomerPayments(ctx context.Context, t tenant.Tenant, q PaymentQuery) (page.Of[Payment], error) {
	return customerPayments(ctx, s.db, t, q, t.Today(s.now()))
}

// Payment is one payment of a transaction. Fails with ErrNotFound or ErrPaymentNotFound.
func (s *Service) Payment(ctx context.Context, t tenant.Tenant, id, payment uuid.UUID) (Payment, error) {
	of, err := get(ctx, s.db, t, id)
	if err != nil {
		return Payment{}, err
	}
	return getPayment(ctx, s.db, t, of, payment)
}

// AddPayment records what is to be paid, or was. Fails with ErrNotFound, ErrPaymentsFull or fault.ErrInvalid.
func (s *Service) AddPayment(ctx context.Context, call tenant.Call, id uuid.UUID, d PaymentDraft) (Payment, error) {
	var p Payment
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		t, err := s.held(ctx, tx, call.Tenant, id)
		if err != nil {
			return err
		}
		n, err := countPayments(ctx, tx, call.Tenant.ID, t)
		if err != nil {
			return err
		}
		if n >= maxParts {
			return ErrPaymentsFull
		}
		now := s.now()
		p = Payment{ID: uuid.Must(uuid.NewV7()), Version: 1, CustomerID: t.CustomerID, TransactionID: t.ID, DueOn: d.DueOn, Due: d.Due,
			PaidOn: d.PaidOn, Paid: money.Money{Currency: t.Amount.Currency}, Method: d.Method, Reference: d.Reference,
			CreatedAt: now, UpdatedAt: now}
		switch {
		case d.Paid != nil:
			p.Paid = *d.Paid
		case d.PaidOn != nil:
			p.Paid = d.Due
		}
		if err := s.settle(ctx, tx, call.Tenant, &p, t); err != nil {
			return err
		}
		if err := insertPayment(ctx, tx, call.Tenant.ID, p); err != nil {
			return err
		}
		return s.paid(ctx, tx, call, t, "payment.created", p.ID, nil)
	})
	return p, err
}

// settle checks a payment of t and fills what follows from it.
func (s *Service) settle(ctx context.Context, tx postgres.Tx, of tenant.Tenant, p *Payment, t Transaction) error {
	var v fault.Validator
	due := minorOf(&v, "/amount_due", &p.Due, t.Amount.Currency)
	paid := minorOf(&v, "/amount_paid", &p.Paid, t.Amount.Currency)
	if v.Err() == nil {
		v.Check(due > 0, "/amount_due/amount", "not_positive", fault.T("must be more than 0", "必须大于 0"))
		v.Check(paid <= due, "/amount_paid/amount", "too_large", fault.T("more than is due; record another payment for the rest",
			"大于应付金额；多付部分请另记一笔付款"))
	}
	v.Check(p.DueOn.Plausible(), "/due_on", "out_of_range", tenant.Implausible)
	v.Check((paid > 0) == (p.PaidOn != nil), "/paid_on", "one_of",
		fault.T("paid_on goes with an amount_paid above 0", "paid_on 必须与大于 0 的 amount_paid 同时给出"))
	if p.PaidOn != nil {
		v.Check(p.PaidOn.Plausible(), "/paid_on", "out_of_range", tenant.Implausible)
		v.Check(!p.PaidOn.After(of.Today(s.now()).Time), "/paid_on", "in_future", fault.T("must not be in the future", "不能晚于今天"))
	}
	if err := v.Err(); err != nil {
		return err
	}
	var err error
	p.Open, err = convert(ctx, tx, of, money.Money{Minor: due - paid, Currency: t.Amount.Currency}, p.DueOn, "/amount_due")
	return err
}

// UpdatePayment merges a change into a payment. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, ErrPaymentNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) UpdatePayment(ctx context.Context, call tenant.Call, id, payment uuid.UUID, expected patch.Expected, c PaymentChange) (Payment, error) {
	var p Payment
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		t, err := s.held(ctx, tx, call.Tenant, id)
		if err != nil {
			return err
		}
		if p, err = getPayment(ctx, tx, call.Tenant, t, payment); err != nil {
			return err
		}
		if err := expected.Check(p.Version); err != nil {
			return err
		}
		before := p
		c.apply(&p)
		previous := p.difference(before)
		if len(previous) == 0 {
			return nil
		}
		if err := s.settle(ctx, tx, call.Tenant, &p, t); err != nil {
			return err
		}
		p.Version++
		p.UpdatedAt = s.now()
		if err := updatePayment(ctx, tx, call.Tenant.ID, p); err != nil {
			return err
		}
		return s.paid(ctx, tx, call, t, "payment.updated", p.ID, previous)
	})
	return p, err
}

func (c PaymentChange) apply(p *Payment) {
	patch.Keep(&p.DueOn, c.DueOn)
	full := p.Paid == p.Due
	patch.Keep(&p.Due, c.Due)
	c.Method.Into(&p.Method)
	c.Reference.Into(&p.Reference)
	nothing := money.Money{Currency: p.Due.Currency}
	if c.PaidOn.Given {
		p.PaidOn = c.PaidOn.Value
	}
	switch {
	case c.Paid.Given && c.Paid.Value != nil:
		p.Paid = *c.Paid.Value
	case c.Paid.Given || (c.PaidOn.Given && c.PaidOn.Value == nil):
		p.Paid = nothing
	case c.PaidOn.Given && (p.Paid.Minor == 0 || full):
		p.Paid = p.Due
	}
	if p.Paid.Minor == 0 && !(c.PaidOn.Given && c.PaidOn.Value != nil) {
		p.PaidOn = nil
	}
}

func (p Payment) difference(before Payment) map[string]any {
	previous := map[string]any{}
	note := func(name string, changed bool, value any) {
		if changed {
			previous[name] = value
		}
	}
	note("due_on", before.DueOn != p.DueOn, before.DueOn.String())
	note("amount_due", before.Due != p.Due, document(before.Due.Minor, before.Due.Currency))
	var on any
	if before.PaidOn != nil {
		on = before.PaidOn.String()
	}
	note("paid_on", !same(before.PaidOn, p.PaidOn), on)
	note("amount_paid", before.Paid != p.Paid, document(before.Paid.Minor, before.Paid.Currency))
	note("method", before.Method != p.Method, before.Method)
	note("reference", before.Reference != p.Reference, before.Reference)
	return previous
}

// DeletePayment takes a payment back that was recorded by mistake. Fails with ErrNotFound, ErrPaymentNotFound or
// patch.ErrVersion.
func (s *Service) DeletePayment(ctx context.Context, call tenant.Call, id, payment uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		t, err := s.held(ctx, tx, call.Tenant, id)
		if err != nil {
			return err
		}
		p, err := getPayment(ctx, tx, call.Tenant, t, payment)
		if err != nil {
			return err
		}
		if err := expected.Check(p.Version); err != nil {
			return err
		}
		if err := removePayment(ctx, tx, call.Tenant.ID, p); err != nil {
			return err
		}
		return s.paid(ctx, tx, call, t, "payment.deleted", p.ID, Payment{}.difference(p))
	})
}

// paid brings metrics up to date after a change of a payment and writes its event.
func (s *Service) paid(ctx context.Context, tx postgres.Tx, call tenant.Call, t Transaction, what string, id uuid.UUID, previous map[string]any) error {
	if err := metric.Refresh(ctx, tx, call.Tenant.ID, []uuid.UUID{t.CustomerID}); err != nil {
		return err
	}
	return s.recordOf(ctx, tx, call, t, what, "payment", id, previous)
}
