package score

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// force is a run in force and what its scores share.
type force struct {
	summary  Summary // without what is the customer's own
	currency string
	revision int
	run      uuid.UUID
	params   Params
}

// inForce are the tenant's runs in force by their number, and the numbers in order of model keys. Scores are read by
// these numbers in a second statement and not in a join: given as values, they let the database plan for the few
// partitions that they name instead of for all there are.
func inForce(ctx context.Context, q postgres.Querier, tenantID int32) (map[int64]force, []int64, error) {
	rows, err := q.Query(ctx, `SELECT r.run_no, m.key, r.kind, r.as_of, r.calibration->'units'->>'money', r.revision, r.id, r.params
		FROM score_models m JOIN score_runs r ON r.tenant_id = m.tenant_id AND r.run_no = m.current_run
		WHERE m.tenant_id = $1 ORDER BY m.key`, tenantID)
	if err != nil {
		return nil, nil, fmt.Errorf("read the runs in force: %w", err)
	}
	defer rows.Close()
	all, numbers := map[int64]force{}, []int64{}
	for rows.Next() {
		var f force
		var no int64
		var asOf time.Time
		var params []byte
		if err := rows.Scan(&no, &f.summary.Key, &f.summary.Kind, &asOf, &f.currency, &f.revision, &f.run, &params); err != nil {
			return nil, nil, fmt.Errorf("read the runs in force: %w", err)
		}
		if f.params, err = readParams(params); err != nil {
			return nil, nil, err
		}
		f.summary.AsOf, f.summary.Unit = tenant.Day{Time: asOf}, unit(f.summary.Kind, f.currency)
		all[no], numbers = f, append(numbers, no)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the runs in force: %w", err)
	}
	return all, numbers, nil
}

// Summaries are the scores in force of many customers by model key, read in two statements whatever their number. A
// customer without any is not in the answer.
func Summaries(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) (map[uuid.UUID][]Summary, error) {
	all := map[uuid.UUID][]Summary{}
	if len(customers) == 0 {
		return all, nil
	}
	runs, numbers, err := inForce(ctx, q, tenantID)
	if err != nil || len(runs) == 0 {
		return all, err
	}
	rows, err := q.Query(ctx, `SELECT run_no, customer_id, value, band, label FROM scores
		WHERE tenant_id = $1 AND run_no = ANY($2) AND customer_id = ANY($3)
		ORDER BY array_position($2::bigint[], run_no)`, tenantID, numbers, customers)
	if err != nil {
		return nil, fmt.Errorf("read the scores of %d customers: %w", len(customers), err)
	}
	defer rows.Close()
	for rows.Next() {
		var no int64
		var id uuid.UUID
		var own Summary
		if err := rows.Scan(&no, &id, &own.Value, &own.Band, &own.Label); err != nil {
			return nil, fmt.Errorf("read scores: %w", err)
		}
		s := runs[no].summary
		s.Value, s.Band, s.Label = own.Value, own.Band, own.Label
		all[id] = append(all[id], s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read scores: %w", err)
	}
	return all, nil
}

// explained are the scores in force of one customer by model key.
func explained(ctx context.Context, q postgres.Querier, tenantID int32, customer uuid.UUID) ([]Score, error) {
	all := []Score{}
	runs, numbers, err := inForce(ctx, q, tenantID)
	if err != nil || len(runs) == 0 {
		return all, err
	}
	rows, err := q.Query(ctx, `SELECT run_no, value, band, label, inputs FROM scores
		WHERE tenant_id = $1 AND run_no = ANY($2) AND customer_id = $3
		ORDER BY array_position($2::bigint[], run_no)`, tenantID, numbers, customer)
	if err != nil {
		return nil, fmt.Errorf("read the scores of customer %s: %w", customer, err)
	}
	defer rows.Close()
	for rows.Next() {
		var no int64
		var own Summary
		var inputs []float64
		if err := rows.Scan(&no, &own.Value, &own.Band, &own.Label, &inputs); err != nil {
			return nil, fmt.Errorf("read scores: %w", err)
		}
		of := runs[no]
		s := Score{Summary: of.summary, Revision: of.revision, RunID: of.run}
		s.Value, s.Band, s.Label = own.Value, own.Band, own.Label
		if s.Inputs, s.Explanation, err = explain(s.Kind, of.params, of.currency, s.Label, inputs); err != nil {
			return nil, fmt.Errorf("explain score %s of customer %s: %w", s.Key, customer, err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read scores: %w", err)
	}
	return all, nil
}

// scored is a page of a run's scores, the highest value first.
func scored(ctx context.Context, q postgres.Querier, tenantID int32, runNo int64, req page.Request) (page.Of[Scored], error) {
	sql, args := `SELECT customer_id, value, band, label FROM scores WHERE tenant_id = ? AND run_no = ?`, []any{tenantID, runNo}
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
