package score

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps score models and runs them.
type Service struct {
	db        *postgres.DB
	jobs      *jobs.Service
	customers *customer.Service
	tenants   *tenant.Service
	now       func() time.Time
	programs  programs
}

// NewService works on db, and does the jobs of runs.
func NewService(db *postgres.DB, work *jobs.Service, now func() time.Time) *Service {
	s := &Service{db: db, jobs: work, customers: customer.NewService(db, now), tenants: tenant.NewService(db, now), now: now,
		programs: programs{of: map[int32]*program{}}}
	work.Handle(jobKind, s.Work)
	work.Handle(setKind, s.Work)
	work.Handle(removal, s.remove)
	return s
}

// List is all models by key.
func (s *Service) List(ctx context.Context, t tenant.Tenant) ([]Model, error) {
	return models(ctx, s.db, t.ID)
}

// Get is one model, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, key string) (Model, error) {
	return oneModel(ctx, s.db, t.ID, key)
}

// Create makes a model. Fails with ErrKeyTaken, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, c Creation) (Model, error) {
	now := s.now()
	m := Model{ID: uuid.Must(uuid.NewV7()), Key: c.Key, Version: 1, Revision: 1, Name: strings.TrimSpace(c.Name), Kind: c.Kind,
		Params: defaults(c.Kind), CreatedAt: now, UpdatedAt: now}
	if c.Name == "" {
		m.Name = c.Key
	}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		m := &m
		var v fault.Validator
		if err := c.Params.apply(m.Kind, &m.Params, &v); err != nil {
			return err
		}
		m.Clock = c.Clock.clock(&v)
		if err := s.validate(ctx, tx, call.Tenant, m, &v); err != nil {
			return err
		}
		if err := insertModel(ctx, tx, call.Tenant.ID, *m); err != nil {
			return err
		}
		if err := insertRevision(ctx, tx, call, *m); err != nil {
			return err
		}
		return s.record(ctx, tx, call, *m, "score_model.created", nil)
	})
	return m, err
}

// validate fails with everything that is wrong with a model, v's findings included.
func (s *Service) validate(ctx context.Context, tx postgres.Tx, t tenant.Tenant, m *Model, v *fault.Validator) error {
	if m.Kind != Rules && !m.Kind.joins() {
		m.check(v)
	}
	v.Check(m.Clock.Fixed == nil || !m.Clock.Fixed.Plausible() || !m.Clock.Fixed.After(t.Today(s.now()).Time), "/clock/day", "in_future", notYet)
	if err := s.checkReads(ctx, tx, t, m, v); err != nil {
		return err
	}
	return v.Err()
}

// check is what a model must fulfil beyond the contract's types and lengths.
func (m Model) check(v *fault.Validator) {
	v.Check(m.Key != string(AtRisk) || m.Kind == AtRisk, "/key", "reserved",
		fault.T("this key is for a model of kind value_at_risk", "该 key 保留给 value_at_risk 类型的模型"))
	v.Check(m.Name != "", "/name", "required", fault.T("a score model needs a name", "评分模型必须有名称"))
	v.Check(m.Kind != Rules || m.Clock.Fixed == nil, "/clock/mode", "not_of_kind", fault.T(
		"rules are about customers as they are: a past day can't be judged by them", "rules 类型评估客户的当前状态，不能固定为过去的日期"))
	m.Params.check(m.Kind, v)
}

// Update merges change into the model; changed parameters raise its revision. A change without effect keeps the
// version and writes no event. Fails with ErrNotFound, patch.ErrVersion or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, key string, expected patch.Expected, change Change) (Model, error) {
	var m Model
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if m, err = lockModel(ctx, tx, call.Tenant.ID, key); err != nil {
			return err
		}
		if err := expected.Check(m.Version); err != nil {
			return err
		}
		before := m
		var v fault.Validator
		if change.Name != nil {
			m.Name = strings.TrimSpace(*change.Name)
		}
		if err := change.Params.apply(m.Kind, &m.Params, &v); err != nil {
			return err
		}
		if change.Clock != nil {
			m.Clock = change.Clock.clock(&v)
		}
		if err := s.validate(ctx, tx, call.Tenant, &m, &v); err != nil {
			return err
		}
		unchanged, err := before.Params.same(m.Kind, m.Params)
		if err != nil {
			return err
		}
		previous := map[string]any{}
		if m.Name != before.Name {
			previous["name"] = before.Name
		}
		if !unchanged {
			m.Revision++
			if previous["params"], err = document(m.Kind, before.Params); err != nil {
				return err
			}
			previous["model_version"] = before.Revision
		}
		if clockDocument(m.Clock) != clockDocument(before.Clock) {
			previous["clock"] = clockDocument(before.Clock)
		}
		if len(previous) == 0 {
			return nil
		}
		m.Version++
		m.UpdatedAt = s.now()
		if err := updateModel(ctx, tx, call.Tenant.ID, m); err != nil {
			return err
		}
		if !unchanged {
			if err := insertRevision(ctx, tx, call, m); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, call, m, "score_model.updated", previous)
	})
	return m, err
}

