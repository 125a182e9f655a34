package score

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// What models read of each other, and what else reads them.

// field is how conditions name the score of a model.
func field(key string) string { return condition.Scores + "." + key }

// reads are the models and fields that a model's scores depend on, as condition.Reads names them.
func (m Model) reads() []string {
	var names []string
	for _, r := range m.Params.Rules {
		if r.Condition != nil {
			names = append(names, condition.Reads(r.Condition)...)
		}
	}
	for _, p := range m.Params.Parts {
		names = append(names, field(p.Score))
	}
	if m.Params.CLVModel != "" {
		names = append(names, field(m.Params.CLVModel))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkReads checks what a model reads: its conditions mean something, its parts are models, and it does not depend on
// itself by way of other models, segments or tiers. What it names is held until the end of the transaction.
func (s *Service) checkReads(ctx context.Context, tx postgres.Tx, t tenant.Tenant, m *Model, v *fault.Validator) error {
	if m.Kind != Rules && !m.Kind.joins() && m.Params.CLVModel == "" {
		return nil
	}
	if err := condition.Hold(ctx, tx, t.ID); err != nil {
		return err
	}
	all, err := models(ctx, tx, t.ID)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(all), func(x Model) bool { return x.Key == m.Key })
	if m.Kind == Composite && m.Params.Parts == nil {
		m.Params.Parts = defaultParts(others)
	}
	if m.Kind == AtRisk {
		m.Params.completeRisk(others)
	}
	m.check(v)
	of := map[string]Model{}
	for _, x := range all {
		of[x.Key] = x
	}
	unknown := fault.T("there is no score model with this key", "没有此键的评分模型")
	switch m.Kind {
	case Rules:
		if err := s.checkConditions(ctx, tx, t, m.Params.Rules, v); err != nil {
			return err
		}
	case AtRisk:
		m.Params.checkRisk(of, all, v)
	case Composite:
		for i, p := range m.Params.Parts {
			_, ok := of[p.Score]
			v.Check(ok || p.Score == m.Key, partAt(i)+"/score", "score_model_unknown", unknown, keysOf(others, Kinds...)...)
		}
	default: // of those that get here, potential
		x, ok := of[m.Params.CLVModel]
		v.Check(ok, "/params/clv_model", "score_model_unknown", unknown, keysOf(all, CLV)...)
		v.Check(!ok || x.Kind == CLV, "/params/clv_model", "not_clv", fault.T("this model is not of kind clv", "该模型不是 clv 类型"), keysOf(all, CLV)...)
	}
	if v.Err() != nil {
		return nil
	}
	of[m.Key] = *m
	return checkCycle(ctx, tx, t.ID, m.Key, of)
}

// keysOf are the keys of models of some kinds.
func keysOf(all []Model, kinds ...Kind) []string {
	keys := []string{}
	for _, m := range all {
		if slices.Contains(kinds, m.Kind) {
			keys = append(keys, m.Key)
		}
	}
	return keys
}

func (s *Service) checkConditions(ctx context.Context, tx postgres.Tx, t tenant.Tenant, rules []Rule, v *fault.Validator) error {
	l, err := condition.StrictHeld(ctx, tx, t, s.now())
	if err != nil {
		return err
	}
	for i, r := range rules {
		if r.Condition == nil { // not readable, which v has
			continue
		}
		if _, err := l.Catalogue.Compile(r.Condition, l.Env); err != nil {
			if err := v.Merge(ruleAt(i)+"/condition", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkCycle fails with ErrCycle naming the way from a model to itself.
func checkCycle(ctx context.Context, q postgres.Querier, tenantID int32, key string, of map[string]Model) error {
	edges, err := condition.Edges(ctx, q, tenantID)
	if err != nil {
		return err
	}
	for k, m := range of {
		edges[field(k)] = m.reads()
	}
	path := condition.Circle(edges, field(key))
	if path == nil {
		return nil
	}
	way := strings.Join(path, " → ")
	text := fault.T("the model would depend on itself: "+way, "该模型会循环依赖自身："+way)
	return ErrCycle.Because(text.En, text.Zh).At("/params", ErrCycle.Code, text)
}

// Dependents are the things in force that read a model's score: conditions of segments and tier schemes, and other
// models. Fails with ErrNotFound.
func (s *Service) Dependents(ctx context.Context, t tenant.Tenant, key string) ([]condition.Reader, error) {
	if _, err := oneModel(ctx, s.db, t.ID, key); err != nil {
		return nil, err
	}
	return dependents(ctx, s.db, t.ID, key)
}

func dependents(ctx context.Context, q postgres.Querier, tenantID int32, key string) ([]condition.Reader, error) {
	found, err := condition.Readers(ctx, q, tenantID, func(l filter.Leaf) bool {
		return l.Field == field(key) || strings.HasPrefix(l.Field, field(key)+".")
	})
	if err != nil {
		return nil, err
	}
	all, err := models(ctx, q, tenantID)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		reader := condition.Reader{Type: "score_model", Key: m.Key, Name: m.Name}
		if m.Key != key && slices.Contains(m.reads(), field(key)) && !slices.Contains(found, reader) {
			found = append(found, reader)
		}
	}
	return found, nil
}

// Revision is the parameters that a model had from one change of them to the next.
type Revision struct {
	Revision  int
	Params    Params
	Actor     string
	CreatedAt time.Time
}

// Revisions are all of a model's, newest first. Fails with ErrNotFound.
func (s *Service) Revisions(ctx context.Context, t tenant.Tenant, key string) (Model, []Revision, error) {
	m, err := oneModel(ctx, s.db, t.ID, key)
	if err != nil {
		return m, nil, err
	}
	all, err := revisions(ctx, s.db, t.ID, m)
	return m, all, err
}

// ActivateModel makes a retired model move again; one that is active stays as it is. Fails with ErrNotFound.
func (s *Service) ActivateModel(ctx context.Context, call tenant.Call, key string) (Model, error) {
	return s.retire(ctx, call, key, false)
}

// Retire stops a model: it has no more runs, and neither customers' writes nor nights change its scores, which stay
// readable as they are. One that is retired stays as it is. Fails with ErrNotFound.
func (s *Service) Retire(ctx context.Context, call tenant.Call, key string) (Model, error) {
	return s.retire(ctx, call, key, true)
}

func (s *Service) retire(ctx context.Context, call tenant.Call, key string, yes bool) (Model, error) {
	var m Model
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		if err := alone(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		var err error
		if m, err = lockModel(ctx, tx, call.Tenant.ID, key); err != nil {
			return err
		}
		if yes == (m.RetiredAt != nil) {
			return nil
		}
		now, previous, what := s.now(), map[string]any{"retired_at": m.RetiredAt}, "score_model.activated"
		m.RetiredAt = nil
		if yes {
			m.RetiredAt, what = &now, "score_model.retired"
		}
		m.Version++
		m.UpdatedAt = now
		if err := updateModel(ctx, tx, call.Tenant.ID, m); err != nil {
			return err
		}
		if err := s.record(ctx, tx, call, m, what, previous); err != nil {
			return err
		}
		if yes || m.CurrentRun == nil || m.Clock.Fixed != nil {
			return nil
		}
		return s.again(ctx, tx, call, m, true) // what was written meanwhile has not moved its scores
	})
	return m, err
}
