package httpapi

import (
	"context"

	"github.com/oapi-codegen/nullable"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/score"
)

type scores struct {
	lister
	svc *score.Service
}

func (h scores) ListScoreModels(ctx context.Context, _ apigen.ListScoreModelsRequestObject) (apigen.ListScoreModelsResponseObject, error) {
	all, err := h.svc.List(ctx, callOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	return apigen.ListScoreModels200JSONResponse{Items: each(all, scoreModelToAPI)}, nil
}

func (h scores) CreateScoreModel(ctx context.Context, req apigen.CreateScoreModelRequestObject) (apigen.CreateScoreModelResponseObject, error) {
	b := req.Body
	c := score.Creation{Key: b.Key, Name: or(b.Name, ""), Kind: score.Kind(b.Kind), Params: scoreParamsFromAPI(or(b.Params, apigen.ScoreParams{}))}
	if b.Clock != nil {
		c.Clock = scoreClockFromAPI(*b.Clock)
	}
	m, err := h.svc.Create(ctx, callOf(ctx), c)
	if err != nil {
		return nil, err
	}
	return apigen.CreateScoreModel201JSONResponse{Body: scoreModelToAPI(m), Headers: apigen.CreateScoreModel201ResponseHeaders{
		ETag: etag(m.Version), Location: ptr("/v1/score-models/" + m.Key)}}, nil
}

func (h scores) GetScoreModel(ctx context.Context, req apigen.GetScoreModelRequestObject) (apigen.GetScoreModelResponseObject, error) {
	m, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.ModelKey)
	if err != nil {
		return nil, err
	}
	return apigen.GetScoreModel200JSONResponse{Body: scoreModelToAPI(m), Headers: apigen.GetScoreModel200ResponseHeaders{ETag: etag(m.Version)}}, nil
}

func (h scores) PatchScoreModel(ctx context.Context, req apigen.PatchScoreModelRequestObject) (apigen.PatchScoreModelResponseObject, error) {
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	change := score.Change{Name: req.Body.Name, Params: scoreParamsPatchFromAPI(or(req.Body.Params, apigen.ScoreParamsPatch{}))}
	if req.Body.Clock != nil {
		change.Clock = ptr(scoreClockFromAPI(*req.Body.Clock))
	}
	m, err := h.svc.Update(ctx, callOf(ctx), req.ModelKey, versions, change)
	if err != nil {
		return nil, err
	}
	return apigen.PatchScoreModel200JSONResponse{Body: scoreModelToAPI(m), Headers: apigen.PatchScoreModel200ResponseHeaders{ETag: etag(m.Version)}}, nil
}

func (h scores) DeleteScoreModel(ctx context.Context, req apigen.DeleteScoreModelRequestObject) (apigen.DeleteScoreModelResponseObject, error) {
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.ModelKey, versions); err != nil {
		return nil, err
	}
	return apigen.DeleteScoreModel204Response{}, nil
}

func (h scores) ListScoreRuns(ctx context.Context, req apigen.ListScoreRunsRequestObject) (apigen.ListScoreRunsResponseObject, error) {
	scope := []string{"score_runs", req.ModelKey}
	page, err := h.request(ctx, req.Params.Limit, req.Params.Cursor, scope...)
	if err != nil {
		return nil, err
	}
	p, err := h.svc.Runs(ctx, callOf(ctx).Tenant, req.ModelKey, page)
	if err != nil {
		return nil, err
	}
	next, err := h.next(ctx, p.Next, scope...)
	return apigen.ListScoreRuns200JSONResponse{NextCursor: next, HasMore: next != nil,
		Items: each(p.Items, func(r score.Run) apigen.ScoreRun { return scoreRunToAPI(ctx, r) })}, err
}

func (h scores) CreateScoreRun(ctx context.Context, req apigen.CreateScoreRunRequestObject) (apigen.CreateScoreRunResponseObject, error) {
	b := or(req.Body, apigen.ScoreRunCreate{})
	j, err := h.svc.Start(ctx, callOf(ctx), req.ModelKey, score.Request{AsOf: dayOrNil(b.AsOf), Activate: or(b.Activate, false)})
	if err != nil {
		return nil, err
	}
	return apigen.CreateScoreRun202JSONResponse{Body: jobToAPI(j), Headers: apigen.CreateScoreRun202ResponseHeaders{
		Location: jobLocation(j.ID.String())}}, nil
}

func (h scores) GetScoreRun(ctx context.Context, req apigen.GetScoreRunRequestObject) (apigen.GetScoreRunResponseObject, error) {
	r, err := h.svc.Run(ctx, callOf(ctx).Tenant, req.ModelKey, req.RunID)
	if err != nil {
		return nil, err
	}
	return apigen.GetScoreRun200JSONResponse{Body: scoreRunToAPI(ctx, r), Headers: apigen.GetScoreRun200ResponseHeaders{ETag: etag(r.Version)}}, nil
}

func (h scores) ListRunScores(ctx context.Context, req apigen.ListRunScoresRequestObject) (apigen.ListRunScoresResponseObject, error) {
	scope := []string{"run_scores", req.ModelKey, req.RunID.String()}
	page, err := h.request(ctx, req.Params.Limit, req.Params.Cursor, scope...)
	if err != nil {
		return nil, err
	}
	p, err := h.svc.Scores(ctx, callOf(ctx).Tenant, req.ModelKey, req.RunID, page)
	if err != nil {
		return nil, err
	}
	next, err := h.next(ctx, p.Next, scope...)
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
	return apigen.ActivateScoreRun200JSONResponse{Body: scoreRunToAPI(ctx, r), Headers: apigen.ActivateScoreRun200ResponseHeaders{ETag: etag(r.Version)}}, nil
}

