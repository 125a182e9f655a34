package score

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// force is a run and what its scores share.
type force struct {
	summary      Summary // without what is the customer's own
	model        uuid.UUID
	revision     int
	run          uuid.UUID
	params       Params
	calibration  *Calibration
	calibratedBy uuid.UUID
}

// forceSelect reads runs r of models m. Scores are read by the runs' numbers in a second statement and not in a join: given
// as values, they let the database plan for the few partitions that they name instead of for all there are.
const forceSelect = `SELECT r.run_no, m.key, r.kind, r.revision, r.id, r.params, r.calibration, coalesce(r.calibrated_by, r.id), m.id
	FROM score_models m JOIN score_runs r ON r.tenant_id = m.tenant_id`

// forces are runs by their number, and the numbers in the order read.
func forces(ctx context.Context, q postgres.Querier, sql string, args ...any) (map[int64]force, []int64, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("read runs: %w", err)
	}
	all := map[int64]force{}
	numbers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (no int64, err error) {
		var f force
		var params, calibration []byte
		if err := row.Scan(&no, &f.summary.Key, &f.summary.Kind, &f.revision, &f.run, &params, &calibration, &f.calibratedBy, &f.model); err != nil {
			return 0, err
		}
		if f.params, err = readParams(f.summary.Kind, params); err != nil {
			return 0, err
		}
		if f.calibration, err = readCalibration(calibration); err != nil {
			return 0, err
		}
		f.summary.Unit = condition.ScoreUnit(string(f.summary.Kind), f.calibration.Currency)
		all[no] = f
		return no, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read runs: %w", err)
	}
	return all, numbers, nil
}

// inForce are the tenant's runs in force, in order of model keys; of one model unless key is empty.
func inForce(ctx context.Context, q postgres.Querier, tenantID int32, key string) (map[int64]force, []int64, error) {
	return forces(ctx, q, forceSelect+` AND r.run_no = m.current_run WHERE m.tenant_id = $1 AND ($2 = '' OR m.key = $2) ORDER BY m.key`,
		tenantID, key)
}

// Summaries are the scores in force of many customers by model key, read in two statements whatever their number. A
// customer without any is not in the answer.
func Summaries(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) (map[uuid.UUID][]Summary, error) {
	all := map[uuid.UUID][]Summary{}
	if len(customers) == 0 {
		return all, nil
	}
	rows, err := q.Query(ctx, `SELECT r.run_no, m.key, r.kind, r.calibration->'units'->>'money'
		FROM score_models m JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.run_no = m.current_run
		WHERE m.tenant_id = $1 ORDER BY m.key`, tenantID)
	if err != nil {
		return nil, fmt.Errorf("read the runs in force: %w", err)
	}
	runs, numbers := map[int64]Summary{}, []int64{}
	var s Summary
	var no int64
	var currency string
	_, err = pgx.ForEachRow(rows, []any{&no, &s.Key, &s.Kind, &currency}, func() error {
		s.Unit = condition.ScoreUnit(string(s.Kind), currency)
		runs[no], numbers = s, append(numbers, no)
		return nil
	})
	if err = errors.Join(err, rows.Err()); err != nil {
		return nil, fmt.Errorf("read the runs in force: %w", err)
	}
	if len(runs) == 0 {
		return all, nil
	}
	rows, err = q.Query(ctx, `SELECT run_no, customer_id, value, band, label, as_of FROM scores
		WHERE tenant_id = $1 AND run_no = ANY(`+ofRuns(numbers)+`) AND customer_id = ANY($2)
		ORDER BY array_position(`+ofRuns(numbers)+`, run_no)`, tenantID, customers)
	if err != nil {
		return nil, fmt.Errorf("read the scores of %d customers: %w", len(customers), err)
	}
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&no, &id, &s.Value, &s.Band, &s.Label, &s.AsOf.Time}, func() error {
		s.Key, s.Kind, s.Unit = runs[no].Key, runs[no].Kind, runs[no].Unit
		all[id] = append(all[id], s)
		return nil
	})
	if err = errors.Join(err, rows.Err()); err != nil {
		return nil, fmt.Errorf("read the scores of %d customers: %w", len(customers), err)
	}
	return all, nil
}

// ofRuns is an array of numbers of runs in the text of a statement about their scores, where they are no parameter: a plan for any
// runs would be one for the partitions of all runs of all tenants, and would lock them.
func ofRuns(numbers []int64) string {
	b := []byte("'{")
	for i, no := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, no, 10)
	}
	return string(append(b, "}'::bigint[]"...))
}

// kept is a score as the database keeps it.
type kept struct {
	no       int64
	value    float64
	band     int
	label    string
	inputs   []float64
	asOf     tenant.Day
	scoredAt time.Time
}

// of is the score that k is of a run.
func (k kept) of(f force) (Score, error) {
	s := Score{Summary: f.summary, Revision: f.revision, RunID: f.run, CalibratedBy: f.calibratedBy, ScoredAt: k.scoredAt.UTC()}
	s.Value, s.Band, s.Label, s.AsOf = k.value, k.band, k.label, k.asOf
	var err error
	if s.Inputs, s.Explanation, err = explain(s.Kind, f.params, f.calibration, k.label, k.inputs); err != nil {
		return Score{}, fmt.Errorf("explain a score of %s: %w", s.Key, err)
	}
	return s, nil
}

func scanKept(rows pgx.Rows) ([]kept, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (kept, error) {
		var k kept
		return k, row.Scan(&k.no, &k.value, &k.band, &k.label, &k.inputs, &k.asOf.Time, &k.scoredAt)
	})
}

