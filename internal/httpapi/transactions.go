package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/transaction"
)

type transactions struct {
	lister
	svc *transaction.Service
}

func (h transactions) CreateTransaction(ctx context.Context, req apigen.CreateTransactionRequestObject) (apigen.CreateTransactionResponseObject, error) {
	b := req.Body
	var v fault.Validator
	c := transaction.Creation{CustomerID: b.CustomerID, Source: or(b.Source, ""), ExternalID: or(b.ExternalID, ""),
		Status: transaction.Status(or(b.Status, "")), Moment: transaction.Moment{At: b.OccurredAt, On: dayOrNil(b.OccurredOn)},
		Amount: amountFromAPI(&v, b.Amount), Units: b.Units, Channel: or(b.Channel, "")}
	if b.Customer != nil {
		c.Customer = &customer.ExternalID{Source: b.Customer.Source, ID: b.Customer.ExternalID}
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	t, err := h.svc.Create(ctx, callOf(ctx), c)
	if err != nil {
		return nil, err
	}
	return apigen.CreateTransaction201JSONResponse{Body: transactionToAPI(t), Headers: apigen.CreateTransaction201ResponseHeaders{
		ETag: etag(t.Version), Location: ptr("/v1/transactions/" + t.ID.String())}}, nil
}

func (h transactions) GetTransaction(ctx context.Context, req apigen.GetTransactionRequestObject) (apigen.GetTransactionResponseObject, error) {
	t, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.TransactionID)
	if err != nil {
		return nil, err
	}
	return apigen.GetTransaction200JSONResponse{Body: transactionToAPI(t), Headers: apigen.GetTransaction200ResponseHeaders{ETag: etag(t.Version)}}, nil
}

func (h transactions) PatchTransaction(ctx context.Context, req apigen.PatchTransactionRequestObject) (apigen.PatchTransactionResponseObject, error) {
	base, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	var v fault.Validator
	c := transaction.Change{Moment: transaction.Moment{At: b.OccurredAt, On: dayOrNil(b.OccurredOn)}, Units: field(b.Units, same[int]),
		Channel: field(b.Channel, same[string])}
	if b.Status != nil {
		c.Status = ptr(transaction.Status(*b.Status))
	}
	if b.Amount != nil {
		c.Amount = ptr(amountFromAPI(&v, *b.Amount))
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	t, err := h.svc.Update(ctx, callOf(ctx), req.TransactionID, base, c)
	if err != nil {
		return nil, err
	}
	return apigen.PatchTransaction200JSONResponse{Body: transactionToAPI(t), Headers: apigen.PatchTransaction200ResponseHeaders{ETag: etag(t.Version)}}, nil
}

func (h transactions) ListTransactions(ctx context.Context, req apigen.ListTransactionsRequestObject) (apigen.ListTransactionsResponseObject, error) {
	p := req.Params
	q := transaction.Query{CustomerID: p.CustomerID, From: dayOrNil(p.From), Until: dayOrNil(p.Until),
		Status: each(or(p.Status, nil), func(s apigen.TransactionStatus) transaction.Status { return transaction.Status(s) })}
	scope := []string{"transactions", fmt.Sprint(or(p.CustomerID, [16]byte{})), fmt.Sprint(q.From), fmt.Sprint(q.Until), fmt.Sprint(q.Status)}
	var err error
	if q.Page, err = h.request(ctx, p.Limit, p.Cursor, scope...); err != nil {
		return nil, err
	}
	found, err := h.svc.List(ctx, callOf(ctx).Tenant, q)
	if err != nil {
		return nil, err
	}
	next, err := h.next(ctx, found.Next, scope...)
	return apigen.ListTransactions200JSONResponse{Items: each(found.Items, transactionToAPI), NextCursor: next, HasMore: next != nil}, err
}

// amountFromAPI reads the amount of an order, which is never below 0: money that goes back is a return.
func amountFromAPI(v *fault.Validator, m apigen.Money) money.Money {
	amount := moneyFromAPI(v, "/amount", m)
	v.Check(amount.Minor >= 0, "/amount/amount", "negative", fault.T("must not be below 0", "不能小于 0"))
	return amount
}

func transactionToAPI(t transaction.Transaction) apigen.Transaction {
	return apigen.Transaction{ID: t.ID, Version: t.Version, CustomerID: t.CustomerID, Source: t.Source, ExternalID: set(t.ExternalID),
		Status: apigen.TransactionStatus(t.Status), OccurredAt: t.OccurredAt, OccurredOn: dayToAPI(t.Day), Amount: moneyToAPI(t.Amount),
		BaseAmount: moneyToAPI(t.Base), Units: t.Units, Channel: set(t.Channel), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
}
