package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
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
	all := apigen.ListTierSchemes200JSONResponse{Items: make([]apigen.TierScheme, len(found))}
	for i, s := range found {
		if all.Items[i], err = tierSchemeToAPI(s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (h tiers) CreateTierScheme(ctx context.Context, req apigen.CreateTierSchemeRequestObject) (apigen.CreateTierSchemeResponseObject, error) {
	b := req.Body
	drafts := each(or(b.Tiers, nil), tierFromAPI)
	if err := h.mayKeep(ctx, drafts); err != nil {
		return nil, err
	}
	s, err := h.svc.Create(ctx, callOf(ctx), tier.Draft{Key: b.Key, Name: or(b.Name, ""), Preset: string(or(b.Preset, "")),
		Score: or(b.Score, ""), Tiers: drafts})
	if err != nil {
		return nil, err
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
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	change := tier.Change{Name: req.Body.Name}
	if req.Body.Tiers != nil {
		change.Tiers = each(*req.Body.Tiers, tierFromAPI)
		if err := h.mayKeep(ctx, change.Tiers); err != nil {
			return nil, err
		}
	}
	s, err := h.svc.Update(ctx, callOf(ctx), req.SchemeKey, versions, change)
	if err != nil {
		return nil, err
	}
	body, err := tierSchemeToAPI(s)
	return apigen.PatchTierScheme200JSONResponse{Body: body, Headers: apigen.PatchTierScheme200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (h tiers) DeleteTierScheme(ctx context.Context, req apigen.DeleteTierSchemeRequestObject) (apigen.DeleteTierSchemeResponseObject, error) {
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.SchemeKey, versions); err != nil {
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

func (h tiers) ListCustomerTiers(ctx context.Context, req apigen.ListCustomerTiersRequestObject) (apigen.ListCustomerTiersResponseObject, error) {
	found, err := h.svc.Placed(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.ListCustomerTiers200JSONResponse{Items: each(found, tierPlacementToAPI)}, nil
}

func (h tiers) mayKeep(ctx context.Context, drafts []tier.TierDraft) error {
	return mayKeep(ctx, h.db, h.now(), each(drafts, func(d tier.TierDraft) json.RawMessage { return d.Condition }))
}

func tierFromAPI(t apigen.Tier) tier.TierDraft {
	return tier.TierDraft{Key: t.Key, Name: t.Name, Condition: or(t.Condition, nil)}
}

func tierSchemeToAPI(s tier.Scheme) (apigen.TierScheme, error) {
	out := apigen.TierScheme{Key: s.Key, Version: s.Version, Name: s.Name, EvaluatedAt: s.EvaluatedAt,
		Tiers: make([]apigen.Tier, len(s.Tiers)), CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
	for i, t := range s.Tiers {
		out.Tiers[i] = apigen.Tier{Key: t.Key, Name: t.Name}
		if t.Condition == nil {
			continue
		}
		raw, err := json.Marshal(t.Condition)
		if err != nil {
			return apigen.TierScheme{}, fmt.Errorf("write the condition of tier %s: %w", t.Key, err)
		}
		out.Tiers[i].Condition = ptr(apigen.Condition(raw))
	}
	return out, nil
}

func tierPlacementToAPI(p tier.Placement) apigen.TierPlacement {
	return apigen.TierPlacement{Scheme: p.Scheme, Key: p.Key, Name: p.Name, PlacedAt: p.PlacedAt}
}
