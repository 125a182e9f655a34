package segment

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	bulkJob    = "segment_bulk"
	removalJob = "segment_removal"

	// chunk is how many rows one transaction removes.
	chunk = bulk.Chunk
)

// Bulk is a change of a static segment's list.
type Bulk struct {
	bulk.Target
	Adding bool
	Reason string
}

// Pick changes the list of a static segment: at once for up to a chunk of customers, all or none, and otherwise by the job
// that it answers. Fails with ErrNotFound, ErrDynamic, ErrArchived, a fault of the condition or fault.ErrInvalid.
func (s *Service) Pick(ctx context.Context, call tenant.Call, key string, b Bulk) (bulk.Result, *jobs.Job, error) {
	if err := b.Check(); err != nil {
		return bulk.Result{}, nil, err
	}
	var result bulk.Result
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		result, job = bulk.Result{Missing: []uuid.UUID{}}, nil
		ids, more, err := b.First(ctx, tx, call.Tenant, s.now())
		if err != nil {
			return err
		}
		if !more {
			result, err = s.pick(ctx, tx, call, key, b, ids)
			return err
		}
		x, err := s.listed(ctx, tx, call.Tenant, key)
		if err != nil {
			return err
		}
		id := uuid.Must(uuid.NewV7())
		if err := insertBulk(ctx, tx, call.Tenant.ID, id, x.ID, b, s.now()); err != nil {
			return err
		}
		j, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: bulkJob, SubjectType: "segment_bulk", SubjectID: id.String()})
		job = &j
		return err
	})
	return result, job, err
}

// listed is a static segment in force, which nobody changes until the transaction ends.
func (s *Service) listed(ctx context.Context, tx postgres.Tx, t tenant.Tenant, key string) (Segment, error) {
	x, err := get(ctx, tx, t.ID, key, sharing)
	switch {
	case err != nil:
		return Segment{}, err
	case !x.Static():
		return Segment{}, ErrDynamic
	case x.ArchivedAt != nil:
		return Segment{}, ErrArchived
	}
	return x, nil
}

// pick changes the list for up to a chunk of customers. Who is in follows before the commit.
func (s *Service) pick(ctx context.Context, tx postgres.Tx, call tenant.Call, key string, b Bulk, ids []uuid.UUID) (bulk.Result, error) {
	found, err := customer.HoldAll(ctx, tx, call.Tenant.ID, ids)
	if err != nil {
		return bulk.Result{}, err
	}
	x, err := s.listed(ctx, tx, call.Tenant, key)
	if err != nil {
		return bulk.Result{}, err
	}
	changed, err := setPicks(ctx, tx, call, x.ID, b, found, s.now())
	if err != nil {
		return bulk.Result{}, err
	}
	r := bulk.Outcome(ids, found, changed)
	if len(changed) == 0 {
		return r, nil
	}
	if err := event.Touched(ctx, tx, call, changed); err != nil {
		return bulk.Result{}, err
	}
	what := "segment.unlisted"
	if b.Adding {
		what = "segment.listed"
	}
	return r, event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: key, Changed: []string{"list"}})
}

// bulkWork changes a list for more customers than one transaction may change.
func (s *Service) bulkWork(ctx context.Context, run *jobs.Run) error {
	if run.Job.Progress >= 1 {
		return nil
	}
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the bulk of job %s: %w", run.Job.ID, err)
	}
	b, key, err := getBulk(ctx, s.db, run.Call.Tenant.ID, id)
	if err != nil {
		return err
	}
	return bulk.Work(ctx, s.db, run, b.Target, s.now, func(ctx context.Context, tx postgres.Tx, ids []uuid.UUID) (bulk.Result, error) {
		return s.pick(ctx, tx, run.Call, key, b, ids)
	})
}

// removalWork removes what a deleted segment left behind. Its customers left it by the deletion; the log that told of them
// goes as well.
func (s *Service) removalWork(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted segment: %w", err)
	}
	return run.Sweep(ctx, func(tx postgres.Tx) (int64, error) { return sweep(ctx, tx, run.Call.Tenant.ID, id) })
}
