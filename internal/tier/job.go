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

	// chunk is how many customers one transaction changes.
	chunk = 10_000
)

// remove takes away what a deleted scheme left: placements, and the history.
func (s *Service) remove(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted scheme: %w", err)
	}
	removed := run.Counts()["removed"]
	for done := false; !done; {
		var n int64
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			touched, err := unplace(ctx, tx, run.Call.Tenant.ID, id, chunk)
			if err != nil {
				return err
			}
			lines, err := forget(ctx, tx, run.Call.Tenant.ID, id, chunk)
			if err != nil {
				return err
			}
			n, done = int64(len(touched)), len(touched) < chunk && lines < chunk
			if err := event.Touched(ctx, tx, run.Call, touched); err != nil {
				return err
			}
			return run.Step(ctx, tx, 0, map[string]int64{"removed": removed + n})
		})
		if err != nil {
			return err
		}
		removed += n
	}
	return nil
}
