package score

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// facts are what customers did up to the day $2, in the tenant $1: nobody who is deleted or merged away, no transaction
// and no return of a later day. Days and spend within the window are those after $3.
//
// Returns take no purchase day away. Spend is net of them, each on its own day, and at least 0: within a window more may
// come back than was bought. The repeat spend, whose mean over the repeat days the value model is fitted to, has no day
// of its own for a return; there it lowers the order that it is of, so that what came back of the first purchase is not
// taken for repeat purchases that were worth less.
const facts = `SELECT d.customer_id, (count(*) FILTER (WHERE d.bought) - 1)::integer AS x,
		max(d.day) FILTER (WHERE d.bought) - min(d.day) AS t_x, $2::date - min(d.day) AS t,
		greatest(sum(d.amount), 0)::bigint AS spend,
		greatest(sum(d.kept) - (array_agg(d.kept ORDER BY d.day) FILTER (WHERE d.bought))[1], 0)::bigint AS repeat_spend,
		(count(*) FILTER (WHERE d.bought AND d.day > $3))::integer AS window_days,
		greatest(coalesce(sum(d.amount) FILTER (WHERE d.day > $3), 0), 0)::bigint AS window_spend
	FROM (SELECT f.customer_id, f.day, bool_or(f.bought) AS bought, sum(f.amount) AS amount, sum(f.kept) AS kept
		FROM (SELECT t.customer_id, t.day, true AS bought, t.base_amount AS amount, t.base_amount - coalesce(r.amount, 0) AS kept
			FROM transactions t JOIN customers c ON c.tenant_id = t.tenant_id AND c.id = t.customer_id
			LEFT JOIN (SELECT customer_id, transaction_id, sum(base_amount) AS amount FROM transaction_returns
				WHERE tenant_id = $1 AND day <= $2 GROUP BY customer_id, transaction_id) r
				ON r.customer_id = t.customer_id AND r.transaction_id = t.id
			WHERE t.tenant_id = $1 AND ` + metric.Purchase + ` AND t.day <= $2 AND c.deleted_at IS NULL AND c.merged_into IS NULL
			UNION ALL
			SELECT r.customer_id, r.day, false, -r.base_amount, 0
			FROM transaction_returns r
			JOIN transactions t ON t.tenant_id = r.tenant_id AND t.customer_id = r.customer_id AND t.id = r.transaction_id
			JOIN customers c ON c.tenant_id = t.tenant_id AND c.id = t.customer_id
			WHERE r.tenant_id = $1 AND ` + metric.Purchase + ` AND r.day <= $2 AND c.deleted_at IS NULL AND c.merged_into IS NULL) f
		GROUP BY f.customer_id, f.day) d
	GROUP BY d.customer_id`

// windowStart is the day before the window of windowDays days that ends on asOf; 0 is all history.
func windowStart(asOf tenant.Day, windowDays int) tenant.Day {
	if windowDays == 0 {
		return tenant.Day{} // the year 1
	}
	return tenant.Day{Time: asOf.AddDate(0, 0, -windowDays)}
}

// groups are everyone's facts for a fit, equal ones together, sorted. Without values customers who differ in spend
// alone are one group.
func groups(ctx context.Context, q postgres.Querier, tenantID int32, asOf tenant.Day, values bool) ([]group, error) {
	rows, err := q.Query(ctx, `SELECT x, t_x, t, CASE WHEN $4 THEN repeat_spend ELSE 0 END, count(*)::integer, sum(spend)::bigint
		FROM (`+facts+`) f GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`, tenantID, asOf.Time, windowStart(asOf, 0).Time, values)
	if err != nil {
		return nil, fmt.Errorf("read the facts: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (group, error) {
		var g group
		return g, row.Scan(&g.x, &g.tx, &g.t, &g.repeatSpend, &g.n, &g.spend)
	})
	if err != nil {
		return nil, fmt.Errorf("read the facts: %w", err)
	}
	return all, nil
}

// gather puts everyone's facts into a temporary table, as one statement sees them, and makes the one that scores are
// collected in before their bands are known. Both vanish with the transaction.
func gather(ctx context.Context, tx postgres.Tx, tenantID int32, asOf tenant.Day, windowDays int) error {
	if err := makeStage(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE score_facts (customer_id uuid, x integer, t_x integer, t integer, spend bigint,
		repeat_spend bigint, window_days integer, window_spend bigint) ON COMMIT DROP`)
	if err != nil {
		return fmt.Errorf("make room for facts: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO score_facts `+facts, tenantID, asOf.Time, windowStart(asOf, windowDays).Time)
	if err != nil {
		return fmt.Errorf("gather the facts: %w", err)
	}
	return nil
}

