package score

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// makeRoom makes temporary tables for what is known of everyone and for the scores before their bands are known. Both
// vanish with the transaction.
func makeRoom(ctx context.Context, tx postgres.Tx) error {
	for _, sql := range []string{
		`CREATE TEMPORARY TABLE score_facts (customer_id uuid, x integer, t_x integer, t integer, spend bigint,
			repeat_spend bigint, window_days integer, window_spend bigint, given double precision[]) ON COMMIT DROP`,
		`CREATE TEMPORARY TABLE score_stage (customer_id uuid, value double precision, band smallint, label text,
			inputs double precision[]) ON COMMIT DROP`,
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make room for scores: %w", err)
		}
	}
	return nil
}

// gatherFacts puts all buyers' facts into score_facts, as one statement sees them.
func gatherFacts(ctx context.Context, tx postgres.Tx, tenantID int32, asOf tenant.Day, today bool, windowDays int) error {
	from := facts
	if today && windowDays == 0 {
		from = factsToday
	}
	_, err := tx.Exec(ctx, `INSERT INTO score_facts SELECT * FROM (`+from+`) f WHERE $3::date IS NOT NULL`,
		tenantID, asOf.Time, windowStart(asOf, windowDays).Time)
	if err != nil {
		return fmt.Errorf("gather the facts: %w", err)
	}
	return nil
}

// everybody is who could have a score: customers c with their metrics m.
const everybody = ` FROM customers c JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id`

// gatherRules puts what a model of rules is given into score_facts, for everybody.
func gatherRules(ctx context.Context, tx postgres.Tx, tenantID int32, given filter.Expr) error {
	sql, args := given.Numbered(2)
	_, err := tx.Exec(ctx, `INSERT INTO score_facts (customer_id, given) SELECT c.id, `+sql+everybody+
		` WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL`, append([]any{tenantID}, args...)...)
	if err != nil {
		return fmt.Errorf("gather which rules hold: %w", err)
	}
	return nil
}

// gatherParts puts the scores that a composite is made of into score_facts, for everybody who has one of them. runs are those
// of the parts, 0 where there is none.
func gatherParts(ctx context.Context, tx postgres.Tx, tenantID int32, runs []int64) error {
	sql := strings.Builder{}
	joins := strings.Builder{}
	for i, no := range runs {
		if i > 0 {
			sql.WriteString(", ")
		}
		fmt.Fprintf(&sql, "(s%d.value IS NOT NULL)::integer, coalesce(s%d.value, 0)", i, i)
		fmt.Fprintf(&joins, " LEFT JOIN scores s%d ON s%d.tenant_id = c.tenant_id AND s%d.run_no = %d AND s%d.customer_id = c.id", i, i, i, no, i)
	}
	_, err := tx.Exec(ctx, `INSERT INTO score_facts (customer_id, given) SELECT c.id, ARRAY[`+sql.String()+`]::double precision[]
		FROM customers c`+joins.String()+` WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND c.merged_into IS NULL`, tenantID)
	if err != nil {
		return fmt.Errorf("gather the parts: %w", err)
	}
	return nil
}

// chunk is how many customers are scored and loaded at a time.
const chunk = 20_000

// stage scores everyone gathered, a chunk at a time.
func stage(ctx context.Context, tx postgres.Tx, s scorer) error {
	_, err := tx.Exec(ctx, `DECLARE score_cursor NO SCROLL CURSOR FOR
		SELECT customer_id, x, t_x, t, spend, repeat_spend, window_days, window_spend, given FROM score_facts`)
	if err != nil {
		return fmt.Errorf("open the facts: %w", err)
	}
	for {
		subjects, err := fetch(ctx, tx)
		if err != nil || len(subjects) == 0 {
			return err
		}
		scores, err := s.rate(ctx, subjects)
		if err != nil {
			return err
		}
		at := 0
		_, err = tx.CopyFrom(ctx, "score_stage", []string{"customer_id", "value", "band", "label", "inputs"},
			pgx.CopyFromFunc(func() ([]any, error) {
				for ; at < len(scores); at++ {
					if r := scores[at]; r.ok {
						at++
						return []any{subjects[at-1].id, r.value, int16(r.band), r.label, r.inputs}, nil
					}
				}
				return nil, nil
			}))
		if err != nil {
			return fmt.Errorf("stage scores: %w", err)
		}
	}
}

