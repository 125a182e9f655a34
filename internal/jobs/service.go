package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	beat       = 2 * time.Second  // how often a worker says that it is alive
	forsaken   = 10 * time.Second // silence after which another worker takes over
	attempts   = 5                // tries of a job that fails for no fault of the caller
	concurrent = 2                // jobs at once in one process: they are heavy
	takes      = 50               // times that a job is begun, restarts included, before it counts as one that kills its worker
)

// Service starts, runs and shows jobs.
type Service struct {
	db       *postgres.DB
	tenants  *tenant.Service
	log      *slog.Logger
	now      func() time.Time
	queue    *river.Client[pgx.Tx] // inserts; works only after Start
	handlers map[string]Handler
}

// args is all that the queue keeps: everything else is in the job's row.
type args struct {
	TenantID int32     `json:"tenant_id"`
	JobID    uuid.UUID `json:"job_id"`
}

// Kind names the queue's one kind of work.
func (args) Kind() string { return "kezi_job" }

// NewService makes the job service. Handlers are added by Handle before Work.
func NewService(db *postgres.DB, tenants *tenant.Service, log *slog.Logger, now func() time.Time) (*Service, error) {
	log = slog.New(quiet{log.Handler()})
	queue, err := river.NewClient(riverpgxv5.New(db.Pool()), &river.Config{Logger: log})
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return &Service{db: db, tenants: tenants, log: log, now: now, queue: queue, handlers: map[string]Handler{}}, nil
}

// quiet leaves away what River says of its ordinary work, a line every few seconds.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

// Handle registers what does jobs of one kind.
func (s *Service) Handle(kind string, h Handler) { s.handlers[kind] = h }

// Start adds a job in the caller's transaction.
func (s *Service) Start(ctx context.Context, tx postgres.Tx, call tenant.Call, spec Spec) (Job, error) {
	j := Job{ID: uuid.Must(uuid.NewV7()), Kind: spec.Kind, Status: Queued, SubjectType: spec.SubjectType,
		SubjectID: spec.SubjectID, Counts: map[string]int64{}, Actor: call.Actor, ChangeSet: call.ChangeSet, Version: 1,
		CreatedAt: s.now()}
	if err := insert(ctx, tx, call.Tenant.ID, j); err != nil {
		return Job{}, err
	}
	if _, err := s.queue.InsertTx(ctx, tx.Pgx(), args{call.Tenant.ID, j.ID}, &river.InsertOpts{MaxAttempts: attempts}); err != nil {
		return Job{}, fmt.Errorf("queue job %s: %w", j.ID, err)
	}
	return j, nil
}

// Get is one job, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Job, error) {
	return get(ctx, s.db, t.ID, id)
}

// List is a page of jobs, newest first.
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Job], error) {
	return list(ctx, s.db, t.ID, q)
}

// Cancel asks a job to stop. A queued one ends at once, a running one at its next step.
func (s *Service) Cancel(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Job, error) {
	if err := cancel(ctx, s.db, t.ID, id, s.now()); err != nil {
		return Job{}, err
	}
	return get(ctx, s.db, t.ID, id)
}

// Work runs jobs until ctx ends; then it stops the running ones at their next statement and gives them back.
func (s *Service) Work(ctx context.Context) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{service: s})
	client, err := river.NewClient(riverpgxv5.New(s.db.Pool()), &river.Config{
		Logger:     s.log,
		Workers:    workers,
		Queues:     map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrent}},
		JobTimeout: -1, // the heartbeat tells a slow job from a dead one
	})
	if err != nil {
		return fmt.Errorf("open the job queue: %w", err)
	}
	ctx = postgres.ForAllTenants(ctx)
	// River is stopped below, with time to give back what runs.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	s.rescue(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := client.StopAndCancel(stop); err != nil {
		return fmt.Errorf("stop the workers: %w", err)
	}
	return nil
}

