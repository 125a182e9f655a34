package httpapi

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/timeline"
)

type timelines struct {
	lister
	db *postgres.DB
}

// timelineScopes are what kinds of entries need beside customers:read.
var timelineScopes = map[timeline.Kind]string{timeline.Order: "transactions:read", timeline.OrderStatus: "transactions:read",
	timeline.Return: "transactions:read", timeline.Payment: "transactions:read", timeline.Tag: "tags:read", timeline.Tier: "tiers:read"}

func (h timelines) ListCustomerTimeline(ctx context.Context, req apigen.ListCustomerTimelineRequestObject) (apigen.ListCustomerTimelineResponseObject, error) {
	kinds, err := readableKinds(ctx, each(or(req.Params.Kind, nil), func(k apigen.TimelineKind) timeline.Kind { return timeline.Kind(k) }))
	if err != nil {
		return nil, err
	}
	t := callOf(ctx).Tenant
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[timeline.Entry], error) {
		return timeline.Of(ctx, h.db, t, req.CustomerID, kinds, r)
	}, "timeline", req.CustomerID.String(), strings.Join(each(kinds, func(k timeline.Kind) string { return string(k) }), ","))
	return apigen.ListCustomerTimeline200JSONResponse{NextCursor: next, HasMore: next != nil,
		Items: each(p.Items, func(e timeline.Entry) apigen.TimelineEntry { return timelineEntryToAPI(e, t) })}, err
}

// readableKinds are the kinds asked for, each once, or without any those that the caller may read.
func readableKinds(ctx context.Context, asked []timeline.Kind) ([]timeline.Kind, error) {
	p := auth.From(ctx)
	for _, k := range asked {
		if scope := timelineScopes[k]; scope != "" {
			if err := demand(p, scope); err != nil {
				return nil, err
			}
		}
	}
	if len(asked) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(asked))), nil
	}
	return slices.DeleteFunc(slices.Clone(timeline.Kinds), func(k timeline.Kind) bool {
		return timelineScopes[k] != "" && demand(p, timelineScopes[k]) != nil
	}), nil
}

func timelineEntryToAPI(e timeline.Entry, t tenant.Tenant) apigen.TimelineEntry {
	out := apigen.TimelineEntry{Kind: apigen.TimelineKind(e.Kind), ID: e.ID, At: e.At, Actor: set(e.Actor), Status: set(e.Status),
		From: set(e.From), To: set(e.To), Channel: set(e.Channel), Store: set(e.Store), Units: e.Units, Reason: set(e.Reason),
		Text: set(e.Text), Name: set(e.Name), Key: set(e.Key), Event: set(e.Event)}
	if e.DateOnly {
		out.On = ptr(dayToAPI(tenant.DayOf(e.At, t.Zone)))
	}
	if id, err := uuid.Parse(e.OrderID); err == nil {
		out.OrderID = &id
	}
	if e.Amount != nil {
		out.Amount = ptr(moneyToAPI(money.Money{Minor: *e.Amount, Currency: e.Currency}))
	}
	if len(e.Changed) > 0 {
		out.Changed = &e.Changed
	}
	return out
}
