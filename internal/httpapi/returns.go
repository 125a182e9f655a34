package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/transaction"
)

// returnVersion is that of every return: one does not change.
const returnVersion = 1

func (h transactions) ListReturns(ctx context.Context, req apigen.ListReturnsRequestObject) (apigen.ListReturnsResponseObject, error) {
	found, err := h.svc.ReturnsOf(ctx, callOf(ctx).Tenant, req.TransactionID)
	if err != nil {
		return nil, err
	}
	return apigen.ListReturns200JSONResponse{Items: each(found, returnToAPI)}, nil
}

func (h transactions) CreateReturn(ctx context.Context, req apigen.CreateReturnRequestObject) (apigen.CreateReturnResponseObject, error) {
	b := req.Body
	var v fault.Validator
	d := transaction.ReturnDraft{Day: dayOrNil(b.ReturnedOn), Amount: moneyOrNil(&v, "/amount", b.Amount), Reason: or(b.Reason, "")}
	for i, item := range or(b.Items, nil) {
		d.Items = append(d.Items, transaction.ReturnItem{Line: item.Line,
			Quantity: quantityFromAPI(&v, fmt.Sprintf("/items/%d/quantity", i), item.Quantity)})
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	r, err := h.svc.AddReturn(ctx, callOf(ctx), req.TransactionID, d)
	if err != nil {
		return nil, err
	}
	return apigen.CreateReturn201JSONResponse{Body: returnToAPI(r), Headers: apigen.CreateReturn201ResponseHeaders{
		ETag: etag(returnVersion), Location: ptr("/v1/transactions/" + r.TransactionID.String() + "/returns/" + r.ID.String())}}, nil
}

func (h transactions) GetReturn(ctx context.Context, req apigen.GetReturnRequestObject) (apigen.GetReturnResponseObject, error) {
	r, err := h.svc.Return(ctx, callOf(ctx).Tenant, req.TransactionID, req.ReturnID)
	if err != nil {
		return nil, err
	}
	return apigen.GetReturn200JSONResponse{Body: returnToAPI(r), Headers: apigen.GetReturn200ResponseHeaders{ETag: etag(returnVersion)}}, nil
}

func (h transactions) DeleteReturn(ctx context.Context, req apigen.DeleteReturnRequestObject) (apigen.DeleteReturnResponseObject, error) {
	if err := h.svc.DeleteReturn(ctx, callOf(ctx), req.TransactionID, req.ReturnID); err != nil {
		return nil, err
	}
	return apigen.DeleteReturn204Response{}, nil
}

func returnToAPI(r transaction.Return) apigen.Return {
	return apigen.Return{ID: r.ID, TransactionID: r.TransactionID, CustomerID: r.CustomerID, ReturnedOn: dayToAPI(r.Day),
		Amount: moneyToAPI(r.Amount), BaseAmount: moneyToAPI(r.Base), Reason: set(r.Reason), Actor: r.Actor, CreatedAt: r.CreatedAt,
		Items: each(r.Items, func(i transaction.ReturnItem) apigen.ReturnItem {
			return apigen.ReturnItem{Line: i.Line, Quantity: i.Quantity.Decimal(),
				Amount: moneyToAPI(money.Money{Minor: i.Amount, Currency: r.Amount.Currency})}
		})}
}
