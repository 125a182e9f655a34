package tier

import (
	"context"
	"fmt"
	"maps"
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
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps tier schemes and places customers.
type Service struct {
	db        *postgres.DB
	jobs      *jobs.Service
	customers *customer.Service
	now       func() time.Time
}

// NewService works on db, and does its jobs.
func NewService(db *postgres.DB, work *jobs.Service, now func() time.Time) *Service {
	s := &Service{db: db, jobs: work, customers: customer.NewService(db, now), now: now}
	work.Handle(evaluation, s.evaluate)
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

// Create makes a scheme; nobody is placed yet. Fails with ErrKeyTaken, ErrScoreUnknown when the preset's model does not
// exist, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, d Draft) (Scheme, error) {
	var made Scheme
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		now := s.now()
		var v fault.Validator
		if d.check(&v); v.Err() != nil {
			return v.Err()
		}
		name, drafts := strings.TrimSpace(d.Name), d.Tiers
		if d.Preset == Value {
			model := orElse(d.Score, defaultScore)
			if err := s.checkModel(ctx, tx, call, model); err != nil {
				return err
			}
			drafts, name = preset(model), orElse(name, defaultName)
		}
		tiers, err := s.read(ctx, tx, call, &v, d.Key, drafts)
		if err != nil {
			return err
		}
		if err := v.Err(); err != nil {
			return err
		}
		made = Scheme{ID: uuid.Must(uuid.NewV7()), Version: 1, Key: d.Key, Name: orElse(name, d.Key), Tiers: tiers,
			CreatedAt: now, UpdatedAt: now}
		if err := insert(ctx, tx, call.Tenant.ID, made); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "tier_scheme.created", made.Key, nil)
	})
	return made, err
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
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

// read turns drafts into tiers under the tenant's language of conditions. What conditions name is held until the end of
// the transaction: it is not deleted before the condition can be seen.
func (s *Service) read(ctx context.Context, tx postgres.Tx, call tenant.Call, v *fault.Validator, scheme string, drafts []TierDraft) ([]Tier, error) {
	if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
		return nil, err
	}
	l, err := condition.For(ctx, tx, call.Tenant, s.now())
	if err != nil {
		return nil, err
	}
	return read(v, scheme, drafts, func(raw []byte) (filter.Node, error) {
		n, _, err := l.Catalogue.CompileJSON(raw, l.Env)
		return n, err
	})
}

// Update merges change into the scheme. Tiers keep their customers by key until the next evaluation. A change without
// effect keeps the version and writes no event. Fails with ErrNotFound, patch.ErrVersion, fault.ErrInvalid, or
// ErrTierInUse when a tier would go that customers are in or that another scheme's condition names.
func (s *Service) Update(ctx context.Context, call tenant.Call, key string, expected patch.Expected, change Change) (Scheme, error) {
	var scheme Scheme
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if scheme, err = lock(ctx, tx, call.Tenant.ID, key); err != nil {
			return err
		}
		if err := expected.Check(scheme.Version); err != nil {
			return err
		}
		var v fault.Validator
		var tiers []Tier
		if change.Tiers != nil {
			if tiers, err = s.read(ctx, tx, call, &v, key, change.Tiers); err != nil {
				return err
			}
		}
		before := scheme
		previous := change.apply(&scheme, tiers)
		v.Check(scheme.Name != "", "/name", "required", fault.T("a name is needed", "必须有名称"))
		if err := v.Err(); err != nil || len(previous) == 0 {
			return err
		}
		if err := checkGone(ctx, tx, call.Tenant.ID, before, scheme); err != nil {
			return err
		}
		scheme.Version++
		scheme.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, scheme); err != nil {
			return err
		}
		if _, replaced := previous["tiers"]; replaced {
			if err := replace(ctx, tx, call.Tenant.ID, scheme); err != nil {
				return err
			}
			event.Means(ctx, tx, call, "tiers."+key)
		}
		return s.record(ctx, tx, call, "tier_scheme.updated", key, previous)
	})
	return scheme, err
}

// checkGone fails with ErrTierInUse when one of the tiers that are in before but not in after is in use. Deleted
// customers do not count: an evaluation would not move them, and without its tier a placement is none.
func checkGone(ctx context.Context, tx postgres.Tx, tenantID int32, before, after Scheme) error {
	var gone []string
	for i, t := range before.Tiers {
		if after.index(t.Key) >= 0 {
			continue
		}
		gone = append(gone, t.Key)
		n, err := inTier(ctx, tx, tenantID, before.ID, t.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			return ErrTierInUse.Because(
				fmt.Sprintf("%d customers are in the tier %s; give it a condition that holds for nobody and evaluate first", n, t.Key),
				fmt.Sprintf("层级 %s 中有 %d 位客户；请先将其条件改为不匹配任何客户并重新评估", t.Key, n),
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
	names := condition.Names(readers)
	return ErrTierInUse.Because("conditions name the tier that should go; change them first: "+names, "以下条件引用了要删除的层级，请先修改："+names)
}

// Delete deletes the scheme, and in the same commit every placement in it disappears: without its scheme it shows
// nowhere. The rows are removed by a job, because no transaction changes more than chunk customers. Fails with
// ErrNotFound, patch.ErrVersion, or ErrInUse while another scheme's condition names the scheme's tiers.
func (s *Service) Delete(ctx context.Context, call tenant.Call, key string, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		scheme, err := lock(ctx, tx, call.Tenant.ID, key)
		if err != nil {
			return err
		}
		if err := expected.Check(scheme.Version); err != nil {
			return err
		}
		readers, err := condition.Readers(ctx, tx, call.Tenant.ID, func(l filter.Leaf) bool { return l.Field == "tiers."+key })
		if err != nil {
			return err
		}
		if len(readers) > 0 {
			names := condition.Names(readers)
			return ErrInUse.Because("conditions name the scheme's tiers; change them first: "+names, "以下条件引用了该方案，请先修改："+names)
		}
		if err := drop(ctx, tx, call.Tenant.ID, scheme.ID); err != nil {
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
		return s.record(ctx, tx, call, "tier_scheme.deleted", key, map[string]any{"name": scheme.Name, "tiers": documents(scheme.Tiers)})
	})
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

// Placed are the tiers of one customer, or of the survivor that it was merged into. Fails with customer.ErrNotFound.
func (s *Service) Placed(ctx context.Context, t tenant.Tenant, customerID uuid.UUID) ([]Placement, error) {
	c, err := s.customers.Get(ctx, t, customerID)
	if err != nil {
		return nil, err
	}
	found, err := Of(ctx, s.db, t.ID, []uuid.UUID{c.ID})
	return found[c.ID], err
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what, key string, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: key,
		Changed: slices.Sorted(maps.Keys(previous)), Previous: previous})
}
