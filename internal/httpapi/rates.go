package httpapi

import (
	"context"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/transaction"
)

func (h transactions) PutExchangeRate(ctx context.Context, req apigen.PutExchangeRateRequestObject) (apigen.PutExchangeRateResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	r, created, err := h.svc.PutRate(ctx, callOf(ctx), expected, req.Currency, dayFromAPI(req.Day), req.Body.Rate)
	if err != nil {
		return nil, err
	}
	if created {
		return apigen.PutExchangeRate201JSONResponse{Body: rateToAPI(r), Headers: apigen.PutExchangeRate201ResponseHeaders{ETag: etag(r.Version)}}, nil
	}
	return apigen.PutExchangeRate200JSONResponse{Body: rateToAPI(r), Headers: apigen.PutExchangeRate200ResponseHeaders{ETag: etag(r.Version)}}, nil
}

func (h transactions) ListExchangeRates(ctx context.Context, req apigen.ListExchangeRatesRequestObject) (apigen.ListExchangeRatesResponseObject, error) {
	currency := or(req.Params.Currency, "")
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[transaction.Rate], error) {
		return h.svc.ListRates(ctx, callOf(ctx).Tenant, currency, r)
	}, "rates", currency)
	return apigen.ListExchangeRates200JSONResponse{Items: each(p.Items, rateToAPI), NextCursor: next, HasMore: next != nil}, err
}

func rateToAPI(r transaction.Rate) apigen.ExchangeRate {
	return apigen.ExchangeRate{Currency: r.Currency, Day: dayToAPI(r.Day), Rate: r.Rate, Version: r.Version,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}
