package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

type bench struct {
	db   *postgres.DB
	svc  *jobs.Service
	call tenant.Call
	ctx  context.Context
}

// setup has a database of its own: a worker takes every job that it finds.
func setup(t *testing.T) *bench {
	db := postgrestest.Fresh(t)
	of := postgrestest.Tenant(t, db)
	svc, err := jobs.NewService(db, tenant.NewService(db, time.Now), slog.New(slog.DiscardHandler), time.Now)
	require.NoError(t, err)
	return &bench{db: db, svc: svc, ctx: postgrestest.Context(t, of),
		call: tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}}
}

func (b *bench) work(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := b.svc.Work(ctx); err != nil {
			t.Errorf("work: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
}

func (b *bench) start(t *testing.T, kind string) jobs.Job {
	var j jobs.Job
	require.NoError(t, b.db.InTx(b.ctx, func(tx postgres.Tx) (err error) {
		j, err = b.svc.Start(b.ctx, tx, b.call, jobs.Spec{Kind: kind, SubjectType: "thing", SubjectID: "1"})
		return err
	}))
	return j
}

func (b *bench) ended(t *testing.T, id uuid.UUID) (j jobs.Job) {
	require.Eventually(t, func() bool {
		var err error
		j, err = b.svc.Get(b.ctx, b.call.Tenant, id)
		require.NoError(t, err)
		return j.Status.Ended()
	}, 40*time.Second, 10*time.Millisecond)
	return j
}

func TestJobs(t *testing.T) {
	t.Parallel()
	t.Run("ExistsExactlyWhenTheChangeDoes", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		boom := errors.New("boom")
		var id uuid.UUID
		require.ErrorIs(t, b.db.InTx(b.ctx, func(tx postgres.Tx) error {
			j, err := b.svc.Start(b.ctx, tx, b.call, jobs.Spec{Kind: "x"})
			require.NoError(t, err)
			id = j.ID
			return boom
		}), boom)
		_, err := b.svc.Get(b.ctx, b.call.Tenant, id)
		require.ErrorIs(t, err, jobs.ErrNotFound)
	})
	t.Run("StepsCountAndAFaultFailsIt", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.svc.Handle("good", func(ctx context.Context, run *jobs.Run) error {
			require.Equal(t, b.call.Tenant.ID, run.Call.Tenant.ID)
			return run.Step(ctx, b.db, 0.5, map[string]int64{"done": 7})
		})
		b.svc.Handle("bad", func(context.Context, *jobs.Run) error { return fault.ErrInvalid })
		b.work(t)
		good, bad := b.start(t, "good"), b.start(t, "bad")
		j := b.ended(t, good.ID)
		require.Equal(t, jobs.Succeeded, j.Status)
		require.InDelta(t, 1, j.Progress, 0)
		require.Equal(t, map[string]int64{"done": 7}, j.Counts)
		require.NotNil(t, j.FinishedAt)
		j = b.ended(t, bad.ID)
		require.Equal(t, jobs.Failed, j.Status)
		require.Equal(t, "invalid", j.ErrorCode)
	})
	t.Run("CancelEndsARunningOne", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		running := make(chan struct{})
		b.svc.Handle("long", func(ctx context.Context, run *jobs.Run) error {
			close(running)
			<-ctx.Done() // the heartbeat ends it
			return ctx.Err()
		})
		queued := b.start(t, "never")
		j, err := b.svc.Cancel(b.ctx, b.call.Tenant, queued.ID)
		require.NoError(t, err)
		require.Equal(t, jobs.Cancelled, j.Status)
		b.work(t)
		long := b.start(t, "long")
		<-running
		_, err = b.svc.Cancel(b.ctx, b.call.Tenant, long.ID)
		require.NoError(t, err)
		require.Equal(t, jobs.Cancelled, b.ended(t, long.ID).Status)
	})
	t.Run("AnotherWorkerTakesOverFromADeadOne", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var runs atomic.Int32
		b.svc.Handle("work", func(context.Context, *jobs.Run) error { runs.Add(1); return nil })
		j := b.start(t, "work")
		// A worker that took the job and died: the queue's row is gone with it, the heartbeat is old.
		_, err := b.db.Exec(b.ctx, `UPDATE jobs SET status = 'running', attempt = 1, heartbeat_at = now() - interval '1 minute'
			WHERE tenant_id = $1 AND id = $2`, b.call.Tenant.ID, j.ID)
		require.NoError(t, err)
		_, err = b.db.Exec(b.ctx, `DELETE FROM river_job`)
		require.NoError(t, err)
		b.work(t)
		done := b.ended(t, j.ID)
		require.Equal(t, jobs.Succeeded, done.Status)
		require.Equal(t, 2, done.Attempt)
		require.EqualValues(t, 1, runs.Load())
	})
	t.Run("OneThatKillsItsWorkersEnds", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.svc.Handle("deadly", func(context.Context, *jobs.Run) error { t.Error("begun once more"); return nil })
		j := b.start(t, "deadly")
		_, err := b.db.Exec(b.ctx, `UPDATE jobs SET attempt = 50 WHERE tenant_id = $1 AND id = $2`, b.call.Tenant.ID, j.ID)
		require.NoError(t, err)
		b.work(t)
		done := b.ended(t, j.ID)
		require.Equal(t, jobs.Failed, done.Status)
		require.Equal(t, "job_never_ends", done.ErrorCode)
	})
	t.Run("APanicIsAnError", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var runs atomic.Int32
		b.svc.Handle("panics", func(context.Context, *jobs.Run) error {
			if runs.Add(1) == 1 {
				panic("once")
			}
			return nil
		})
		b.work(t)
		require.Equal(t, jobs.Succeeded, b.ended(t, b.start(t, "panics").ID).Status)
	})
	t.Run("AnErrorIsTriedAgain", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var runs atomic.Int32
		b.svc.Handle("flaky", func(context.Context, *jobs.Run) error {
			if runs.Add(1) == 1 {
				return errors.New("not this time")
			}
			return nil
		})
		b.work(t)
		require.Equal(t, jobs.Succeeded, b.ended(t, b.start(t, "flaky").ID).Status)
		require.EqualValues(t, 2, runs.Load())
	})
}
