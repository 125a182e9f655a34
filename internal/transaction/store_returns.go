package transaction

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// returns are those of a transaction by day, with their items; with an id that one alone.
func returns(ctx context.Context, q postgres.Querier, t tenant.Tenant, of Transaction, id uuid.UUID) ([]Return, error) {
	rows, err := q.Query(ctx, `SELECT r.id, r.day, r.amount, r.currency, r.base_amount, r.reason, r.actor, r.created_at,
			i.line, i.quantity, i.amount
		FROM transaction_returns r LEFT JOIN transaction_return_items i
			ON i.tenant_id = r.tenant_id AND i.customer_id = r.customer_id AND i.return_id = r.id
		WHERE r.tenant_id = $1 AND r.customer_id = $2 AND r.transaction_id = $3
			AND ($4 = '00000000-0000-0000-0000-000000000000'::uuid OR r.id = $4)
		ORDER BY r.day, r.id, i.line`, t.ID, of.CustomerID, of.ID, id)
	if err != nil {
		return nil, fmt.Errorf("list the returns of transaction %s: %w", of.ID, err)
	}
	defer rows.Close()
	all := []Return{}
	for rows.Next() {
		r := Return{CustomerID: of.CustomerID, TransactionID: of.ID, Items: []ReturnItem{}, Base: money.Money{Currency: t.Currency}}
		var day time.Time
		var reason *string
		var line *int
		var quantity, amount *int64
		err := rows.Scan(&r.ID, &day, &r.Amount.Minor, &r.Amount.Currency, &r.Base.Minor, &reason, &r.Actor, &r.CreatedAt,
			&line, &quantity, &amount)
		if err != nil {
			return nil, fmt.Errorf("list the returns of transaction %s: %w", of.ID, err)
		}
		if n := len(all); n == 0 || all[n-1].ID != r.ID {
			r.Day, r.Reason, r.CreatedAt = tenant.Day{Time: day}, postgres.Value(reason), r.CreatedAt.UTC()
			all = append(all, r)
		}
		if line != nil {
			last := &all[len(all)-1]
			last.Items = append(last.Items, ReturnItem{Line: *line, Quantity: Quantity(*quantity), Amount: *amount})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the returns of transaction %s: %w", of.ID, err)
	}
	return all, nil
}

// returnedQuantities is how much of each line has come back.
func returnedQuantities(ctx context.Context, q postgres.Querier, tenantID int32, t Transaction) (map[int]Quantity, error) {
	all := map[int]Quantity{}
	if t.Returns == 0 {
		return all, nil
	}
	rows, err := q.Query(ctx, `SELECT i.line, sum(i.quantity)::bigint FROM transaction_returns r JOIN transaction_return_items i
			ON i.tenant_id = r.tenant_id AND i.customer_id = r.customer_id AND i.return_id = r.id
		WHERE r.tenant_id = $1 AND r.customer_id = $2 AND r.transaction_id = $3 GROUP BY i.line`, tenantID, t.CustomerID, t.ID)
	if err != nil {
		return nil, fmt.Errorf("add up what came back of transaction %s: %w", t.ID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var line int
		var quantity Quantity
		if err := rows.Scan(&line, &quantity); err != nil {
			return nil, fmt.Errorf("add up what came back of transaction %s: %w", t.ID, err)
		}
		all[line] = quantity
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("add up what came back of transaction %s: %w", t.ID, err)
	}
	return all, nil
}

func insertReturn(ctx context.Context, q postgres.Querier, tenantID int32, r Return) error {
	_, err := q.Exec(ctx, `INSERT INTO transaction_returns (tenant_id, customer_id, id, transaction_id, day, amount, currency,
			base_amount, reason, actor, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, tenantID, r.CustomerID, r.ID, r.TransactionID, r.Day.Time, r.Amount.Minor,
		r.Amount.Currency, r.Base.Minor, postgres.Null(r.Reason), r.Actor, r.CreatedAt)
	if err != nil {
		return fmt.Errorf("insert return %s: %w", r.ID, err)
	}
	if len(r.Items) == 0 {
		return nil
	}
	lines, quantities, amounts := make([]int, len(r.Items)), make([]int64, len(r.Items)), make([]int64, len(r.Items))
	for i, item := range r.Items {
		lines[i], quantities[i], amounts[i] = item.Line, int64(item.Quantity), item.Amount
	}
	_, err = q.Exec(ctx, `INSERT INTO transaction_return_items (tenant_id, customer_id, return_id, line, quantity, amount)
		SELECT $1, $2, $3, * FROM unnest($4::integer[], $5::bigint[], $6::bigint[])`, tenantID, r.CustomerID, r.ID, lines, quantities, amounts)
	if err != nil {
		return fmt.Errorf("insert the items of return %s: %w", r.ID, err)
	}
	return nil
}

func removeReturn(ctx context.Context, q postgres.Querier, tenantID int32, r Return) error {
	for _, sql := range []string{
		`DELETE FROM transaction_return_items WHERE tenant_id = $1 AND customer_id = $2 AND return_id = $3`,
		`DELETE FROM transaction_returns WHERE tenant_id = $1 AND customer_id = $2 AND id = $3`,
	} {
		if _, err := q.Exec(ctx, sql, tenantID, r.CustomerID, r.ID); err != nil {
			return fmt.Errorf("delete return %s: %w", r.ID, err)
		}
	}
	return nil
}