type clockDoc struct {
	Mode string `json:"mode"`
	Day  string `json:"day,omitempty"`
}

// clockDocument is the clock as the contract shows it.
func clockDocument(c Clock) clockDoc {
	if c.Fixed == nil {
		return clockDoc{Mode: "live"}
	}
	return clockDoc{Mode: "fixed", Day: c.Fixed.String()}
}

// Delete deletes the model with its runs and scores; a job removes the history that nobody can read any more, and the job of a
// run in progress fails. Fails with ErrNotFound,
// patch.ErrVersion, or ErrInUse naming whose conditions read it.
func (s *Service) Delete(ctx context.Context, call tenant.Call, key string, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		// Who re-scores a customer at the moment writes to the partitions that go.
		if err := alone(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		m, err := lockModel(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		if err := expected.Check(m.Version); err != nil {
			return err
		}
		readers, err := dependents(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		if len(readers) > 0 {
			return condition.Blocks(ErrInUse, "model_key", fault.T("the model", "该评分模型"), readers)
		}
		if err := deleteModel(ctx, tx, call.Tenant.ID, m, s.now()); err != nil {
			return err
		}
		if m.CurrentRun != nil { // by id: a new model may have the key before the job is done
			if _, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: removal, SubjectType: "score_model", SubjectID: m.ID.String()}); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, call, m, "score_model.deleted", nil)
	})
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, m Model, what string, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "score_model", SubjectID: m.Key,
		Previous: previous})
}

// Start asks for a run of the model: a row and its job, both or neither. Fails with ErrNotFound, ErrRetired,
// ErrRunInProgress, ErrNoParts, or fault.ErrInvalid for a day that has not come yet.
func (s *Service) Start(ctx context.Context, call tenant.Call, key string, r Request) (jobs.Job, error) {
	var job jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		// Whoever re-scores customers while the run is under way knows of it.
		if err := alone(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		run, err := s.plan(ctx, tx, call.Tenant, key, r)
		if err != nil {
			return err
		}
		if run.Kind == AtRisk {
			if err := hasParts(ctx, tx, call.Tenant.ID, run); err != nil {
				return err
			}
		}
		job, err = s.enqueue(ctx, tx, call, run)
		return err
	})
	return job, err
}

// StartAll asks for a run of every active model as of its clock's day, all in one job: everybody is read once, and models
// that are made of others come after them. Models with a run in progress are left to it. Fails with ErrNothingToRun when
// none is left.
func (s *Service) StartAll(ctx context.Context, call tenant.Call, r Request) (jobs.Job, error) {
	all, err := models(ctx, s.db, call.Tenant.ID)
	if err != nil {
		return jobs.Job{}, err
	}
	asked := map[string]Request{}
	for _, m := range all {
		asked[m.Key] = r
	}
	return s.startSet(ctx, call, asked)
}

// startSet asks for runs of the models asked for, by key, that are active and have none in progress.
func (s *Service) startSet(ctx context.Context, call tenant.Call, asked map[string]Request) (jobs.Job, error) {
	var job jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := alone(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		var set []Run
		for _, key := range slices.Sorted(maps.Keys(asked)) { // the order of all who lock several
			run, err := s.plan(ctx, tx, call.Tenant, key, asked[key])
			switch {
			case errors.Is(err, ErrRetired), errors.Is(err, ErrClockAhead), errors.Is(err, ErrRunInProgress), errors.Is(err, ErrNotFound):
				continue
			case err != nil:
				return err
			}
			set = append(set, run)
		}
		set, err := s.withParts(ctx, tx, call.Tenant, set)
		if err != nil {
			return err
		}
		if len(set) == 0 {
			return ErrNothingToRun
		}
		job, err = s.enqueue(ctx, tx, call, set...)
		return err
	})
	return job, err
}

// withParts leaves away value at risk that would score nobody: a part is neither in the set nor has scores.
func (s *Service) withParts(ctx context.Context, tx postgres.Tx, t tenant.Tenant, set []Run) ([]Run, error) {
	var kept []Run
	for _, run := range set {
		if run.Kind == AtRisk {
			parts, err := partRuns(ctx, tx, t.ID, run)
			if err != nil {
				return nil, err
			}
			missing := false
			for i, no := range parts {
				missing = missing || no == 0 && !slices.ContainsFunc(set, func(o Run) bool {
					return o.ModelKey == run.Params.Parts[i].Score && o.AsOf.Equal(run.AsOf.Time)
				})
			}
			if missing {
				continue
			}
		}
		kept = append(kept, run)
	}
	return kept, nil
}

