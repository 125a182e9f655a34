package synthetic

import (
	"context"

	"github.com/kezi-io/kezi/internal/postgres"
)

// loadTiers makes the scheme "value" and places everybody as its evaluation would, so that evaluating it moves nobody.
func loadTiers(ctx context.Context, w *World, tx postgres.Tx) error {
	rng := w.rng(streamTierIDs, 0)
	scheme, set := w.id(w.since, rng), w.id(w.Until, rng)
	_, err := tx.Exec(ctx, `INSERT INTO tier_schemes (tenant_id, id, version, key, name, evaluated_at, created_at, updated_at)
		VALUES ($1, $2, 1, 'value', '价值', $3, $3, $3)`, w.TenantID, scheme, w.Until)
	if err != nil {
		return err
	}
	for rank, t := range []struct{ key, name, condition string }{
		{"high", "高价值", `{"field": "spend_total", "op": "gte", "value": "5000"}`},
		{"potential", "潜力", `{"field": "purchase_days", "op": "gte", "value": "2"}`},
		{"ordinary", "普通", "null"},
	} {
		_, err := tx.Exec(ctx, `INSERT INTO tiers (tenant_id, scheme_id, id, rank, key, name, condition)
			VALUES ($1, $2, $3, $4, $5, $6, nullif($7::jsonb, 'null'))`, w.TenantID, scheme, w.id(w.since, rng), rank+1, t.key, t.name, t.condition)
		if err != nil {
			return err
		}
	}
	return reload(ctx, tx, []string{"tier_placements"}, func() error {
		_, err := tx.Exec(ctx, `INSERT INTO tier_placements (tenant_id, customer_id, scheme_id, tier_id, change_set, placed_at)
			SELECT m.tenant_id, m.customer_id, $2, r.id, $3, $4 FROM customer_metrics m
			JOIN customers c ON c.tenant_id = m.tenant_id AND c.id = m.customer_id AND c.deleted_at IS NULL
			JOIN tiers r ON r.tenant_id = m.tenant_id AND r.scheme_id = $2 AND r.key = CASE
				WHEN m.spend_total >= 500000 THEN 'high' WHEN m.purchase_days >= 2 THEN 'potential' ELSE 'ordinary' END
			WHERE m.tenant_id = $1 ORDER BY m.customer_id`, w.TenantID, scheme, set, w.Until)
		return err
	})
}