func (h scores) ListCustomerScores(ctx context.Context, req apigen.ListCustomerScoresRequestObject) (apigen.ListCustomerScoresResponseObject, error) {
	all, err := h.svc.OfCustomer(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.ListCustomerScores200JSONResponse{Items: each(all, func(s score.Score) apigen.Score { return scoreToAPI(ctx, s) })}, nil
}

func scoreModelToAPI(m score.Model) apigen.ScoreModel {
	return apigen.ScoreModel{Key: m.Key, Version: m.Version, ModelVersion: m.Revision, Name: m.Name, Kind: apigen.ScoreKind(m.Kind),
		Params: scoreParamsToAPI(m.Kind, m.Params), Clock: scoreClockToAPI(m.Clock), CurrentRunID: m.CurrentRun,
		CreatedAt: m.CreatedAt.UTC(), UpdatedAt: m.UpdatedAt.UTC()}
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

// scoreParamsToAPI shows every parameter of the kind, but for a window that is all history.
func scoreParamsToAPI(kind score.Kind, p score.Params) apigen.ScoreParams {
	out := apigen.ScoreParams{WindowDays: set(p.WindowDays), HorizonMonths: set(p.HorizonMonths), HorizonDays: set(p.HorizonDays),
		Family: set(apigen.ScoreParamsFamily(p.Family)), ClvModel: set(p.CLVModel), ChurnModel: set(p.ChurnModel)}
	if kind == score.RFM {
		out.Weights = &apigen.RFMWeights{R: p.Weights.R, F: p.Weights.F, M: p.Weights.M}
	}
	if kind == score.CLV {
		out.DiscountRateMonthly = &p.DiscountRate
	}
	return out
}

func scoreParamsFromAPI(p apigen.ScoreParams) score.ParamsChange {
	return score.ParamsChange{WindowDays: given(p.WindowDays, same[int]), Weights: given(p.Weights, weightsFromAPI),
		Family:        given(p.Family, func(f apigen.ScoreParamsFamily) string { return string(f) }),
		HorizonMonths: given(p.HorizonMonths, same[int]), DiscountRate: given(p.DiscountRateMonthly, same[float64]),
		HorizonDays: given(p.HorizonDays, same[int]), CLVModel: given(p.ClvModel, same[string]), ChurnModel: given(p.ChurnModel, same[string])}
}

func scoreParamsPatchFromAPI(p apigen.ScoreParamsPatch) score.ParamsChange {
	return score.ParamsChange{WindowDays: field(p.WindowDays, same[int]), Weights: field(p.Weights, weightsFromAPI),
		Family:        given(p.Family, func(f apigen.ScoreParamsPatchFamily) string { return string(f) }),
		HorizonMonths: field(p.HorizonMonths, same[int]), DiscountRate: field(p.DiscountRateMonthly, same[float64]),
		HorizonDays: field(p.HorizonDays, same[int]), CLVModel: field(p.ClvModel, same[string]), ChurnModel: field(p.ChurnModel, same[string])}
}

// given is a member that can be absent but not null.
func given[A, B any](p *A, f func(A) B) patch.Field[B] {
	if p == nil {
		return patch.Field[B]{}
	}
	return patch.Set(f(*p))
}

func weightsFromAPI(w apigen.RFMWeights) score.Weights { return score.Weights{R: w.R, F: w.F, M: w.M} }

func scoreRunToAPI(ctx context.Context, r score.Run) apigen.ScoreRun {
	out := apigen.ScoreRun{ID: r.ID, Version: r.Version, ModelKey: r.ModelKey, ModelVersion: r.Revision, Kind: apigen.ScoreKind(r.Kind),
		Params: scoreParamsToAPI(r.Kind, r.Params), AsOf: dayToAPI(r.AsOf), Status: apigen.JobStatus(r.Status), Current: r.Current,
		Kept: r.Kept, JobID: r.JobID, Customers: r.Customers, Scored: r.Scored, CreatedAt: r.CreatedAt.UTC(), FinishedAt: utc(r.FinishedAt)}
	if r.Calibration != nil {
		out.Calibration = ptr(calibrationToAPI(ctx, *r.Calibration))
	}
	return out
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
	if v := c.Values; v != nil {
		out.Values = &apigen.ValueFit{Family: v.Family, Parameters: v.Parameters, LogLikelihood: v.LogLikelihood, Customers: v.Customers,
			LeftOut: v.LeftOut, Converged: v.Converged}
	}
	if len(c.Parts) > 0 {
		out.Parts = ptr(each(c.Parts, func(p score.Part) apigen.ScorePart {
			return apigen.ScorePart{Key: p.Key, RunID: p.RunID, AsOf: dayToAPI(p.AsOf)}
		}))
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
	return apigen.Score{Key: s.Key, Kind: apigen.ScoreKind(s.Kind), Value: s.Value, Unit: s.Unit, Band: s.Band, Label: set(s.Label),
		AsOf: dayToAPI(s.AsOf), ModelVersion: s.Revision, RunID: s.RunID, Inputs: s.Inputs,
		Explanation: apigen.ScoreExplanation{Text: preferred(ctx, s.Explanation.Text), Factors: each(s.Explanation.Factors, scoreFactorToAPI)}}
}

func scoreFactorToAPI(f score.Factor) apigen.ScoreFactor {
	out := apigen.ScoreFactor{Name: f.Name, Value: nullable.NewNullNullable[float64](), Band: f.Band, Weight: f.Weight, Contribution: f.Contribution}
	if f.Value != nil {
		out.Value = nullable.NewNullableWithValue(*f.Value)
	}
	return out
}
