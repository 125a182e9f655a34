package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/score"
)

type scores struct {
	lister
	svc *score.Service
	db  *postgres.DB
	now func() time.Time
}

func (h scores) ListScoreModels(ctx context.Context, _ apigen.ListScoreModelsRequestObject) (apigen.ListScoreModelsResponseObject, error) {
	all, err := h.svc.List(ctx, callOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	items, err := eachOr(all, scoreModelToAPI)
	return apigen.ListScoreModels200JSONResponse{Items: items}, err
}

func (h scores) CreateScoreModel(ctx context.Context, req apigen.CreateScoreModelRequestObject) (apigen.CreateScoreModelResponseObject, error) {
	b := req.Body
	if err := h.mayKeep(ctx, b.Params); err != nil {
		return nil, err
	}
	c := score.Creation{Key: b.Key, Name: or(b.Name, ""), Kind: score.Kind(b.Kind), Params: scoreParamsFromAPI(or(b.Params, apigen.ScoreParams{}))}
	if b.Clock != nil {
		c.Clock = scoreClockFromAPI(*b.Clock)
	}
	m, err := h.svc.Create(ctx, callOf(ctx), c)
	if err != nil {
		return nil, err
	}
	body, err := scoreModelToAPI(m)
	if err != nil {
		return nil, err
	}
	return apigen.CreateScoreModel201JSONResponse{Body: body, Headers: apigen.CreateScoreModel201ResponseHeaders{
		ETag: etag(m.Version), Location: ptr("/v1/score-models/" + m.Key)}}, nil
}

func (h scores) GetScoreModel(ctx context.Context, req apigen.GetScoreModelRequestObject) (apigen.GetScoreModelResponseObject, error) {
	m, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.ModelKey)
	if err != nil {
		return nil, err
	}
	body, err := scoreModelToAPI(m)
	if err != nil {
		return nil, err
	}
	return apigen.GetScoreModel200JSONResponse{Body: body, Headers: apigen.GetScoreModel200ResponseHeaders{ETag: etag(m.Version)}}, nil
}

func (h scores) PatchScoreModel(ctx context.Context, req apigen.PatchScoreModelRequestObject) (apigen.PatchScoreModelResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	patched := or(req.Body.Params, apigen.ScoreParamsPatch{})
	if rules, err := patched.Rules.Get(); err == nil {
		if err := h.mayKeep(ctx, &apigen.ScoreParams{Rules: &rules}); err != nil {
			return nil, err
		}
	}
	change := score.Change{Name: req.Body.Name, Params: scoreParamsPatchFromAPI(patched)}
	if req.Body.Clock != nil {
		change.Clock = ptr(scoreClockFromAPI(*req.Body.Clock))
	}
	m, err := h.svc.Update(ctx, callOf(ctx), req.ModelKey, expected, change)
	if err != nil {
		return nil, err
	}
	body, err := scoreModelToAPI(m)
	if err != nil {
		return nil, err
	}
	return apigen.PatchScoreModel200JSONResponse{Body: body, Headers: apigen.PatchScoreModel200ResponseHeaders{ETag: etag(m.Version)}}, nil
}

func (h scores) DeleteScoreModel(ctx context.Context, req apigen.DeleteScoreModelRequestObject) (apigen.DeleteScoreModelResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.ModelKey, expected); err != nil {
		return nil, err
	}
	return apigen.DeleteScoreModel204Response{}, nil
}

func (h scores) ListScoreRuns(ctx context.Context, req apigen.ListScoreRunsRequestObject) (apigen.ListScoreRunsResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[score.Run], error) {
		return h.svc.Runs(ctx, callOf(ctx).Tenant, req.ModelKey, r)
	}, "score_runs", req.ModelKey)
	if err != nil {
		return nil, err
	}
	items, err := eachOr(p.Items, func(r score.Run) (apigen.ScoreRun, error) { return scoreRunToAPI(ctx, r) })
	return apigen.ListScoreRuns200JSONResponse{NextCursor: next, HasMore: next != nil, Items: items}, err
}

func (h scores) CreateScoreRun(ctx context.Context, req apigen.CreateScoreRunRequestObject) (apigen.CreateScoreRunResponseObject, error) {
	b := or(req.Body, apigen.ScoreRunCreate{})
	j, err := h.svc.Start(ctx, callOf(ctx), req.ModelKey, score.Request{AsOf: dayOrNil(b.AsOf), Activate: or(b.Activate, false),
		Keep: !or(b.Recalibrate, true)})
	if err != nil {
		return nil, err
	}
	return apigen.CreateScoreRun202JSONResponse{Body: jobToAPI(j), Headers: apigen.CreateScoreRun202ResponseHeaders{
		Location: jobLocation(j.ID.String())}}, nil
}

