package quality

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps rules and weights, and reports.
type Service struct {
	db   *postgres.DB
	jobs *jobs.Service
	now  func() time.Time
}

// NewService works on db, and does its jobs.
func NewService(db *postgres.DB, work *jobs.Service, now func() time.Time) *Service {
	s := &Service{db: db, jobs: work, now: now}
	work.Handle(weighing, s.weigh)
	return s
}

// Rules are all rules in their display order.
func (s *Service) Rules(ctx context.Context, t tenant.Tenant) ([]Rule, error) {
	return list(ctx, s.db, t.ID)
}

// Rule is one rule, or ErrNotFound.
func (s *Service) Rule(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Rule, error) {
	return get(ctx, s.db, t.ID, id, false)
}

func (d Draft) rule() Rule {
	return Rule{AppliesTo: d.AppliesTo, Name: d.Name, Kind: d.Kind, Field: d.Field, Pattern: d.Pattern, Severity: d.Severity,
		Message: d.Message, Active: !d.Inactive, Position: d.Position}
}

// CreateRule makes a rule. Customers that break it stay as they are until they are written. Fails with ErrNameTaken,
// ErrTooMany, or a fault that names what is wrong.
func (s *Service) CreateRule(ctx context.Context, call tenant.Call, d Draft) (Rule, error) {
	var r Rule
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		r = d.rule()
		r.ID, r.Version, r.CreatedAt = uuid.Must(uuid.NewV7()), 1, s.now()
		r.UpdatedAt = r.CreatedAt
		if err := s.check(ctx, tx, call.Tenant, &r, d.Condition); err != nil {
			return err
		}
		n, err := count(ctx, tx, call.Tenant.ID)
		if err != nil {
			return err
		}
		if n >= MaxRules {
			return ErrTooMany
		}
		if err := insert(ctx, tx, call.Tenant.ID, r); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "validation_rule.created", r.ID, nil)
	})
	return r, err
}

// check holds what the rule names until the end of the transaction, and checks it.
func (s *Service) check(ctx context.Context, tx postgres.Tx, t tenant.Tenant, r *Rule, raw json.RawMessage) error {
	if err := condition.Hold(ctx, tx, t.ID); err != nil {
		return err
	}
	l, err := condition.StrictHeld(ctx, tx, t, s.now())
	if err != nil {
		return err
	}
	return r.check(l, raw)
}

// UpdateRule merges change into the rule. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion, ErrNameTaken, or a fault that names what is wrong.
func (s *Service) UpdateRule(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Rule, error) {
	var r Rule
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		before, err := get(ctx, tx, call.Tenant.ID, id, true)
		if err != nil {
			return err
		}
		if err := expected.Check(before.Version); err != nil {
			return err
		}
		r = before
		if err := s.check(ctx, tx, call.Tenant, &r, change.apply(&r)); err != nil {
			return err
		}
		previous := patch.Differences(before.document(), r.document())
		if len(previous) == 0 {
			return nil
		}
		r.Version++
		r.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, r); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "validation_rule.updated", id, previous)
	})
	return r, err
}

// DeleteRule deletes a rule. Fails with ErrNotFound or patch.ErrVersion.
func (s *Service) DeleteRule(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		r, err := get(ctx, tx, call.Tenant.ID, id, true)
		if err != nil {
			return err
		}
		if err := expected.Check(r.Version); err != nil {
			return err
		}
		if err := remove(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "validation_rule.deleted", id, r.document())
	})
}

// maxSamples is how many customers a Trial names.
const maxSamples = 10

// Trial is what a rule would mean for the customers there are.
type Trial struct {
	Customers int64 // to whom it applies
	Violating int64
	Samples   []uuid.UUID
}

// TryDraft tells what a new rule would mean, and stores nothing.
func (s *Service) TryDraft(ctx context.Context, t tenant.Tenant, d Draft) (Trial, error) {
	return s.try(ctx, t, d.rule(), d.Condition)
}

// TryChange tells what a change of a rule would mean, and changes nothing. Fails with ErrNotFound too.
func (s *Service) TryChange(ctx context.Context, t tenant.Tenant, id uuid.UUID, change Change) (Trial, error) {
	r, err := get(ctx, s.db, t.ID, id, false)
	if err != nil {
		return Trial{}, err
	}
	return s.try(ctx, t, r, change.apply(&r))
}

func (s *Service) try(ctx context.Context, t tenant.Tenant, r Rule, raw json.RawMessage) (Trial, error) {
	l, err := condition.For(ctx, s.db, t, s.now())
	if err != nil {
		return Trial{}, err
	}
	if err := r.check(l, raw); err != nil {
		return Trial{}, err
	}
	q := ask(l, []Rule{r})
	trial := Trial{Samples: []uuid.UUID{}}
	err = q.each(ctx, s.db, everybody, []any{t.ID, string(r.AppliesTo)}, func(a answer) {
		trial.Customers++
		if len(q.broken(a)) > 0 {
			trial.Violating++
			if len(trial.Samples) < maxSamples {
				trial.Samples = append(trial.Samples, a.id)
			}
		}
	})
	return trial, err
}

// Readers names the rules without a condition and the weights that read a field for which reads holds; those with one are
// among condition.Readers. Whoever deletes a field asks here first.
func Readers(ctx context.Context, q postgres.Querier, tenantID int32, reads func(filter.Leaf) bool) ([]string, error) {
	all, err := list(ctx, q, tenantID)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range all {
		if r.Condition == nil && reads(filter.Leaf{Field: r.Field}) {
			names = append(names, "validation rule "+r.Name)
		}
	}
	weights, err := completeness.Of(ctx, q, tenantID)
	if err != nil {
		return nil, err
	}
	for _, w := range weights {
		if slices.ContainsFunc(w.Fields, func(x completeness.Weight) bool { return reads(filter.Leaf{Field: x.Field}) }) {
			names = append(names, "completeness weights of "+w.Kind)
		}
	}
	return names, nil
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what string, id uuid.UUID, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "validation_rule", SubjectID: id.String(),
		Previous: previous})
}