// plan is the run of a model that a request asks for. The model is locked; the caller is alone.
func (s *Service) plan(ctx context.Context, tx postgres.Tx, t tenant.Tenant, key string, r Request) (Run, error) {
	m, err := lockModel(ctx, tx, t.ID, key)
	if err != nil {
		return Run{}, err
	}
	run, err := s.planned(t, m, r)
	if err != nil {
		return Run{}, err
	}
	busy, err := inProgress(ctx, tx, t.ID, m.ID)
	if err != nil {
		return Run{}, err
	}
	if busy {
		return Run{}, ErrRunInProgress
	}
	if r.Keep {
		if err := keepCalibration(ctx, tx, t, m, &run); err != nil {
			return Run{}, err
		}
	}
	if m.Kind == Potential && m.Params.CLVModel != "" {
		of, err := oneModel(ctx, tx, t.ID, m.Params.CLVModel)
		if err != nil {
			return Run{}, err
		}
		run.Params.Family, run.Params.HorizonMonths, run.Params.DiscountRate = of.Params.Family, of.Params.HorizonMonths, of.Params.DiscountRate
	}
	return run, nil
}

// enqueue stores runs with the job that does them all.
func (s *Service) enqueue(ctx context.Context, tx postgres.Tx, call tenant.Call, runs ...Run) (jobs.Job, error) {
	spec := jobs.Spec{Kind: jobKind, SubjectType: "score_run", SubjectID: runs[0].ID.String()}
	if len(runs) > 1 {
		spec.Kind, spec.SubjectType, spec.SubjectID = setKind, "tenant", call.Tenant.Name
	}
	job, err := s.jobs.Start(ctx, tx, call, spec)
	if err != nil {
		return jobs.Job{}, err
	}
	for _, run := range runs {
		run.JobID = job.ID
		if err := insertRun(ctx, tx, call.Tenant.ID, run); err != nil {
			return jobs.Job{}, err
		}
	}
	return job, nil
}

var notYet = fault.T("the facts of that day are not known yet: at most today in the tenant's time zone", "该日尚未到来：最晚为租户时区的今天")

// planned is the run that a request asks for.
func (s *Service) planned(t tenant.Tenant, m Model, r Request) (Run, error) {
	now := s.now()
	today := t.Today(now)
	clock := m.Clock.Day(t, now)
	asOf := clock
	if r.AsOf != nil {
		asOf = *r.AsOf
	}
	if m.RetiredAt != nil {
		return Run{}, ErrRetired
	}
	if r.AsOf == nil && asOf.After(today.Time) { // under another time zone the day was there
		return Run{}, ErrClockAhead
	}
	var v fault.Validator
	v.Check(asOf.Plausible(), "/as_of", "out_of_range", tenant.Implausible)
	v.Check(!asOf.After(today.Time), "/as_of", "in_future", notYet)
	v.Check(m.Kind != Rules || asOf.Equal(today.Time) || asOf.After(today.Time), "/as_of", "not_of_kind", fault.T(
		"rules are about customers as they are: a past day can't be judged by them", "rules 类型评估客户的当前状态，不能回溯到过去的日期"))
	if err := v.Err(); err != nil {
		return Run{}, err
	}
	return Run{ID: uuid.Must(uuid.NewV7()), ModelKey: m.Key, Revision: m.Revision, Kind: m.Kind, Params: m.Params, AsOf: asOf, CreatedAt: now,
		Live: m.Clock.Fixed == nil && asOf.Equal(today.Time), recalibrate: true, model: m.ID, activate: r.Activate || asOf.Equal(clock.Time)}, nil
}

// keepCalibration has the run take over the calibration in force, if it was learned by the model's parameters of now.
func keepCalibration(ctx context.Context, tx postgres.Tx, t tenant.Tenant, m Model, run *Run) error {
	if m.CurrentRun == nil {
		return nil
	}
	current, err := oneRun(ctx, tx, t.ID, m.Key, *m.CurrentRun)
	if err != nil {
		return err
	}
	if current.Revision == m.Revision && current.Calibration != nil && current.CalibratedBy != nil && current.Calibration.Currency == t.Currency {
		run.Params = current.Params
		run.Calibration, run.CalibratedBy, run.CalibratedOn, run.recalibrate = current.Calibration, current.CalibratedBy, current.CalibratedOn, false
	}
	return nil
}