func (h scores) CreateScoreRuns(ctx context.Context, req apigen.CreateScoreRunsRequestObject) (apigen.CreateScoreRunsResponseObject, error) {
	j, err := h.svc.StartAll(ctx, callOf(ctx), score.Request{Keep: !or(or(req.Body, apigen.ScoreRunsCreate{}).Recalibrate, true)})
	if err != nil {
		return nil, err
	}
	return apigen.CreateScoreRuns202JSONResponse{Body: jobToAPI(j), Headers: apigen.CreateScoreRuns202ResponseHeaders{
		Location: jobLocation(j.ID.String())}}, nil
}

func (h scores) GetScoreRun(ctx context.Context, req apigen.GetScoreRunRequestObject) (apigen.GetScoreRunResponseObject, error) {
	r, err := h.svc.Run(ctx, callOf(ctx).Tenant, req.ModelKey, req.RunID)
	if err != nil {
		return nil, err
	}
	body, err := scoreRunToAPI(ctx, r)
	if err != nil {
		return nil, err
	}
	return apigen.GetScoreRun200JSONResponse{Body: body, Headers: apigen.GetScoreRun200ResponseHeaders{ETag: etag(r.Version)}}, nil
}

func (h scores) ListRunScores(ctx context.Context, req apigen.ListRunScoresRequestObject) (apigen.ListRunScoresResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[score.Scored], error) {
		return h.svc.Scores(ctx, callOf(ctx).Tenant, req.ModelKey, req.RunID, r)
	}, "run_scores", req.ModelKey, req.RunID.String())
	return apigen.ListRunScores200JSONResponse{NextCursor: next, HasMore: next != nil,
		Items: each(p.Items, func(s score.Scored) apigen.RunScore {
			return apigen.RunScore{CustomerID: s.CustomerID, Value: s.Value, Band: s.Band, Label: set(s.Label)}
		})}, err
}

func (h scores) ActivateScoreRun(ctx context.Context, req apigen.ActivateScoreRunRequestObject) (apigen.ActivateScoreRunResponseObject, error) {
	r, err := h.svc.Activate(ctx, callOf(ctx), req.ModelKey, req.RunID)
	if err != nil {
		return nil, err
	}
	body, err := scoreRunToAPI(ctx, r)
	if err != nil {
		return nil, err
	}
	return apigen.ActivateScoreRun200JSONResponse{Body: body, Headers: apigen.ActivateScoreRun200ResponseHeaders{ETag: etag(r.Version)}}, nil
}

func (h scores) ListCustomerScores(ctx context.Context, req apigen.ListCustomerScoresRequestObject) (apigen.ListCustomerScoresResponseObject, error) {
	all, err := h.svc.OfCustomer(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.ListCustomerScores200JSONResponse{Items: each(all, func(s score.Score) apigen.Score { return scoreToAPI(ctx, s) })}, nil
}

func (h scores) GetCustomerScore(ctx context.Context, req apigen.GetCustomerScoreRequestObject) (apigen.GetCustomerScoreResponseObject, error) {
	s, err := h.svc.OneOfCustomer(ctx, callOf(ctx).Tenant, req.CustomerID, req.ModelKey)
	if err != nil {
		return nil, err
	}
	return apigen.GetCustomerScore200JSONResponse(scoreToAPI(ctx, s)), nil
}

func (h scores) ListCustomerScoreHistory(ctx context.Context, req apigen.ListCustomerScoreHistoryRequestObject) (apigen.ListCustomerScoreHistoryResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[score.Score], error) {
		return h.svc.History(ctx, callOf(ctx).Tenant, req.CustomerID, req.ModelKey, r)
	}, "score_history", req.CustomerID.String(), req.ModelKey)
	return apigen.ListCustomerScoreHistory200JSONResponse{NextCursor: next, HasMore: next != nil,
		Items: each(p.Items, func(s score.Score) apigen.Score { return scoreToAPI(ctx, s) })}, err
}

func (h scores) WhatIfCustomerScore(ctx context.Context, req apigen.WhatIfCustomerScoreRequestObject) (apigen.WhatIfCustomerScoreResponseObject, error) {
	w := score.WhatIf{Until: dayOrNil(req.Body.Until), Inputs: or(req.Body.Inputs, nil)}
	for _, p := range or(req.Body.Purchases, nil) {
		w.Purchases = append(w.Purchases, score.Purchase{Amount: p.Amount, On: dayOrNil(p.On)})
	}
	is, then, err := h.svc.WhatIf(ctx, callOf(ctx).Tenant, req.CustomerID, req.ModelKey, w)
	if err != nil {
		return nil, err
	}
	out := apigen.WhatIfCustomerScore200JSONResponse{Then: apigen.ScoreThen{Value: then.Value, Unit: then.Unit, Band: then.Band, Label: set(then.Label),
		AsOf: dayToAPI(then.AsOf), Inputs: then.Inputs, Explanation: scoreExplanationToAPI(ctx, then.Explanation)}}
	if is != nil {
		out.Now = ptr(scoreToAPI(ctx, *is))
	}
	return out, nil
}

