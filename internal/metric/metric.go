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
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Metrics of one customer over all purchases: transactions that are paid, to_ship, shipped or completed. Amounts are
// minor units of the tenant's base currency, days are in the tenant's zone.
//
// Nothing here changes by the mere passing of days: what is overdue is read at a moment, see OverdueOf.
type Metrics struct {
	PurchaseCount   int
	PurchaseDays    int
	SpendTotal      int64 // less what came back; below 0 where that was worth more on its own day than when it was bought
	FirstDaySpend   int64 // of the orders of the first day, less what came back of them, whenever
	UnitsTotal      int64 // bought
	FirstPurchaseOn *tenant.Day
	LastPurchaseOn  *tenant.Day
	ReturnCount     int
	ReturnsTotal    int64

	OnTimePayments int // paid in full by the due day
	LatePayments   int // paid in full after it
	DaysLateMax    int // of those
	DaysLateTotal  int // of those
	OpenPayments   int // not paid in full, of orders that are neither cancelled nor refunded
	OpenAmount     int64
	OpenDueOn      *tenant.Day // the earliest due day of those open
	LastPaymentOn  *tenant.Day
}

// AveragePurchase is the mean amount of a purchase in minor units, rounded half up; ok is false without a purchase.
func (m Metrics) AveragePurchase() (minor int64, ok bool) {
	if m.PurchaseCount == 0 {
		return 0, false
	}
	n := int64(m.PurchaseCount)
	minor, rest := m.SpendTotal/n, m.SpendTotal%n
	if rest < 0 { // division rounds toward zero
		minor, rest = minor-1, rest+n
	}
	if 2*rest >= n { // twice the whole total could be beyond 64 bits
		minor++
	}
	return minor, true
}

