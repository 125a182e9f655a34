package transaction

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/product"
	"github.com/kezi-io/kezi/internal/tenant"
)

// attach reads the items of transactions: one query for all, none where there are no items.
func attach(ctx context.Context, q postgres.Querier, tenantID int32, all []*Transaction) error {
	byID := map[uuid.UUID]*Transaction{}
	var customers, ids []uuid.UUID
	for _, t := range all {
		t.Items = []Item{}
		if t.Lines > 0 {
			byID[t.ID] = t
			customers, ids = append(customers, t.CustomerID), append(ids, t.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := q.Query(ctx, `SELECT i.transaction_id, i.line, i.product_id, i.sku, i.name, i.category, i.quantity, i.unit_price,
			i.discount, i.amount
		FROM unnest($2::uuid[], $3::uuid[]) x (customer_id, id) JOIN transaction_items i
			ON i.tenant_id = $1 AND i.customer_id = x.customer_id AND i.transaction_id = x.id
		ORDER BY i.transaction_id, i.line`, tenantID, customers, ids)
	if err != nil {
		return fmt.Errorf("read items: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var of uuid.UUID
		var i Item
		var sku, category *string
		err := rows.Scan(&of, &i.Line, &i.ProductID, &sku, &i.Name, &category, &i.Quantity, &i.UnitPrice, &i.Discount, &i.Amount)
		if err != nil {
			return fmt.Errorf("read items: %w", err)
		}
		i.SKU, i.Category = postgres.Value(sku), postgres.Value(category)
		byID[of].Items = append(byID[of].Items, i)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read items: %w", err)
	}
	return nil
}

func insertItems(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) error {
	n := len(t.Items)
	if n == 0 {
		return nil
	}
	lines, quantities, discounts, amounts := make([]int, n), make([]int64, n), make([]int64, n), make([]int64, n)
	products, skus, names, categories, prices := make([]*uuid.UUID, n), make([]*string, n), make([]string, n), make([]*string, n), make([]*int64, n)
	for i, item := range t.Items {
		lines[i], quantities[i], discounts[i], amounts[i] = item.Line, int64(item.Quantity), item.Discount, item.Amount
		products[i], skus[i], names[i], categories[i], prices[i] = item.ProductID, postgres.Null(item.SKU), item.Name, postgres.Null(item.Category), item.UnitPrice
	}
	_, err := q.Exec(ctx, `INSERT INTO transaction_items (tenant_id, customer_id, transaction_id, line, product_id, sku, name, category,
			quantity, unit_price, discount, amount)
		SELECT $1, $2, $3, * FROM unnest($4::integer[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[],
			$11::bigint[], $12::bigint[])`, tenantID, t.CustomerID, t.ID, lines, products, skus, names, categories, quantities, prices,
		discounts, amounts)
	switch {
	case postgres.Violates(err, "transaction_items_product_fkey"): // deleted since it was looked up
		return fault.ErrInvalid.At("/items", product.ErrNotFound.Code, product.ErrNotFound.Message)
	case err != nil:
		return fmt.Errorf("insert the items of transaction %s: %w", t.ID, err)
	}
	return nil
}

func removeItems(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) error {
	_, err := q.Exec(ctx, `DELETE FROM transaction_items WHERE tenant_id = $1 AND customer_id = $2 AND transaction_id = $3`,
		tenantID, t.CustomerID, t.ID)
	if err != nil {
		return fmt.Errorf("delete the items of transaction %s: %w", t.ID, err)
	}
	return nil
}

// checkReplaceable fails with ErrItemsReturned when returns name items of t.
func checkReplaceable(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) error {
	if t.Returns == 0 {
		return nil
	}
	var named bool
	err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM transaction_returns r JOIN transaction_return_items i
			ON i.tenant_id = r.tenant_id AND i.customer_id = r.customer_id AND i.return_id = r.id
		WHERE r.tenant_id = $1 AND r.customer_id = $2 AND r.transaction_id = $3)`, tenantID, t.CustomerID, t.ID).Scan(&named)
	switch {
	case err != nil:
		return fmt.Errorf("look for returned items of transaction %s: %w", t.ID, err)
	case named:
		return ErrItemsReturned
	}
	return nil
}

// hasMoney reports whether t has payments or returns, which are in its currency.
func hasMoney(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) (yes bool, err error) {
	err = q.QueryRow(ctx, `SELECT $4 OR EXISTS (SELECT FROM transaction_payments
		WHERE tenant_id = $1 AND customer_id = $2 AND transaction_id = $3)`, tenantID, t.CustomerID, t.ID, t.Returns > 0).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for payments of transaction %s: %w", t.ID, err)
	}
	return yes, nil
}

// firstReturn is the day of the earliest return of t, which has some.
func firstReturn(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) (tenant.Day, error) {
	var day time.Time
	err := q.QueryRow(ctx, `SELECT min(day) FROM transaction_returns WHERE tenant_id = $1 AND customer_id = $2 AND transaction_id = $3`,
		tenantID, t.CustomerID, t.ID).Scan(&day)
	if err != nil {
		return tenant.Day{}, fmt.Errorf("look for returns of transaction %s: %w", t.ID, err)
	}
	return tenant.Day{Time: day}, nil
}

func insertStatus(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction, c StatusChange) error {
	_, err := q.Exec(ctx, `INSERT INTO transaction_statuses (tenant_id, customer_id, transaction_id, id, from_status, to_status, actor,
			reason, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, tenantID, t.CustomerID, t.ID, uuid.Must(uuid.NewV7()), string(c.From), string(c.To),
		c.Actor, postgres.Null(c.Reason), c.At)
	if err != nil {
		return fmt.Errorf("note the status of transaction %s: %w", t.ID, err)
	}
	return nil
}

// history is the changes of a transaction's status in order.
func history(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) ([]StatusChange, error) {
	rows, err := q.Query(ctx, `SELECT from_status, to_status, actor, reason, changed_at FROM transaction_statuses
		WHERE tenant_id = $1 AND customer_id = $2 AND transaction_id = $3 ORDER BY changed_at, id`, tenantID, t.CustomerID, t.ID)
	if err != nil {
		return nil, fmt.Errorf("read the statuses of transaction %s: %w", t.ID, err)
	}
	defer rows.Close()
	var all []StatusChange
	for rows.Next() {
		var c StatusChange
		var reason *string
		if err := rows.Scan(&c.From, &c.To, &c.Actor, &reason, &c.At); err != nil {
			return nil, fmt.Errorf("read the statuses of transaction %s: %w", t.ID, err)
		}
		c.Reason, c.At = postgres.Value(reason), c.At.UTC()
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the statuses of transaction %s: %w", t.ID, err)
	}
	return all, nil
}
