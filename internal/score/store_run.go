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

// superseded are the runs of locked models, but for the newest kept ones of each and the one in force, that have scores; archived,
// those of them whose history is kept. With kept 0 they are all. The order is that of all who drop, so that two of them can't wait
// for each other.
func superseded(ctx context.Context, tx postgres.Tx, tenantID int32, models []uuid.UUID, kept int, archived bool) ([]int64, error) {
	rows, err := tx.Query(ctx, `SELECT run_no FROM (SELECT r.run_no, r.archived_at, m.current_run, row_number() OVER (PARTITION BY r.model_id ORDER BY r.run_no DESC) AS age
			FROM score_runs r JOIN score_models m ON m.tenant_id = r.tenant_id AND m.id = r.model_id
			WHERE r.tenant_id = $1 AND r.model_id = ANY($2) AND r.status = 'succeeded' AND r.dropped_at IS NULL) r
		WHERE $3 = 0 OR (age > $3 AND run_no IS DISTINCT FROM current_run AND (archived_at IS NOT NULL) = $4) ORDER BY run_no`, tenantID, models, kept, archived)
	if err != nil {
		return nil, fmt.Errorf("look for superseded scores: %w", err)
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for superseded scores: %w", err)
	}
	return old, nil
}

// dropScores drops the scores of locked models' runs, but for the newest kept ones of each, the one in force, and what is not
// archived; with kept 0 all of them.
func dropScores(ctx context.Context, tx postgres.Tx, tenantID int32, models []uuid.UUID, kept int, now time.Time) error {
	old, err := superseded(ctx, tx, tenantID, models, kept, true)
	if err != nil || len(old) == 0 {
		return err
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
		if err := drop(ctx, tx, no); err != nil {
			return err
		}
	}
	return nil
}

// archive copies into the history what is worth keeping of a locked model's runs that were in force, but for the newest kept ones and
// the one in force: their partitions can be dropped. Every night moves nearly every value a little, so of the runs of a week the last is kept whole, as is the last by a
// model's parameters before they changed (both but for scores equal to those before), and of the others what customers' own writes have moved since the run came into force, and whoever
// stands in another band, or under another label, in the run that followed. Scores that gave way to such writes are in the
// history already.
func archive(ctx context.Context, tx postgres.Tx, tenantID int32, model uuid.UUID, kept int, now time.Time) error {
	runs, err := superseded(ctx, tx, tenantID, []uuid.UUID{model}, kept, false)
	if err != nil || len(runs) == 0 {
		return err
	}
	for _, no := range runs {
		inForce, next, err := followed(ctx, tx, tenantID, model, no)
		if err != nil {
			return err
		}
		if inForce == nil {
			continue
		}
		changed, known, err := moved(ctx, tx, tenantID, no, next)
		if err != nil {
			return err
		}
		before, worth := ``, `(s.scored_at > $3 OR s.customer_id IN (SELECT unnest($4::uuid[])))`
		if !known {
			before = `LEFT JOIN LATERAL (SELECT h.value, h.band, h.label FROM score_history h WHERE h.tenant_id = s.tenant_id
				AND h.customer_id = s.customer_id AND h.model_id = $2 AND h.scored_at < s.scored_at ORDER BY h.scored_at DESC LIMIT 1) b ON true`
			worth = `(s.value, s.band, s.label) IS DISTINCT FROM (b.value, b.band, b.label) AND $3::timestamptz IS NOT NULL AND $4::uuid[] IS NULL`
		}
		// With the number in its text, the statement is planned for the partition that it names.
		_, err = tx.Exec(ctx, fmt.Sprintf(`INSERT INTO score_history (tenant_id, customer_id, model_id, scored_at, run_no, as_of, value, band, label, inputs)
			SELECT s.tenant_id, s.customer_id, $2, s.scored_at, s.run_no, s.as_of, s.value, s.band, s.label, s.inputs
			FROM (SELECT s.* FROM scores s `+before+` WHERE s.tenant_id = $1 AND s.run_no = %d AND `+worth+` OFFSET 0) s
				CROSS JOIN LATERAL (SELECT FROM customers c WHERE c.tenant_id = s.tenant_id AND c.id = s.customer_id LIMIT 1) c
			ON CONFLICT ON CONSTRAINT score_history_pkey DO NOTHING`, no), tenantID, model, *inForce, changed)
		if err != nil {
			return fmt.Errorf("archive the scores of run number %d: %w", no, err)
		}
	}
	_, err = tx.Exec(ctx, `UPDATE score_runs SET archived_at = $3 WHERE tenant_id = $1 AND run_no = ANY($2)`, tenantID, runs, now)
	if err != nil {
		return fmt.Errorf("note archived scores: %w", err)
	}
	return nil
}

// followed is when a run came into force, nil for never, and the run that came into force next and whose scores are kept, if it
// did so in the same week, is of the same week and by the same parameters; otherwise 0.
func followed(ctx context.Context, q postgres.Querier, tenantID int32, model uuid.UUID, no int64) (inForce *time.Time, next int64, err error) {
	err = q.QueryRow(ctx, `SELECT r.in_force_at, coalesce((SELECT n.run_no FROM (SELECT x.* FROM score_runs x WHERE x.tenant_id = r.tenant_id AND x.model_id = r.model_id
					AND x.in_force_at > r.in_force_at AND x.dropped_at IS NULL ORDER BY x.in_force_at LIMIT 1) n
				WHERE n.revision = r.revision AND date_trunc('week', n.as_of) = date_trunc('week', r.as_of)
					AND date_trunc('week', n.in_force_at AT TIME ZONE t.time_zone) = date_trunc('week', r.in_force_at AT TIME ZONE t.time_zone)), 0)
		FROM score_runs r JOIN tenants t ON t.id = r.tenant_id WHERE r.tenant_id = $1 AND r.model_id = $2 AND r.run_no = $3`, tenantID, model, no).Scan(&inForce, &next)
	if err != nil {
		return nil, 0, fmt.Errorf("look for the run that followed number %d: %w", no, err)
	}
	return inForce, next, nil
}

// drop removes the partition of a run.
func drop(ctx context.Context, tx postgres.Tx, no int64) error {
	if _, err := tx.Exec(ctx, `SELECT kezi_score_drop($1)`, no); err != nil {
		return fmt.Errorf("drop the scores of run number %d: %w", no, err)
	}
	return nil
}
