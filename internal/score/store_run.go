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

// superseded are the runs of models that have scores, but for the newest kept ones of each and the one in force.
const superseded = `SELECT r.* FROM (SELECT r.*, m.current_run, row_number() OVER (PARTITION BY r.model_id ORDER BY r.run_no DESC) AS age
		FROM score_runs r JOIN score_models m ON m.tenant_id = r.tenant_id AND m.id = r.model_id
		WHERE r.tenant_id = $1 AND r.model_id = ANY($2) AND r.status = 'succeeded' AND r.dropped_at IS NULL) r
	WHERE ($3 = 0 OR (r.age > $3 AND r.run_no IS DISTINCT FROM r.current_run))`

// last is a condition that no run of the same model, and the same of something else, came into force after run r.
const last = `NOT EXISTS (SELECT FROM score_runs n WHERE n.tenant_id = r.tenant_id AND n.model_id = r.model_id AND n.in_force_at > r.in_force_at AND `

// dropScores drops the scores of locked models' runs, but for the newest kept ones of each, the one in force, and what is not
// archived; with kept 0 all of them. Runs that were in force last in a week or by a model's parameters stay for a time, and the last
// of each month for longer: every day moves nearly every value, and they are a history of it that costs nothing to make. It waits no longer than
// that for the moment in which nobody reads any score: to drop a partition the database locks the whole table, and whoever comes
// after waits behind the one who waits.
func dropScores(ctx context.Context, tx postgres.Tx, tenantID int32, models []uuid.UUID, kept int, now time.Time, wait time.Duration) error {
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
	if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprintf("%dms", wait.Milliseconds())); err != nil {
		return fmt.Errorf("limit the wait for a lock: %w", err)
	}
	for _, no := range old { // the first one locks the table for all
		if err := drop(ctx, tx, no); err != nil {
			return err
		}
	}
	return nil
}

// past is a run that is not in force, as it stood when somebody looked.
type past struct {
	no, next int64      // next is the one that came into force after it, 0 for none that has scores
	inForce  *time.Time // since when it was, the last time
}

// unarchived are the superseded runs of a model from which nothing has been archived since they were last in force.
func unarchived(ctx context.Context, q postgres.Querier, tenantID int32, model uuid.UUID, kept int) ([]past, error) {
	rows, err := q.Query(ctx, `SELECT r.run_no, r.in_force_at, coalesce((SELECT n.run_no FROM score_runs n WHERE n.tenant_id = r.tenant_id
				AND n.model_id = r.model_id AND n.in_force_at > r.in_force_at AND n.dropped_at IS NULL ORDER BY n.in_force_at LIMIT 1), 0)
			FROM (`+superseded+`) r WHERE r.archived_at IS NULL ORDER BY 1`, tenantID, []uuid.UUID{model}, kept)
	if err != nil {
		return nil, fmt.Errorf("look for superseded scores: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r past, err error) { return r, row.Scan(&r.no, &r.inForce, &r.next) })
	if err != nil {
		return nil, fmt.Errorf("look for superseded scores: %w", err)
	}
	return all, nil
}

// archive copies into the history what is worth keeping of a model's runs, but for the newest kept ones and the one in force, before
// their partitions are dropped: what customers' own writes have moved since a run was loaded, and whoever stands in another band, or
// under another label, in the run that followed. Scores that gave way to such writes are in the history already. It holds nothing
// while it copies: what it has copied twice is there once, and a run that came into force meanwhile is not taken for archived.
func archive(ctx context.Context, db *postgres.DB, tenantID int32, model uuid.UUID, kept int, now time.Time) error {
	runs, err := unarchived(ctx, db, tenantID, model, kept)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.inForce != nil {
			if err := copyChanged(ctx, db, tenantID, model, r); err != nil {
				return err
			}
		}
		_, err := db.Exec(ctx, `UPDATE score_runs SET archived_at = $3 WHERE tenant_id = $1 AND run_no = $2 AND in_force_at IS NOT DISTINCT FROM $4`,
			tenantID, r.no, now, r.inForce)
		if err != nil {
			return fmt.Errorf("note archived scores: %w", err)
		}
	}
	return nil
}

// copyChanged archives one run by parts, each of which keeps who wants to drop scores waiting only for its own time.
func copyChanged(ctx context.Context, db *postgres.DB, tenantID int32, model uuid.UUID, r past) error {
	differing, known, err := compare(ctx, db, tenantID, r.no, r.next)
	if err != nil {
		return err
	}
	if !known { // loaded before grades were kept
		return walk(ctx, db, tenantID, chunk, func(_ int, after, upTo uuid.UUID) error {
			return copyScores(ctx, db, tenantID, model, r.no, fmt.Sprintf(`(SELECT s.* FROM scores s WHERE s.tenant_id = $1 AND s.run_no = %d
				AND s.customer_id > $3 AND s.customer_id <= $4 AND (s.scored_at > $5 OR NOT EXISTS (SELECT FROM scores n WHERE n.tenant_id = $1
					AND n.run_no = %d AND n.customer_id = s.customer_id AND n.band = s.band AND n.label = s.label)) OFFSET 0)`, r.no, r.next), after, upTo, r.inForce)
		})
	}
	some := func(ids []uuid.UUID) error {
		return copyScores(ctx, db, tenantID, model, r.no, fmt.Sprintf(`unnest($3::uuid[]) i (id) CROSS JOIN LATERAL (SELECT s.* FROM scores s
			WHERE s.tenant_id = $1 AND s.run_no = %d AND s.customer_id = i.id LIMIT 1)`, r.no), ids)
	}
	for {
		ids, err := differing.next(ctx, chunk)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		if err := some(ids); err != nil {
			return err
		}
	}
	for after := uuid.Nil; ; {
		ids, err := rescored(ctx, db, tenantID, r.no, after, chunk)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := some(ids); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// copyScores copies into the history what a part of a statement finds in a run's scores. With the number in its text, the statement is
// planned for the partition that it names.
func copyScores(ctx context.Context, q postgres.Querier, tenantID int32, model uuid.UUID, no int64, found string, args ...any) error {
	_, err := q.Exec(ctx, `INSERT INTO score_history (tenant_id, customer_id, model_id, scored_at, run_no, as_of, value, band, label, inputs)
		SELECT s.tenant_id, s.customer_id, $2, s.scored_at, s.run_no, s.as_of, s.value, s.band, s.label, s.inputs FROM `+found+` s
			CROSS JOIN LATERAL (SELECT FROM customers c WHERE c.tenant_id = s.tenant_id AND c.id = s.customer_id LIMIT 1) c
		ON CONFLICT ON CONSTRAINT score_history_pkey DO NOTHING`, append([]any{tenantID, model}, args...)...)
	if err != nil {
		return fmt.Errorf("archive the scores of run number %d: %w", no, err)
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