// makeStage makes the temporary table that scores are collected in before their bands are known.
func makeStage(ctx context.Context, tx postgres.Tx) error {
	_, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE score_stage (customer_id uuid, value double precision, band smallint, label text,
		inputs double precision[]) ON COMMIT DROP`)
	if err != nil {
		return fmt.Errorf("make room for scores: %w", err)
	}
	return nil
}

// chunk is how many customers are predicted and loaded at a time.
const chunk = 20_000

// stagePredictions scores everyone gathered, a chunk at a time, and answers the limits of the bands.
func stagePredictions(ctx context.Context, tx postgres.Tx, p predictor) (map[string][]float64, error) {
	_, err := tx.Exec(ctx, `DECLARE score_cursor NO SCROLL CURSOR FOR
		SELECT customer_id, x, t_x, t, spend, repeat_spend FROM score_facts`)
	if err != nil {
		return nil, fmt.Errorf("open the facts: %w", err)
	}
	for {
		ids, some, err := fetch(ctx, tx)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			break
		}
		rates, err := p.rate(ctx, some)
		if err != nil {
			return nil, err
		}
		_, err = tx.CopyFrom(ctx, "score_stage", []string{"customer_id", "value", "label", "inputs"},
			pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) {
				return []any{ids[i], rates[i].value, "", rates[i].inputs}, nil
			}))
		if err != nil {
			return nil, fmt.Errorf("stage scores: %w", err)
		}
	}
	limits, err := quantiles(ctx, tx, `value`, `score_stage`)
	if err != nil || limits == nil {
		return map[string][]float64{}, err
	}
	return map[string][]float64{"value": limits}, nil
}

func fetch(ctx context.Context, tx postgres.Tx) ([]uuid.UUID, []fact, error) {
	// Not cached: the statement names a cursor that is gone after the transaction.
	rows, err := tx.Query(ctx, fmt.Sprintf(`FETCH %d FROM score_cursor`, chunk), pgx.QueryExecModeDescribeExec)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch facts: %w", err)
	}
	defer rows.Close()
	var ids []uuid.UUID
	var some []fact
	for rows.Next() {
		var id uuid.UUID
		var f fact
		if err := rows.Scan(&id, &f.x, &f.tx, &f.t, &f.spend, &f.repeatSpend); err != nil {
			return nil, nil, fmt.Errorf("fetch facts: %w", err)
		}
		ids, some = append(ids, id), append(some, f)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("fetch facts: %w", err)
	}
	return ids, some, nil
}

// quantiles are the 20, 40, 60 and 80 % quantiles (type 7, which is what percentile_cont computes) of an expression
// over a temporary table; nil when it is empty.
func quantiles(ctx context.Context, tx postgres.Tx, expr, table string) ([]float64, error) {
	var limits []float64
	err := tx.QueryRow(ctx, `SELECT percentile_cont(ARRAY[0.2, 0.4, 0.6, 0.8]::double precision[])
		WITHIN GROUP (ORDER BY (`+expr+`)::double precision) FROM `+table).Scan(&limits)
	if err != nil {
		return nil, fmt.Errorf("compute quantiles: %w", err)
	}
	return limits, nil
}

// stageRFM scores everyone gathered, all in the database, and answers the limits of the bands: spend in major units, of
// which scale minor units make one.
func stageRFM(ctx context.Context, tx postgres.Tx, w Weights, scale float64) (map[string][]float64, error) {
	limits := map[string][]float64{}
	for name, expr := range map[string]string{"recency_days": `t - t_x`, "purchase_days": `window_days`, "spend": `window_spend`} {
		l, err := quantiles(ctx, tx, expr, `score_facts`)
		if err != nil || l == nil {
			return limits, err
		}
		limits[name] = l
	}
	_, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE score_cells (r integer, f integer, m integer, value double precision,
		band smallint, label text) ON COMMIT DROP`)
	if err != nil {
		return nil, fmt.Errorf("make room for segments: %w", err)
	}
	all := cells(w)
	_, err = tx.CopyFrom(ctx, "score_cells", []string{"r", "f", "m", "value", "band", "label"},
		pgx.CopyFromSlice(len(all), func(i int) ([]any, error) {
			c := all[i]
			return []any{c.r, c.f, c.m, c.value, c.band, c.label}, nil
		}))
	if err != nil {
		return nil, fmt.Errorf("load segments: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO score_stage
		SELECT b.customer_id, c.value, c.band, c.label,
			ARRAY[b.recency, b.days, b.spend / $4, b.r, b.f, b.m]::double precision[]
		FROM (SELECT customer_id, t - t_x AS recency, window_days AS days, window_spend::double precision AS spend,
				1 + (SELECT count(*) FROM unnest($1::double precision[]) l WHERE l > t - t_x) AS r,
				1 + (SELECT count(*) FROM unnest($2::double precision[]) l WHERE l < window_days) AS f,
				1 + (SELECT count(*) FROM unnest($3::double precision[]) l WHERE l < window_spend) AS m
			FROM score_facts) b
		JOIN score_cells c ON c.r = b.r AND c.f = b.f AND c.m = b.m`,
		limits["recency_days"], limits["purchase_days"], limits["spend"], scale)
	if err != nil {
		return nil, fmt.Errorf("stage scores: %w", err)
	}
	for i, l := range limits["spend"] {
		limits["spend"][i] = l / scale
	}
	return limits, nil
}

// load makes the run's partition anew and moves the staged scores into it, banded by limits where they have no band of
// their own. It is not loaded by COPY, because tables under row-level security refuse that and the bands are known only
// when every value is. The partition can be read as soon as the transaction commits, and only by its number.
func load(ctx context.Context, tx postgres.Tx, tenantID int32, runNo int64, limits []float64) (int64, error) {
	if _, err := tx.Exec(ctx, `SELECT kezi_score_partition($1)`, runNo); err != nil {
		return 0, fmt.Errorf("make the partition of run number %d: %w", runNo, err)
	}
	tag, err := tx.Exec(ctx, fmt.Sprintf(`INSERT INTO scores_%d (tenant_id, run_no, customer_id, value, band, label, inputs)
		SELECT $1, $2, customer_id, value,
			coalesce(band, 1 + (SELECT count(*) FROM unnest($3::double precision[]) l WHERE l < value)), label, inputs
		FROM score_stage`, runNo), tenantID, runNo, limits)
	if err != nil {
		return 0, fmt.Errorf("load the scores of run number %d: %w", runNo, err)
	}
	if _, err := tx.Exec(ctx, `SELECT kezi_score_attach($1)`, runNo); err != nil {
		return 0, fmt.Errorf("attach the partition of run number %d: %w", runNo, err)
	}
	return tag.RowsAffected(), nil
}

// counted is how many customers could have a score.
func counted(ctx context.Context, q postgres.Querier, tenantID int32) (int64, error) {
	var n int64
	err := q.QueryRow(ctx, `SELECT count(*) FROM customers WHERE tenant_id = $1 AND deleted_at IS NULL AND merged_into IS NULL`,
		tenantID).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count customers: %w", err)
	}
	return n, nil
}

// lockWait bounds the wait for the moment in which nobody reads any score: to drop a partition the database locks the
// whole table, and whoever comes after waits behind the one who waits.
const lockWait = `SET LOCAL lock_timeout = '1s'`

// dropScores drops the scores of a locked model's runs, but for the newest kept ones and the one in force; with
// kept 0 all of them.
func dropScores(ctx context.Context, tx postgres.Tx, tenantID int32, model uuid.UUID, kept int, now time.Time) error {
	// The order is that of all who drop, so that two of them can't wait for each other.
	rows, err := tx.Query(ctx, `SELECT run_no FROM (SELECT r.run_no, m.current_run, row_number() OVER (ORDER BY r.run_no DESC) AS age
			FROM score_runs r JOIN score_models m ON m.tenant_id = r.tenant_id AND m.id = r.model_id
			WHERE r.tenant_id = $1 AND r.model_id = $2 AND r.status = 'succeeded' AND r.dropped_at IS NULL) r
		WHERE $3 = 0 OR (age > $3 AND run_no IS DISTINCT FROM current_run) ORDER BY run_no`, tenantID, model, kept)
	if err != nil {
		return fmt.Errorf("look for superseded scores: %w", err)
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("look for superseded scores: %w", err)
	}
	if len(old) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `UPDATE score_runs SET dropped_at = $3, version = version + 1
		WHERE tenant_id = $1 AND run_no = ANY($2)`, tenantID, old, now)
	if err != nil {
		return fmt.Errorf("note dropped scores: %w", err)
	}
	if _, err := tx.Exec(ctx, lockWait); err != nil {
		return fmt.Errorf("limit the wait for a lock: %w", err)
	}
	for _, no := range old {
		if _, err := tx.Exec(ctx, `SELECT kezi_score_drop($1)`, no); err != nil {
			return fmt.Errorf("drop the scores of run number %d: %w", no, err)
		}
	}
	return nil
}
