package score

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// lastPurchase is the last day on which anybody bought; the zero day where nobody did.
func lastPurchase(ctx context.Context, q postgres.Querier, tenantID int32) (tenant.Day, error) {
	var day *time.Time
	err := q.QueryRow(ctx, `SELECT max(last_purchase_on) FROM customer_metrics WHERE tenant_id = $1`, tenantID).Scan(&day)
	if err != nil {
		return tenant.Day{}, fmt.Errorf("read the last day of purchases: %w", err)
	}
	if day == nil {
		return tenant.Day{}, nil
	}
	return tenant.Day{Time: *day}, nil
}

// outcomes are what everyone who had bought up to one day did up to a later one, a chunk at a time, alike ones together.
// Without values customers who differ in spend alone are alike.
func outcomes(ctx context.Context, q postgres.Querier, tenantID int32, from, to tenant.Day, values bool,
	each func(context.Context, []outcome) error) error {
	rows, err := q.Query(ctx, `SELECT f.x, f.t_x, f.t, CASE WHEN $5 THEN f.spend ELSE 0 END, CASE WHEN $5 THEN f.repeat_spend ELSE 0 END,
			$5 AND f.company, coalesce(y.days, 0), CASE WHEN $5 THEN coalesce(y.spend, 0) - coalesce(b.spend, 0) ELSE 0 END, count(*)::integer
		FROM (`+facts+`) f
		LEFT JOIN (SELECT t.customer_id, count(DISTINCT t.day)::integer AS days, sum(t.base_amount)::bigint AS spend FROM transactions t
			WHERE t.tenant_id = $1 AND `+metric.Purchase+` AND t.day > $2 AND t.day <= $4 GROUP BY t.customer_id) y USING (customer_id)
		LEFT JOIN (SELECT r.customer_id, sum(r.base_amount)::bigint AS spend FROM transaction_returns r
			JOIN transactions t ON t.tenant_id = r.tenant_id AND t.customer_id = r.customer_id AND t.id = r.transaction_id
			WHERE r.tenant_id = $1 AND `+metric.Purchase+` AND r.day > $2 AND r.day <= $4 GROUP BY r.customer_id) b USING (customer_id)
		GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8`,
		tenantID, from.Time, windowStart(from, 0).Time, to.Time, values)
	if err != nil {
		return fmt.Errorf("read what followed: %w", err)
	}
	defer rows.Close()
	some := make([]outcome, 0, chunk)
	for rows.Next() {
		var o outcome
		if err := rows.Scan(&o.x, &o.tx, &o.t, &o.spend, &o.repeatSpend, &o.company, &o.ahead, &o.aheadSpend, &o.n); err != nil {
			return fmt.Errorf("read what followed: %w", err)
		}
		if some = append(some, o); len(some) == chunk {
			if err := each(ctx, some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read what followed: %w", err)
	}
	if len(some) == 0 {
		return nil
	}
	return each(ctx, some)
}

// firstPurchase is the first day on which anybody bought; the zero day where nobody did.
func firstPurchase(ctx context.Context, q postgres.Querier, tenantID int32) (tenant.Day, error) {
	var day *time.Time
	err := q.QueryRow(ctx, `SELECT min(first_purchase_on) FROM customer_metrics WHERE tenant_id = $1`, tenantID).Scan(&day)
	if err != nil {
		return tenant.Day{}, fmt.Errorf("read the first day of purchases: %w", err)
	}
	if day == nil {
		return tenant.Day{}, nil
	}
	return tenant.Day{Time: *day}, nil
}

// fitted is the calibration of another run of the tenant as of the same day whose purchase model of that family was fitted
// to the very same histories; nil where there is none.
func fitted(ctx context.Context, q postgres.Querier, tenantID int32, asOf tenant.Day, family, facts string) (*Calibration, error) {
	var raw []byte
	err := q.QueryRow(ctx, `SELECT calibration FROM score_runs WHERE tenant_id = $1 AND as_of = $2 AND status = 'succeeded'
			AND calibration->'purchases'->>'family' = $3 AND calibration->'purchases'->>'facts' = $4
		ORDER BY run_no DESC LIMIT 1`, tenantID, asOf.Time, family, facts).Scan(&raw)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, fmt.Errorf("look for the same fit: %w", err)
	}
	return readCalibration(raw)
}