func (h scores) ListScoreModelRevisions(ctx context.Context, req apigen.ListScoreModelRevisionsRequestObject) (apigen.ListScoreModelRevisionsResponseObject, error) {
	m, all, err := h.svc.Revisions(ctx, callOf(ctx).Tenant, req.ModelKey)
	if err != nil {
		return nil, err
	}
	items, err := eachOr(all, func(r score.Revision) (apigen.ScoreModelRevision, error) {
		params, err := scoreParamsToAPI(m.Kind, r.Params)
		return apigen.ScoreModelRevision{ModelVersion: r.Revision, Params: params, Actor: r.Actor, CreatedAt: r.CreatedAt}, err
	})
	return apigen.ListScoreModelRevisions200JSONResponse{Items: items}, err
}

func (h scores) ListScoreModelDependents(ctx context.Context, req apigen.ListScoreModelDependentsRequestObject) (apigen.ListScoreModelDependentsResponseObject, error) {
	all, err := h.svc.Dependents(ctx, callOf(ctx).Tenant, req.ModelKey)
	if err != nil {
		return nil, err
	}
	return apigen.ListScoreModelDependents200JSONResponse{Items: each(all, dependentToAPI)}, nil
}

func (h scores) RetireScoreModel(ctx context.Context, req apigen.RetireScoreModelRequestObject) (apigen.RetireScoreModelResponseObject, error) {
	m, err := h.svc.Retire(ctx, callOf(ctx), req.ModelKey)
	if err != nil {
		return nil, err
	}
	body, err := scoreModelToAPI(m)
	return apigen.RetireScoreModel200JSONResponse{Body: body, Headers: apigen.RetireScoreModel200ResponseHeaders{ETag: etag(m.Version)}}, err
}

func (h scores) ActivateScoreModel(ctx context.Context, req apigen.ActivateScoreModelRequestObject) (apigen.ActivateScoreModelResponseObject, error) {
	m, err := h.svc.ActivateModel(ctx, callOf(ctx), req.ModelKey)
	if err != nil {
		return nil, err
	}
	body, err := scoreModelToAPI(m)
	return apigen.ActivateScoreModel200JSONResponse{Body: body, Headers: apigen.ActivateScoreModel200ResponseHeaders{ETag: etag(m.Version)}}, err
}

// mayKeep refuses rules about personal fields to callers who may not read those.
func (h scores) mayKeep(ctx context.Context, p *apigen.ScoreParams) error {
	if p == nil || p.Rules == nil {
		return nil
	}
	return mayKeep(ctx, h.db, h.now(), each(*p.Rules, func(r apigen.ScoreRule) json.RawMessage { return r.Condition }))
}

func scoreModelToAPI(m score.Model) (apigen.ScoreModel, error) {
	params, err := scoreParamsToAPI(m.Kind, m.Params)
	return apigen.ScoreModel{Key: m.Key, Version: m.Version, ModelVersion: m.Revision, Name: m.Name, Kind: apigen.ScoreKind(m.Kind),
		Params: params, Clock: scoreClockToAPI(m.Clock), CurrentRunID: m.CurrentRun, RetiredAt: utc(m.RetiredAt),
		CreatedAt: m.CreatedAt.UTC(), UpdatedAt: m.UpdatedAt.UTC()}, err
}

func scoreClockToAPI(c score.Clock) apigen.ScoreClock {
	if c.Fixed == nil {
		return apigen.ScoreClock{Mode: apigen.ScoreClockModeLive}
	}
	return apigen.ScoreClock{Mode: apigen.ScoreClockModeFixed, Day: ptr(dayToAPI(*c.Fixed))}
}

func scoreClockFromAPI(c apigen.ScoreClock) score.ClockSetting {
	return score.ClockSetting{Fixed: c.Mode == apigen.ScoreClockModeFixed, Day: dayOrNil(c.Day)}
}

