package tier

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps tier schemes; the rule engine places customers by them.
//
// Locks are taken in this order, so that no two calls wait for each other: customers, what conditions name, the scheme, the
// rules.
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
	work.Handle(removal, s.remove)
	return s
}

// List is all schemes by key.
func (s *Service) List(ctx context.Context, t tenant.Tenant) ([]Scheme, error) {
	return list(ctx, s.db, t.ID)
}

// Get is one scheme, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, key string) (Scheme, error) {
	return get(ctx, s.db, t.ID, key)
}

// Create makes a scheme and, unless it is only a draft, starts the job that places everybody. Fails with ErrKeyTaken,
// ErrScoreUnknown when the preset's model does not exist, rule.ErrCycle, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, d Draft) (Scheme, error) {
	var made Scheme
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		now := s.now()
		var v fault.Validator
		if d.check(&v); v.Err() != nil {
			return v.Err()
		}
		if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
			return err
		}
		if d.Preset == Value {
			if err := s.checkModel(ctx, tx, call, orElse(d.Score, defaultScore)); err != nil {
				return err
			}
		}
		d := d.complete()
		definition, err := s.apply(ctx, tx, call.Tenant, &v, d.Key, initial, d.Terms)
		if err != nil {
			return err
		}
		if err := v.Err(); err != nil {
			return err
		}
		made = Scheme{ID: uuid.Must(uuid.NewV7()), Version: 1, Key: d.Key, Name: orElse(strings.TrimSpace(d.Name), d.Key), Preset: d.Preset,
			CreatedAt: now, UpdatedAt: now}
		if d.Inactive {
			made.Definition, made.Draft = initial, &definition
		} else {
			made.Definition, made.Revision = definition, 1
		}
		if err := insert(ctx, tx, call.Tenant.ID, made); err != nil {
			return err
		}
		if made.Active() {
			if err := s.inForce(ctx, tx, call, made); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, call, "tier_scheme.created", made.Key, nil)
	})
	return made, err
}

func (s *Service) checkModel(ctx context.Context, tx postgres.Tx, call tenant.Call, key string) error {
	exists, err := modelExists(ctx, tx, call.Tenant.ID, key)
	if err != nil || exists {
		return err
	}
	return ErrScoreUnknown.Because(
		fmt.Sprintf("there is no score model %q; create it first with POST /v1/score-models, or name another one as score", key),
		fmt.Sprintf("没有评分模型 %q；请先用 POST /v1/score-models 创建，或在 score 中指定其他模型", key),
	).At("/score", ErrScoreUnknown.Code, ErrScoreUnknown.Message)
}

// apply is what terms make of a definition under the tenant's language of conditions.
func (s *Service) apply(ctx context.Context, q postgres.Querier, t tenant.Tenant, v *fault.Validator, key string, to Definition, terms Terms) (Definition, error) {
	l, err := condition.Strict(ctx, q, t, s.now())
	if err != nil {
		return Definition{}, err
	}
	env := l.Env
	env.Qualification = &filter.Span{From: filter.SQL(`NULL`), To: filter.SQL(`NULL`)}
	return terms.apply(v, key, to, func(raw []byte) (filter.Node, error) {
		n, _, err := l.Catalogue.CompileJSON(raw, env)
		return n, err
	})
}

// inForce keeps the definition that has come into force, and lets everybody be judged by it. Fails with rule.ErrCycle.
func (s *Service) inForce(ctx context.Context, tx postgres.Tx, call tenant.Call, x Scheme) error {
	if err := insertRevision(ctx, tx, call, x, s.now()); err != nil {
		return err
	}
	_, err := s.engine.Changed(ctx, tx, call, ruleSubject, x.ID, false)
	return err
}

// Update merges change into the scheme and its definition in force, by which a job then judges everybody. A change without
// effect keeps the version and writes no event. Fails with ErrNotFound, patch.ErrVersion, fault.ErrInvalid, ErrInactive,
// rule.ErrCycle, or ErrTierInUse when a tier would go that customers are in or that a condition names.
func (s *Service) Update(ctx context.Context, call tenant.Call, key string, expected patch.Expected, change Change) (Scheme, error) {
	return s.change(ctx, call, key, expected, "tier_scheme.updated", func(tx postgres.Tx, x *Scheme) error {
		if !x.Active() && !change.empty() {
			return ErrInactive
		}
		var v fault.Validator
		patch.Keep(&x.Name, change.Name)
		x.Name = strings.TrimSpace(x.Name)
		v.Check(x.Name != "", "/name", "required", fault.T("a name is needed", "必须有名称"))
		before := *x
		var err error
		if x.Definition, err = s.apply(ctx, tx, call.Tenant, &v, key, x.Definition, change.Terms); err != nil {
			return err
		}
		if err := v.Err(); err != nil {
			return err
		}
		return s.checkGone(ctx, tx, call.Tenant.ID, before, *x, true)
	})
}

