package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tier"
)

func (h tiers) ListCustomerTiers(ctx context.Context, req apigen.ListCustomerTiersRequestObject) (apigen.ListCustomerTiersResponseObject, error) {
	found, err := h.svc.Placed(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.ListCustomerTiers200JSONResponse{Items: each(found, tierPlacementToAPI)}, nil
}

func (h tiers) PlaceCustomerInTier(ctx context.Context, req apigen.PlaceCustomerInTierRequestObject) (apigen.PlaceCustomerInTierResponseObject, error) {
	p, err := h.svc.Place(ctx, callOf(ctx), req.CustomerID, req.SchemeKey, tier.ManualDraft{Tier: req.Body.Tier, Until: dayOrNil(req.Body.Until), Reason: req.Body.Reason})
	if err != nil {
		return nil, err
	}
	return apigen.PlaceCustomerInTier200JSONResponse(tierPlacementToAPI(p)), nil
}

func (h tiers) LiftCustomerFromTier(ctx context.Context, req apigen.LiftCustomerFromTierRequestObject) (apigen.LiftCustomerFromTierResponseObject, error) {
	return apigen.LiftCustomerFromTier204Response{}, h.svc.Lift(ctx, callOf(ctx), req.CustomerID, req.SchemeKey)
}

func (h tiers) GetTierPath(ctx context.Context, req apigen.GetTierPathRequestObject) (apigen.GetTierPathResponseObject, error) {
	t := callOf(ctx).Tenant
	x, err := h.svc.Get(ctx, t, req.SchemeKey)
	if err != nil {
		return nil, err
	}
	language, err := condition.For(ctx, h.db, t, h.now())
	if err != nil {
		return nil, err
	}
	for _, r := range x.Tiers { // whether a higher tier could be entered is told as well
		if r.Condition == nil {
			break
		}
		if err := mayAsk(ctx, language, r.Condition); err != nil {
			return nil, err
		}
		if r.Key == req.Params.Tier {
			break
		}
	}
	p, err := h.svc.Path(ctx, t, req.CustomerID, req.SchemeKey, req.Params.Tier)
	if err != nil {
		return nil, err
	}
	return apigen.GetTierPath200JSONResponse{CustomerID: p.CustomerID, Scheme: x.Key, Tier: p.Tier.Key, Name: p.Tier.Name, Current: set(p.Current),
		Reached: p.Reached, Alternatives: each(p.Alternatives, func(w tier.Way) []apigen.TierStep { return each(w, tierStepToAPI) })}, nil
}

func tierStepToAPI(s tier.Step) apigen.TierStep {
	return apigen.TierStep{Pointer: s.Pointer, Text: s.Text, Seen: each(s.Seen, func(v string) string { return v }), Want: apigen.TierStepWant(s.Want),
		Needed: set(s.Needed), Difference: set(s.Difference), Unit: set(s.Unit)}
}

func (h tiers) SimulateTierScheme(ctx context.Context, req apigen.SimulateTierSchemeRequestObject) (apigen.SimulateTierSchemeResponseObject, error) {
	terms, err := h.terms(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	asked, err := json.Marshal(req.Body)
	if err != nil {
		return nil, fmt.Errorf("write what was asked: %w", err)
	}
	scope := []string{"tier-simulation", req.SchemeKey, string(asked)}
	request, err := h.request(ctx, req.Params.Limit, req.Params.Cursor, scope...)
	if err != nil {
		return nil, err
	}
	found, err := h.svc.Simulate(ctx, callOf(ctx).Tenant, req.SchemeKey, terms, request)
	if err != nil {
		return nil, err
	}
	next, err := h.next(ctx, found.Movers.Next, scope...)
	if err != nil {
		return nil, err
	}
	out := apigen.SimulateTierScheme200JSONResponse{NextCursor: next, HasMore: next != nil, Movers: each(found.Movers.Items, func(m tier.Mover) apigen.TierMover {
		return apigen.TierMover{CustomerID: m.CustomerID, Name: m.Name, From: set(m.From), To: m.To, DowngradeOn: dateOrNil(m.DowngradeOn)}
	})}
	if found.Movements != nil {
		out.Customers, out.Unchanged, out.Up, out.Down = &found.Customers, &found.Unchanged, &found.Up, &found.Down
		out.Placed, out.Failing = &found.Placed, &found.Grace
		out.Movements = ptr(each(found.Movements, func(m tier.Movement) apigen.TierMovement {
			return apigen.TierMovement{From: set(m.From), To: m.To, Customers: m.Customers}
		}))
	}
	return out, nil
}

func (h tiers) ListTierDowngrades(ctx context.Context, req apigen.ListTierDowngradesRequestObject) (apigen.ListTierDowngradesResponseObject, error) {
	within := or(req.Params.WithinDays, 30)
	found, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[tier.Descent], error) {
		return h.svc.Descents(ctx, callOf(ctx).Tenant, req.SchemeKey, within, r)
	}, "tier-downgrades", req.SchemeKey, fmt.Sprint(within))
	return apigen.ListTierDowngrades200JSONResponse{NextCursor: next, HasMore: next != nil, Items: each(found.Items, func(d tier.Descent) apigen.TierDescent {
		return apigen.TierDescent{CustomerID: d.CustomerID, Name: d.Name, From: d.From, To: d.To, DowngradeOn: dayToAPI(d.On), Grace: d.Grace}
	})}, err
}

