package tier

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
)

const (
	removal = "tier_removal"
	subject = "tier_scheme"

	// deleted is the event of a deletion; what the job of one takes away is a part of it.
	deleted = "tier_scheme.deleted"

	// chunk is how many customers one transaction changes.
	chunk = 10_000
)

// remove takes away what a deleted scheme left: placements, and the history.
func (s *Service) remove(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted scheme: %w", err)
	}
	return run.Sweep(ctx, func(tx postgres.Tx) (int64, error) {
		touched, err := unplace(ctx, tx, run.Call.Tenant.ID, id, chunk)
		if err != nil {
			return 0, err
		}
		lines, err := forget(ctx, tx, run.Call.Tenant.ID, id, chunk)
		if err != nil {
			return 0, err
		}
		event.Within(ctx, tx, run.Call, deleted)
		return int64(len(touched)) + lines, event.Touched(ctx, tx, run.Call, touched)
	})
}
