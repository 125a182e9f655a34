package tag

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	bulkJob    = "tag_bulk"
	removalJob = "tag_removal"
)

// Many is what a bulk request does with a tag: puts it on customers or takes it off.
type Many struct {
	bulk.Target
	Adding     bool
	Reason     string
	mergedFrom uuid.UUID // the tag whose customers they are, in place of a target; uuid.Nil for none
}

// Bulk puts a tag on customers or takes it off: at once for up to a chunk of them, all or none, and otherwise by the job that
// it answers. Who carries it by hand already keeps reason and expiry; who carries it by rule keeps it from now on. In an
// exclusive group it takes their other tags off. Taking an automatic tag off suppresses it. tried tells what would be done
// without doing it, for any number. Fails with ErrNotFound, ErrArchived, a fault of the condition or fault.ErrInvalid.
func (s *Service) Bulk(ctx context.Context, call tenant.Call, id uuid.UUID, m Many, tried bool) (bulk.Result, *jobs.Job, error) {
	if err := m.Check(); err != nil {
		return bulk.Result{}, nil, err
	}
	var result bulk.Result
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		result, job = bulk.Result{}, nil
		ids, more, err := m.First(ctx, tx, call.Tenant, s.now())
		if err != nil {
			return err
		}
		if !more {
			result, err = s.apply(ctx, tx, call, id, m, ids)
			return err
		}
		if m.Adding {
			_, err = shareUsable(ctx, tx, call.Tenant.ID, id)
		} else {
			_, err = share(ctx, tx, call.Tenant.ID, id)
		}
		if err != nil {
			return err
		}
		if tried {
			result, err = foresee(ctx, tx, call.Tenant, id, m, s.now())
			return err
		}
		job, err = s.start(ctx, tx, call, id, m)
		return err
	})
	return result, job, err
}

func (s *Service) start(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID, m Many) (*jobs.Job, error) {
	work := uuid.Must(uuid.NewV7())
	if err := insertBulk(ctx, tx, call.Tenant.ID, work, id, m, s.now()); err != nil {
		return nil, err
	}
	job, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: bulkJob, SubjectType: "tag_bulk", SubjectID: work.String()})
	return &job, err
}

// bulkWork does what Bulk and Merge leave to a job.
func (s *Service) bulkWork(ctx context.Context, run *jobs.Run) error {
	if run.Job.Progress >= 1 {
		return nil
	}
	work, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the bulk of job %s: %w", run.Job.ID, err)
	}
	m, id, err := getBulk(ctx, s.db, run.Call.Tenant.ID, work)
	if err != nil {
		return err
	}
	if m.mergedFrom != uuid.Nil {
		return s.mergeWork(ctx, run, m.mergedFrom, id)
	}
	return bulk.Work(ctx, s.db, run, m.Target, s.now, func(ctx context.Context, tx postgres.Tx, ids []uuid.UUID) (bulk.Result, error) {
		return s.apply(ctx, tx, run.Call, id, m, ids)
	})
}

// apply locks up to a chunk of customers and the tag, changes them, and writes one event for those that it changed: of the tag,
// with the names of all tags that were put on or taken off.
func (s *Service) apply(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID, m Many, ids []uuid.UUID) (bulk.Result, error) {
	found, err := customer.HoldAll(ctx, tx, call.Tenant.ID, ids)
	if err != nil {
		return bulk.Result{}, err
	}
	now, what := s.now(), "customers.untagged"
	var changed []uuid.UUID
	var names []string
	if m.Adding {
		what = "customers.tagged"
		l, err := shareUsable(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return bulk.Result{}, err
		}
		if _, _, err := lapse(ctx, tx, call, found, &id, now); err != nil {
			return bulk.Result{}, err
		}
		if changed, err = putOn(ctx, tx, call, id, found, m.Reason, now); err != nil {
			return bulk.Result{}, err
		}
		if names, err = s.displaced(ctx, tx, call, id, l, changed); err != nil {
			return bulk.Result{}, err
		}
	} else {
		l, err := share(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return bulk.Result{}, err
		}
		if changed, err = unputFrom(ctx, tx, call, id, found, m.Reason, l.Automatic, now); err != nil {
			return bulk.Result{}, err
		}
		names = []string{"tags." + l.Key}
	}
	r := bulk.Outcome(ids, found, changed)
	if len(changed) == 0 {
		return r, nil
	}
	if err := event.Touched(ctx, tx, call, changed); err != nil {
		return bulk.Result{}, err
	}
	return r, event.Record(ctx, tx, call, now, event.Event{Type: what, SubjectType: subject, SubjectID: id.String(), Changed: names})
}

// displaced takes the other tags of an exclusive group off customers who have just got one, and answers the names of all that
// changed, as events have them.
func (s *Service) displaced(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID, l label, customers []uuid.UUID) ([]string, error) {
	names := []string{"tags." + l.Key}
	if l.GroupID != nil && l.Exclusive {
		others, err := displace(ctx, tx, call, *l.GroupID, id, customers, s.now())
		if err != nil {
			return nil, err
		}
		for _, key := range others {
			names = append(names, "tags."+key)
		}
	}
	slices.Sort(names)
	return names, nil
}
