package synthetic

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
)

// measured reports whether the metrics were computed: everybody has a row from the start, all zero.
func (w *World) measured(ctx context.Context, q postgres.Querier) (done bool, err error) {
	if w.Transactions == 0 {
		return true, nil
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM customer_metrics WHERE tenant_id = $1 AND purchase_count > 0)`, w.TenantID).Scan(&done)
	return done, err
}

// fillMetrics computes them as production does, then rewrites the table: an update of every row has left it twice as
// large as it would be had it grown in three years.
func fillMetrics(ctx context.Context, w *World, db *postgres.DB) error {
	if _, err := db.Exec(ctx, "ANALYZE customers, transactions, customer_metrics"); err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	if _, err := metric.RefreshAll(ctx, db, w.TenantID); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, "VACUUM FULL customer_metrics"); err != nil {
		return fmt.Errorf("rewrite the metrics: %w", err)
	}
	return nil
}
