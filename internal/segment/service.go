package segment

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps segments.
//
// Locks are taken in this order, so that no two calls wait for each other: customers, what conditions name, the segment,
// the rules.
type Service struct {
	db        *postgres.DB
	jobs      *jobs.Service
	engine    *rule.Engine
	customers *customer.Service
	now       func() time.Time
}

// NewService works on db, does its jobs, and adds its rules to the engine.
func NewService(db *postgres.DB, work *jobs.Service, engine *rule.Engine, now func() time.Time) *Service {
	s := &Service{db: db, jobs: work, engine: engine, customers: customer.NewService(db, now), now: now}
	engine.Add(NewRules(now))
	work.Handle(bulkJob, s.bulkWork)
	work.Handle(removalJob, s.removalWork)
	return s
}

// Query asks for segments by key.
type Query struct {
	Page     page.Request
	Basis    Basis // empty for all
	Archived bool  // the archived ones instead
}

// List is a page of segments by key.
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Segment], error) {
	return list(ctx, s.db, t.ID, q)
}

// Get is one segment, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, key string) (Segment, error) {
	return get(ctx, s.db, t.ID, key, unlocked)
}

// Evaluations are how true the memberships of segments are.
func (s *Service) Evaluations(ctx context.Context, t tenant.Tenant, segments ...Segment) (map[uuid.UUID]rule.Evaluation, error) {
	rules := make([]rule.Evaluated, len(segments))
	for i, x := range segments {
		rules[i] = rule.Evaluated{ID: x.ID, Relative: x.Relative(), At: x.EvaluatedAt}
	}
	return s.engine.Evaluations(ctx, s.db, t, subject, rules)
}

// Complete fills what a draft leaves away from its preset, so that the caller sees the condition before it is saved.
func (s *Service) Complete(ctx context.Context, t tenant.Tenant, d Draft) (Draft, error) {
	return complete(ctx, s.db, t, d)
}

// Create makes a segment and starts the job that evaluates it for everybody. Fails with ErrKeyTaken, rule.ErrCycle, a fault
// of the condition, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, d Draft) (Segment, *jobs.Job, error) {
	var v fault.Validator
	v.Check(d.Key != "", "/key", "required", fault.T("a segment needs a key", "客户细分必须有键"))
	v.Check(d.Basis != "", "/basis", "required", fault.T("a segment needs a basis", "客户细分必须有细分依据"))
	v.Check(d.Static != (d.Condition != nil), "/filter", "required",
		fault.T("a dynamic segment needs a condition, a static one has none", "动态细分必须有条件，静态细分没有条件"))
	if err := v.Err(); err != nil {
		return Segment{}, nil, err
	}
	now := s.now()
	made := Segment{ID: uuid.Must(uuid.NewV7()), Version: 1, Key: d.Key, Name: orElse(d.Name, d.Key), Description: d.Description,
		Basis: d.Basis, Strategy: d.Strategy, Benefits: d.Benefits, Preset: d.Preset, Condition: d.Condition, CreatedAt: now, UpdatedAt: now}
	if made.Benefits == nil {
		made.Benefits = []Benefit{}
	}
	if !made.Static() {
		made.Revision = 1
	}
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := made.check(); err != nil {
			return err
		}
		if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		if err := insert(ctx, tx, call.Tenant.ID, made); err != nil {
			return err
		}
		var err error
		if job, err = s.changed(ctx, tx, call, made, nil); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "segment.created", made.Key, nil)
	})
	return made, job, err
}

