package score

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Kinds of jobs: one run, or several.
const (
	jobKind = "score_run"
	setKind = "score_runs"
)

// Work does one attempt at the runs of a job: one, or a set that is computed in passes. Reading, fitting and predicting hold
// no transaction; scores are loaded into tables that are nobody's until one transaction makes them those of the runs, so an attempt
// that dies leaves whole passes, and the next one goes on with the others. In a set, a run that cannot be fails by itself.
func (s *Service) Work(ctx context.Context, run *jobs.Run) error {
	t := run.Call.Tenant
	all, err := runsOf(ctx, s.db, t.ID, run.Job.ID)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return ErrRunNotFound
	}
	var left []Run
	did := tally{runs: len(all), coming: map[uuid.UUID]bool{}}
	for _, r := range all {
		if r.Status != jobs.Succeeded {
			left = append(left, r)
		} else {
			did.add(r)
		}
	}
	for _, r := range left {
		did.coming[r.model] = true
	}
	for _, p := range passes(t, left) {
		if err := s.compute(ctx, run, p, &did); err != nil {
			return err
		}
	}
	if did.failed == len(all) {
		return did.why
	}
	return nil
}

// tally is what a job has done.
type tally struct {
	runs, ended, failed int
	why                 error // of the first run that failed
	customers, scored   int64
	coming              map[uuid.UUID]bool // models of its runs
}

func (t *tally) add(r Run) {
	t.ended++
	t.customers, t.scored = max(t.customers, r.Customers), t.scored+r.Scored
}

func (t *tally) fail(err error) {
	t.ended++
	t.failed++
	if t.why == nil {
		t.why = err
	}
}

func (t *tally) counts() map[string]int64 {
	counts := map[string]int64{"customers": t.customers, "scored": t.scored}
	if t.runs > 1 {
		counts["runs"], counts["failed"] = int64(t.runs), int64(t.failed)
	}
	return counts
}

// progress is how far the job is with some parts of the runs in hand.
func (t *tally) progress(done float64) float64 { return (float64(t.ended) + done) / float64(t.runs) }

// compute calibrates the runs of a pass, but for those that take over a calibration, and scores everyone. A run's scores are
// loaded while those after it are prepared. What they supersede makes room meanwhile.
func (s *Service) compute(ctx context.Context, run *jobs.Run, p *pass, did *tally) error {
	now := s.now()
	all, within := errgroup.WithContext(ctx)
	slots := make(chan struct{}, loadedAtOnce)
	var room error // does not keep the runs from coming into force
	all.Go(func() error {
		room = s.makeRoom(within, p)
		return nil
	})
	all.Go(func() error {
		if err := s.read(within, p); err != nil {
			return err
		}
		for _, r := range p.runs {
			err := s.prepare(within, p, r)
			if fault.Of(err) != nil {
				r.failed = err
				continue
			}
			if err != nil {
				return err
			}
			all.Go(func() error {
				slots <- struct{}{}
				defer func() { <-slots }()
				return s.db.InTx(within, func(tx postgres.Tx) error { return p.load(within, tx, r, now) })
			})
		}
		p.groups = nil
		return run.Step(within, s.db, did.progress(0.5*float64(len(p.runs))), did.counts())
	})
	err := all.Wait()
	done := *did
	if err == nil {
		err = s.failThose(ctx, run, p, &done)
	}
	if err == nil && len(p.runs) > 0 {
		loaded := done
		err = s.db.InTx(ctx, func(tx postgres.Tx) error {
			done = loaded
			return s.putIntoForce(ctx, tx, run, p, &done)
		})
	}
	if err != nil {
		// What was loaded is nobody's. Where even this fails, the next attempt makes it anew, or Sweep finds it.
		return errors.Join(err, s.discard(context.WithoutCancel(ctx), p))
	}
	*did = done
	return room
}

// loadedAtOnce is how many runs' scores are loaded at a time: the database works on one with one processor, and the last of
// them should not be alone for long.
const loadedAtOnce = 3