func (h tiers) ListTierHistory(ctx context.Context, req apigen.ListTierHistoryRequestObject) (apigen.ListTierHistoryResponseObject, error) {
	found, err := h.history(ctx, req.Params.Limit, req.Params.Cursor, "tier-history "+req.SchemeKey, func(r page.Request) (page.Of[tier.Passage], error) {
		return h.svc.History(ctx, callOf(ctx).Tenant, req.SchemeKey, r)
	})
	return apigen.ListTierHistory200JSONResponse(found), err
}

func (h tiers) ListCustomerTierHistory(ctx context.Context, req apigen.ListCustomerTierHistoryRequestObject) (apigen.ListCustomerTierHistoryResponseObject, error) {
	scheme := or(req.Params.Scheme, "")
	found, err := h.history(ctx, req.Params.Limit, req.Params.Cursor, "tier-history "+req.CustomerID.String()+" "+scheme, func(r page.Request) (page.Of[tier.Passage], error) {
		return h.svc.HistoryOf(ctx, callOf(ctx).Tenant, req.CustomerID, scheme, r)
	})
	return apigen.ListCustomerTierHistory200JSONResponse(found), err
}

func (h tiers) history(ctx context.Context, limit *int, cursor *string, scope string, read func(page.Request) (page.Of[tier.Passage], error)) (apigen.TierPassagePage, error) {
	found, next, err := paged(ctx, h.lister, limit, cursor, read, scope)
	return apigen.TierPassagePage{NextCursor: next, HasMore: next != nil, Items: each(found.Items, tierPassageToAPI)}, err
}

func tierPassageToAPI(p tier.Passage) apigen.TierPassage {
	return apigen.TierPassage{CustomerID: p.CustomerID, Scheme: p.Scheme, Change: apigen.TierPassageChange(p.Change), From: set(p.From), To: set(p.To),
		Cause: apigen.TierPassageCause(p.Cause), EventType: set(p.Event), Reason: set(p.Reason), DowngradeOn: dateOrNil(p.DowngradeOn), Actor: p.Actor,
		ChangeSet: p.ChangeSet, OccurredAt: p.At}
}

func tierPlacementToAPI(p tier.Placement) apigen.TierPlacement {
	out := apigen.TierPlacement{Scheme: p.Scheme, SchemeName: p.SchemeName, Key: p.Key, Name: p.Name, PlacedAt: p.PlacedAt, Strategy: set(p.Strategy),
		Benefits:    filled(each(p.Benefits, tierBenefitToAPI)),
		DowngradeOn: dateOrNil(p.DowngradeOn), PeriodEndsOn: dateOrNil(p.PeriodEndsOn)}
	if m := p.Manual; m != nil {
		out.Earned = set(p.Earned)
		out.Manual = &apigen.TierManual{Tier: m.Tier, Until: dateOrNil(m.Until), Reason: m.Reason, Actor: m.Actor, PlacedAt: m.At}
	}
	return out
}
