package score

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Value at risk is the value that may be lost: a customer's clv score times the churn score, rounded to the currency's
// minor unit; customers who lack one of them have none. It is a score of its own, so that it is filtered, sorted, listed
// and explained as others are: by an index, and not by a join over everybody.
//
// It has the inputs of a composite of two parts: whether there is a score, and its value.

// Places of its two parts.
const (
	inPartCLV = iota
	inPartChurn
)

// ErrNoParts says that a run of value at risk would score nobody.
var ErrNoParts = fault.New(fault.Conflict, "score_parts_missing",
	"value at risk needs the scores of its clv model and of its churn model for that day: run both first",
	"风险价值需要其 clv 模型和 churn 模型在该日的评分：请先运行这两个模型")

func (s scorer) atRisk(c subject) rated {
	has := c.given[2*inPartCLV] != 0 && c.given[2*inPartChurn] != 0
	return rated{ok: has, value: riskValue(c.given, s.scale), inputs: c.given}
}

func riskValue(in []float64, scale float64) float64 {
	return math.Round(in[2*inPartCLV+1]*in[2*inPartChurn+1]*scale) / scale
}

func explainRisk(p Params, currency string, in []float64) (map[string]float64, Explanation) {
	clv, churn := &in[2*inPartCLV+1], &in[2*inPartChurn+1]
	byCLV, byChurn := p.Parts[inPartCLV].Score, p.Parts[inPartChurn].Score
	digits := money.Digits(currency)
	value := riskValue(in, scaleOf(currency))
	return map[string]float64{byCLV: *clv, byChurn: *churn}, Explanation{
		Text: fault.T(
			fmt.Sprintf("Value to come by %s: %.*f %s; chance of no purchase by %s: %.3g %%; at risk: %.*f %s.",
				byCLV, digits, *clv, currency, byChurn, 100**churn, digits, value, currency),
			fmt.Sprintf("模型 %s 预计的未来价值为 %.*f %s，模型 %s 给出的不购买概率为 %.3g%%，面临流失的价值为 %.*f %s。",
				byCLV, digits, *clv, currency, byChurn, 100**churn, digits, value, currency)),
		Factors: []Factor{{Name: "clv", Value: clv}, {Name: "churn", Value: churn}},
	}
}

// riskParts are the kinds of the parts and the parameters that name them.
var riskParts = []struct {
	kind  Kind
	param string
}{inPartCLV: {CLV, "clv_model"}, inPartChurn: {Churn, "churn_model"}}

// completeRisk puts the first model of its kind by key in the place of a part that is not named.
func (p *Params) completeRisk(all []Model) {
	p.Parts = slices.Clone(p.Parts)
	for i, part := range riskParts {
		at := slices.IndexFunc(all, func(m Model) bool { return m.Kind == part.kind && m.RetiredAt == nil })
		if p.Parts[i].Score == "" && at >= 0 {
			p.Parts[i].Score = all[at].Key
		}
	}
}

func (p Params) checkRisk(of map[string]Model, all []Model, v *fault.Validator) {
	for i, part := range riskParts {
		keys := keysOf(all, part.kind)
		m, ok := of[p.Parts[i].Score]
		v.Check(ok || p.Parts[i].Score == "", "/params/"+part.param, "score_model_unknown",
			fault.T("there is no score model with this key", "没有此键的评分模型"), keys...)
		v.Check(p.Parts[i].Score != "", "/params/"+part.param, "required",
			fault.T("there is no model of kind "+string(part.kind)+" yet", "还没有 "+string(part.kind)+" 类型的模型"))
		v.Check(!ok || m.Kind == part.kind, "/params/"+part.param, "not_of_kind",
			fault.T("this model is not of kind "+string(part.kind), "该模型不是 "+string(part.kind)+" 类型"), keys...)
	}
}

// follow starts a run of every model whose scores are made of m's, now that m has others in force by r: of value at risk, and of
// composites and rules that were ever run, but for those of which the same job has one coming. The caller is alone.
//
// The limits between which a composite puts its parts stay where the part has the calibration that it had.
func (s *Service) follow(ctx context.Context, tx postgres.Tx, call tenant.Call, m Model, r Run, coming map[uuid.UUID]bool) error {
	kept := r.CalibratedBy != nil && *r.CalibratedBy != r.ID
	all, err := models(ctx, tx, call.Tenant.ID)
	if err != nil {
		return err
	}
	for _, d := range all {
		follows := d.Kind == AtRisk || d.CurrentRun != nil && (d.Kind.joins() || d.Kind == Rules)
		reads := func(name string) bool { return scoreOf(name) == field(m.Key) }
		if follows && !coming[d.ID] && d.RetiredAt == nil && slices.ContainsFunc(d.reads(), reads) {
			if err := s.again(ctx, tx, call, d, kept || d.Kind == Rules); err != nil {
				return err
			}
		}
	}
	return nil
}

// again starts a run of a model, by the calibration in force where it is kept and by the parameters of now, unless a run waits
// for its turn or parts of value at risk have no scores. The caller is alone.
func (s *Service) again(ctx context.Context, tx postgres.Tx, call tenant.Call, m Model, keep bool) error {
	run, err := s.planned(call.Tenant, m, Request{})
	if errors.Is(err, ErrClockAhead) {
		return nil
	}
	if err != nil {
		return err
	}
	if keep {
		if err := keepCalibration(ctx, tx, call.Tenant, m, &run); err != nil {
			return err
		}
	}
	if m.Kind == AtRisk {
		switch err := hasParts(ctx, tx, call.Tenant.ID, run); {
		case fault.Of(err) != nil:
			return nil
		case err != nil:
			return err
		}
	}
	waits, err := waiting(ctx, tx, call.Tenant.ID, run)
	if err != nil || waits {
		return err
	}
	_, err = s.enqueue(ctx, tx, call, run)
	return err
}

// hasParts fails with ErrNoParts when a part of a run has no scores.
func hasParts(ctx context.Context, q postgres.Querier, tenantID int32, r Run) error {
	runs, err := partRuns(ctx, q, tenantID, r)
	if err == nil && slices.Contains(runs, 0) {
		err = ErrNoParts
	}
	return err
}

// madeOf are the runs that value at risk is made of; nil for other kinds.
func madeOf(ctx context.Context, q postgres.Querier, tenantID int32, r Run) ([]int64, error) {
	if r.Kind != AtRisk {
		return nil, nil
	}
	return partRuns(ctx, q, tenantID, r)
}

// outdated reports whether a run of value at risk that was to come into force was made of scores that no longer are: it
// does not come into force then, and the caller, who is alone, starts another.
func (s *Service) outdated(ctx context.Context, tx postgres.Tx, call tenant.Call, m Model, r *Run, made []int64) (bool, error) {
	now, err := madeOf(ctx, tx, call.Tenant.ID, *r)
	if err != nil || slices.Equal(now, made) || !r.activate || m.RetiredAt != nil {
		return false, err
	}
	r.activate = false
	return true, nil
}