// PutDraft gives the scheme a draft: its definition with other terms. Nobody is moved by it. Fails with ErrNotFound,
// patch.ErrVersion or fault.ErrInvalid.
func (s *Service) PutDraft(ctx context.Context, call tenant.Call, key string, expected patch.Expected, terms Terms) (Scheme, error) {
	return s.change(ctx, call, key, expected, "tier_scheme.drafted", func(tx postgres.Tx, x *Scheme) error {
		var v fault.Validator
		base := x.Definition
		if !x.Active() && x.Draft != nil {
			base = *x.Draft
		}
		draft, err := s.apply(ctx, tx, call.Tenant, &v, key, base, terms)
		if err == nil {
			err = v.Err()
		}
		x.Draft = &draft
		return err
	})
}

// DropDraft takes the draft away. Fails with ErrNotFound, patch.ErrVersion, or ErrInactive when there would be nothing left.
func (s *Service) DropDraft(ctx context.Context, call tenant.Call, key string, expected patch.Expected) error {
	_, err := s.change(ctx, call, key, expected, "tier_scheme.drafted", func(_ postgres.Tx, x *Scheme) error {
		if !x.Active() {
			return ErrInactive
		}
		x.Draft = nil
		return nil
	})
	return err
}

// Activate puts the draft in force and starts the job that judges everybody by it. Who is in a tier that the draft does not
// have is placed anew. Fails with ErrNotFound, patch.ErrVersion, ErrNoDraft, rule.ErrCycle, ErrTierInUse when a condition
// names a tier that would go, or a fault of a condition that no longer means anything.
func (s *Service) Activate(ctx context.Context, call tenant.Call, key string, expected patch.Expected) (Scheme, error) {
	return s.change(ctx, call, key, expected, "tier_scheme.activated", func(tx postgres.Tx, x *Scheme) error {
		if x.Draft == nil {
			return ErrNoDraft
		}
		before := *x
		x.Definition, x.Draft = *x.Draft, nil
		if _, err := s.judge(ctx, tx, call.Tenant, *x); err != nil {
			return err
		}
		if before.Active() {
			return s.checkGone(ctx, tx, call.Tenant.ID, before, *x, false)
		}
		return nil
	})
}

// judge is a scheme that compiles, to be asked now.
func (s *Service) judge(ctx context.Context, q postgres.Querier, t tenant.Tenant, x Scheme) (judge, error) {
	l, err := condition.For(ctx, q, t, s.now())
	if err != nil {
		return judge{}, err
	}
	j := judge{definition: x.Definition, scheme: x.ID, tenant: t, today: t.Today(s.now()), language: l}
	_, err = j.decide()
	return j, err
}

// change edits a scheme under its lock and that of the rules.
func (s *Service) change(ctx context.Context, call tenant.Call, key string, expected patch.Expected, what string, edit func(tx postgres.Tx, x *Scheme) error) (Scheme, error) {
	var x Scheme
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		// What conditions name is not deleted before the condition can be seen.
		err := condition.Hold(ctx, tx, call.Tenant.ID)
		if err != nil {
			return err
		}
		if x, err = lock(ctx, tx, call.Tenant.ID, key); err != nil {
			return err
		}
		if err := expected.Check(x.Version); err != nil {
			return err
		}
		if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
			return err
		}
		before := x
		if err := edit(tx, &x); err != nil {
			return err
		}
		previous := before.differences(x)
		if len(previous) == 0 {
			return nil
		}
		decides := !reflect.DeepEqual(before.Definition, x.Definition) || !before.Active() && what == "tier_scheme.activated"
		if decides {
			x.Revision++
		}
		x.Version++
		x.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, x); err != nil {
			return err
		}
		if decides {
			if err := replace(ctx, tx, call.Tenant.ID, x); err != nil {
				return err
			}
			event.Means(ctx, tx, call, "tiers."+key)
			if err := s.inForce(ctx, tx, call, x); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, call, what, key, previous)
	})
	return x, err
}

// differences are the fields in which x differs, with their values before.
func (s Scheme) differences(x Scheme) map[string]any {
	previous := map[string]any{}
	if s.Name != x.Name {
		previous["name"] = s.Name
	}
	d, e := s.document(), x.document()
	if !reflect.DeepEqual(s.Tiers, x.Tiers) {
		previous["tiers"] = d.Tiers
	}
	if d.Window != e.Window || d.Months != e.Months || d.Days != e.Days {
		previous["qualification"] = map[string]any{"window": d.Window, "months": d.Months, "days": d.Days}
	}
	if d.Downgrade != e.Downgrade {
		previous["downgrade"] = d.Downgrade
	}
	if d.DowngradeAt != e.DowngradeAt {
		previous["downgrade_at"] = d.DowngradeAt
	}
	if d.GraceDays != e.GraceDays {
		previous["grace_days"] = d.GraceDays
	}
	if !reflect.DeepEqual(s.Draft, x.Draft) {
		previous["draft"] = nil
		if s.Draft != nil {
			previous["draft"] = s.Draft.document()
		}
	}
	return previous
}

