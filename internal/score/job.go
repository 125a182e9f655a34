package score

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
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

// compute calibrates the model and scores everyone.
func (s *Service) compute(ctx context.Context, run *jobs.Run, r Run) error {
	t := run.Call.Tenant
	scale := scaleOf(t.Currency)
	cal := Calibration{Currency: t.Currency, Diagnostics: []Diagnostic{}}
	var by predictor
	if r.Kind == CLV || r.Kind == Churn {
		all, err := groups(ctx, s.db, t.ID, r.AsOf, r.Kind == CLV)
		if err != nil {
			return err
		}
		if err := run.Step(ctx, s.db, 0.2, map[string]int64{}); err != nil {
			return err
		}
		if by, cal, err = fit(ctx, r.Kind, r.Params, t.Currency, scale, all); err != nil {
			return err
		}
	}
	if err := run.Step(ctx, s.db, 0.5, map[string]int64{}); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		r, cal := r, cal
		err := s.stage(ctx, tx, t.ID, r, by, &cal)
		if err != nil {
			return err
		}
		if r.Customers, err = counted(ctx, tx, t.ID); err != nil {
			return err
		}
		// The model is locked before the partition is made and until the end: whoever deletes it either has done so, or
		// finds the partition.
		m, err := lockModel(ctx, tx, t.ID, r.ModelKey)
		if err != nil {
			return err
		}
		if m.ID != r.model { // another one by now
			return ErrNotFound
		}
		if r.Scored, err = load(ctx, tx, t.ID, r.no, cal.Quantiles["value"]); err != nil {
			return err
		}
		r.Calibration = &cal
		if err := s.succeed(ctx, tx, run, m, r); err != nil {
			return err
		}
		// Last, because it locks the job: it tells whether this attempt may still write.
		return run.Step(ctx, tx, 1, map[string]int64{"customers": r.Customers, "scored": r.Scored})
	})
}

// stage scores everyone as the run's kind says, and completes cal.
func (s *Service) stage(ctx context.Context, tx postgres.Tx, tenantID int32, r Run, by predictor, cal *Calibration) error {
	if r.Kind == AtRisk {
		return stageAtRisk(ctx, tx, tenantID, r, cal)
	}
	err := gather(ctx, tx, tenantID, r.AsOf, r.Params.WindowDays)
	if err != nil {
		return err
	}
	if r.Kind == RFM {
		cal.Quantiles, err = stageRFM(ctx, tx, r.Params.Weights, scaleOf(cal.Currency))
	} else {
		cal.Quantiles, err = stagePredictions(ctx, tx, by)
	}
	return err
}

// succeed ends the run, whose scores are loaded, and puts it into force where it is to be.
func (s *Service) succeed(ctx context.Context, tx postgres.Tx, run *jobs.Run, m Model, r Run) error {
	if r.Scored == 0 {
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
	if errors.Is(err, ErrNotFound) || postgres.Code(err) == lockNotAvailable {
		return nil
	}
	return err
}
