package httpapi

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
)

type events struct {
	lister
	db *postgres.DB
}

func (h events) ListEvents(ctx context.Context, req apigen.ListEventsRequestObject) (apigen.ListEventsResponseObject, error) {
	found, more, err := event.Feed(ctx, h.db, callOf(ctx).Tenant.ID, event.Query{After: or(req.Params.After, 0),
		CustomerID: req.Params.CustomerID, Limit: or(req.Params.Limit, 50)})
	if err != nil {
		return nil, err
	}
	p := apigen.ListEvents200JSONResponse{Items: each(found, eventToAPI), HasMore: more}
	if len(found) > 0 {
		p.LastSeq = &found[len(found)-1].Seq
	}
	return p, nil
}

func (h events) ListChangeSetItems(ctx context.Context, req apigen.ListChangeSetItemsRequestObject) (apigen.ListChangeSetItemsResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[uuid.UUID], error) {
		return event.Items(ctx, h.db, callOf(ctx).Tenant.ID, req.ChangeSetID, r)
	}, "change_set", req.ChangeSetID.String())
	return apigen.ListChangeSetItems200JSONResponse{NextCursor: next, HasMore: next != nil,
		Items: each(p.Items, func(id uuid.UUID) apigen.ChangeSetItem { return apigen.ChangeSetItem{CustomerID: id} })}, err
}

func eventToAPI(e event.Event) apigen.Event {
	return apigen.Event{Seq: e.Seq, ID: e.ID, Type: e.Type, Subject: apigen.Subject{Type: e.SubjectType, ID: e.SubjectID},
		CustomerID: e.CustomerID, CustomerVersion: e.CustomerVersion, Changed: e.Changed, Previous: e.Previous, Actor: e.Actor,
		RequestID: set(e.RequestID), ChangeSet: e.ChangeSet, OccurredAt: e.OccurredAt.UTC()}
}