// AverageDaysLate is how late payments that were late were paid on average; ok is false without one.
func (m Metrics) AverageDaysLate() (days float64, ok bool) {
	return float64(m.DaysLateTotal) / float64(max(m.LatePayments, 1)), m.LatePayments > 0
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

// columns of customer_metrics, in the order of sums and then of paid.
const columns = `purchase_count, purchase_days, spend_total, first_day_spend, units_total, return_count, returns_total,
	first_purchase_on, last_purchase_on, ` + paidColumns

const paidColumns = `on_time_payments, late_payments, days_late_max, days_late_total, open_payments, open_amount, open_due_on,
	last_payment_on`

// sums are the metrics over t, the purchases added up per day.
const sums = `coalesce(sum(t.n), 0) AS purchase_count, count(t.day) AS purchase_days, coalesce(sum(t.amount), 0) AS spend_total,
	coalesce((array_agg(t.amount ORDER BY t.day))[1], 0) AS first_day_spend, coalesce(sum(t.units), 0) AS units_total,
	coalesce(sum(t.returns), 0) AS return_count, coalesce(sum(t.returned), 0) AS returns_total,
	min(t.day) AS first_purchase_on, max(t.day) AS last_purchase_on`

// days adds up the purchases of a tenant per customer and day. Each order carries what its returns add up to.
const days = `SELECT t.customer_id, t.day, count(*) AS n, sum(t.base_amount - t.base_returned) AS amount,
		coalesce(sum(t.units), 0) AS units, sum(t.returns) AS returns, sum(t.base_returned) AS returned
	FROM transactions t WHERE t.tenant_id = $1 AND ` + Purchase

// daysFromScratch is the same from the returns themselves.
const daysFromScratch = `SELECT t.customer_id, t.day, count(*) AS n, sum(t.base_amount - coalesce(r.returned, 0)) AS amount,
		coalesce(sum(t.units), 0) AS units, coalesce(sum(r.returns), 0) AS returns, coalesce(sum(r.returned), 0) AS returned
	FROM transactions t LEFT JOIN (` + returned + ` GROUP BY r.customer_id, r.transaction_id) r
		ON r.customer_id = t.customer_id AND r.transaction_id = t.id
	WHERE t.tenant_id = $1 AND ` + Purchase

// returned adds up returns per order.
const returned = `SELECT r.customer_id, r.transaction_id, count(*) AS returns, sum(r.amount) AS amount, sum(r.base_amount) AS returned
	FROM transaction_returns r WHERE r.tenant_id = $1`

// unpaid is the condition under which a payment p of order t is open.
const unpaid = `p.paid < p.due AND t.status NOT IN ('cancelled', 'refunded')`

// paid are the metrics over p, payments, and t, their orders.
const paid = `count(*) FILTER (WHERE p.paid = p.due AND p.paid_on <= p.due_on) AS on_time_payments,
	count(*) FILTER (WHERE p.paid = p.due AND p.paid_on > p.due_on) AS late_payments,
	coalesce(max(p.paid_on - p.due_on) FILTER (WHERE p.paid = p.due AND p.paid_on > p.due_on), 0) AS days_late_max,
	coalesce(sum(p.paid_on - p.due_on) FILTER (WHERE p.paid = p.due AND p.paid_on > p.due_on), 0) AS days_late_total,
	count(*) FILTER (WHERE ` + unpaid + `) AS open_payments,
	coalesce(sum(p.base_open) FILTER (WHERE ` + unpaid + `), 0) AS open_amount,
	min(p.due_on) FILTER (WHERE ` + unpaid + `) AS open_due_on, max(p.paid_on) AS last_payment_on`

const payments = ` FROM transaction_payments p JOIN transactions t
	ON t.tenant_id = p.tenant_id AND t.customer_id = p.customer_id AND t.id = p.transaction_id WHERE p.tenant_id = $1`

// Refresh computes the metrics of customers from their facts. Every writer of facts calls it in its transaction,
// holding the customers' locks: one statement for one customer and for ten thousand, whatever the order of the facts.
//
// LATERAL reads each customer by the primary key; a join would read the whole tenant while statistics lag behind a load.
func Refresh(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) error {
	_, err := q.Exec(ctx, `UPDATE customer_metrics m SET (`+columns+`) = (f.purchase_count, f.purchase_days, f.spend_total,
			f.first_day_spend, f.units_total, f.return_count, f.returns_total, f.first_purchase_on, f.last_purchase_on,
			p.on_time_payments, p.late_payments, p.days_late_max, p.days_late_total, p.open_payments, p.open_amount, p.open_due_on,
			p.last_payment_on)
		FROM unnest($2::uuid[]) c (id)
		CROSS JOIN LATERAL (SELECT `+sums+` FROM (`+days+` AND t.customer_id = c.id GROUP BY t.customer_id, t.day) t) f
		CROSS JOIN LATERAL (SELECT `+paid+payments+` AND p.customer_id = c.id) p
		WHERE m.tenant_id = $1 AND m.customer_id = c.id`, tenantID, customers)
	if err != nil {
		return fmt.Errorf("refresh the metrics of %d customers: %w", len(customers), err)
	}
	return nil
}

// Of are the metrics of customers; one without a row is not in the answer.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) (map[uuid.UUID]Metrics, error) {
	rows, err := q.Query(ctx, `SELECT customer_id, `+columns+`
		FROM customer_metrics WHERE tenant_id = $1 AND customer_id = ANY($2)`, tenantID, customers)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %d customers: %w", len(customers), err)
	}
	defer rows.Close()
	all := make(map[uuid.UUID]Metrics, len(customers))
	for rows.Next() {
		var id uuid.UUID
		var m Metrics
		var first, last, due, payment *time.Time
		err := rows.Scan(&id, &m.PurchaseCount, &m.PurchaseDays, &m.SpendTotal, &m.FirstDaySpend, &m.UnitsTotal, &m.ReturnCount,
			&m.ReturnsTotal, &first, &last, &m.OnTimePayments, &m.LatePayments, &m.DaysLateMax, &m.DaysLateTotal, &m.OpenPayments,
			&m.OpenAmount, &due, &payment)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		m.FirstPurchaseOn, m.LastPurchaseOn, m.OpenDueOn, m.LastPaymentOn = day(first), day(last), day(due), day(payment)
		all[id] = m
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return all, nil
}

func day(t *time.Time) *tenant.Day {
	if t == nil {
		return nil
	}
	return &tenant.Day{Time: *t}
}

// Overdue is what a customer should have paid before a day and has not.
type Overdue struct {
	Payments int
	Amount   int64 // minor units of the base currency
	DaysLate int   // of the oldest
}

// Late are the payments of the customer c of a statement that are overdue on a day, its one bound value, as the end of a
// SELECT over p.
const Late = ` FROM transaction_payments p JOIN transactions t
	ON t.tenant_id = p.tenant_id AND t.customer_id = p.customer_id AND t.id = p.transaction_id
	WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id AND p.due_on < ? AND ` + unpaid