// failThose ends the runs of a pass that cannot be, and takes them out of it.
func (s *Service) failThose(ctx context.Context, run *jobs.Run, p *pass, did *tally) error {
	for _, r := range p.runs {
		if r.failed == nil {
			continue
		}
		if err := s.fail(ctx, run, r.Run, fault.Of(r.failed)); err != nil {
			return err // while the run's end is not written, the fault must not end the job
		}
		did.fail(r.failed)
	}
	p.runs = slices.DeleteFunc(p.runs, func(r *scoring) bool { return r.failed != nil })
	return nil
}

// discard drops the partitions of a pass that does not come to its end.
func (s *Service) discard(ctx context.Context, p *pass) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		for _, r := range p.runs {
			if err := dropLoose(ctx, tx, r.no); err != nil {
				return err
			}
		}
		return nil
	})
}

// read reads what is known of everybody.
func (s *Service) read(ctx context.Context, p *pass) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		l, err := s.gatheredRules(ctx, tx, p)
		if err != nil {
			return err
		}
		// Everybody is sorted in memory, by two processes at most: a third would wait for this one.
		_, err = tx.Exec(ctx, `SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '1', true)`)
		if err != nil {
			return fmt.Errorf("read what is known of everybody: %w", err)
		}
		p.crowd = crowd{}
		return p.read(ctx, tx, l)
	})
}

// prepare gets a run ready to be loaded, after those of its parts: calibrates it, predicts for it, and computes the values
// that others are made of. Fails with a fault for a run that cannot be.
func (s *Service) prepare(ctx context.Context, p *pass, r *scoring) error {
	learned, err := r.Calibration, error(nil)
	if r.recalibrate {
		learned, err = s.learn(ctx, p, r)
	}
	if err != nil {
		return err
	}
	r.cal = learned.copied()
	if r.by, err = newScorer(r.Kind, r.Params, r.cal); err != nil {
		return err
	}
	if err := p.sources(ctx, s.db, r); err != nil {
		return err
	}
	if err := p.predict(ctx, r); err != nil {
		return err
	}
	r.Customers, r.Calibration = int64(p.crowd.size), r.cal
	if r.recalibrate {
		p.measure(r)
	}
	limits := r.recalibrate && r.Kind != RFM
	if limits || p.isPart(r) {
		if err := p.valueAll(ctx, r); err != nil {
			return err
		}
	}
	if limits {
		p.measureValues(r)
	}
	return nil
}

// putIntoForce ends the runs of a pass, whose scores are loaded.
func (s *Service) putIntoForce(ctx context.Context, tx postgres.Tx, run *jobs.Run, p *pass, did *tally) error {
	t := run.Call.Tenant
	// Who wrote while the runs were under way has committed, and who writes now waits for their end.
	if err := alone(ctx, tx, t.ID); err != nil {
		return err
	}
	for _, r := range p.runs {
		m, err := lockModel(ctx, tx, t.ID, r.ModelKey)
		if err == nil && m.ID != r.model { // another one by now
			err = ErrNotFound
		}
		if errors.Is(err, ErrNotFound) && did.runs > 1 { // deleted with its runs, see Sweep
			did.fail(err)
			continue
		}
		if err != nil {
			return err
		}
		if err := attach(ctx, tx, r.no); err != nil {
			return err
		}
		stale, err := s.outdated(ctx, tx, run.Call, m, &r.Run, r.made)
		if err != nil {
			return err
		}
		if err := s.catchUp(ctx, tx, t, r.Run); err != nil {
			return err
		}
		if err := s.succeed(ctx, tx, run, m, r.Run, did.coming); err != nil {
			return err
		}
		if stale {
			if err := s.again(ctx, tx, run.Call, m, m.Kind == Rules); err != nil {
				return err
			}
		}
		did.add(r.Run)
	}
	// Last, because it locks the job: it tells whether this attempt may still write.
	return run.Step(ctx, tx, did.progress(0), did.counts())
}

