// Package metric is what a customer's facts add up to: one row per customer, kept in the transaction that changes the
// facts, so that lists filter and sort on it and a read right after a write is already true.
package metric

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Metrics of one customer over all purchases: transactions that are paid, to_ship, shipped or completed. Amounts are
// minor units of the tenant's base currency, days are in the tenant's zone.
type Metrics struct {
	PurchaseCount   int
	PurchaseDays    int
	SpendTotal      int64
	FirstDaySpend   int64
	UnitsTotal      int64
	FirstPurchaseOn *tenant.Day
	LastPurchaseOn  *tenant.Day
}

// AveragePurchase is the mean amount of a purchase in minor units, rounded half up; ok is false without a purchase.
func (m Metrics) AveragePurchase() (minor int64, ok bool) {
	if m.PurchaseCount == 0 {
		return 0, false
	}
	n := int64(m.PurchaseCount)
	minor = m.SpendTotal / n
	if 2*(m.SpendTotal%n) >= n { // twice the whole total could be beyond 64 bits
		minor++
	}
	return minor, true
}

// CycleDays is the average number of days between purchase days; ok is false below two of them.
func (m Metrics) CycleDays() (days float64, ok bool) {
	if m.PurchaseDays < 2 {
		return 0, false
	}
	return m.LastPurchaseOn.Sub(m.FirstPurchaseOn.Time).Hours() / 24 / float64(m.PurchaseDays-1), true
}

// Purchase is the condition under which a transaction t counts, in SQL.
const Purchase = `t.status IN ('paid', 'to_ship', 'shipped', 'completed')`

// sums are the metrics over t, the purchases added up per day.
const sums = `coalesce(sum(t.n), 0) AS purchase_count, count(t.day) AS purchase_days, coalesce(sum(t.amount), 0) AS spend_total,
	coalesce((array_agg(t.amount ORDER BY t.day))[1], 0) AS first_day_spend, coalesce(sum(t.units), 0) AS units_total,
	min(t.day) AS first_purchase_on, max(t.day) AS last_purchase_on`

// days adds up the purchases of a tenant per customer and day.
const days = `SELECT t.customer_id, t.day, count(*) AS n, sum(t.base_amount) AS amount, coalesce(sum(t.units), 0) AS units
	FROM transactions t WHERE t.tenant_id = $1 AND ` + Purchase

// Refresh computes the metrics of customers from their facts. Every writer of facts calls it in its transaction,
// holding the customers' locks: one statement for one customer and for ten thousand, whatever the order of the facts.
//
// LATERAL reads each customer by the primary key; a join would read the whole tenant while statistics lag behind a load.
func Refresh(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) error {
	_, err := q.Exec(ctx, `UPDATE customer_metrics m SET purchase_count = f.purchase_count, purchase_days = f.purchase_days,
			spend_total = f.spend_total, first_day_spend = f.first_day_spend, units_total = f.units_total,
			first_purchase_on = f.first_purchase_on, last_purchase_on = f.last_purchase_on
		FROM unnest($2::uuid[]) c (id)
		CROSS JOIN LATERAL (SELECT `+sums+` FROM (`+days+` AND t.customer_id = c.id GROUP BY t.customer_id, t.day) t) f
		WHERE m.tenant_id = $1 AND m.customer_id = c.id`, tenantID, customers)
	if err != nil {
		return fmt.Errorf("refresh the metrics of %d customers: %w", len(customers), err)
	}
	return nil
}

// Of are the metrics of customers; one without a row is not in the answer.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) (map[uuid.UUID]Metrics, error) {
	rows, err := q.Query(ctx, `SELECT customer_id, purchase_count, purchase_days, spend_total, first_day_spend, units_total,
			first_purchase_on, last_purchase_on
		FROM customer_metrics WHERE tenant_id = $1 AND customer_id = ANY($2)`, tenantID, customers)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %d customers: %w", len(customers), err)
	}
	defer rows.Close()
	all := make(map[uuid.UUID]Metrics, len(customers))
	for rows.Next() {
		var id uuid.UUID
		var m Metrics
		var first, last *time.Time
		err := rows.Scan(&id, &m.PurchaseCount, &m.PurchaseDays, &m.SpendTotal, &m.FirstDaySpend, &m.UnitsTotal, &first, &last)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		if first != nil {
			m.FirstPurchaseOn, m.LastPurchaseOn = &tenant.Day{Time: *first}, &tenant.Day{Time: *last}
		}
		all[id] = m
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return all, nil
}

// Verify compares every stored row of the tenant with a computation from scratch. It answers the customers whose row
// differs, at most limit of them, and how many customers it looked at.
func Verify(ctx context.Context, q postgres.Querier, tenantID int32, limit int) (wrong []uuid.UUID, customers int64, err error) {
	if err := q.QueryRow(ctx, `SELECT count(*) FROM customers WHERE tenant_id = $1`, tenantID).Scan(&customers); err != nil {
		return nil, 0, fmt.Errorf("count customers: %w", err)
	}
	rows, err := q.Query(ctx, `SELECT c.id FROM customers c
		LEFT JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		LEFT JOIN (SELECT t.customer_id, `+sums+` FROM (`+days+` GROUP BY t.customer_id, t.day) t GROUP BY t.customer_id) f ON f.customer_id = c.id
		WHERE c.tenant_id = $1 AND (m.customer_id IS NULL OR
			(m.purchase_count, m.purchase_days, m.spend_total, m.first_day_spend, m.units_total) IS DISTINCT FROM
			(coalesce(f.purchase_count, 0), coalesce(f.purchase_days, 0), coalesce(f.spend_total, 0),
				coalesce(f.first_day_spend, 0), coalesce(f.units_total, 0))
			OR m.first_purchase_on IS DISTINCT FROM f.first_purchase_on OR m.last_purchase_on IS DISTINCT FROM f.last_purchase_on)
		ORDER BY c.id LIMIT $2`, tenantID, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("verify metrics: %w", err)
	}
	wrong, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, 0, fmt.Errorf("verify metrics: %w", err)
	}
	incomplete, err := completeness.Verify(ctx, q, tenantID, limit)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range incomplete {
		if !slices.Contains(wrong, id) && len(wrong) < limit {
			wrong = append(wrong, id)
		}
	}
	return wrong, customers, nil
}

// chunk bounds how many customers one transaction changes.
const chunk = 10_000

// RefreshAll computes the metrics of all customers of the tenant again, in chunks, and answers how many there are.
func RefreshAll(ctx context.Context, db *postgres.DB, tenantID int32) (int64, error) {
	var total int64
	after := uuid.Nil
	for {
		var ids []uuid.UUID
		err := db.InTx(ctx, func(tx postgres.Tx) error {
			rows, err := tx.Query(ctx, `SELECT id FROM customers WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3 FOR NO KEY UPDATE`,
				tenantID, after, chunk)
			if err != nil {
				return fmt.Errorf("lock customers: %w", err)
			}
			if ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
				return fmt.Errorf("lock customers: %w", err)
			}
			if err := Refresh(ctx, tx, tenantID, ids); err != nil {
				return err
			}
			return completeness.Refresh(ctx, tx, tenantID, ids)
		})
		if err != nil || len(ids) == 0 {
			return total, err
		}
		total += int64(len(ids))
		after = ids[len(ids)-1]
	}
}