// OverdueOf is what customers owe on a day, given their metrics. One who owes nothing is not in the answer, and costs no
// query.
func OverdueOf(ctx context.Context, q postgres.Querier, tenantID int32, all map[uuid.UUID]Metrics, today tenant.Day) (map[uuid.UUID]Overdue, error) {
	owing := map[uuid.UUID]Overdue{}
	var ids []uuid.UUID
	for id, m := range all {
		if m.OpenDueOn != nil && m.OpenDueOn.Before(today.Time) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return owing, nil
	}
	rows, err := q.Query(ctx, `SELECT p.customer_id, count(*), sum(p.base_open)::bigint, $3::date - min(p.due_on)`+payments+`
		AND p.customer_id = ANY($2) AND p.due_on < $3 AND `+unpaid+` GROUP BY p.customer_id`, tenantID, ids, today.Time)
	if err != nil {
		return nil, fmt.Errorf("read what %d customers owe: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var o Overdue
		if err := rows.Scan(&id, &o.Payments, &o.Amount, &o.DaysLate); err != nil {
			return nil, fmt.Errorf("read what is owed: %w", err)
		}
		owing[id] = o
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is owed: %w", err)
	}
	return owing, nil
}

// Verify compares every stored row of the tenant with a computation from scratch. It answers the customers whose row
// differs, at most limit of them, and how many customers it looked at.
func Verify(ctx context.Context, q postgres.Querier, tenantID int32, limit int) (wrong []uuid.UUID, customers int64, err error) {
	if err := q.QueryRow(ctx, `SELECT count(*) FROM customers WHERE tenant_id = $1`, tenantID).Scan(&customers); err != nil {
		return nil, 0, fmt.Errorf("count customers: %w", err)
	}
	rows, err := q.Query(ctx, `SELECT c.id FROM customers c
		LEFT JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		LEFT JOIN (SELECT t.customer_id, `+sums+` FROM (`+daysFromScratch+` GROUP BY t.customer_id, t.day) t GROUP BY t.customer_id) f
			ON f.customer_id = c.id
		LEFT JOIN (SELECT p.customer_id, `+paid+payments+` GROUP BY p.customer_id) p ON p.customer_id = c.id
		LEFT JOIN (SELECT DISTINCT t.customer_id FROM transactions t
			LEFT JOIN (`+returned+` GROUP BY r.customer_id, r.transaction_id) r ON r.customer_id = t.customer_id AND r.transaction_id = t.id
			WHERE t.tenant_id = $1 AND `+stale+`) s ON s.customer_id = c.id
		WHERE c.tenant_id = $1 AND (m.customer_id IS NULL OR s.customer_id IS NOT NULL OR
			(m.purchase_count, m.purchase_days, m.spend_total, m.first_day_spend, m.units_total, m.return_count, m.returns_total,
				m.on_time_payments, m.late_payments, m.days_late_max, m.days_late_total, m.open_payments, m.open_amount) IS DISTINCT FROM
			(coalesce(f.purchase_count, 0), coalesce(f.purchase_days, 0), coalesce(f.spend_total, 0),
				coalesce(f.first_day_spend, 0), coalesce(f.units_total, 0), coalesce(f.return_count, 0), coalesce(f.returns_total, 0),
				coalesce(p.on_time_payments, 0), coalesce(p.late_payments, 0), coalesce(p.days_late_max, 0),
				coalesce(p.days_late_total, 0), coalesce(p.open_payments, 0), coalesce(p.open_amount, 0))
			OR m.first_purchase_on IS DISTINCT FROM f.first_purchase_on OR m.last_purchase_on IS DISTINCT FROM f.last_purchase_on
			OR m.open_due_on IS DISTINCT FROM p.open_due_on OR m.last_payment_on IS DISTINCT FROM p.last_payment_on)
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

// stale is the condition under which an order t does not carry what its returns r add up to.
const stale = `(t.returns, t.returned, t.base_returned) IS DISTINCT FROM
	(coalesce(r.returns, 0), coalesce(r.amount, 0), coalesce(r.returned, 0))`

// carry gives the orders of customers what their returns add up to.
func carry(ctx context.Context, tx postgres.Tx, tenantID int32, customers []uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE transactions o SET returns = coalesce(r.returns, 0), returned = coalesce(r.amount, 0),
			base_returned = coalesce(r.returned, 0)
		FROM transactions t LEFT JOIN (`+returned+` AND r.customer_id = ANY($2) GROUP BY r.customer_id, r.transaction_id) r
			ON r.customer_id = t.customer_id AND r.transaction_id = t.id
		WHERE t.tenant_id = $1 AND t.customer_id = ANY($2) AND `+stale+`
			AND o.tenant_id = t.tenant_id AND o.customer_id = t.customer_id AND o.id = t.id`, tenantID, customers)
	if err != nil {
		return fmt.Errorf("add up the returns of %d customers: %w", len(customers), err)
	}
	return nil
}

// chunk bounds how many customers one transaction changes.
const chunk = 10_000

// RefreshAll computes what orders carry and the metrics of all customers of the tenant again, in chunks, and answers how many there are.
func RefreshAll(ctx context.Context, db *postgres.DB, tenantID int32) (int64, error) {
	var total int64
	after := uuid.Nil
	for {
		var ids []uuid.UUID
		err := db.InTx(ctx, func(tx postgres.Tx) error {
			var err error
			if ids, err = customer.HoldEvery(ctx, tx, tenantID, after, chunk); err != nil {
				return err
			}
			if err := carry(ctx, tx, tenantID, ids); err != nil {
				return err
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
