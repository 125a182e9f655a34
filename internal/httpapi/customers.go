package httpapi

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
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
	p := parts{req.Body.ContactPoints, req.Body.Addresses, true}
	c, err := h.Customers.CreateWith(ctx, callOf(ctx), registrationFromAPI(*req.Body), h.write(ctx, p))
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
	base, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	p := parts{req.Body.ContactPoints, req.Body.Addresses, false}
	c, err := h.Customers.UpdateWith(ctx, callOf(ctx), req.CustomerID, base, changeFromAPI(*req.Body), h.write(ctx, p))
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
	base, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	p := parts{req.Body.ContactPoints, req.Body.Addresses, false}
	c, outcome, err := h.Customers.PutWith(ctx, callOf(ctx), customer.ExternalID{Source: req.Source, ID: req.ExternalID}, base,
		or(req.Params.Undelete, false), changeFromAPI(*req.Body), h.write(ctx, p))
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

func (h customers) DeleteCustomer(ctx context.Context, req apigen.DeleteCustomerRequestObject) (apigen.DeleteCustomerResponseObject, error) {
	base, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteCustomer204Response{}, h.Customers.Delete(ctx, callOf(ctx), req.CustomerID, base)
}

func (h customers) UndeleteCustomer(ctx context.Context, req apigen.UndeleteCustomerRequestObject) (apigen.UndeleteCustomerResponseObject, error) {
	c, err := h.Customers.Undelete(ctx, callOf(ctx), req.CustomerID)
	if err != nil {
		return nil, err
	}
	body, err := h.written(ctx, c)
	if err != nil {
		return nil, err
	}
	return apigen.UndeleteCustomer200JSONResponse{Body: body, Headers: apigen.UndeleteCustomer200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func (h customers) PutCustomerExternalID(ctx context.Context, req apigen.PutCustomerExternalIDRequestObject) (apigen.PutCustomerExternalIDResponseObject, error) {
	c, err := h.Customers.AddExternalID(ctx, callOf(ctx), req.CustomerID, customer.ExternalID{Source: req.Source, ID: req.ExternalID})
	if err != nil {
		return nil, err
	}
	body, err := h.written(ctx, c)
	if err != nil {
		return nil, err
	}
	return apigen.PutCustomerExternalID200JSONResponse{Body: body, Headers: apigen.PutCustomerExternalID200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func (h customers) DeleteCustomerExternalID(ctx context.Context, req apigen.DeleteCustomerExternalIDRequestObject) (apigen.DeleteCustomerExternalIDResponseObject, error) {
	return apigen.DeleteCustomerExternalID204Response{}, h.Customers.RemoveExternalID(ctx, callOf(ctx), req.CustomerID,
		customer.ExternalID{Source: req.Source, ID: req.ExternalID})
}

func (h customers) BatchCustomers(ctx context.Context, req apigen.BatchCustomersRequestObject) (apigen.BatchCustomersResponseObject, error) {
	items := each(req.Body.Items, func(i apigen.CustomerBatchItem) customer.Item {
		return customer.Item{ID: customer.ExternalID{Source: i.Source, ID: i.ExternalID}, Change: changeFromAPI(i.Customer),
			With: h.write(ctx, parts{i.Customer.ContactPoints, i.Customer.Addresses, false})}
	})
	results, err := h.Customers.Batch(ctx, callOf(ctx), items)
	if err != nil {
		return nil, err
	}
	call := callOf(ctx)
	return apigen.BatchCustomers200JSONResponse{Items: each(results, func(r customer.Result) apigen.CustomerBatchOutcome {
		if r.Err != nil {
			problem := toProblem(r.Err, wantsChinese(ctx), call.RequestID, "")
			return apigen.CustomerBatchOutcome{Status: apigen.BatchStatusFailed, Problem: &problem}
		}
		return apigen.CustomerBatchOutcome{Status: apigen.BatchStatus(r.Outcome), ID: &r.Customer.ID, Version: &r.Customer.Version,
			Warnings: warningsToAPI(ctx, r.Customer)}
	})}, nil
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

func (h customers) ListCustomers(ctx context.Context, req apigen.ListCustomersRequestObject) (apigen.ListCustomersResponseObject, error) {
	p := req.Params
	asked := search{limit: p.Limit, cursor: p.Cursor, sort: or(p.Sort, "-created_at"), fields: or(p.Fields, nil), expand: or(p.Expand, nil),
		total: page.Total(or(p.Total, apigen.ListCustomersParamsTotalNone)), deleted: or(p.Deleted, false),
		text: or(p.Filter, ""), tag: or(p.Tag, ""), parameter: "filter"}
	found, err := h.search(ctx, asked)
	return apigen.ListCustomers200JSONResponse(found), err
}

func (h customers) SearchCustomers(ctx context.Context, req apigen.SearchCustomersRequestObject) (apigen.SearchCustomersResponseObject, error) {
	b := req.Body
	asked := search{limit: b.Limit, cursor: b.Cursor, sort: or(b.Sort, "-created_at"), expand: or(b.Expand, nil), fields: or(b.Fields, nil),
		total: page.Total(or(b.Total, apigen.CustomerSearchTotalNone)), text: or(b.FilterText, ""), tree: or(b.Filter, nil)}
	found, err := h.search(ctx, asked)
	return apigen.SearchCustomers200JSONResponse(found), err
}

// search is a list call in either form.
type search struct {
	limit     *int
	cursor    *string
	sort      string
	total     page.Total
	deleted   bool
	text      string // the condition as text,
	tree      []byte // or as JSON
	parameter string // the query parameter that text came from; empty for the body's filter_text
	tag       string
	fields    []apigen.CustomerField
	expand    []apigen.CustomerExpansion
}

func (h customers) search(ctx context.Context, s search) (apigen.CustomerPage, error) {
	t := callOf(ctx).Tenant
	language, err := condition.For(ctx, h.DB, t, h.now())
	if err != nil {
		return apigen.CustomerPage{}, err
	}
	q := customer.Query{Deleted: s.deleted}
	if q.Sort, err = language.Sort(s.sort); err != nil {
		return apigen.CustomerPage{}, err
	}
	if err := mayRead(ctx, strings.TrimPrefix(s.sort, "-")); err != nil {
		return apigen.CustomerPage{}, err
	}
	node, where, err := s.condition(language)
	if err != nil {
		return apigen.CustomerPage{}, err
	}
	q.Where, q.Metrics = where, condition.NeedsMetrics(node)
	canonical := ""
	if node != nil {
		if err := mayAsk(ctx, language, node); err != nil {
			return apigen.CustomerPage{}, err
		}
		canonical = node.Text()
	}
	scope := []string{"customers", canonical, s.sort, strconv.FormatBool(s.deleted)}
	if q.Page, err = h.request(ctx, s.limit, s.cursor, scope...); err != nil {
		return apigen.CustomerPage{}, err
	}
	q.Page.Total = s.total
	p, err := h.Customers.List(ctx, t, q)
	if err != nil {
		return apigen.CustomerPage{}, err
	}
	items, err := h.pack(ctx, p.Items, s.fields, s.expand)
	if err != nil {
		return apigen.CustomerPage{}, err
	}
	next, err := h.next(ctx, p.Next, scope...)
	out := apigen.CustomerPage{Items: items, NextCursor: next, HasMore: next != nil, Total: p.Total}
	if p.Total != nil {
		out.TotalIsEstimate = &p.Estimate
	}
	return out, err
}

// condition joins the condition given and the tag parameter.
func (s search) condition(language condition.Language) (filter.Node, filter.Expr, error) {
	node, err := readCondition(language, s.text, s.tree, s.parameter)
	if err != nil {
		return nil, filter.Expr{}, err
	}
	if s.tag != "" {
		leaf := filter.Leaf{Field: "tags", Op: filter.Has, Values: []filter.Value{filter.String(s.tag)}}
		if node == nil {
			node = leaf
		} else {
			node = filter.And{node, leaf}
		}
	}
	if node == nil {
		return nil, filter.Expr{}, nil
	}
	where, err := language.Catalogue.Compile(node, language.Env)
	return node, where, err
}

func customerLocation(id uuid.UUID) *string { return ptr("/v1/customers/" + id.String()) }

func customerToAPI(c customer.Customer) apigen.Customer {
	ids := each(c.ExternalIDs, func(e customer.ExternalID) apigen.ExternalIdentity {
		return apigen.ExternalIdentity{Source: e.Source, ExternalID: e.ID}
	})
	out := apigen.Customer{ID: c.ID, Version: c.Version, Kind: apigen.CustomerKind(c.Kind), Name: c.Name,
		Stage: ptr(apigen.CustomerStage(c.Stage)), Owner: set(c.Owner), Country: set(c.Country), Province: set(c.Province),
		City: set(c.City), Industry: set(c.Industry), ExternalIds: &ids, Attributes: ptr(map[string]any(c.Attributes)), CreatedAt: &c.CreatedAt, UpdatedAt: &c.UpdatedAt,
		DeletedAt: utc(c.DeletedAt)}
	if c.Source != (customer.Source{}) {
		out.Source = &apigen.CustomerSource{Channel: apigen.SourceChannel(c.Source.Channel), Detail: set(c.Source.Detail),
			Campaign: set(c.Source.Campaign)}
	}
	return out
}

func sourceFromAPI(s apigen.CustomerSource) customer.Source {
	return customer.Source{Channel: string(s.Channel), Detail: or(s.Detail, ""), Campaign: or(s.Campaign, "")}
}

func sourceChangeFromAPI(s apigen.CustomerSourcePatch) customer.SourceChange {
	c := customer.SourceChange{Detail: field(s.Detail, same[string]), Campaign: field(s.Campaign, same[string])}
	if s.Channel != nil {
		c.Channel = ptr(string(*s.Channel))
	}
	return c
}

func registrationFromAPI(b apigen.CustomerCreate) customer.Registration {
	r := customer.Registration{Kind: customer.Kind(b.Kind), Name: b.Name, Stage: customer.Stage(or(b.Stage, "")), Owner: or(b.Owner, ""),
		Country: or(b.Country, ""), Province: or(b.Province, ""), City: or(b.City, ""), Industry: or(b.Industry, ""),
		ExternalIDs: each(or(b.ExternalIds, nil), func(e apigen.ExternalIdentity) customer.ExternalID {
			return customer.ExternalID{Source: e.Source, ID: e.ExternalID}
		})}
	if b.Source != nil {
		r.Source = sourceFromAPI(*b.Source)
	}
	if b.Attributes != nil {
		r.Attributes = attributesFromAPI(*b.Attributes)
	}
	return r
}

// attributesFromAPI reads what the contract has found to be a JSON object.
func attributesFromAPI(raw json.RawMessage) customer.Attributes {
	var a customer.Attributes
	_ = json.Unmarshal(raw, &a)
	return a
}

func changeFromAPI(b apigen.CustomerPatch) customer.Change {
	c := customer.Change{Name: b.Name, Source: field(b.Source, sourceChangeFromAPI), Owner: field(b.Owner, same[string]),
		Country: field(b.Country, same[string]), Province: field(b.Province, same[string]), City: field(b.City, same[string]),
		Industry: field(b.Industry, same[string]), Attributes: field(b.Attributes, attributesFromAPI)}
	if b.Kind != nil {
		c.Kind = ptr(customer.Kind(*b.Kind))
	}
	if b.Stage != nil {
		c.Stage = ptr(customer.Stage(*b.Stage))
	}
	return c
}

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
