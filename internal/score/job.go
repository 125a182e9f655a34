package score

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const jobKind = "score_run"

// Work does one attempt at a run. The fit holds no transaction; all that the run leaves behind comes from one, so an
// attempt that dies leaves nothing, and the next one begins again.
func (s *Service) Work(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the run of job %s: %w", run.Job.ID, err)
	}
	t := run.Call.Tenant
	r, err := oneRun(ctx, s.db, t.ID, "", id)
	if err != nil {
		return err
	}
	if r.Status != jobs.Succeeded {
		if err := s.compute(ctx, run, r); err != nil {
			if fault.Of(err) == nil {
				return err
			}
			if failed := s.fail(ctx, run, r); failed != nil {
				return failed // while the run's end is not written, the fault must not end the job
			}
			return err
		}
	}
	return s.tidy(ctx, run, r)
}

// compute calibrates the model, unless the run takes over a calibration, and scores everyone.
func (s *Service) compute(ctx context.Context, run *jobs.Run, r Run) error {
	t := run.Call.Tenant
	learned := r.Calibration
	if r.recalibrate {
		var err error
		if learned, err = s.learn(ctx, t, r); err != nil {
			return err
		}
	}
	if err := run.Step(ctx, s.db, 0.5, map[string]int64{}); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		r, cal := r, learned.copied()
		made, err := madeOf(ctx, tx, t.ID, r)
		if err != nil {
			return err
		}
		if err := s.gather(ctx, tx, t, r, cal); err != nil {
			return err
		}
		if r.recalibrate {
			if err := measure(ctx, tx, r.Kind, r.Params, scaleOf(t.Currency), cal.Quantiles); err != nil {
				return err
			}
		}
		by, err := newScorer(r.Kind, r.Params, cal)
		if err != nil {
			return err
		}
		if err := stage(ctx, tx, by); err != nil {
			return err
		}
		if r.recalibrate {
			if err := measureValues(ctx, tx, r.Kind, r.Params, cal.Quantiles); err != nil {
				return err
			}
		}
		if r.Customers, err = present(ctx, tx, t.ID); err != nil {
			return err
		}
		if r.Scored, err = load(ctx, tx, t.ID, r, cal, s.now()); err != nil {
			return err
		}
		// Who wrote while the run was under way has committed, and who writes now waits for its end.
		if err := alone(ctx, tx, t.ID); err != nil {
			return err
		}
		m, err := lockModel(ctx, tx, t.ID, r.ModelKey)
		if err != nil {
			return err
		}
		if m.ID != r.model { // another one by now
			return ErrNotFound
		}
		stale, err := s.outdated(ctx, tx, run.Call, m, &r, made)
		if err != nil {
			return err
		}
		r.Calibration = cal
		if err := s.catchUp(ctx, tx, t, r); err != nil {
			return err
		}
		if err := s.succeed(ctx, tx, run, m, r); err != nil {
			return err
		}
		if stale {
			if err := s.again(ctx, tx, run.Call, m); err != nil {
				return err
			}
		}
		// Last, because it locks the job: it tells whether this attempt may still write.
		return run.Step(ctx, tx, 1, map[string]int64{"customers": r.Customers, "scored": r.Scored})
	})
}

// learn is a calibration of its own, without the limits that the gathered customers give.
func (s *Service) learn(ctx context.Context, t tenant.Tenant, r Run) (*Calibration, error) {
	cal := Calibration{Currency: t.Currency, Quantiles: map[string][]float64{}, Diagnostics: []Diagnostic{}}
	if !r.Kind.predicts() {
		return &cal, nil
	}
	if r.Params.CLVModel != "" {
		other, err := s.borrowed(ctx, t, r)
		if err != nil || other != nil {
			return other, err
		}
	}
	all, err := groups(ctx, s.db, t.ID, r.AsOf, r.Live, r.Kind.worth())
	if err != nil {
		return nil, err
	}
	params, chosen := r.Params, []Diagnostic(nil)
	if params.Family == FamilyAuto {
		family, why, err := s.chooseFamily(ctx, t, r)
		if err != nil {
			return nil, err
		}
		params.Family, chosen = family, []Diagnostic{why}
	}
	_, cal, err = fit(ctx, r.Kind, params, t.Currency, scaleOf(t.Currency), all, func(family, facts string) (*Calibration, error) {
		return fitted(ctx, s.db, t.ID, r.AsOf, family, facts)
	})
	cal.Diagnostics = append(chosen, cal.Diagnostics...)
	return &cal, err
}