func scoreRunToAPI(ctx context.Context, r score.Run) (apigen.ScoreRun, error) {
	params, err := scoreParamsToAPI(r.Kind, r.Params)
	out := apigen.ScoreRun{ID: r.ID, Version: r.Version, ModelKey: r.ModelKey, ModelVersion: r.Revision, Kind: apigen.ScoreKind(r.Kind),
		Params: params, AsOf: dayToAPI(r.AsOf), CalibratedBy: r.CalibratedBy, Status: apigen.JobStatus(r.Status), Current: r.Current,
		Kept: r.Kept, JobID: r.JobID, Customers: r.Customers, Scored: r.Scored, CreatedAt: r.CreatedAt.UTC(), FinishedAt: utc(r.FinishedAt)}
	if r.Failure != nil {
		out.Error = &apigen.JobError{Code: r.Failure.Code, Detail: preferred(ctx, r.Failure.Detail)}
	}
	if r.Calibration != nil {
		out.Calibration = ptr(calibrationToAPI(ctx, *r.Calibration))
	}
	if r.CalibratedOn != nil {
		out.CalibratedOn = ptr(dayToAPI(*r.CalibratedOn))
	}
	return out, err
}

func valueFitToAPI(v score.ValueFit) apigen.ValueFit {
	return apigen.ValueFit{Family: v.Family, Parameters: v.Parameters, LogLikelihood: v.LogLikelihood, Customers: v.Customers,
		LeftOut: v.LeftOut, MeanSpend: set(v.MeanSpend), Converged: v.Converged}
}

func calibrationToAPI(ctx context.Context, c score.Calibration) apigen.Calibration {
	out := apigen.Calibration{Units: apigen.CalibrationUnits{Time: apigen.CalibrationUnitsTimeWeek, Money: c.Currency},
		Diagnostics: each(c.Diagnostics, func(d score.Diagnostic) apigen.Diagnostic {
			return apigen.Diagnostic{Code: d.Code, Detail: preferred(ctx, d.Detail)}
		})}
	if p := c.Purchases; p != nil {
		out.Purchases = &apigen.PurchaseFit{Family: p.Family, Parameters: p.Parameters, LogLikelihood: p.LogLikelihood, Customers: p.Customers,
			RepeatCustomers: p.RepeatCustomers, RepeatPurchases: p.RepeatPurchases, Converged: p.Converged}
	}
	if c.Values != nil {
		out.Values = ptr(valueFitToAPI(*c.Values))
	}
	if c.ByKind != nil {
		byKind := make(map[string]apigen.ValueFit, len(c.ByKind))
		for kind, v := range c.ByKind {
			byKind[kind] = valueFitToAPI(*v)
		}
		out.ValuesByKind = &byKind
	}
	out.MeanSpend = set(c.MeanSpend)
	if len(c.Quantiles) > 0 {
		out.Quantiles = &c.Quantiles
	}
	return out
}

func scoreSummaryToAPI(s score.Summary) apigen.ScoreSummary {
	return apigen.ScoreSummary{Key: s.Key, Kind: apigen.ScoreKind(s.Kind), Value: s.Value, Unit: s.Unit, Band: s.Band, Label: set(s.Label),
		AsOf: dayToAPI(s.AsOf)}
}

func scoreToAPI(ctx context.Context, s score.Score) apigen.Score {
	out := apigen.Score{Key: s.Key, Kind: apigen.ScoreKind(s.Kind), Value: s.Value, Unit: s.Unit, Band: s.Band, Label: set(s.Label),
		AsOf: dayToAPI(s.AsOf), ModelVersion: s.Revision, RunID: s.RunID, CalibrationID: s.CalibratedBy, ScoredAt: s.ScoredAt,
		Inputs: s.Inputs, Explanation: scoreExplanationToAPI(ctx, s.Explanation)}
	if h := s.Habits; h != nil {
		out.Habits = &apigen.CustomerHabits{PurchaseCycleDays: h.PurchaseCycleDays, PreferredHour: h.PreferredHour,
			PreferredWeekday: h.PreferredWeekday, PreferredCategory: set(h.PreferredCategory)}
		if h.SpendingPower != nil {
			out.Habits.SpendingPower = ptr(moneyToAPI(*h.SpendingPower))
		}
	}
	return out
}

func scoreExplanationToAPI(ctx context.Context, e score.Explanation) apigen.ScoreExplanation {
	return apigen.ScoreExplanation{Text: preferred(ctx, e.Text), Factors: each(e.Factors, func(f score.Factor) apigen.ScoreFactor { return scoreFactorToAPI(ctx, f) })}
}

func scoreFactorToAPI(ctx context.Context, f score.Factor) apigen.ScoreFactor {
	out := apigen.ScoreFactor{Name: f.Name, Label: preferred(ctx, f.Label), Unit: set(f.Unit), Value: nullable.NewNullNullable[float64](), Band: f.Band, Weight: f.Weight, Normalized: f.Normalised,
		Min: f.Min, Max: f.Max, Condition: set(f.Condition), Holds: f.Holds, AgeDays: f.AgeDays, Group: set(f.Group), Points: f.Points,
		Contribution: f.Contribution}
	if f.Value != nil {
		out.Value = nullable.NewNullableWithValue(*f.Value)
	}
	if f.Inverted {
		out.Inverted = &f.Inverted
	}
	return out
}
