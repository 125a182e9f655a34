package segment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// place is since when a customer is in segment x, and its place on the list of a static one; nil where there is none.
func place(ctx context.Context, q postgres.Querier, tenantID int32, x Segment, customerID uuid.UUID) (since *time.Time, picked *Pick, err error) {
	var actor, reason *string
	var at *time.Time
	err = q.QueryRow(ctx, `SELECT (SELECT since FROM segment_members WHERE tenant_id = $1 AND customer_id = $2 AND segment_id = $3),
			p.actor, p.reason, p.picked_at
		FROM (SELECT) one LEFT JOIN segment_picks p ON p.tenant_id = $1 AND p.customer_id = $2 AND p.segment_id = $3`,
		tenantID, customerID, x.ID).Scan(&since, &actor, &reason, &at)
	if err != nil {
		return nil, nil, fmt.Errorf("read a place in segment %s: %w", x.Key, err)
	}
	if at != nil {
		picked = &Pick{*actor, *reason, at.UTC()}
	}
	return postgres.UTC(since), picked, nil
}

// together tells how many customers are in exactly those segments whose bits mask has, for each set that there is.
func together(ctx context.Context, q postgres.Querier, tenantID int32, ids []uuid.UUID, add func(mask int, n int64)) error {
	rows, err := q.Query(ctx, `SELECT mask, count(*) FROM (SELECT bit_or(1 << (x.n - 1)::integer) AS mask
			FROM unnest($2::uuid[]) WITH ORDINALITY x (id, n) JOIN segment_members m ON m.tenant_id = $1 AND m.segment_id = x.id
			GROUP BY m.customer_id) m GROUP BY mask`, tenantID, ids)
	if err != nil {
		return fmt.Errorf("compare segments: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var mask int
		var n int64
		if err := rows.Scan(&mask, &n); err != nil {
			return fmt.Errorf("compare segments: %w", err)
		}
		add(mask, n)
	}
	return rows.Err()
}

// spent is what the customers of x have bought.
func spent(ctx context.Context, q postgres.Querier, t tenant.Tenant, x Segment) (Value, error) {
	v := Value{Spend: money.Money{Currency: t.Currency}}
	err := q.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE m.purchase_count > 0), coalesce(sum(m.purchase_count), 0),
			coalesce(sum(m.spend_total), 0)::bigint
		FROM segment_members s JOIN customer_metrics m ON m.tenant_id = s.tenant_id AND m.customer_id = s.customer_id
		WHERE s.tenant_id = $1 AND s.segment_id = $2`, t.ID, x.ID).Scan(&v.Customers, &v.Buyers, &v.Purchases, &v.Spend.Minor)
	if err != nil {
		return Value{}, fmt.Errorf("add up segment %s: %w", x.Key, err)
	}
	return v, nil
}

// clvRun is a clv model in force and its run: the one named, or the first by key; 0 for none.
func clvRun(ctx context.Context, q postgres.Querier, tenantID int32, model string) (key string, run int64, err error) {
	err = q.QueryRow(ctx, `SELECT key, current_run FROM score_models WHERE tenant_id = $1 AND kind = 'clv' AND current_run IS NOT NULL
		AND ($2 = '' OR key = $2) ORDER BY key LIMIT 1`, tenantID, model).Scan(&key, &run)
	if postgres.IsNone(err) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("look for a clv model: %w", err)
	}
	return key, run, nil
}

// expected adds up the scores of the customers of x by a run of model.
func expected(ctx context.Context, q postgres.Querier, t tenant.Tenant, x Segment, model string, run int64) (Expected, error) {
	e := Expected{Model: model, Value: money.Money{Currency: t.Currency}}
	// With the number in its text, the statement is planned for the one partition.
	err := q.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), coalesce(round(sum(x.value)::numeric * 10::numeric ^ $3::integer), 0)::bigint
		FROM segment_members s JOIN scores x ON x.tenant_id = s.tenant_id AND x.customer_id = s.customer_id AND x.run_no = %d
		WHERE s.tenant_id = $1 AND s.segment_id = $2`, run), t.ID, x.ID, money.Digits(t.Currency)).Scan(&e.Customers, &e.Value.Minor)
	if err != nil {
		return Expected{}, fmt.Errorf("add up the scores of segment %s: %w", x.Key, err)
	}
	return e, nil
}

func preview(ctx context.Context, q postgres.Querier, tenantID int32, where filter.Expr, tiers bool) (Preview, error) {
	sql, args := where.Numbered(2)
	fit := `WITH fit AS (SELECT c.id FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND (` + sql + `))`
	args = append([]any{tenantID}, args...)
	var p Preview
	if !tiers {
		if err := q.QueryRow(ctx, fit+` SELECT count(*) FROM fit`, args...).Scan(&p.Customers); err != nil {
			return Preview{}, fmt.Errorf("count who fits: %w", err)
		}
		return p, nil
	}
	rows, err := q.Query(ctx, fit+` SELECT (SELECT count(*) FROM fit), s.key, s.name, r.key, r.name, coalesce(p.n, 0)
		FROM (SELECT) one LEFT JOIN tier_schemes s ON s.tenant_id = $1 LEFT JOIN tiers r ON r.tenant_id = s.tenant_id AND r.scheme_id = s.id
			LEFT JOIN (SELECT p.scheme_id, p.tier_id, count(*) AS n FROM fit JOIN tier_placements p ON p.tenant_id = $1 AND p.customer_id = fit.id
				GROUP BY p.scheme_id, p.tier_id) p ON p.scheme_id = r.scheme_id AND p.tier_id = r.id
		ORDER BY s.key, r.rank`, args...)
	if err != nil {
		return Preview{}, fmt.Errorf("count who fits: %w", err)
	}
	defer rows.Close()
	p.Tiers = []Distribution{}
	for rows.Next() {
		var scheme, name, key, title *string
		var n int64
		if err := rows.Scan(&p.Customers, &scheme, &name, &key, &title, &n); err != nil {
			return Preview{}, fmt.Errorf("count who fits: %w", err)
		}
		if scheme == nil || key == nil {
			continue
		}
		if last := len(p.Tiers) - 1; last < 0 || p.Tiers[last].Scheme != *scheme {
			p.Tiers = append(p.Tiers, Distribution{Scheme: *scheme, Name: *name, Unplaced: p.Customers})
		}
		d := &p.Tiers[len(p.Tiers)-1]
		d.Tiers = append(d.Tiers, TierCount{*key, *title, n})
		d.Unplaced -= n
	}
	return p, rows.Err()
}