// borrowed is the fit of the clv model that a potential model names, unless the model has none, or one that knows more than
// was known on the run's day.
func (s *Service) borrowed(ctx context.Context, t tenant.Tenant, r Run) (*Calibration, error) {
	of, err := oneModel(ctx, s.db, t.ID, r.Params.CLVModel)
	if err != nil || of.CurrentRun == nil {
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return nil, err
	}
	current, err := oneRun(ctx, s.db, t.ID, of.Key, *of.CurrentRun)
	if err != nil {
		return nil, err
	}
	cal := current.Calibration
	if cal == nil || cal.Purchases == nil || cal.Currency != t.Currency || (r.Params.Family != FamilyAuto && cal.Purchases.Family != r.Params.Family) ||
		current.CalibratedOn == nil || current.CalibratedOn.After(r.AsOf.Time) {
		return nil, nil //nolint:nilnil // there is none to borrow
	}
	cal.Quantiles = map[string][]float64{}
	return cal, nil
}

// gather puts what is known of everyone into the temporary table that scores are computed from.
func (s *Service) gather(ctx context.Context, tx postgres.Tx, t tenant.Tenant, r Run, cal *Calibration) error {
	if err := makeRoom(ctx, tx); err != nil {
		return err
	}
	switch r.Kind {
	case Rules:
		at := s.now()
		if !t.Today(at).Equal(r.AsOf.Time) { // midnight has come since the run was asked for
			at = tenant.Day{Time: r.AsOf.AddDate(0, 0, 1)}.Start(t.Zone).Add(-time.Microsecond)
		}
		l, err := condition.For(ctx, tx, t, at)
		if err != nil {
			return err
		}
		given, err := givenRules(l, r.Params.Rules, r.AsOf)
		if err != nil {
			return err
		}
		return gatherRules(ctx, tx, t.ID, given)
	case Composite, AtRisk:
		runs, err := partRuns(ctx, tx, t.ID, r)
		if err != nil {
			return err
		}
		for i, no := range runs {
			if no == 0 {
				key := r.Params.Parts[i].Score
				cal.Diagnostics = append(cal.Diagnostics, Diagnostic{"part_without_scores", fault.T(
					"no run of "+key+" has scores for that day", "评分 "+key+" 没有该日的运行结果")})
			}
		}
		return gatherParts(ctx, tx, t.ID, runs)
	}
	return gatherFacts(ctx, tx, t.ID, r.AsOf, r.Live, r.Params.WindowDays)
}

// succeed ends the run, whose scores are loaded, and puts it into force where it is to be.
func (s *Service) succeed(ctx context.Context, tx postgres.Tx, run *jobs.Run, m Model, r Run) error {
	if r.Scored == 0 && r.Kind.buyers() && r.recalibrate {
		r.Calibration.Diagnostics = append(r.Calibration.Diagnostics, Diagnostic{"no_purchases",
			fault.T("nobody had bought anything up to the run's day", "截至运行日没有任何客户购买过")})
	}
	now := s.now()
	if err := succeed(ctx, tx, run.Call.Tenant.ID, r, now); err != nil {
		return err
	}
	if err := s.ended(ctx, tx, run, r, "score_run.succeeded"); err != nil {
		return err
	}
	if !r.activate {
		return nil
	}
	return s.activate(ctx, tx, run.Call, m, r)
}

// fail ends the run for a reason that trying again does not change.
func (s *Service) fail(ctx context.Context, run *jobs.Run, r Run) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		first, err := fail(ctx, tx, run.Call.Tenant.ID, r.ID, s.now())
		if err != nil || !first {
			return err
		}
		if err := s.ended(ctx, tx, run, r, "score_run.failed"); err != nil {
			return err
		}
		// A cancelled job's run has not failed: its job says what became of it.
		return run.Step(ctx, tx, run.Job.Progress, map[string]int64{})
	})
}

func (s *Service) ended(ctx context.Context, tx postgres.Tx, run *jobs.Run, r Run, what string) error {
	return event.Record(ctx, tx, run.Call, s.now(), event.Event{Type: what, SubjectType: "score_run", SubjectID: r.ID.String()})
}

// tidy drops what newer runs have superseded. While somebody reads scores for longer than a moment it leaves that to
// the next run.
func (s *Service) tidy(ctx context.Context, run *jobs.Run, r Run) error {
	const lockNotAvailable = "55P03"
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		m, err := lockModel(ctx, tx, run.Call.Tenant.ID, r.ModelKey)
		if err != nil {
			return err
		}
		return dropScores(ctx, tx, run.Call.Tenant.ID, m.ID, keep, s.now())
	})
	if err != nil && !errors.Is(err, ErrNotFound) && postgres.Code(err) != lockNotAvailable {
		return err
	}
	if r.Live && r.recalibrate {
		return s.thin(ctx, run.Call.Tenant.ID, r.model)
	}
	return nil
}