// changed checks the condition of a segment that was written, and lets everybody be judged by it. before is what the
// segment was.
func (s *Service) changed(ctx context.Context, tx postgres.Tx, call tenant.Call, x Segment, before *Segment) (*jobs.Job, error) {
	if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
		return nil, err
	}
	if x.ArchivedAt != nil {
		if err := s.unread(ctx, tx, call.Tenant, x.Key); err != nil {
			return nil, err
		}
	}
	if x.Condition != nil && x.ArchivedAt == nil {
		l, err := condition.Strict(ctx, tx, call.Tenant, s.now())
		if err != nil {
			return nil, err
		}
		if _, err := l.Catalogue.Compile(x.Condition, l.Env); err != nil {
			if f := fault.Of(err); f != nil {
				return nil, f.Below("/filter")
			}
			return nil, err
		}
	}
	if before != nil && before.Revision == x.Revision && (before.ArchivedAt == nil) == (x.ArchivedAt == nil) {
		return nil, nil
	}
	return s.engine.Changed(ctx, tx, call, subject, x.ID, false)
}

// unread fails with ErrInUse when conditions in force name the segment.
func (s *Service) unread(ctx context.Context, q postgres.Querier, t tenant.Tenant, key string) error {
	readers, err := dependents(ctx, q, t, key)
	if err != nil || len(readers) == 0 {
		return err
	}
	return condition.Blocks(ErrInUse, "segment_key", fault.T("the segment", "该客户细分"), readers)
}

func dependents(ctx context.Context, q postgres.Querier, t tenant.Tenant, key string) ([]condition.Reader, error) {
	return condition.Readers(ctx, q, t.ID, func(l filter.Leaf) bool {
		return l.Field == condition.Segments && slices.Contains(l.Values, filter.String(key))
	})
}

// Dependents are whose conditions name the segment. Fails with ErrNotFound.
func (s *Service) Dependents(ctx context.Context, t tenant.Tenant, key string) ([]condition.Reader, error) {
	if _, err := get(ctx, s.db, t.ID, key, unlocked); err != nil {
		return nil, err
	}
	return dependents(ctx, s.db, t, key)
}

// Update merges change into the segment; a new condition, archiving or restoring starts a job. A change without effect
// keeps the version and writes no event. Fails with ErrNotFound, patch.ErrVersion, ErrStatic, ErrInUse, rule.ErrCycle, a
// fault of the condition, or fault.ErrInvalid.
func (s *Service) Update(ctx context.Context, call tenant.Call, key string, expected patch.Expected, change Change) (Segment, *jobs.Job, error) {
	var x Segment
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		job = nil
		if change.Condition != nil || change.Archived != nil {
			if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
				return err
			}
		}
		var err error
		if x, err = get(ctx, tx, call.Tenant.ID, key, changing); err != nil {
			return err
		}
		if err := expected.Check(x.Version); err != nil {
			return err
		}
		before := x
		if change.Condition != nil && before.Static() {
			return ErrStatic
		}
		previous := change.apply(&x, s.now())
		if err := x.check(); err != nil || len(previous) == 0 {
			return err
		}
		if _, other := previous["filter"]; other {
			x.Revision++
		}
		x.Version++
		x.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, x); err != nil {
			return err
		}
		_, archived := previous["archived"]
		if x.Revision != before.Revision || archived {
			if job, err = s.changed(ctx, tx, call, x, &before); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, call, "segment.updated", key, previous)
	})
	return x, job, err
}

// Delete deletes the segment. In the same commit nobody is in it any more; the rows are removed by a job, because no
// transaction changes more than chunk customers. Fails with ErrNotFound, patch.ErrVersion, or ErrInUse with the list of
// those that name it.
func (s *Service) Delete(ctx context.Context, call tenant.Call, key string, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		x, err := get(ctx, tx, call.Tenant.ID, key, changing)
		if err != nil {
			return err
		}
		if err := expected.Check(x.Version); err != nil {
			return err
		}
		if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
			return err
		}
		if err := s.unread(ctx, tx, call.Tenant, key); err != nil {
			return err
		}
		if err := remove(ctx, tx, call.Tenant.ID, x.ID); err != nil {
			return err
		}
		if _, err := s.engine.Changed(ctx, tx, call, subject, x.ID, true); err != nil {
			return err
		}
		if _, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: removalJob, SubjectType: subject, SubjectID: x.ID.String()}); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "segment.deleted", key, x.document())
	})
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what, key string, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: key,
		Previous: previous})
}
