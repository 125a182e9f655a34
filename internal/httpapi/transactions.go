package httpapi

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/transaction"
)

type transactions struct {
	lister
	svc       *transaction.Service
	customers *customer.Service
	db        *postgres.DB
	now       func() time.Time
}

func (h transactions) CreateTransaction(ctx context.Context, req apigen.CreateTransactionRequestObject) (apigen.CreateTransactionResponseObject, error) {
	c, err := transactionFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	t, err := h.svc.Create(ctx, callOf(ctx), c)
	if err != nil {
		return nil, err
	}
	body, err := h.shown(ctx, t)
	if err != nil {
		return nil, err
	}
	return apigen.CreateTransaction201JSONResponse{Body: body[0], Headers: apigen.CreateTransaction201ResponseHeaders{
		ETag: etag(t.Version), Location: ptr("/v1/transactions/" + t.ID.String())}}, nil
}

func (h transactions) BatchTransactions(ctx context.Context, req apigen.BatchTransactionsRequestObject) (apigen.BatchTransactionsResponseObject, error) {
	call := callOf(ctx)
	outcomes := make([]apigen.TransactionBatchOutcome, len(req.Body.Items))
	failed := func(i int, err error) {
		problem := toProblem(err, wantsChinese(ctx), call.RequestID, "")
		outcomes[i] = apigen.TransactionBatchOutcome{Status: apigen.BatchStatusFailed, Problem: &problem}
	}
	var items []transaction.Creation
	var at []int // where each of them is in the request
	inItem := func(i int, err error) error { return below(err, "/items/"+strconv.Itoa(i)) }
	for i, item := range req.Body.Items {
		if err := refusedItem(ctx, i); err != nil {
			failed(i, err)
			continue
		}
		c, err := transactionFromAPI(item)
		if err != nil {
			failed(i, inItem(i, err))
			continue
		}
		items, at = append(items, c), append(at, i)
	}
	results, err := h.svc.Batch(ctx, call, items)
	if err != nil {
		return nil, err
	}
	for n, r := range results {
		if r.Err != nil {
			failed(at[n], inItem(at[n], r.Err))
			continue
		}
		outcomes[at[n]] = apigen.TransactionBatchOutcome{Status: apigen.BatchStatusCreated, ID: &r.Transaction.ID, Version: &r.Transaction.Version}
	}
	return apigen.BatchTransactions200JSONResponse{Items: outcomes}, nil
}

func (h transactions) GetTransaction(ctx context.Context, req apigen.GetTransactionRequestObject) (apigen.GetTransactionResponseObject, error) {
	t, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.TransactionID)
	if err != nil {
		return nil, err
	}
	body, err := h.shown(ctx, t)
	if err != nil {
		return nil, err
	}
	return apigen.GetTransaction200JSONResponse{Body: body[0], Headers: apigen.GetTransaction200ResponseHeaders{ETag: etag(t.Version)}}, nil
}

func (h transactions) PatchTransaction(ctx context.Context, req apigen.PatchTransactionRequestObject) (apigen.PatchTransactionResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	c, err := transactionChangeFromAPI(*req.Body)
	if err != nil {
		return nil, err
	}
	t, err := h.svc.Update(ctx, callOf(ctx), req.TransactionID, expected, c)
	if err != nil {
		return nil, err
	}
	body, err := h.shown(ctx, t)
	if err != nil {
		return nil, err
	}
	return apigen.PatchTransaction200JSONResponse{Body: body[0], Headers: apigen.PatchTransaction200ResponseHeaders{ETag: etag(t.Version)}}, nil
}

func (h transactions) ListTransactions(ctx context.Context, req apigen.ListTransactionsRequestObject) (apigen.ListTransactionsResponseObject, error) {
	p, err := h.list(ctx, req.Params, "transactions")
	return apigen.ListTransactions200JSONResponse(p), err
}