// learn is a calibration of its own, without the limits that the crowd gives.
func (s *Service) learn(ctx context.Context, p *pass, r *scoring) (*Calibration, error) {
	t := p.tenant
	cal := Calibration{Currency: t.Currency, Quantiles: map[string][]float64{}, Diagnostics: []Diagnostic{}}
	if !r.Kind.predicts() {
		return &cal, nil
	}
	if r.Params.CLVModel != "" {
		other, err := s.borrowed(ctx, p, r)
		if err != nil || other != nil {
			return other, err
		}
	}
	if p.groups == nil {
		p.groups = p.crowd.groups()
	}
	params, chosen := r.Params, []Diagnostic(nil)
	if params.Family == FamilyAuto {
		family, why, err := s.chooseFamily(ctx, t, r.Run)
		if err != nil {
			return nil, err
		}
		params.Family, chosen = family, []Diagnostic{why}
	}
	_, cal, err := fit(ctx, r.Kind, params, t.Currency, scaleOf(t.Currency), p.groups, func(family, facts string) (*Calibration, error) {
		for _, other := range p.learned(r) {
			if other.Purchases.Family == family && other.Purchases.Facts == facts {
				return other, nil
			}
		}
		return fitted(ctx, s.db, t.ID, r.AsOf, family, facts)
	}, p.valued(r))
	cal.Diagnostics = append(chosen, cal.Diagnostics...)
	return &cal, err
}

// learned are the calibrations that the pass has fitted before r.
func (p *pass) learned(r *scoring) []*Calibration {
	var found []*Calibration
	for _, other := range p.runs[:r.at] {
		if other.recalibrate && other.cal != nil && other.cal.Purchases != nil {
			found = append(found, other.cal)
		}
	}
	return found
}

// valued is one of those with a model of values, or with the reason why there is none; nil where none has tried.
func (p *pass) valued(r *scoring) *Calibration {
	for _, other := range p.runs[:r.at] {
		if other.recalibrate && other.cal != nil && other.Kind.worth() && other.Params.CLVModel == "" {
			return other.cal
		}
	}
	return nil
}

// borrowed is the fit of the clv model that a potential model names, unless the model has none, or one that knows more than
// was known on the run's day.
func (s *Service) borrowed(ctx context.Context, p *pass, r *scoring) (*Calibration, error) {
	t := p.tenant
	if own := p.of(r.Params.CLVModel); own != nil {
		cal := own.cal.copied()
		cal.Quantiles = map[string][]float64{}
		if r.Params.Family == FamilyAuto || cal.Purchases.Family == r.Params.Family {
			return cal, nil
		}
		return nil, nil //nolint:nilnil // there is none to borrow
	}
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

// succeed ends the run, whose scores are loaded, and puts it into force where it is to be.
func (s *Service) succeed(ctx context.Context, tx postgres.Tx, run *jobs.Run, m Model, r Run, coming map[uuid.UUID]bool) error {
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
	return s.activate(ctx, tx, run.Call, m, r, coming)
}

// fail ends the run for a reason that trying again does not change.
func (s *Service) fail(ctx context.Context, run *jobs.Run, r Run, why *fault.Fault) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		first, err := fail(ctx, tx, run.Call.Tenant.ID, r.ID, why, s.now())
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

// makeRoom archives and drops the scores that runs of a pass supersede when they succeed, and thins the history.
func (s *Service) makeRoom(ctx context.Context, p *pass) error {
	var models, thinned []uuid.UUID
	for _, r := range p.runs {
		if err := archive(ctx, s.db, p.tenant.ID, r.model, keep-1, s.now()); err != nil {
			return err
		}
		if models = append(models, r.model); r.Live {
			thinned = append(thinned, r.model)
		}
	}
	if err := s.dropSuperseded(ctx, p.tenant.ID, models); err != nil || len(thinned) == 0 {
		return err
	}
	return s.thin(ctx, p.tenant.ID, thinned)
}

// dropSuperseded drops the archived scores of models. What others hold at the moment, or read for longer than one, it leaves to the next
// run: it waits for no model, so nobody who reads scores and wants one of these can wait for it in a circle.
func (s *Service) dropSuperseded(ctx context.Context, tenantID int32, models []uuid.UUID) error {
	const lockNotAvailable = "55P03"
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		idle, err := lockIdle(ctx, tx, tenantID, models)
		if err != nil {
			return err
		}
		return dropScores(ctx, tx, tenantID, idle, keep-1, s.now(), time.Second/2)
	})
	if postgres.Code(err) == lockNotAvailable {
		return nil
	}
	return err
}
