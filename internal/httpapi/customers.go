package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
)

type customers struct {
	lister
	Services
	now func() time.Time
}

func (h customers) CreateCustomer(ctx context.Context, req apigen.CreateCustomerRequestObject) (apigen.CreateCustomerResponseObject, error) {
	r, err := registrationFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	p := parts{req.Body.ContactPoints, req.Body.Addresses, true}
	c, err := h.Customers.CreateWith(ctx, callOf(ctx), r, h.write(ctx, p))
	if err != nil {
		return nil, err
	}
	body, err := h.pack(ctx, []customer.Customer{c}, nil, p.shown())
	if err != nil {
		return nil, err
	}
	return apigen.CreateCustomer201JSONResponse{Body: body[0], Headers: apigen.CreateCustomer201ResponseHeaders{
		ETag: etag(c.Version), Location: customerLocation(c.ID)}}, nil
}

func (h customers) GetCustomer(ctx context.Context, req apigen.GetCustomerRequestObject) (apigen.GetCustomerResponseObject, error) {
	c, err := h.Customers.Get(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	body, tag, err := h.shown(ctx, c, req.Params.Fields, req.Params.Expand)
	return apigen.GetCustomer200JSONResponse{Body: body, Headers: apigen.GetCustomer200ResponseHeaders{ETag: tag}}, err
}

func (h customers) GetCustomerByExternalID(ctx context.Context, req apigen.GetCustomerByExternalIDRequestObject) (apigen.GetCustomerByExternalIDResponseObject, error) {
	c, err := h.Customers.ByExternalID(ctx, callOf(ctx).Tenant, customer.ExternalID{Source: req.Source, ID: req.ExternalID})
	if err != nil {
		return nil, err
	}
	body, tag, err := h.shown(ctx, c, req.Params.Fields, req.Params.Expand)
	return apigen.GetCustomerByExternalID200JSONResponse{Body: body, Headers: apigen.GetCustomerByExternalID200ResponseHeaders{ETag: tag}}, err
}

// shown is one customer with what was asked for beside it. Only the plain form has an ETag: a metric or a tag changes
// without raising the customer's version.
func (h customers) shown(ctx context.Context, c customer.Customer, fields *[]apigen.CustomerField, expand *[]apigen.CustomerExpansion) (apigen.Customer, *string, error) {
	if fields == nil && expand == nil {
		body, err := h.written(ctx, c)
		return body, etag(c.Version), err
	}
	list, err := h.pack(ctx, []customer.Customer{c}, or(fields, nil), or(expand, nil))
	if err != nil {
		return apigen.Customer{}, nil, err
	}
	return list[0], nil, nil
}

func (h customers) PatchCustomer(ctx context.Context, req apigen.PatchCustomerRequestObject) (apigen.PatchCustomerResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	change, err := changeFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	p := parts{req.Body.ContactPoints, req.Body.Addresses, false}
	c, err := h.Customers.UpdateWith(ctx, callOf(ctx), req.CustomerID, expected, change, h.write(ctx, p))
	if err != nil {
		return nil, err
	}
	body, err := h.pack(ctx, []customer.Customer{c}, nil, p.shown())
	if err != nil {
		return nil, err
	}
	return apigen.PatchCustomer200JSONResponse{Body: body[0], Headers: apigen.PatchCustomer200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func (h customers) PutCustomerByExternalID(ctx context.Context, req apigen.PutCustomerByExternalIDRequestObject) (apigen.PutCustomerByExternalIDResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	change, err := changeFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	p := parts{req.Body.ContactPoints, req.Body.Addresses, false}
	c, outcome, err := h.Customers.PutWith(ctx, callOf(ctx), customer.ExternalID{Source: req.Source, ID: req.ExternalID}, expected,
		or(req.Params.Undelete, false), change, h.write(ctx, p))
	if err != nil {
		return nil, err
	}
	body, err := h.pack(ctx, []customer.Customer{c}, nil, p.shown())
	switch {
	case err != nil:
		return nil, err
	case outcome == customer.Created:
		return apigen.PutCustomerByExternalID201JSONResponse{Body: body[0], Headers: apigen.PutCustomerByExternalID201ResponseHeaders{
			ETag: etag(c.Version), Location: customerLocation(c.ID)}}, nil
	}
	return apigen.PutCustomerByExternalID200JSONResponse{Body: body[0],
		Headers: apigen.PutCustomerByExternalID200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func (h customers) ListCustomerStages(ctx context.Context, req apigen.ListCustomerStagesRequestObject) (apigen.ListCustomerStagesResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[customer.Move], error) {
		return h.Customers.Stages(ctx, callOf(ctx).Tenant, req.CustomerID, r)
	}, "customer_stages", req.CustomerID.String())
	return apigen.ListCustomerStages200JSONResponse{NextCursor: next, HasMore: next != nil, Items: each(p.Items, stageMoveToAPI)}, err
}

func (h customers) DeleteCustomer(ctx context.Context, req apigen.DeleteCustomerRequestObject) (apigen.DeleteCustomerResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteCustomer204Response{}, h.Customers.Delete(ctx, callOf(ctx), req.CustomerID, expected)
}

func (h customers) UndeleteCustomer(ctx context.Context, req apigen.UndeleteCustomerRequestObject) (apigen.UndeleteCustomerResponseObject, error) {
	c, err := h.Customers.Undelete(ctx, callOf(ctx), req.CustomerID)
	if err != nil {
		return nil, err
	}
	body, err := h.written(ctx, c)
	return apigen.UndeleteCustomer200JSONResponse{Body: body, Headers: apigen.UndeleteCustomer200ResponseHeaders{ETag: etag(c.Version)}}, err
}

func (h customers) PutCustomerExternalID(ctx context.Context, req apigen.PutCustomerExternalIDRequestObject) (apigen.PutCustomerExternalIDResponseObject, error) {
	c, err := h.Customers.AddExternalID(ctx, callOf(ctx), req.CustomerID, customer.ExternalID{Source: req.Source, ID: req.ExternalID})
	if err != nil {
		return nil, err
	}
	body, err := h.written(ctx, c)
	return apigen.PutCustomerExternalID200JSONResponse{Body: body, Headers: apigen.PutCustomerExternalID200ResponseHeaders{ETag: etag(c.Version)}}, err
}

func (h customers) DeleteCustomerExternalID(ctx context.Context, req apigen.DeleteCustomerExternalIDRequestObject) (apigen.DeleteCustomerExternalIDResponseObject, error) {
	return apigen.DeleteCustomerExternalID204Response{}, h.Customers.RemoveExternalID(ctx, callOf(ctx), req.CustomerID,
		customer.ExternalID{Source: req.Source, ID: req.ExternalID})
}

func (h customers) BatchCustomers(ctx context.Context, req apigen.BatchCustomersRequestObject) (apigen.BatchCustomersResponseObject, error) {
	call := callOf(ctx)
	outcomes := make([]apigen.CustomerBatchOutcome, len(req.Body.Items))
	failed := func(i int, err error) {
		problem := toProblem(err, wantsChinese(ctx), call.RequestID, "")
		outcomes[i] = apigen.CustomerBatchOutcome{Status: apigen.BatchStatusFailed, Problem: &problem}
	}
	var items []customer.Item
	var at []int
	inItem := func(i int, err error) error { return below(err, "/items/"+strconv.Itoa(i)+"/customer") }
	for i, item := range req.Body.Items {
		if err := refusedItem(ctx, i); err != nil {
			failed(i, err)
			continue
		}
		change, err := changeFromAPI(item.Customer)
		if err != nil {
			failed(i, inItem(i, err))
			continue
		}
		items, at = append(items, customer.Item{ID: customer.ExternalID{Source: item.Source, ID: item.ExternalID}, Change: change,
			With: h.write(ctx, parts{item.Customer.ContactPoints, item.Customer.Addresses, false})}), append(at, i)
	}
	results, err := h.Customers.Batch(ctx, call, items)
	if err != nil {
		return nil, err
	}
	for n, r := range results {
		if r.Err != nil {
			failed(at[n], inItem(at[n], r.Err))
			continue
		}
		outcomes[at[n]] = apigen.CustomerBatchOutcome{Status: apigen.BatchStatus(r.Outcome), ID: &r.Customer.ID, Version: &r.Customer.Version,
			Warnings: warningsToAPI(ctx, r.Customer.Warnings)}
	}
	return apigen.BatchCustomers200JSONResponse{Items: outcomes}, nil
}

func (h customers) BatchGetCustomers(ctx context.Context, req apigen.BatchGetCustomersRequestObject) (apigen.BatchGetCustomersResponseObject, error) {
	found, err := h.Customers.Many(ctx, callOf(ctx).Tenant, req.Body.Ids)
	if err != nil {
		return nil, err
	}
	items, err := h.pack(ctx, found, nil, or(req.Body.Expand, nil))
	if err != nil {
		return nil, err
	}
	has := map[uuid.UUID]bool{}
	for _, c := range found {
		has[c.ID] = true
	}
	missing := []uuid.UUID{}
	for _, id := range req.Body.Ids {
		if !has[id] {
			has[id] = true
			missing = append(missing, id)
		}
	}
	return apigen.BatchGetCustomers200JSONResponse{Items: items, Missing: missing}, nil
}

func (h customers) GetCustomerMetrics(ctx context.Context, req apigen.GetCustomerMetricsRequestObject) (apigen.GetCustomerMetricsResponseObject, error) {
	t := callOf(ctx).Tenant
	c, err := h.Customers.Get(ctx, t, req.CustomerID)
	if err != nil {
		return nil, err
	}
	all, err := metric.Of(ctx, h.DB, t.ID, []uuid.UUID{c.ID})
	if err != nil {
		return nil, err
	}
	owing, err := metric.OverdueOf(ctx, h.DB, t.ID, all, t.Today(h.now()))
	if err != nil {
		return nil, err
	}
	return apigen.GetCustomerMetrics200JSONResponse(metricsToAPI(all[c.ID], owing[c.ID], t.Currency)), nil
}

func customerLocation(id uuid.UUID) *string { return ptr("/v1/customers/" + id.String()) }

// metricsToAPI shows metrics, and what is owed today.
func metricsToAPI(m metric.Metrics, o metric.Overdue, currency string) apigen.Metrics {
	in := func(minor int64) apigen.Money { return moneyToAPI(money.Money{Minor: minor, Currency: currency}) }
	out := apigen.Metrics{PurchaseCount: m.PurchaseCount, PurchaseDays: m.PurchaseDays, UnitsTotal: m.UnitsTotal,
		SpendTotal: in(m.SpendTotal), ReturnCount: m.ReturnCount, ReturnsTotal: in(m.ReturnsTotal), OnTimePayments: m.OnTimePayments,
		LatePayments: m.LatePayments, OpenPayments: m.OpenPayments, OpenAmount: in(m.OpenAmount), OpenDueOn: dateOrNil(m.OpenDueOn),
		OverduePayments: o.Payments, OverdueAmount: in(o.Amount), LastPaymentOn: dateOrNil(m.LastPaymentOn),
		DaysLateMax: set(max(m.DaysLateMax, o.DaysLate))}
	if average, ok := m.AveragePurchase(); ok {
		out.AveragePurchase = ptr(in(average))
		out.FirstPurchaseOn, out.LastPurchaseOn = dateOrNil(m.FirstPurchaseOn), dateOrNil(m.LastPurchaseOn)
	}
	if days, ok := m.CycleDays(); ok {
		out.PurchaseCycleDays = &days
	}
	if days, ok := m.AverageDaysLate(); ok {
		out.DaysLateAverage = &days
	}
	return out
}
