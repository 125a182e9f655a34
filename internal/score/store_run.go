package score

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// fifths are where bands begin.
var fifths = []float64{0.2, 0.4, 0.6, 0.8}

// lockWait bounds the wait for the moment in which nobody reads any score: to drop a partition the database locks the
// whole table, and whoever comes after waits behind the one who waits.
const lockWait = `SET LOCAL lock_timeout = '1s'`

// superseded are the runs of models that have scores, but for the newest kept ones of each and the one in force.
const superseded = `SELECT r.* FROM (SELECT r.*, m.current_run, row_number() OVER (PARTITION BY r.model_id ORDER BY r.run_no DESC) AS age
		FROM score_runs r JOIN score_models m ON m.tenant_id = r.tenant_id AND m.id = r.model_id
		WHERE r.tenant_id = $1 AND r.model_id = ANY($2) AND r.status = 'succeeded' AND r.dropped_at IS NULL) r
	WHERE ($3 = 0 OR (r.age > $3 AND r.run_no IS DISTINCT FROM r.current_run))`

// last is a condition that no run of the same model, and the same of something else, came into force after run r.
const last = `NOT EXISTS (SELECT FROM score_runs n WHERE n.tenant_id = r.tenant_id AND n.model_id = r.model_id AND n.in_force_at > r.in_force_at AND `

// dropScores drops the scores of locked models' runs, but for the newest kept ones of each, the one in force, and what is not
// archived; with kept 0 all of them. Runs that were in force last in a week or by a model's parameters stay for a time, and the last
// of each month for longer: every day moves nearly every value, and they are a history of it that costs nothing to make.
func dropScores(ctx context.Context, tx postgres.Tx, tenantID int32, models []uuid.UUID, kept int, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT r.run_no FROM (`+superseded+`) r
		WHERE $3 = 0 OR (r.archived_at IS NOT NULL AND NOT coalesce(
			r.in_force_at > $4 AND (`+last+`date_trunc('week', n.as_of) = date_trunc('week', r.as_of)) OR `+last+`n.revision = r.revision))
			OR r.in_force_at > $5 AND `+last+`date_trunc('month', n.as_of) = date_trunc('month', r.as_of)), false)) ORDER BY 1`,
		tenantID, models, kept, now.AddDate(0, 0, -wholeDays), now.AddDate(0, 0, -weeklyDays))
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
	for _, no := range old { // in the order of all who drop, so that two of them can't wait for each other
		if err := drop(ctx, tx, no); err != nil {
			return err
		}
	}
	return nil
}

// archive copies into the history what is worth keeping of a locked model's runs, but for the newest kept ones and the one in force,
// before their partitions are dropped: what customers' own writes have moved since the run came into force, and whoever stands in
// another band, or under another label, in the run that followed. Scores that gave way to such writes are in the history already.
func archive(ctx context.Context, tx postgres.Tx, tenantID int32, model uuid.UUID, kept int, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT r.run_no, r.in_force_at, coalesce((SELECT n.run_no FROM score_runs n WHERE n.tenant_id = r.tenant_id
				AND n.model_id = r.model_id AND n.in_force_at > r.in_force_at AND n.dropped_at IS NULL ORDER BY n.in_force_at LIMIT 1), 0)
			FROM (`+superseded+`) r WHERE r.archived_at IS NULL ORDER BY 1`, tenantID, []uuid.UUID{model}, kept)
	if err != nil {
		return fmt.Errorf("look for superseded scores: %w", err)
	}
	type old struct {
		No, Next int64
		InForce  *time.Time
	}
	runs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r old, err error) { return r, row.Scan(&r.No, &r.InForce, &r.Next) })
	if err != nil {
		return fmt.Errorf("look for superseded scores: %w", err)
	}
	for _, r := range runs {
		if r.InForce != nil {
			changed, known, err := moved(ctx, tx, tenantID, r.No, r.Next)
			if err != nil {
				return err
			}
			// With the number in its text, the statement is planned for the partition that it names. Of runs that were loaded before
			// their grades were kept everything is.
			_, err = tx.Exec(ctx, fmt.Sprintf(`INSERT INTO score_history (tenant_id, customer_id, model_id, scored_at, run_no, as_of, value, band, label, inputs)
				SELECT s.tenant_id, s.customer_id, $2, s.scored_at, s.run_no, s.as_of, s.value, s.band, s.label, s.inputs
				FROM (SELECT s.* FROM scores s WHERE s.tenant_id = $1 AND s.run_no = %d AND (NOT $3::boolean OR s.scored_at > $4
						OR s.customer_id = ANY($5::uuid[])) OFFSET 0) s
					CROSS JOIN LATERAL (SELECT FROM customers c WHERE c.tenant_id = s.tenant_id AND c.id = s.customer_id LIMIT 1) c
				ON CONFLICT ON CONSTRAINT score_history_pkey DO NOTHING`, r.No), tenantID, model, known, *r.InForce, changed)
			if err != nil {
				return fmt.Errorf("archive the scores of run number %d: %w", r.No, err)
			}
		}
		if _, err := tx.Exec(ctx, `UPDATE score_runs SET archived_at = $3 WHERE tenant_id = $1 AND run_no = $2`, tenantID, r.No, now); err != nil {
			return fmt.Errorf("note archived scores: %w", err)
		}
	}
	return nil
}

// drop removes the partition of a run.
func drop(ctx context.Context, tx postgres.Tx, no int64) error {
	if _, err := tx.Exec(ctx, `SELECT kezi_score_drop($1)`, no); err != nil {
		return fmt.Errorf("drop the scores of run number %d: %w", no, err)
	}
	return nil
}
