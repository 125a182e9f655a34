package tier

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// The jobs of a scheme.
const (
	evaluation = "tier_evaluation"
	removal    = "tier_removal"
	subject    = "tier_scheme"
)

// chunk is how many customers one transaction changes.
const chunk = 10_000

// Evaluate starts a job that places every customer that is not deleted. Fails with ErrNotFound, ErrEvaluating while one
// is queued or running, or the fault of a condition that no longer means anything, such as one about a deleted score.
func (s *Service) Evaluate(ctx context.Context, call tenant.Call, key string) (jobs.Job, error) {
	var job jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		// The lock lets one caller at a time look for a job and start one.
		scheme, err := lock(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		last, err := jobs.Of(ctx, tx, call.Tenant, subject, key)
		if err != nil && !errors.Is(err, jobs.ErrNotFound) {
			return err
		}
		if err == nil && !last.Status.Ended() {
			return ErrEvaluating.Because("the scheme is already being evaluated by job "+last.ID.String()+"; wait for it or cancel it",
				"该分层方案正由任务 "+last.ID.String()+" 评估；请等待其完成或取消")
		}
		if _, err := s.plan(ctx, tx, call.Tenant, scheme, s.now()); err != nil {
			return err
		}
		job, err = s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: evaluation, SubjectType: subject, SubjectID: key})
		return err
	})
	return job, err
}

// plan is a scheme as one SQL expression for the id of a customer's tier, over c and m. Its placeholders follow those
// of place.
type plan struct {
	scheme Scheme
	sql    string
	args   []any
}

func (s *Service) plan(ctx context.Context, tx postgres.Tx, t tenant.Tenant, scheme Scheme, now time.Time) (plan, error) {
	l, err := condition.For(ctx, tx, t, now)
	if err != nil {
		return plan{}, err
	}
	p := plan{scheme: scheme}
	var sql strings.Builder
	sql.WriteString("CASE")
	next := placeArgs + 1
	for i, r := range scheme.Tiers[:len(scheme.Tiers)-1] {
		e, err := l.Catalogue.Compile(r.Condition, l.Env)
		if f := fault.Of(err); f != nil {
			return plan{}, f.Below(pointer(i) + "/condition")
		}
		if err != nil {
			return plan{}, fmt.Errorf("compile tier %s of scheme %s: %w", r.Key, scheme.Key, err)
		}
		holds, args := e.Numbered(next)
		next += len(args)
		fmt.Fprintf(&sql, " WHEN (%s) THEN $%d::uuid", holds, next)
		next++
		p.args = append(append(p.args, args...), r.ID)
	}
	fmt.Fprintf(&sql, " ELSE $%d::uuid END", next)
	p.args = append(p.args, scheme.Tiers[len(scheme.Tiers)-1].ID)
	p.sql = sql.String()
	return p, nil
}

// same reports whether q puts everybody where p does.
func (p plan) same(q plan) bool {
	return p.scheme.ID == q.scheme.ID && p.sql == q.sql && reflect.DeepEqual(p.args, q.args)
}

// walk is how far an evaluation is.
type walk struct {
	plan   plan
	after  uuid.UUID // the last customer placed
	now    time.Time // what today is, the same for everybody
	total  int64     // customers when it began
	done   int64
	counts map[string]int64
}

// evaluate walks all customers in chunks, in the order of their ids. A second attempt walks again: who is in the right
// tier already stays untouched, and who was moved by the first one still counts as moved. When the rules change on
// the way, by a new version of the scheme or a new run of a score, it begins again, so that in the end everybody was
// judged by the same ones.
func (s *Service) evaluate(ctx context.Context, run *jobs.Run) error {
	if run.Job.Progress >= 1 {
		return nil // done, but the attempt before died before it could say so
	}
	w := walk{now: s.now(), counts: map[string]int64{"placed": 0, "moved": 0, "unchanged": 0}}
	for name, n := range run.Counts() {
		w.counts[name] = n
	}
	var err error
	if w.total, err = live(ctx, s.db, run.Call.Tenant.ID); err != nil {
		return err
	}
	for done := false; !done; {
		var after walk
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			var err error
			after, done, err = s.step(ctx, tx, run, w)
			return err
		})
		if err != nil {
			return err
		}
		w = after
	}
	return nil
}

// step places one chunk, or ends the evaluation when there is none left. It leaves w as it is, because its transaction
// may run twice.
func (s *Service) step(ctx context.Context, tx postgres.Tx, run *jobs.Run, w walk) (_ walk, done bool, err error) {
	call := run.Call
	// Whoever changes the scheme waits for the chunk, and the next chunk sees the change.
	scheme, err := lock(ctx, tx, call.Tenant.ID, run.Job.SubjectID)
	if err != nil {
		return w, false, err
	}
	p, err := s.plan(ctx, tx, call.Tenant, scheme, w.now)
	if err != nil {
		return w, false, err
	}
	counts := map[string]int64{"placed": w.counts["placed"], "moved": w.counts["moved"], "unchanged": w.counts["unchanged"]}
	if !p.same(w.plan) {
		w.after, w.done = uuid.Nil, 0
		counts["unchanged"] = 0
	}
	w.plan, w.counts = p, counts
	ids, err := customer.HoldNext(ctx, tx, call.Tenant.ID, w.after, chunk)
	if err != nil {
		return w, false, err
	}
	if len(ids) == 0 {
		return w, true, s.finish(ctx, tx, run, w)
	}
	o, err := place(ctx, tx, call, p, ids, s.now())
	if err != nil {
		return w, false, err
	}
	if err := event.Touched(ctx, tx, call, o.touched); err != nil {
		return w, false, err
	}
	counts["placed"] += o.placed
	counts["moved"] += o.moved
	counts["unchanged"] += o.unchanged
	w.after = ids[len(ids)-1]
	w.done += int64(len(ids))
	// 1 is told by the end alone; customers may have come since the count.
	return w, false, run.Step(ctx, tx, min(float64(w.done)/float64(max(w.total, 1)), 0.99), counts)
}

func (s *Service) finish(ctx context.Context, tx postgres.Tx, run *jobs.Run, w walk) error {
	scheme := w.plan.scheme
	previous := map[string]any{"evaluated_at": scheme.EvaluatedAt}
	now := s.now()
	scheme.EvaluatedAt, scheme.UpdatedAt = &now, now
	scheme.Version++
	if err := update(ctx, tx, run.Call.Tenant.ID, scheme); err != nil {
		return err
	}
	if err := s.record(ctx, tx, run.Call, "tier_scheme.evaluated", scheme.Key, previous); err != nil {
		return err
	}
	return run.Step(ctx, tx, 1, w.counts)
}

// remove takes away the placements of a deleted scheme.
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
		return int64(len(touched)), event.Touched(ctx, tx, run.Call, touched)
	})
}