// Run is one run of the model, or ErrRunNotFound.
func (s *Service) Run(ctx context.Context, t tenant.Tenant, key string, id uuid.UUID) (Run, error) {
	return oneRun(ctx, s.db, t.ID, key, id)
}

// Runs is a page of the model's runs, newest first. Fails with ErrNotFound.
func (s *Service) Runs(ctx context.Context, t tenant.Tenant, key string, req page.Request) (page.Of[Run], error) {
	if _, err := oneModel(ctx, s.db, t.ID, key); err != nil {
		return page.Of[Run]{}, err
	}
	return runs(ctx, s.db, t.ID, key, req)
}

// Scores is a page of what the run computed, the highest value first; nothing before it succeeds. Fails with
// ErrRunNotFound, or ErrRunDropped when they are no longer kept.
func (s *Service) Scores(ctx context.Context, t tenant.Tenant, key string, id uuid.UUID, req page.Request) (page.Of[Scored], error) {
	r, err := oneRun(ctx, s.db, t.ID, key, id)
	switch {
	case err != nil:
		return page.Of[Scored]{}, err
	case r.Status == jobs.Succeeded && !r.Kept:
		return page.Of[Scored]{}, ErrRunDropped
	}
	return scored(ctx, s.db, t.ID, r.no, req)
}

// Activate puts a run into force; one that is already stays as it is. Fails with ErrRunNotFound, ErrRunNotSucceeded or
// ErrRunDropped.
func (s *Service) Activate(ctx context.Context, call tenant.Call, key string, id uuid.UUID) (Run, error) {
	var r Run
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := alone(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		m, err := lockModel(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		r, err = oneRun(ctx, tx, call.Tenant.ID, key, id)
		switch {
		case err != nil:
			return err
		case r.Status != jobs.Succeeded:
			return ErrRunNotSucceeded
		case !r.Kept:
			return ErrRunDropped
		case r.Current:
			return nil
		}
		if err := s.activate(ctx, tx, call, m, r, nil); err != nil {
			return err
		}
		r, err = oneRun(ctx, tx, call.Tenant.ID, key, id)
		return err
	})
	return r, err
}

// activate puts r into force; m is locked. coming are the models of which the same job has runs.
func (s *Service) activate(ctx context.Context, tx postgres.Tx, call tenant.Call, m Model, r Run, coming map[uuid.UUID]bool) error {
	now := s.now()
	if err := setCurrent(ctx, tx, call.Tenant.ID, m.ID, r.no, now); err != nil {
		return err
	}
	event.Means(ctx, tx, call, "scores."+m.Key)
	err := event.Record(ctx, tx, call, now, event.Event{Type: "score_run.activated", SubjectType: "score_run",
		SubjectID: r.ID.String(), Changed: []string{"current_run_id"}, Previous: map[string]any{"current_run_id": m.CurrentRun}})
	if err != nil {
		return err
	}
	return s.follow(ctx, tx, call, m, r, coming)
}

// OfCustomer is the customer's scores in force by model key, explained. Fails with customer.ErrNotFound.
func (s *Service) OfCustomer(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]Score, error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return nil, err
	}
	return explained(ctx, s.db, t.ID, c.ID, "")
}

// OneOfCustomer is the customer's score in force of one model, explained; with an rfm score come the customer's habits.
// Fails with customer.ErrNotFound, ErrNotFound, or ErrScoreNotFound.
func (s *Service) OneOfCustomer(ctx context.Context, t tenant.Tenant, id uuid.UUID, key string) (Score, error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return Score{}, err
	}
	all, err := explained(ctx, s.db, t.ID, c.ID, key)
	if err != nil {
		return Score{}, err
	}
	if len(all) == 0 {
		if _, err := oneModel(ctx, s.db, t.ID, key); err != nil {
			return Score{}, err
		}
		return Score{}, ErrScoreNotFound
	}
	if all[0].Kind == RFM {
		if all[0].Habits, err = habitsOf(ctx, s.db, t, c.ID); err != nil {
			return Score{}, err
		}
	}
	return all[0], nil
}

// History is a page of what the customer's score of a model was, newest first, each explained. Fails with
// customer.ErrNotFound or ErrNotFound.
func (s *Service) History(ctx context.Context, t tenant.Tenant, id uuid.UUID, key string, req page.Request) (page.Of[Score], error) {
	c, err := s.customers.Get(ctx, t, id)
	if err != nil {
		return page.Of[Score]{}, err
	}
	m, err := oneModel(ctx, s.db, t.ID, key)
	if err != nil {
		return page.Of[Score]{}, err
	}
	return history(ctx, s.db, t.ID, c.ID, m, req)
}