// explained are the scores in force of one customer by model key; of one model unless key is empty.
func explained(ctx context.Context, q postgres.Querier, tenantID int32, customer uuid.UUID, key string) ([]Score, error) {
	all := []Score{}
	runs, numbers, err := inForce(ctx, q, tenantID, key)
	if err != nil || len(runs) == 0 {
		return all, err
	}
	rows, err := q.Query(ctx, `SELECT run_no, value, band, label, inputs, as_of, scored_at FROM scores
		WHERE tenant_id = $1 AND run_no = ANY(`+ofRuns(numbers)+`) AND customer_id = $2
		ORDER BY array_position(`+ofRuns(numbers)+`, run_no)`, tenantID, customer)
	if err != nil {
		return nil, fmt.Errorf("read the scores of customer %s: %w", customer, err)
	}
	found, err := scanKept(rows)
	if err != nil {
		return nil, fmt.Errorf("read the scores of customer %s: %w", customer, err)
	}
	for _, k := range found {
		s, err := k.of(runs[k.no])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// history is a page of what one customer's score of a model was, newest first: what is archived, and what the partitions
// of runs that were in force keep. Of scores in a row with equal value, band and label the earliest is told.
func history(ctx context.Context, q postgres.Querier, tenantID int32, customer uuid.UUID, m Model, req page.Request) (page.Of[Score], error) {
	var keptRuns []int64
	err := q.QueryRow(ctx, `SELECT coalesce(array_agg(run_no), '{}') FROM score_runs
		WHERE tenant_id = $1 AND model_id = $2 AND in_force_at IS NOT NULL AND dropped_at IS NULL`, tenantID, m.ID).Scan(&keptRuns)
	if err != nil {
		return page.Of[Score]{}, fmt.Errorf("read the runs of score model %s: %w", m.Key, err)
	}
	var before *time.Time
	if req.After != nil {
		at, err := time.Parse(time.RFC3339Nano, req.After[0])
		if err != nil {
			return page.Of[Score]{}, page.ErrCursor
		}
		before = &at
	}
	rows, err := q.Query(ctx, `SELECT run_no, value, band, label, inputs, as_of, scored_at FROM (
			SELECT a.*, lag((value, band, label)) OVER w IS DISTINCT FROM (value, band, label) AS changed FROM (
				SELECT run_no, value, band, label, inputs, as_of, scored_at FROM score_history
					WHERE tenant_id = $1 AND customer_id = $2 AND model_id = $3
				UNION ALL
				SELECT run_no, value, band, label, inputs, as_of, scored_at FROM scores
					WHERE tenant_id = $1 AND run_no = ANY(`+ofRuns(keptRuns)+`) AND customer_id = $2) a
			WINDOW w AS (ORDER BY scored_at, run_no)) h
		WHERE changed AND ($4::timestamptz IS NULL OR scored_at < $4) ORDER BY scored_at DESC, run_no DESC LIMIT $5`,
		tenantID, customer, m.ID, before, req.Limit+1)
	if err != nil {
		return page.Of[Score]{}, fmt.Errorf("read the history of score %s: %w", m.Key, err)
	}
	found, err := scanKept(rows)
	if err != nil {
		return page.Of[Score]{}, fmt.Errorf("read the history of score %s: %w", m.Key, err)
	}
	numbers := make([]int64, len(found))
	for i, k := range found {
		numbers[i] = k.no
	}
	runs, _, err := forces(ctx, q, forceSelect+` AND r.model_id = m.id WHERE m.tenant_id = $1 AND m.id = $2 AND r.run_no = ANY($3)`,
		tenantID, m.ID, numbers)
	if err != nil {
		return page.Of[Score]{}, err
	}
	all := make([]Score, len(found))
	for i, k := range found {
		if all[i], err = k.of(runs[k.no]); err != nil {
			return page.Of[Score]{}, err
		}
	}
	return page.Cut(all, req.Limit, func(s Score) page.Key { return page.Key{s.ScoredAt.Format(time.RFC3339Nano)} },
		func(s Score) Score { return s }), nil
}

// scored is a page of a run's scores, the highest value first.
func scored(ctx context.Context, q postgres.Querier, tenantID int32, runNo int64, req page.Request) (page.Of[Scored], error) {
	sql, args := fmt.Sprintf(`SELECT customer_id, value, band, label FROM scores WHERE tenant_id = ? AND run_no = %d`, runNo), []any{tenantID}
	if req.After != nil {
		if len(req.After) != 2 {
			return page.Of[Scored]{}, page.ErrCursor
		}
		value, err := strconv.ParseFloat(req.After[0], 64)
		if err != nil {
			return page.Of[Scored]{}, page.ErrCursor
		}
		sql, args = sql+` AND (value, customer_id) < (?, ?)`, append(args, value, req.After[1])
	}
	var rows []Scored
	err := q.Session(ctx).Raw(sql+` ORDER BY value DESC, customer_id DESC LIMIT ?`, append(args, req.Limit+1)...).Scan(&rows).Error
	if err != nil {
		return page.Of[Scored]{}, fmt.Errorf("list the scores of run number %d: %w", runNo, err)
	}
	return page.Cut(rows, req.Limit, func(s Scored) page.Key {
		// The shortest text that reads back as the very same number.
		return page.Key{strconv.FormatFloat(s.Value, 'g', -1, 64), s.CustomerID.String()}
	}, func(s Scored) Scored { return s }), nil
}
