package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

func (h transactions) today(ctx context.Context) tenant.Day { return callOf(ctx).Tenant.Today(h.now()) }

func (h transactions) ListPayments(ctx context.Context, req apigen.ListPaymentsRequestObject) (apigen.ListPaymentsResponseObject, error) {
	found, err := h.svc.Payments(ctx, callOf(ctx).Tenant, req.TransactionID)
	if err != nil {
		return nil, err
	}
	return apigen.ListPayments200JSONResponse{Items: each(found, h.paymentToAPI(ctx))}, nil
}

func (h transactions) ListCustomerPayments(ctx context.Context, req apigen.ListCustomerPaymentsRequestObject) (apigen.ListCustomerPaymentsResponseObject, error) {
	t := callOf(ctx).Tenant
	c, err := h.customers.Get(ctx, t, req.CustomerID)
	if err != nil {
		return nil, err
	}
	q := transaction.PaymentQuery{CustomerID: c.ID, Status: each(or(req.Params.Status, nil),
		func(s apigen.PaymentStatus) transaction.PaymentStatus { return transaction.PaymentStatus(s) })}
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[transaction.Payment], error) {
		q.Page = r
		return h.svc.CustomerPayments(ctx, t, q)
	}, "customer-payments", c.ID.String(), fmt.Sprint(q.Status))
	return apigen.ListCustomerPayments200JSONResponse{Items: each(p.Items, h.paymentToAPI(ctx)), NextCursor: next, HasMore: next != nil}, err
}

func (h transactions) CreatePayment(ctx context.Context, req apigen.CreatePaymentRequestObject) (apigen.CreatePaymentResponseObject, error) {
	b := req.Body
	var v fault.Validator
	d := transaction.PaymentDraft{DueOn: dayFromAPI(b.DueOn), Due: moneyFromAPI(&v, "/amount_due", b.AmountDue), PaidOn: dayOrNil(b.PaidOn),
		Paid: moneyOrNil(&v, "/amount_paid", b.AmountPaid), Method: transaction.Method(or(b.Method, "")), Reference: or(b.Reference, "")}
	if err := v.Err(); err != nil {
		return nil, err
	}
	p, err := h.svc.AddPayment(ctx, callOf(ctx), req.TransactionID, d)
	if err != nil {
		return nil, err
	}
	return apigen.CreatePayment201JSONResponse{Body: h.paymentToAPI(ctx)(p), Headers: apigen.CreatePayment201ResponseHeaders{
		ETag: h.paymentETag(ctx, p), Location: ptr("/v1/transactions/" + p.TransactionID.String() + "/payments/" + p.ID.String())}}, nil
}

func (h transactions) GetPayment(ctx context.Context, req apigen.GetPaymentRequestObject) (apigen.GetPaymentResponseObject, error) {
	p, err := h.svc.Payment(ctx, callOf(ctx).Tenant, req.TransactionID, req.PaymentID)
	if err != nil {
		return nil, err
	}
	return apigen.GetPayment200JSONResponse{Body: h.paymentToAPI(ctx)(p), Headers: apigen.GetPayment200ResponseHeaders{ETag: h.paymentETag(ctx, p)}}, nil
}

func (h transactions) PatchPayment(ctx context.Context, req apigen.PatchPaymentRequestObject) (apigen.PatchPaymentResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	var v fault.Validator
	c := transaction.PaymentChange{DueOn: dayOrNil(b.DueOn), Due: moneyOrNil(&v, "/amount_due", b.AmountDue),
		PaidOn:    field(b.PaidOn, dayFromAPI),
		Paid:      field(b.AmountPaid, func(m apigen.Money) money.Money { return moneyFromAPI(&v, "/amount_paid", m) }),
		Method:    field(b.Method, methodFromAPI),
		Reference: field(b.Reference, same[string])}
	if err := v.Err(); err != nil {
		return nil, err
	}
	p, err := h.svc.UpdatePayment(ctx, callOf(ctx), req.TransactionID, req.PaymentID, expected, c)
	if err != nil {
		return nil, err
	}
	return apigen.PatchPayment200JSONResponse{Body: h.paymentToAPI(ctx)(p), Headers: apigen.PatchPayment200ResponseHeaders{ETag: h.paymentETag(ctx, p)}}, nil
}

func (h transactions) DeletePayment(ctx context.Context, req apigen.DeletePaymentRequestObject) (apigen.DeletePaymentResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.DeletePayment(ctx, callOf(ctx), req.TransactionID, req.PaymentID, expected); err != nil {
		return nil, err
	}
	return apigen.DeletePayment204Response{}, nil
}

// paymentETag covers the days late too, with which the status changes as days pass without raising the version.
func (h transactions) paymentETag(ctx context.Context, p transaction.Payment) *string {
	return ptr(fmt.Sprintf(`"%d.%d"`, p.Version, p.DaysLate(h.today(ctx))))
}

func (h transactions) paymentToAPI(ctx context.Context) func(transaction.Payment) apigen.Payment {
	today := h.today(ctx)
	return func(p transaction.Payment) apigen.Payment {
		out := apigen.Payment{ID: p.ID, Version: p.Version, TransactionID: p.TransactionID, CustomerID: p.CustomerID,
			Status: apigen.PaymentStatus(p.Status(today)), DueOn: dayToAPI(p.DueOn), AmountDue: moneyToAPI(p.Due),
			AmountPaid: moneyToAPI(p.Paid), DaysLate: p.DaysLate(today), Method: set(apigen.PaymentMethod(p.Method)),
			Reference: set(p.Reference), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
		if p.PaidOn != nil {
			out.PaidOn = ptr(dayToAPI(*p.PaidOn))
		}
		return out
	}
}
