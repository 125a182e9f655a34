package score

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// factsOf is what customers did up to the day $2, in the tenant $1: nobody who is deleted or merged away, no transaction
// and no return of a later day. Days and spend within the window are those after $3. only restricts t and r to customers.
//
// Returns take no purchase day away. Spend is net of them, each on its own day, and at least 0: within a window more may
// come back than was bought. The repeat spend, whose mean over the repeat days the value model is fitted to, has no day
// of its own for a return; there it lowers the order that it is of, so that what came back of the first purchase is not
// taken for repeat purchases that were worth less.
func factsOf(onlyT, onlyR string) string {
	return `SELECT d.customer_id, (count(*) FILTER (WHERE d.bought) - 1)::integer AS x,
		max(d.day) FILTER (WHERE d.bought) - min(d.day) AS t_x, $2::date - min(d.day) AS t,
		greatest(sum(d.amount), 0)::bigint AS spend,
		greatest(sum(d.kept) - (array_agg(d.kept ORDER BY d.day) FILTER (WHERE d.bought))[1], 0)::bigint AS repeat_spend,
		(count(*) FILTER (WHERE d.bought AND d.day > $3))::integer AS window_days,
		greatest(coalesce(sum(d.amount) FILTER (WHERE d.day > $3), 0), 0)::bigint AS window_spend, d.company
	FROM (SELECT f.customer_id, f.company, f.day, bool_or(f.bought) AS bought, sum(f.amount) AS amount, sum(f.kept) AS kept
		FROM (SELECT t.customer_id, c.kind = 'company' AS company, t.day, true AS bought, t.base_amount AS amount, t.base_amount - coalesce(r.amount, 0) AS kept
			FROM transactions t JOIN customers c ON c.tenant_id = t.tenant_id AND c.id = t.customer_id
			LEFT JOIN (SELECT r.customer_id, r.transaction_id, sum(r.base_amount) AS amount FROM transaction_returns r
				WHERE r.tenant_id = $1 AND r.day <= $2 ` + onlyR + ` GROUP BY r.customer_id, r.transaction_id) r
				ON r.customer_id = t.customer_id AND r.transaction_id = t.id
			WHERE t.tenant_id = $1 AND ` + metric.Purchase + ` AND t.day <= $2 AND c.deleted_at IS NULL AND c.merged_into IS NULL ` + onlyT + `
			UNION ALL
			SELECT r.customer_id, c.kind = 'company', r.day, false, -r.base_amount, 0
			FROM transaction_returns r
			JOIN transactions t ON t.tenant_id = r.tenant_id AND t.customer_id = r.customer_id AND t.id = r.transaction_id
			JOIN customers c ON c.tenant_id = t.tenant_id AND c.id = t.customer_id
			WHERE r.tenant_id = $1 AND ` + metric.Purchase + ` AND r.day <= $2 AND c.deleted_at IS NULL AND c.merged_into IS NULL ` + onlyR + `) f
		GROUP BY f.customer_id, f.company, f.day) d
	GROUP BY d.customer_id, d.company`
}

// facts are those of everybody.
var facts = factsOf("", "")

// later tells whether a customer m has facts after the day $2: then the metrics say more than was known on it.
const later = `(m.last_purchase_on > $2 OR (m.return_count > 0 AND EXISTS (SELECT FROM transaction_returns r
	WHERE r.tenant_id = m.tenant_id AND r.customer_id = m.customer_id AND r.day > $2)))`

// factsOfOne are the facts of one customer m on today's day $2, read from the metrics, which are kept true by whoever writes
// facts. For the few with facts of days to come they are computed.
var factsOfOne = `SELECT m.purchase_days - 1 AS x, m.last_purchase_on - m.first_purchase_on AS t_x, $2::date - m.first_purchase_on AS t,
		greatest(m.spend_total, 0) AS spend, greatest(m.spend_total - m.first_day_spend, 0) AS repeat_spend
		WHERE NOT ` + later + `
	UNION ALL
	SELECT o.x, o.t_x, o.t, o.spend, o.repeat_spend
		FROM (` + factsOf("AND t.customer_id = m.customer_id", "AND r.customer_id = m.customer_id") + `) o
		WHERE ` + later

// windowStart is the day before the window of windowDays days that ends on asOf; 0 is all history.
func windowStart(asOf tenant.Day, windowDays int) tenant.Day {
	if windowDays == 0 {
		return tenant.Day{} // the year 1
	}
	return tenant.Day{Time: asOf.AddDate(0, 0, -windowDays)}
}

// groups are everyone's facts as of a day for a fit, equal ones together, sorted. Without values customers who differ in spend
// alone are one group.
func groups(ctx context.Context, q postgres.Querier, tenantID int32, asOf tenant.Day, values bool) ([]group, error) {
	rows, err := q.Query(ctx, `SELECT x, t_x, t, CASE WHEN $4 THEN repeat_spend ELSE 0 END, $4 AND company, count(*)::integer, sum(spend)::bigint
		FROM (`+facts+`) f WHERE $3::date IS NOT NULL GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5`,
		tenantID, asOf.Time, windowStart(asOf, 0).Time, values)
	if err != nil {
		return nil, fmt.Errorf("read the facts: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (group, error) {
		var g group
		return g, row.Scan(&g.x, &g.tx, &g.t, &g.repeatSpend, &g.company, &g.n, &g.spend)
	})
	if err != nil {
		return nil, fmt.Errorf("read the facts: %w", err)
	}
	return all, nil
}

// factRow is a fact as the database has it: absent where nothing was bought.
type factRow struct {
	x, tx, t, windowDays            *int
	spend, repeatSpend, windowSpend *int64
	company                         bool
}

func (f factRow) into(c *subject) {
	if f.x == nil {
		return
	}
	c.bought = true
	c.fact = fact{x: *f.x, tx: *f.tx, t: *f.t, spend: *f.spend, repeatSpend: *f.repeatSpend, company: f.company}
	c.windowDays, c.windowSpend = *f.windowDays, *f.windowSpend
}
