package httpapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/quality"
)

type dataQuality struct {
	svc *quality.Service
	db  *postgres.DB
	now func() time.Time
}

// draft reads a rule that the caller may make.
func (h dataQuality) draft(ctx context.Context, b apigen.ValidationRuleCreate) (quality.Draft, error) {
	d := ruleDraftFromAPI(b)
	return d, mayKeep(ctx, h.db, h.now(), []json.RawMessage{d.Condition}, d.Field)
}

// change reads a change of a rule that the caller may make: who may not see a field may not ask about it in other words
// either.
func (h dataQuality) change(ctx context.Context, id uuid.UUID, b apigen.ValidationRulePatch) (quality.Change, error) {
	c := ruleChangeFromAPI(b)
	r, err := h.svc.Rule(ctx, callOf(ctx).Tenant, id)
	if err != nil {
		return c, err
	}
	names := r.Fields()
	if c.Field.Value != nil {
		names = append(names, *c.Field.Value)
	}
	var conditions []json.RawMessage
	if c.Condition.Value != nil {
		conditions = append(conditions, *c.Condition.Value)
	}
	return c, mayKeep(ctx, h.db, h.now(), conditions, names...)
}

func (h dataQuality) ListValidationRules(ctx context.Context, _ apigen.ListValidationRulesRequestObject) (apigen.ListValidationRulesResponseObject, error) {
	found, err := h.svc.Rules(ctx, callOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	items, err := eachOr(found, ruleToAPI)
	return apigen.ListValidationRules200JSONResponse{Items: items}, err
}

func (h dataQuality) CreateValidationRule(ctx context.Context, req apigen.CreateValidationRuleRequestObject) (apigen.CreateValidationRuleResponseObject, error) {
	d, err := h.draft(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	r, err := h.svc.CreateRule(ctx, callOf(ctx), d)
	if err != nil {
		return nil, err
	}
	body, err := ruleToAPI(r)
	return apigen.CreateValidationRule201JSONResponse{Body: body, Headers: apigen.CreateValidationRule201ResponseHeaders{
		ETag: etag(r.Version), Location: ptr("/v1/validation-rules/" + r.ID.String())}}, err
}

func (h dataQuality) CheckNewValidationRule(ctx context.Context, req apigen.CheckNewValidationRuleRequestObject) (apigen.CheckNewValidationRuleResponseObject, error) {
	d, err := h.draft(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	t, err := h.svc.TryDraft(ctx, callOf(ctx).Tenant, d)
	return apigen.CheckNewValidationRule200JSONResponse(trialToAPI(t)), err
}

func (h dataQuality) GetValidationRule(ctx context.Context, req apigen.GetValidationRuleRequestObject) (apigen.GetValidationRuleResponseObject, error) {
	r, err := h.svc.Rule(ctx, callOf(ctx).Tenant, req.ValidationRuleID)
	if err != nil {
		return nil, err
	}
	body, err := ruleToAPI(r)
	return apigen.GetValidationRule200JSONResponse{Body: body, Headers: apigen.GetValidationRule200ResponseHeaders{ETag: etag(r.Version)}}, err
}

func (h dataQuality) PatchValidationRule(ctx context.Context, req apigen.PatchValidationRuleRequestObject) (apigen.PatchValidationRuleResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	change, err := h.change(ctx, req.ValidationRuleID, *req.Body)
	if err != nil {
		return nil, err
	}
	r, err := h.svc.UpdateRule(ctx, callOf(ctx), req.ValidationRuleID, expected, change)
	if err != nil {
		return nil, err
	}
	body, err := ruleToAPI(r)
	return apigen.PatchValidationRule200JSONResponse{Body: body, Headers: apigen.PatchValidationRule200ResponseHeaders{ETag: etag(r.Version)}}, err
}

func (h dataQuality) DeleteValidationRule(ctx context.Context, req apigen.DeleteValidationRuleRequestObject) (apigen.DeleteValidationRuleResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteValidationRule204Response{}, h.svc.DeleteRule(ctx, callOf(ctx), req.ValidationRuleID, expected)
}

func (h dataQuality) CheckValidationRule(ctx context.Context, req apigen.CheckValidationRuleRequestObject) (apigen.CheckValidationRuleResponseObject, error) {
	change, err := h.change(ctx, req.ValidationRuleID, *req.Body)
	if err != nil {
		return nil, err
	}
	t, err := h.svc.TryChange(ctx, callOf(ctx).Tenant, req.ValidationRuleID, change)
	return apigen.CheckValidationRule200JSONResponse(trialToAPI(t)), err
}

func (h dataQuality) ListCompletenessWeights(ctx context.Context, _ apigen.ListCompletenessWeightsRequestObject) (apigen.ListCompletenessWeightsResponseObject, error) {
	both, err := h.svc.Weights(ctx, callOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	return apigen.ListCompletenessWeights200JSONResponse{Items: each(both[:], weightsToAPI)}, nil
}

func (h dataQuality) PutCompletenessWeights(ctx context.Context, req apigen.PutCompletenessWeightsRequestObject) (apigen.PutCompletenessWeightsResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	fields := each(req.Body.Fields, func(w apigen.CompletenessWeight) completeness.Weight {
		return completeness.Weight{Field: w.Field, Weight: w.Weight}
	})
	w, job, err := h.svc.PutWeights(ctx, callOf(ctx), expected, string(req.Kind), fields)
	if err != nil {
		return nil, err
	}
	body := weightsToAPI(w)
	if job != nil {
		body.JobID = &job.ID
	}
	return apigen.PutCompletenessWeights200JSONResponse{Body: body, Headers: apigen.PutCompletenessWeights200ResponseHeaders{ETag: etag(w.Version)}}, nil
}

func (h dataQuality) GetCustomerQuality(ctx context.Context, req apigen.GetCustomerQualityRequestObject) (apigen.GetCustomerQualityResponseObject, error) {
	r, err := h.svc.Of(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	age := func(at *time.Time) apigen.DataAge {
		if at == nil {
			return apigen.DataAge{}
		}
		return apigen.DataAge{ChangedAt: utc(at), AgeDays: ptr(max(0, int(r.AsOf.Sub(*at).Hours()/24)))}
	}
	return apigen.GetCustomerQuality200JSONResponse{Completeness: r.Completeness, Basic: age(r.Freshness.Basic),
		Behaviour: age(r.Freshness.Behaviour), Financial: age(r.Freshness.Financial), Normalized: normalized(r.Customer),
		Missing: each(r.Missing, func(m quality.Missing) apigen.MissingField {
			return apigen.MissingField{Field: m.Field, Label: preferred(ctx, m.Label), Weight: m.Weight}
		}),
		Violations: each(r.Violations, func(v quality.Violation) apigen.RuleViolation {
			return apigen.RuleViolation{RuleID: v.Rule.ID, Rule: v.Rule.Name, Severity: apigen.RuleSeverity(v.Rule.Severity),
				Pointer: set(v.Place.Pointer), Code: v.Place.Code, Detail: preferred(ctx, v.Place.Detail)}
		})}, nil
}

// normalized are the fields that are stored in another form than they were given.
func normalized(c customer.Customer) []apigen.Normalization {
	all := []apigen.Normalization{}
	for _, field := range slices.Sorted(maps.Keys(c.Given)) {
		all = append(all, apigen.Normalization{Field: field, Given: c.Given[field]})
	}
	return all
}

func (h dataQuality) GetDataQuality(ctx context.Context, req apigen.GetDataQualityRequestObject) (apigen.GetDataQualityResponseObject, error) {
	days := or(req.Params.StaleDays, 365)
	o, err := h.svc.Overview(ctx, callOf(ctx).Tenant, days)
	if err != nil {
		return nil, err
	}
	age := func(a quality.Age) apigen.DataAgeCount { return apigen.DataAgeCount{Stale: a.Stale, Never: a.Never} }
	return apigen.GetDataQuality200JSONResponse{AsOf: o.AsOf, Customers: o.Customers, AverageCompleteness: o.Average, StaleDays: days,
		Basic: age(o.Basic), Behaviour: age(o.Behaviour), Financial: age(o.Financial),
		Distribution: each(o.Buckets, func(b quality.Bucket) apigen.CompletenessBucket {
			return apigen.CompletenessBucket{From: b.From, To: b.To, Customers: b.Customers}
		}),
		Missing: each(o.Missing, func(m quality.Missing) apigen.MissingCount {
			return apigen.MissingCount{Kind: apigen.CustomerKind(m.Kind), Field: m.Field, Label: preferred(ctx, m.Label), Weight: m.Weight,
				Customers: m.Customers}
		}),
		Violations: each(o.Violations, func(v quality.Violation) apigen.ViolationCount {
			return apigen.ViolationCount{RuleID: v.Rule.ID, Rule: v.Rule.Name, Severity: apigen.RuleSeverity(v.Rule.Severity), Customers: v.Customers}
		})}, nil
}

func messageFromAPI(m apigen.RuleMessage) fault.Text { return fault.T(or(m.En, ""), or(m.Zh, "")) }

func ruleDraftFromAPI(b apigen.ValidationRuleCreate) quality.Draft {
	return quality.Draft{AppliesTo: attribute.AppliesTo(b.AppliesTo), Name: b.Name, Kind: quality.RuleKind(b.Kind), Field: or(b.Field, ""),
		Pattern: or(b.Pattern, ""), Condition: or(b.Condition, nil), Severity: quality.Severity(b.Severity),
		Message: messageFromAPI(or(b.Message, apigen.RuleMessage{})), Inactive: !or(b.Active, true), Position: or(b.Position, 0)}
}

func ruleChangeFromAPI(b apigen.ValidationRulePatch) quality.Change {
	c := quality.Change{Name: b.Name, Field: field(b.Field, same[string]), Pattern: field(b.Pattern, same[string]),
		Condition: field(b.Condition, same[json.RawMessage]), Active: b.Active, Position: b.Position}
	if b.AppliesTo != nil {
		c.AppliesTo = ptr(attribute.AppliesTo(*b.AppliesTo))
	}
	if b.Kind != nil {
		c.Kind = ptr(quality.RuleKind(*b.Kind))
	}
	if b.Severity != nil {
		c.Severity = ptr(quality.Severity(*b.Severity))
	}
	if b.Message != nil {
		c.Message = ptr(messageFromAPI(*b.Message))
	}
	return c
}

func ruleToAPI(r quality.Rule) (apigen.ValidationRule, error) {
	out := apigen.ValidationRule{ID: r.ID, Version: r.Version, AppliesTo: apigen.RuleSubject(r.AppliesTo), Name: r.Name,
		Kind: apigen.RuleKind(r.Kind), Field: set(r.Field), Pattern: set(r.Pattern), Severity: apigen.RuleSeverity(r.Severity),
		Message: apigen.RuleMessage{En: set(r.Message.En), Zh: set(r.Message.Zh)}, Active: r.Active, Position: r.Position,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	var err error
	out.Condition, err = conditionToAPI(r.Condition)
	return out, err
}

func trialToAPI(t quality.Trial) apigen.ValidationRuleTrial {
	return apigen.ValidationRuleTrial{Customers: t.Customers, Violating: t.Violating, Samples: append([]uuid.UUID{}, t.Samples...)}
}

func weightsToAPI(w completeness.Weights) apigen.CompletenessWeights {
	out := apigen.CompletenessWeights{Kind: apigen.CustomerKind(w.Kind), Version: w.Version,
		Fields: each(w.Fields, func(x completeness.Weight) apigen.CompletenessWeight {
			return apigen.CompletenessWeight{Field: x.Field, Weight: x.Weight}
		})}
	if w.Version > 0 {
		out.UpdatedAt = &w.UpdatedAt
	}
	return out
}
