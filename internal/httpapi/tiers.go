package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tier"
)

type tiers struct {
	lister
	svc *tier.Service
	db  *postgres.DB
	now func() time.Time
}

func (h tiers) ListTierSchemes(ctx context.Context, _ apigen.ListTierSchemesRequestObject) (apigen.ListTierSchemesResponseObject, error) {
	found, err := h.svc.List(ctx, callOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	items, err := eachOr(found, tierSchemeToAPI)
	return apigen.ListTierSchemes200JSONResponse{Items: items}, err
}

func (h tiers) CreateTierScheme(ctx context.Context, req apigen.CreateTierSchemeRequestObject) (apigen.CreateTierSchemeResponseObject, error) {
	b := req.Body
	if preset := or(b.Preset, ""); preset == tier.Value {
		if err := mayRead(ctx, "scores."+or(b.Score, "clv")); err != nil {
			return nil, err
		}
	}
	terms, err := h.terms(ctx, apigen.TierTerms{Tiers: b.Tiers, Qualification: b.Qualification, Downgrade: b.Downgrade, DowngradeAt: b.DowngradeAt, GraceDays: b.GraceDays})
	if err != nil {
		return nil, err
	}
	s, err := h.svc.Create(ctx, callOf(ctx), tier.Draft{Key: b.Key, Name: or(b.Name, ""), Preset: string(or(b.Preset, "")),
		Score: or(b.Score, ""), Terms: terms, Inactive: or(b.Draft, false)})
	if err != nil {
		return nil, instead(err, "/filter", "/tiers")
	}
	body, err := tierSchemeToAPI(s)
	return apigen.CreateTierScheme201JSONResponse{Body: body, Headers: apigen.CreateTierScheme201ResponseHeaders{
		ETag: etag(s.Version), Location: ptr("/v1/tier-schemes/" + s.Key)}}, err
}

func (h tiers) GetTierScheme(ctx context.Context, req apigen.GetTierSchemeRequestObject) (apigen.GetTierSchemeResponseObject, error) {
	s, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.SchemeKey)
	if err != nil {
		return nil, err
	}
	body, err := tierSchemeToAPI(s)
	return apigen.GetTierScheme200JSONResponse{Body: body, Headers: apigen.GetTierScheme200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (h tiers) PatchTierScheme(ctx context.Context, req apigen.PatchTierSchemeRequestObject) (apigen.PatchTierSchemeResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	terms, err := h.terms(ctx, apigen.TierTerms{Tiers: b.Tiers, Qualification: b.Qualification, Downgrade: b.Downgrade, DowngradeAt: b.DowngradeAt, GraceDays: b.GraceDays})
	if err != nil {
		return nil, err
	}
	s, err := h.svc.Update(ctx, callOf(ctx), req.SchemeKey, expected, tier.Change{Name: b.Name, Terms: terms})
	if err != nil {
		return nil, instead(err, "/filter", "/tiers")
	}
	body, err := tierSchemeToAPI(s)
	return apigen.PatchTierScheme200JSONResponse{Body: body, Headers: apigen.PatchTierScheme200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (h tiers) PutTierSchemeDraft(ctx context.Context, req apigen.PutTierSchemeDraftRequestObject) (apigen.PutTierSchemeDraftResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	terms, err := h.terms(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	s, err := h.svc.PutDraft(ctx, callOf(ctx), req.SchemeKey, expected, terms)
	if err != nil {
		return nil, err
	}
	body, err := tierSchemeToAPI(s)
	return apigen.PutTierSchemeDraft200JSONResponse{Body: body, Headers: apigen.PutTierSchemeDraft200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (h tiers) DeleteTierSchemeDraft(ctx context.Context, req apigen.DeleteTierSchemeDraftRequestObject) (apigen.DeleteTierSchemeDraftResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteTierSchemeDraft204Response{}, h.svc.DropDraft(ctx, callOf(ctx), req.SchemeKey, expected)
}

func (h tiers) ActivateTierScheme(ctx context.Context, req apigen.ActivateTierSchemeRequestObject) (apigen.ActivateTierSchemeResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	s, err := h.svc.Activate(ctx, callOf(ctx), req.SchemeKey, expected)
	if err != nil {
		return nil, err
	}
	body, err := tierSchemeToAPI(s)
	return apigen.ActivateTierScheme200JSONResponse{Body: body, Headers: apigen.ActivateTierScheme200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (h tiers) ListTierSchemeVersions(ctx context.Context, req apigen.ListTierSchemeVersionsRequestObject) (apigen.ListTierSchemeVersionsResponseObject, error) {
	found, err := h.svc.Revisions(ctx, callOf(ctx).Tenant, req.SchemeKey)
	if err != nil {
		return nil, err
	}
	items, err := eachOr(found, func(r tier.Revision) (apigen.TierSchemeVersion, error) {
		terms, err := tierTermsToAPI(r.Definition)
		return apigen.TierSchemeVersion{Revision: r.Number, Definition: terms, Actor: r.Actor, ActivatedAt: r.ActivatedAt}, err
	})
	return apigen.ListTierSchemeVersions200JSONResponse{Items: items}, err
}

func (h tiers) DeleteTierScheme(ctx context.Context, req apigen.DeleteTierSchemeRequestObject) (apigen.DeleteTierSchemeResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.SchemeKey, expected); err != nil {
		return nil, err
	}
	return apigen.DeleteTierScheme204Response{}, nil
}

func (h tiers) EvaluateTierScheme(ctx context.Context, req apigen.EvaluateTierSchemeRequestObject) (apigen.EvaluateTierSchemeResponseObject, error) {
	j, err := h.svc.Evaluate(ctx, callOf(ctx), req.SchemeKey)
	if err != nil {
		return nil, err
	}
	return apigen.EvaluateTierScheme202JSONResponse{Body: jobToAPI(j),
		Headers: apigen.EvaluateTierScheme202ResponseHeaders{Location: jobLocation(j.ID.String())}}, nil
}

func (h tiers) GetTierDistribution(ctx context.Context, req apigen.GetTierDistributionRequestObject) (apigen.GetTierDistributionResponseObject, error) {
	d, err := h.svc.Distribution(ctx, callOf(ctx).Tenant, req.SchemeKey)
	if err != nil {
		return nil, err
	}
	out := apigen.GetTierDistribution200JSONResponse{Scheme: d.Scheme.Key, Total: d.Total, Unplaced: d.Unplaced,
		EvaluatedAt: d.Scheme.EvaluatedAt, Items: make([]apigen.TierCount, len(d.Customers))}
	for i, n := range d.Customers {
		out.Items[i] = apigen.TierCount{Key: d.Scheme.Tiers[i].Key, Name: d.Scheme.Tiers[i].Name, Customers: n}
	}
	return out, nil
}

// terms are what a body says, if the caller may keep its conditions.
func (h tiers) terms(ctx context.Context, b apigen.TierTerms) (tier.Terms, error) {
	t := tier.Terms{GraceDays: b.GraceDays}
	if b.Tiers != nil {
		t.Tiers = each(*b.Tiers, tierFromAPI)
	}
	if q := b.Qualification; q != nil {
		t.Window = &tier.WindowDraft{Window: tier.Window(q.Window), Months: or(q.Months, 0), Days: or(q.Days, 0)}
	}
	if b.Downgrade != nil {
		t.Downgrade = ptr(tier.Downgrade(*b.Downgrade))
	}
	if b.DowngradeAt != nil {
		t.DowngradeAt = ptr(tier.Moment(*b.DowngradeAt))
	}
	return t, mayKeep(ctx, h.db, h.now(), conditionsOf(t.Tiers))
}

func conditionsOf(drafts []tier.TierDraft) []json.RawMessage {
	var all []json.RawMessage
	for _, d := range drafts {
		all = append(all, d.Condition, d.Keep)
	}
	return all
}

func tierFromAPI(t apigen.Tier) tier.TierDraft {
	return tier.TierDraft{Key: t.Key, Name: t.Name, Condition: or(t.Condition, nil), Keep: or(t.Keep, nil), Strategy: or(t.Strategy, ""),
		Benefits: each(or(t.Benefits, nil), func(b apigen.TierBenefit) tier.Benefit {
			return tier.Benefit{Kind: tier.BenefitKind(b.Kind), Name: b.Name, Value: b.Value, Details: or(b.Details, "")}
		})}
}

func tierToAPI(t tier.Tier) (apigen.Tier, error) {
	out := apigen.Tier{Key: t.Key, Name: t.Name, Strategy: set(t.Strategy)}
	if len(t.Benefits) > 0 {
		out.Benefits = ptr(each(t.Benefits, tierBenefitToAPI))
	}
	var err error
	if out.Condition, err = conditionToAPI(t.Condition); err != nil {
		return out, err
	}
	out.Keep, err = conditionToAPI(t.Keep)
	return out, err
}

func qualificationToAPI(d tier.Definition) apigen.TierQualification {
	q := apigen.TierQualification{Window: apigen.TierQualificationWindow(d.Window)}
	switch {
	case d.Window != tier.Rolling:
	case d.Days > 0:
		q.Days = &d.Days
	default:
		q.Months = &d.Months
	}
	return q
}

func tierTermsToAPI(d tier.Definition) (apigen.TierTerms, error) {
	tiers, err := eachOr(d.Tiers, tierToAPI)
	return apigen.TierTerms{Tiers: &tiers, Qualification: ptr(qualificationToAPI(d)), Downgrade: ptr(apigen.TierDowngradeMode(d.Downgrade)),
		DowngradeAt: ptr(apigen.TierDowngradeMoment(d.DowngradeAt)), GraceDays: &d.GraceDays}, err
}

func tierSchemeToAPI(s tier.Scheme) (apigen.TierScheme, error) {
	tiers, err := eachOr(s.Tiers, tierToAPI)
	if err != nil {
		return apigen.TierScheme{}, err
	}
	out := apigen.TierScheme{Key: s.Key, Version: s.Version, Name: s.Name, Active: s.Active(), Revision: s.Revision, EvaluatedAt: s.EvaluatedAt,
		Tiers: tiers, Qualification: qualificationToAPI(s.Definition), Downgrade: apigen.TierDowngradeMode(s.Downgrade),
		DowngradeAt: apigen.TierDowngradeMoment(s.DowngradeAt), GraceDays: s.GraceDays, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
	if s.Preset != "" {
		out.Preset = ptr(apigen.TierPreset(s.Preset))
	}
	if s.Draft == nil {
		return out, nil
	}
	draft, err := tierTermsToAPI(*s.Draft)
	out.Draft = &draft
	return out, err
}

func tierBenefitToAPI(b tier.Benefit) apigen.TierBenefit {
	return apigen.TierBenefit{Kind: apigen.TierBenefitKind(b.Kind), Name: b.Name, Value: b.Value, Details: set(b.Details)}
}
