package score

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
)

// How long the history has every change by what happened to a customer and a run of each week, and how long one change a week and a
// run of each month; later it has one change a month.
const (
	wholeDays  = 35
	weeklyDays = 365
)

// thinned is in how many days all of the history is gone through: each night has its share of the customers.
const thinned = 28

// walk goes through all customers of a tenant by ranges of ids, each of up to size customers: after one id, up to another.
func walk(ctx context.Context, q postgres.Querier, tenantID int32, size int, visit func(n int, after, upTo uuid.UUID) error) error {
	after := uuid.Nil
	for n := 0; ; n++ {
		var upTo *uuid.UUID
		err := q.QueryRow(ctx, `SELECT (SELECT id FROM (SELECT id FROM customers WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) c
			ORDER BY id DESC LIMIT 1)`, tenantID, after, size).Scan(&upTo)
		if err != nil {
			return fmt.Errorf("walk through the customers: %w", err)
		}
		if upTo == nil {
			return nil
		}
		if err := visit(n, after, *upTo); err != nil {
			return err
		}
		after = *upTo
	}
}

// thin removes from the history of models what is older than it is kept for, of this day's share of the customers.
func (s *Service) thin(ctx context.Context, tenantID int32, models []uuid.UUID) error {
	now := s.now()
	today := int(now.Unix() / (24 * 60 * 60))
	return walk(ctx, s.db, tenantID, chunk, func(n int, after, upTo uuid.UUID) error {
		if n%thinned != today%thinned {
			return nil
		}
		return s.thinSome(ctx, tenantID, models, after, upTo, now)
	})
}

// thinSome thins the history of the customers after one id up to another.
func (s *Service) thinSome(ctx context.Context, tenantID int32, models []uuid.UUID, after, upTo uuid.UUID, now time.Time) error {
	_, err := s.db.Exec(ctx, `DELETE FROM score_history h USING (SELECT customer_id, model_id, scored_at, row_number() OVER (PARTITION BY customer_id, model_id,
				CASE WHEN scored_at < $6 THEN date_trunc('month', scored_at) ELSE date_trunc('week', scored_at) END ORDER BY scored_at DESC) AS n
			FROM score_history WHERE tenant_id = $1 AND model_id = ANY($2) AND customer_id > $3 AND customer_id <= $4 AND scored_at < $5) d
		WHERE h.tenant_id = $1 AND h.customer_id = d.customer_id AND h.model_id = d.model_id AND h.scored_at = d.scored_at AND d.n > 1`,
		tenantID, models, after, upTo, now.AddDate(0, 0, -wholeDays), now.AddDate(0, 0, -weeklyDays))
	if err != nil {
		return fmt.Errorf("thin the history of scores: %w", err)
	}
	return nil
}

// removal is the kind of the job that removes the history of a deleted model.
const removal = "score_removal"

// removedFrom is of how many customers one transaction removes the history, of which each may have some hundred lines.
const removedFrom = 2000

// remove takes away the history that a deleted model has left. An attempt that is broken off leaves whole ranges of customers;
// the next one finds nothing in those before.
func (s *Service) remove(ctx context.Context, run *jobs.Run) error {
	model, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted score model: %w", err)
	}
	tenantID, removed := run.Call.Tenant.ID, run.Counts()["removed"]
	return walk(ctx, s.db, tenantID, removedFrom, func(_ int, after, upTo uuid.UUID) error {
		var n int64
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			tag, err := tx.Exec(ctx, `DELETE FROM score_history WHERE tenant_id = $1 AND model_id = $2 AND customer_id > $3 AND customer_id <= $4`,
				tenantID, model, after, upTo)
			if err != nil {
				return fmt.Errorf("remove the history of score model %s: %w", model, err)
			}
			if n = tag.RowsAffected(); n == 0 {
				return nil
			}
			return run.Step(ctx, tx, 0, map[string]int64{"removed": removed + n})
		})
		removed += n
		return err
	})
}