// checkGone fails with ErrTierInUse when one of the tiers that are in before but not in after is named by a condition or, if
// that matters, has customers. Deleted customers do not count: nobody moves them, and without its tier a placement is none.
func (s *Service) checkGone(ctx context.Context, tx postgres.Tx, tenantID int32, before, after Scheme, customers bool) error {
	var gone []string
	for i, t := range before.Tiers {
		if after.index(t.Key) >= 0 {
			continue
		}
		gone = append(gone, t.Key)
		if !customers {
			continue
		}
		n, err := inTier(ctx, tx, tenantID, before.ID, t.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			return ErrTierInUse.Because(
				fmt.Sprintf("%d customers are in the tier %s; remove it by a draft: activating one places them anew", n, t.Key),
				fmt.Sprintf("层级 %s 中有 %d 位客户；请通过草稿删除该层级，启用草稿会重新安排这些客户", t.Key, n),
			).At("/tiers", ErrTierInUse.Code, fault.T("the tier "+before.Tiers[i].Key+" is missing", "缺少层级 "+before.Tiers[i].Key))
		}
	}
	if gone == nil {
		return nil
	}
	readers, err := condition.Readers(ctx, tx, tenantID, func(l filter.Leaf) bool {
		return l.Field == "tiers."+before.Key && slices.ContainsFunc(gone, func(key string) bool {
			return slices.Contains(l.Values, filter.String(key))
		})
	})
	if err != nil || len(readers) == 0 {
		return err
	}
	return condition.Blocks(ErrTierInUse, "scheme_key", fault.T("the tier that should go", "要删除的层级"), readers)
}

// Delete deletes the scheme, and in the same commit every placement in it disappears: without its scheme it shows
// nowhere. The rows are removed by a job, because no transaction changes more than chunk customers. Fails with
// ErrNotFound, patch.ErrVersion, or ErrInUse while a condition names the scheme's tiers.
func (s *Service) Delete(ctx context.Context, call tenant.Call, key string, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		scheme, err := lock(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		if err := expected.Check(scheme.Version); err != nil {
			return err
		}
		if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
			return err
		}
		readers, err := condition.Readers(ctx, tx, call.Tenant.ID, func(l filter.Leaf) bool { return l.Field == "tiers."+key })
		if err != nil {
			return err
		}
		if len(readers) > 0 {
			return condition.Blocks(ErrInUse, "scheme_key", fault.T("the scheme's tiers", "该方案"), readers)
		}
		if err := drop(ctx, tx, call.Tenant.ID, scheme.ID); err != nil {
			return err
		}
		if _, err := s.engine.Changed(ctx, tx, call, ruleSubject, scheme.ID, true); err != nil {
			return err
		}
		some, err := anyPlaced(ctx, tx, call.Tenant.ID, scheme.ID)
		if err != nil {
			return err
		}
		if some {
			// By id: a new scheme may have the key before the job is done.
			spec := jobs.Spec{Kind: removal, SubjectType: subject, SubjectID: scheme.ID.String()}
			if _, err := s.jobs.Start(ctx, tx, call, spec); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, call, deleted, key, map[string]any{"name": scheme.Name, "tiers": scheme.document().Tiers})
	})
}

// Evaluate starts the job that judges every customer by the scheme, or answers the one that does so already. Fails with
// ErrNotFound, ErrInactive, or the fault of a condition that no longer means anything, such as one about a deleted score.
func (s *Service) Evaluate(ctx context.Context, call tenant.Call, key string) (jobs.Job, error) {
	var job jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		// The lock lets one caller at a time look for a job and start one.
		x, err := lock(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		if !x.Active() {
			return ErrInactive
		}
		if _, err := s.judge(ctx, tx, call.Tenant, x); err != nil {
			return err
		}
		job, err = jobs.Of(ctx, tx, call.Tenant, ruleSubject, x.ID.String())
		if err == nil && !job.Status.Ended() {
			return nil
		}
		started, err := s.engine.Changed(ctx, tx, call, ruleSubject, x.ID, false)
		if err == nil {
			job = *started
		}
		return err
	})
	return job, err
}

// Distribution counts the scheme's customers, or fails with ErrNotFound.
func (s *Service) Distribution(ctx context.Context, t tenant.Tenant, key string) (Distribution, error) {
	scheme, err := get(ctx, s.db, t.ID, key)
	if err != nil {
		return Distribution{}, err
	}
	byTier, total, err := distribution(ctx, s.db, t.ID, scheme.ID)
	if err != nil {
		return Distribution{}, err
	}
	d := Distribution{Scheme: scheme, Customers: make([]int64, len(scheme.Tiers)), Total: total, Unplaced: total}
	for i, r := range scheme.Tiers {
		d.Customers[i] = byTier[r.ID]
		d.Unplaced -= byTier[r.ID]
	}
	return d, nil
}

// Revisions are the definitions that were in force, newest first. Fails with ErrNotFound.
func (s *Service) Revisions(ctx context.Context, t tenant.Tenant, key string) ([]Revision, error) {
	x, err := get(ctx, s.db, t.ID, key)
	if err != nil {
		return nil, err
	}
	return revisions(ctx, s.db, t.ID, x.ID)
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what, key string, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: key,
		Previous: previous})
}
