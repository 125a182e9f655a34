package attribute

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
)

// The job that follows a deletion.
const (
	removal = "field_removal"
	subject = "field_definition"
)

// chunk is how many customers one transaction changes.
const chunk = 10_000

// remove takes the values of a deleted field out of all rows and then lets go of its key.
func (s *Service) remove(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted field: %w", err)
	}
	tenantID := run.Call.Tenant.ID
	d, err := buried(ctx, s.db, tenantID, id)
	if errors.Is(err, ErrNotFound) {
		return nil // the attempt before died before it could say that it was done
	}
	if err != nil {
		return err
	}
	counts := map[string]int64{"customers": run.Counts()["customers"]}
	after := uuid.Nil
	for done := false; !done; {
		var ids []uuid.UUID
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			var err error
			if ids, err = strip(ctx, tx, tenantID, d, after, chunk, s.now()); err != nil {
				return err
			}
			if len(ids) == 0 {
				return remove(ctx, tx, tenantID, id)
			}
			if err := event.Touched(ctx, tx, run.Call, ids); err != nil {
				return err
			}
			return run.Step(ctx, tx, 0, map[string]int64{"customers": counts["customers"] + int64(len(ids))})
		})
		if err != nil {
			return err
		}
		if done = len(ids) == 0; !done {
			after = ids[len(ids)-1]
			counts["customers"] += int64(len(ids))
		}
	}
	return nil
}
