package demo

import (
	"context"

	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/product"
	"github.com/kezi-io/kezi/internal/tenant"
)

func insertGoods(ctx context.Context, tx postgres.Tx, t tenant.Tenant, anchor tenant.Day, w world) error {
	at := momentAt(anchor, -history, 9*3600, t.Zone)
	var products, relations [][]any
	for i, g := range w.goods {
		products = append(products, []any{t.ID, goodIDs.at(i), 1, g.sku, g.name, g.category, g.brand, g.unit, g.fen, "CNY", "active", product.Searched(g.sku, g.name), at, at})
		switch g.relation {
		case "":
		case "similar": // the smaller id first
			relations = append(relations, []any{t.ID, goodIDs.at(i - 1), g.relation, goodIDs.at(i), at})
		default:
			relations = append(relations, []any{t.ID, goodIDs.at(i), g.relation, goodIDs.at(i - 1), at})
		}
	}
	err := load(ctx, tx, "products", []string{"tenant_id", "id", "version", "sku", "name", "category", "brand", "unit", "price", "currency",
		"status", "folded", "created_at", "updated_at"}, products)
	if err != nil {
		return err
	}
	return load(ctx, tx, "product_relations", []string{"tenant_id", "product_id", "kind", "related_id", "created_at"}, relations)
}

// insertParts writes what hangs on orders: items, payments and returns.
func insertParts(ctx context.Context, tx postgres.Tx, t tenant.Tenant, anchor tenant.Day, w world) error {
	var items, bills, returns, returned [][]any
	for _, o := range w.orders {
		who, currency := w.people[o.who].ID, o.amount.Currency
		for _, i := range o.items {
			g := w.goods[i.good]
			items = append(items, []any{t.ID, who, o.id, i.line, goodIDs.at(i.good), g.sku, g.name, g.category, i.quantity * 1000, i.unit,
				i.discount, i.amount})
		}
		at := momentAt(anchor, o.at.day, o.at.second, t.Zone)
		for _, b := range o.bills {
			var paidOn any
			paid, open := int64(0), o.amount
			if b.paid != 0 {
				paidOn, paid, open.Minor = dayAt(anchor, b.paid).Time, o.amount.Minor, 0
			}
			base, _ := w.base(open, t.Currency, b.due)
			bills = append(bills, []any{t.ID, who, b.id, o.id, 1, dayAt(anchor, b.due).Time, o.amount.Minor, paidOn, paid, currency, base.Minor,
				b.method, b.reference, at, at})
		}
		for _, r := range o.returns {
			base, _ := w.base(money.Money{Minor: r.amount, Currency: currency}, t.Currency, r.day)
			returns = append(returns, []any{t.ID, who, r.id, o.id, dayAt(anchor, r.day).Time, r.amount, currency, base.Minor, r.reason, writer,
				momentAt(anchor, r.day, 15*3600, t.Zone)})
			returned = append(returned, []any{t.ID, who, r.id, 1, r.quantity * 1000, r.amount})
		}
	}
	for _, l := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"transaction_items", []string{"tenant_id", "customer_id", "transaction_id", "line", "product_id", "sku", "name", "category", "quantity",
			"unit_price", "discount", "amount"}, items},
		{"transaction_payments", []string{"tenant_id", "customer_id", "id", "transaction_id", "version", "due_on", "due", "paid_on", "paid",
			"currency", "base_open", "method", "reference", "created_at", "updated_at"}, bills},
		{"transaction_returns", []string{"tenant_id", "customer_id", "id", "transaction_id", "day", "amount", "currency", "base_amount", "reason",
			"actor", "created_at"}, returns},
		{"transaction_return_items", []string{"tenant_id", "customer_id", "return_id", "line", "quantity", "amount"}, returned},
	} {
		if err := load(ctx, tx, l.table, l.columns, l.rows); err != nil {
			return err
		}
	}
	return nil
}
