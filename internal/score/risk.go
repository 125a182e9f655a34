package score

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// AtRisk is the value that may be lost: a clv score times a churn score, of customers who have both. It has no
// calibration of its own and no facts: it joins the scores in force of two other models, the parts, and follows them
// whenever one of them changes. The product is a score like others so that it is filtered, sorted, listed and explained
// as they are, from an index and not from a join over everybody.
const AtRisk Kind = "value_at_risk"

// ErrNoParts ends a run of value at risk, or refuses to start one.
var ErrNoParts = fault.New(fault.Conflict, "score_parts_missing",
	"value at risk needs the scores of a clv model and of a churn model: run both first",
	"风险价值需要一个 clv 模型和一个 churn 模型的评分：请先运行这两个模型")

// Part is the scores that a run is computed from.
type Part struct {
	Key   string
	RunID uuid.UUID
	AsOf  tenant.Day
	no    int64
}

// Places of the inputs of value_at_risk.
const (
	inPartCLV = iota
	inPartChurn
)

// riskValue is rounded to the currency's minor unit, halves up: scale of them make a major one. stageRisk computes the
// very same in SQL.
func riskValue(in []float64, scale float64) float64 {
	return math.Floor(in[inPartCLV]*in[inPartChurn]*scale+0.5) / scale
}

func explainRisk(p Params, currency string, in []float64) (map[string]float64, Explanation) {
	digits := money.Digits(currency)
	value := riskValue(in, scaleOf(currency))
	return map[string]float64{"clv": in[inPartCLV], "churn": in[inPartChurn]}, Explanation{
		Text: fault.T(
			fmt.Sprintf("Value to come by %s: %.*f %s; chance of no purchase by %s: %.1f %%; at risk: %.*f %s.",
				p.CLVModel, digits, in[inPartCLV], currency, p.ChurnModel, 100*in[inPartChurn], digits, value, currency),
			fmt.Sprintf("模型 %s 预计的未来价值为 %.*f %s，模型 %s 给出的不购买概率为 %.1f%%，面临流失的价值为 %.*f %s。",
				p.CLVModel, digits, in[inPartCLV], currency, p.ChurnModel, 100*in[inPartChurn], digits, value, currency)),
		Factors: []Factor{{Name: "clv", Value: &in[inPartCLV]}, {Name: "churn", Value: &in[inPartChurn]}},
	}
}

// startRisk fills in what a run of a value_at_risk model is made of: the keys of its parts, and the day where none was
// asked for, which is that of the newer part. It comes into force unless another day was asked for.
func (s *Service) startRisk(ctx context.Context, tx postgres.Tx, call tenant.Call, r Request, run *Run) error {
	clv, churn, err := parts(ctx, tx, call.Tenant.ID, &run.Params, run.AsOf)
	if err != nil || r.AsOf != nil {
		return err
	}
	run.AsOf, run.activate = clv.AsOf, true
	if churn.AsOf.After(clv.AsOf.Time) {
		run.AsOf = churn.AsOf
	}
	return nil
}

// follow starts a run of every value_at_risk model that m, which is locked and has just got other scores in force, is a
// part of. One that waits for its turn already will read them too: it waits for m's lock. Two parts that come into force
// at once follow one after the other, so that the second sees the first.
func (s *Service) follow(ctx context.Context, tx postgres.Tx, call tenant.Call, m Model) error {
	if m.Kind != CLV && m.Kind != Churn {
		return nil
	}
	dependents, err := risks(ctx, tx, call.Tenant.ID)
	if err != nil {
		return err
	}
	for _, d := range dependents {
		now := s.now()
		run := newRun(d, d.Clock.Day(call.Tenant, now), now)
		if err := s.startRisk(ctx, tx, call, Request{}, &run); fault.Of(err) != nil {
			continue // its parts are not there yet
		} else if err != nil {
			return err
		}
		if run.Params.CLVModel != m.Key && run.Params.ChurnModel != m.Key {
			continue
		}
		waits, err := waiting(ctx, tx, call.Tenant.ID, run)
		if err != nil {
			return err
		}
		if waits {
			continue
		}
		if _, err := s.enqueue(ctx, tx, call, run); err != nil {
			return err
		}
	}
	return nil
}

// stageAtRisk scores everyone who has both parts.
func stageAtRisk(ctx context.Context, tx postgres.Tx, tenantID int32, r Run, cal *Calibration) error {
	if err := holdParts(ctx, tx, tenantID); err != nil {
		return err
	}
	clv, churn, err := parts(ctx, tx, tenantID, &r.Params, r.AsOf)
	if err != nil {
		return err
	}
	cal.Parts = []Part{clv, churn}
	cal.Quantiles, err = stageRisk(ctx, tx, tenantID, clv, churn, scaleOf(cal.Currency))
	return err
}

// newRun is a run of the model as it stands.
func newRun(m Model, asOf tenant.Day, at time.Time) Run {
	return Run{ID: uuid.Must(uuid.NewV7()), Revision: m.Revision, Kind: m.Kind, Params: m.Params, AsOf: asOf, CreatedAt: at, model: m.ID}
}

// enqueue stores a run with its job.
func (s *Service) enqueue(ctx context.Context, tx postgres.Tx, call tenant.Call, run Run) (jobs.Job, error) {
	job, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: jobKind, SubjectType: "score_run", SubjectID: run.ID.String()})
	if err != nil {
		return jobs.Job{}, err
	}
	run.JobID = job.ID
	return job, insertRun(ctx, tx, call.Tenant.ID, run)
}
