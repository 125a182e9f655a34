package transaction

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// keys are the SQL of each grouping over t, an order, and day, that of the sale or of the return.
var keys = map[Grouping]string{
	ByDay: `to_char(%day, 'YYYY-MM-DD')`, ByMonth: `to_char(%day, 'YYYY-MM')`, ByPaymentMethod: `t.payment_method`,
	ByChannel: `t.channel`, ByStore: `t.store`, ByStatus: `t.status`,
}

// itemKeys are those over i, an item.
var itemKeys = map[Grouping]string{ByProduct: `coalesce(i.sku, i.name)`, ByCategory: `i.category`}

// What is sold and what comes back within the days $2 to $3. %who narrows it down to one customer. The bounds of the
// instant are for the index, as in list.
const (
	soldWithin = ` FROM transactions t WHERE t.tenant_id = $1 AND ` + metric.Purchase + ` AND t.day BETWEEN $2 AND $3
		AND t.occurred_at >= $4 AND t.occurred_at < $5 %who`
	backWithin = ` FROM transaction_returns r
		JOIN transactions t ON t.tenant_id = r.tenant_id AND t.customer_id = r.customer_id AND t.id = r.transaction_id
		WHERE r.tenant_id = $1 AND r.day BETWEEN $2 AND $3 AND ` + metric.Purchase + ` %who`
)

// orderFacts are one row per order and per return.
const orderFacts = `SELECT %sold AS key, NULL::uuid AS product_id, NULL::text AS name, t.id AS sale, coalesce(t.units, 0)::numeric AS units,
		t.base_amount::numeric AS amount, 0::numeric AS returned` + soldWithin + `
	UNION ALL SELECT %back, NULL, NULL, NULL, 0, 0, r.base_amount` + backWithin

// itemFacts are one row per line, per order without lines, and per returned line or return without any. An order's money is
// divided among its lines by differences of rounded running shares, so that the parts add up to it; the lines of a free
// order share by number.
const itemFacts = `SELECT %item AS key, %product AS product_id, i.name AS name, s.id AS sale, coalesce(i.quantity / 1000.0, s.units) AS units,
		CASE WHEN i.line IS NULL THEN s.base_amount
			ELSE round(s.base_amount * i.upto / i.whole) - round(s.base_amount * (i.upto - i.weight) / i.whole) END AS amount,
		0::numeric AS returned
	FROM (SELECT t.customer_id, t.id, t.base_amount::numeric AS base_amount, coalesce(t.units, 0)::numeric AS units` + soldWithin + `) s
	LEFT JOIN LATERAL (SELECT i.*, sum(w.weight) OVER (ORDER BY i.line) AS upto, sum(w.weight) OVER () AS whole, w.weight
		FROM (SELECT i.*, sum(i.amount) OVER () AS lines FROM transaction_items i
			WHERE i.tenant_id = $1 AND i.customer_id = s.customer_id AND i.transaction_id = s.id) i
		CROSS JOIN LATERAL (SELECT CASE WHEN i.lines = 0 THEN 1 ELSE i.amount END::numeric AS weight) w) i ON true
	UNION ALL
	SELECT %item, %product, i.name, NULL, 0, 0,
		CASE WHEN b.line IS NULL THEN b.base_amount
			ELSE round(b.base_amount * b.upto / b.whole) - round(b.base_amount * (b.upto - b.weight) / b.whole) END
	FROM (SELECT r.customer_id, r.transaction_id, r.base_amount::numeric AS base_amount, b.line, b.upto, b.whole, b.weight
		FROM (SELECT r.*` + backWithin + `) r
		LEFT JOIN LATERAL (SELECT b.line, sum(w.weight) OVER (ORDER BY b.line) AS upto, sum(w.weight) OVER () AS whole, w.weight
			FROM (SELECT b.*, sum(b.amount) OVER () AS lines FROM transaction_return_items b
				WHERE b.tenant_id = $1 AND b.customer_id = r.customer_id AND b.return_id = r.id) b
			CROSS JOIN LATERAL (SELECT CASE WHEN b.lines = 0 THEN 1 ELSE b.amount END::numeric AS weight) w) b ON true) b
	LEFT JOIN transaction_items i
		ON i.tenant_id = $1 AND i.customer_id = b.customer_id AND i.transaction_id = b.transaction_id AND i.line = b.line`

// summarize answers one group more than are shown, and the total over all.
func summarize(ctx context.Context, q postgres.Querier, t tenant.Tenant, s Summary, customer *uuid.UUID) ([]Sales, Sales, error) {
	who := ""
	args := []any{t.ID, s.From.Time, s.Until.Time, s.From.Start(t.Zone).AddDate(0, 0, -1), s.Until.Start(t.Zone).AddDate(0, 0, 2)}
	if customer != nil {
		who, args = "AND t.customer_id = $6", append(args, *customer)
	}
	facts := orderFacts
	product := "NULL::uuid"
	if s.By == ByProduct {
		product = "i.product_id"
	}
	if _, ok := itemKeys[s.By]; ok {
		facts = itemFacts
	}
	facts = strings.NewReplacer("%who", who, "%item", itemKeys[s.By], "%product", product,
		"%sold", strings.ReplaceAll(keys[s.By], "%day", "t.day"), "%back", strings.ReplaceAll(keys[s.By], "%day", "r.day")).Replace(facts)
	order := "sum(amount) DESC NULLS LAST, key"
	if s.By == ByDay || s.By == ByMonth {
		order = "key"
	}
	// The empty grouping set is the total; it comes first and whatever the limit.
	rows, err := q.Query(ctx, fmt.Sprintf(`SELECT grouping(f.key) = 1, f.key, f.product_id,
			CASE WHEN f.product_id IS NOT NULL OR f.key IS NOT NULL THEN max(f.name) END, count(DISTINCT f.sale),
			coalesce(sum(f.units), 0)::float8, coalesce(sum(f.amount), 0)::bigint, coalesce(sum(f.returned), 0)::bigint
		FROM (%s) f GROUP BY GROUPING SETS ((), (f.key, f.product_id))
		ORDER BY grouping(f.key) DESC, %s LIMIT %d`, facts, order, maxGroups+2), args...)
	if err != nil {
		return nil, Sales{}, fmt.Errorf("sum sales: %w", err)
	}
	defer rows.Close()
	var total Sales
	groups := []Sales{}
	for rows.Next() {
		var all bool
		var g Sales
		var key, name *string
		if err := rows.Scan(&all, &key, &g.ProductID, &name, &g.Orders, &g.Units, &g.Amount, &g.Returned); err != nil {
			return nil, Sales{}, fmt.Errorf("sum sales: %w", err)
		}
		if g.Key, g.Name = postgres.Value(key), postgres.Value(name); all {
			total = g
		} else {
			groups = append(groups, g)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, Sales{}, fmt.Errorf("sum sales: %w", err)
	}
	return groups, total, nil
}