func fetch(ctx context.Context, tx postgres.Tx) ([]subject, error) {
	// Not cached: the statement names a cursor that is gone after the transaction.
	rows, err := tx.Query(ctx, fmt.Sprintf(`FETCH %d FROM score_cursor`, chunk), pgx.QueryExecModeDescribeExec)
	if err != nil {
		return nil, fmt.Errorf("fetch facts: %w", err)
	}
	defer rows.Close()
	some := make([]subject, 0, chunk)
	for rows.Next() {
		var c subject
		var f factRow
		if err := rows.Scan(&c.id, &f.x, &f.tx, &f.t, &f.spend, &f.repeatSpend, &f.windowDays, &f.windowSpend, &c.given); err != nil {
			return nil, fmt.Errorf("fetch facts: %w", err)
		}
		f.into(&c)
		some = append(some, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("fetch facts: %w", err)
	}
	return some, nil
}

// quantiles of an expression over a temporary table, type 7, which is what percentile_cont computes; nil when it is
// empty.
func quantiles(ctx context.Context, tx postgres.Tx, expr, table string, at []float64) ([]float64, error) {
	var limits []float64
	err := tx.QueryRow(ctx, `SELECT percentile_cont($1::double precision[])
		WITHIN GROUP (ORDER BY (`+expr+`)::double precision) FROM `+table, at).Scan(&limits)
	if err != nil {
		return nil, fmt.Errorf("compute quantiles: %w", err)
	}
	return limits, nil
}

// fifths are where bands begin.
var fifths = []float64{0.2, 0.4, 0.6, 0.8}

// measure computes the limits of what the gathered customers did, before anybody is scored.
func measure(ctx context.Context, tx postgres.Tx, kind Kind, p Params, scale float64, into map[string][]float64) error {
	switch kind {
	case RFM:
		at := make([]float64, p.Bands-1)
		for i := range at {
			at[i] = float64(i+1) / float64(p.Bands)
		}
		for name, expr := range map[string]string{"recency_days": `t - t_x`, "purchase_days": `window_days`, "spend": `window_spend`} {
			limits, err := quantiles(ctx, tx, expr, `score_facts`, at)
			if err != nil || limits == nil {
				return err
			}
			if name == "spend" {
				for i := range limits {
					limits[i] /= scale
				}
			}
			into[name] = limits
		}
	case Potential:
		limits, err := quantiles(ctx, tx, `spend`, `score_facts`, []float64{1 - p.HighValueShare})
		if err != nil || limits == nil {
			return err
		}
		into[limitSoFar] = []float64{limits[0] / scale}
	case Composite:
		for i, part := range p.Parts {
			if part.Min != nil && part.Max != nil {
				continue
			}
			limits, err := quantiles(ctx, tx, fmt.Sprintf(`given[%d]`, 2*i+2), fmt.Sprintf(`score_facts WHERE given[%d] = 1`, 2*i+1), []float64{0.05, 0.95})
			if err != nil {
				return err
			}
			if limits != nil {
				into[limitsOf(part.Score)] = limits
			}
		}
	}
	return nil
}

// measureValues computes the limits of the staged values.
func measureValues(ctx context.Context, tx postgres.Tx, kind Kind, p Params, into map[string][]float64) error {
	if kind == RFM {
		return nil
	}
	limits, err := quantiles(ctx, tx, `value`, `score_stage`, fifths)
	if err != nil || limits == nil {
		return err
	}
	into["value"] = limits
	if kind == Potential {
		into[limitToCome], err = quantiles(ctx, tx, `value`, `score_stage`, []float64{1 - p.PotentialShare})
	}
	return err
}

// load makes the run's partition anew and moves the staged scores into it. Where the calibration is new, bands and the
// labels of potential are decided here by its limits. The partition is not loaded by COPY, because tables under row-level
// security refuse that. It can be read as soon as the transaction commits, and only by its number.
func load(ctx context.Context, tx postgres.Tx, tenantID int32, r Run, cal *Calibration, now time.Time) (int64, error) {
	if _, err := tx.Exec(ctx, `SELECT kezi_score_partition($1)`, r.no); err != nil {
		return 0, fmt.Errorf("make the partition of run number %d: %w", r.no, err)
	}
	band, label, args := `band`, `label`, []any{tenantID, r.no, r.AsOf.Time, now}
	if r.recalibrate {
		if r.Kind != RFM {
			band = `1 + (SELECT count(*) FROM unnest($5::double precision[]) l WHERE l < value)`
			args = append(args, cal.Quantiles["value"])
		}
		if r.Kind == Potential {
			label = fmt.Sprintf(`CASE WHEN inputs[%d] > ($6::double precision[])[1] THEN '%s' WHEN value > ($7::double precision[])[1] THEN '%s' ELSE '%s' END`,
				inSoFar+1, highValue, potentialOf, ordinaryValue)
			args = append(args, cal.Quantiles[limitSoFar], cal.Quantiles[limitToCome])
		}
	}
	tag, err := tx.Exec(ctx, fmt.Sprintf(`INSERT INTO scores_%d (tenant_id, run_no, customer_id, value, band, label, inputs, as_of, scored_at)
		SELECT $1, $2, customer_id, value, %s, %s, inputs, $3, $4 FROM score_stage`, r.no, band, label), args...)
	if err != nil {
		return 0, fmt.Errorf("load the scores of run number %d: %w", r.no, err)
	}
	if _, err := tx.Exec(ctx, `SELECT kezi_score_attach($1)`, r.no); err != nil {
		return 0, fmt.Errorf("attach the partition of run number %d: %w", r.no, err)
	}
	return tag.RowsAffected(), nil
}

// present is how many customers could have a score.
func present(ctx context.Context, q postgres.Querier, tenantID int32) (int64, error) {
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
	if kept > 0 {
		if err := archive(ctx, tx, tenantID, model, old); err != nil {
			return err
		}
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

// archive moves what runs that were in force have kept into the history: whoever's score differs from the one before it. The
// runs' partitions are about to be dropped.
func archive(ctx context.Context, tx postgres.Tx, tenantID int32, model uuid.UUID, runs []int64) error {
	for _, no := range runs {
		_, err := tx.Exec(ctx, `INSERT INTO score_history (tenant_id, customer_id, model_id, scored_at, run_no, as_of, value, band, label, inputs)
			SELECT s.tenant_id, s.customer_id, r.model_id, s.scored_at, s.run_no, s.as_of, s.value, s.band, s.label, s.inputs
			FROM scores s JOIN score_runs r ON r.tenant_id = s.tenant_id AND r.run_no = s.run_no AND r.in_force_at IS NOT NULL
			LEFT JOIN LATERAL (SELECT h.value, h.band, h.label FROM score_history h WHERE h.tenant_id = s.tenant_id
				AND h.customer_id = s.customer_id AND h.model_id = $2 AND h.scored_at < s.scored_at ORDER BY h.scored_at DESC LIMIT 1) b ON true
			WHERE s.tenant_id = $1 AND s.run_no = $3 AND (s.value, s.band, s.label) IS DISTINCT FROM (b.value, b.band, b.label)
				AND EXISTS (SELECT FROM customers c WHERE c.tenant_id = s.tenant_id AND c.id = s.customer_id)
			ON CONFLICT ON CONSTRAINT score_history_pkey DO NOTHING`, tenantID, model, no)
		if err != nil {
			return fmt.Errorf("archive the scores of run number %d: %w", no, err)
		}
	}
	return nil
}