// rescue queues again, until ctx ends, the jobs whose worker died.
func (s *Service) rescue(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		dead, err := orphans(ctx, s.db, s.now().Add(-forsaken))
		if err != nil && ctx.Err() == nil {
			s.log.Error("abandoned jobs are not looked for", "error", err)
		}
		for _, d := range dead {
			// At most one a while: other processes look for the same jobs.
			_, err := s.queue.Insert(ctx, args{d.TenantID, d.ID}, &river.InsertOpts{MaxAttempts: attempts,
				UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: forsaken}})
			if err != nil && ctx.Err() == nil {
				s.log.Error("an abandoned job is not queued again", "job", d.ID, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// worker does what the queue hands out.
type worker struct {
	river.WorkerDefaults[args]
	service *Service
}

// Work runs one attempt.
func (w *worker) Work(ctx context.Context, r *river.Job[args]) error {
	s := w.service
	ctx = postgres.WithTenant(ctx, r.Args.TenantID)
	t, err := s.tenants.ByID(ctx, r.Args.TenantID)
	if err != nil {
		return err
	}
	now := s.now()
	job, mine, err := take(ctx, s.db, t.ID, r.Args.JobID, now, now.Add(-forsaken))
	if err != nil || !mine {
		return err
	}
	log := s.log.With("job", job.ID, "kind", job.Kind, "attempt", job.Attempt)
	run := &Run{Job: job, service: s, Call: tenant.Call{Tenant: t, Actor: job.Actor, RequestID: "job-" + job.ID.String(),
		ChangeSet: job.ChangeSet}}
	if job.Attempt > takes {
		err = errKills
	} else {
		err = s.attempt(ctx, run)
	}
	ended := s.now()
	run.Job.FinishedAt = &ended
	// The end must be written even when the process is stopping.
	after := context.WithoutCancel(ctx)
	switch f := fault.Of(err); {
	case err == nil:
		run.Job.Status = Succeeded
	case errors.Is(err, errLost):
		run.Job.Status = Cancelled
	case f != nil:
		run.Job.Status, run.Job.ErrorCode, run.Job.ErrorDetail = Failed, f.Code, f.Message.En
	case ctx.Err() != nil || r.Attempt < r.MaxAttempts:
		if err := requeue(after, s.db, t.ID, run.Job); err != nil {
			log.Error("the job could not be given back", "error", err)
		}
		if ctx.Err() != nil {
			log.Info("the process stops; the job goes on in another one")
			return river.JobSnooze(time.Second) // not an attempt: any number of restarts must not use up the job
		}
		log.Warn("the job is tried again", "error", err)
		return err
	default:
		log.Error("the job failed", "error", err)
		run.Job.Status, run.Job.ErrorCode = Failed, "internal"
		run.Job.ErrorDetail = "something went wrong inside; the log knows more"
	}
	return finish(after, s.db, t.ID, run.Job)
}

// attempt runs the handler under a heartbeat; when the job is cancelled or lost the handler's context ends.
func (s *Service) attempt(ctx context.Context, run *Run) error {
	h, ok := s.handlers[run.Job.Kind]
	if !ok {
		return fmt.Errorf("no handler for jobs of kind %s", run.Job.Kind)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := heartbeat(ctx, s.db, run.Call.Tenant.ID, run.Job, s.now()); errors.Is(err, errLost) {
					stop(errLost)
					return
				}
			}
		}
	})
	err := recovered(ctx, run, h)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errLost) {
		err = errLost
	}
	stop(nil)
	beating.Wait()
	return err
}

// recovered makes a panic an error: the job is then tried again and ends, instead of staying as running.
func recovered(ctx context.Context, run *Run, h Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, run)
}

// Step tells callers how far the job is, in the transaction of the step's own work. It fails when the job was
// cancelled or taken over, which rolls the step back: no two workers do the same step.
func (r *Run) Step(ctx context.Context, q postgres.Querier, progressed float64, counts map[string]int64) error {
	j := r.Job
	j.Progress, j.Counts = min(max(progressed, 0), 1), counts
	return progress(ctx, q, r.Call.Tenant.ID, j, r.service.now())
}

// Sweep removes, or otherwise brings to an end, what a job is about: chunk after chunk, each in a transaction of its own,
// until one finds nothing more. chunk answers how much it did; the job counts that as removed.
func (r *Run) Sweep(ctx context.Context, chunk func(tx postgres.Tx) (int64, error)) error {
	removed := r.Counts()["removed"]
	for more := true; more; {
		var n int64
		err := r.service.db.InTx(ctx, func(tx postgres.Tx) error {
			var err error
			if n, err = chunk(tx); err != nil {
				return err
			}
			return r.Step(ctx, tx, 0, map[string]int64{"removed": removed + n})
		})
		if err != nil {
			return err
		}
		more, removed = n > 0, removed+n
	}
	return nil
}

// Counts is what earlier attempts had counted.
func (r *Run) Counts() map[string]int64 { return maps.Clone(r.Job.Counts) }