func (h transactions) ListCustomerTransactions(ctx context.Context, req apigen.ListCustomerTransactionsRequestObject) (apigen.ListCustomerTransactionsResponseObject, error) {
	c, err := h.customers.Get(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	p := req.Params
	params := apigen.ListTransactionsParams{Limit: p.Limit, Cursor: p.Cursor, CustomerID: &c.ID, Status: p.Status, From: p.From,
		Until: p.Until, PaymentMethod: p.PaymentMethod, Channel: p.Channel, Store: p.Store, ProductID: p.ProductID, Sku: p.Sku,
		AmountAtLeast: p.AmountAtLeast, AmountAtMost: p.AmountAtMost, Expand: p.Expand}
	if p.Sort != nil {
		params.Sort = ptr(apigen.ListTransactionsParamsSort(*p.Sort))
	}
	found, err := h.list(ctx, params, "customer-transactions")
	return apigen.ListCustomerTransactions200JSONResponse(found), err
}

func (h transactions) list(ctx context.Context, p apigen.ListTransactionsParams, name string) (apigen.TransactionPage, error) {
	t := callOf(ctx).Tenant
	q := transaction.Query{CustomerID: p.CustomerID, From: dayOrNil(p.From), Until: dayOrNil(p.Until),
		Status:         each(or(p.Status, nil), func(s apigen.TransactionStatus) transaction.Status { return transaction.Status(s) }),
		PaymentMethods: each(or(p.PaymentMethod, nil), func(m apigen.PaymentMethod) transaction.Method { return transaction.Method(m) }),
		Channel:        or(p.Channel, ""), Store: or(p.Store, ""), ProductID: p.ProductID, SKU: or(p.Sku, ""),
		Up: or(p.Sort, "") == apigen.ListTransactionsParamsSortOldestFirst, Items: len(or(p.Expand, nil)) > 0}
	var err error
	if q.AtLeast, err = minorParameter("amount_at_least", p.AmountAtLeast, t); err != nil {
		return apigen.TransactionPage{}, err
	}
	if q.AtMost, err = minorParameter("amount_at_most", p.AmountAtMost, t); err != nil {
		return apigen.TransactionPage{}, err
	}
	found, next, err := paged(ctx, h.lister, p.Limit, p.Cursor, func(r page.Request) (page.Of[transaction.Transaction], error) {
		q.Page = r
		return h.svc.List(ctx, t, q)
	}, name, fmt.Sprint(or(p.CustomerID, uuid.Nil)), fmt.Sprint(q.From), fmt.Sprint(q.Until), fmt.Sprint(q.Status),
		fmt.Sprint(q.PaymentMethods), q.Channel, q.Store, fmt.Sprint(or(p.ProductID, uuid.Nil)), q.SKU, or(p.AmountAtLeast, ""),
		or(p.AmountAtMost, ""), fmt.Sprint(q.Up))
	if err != nil {
		return apigen.TransactionPage{}, err
	}
	items, err := h.shown(ctx, found.Items...)
	return apigen.TransactionPage{Items: items, NextCursor: next, HasMore: next != nil}, err
}

// minorParameter reads a decimal in the base currency.
func minorParameter(name string, value *string, t tenant.Tenant) (*int64, error) {
	if value == nil {
		return nil, nil
	}
	m, wrong, detail := money.Parse(*value, t.Currency)
	if wrong != "" {
		return nil, fault.ErrInvalid.AtParameter(name, wrong, detail)
	}
	return &m.Minor, nil
}

func (h transactions) ListTransactionStatuses(ctx context.Context, req apigen.ListTransactionStatusesRequestObject) (apigen.ListTransactionStatusesResponseObject, error) {
	found, err := h.svc.History(ctx, callOf(ctx).Tenant, req.TransactionID)
	if err != nil {
		return nil, err
	}
	return apigen.ListTransactionStatuses200JSONResponse{Items: each(found, func(c transaction.StatusChange) apigen.TransactionStatusChange {
		return apigen.TransactionStatusChange{From: set(apigen.TransactionStatus(c.From)), To: apigen.TransactionStatus(c.To), At: c.At,
			Actor: set(c.Actor), Reason: set(c.Reason)}
	})}, nil
}

func (h transactions) SummarizeTransactions(ctx context.Context, req apigen.SummarizeTransactionsRequestObject) (apigen.SummarizeTransactionsResponseObject, error) {
	t := callOf(ctx).Tenant
	sum, err := h.svc.Summarize(ctx, t, transaction.SalesQuery{By: transaction.Grouping(or(req.Params.GroupBy, apigen.SalesGroupingMonth)),
		From: dayOrNil(req.Params.From), Until: dayOrNil(req.Params.Until), CustomerID: req.Params.CustomerID})
	if err != nil {
		return nil, err
	}
	group := func(s transaction.Sales) apigen.SalesGroup { return salesToAPI(s, t.Currency) }
	return apigen.SummarizeTransactions200JSONResponse{GroupBy: apigen.SalesGrouping(sum.By), From: dayToAPI(sum.From),
		Until: dayToAPI(sum.Until), Items: each(sum.Groups, group), Total: group(sum.Total), Truncated: sum.More}, nil
}

func salesToAPI(s transaction.Sales, currency string) apigen.SalesGroup {
	in := func(minor int64) apigen.Money { return moneyToAPI(money.Money{Minor: minor, Currency: currency}) }
	return apigen.SalesGroup{Key: set(s.Key), ProductID: s.ProductID, Name: set(s.Name), Orders: s.Orders, Units: s.Units,
		Sales: in(s.Amount), Returned: in(s.Returned), Net: in(s.Amount - s.Returned)}
}

func transactionFromAPI(b apigen.TransactionCreate) (transaction.Creation, error) {
	var v fault.Validator
	c := transaction.Creation{CustomerID: b.CustomerID, Source: or(b.Source, ""), ExternalID: or(b.ExternalID, ""),
		Status: transaction.Status(or(b.Status, "")), Moment: transaction.Moment{At: b.OccurredAt, On: dayOrNil(b.OccurredOn)},
		Amount: moneyOrNil(&v, "/amount", b.Amount), Discount: moneyOrNil(&v, "/discount", b.Discount),
		Shipping: moneyOrNil(&v, "/shipping", b.Shipping), Items: itemsFromAPI(&v, or(b.Items, nil)), Units: b.Units,
		PaymentMethod: transaction.Method(or(b.PaymentMethod, "")), Channel: or(b.Channel, ""), Store: or(b.Store, "")}
	if b.Attributes != nil {
		c.Attributes = attributesFromAPI(*b.Attributes)
	}
	if b.Customer != nil {
		c.Customer = &customer.ExternalID{Source: b.Customer.Source, ID: b.Customer.ExternalID}
	}
	if d := b.Delivery; d != nil {
		c.Delivery = transaction.Delivery{Carrier: or(d.Carrier, ""), TrackingNumber: or(d.TrackingNumber, ""), ShippedAt: d.ShippedAt,
			DeliveredAt: d.DeliveredAt}
	}
	return c, v.Err()
}

func transactionChangeFromAPI(b apigen.TransactionPatch) (transaction.Change, error) {
	var v fault.Validator
	in := func(pointer string) func(apigen.Money) money.Money {
		return func(m apigen.Money) money.Money { return moneyFromAPI(&v, pointer, m) }
	}
	c := transaction.Change{Reason: or(b.StatusReason, ""), Moment: transaction.Moment{At: b.OccurredAt, On: dayOrNil(b.OccurredOn)},
		Amount: moneyOrNil(&v, "/amount", b.Amount), Discount: field(b.Discount, in("/discount")), Shipping: field(b.Shipping, in("/shipping")),
		Items: field(b.Items, func(items []apigen.TransactionItemInput) []transaction.ItemDraft { return itemsFromAPI(&v, items) }),
		Units: field(b.Units, same[int]), PaymentMethod: field(b.PaymentMethod, methodFromAPI), Channel: field(b.Channel, same[string]),
		Store:      field(b.Store, same[string]),
		Attributes: field(b.Attributes, func(raw apigen.AttributesPatch) map[string]any { return attributesFromAPI(raw) }),
		Delivery: field(b.Delivery, func(d apigen.DeliveryPatch) transaction.DeliveryChange {
			return transaction.DeliveryChange{Carrier: field(d.Carrier, same[string]), TrackingNumber: field(d.TrackingNumber, same[string]),
				ShippedAt: field(d.ShippedAt, same[time.Time]), DeliveredAt: field(d.DeliveredAt, same[time.Time])}
		})}
	if b.Status != nil {
		c.Status = ptr(transaction.Status(*b.Status))
	}
	return c, v.Err()
}

func methodFromAPI(m apigen.PaymentMethod) transaction.Method { return transaction.Method(m) }

func moneyOrNil(v *fault.Validator, pointer string, m *apigen.Money) *money.Money {
	if m == nil {
		return nil
	}
	return ptr(moneyFromAPI(v, pointer, *m))
}

func itemsFromAPI(v *fault.Validator, items []apigen.TransactionItemInput) []transaction.ItemDraft {
	drafts := make([]transaction.ItemDraft, len(items))
	for i, item := range items {
		at := fmt.Sprintf("/items/%d", i)
		drafts[i] = transaction.ItemDraft{ProductID: item.ProductID, SKU: or(item.Sku, ""), Name: or(item.Name, ""),
			Category: or(item.Category, ""), Quantity: quantityFromAPI(v, at+"/quantity", item.Quantity),
			UnitPrice: moneyOrNil(v, at+"/unit_price", item.UnitPrice), Discount: moneyOrNil(v, at+"/discount", item.Discount),
			Amount: moneyOrNil(v, at+"/amount", item.Amount)}
	}
	return drafts
}

// quantityFromAPI reads a quantity, of which the contract has seen that it is more than 0 and at most a billion.
func quantityFromAPI(v *fault.Validator, pointer string, q float64) transaction.Quantity {
	read, exact := transaction.ReadQuantity(q)
	v.Check(exact, pointer, "too_precise", fault.T("at most three decimal places", "最多三位小数"))
	return read
}

// shown are transactions with those of their attributes that the caller may see.
func (h transactions) shown(ctx context.Context, list ...transaction.Transaction) ([]apigen.Transaction, error) {
	var visible map[string]bool
	for i, t := range list {
		if len(t.Attributes) == 0 {
			continue
		}
		if visible == nil {
			var err error
			visible, err = attribute.Visible(ctx, h.db, callOf(ctx).Tenant.ID, attribute.Transactions, unmasked(ctx))
			if err != nil {
				return nil, err
			}
		}
		list[i].Attributes = attribute.Shown(t.Attributes, visible)
	}
	return each(list, transactionToAPI), nil
}

func transactionToAPI(t transaction.Transaction) apigen.Transaction {
	in := func(minor int64) apigen.Money {
		return moneyToAPI(money.Money{Minor: minor, Currency: t.Amount.Currency})
	}
	positive := func(minor int64) *apigen.Money {
		if minor == 0 {
			return nil
		}
		return ptr(in(minor))
	}
	out := apigen.Transaction{ID: t.ID, Version: t.Version, CustomerID: t.CustomerID, Source: t.Source, ExternalID: set(t.ExternalID),
		Status: apigen.TransactionStatus(t.Status), OccurredAt: t.OccurredAt, OccurredOn: dayToAPI(t.Day), Amount: moneyToAPI(t.Amount),
		BaseAmount: moneyToAPI(t.Base), Discount: positive(t.Discount), Shipping: positive(t.Shipping), Returned: positive(t.Returned),
		Units: t.Units, ItemCount: set(t.Lines), PaymentMethod: set(apigen.PaymentMethod(t.PaymentMethod)), Channel: set(t.Channel),
		Store: set(t.Store), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
	if len(t.Attributes) > 0 {
		out.Attributes = ptr(apigen.Attributes(t.Attributes))
	}
	if d, state := t.Delivery, t.DeliveryState(); d != (transaction.Delivery{}) || state != "" {
		out.Delivery = &apigen.Delivery{State: set(apigen.DeliveryState(state)), Carrier: set(d.Carrier),
			TrackingNumber: set(d.TrackingNumber), ShippedAt: d.ShippedAt, DeliveredAt: d.DeliveredAt}
	}
	if len(t.Items) > 0 {
		out.Items = ptr(each(t.Items, func(i transaction.Item) apigen.TransactionItem {
			item := apigen.TransactionItem{Line: i.Line, ProductID: i.ProductID, Sku: set(i.SKU), Name: i.Name, Category: set(i.Category),
				Quantity: i.Quantity.Decimal(), Discount: positive(i.Discount), Amount: in(i.Amount)}
			if i.UnitPrice != nil {
				item.UnitPrice = ptr(in(*i.UnitPrice))
			}
			return item
		}))
	}
	return out
}
