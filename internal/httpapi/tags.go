package httpapi

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tag"
)

type tags struct {
	lister
	svc     *tag.Service
	filters filters
}

func (h tags) ListTagGroups(ctx context.Context, _ apigen.ListTagGroupsRequestObject) (apigen.ListTagGroupsResponseObject, error) {
	found, err := h.svc.Groups(ctx, callOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	return apigen.ListTagGroups200JSONResponse{Items: each(found, tagGroupToAPI)}, nil
}

func (h tags) CreateTagGroup(ctx context.Context, req apigen.CreateTagGroupRequestObject) (apigen.CreateTagGroupResponseObject, error) {
	b := req.Body
	g, err := h.svc.CreateGroup(ctx, callOf(ctx), tag.GroupDraft{Key: b.Key, Name: b.Name, Color: or(b.Color, ""),
		Exclusive: or(b.Exclusive, false), Position: or(b.Position, 0)})
	if err != nil {
		return nil, err
	}
	return apigen.CreateTagGroup201JSONResponse{Body: tagGroupToAPI(g), Headers: apigen.CreateTagGroup201ResponseHeaders{
		ETag: etag(g.Version), Location: ptr("/v1/tag-groups/" + g.ID.String())}}, nil
}

func (h tags) GetTagGroup(ctx context.Context, req apigen.GetTagGroupRequestObject) (apigen.GetTagGroupResponseObject, error) {
	g, err := h.svc.Group(ctx, callOf(ctx).Tenant, req.GroupID)
	if err != nil {
		return nil, err
	}
	return apigen.GetTagGroup200JSONResponse{Body: tagGroupToAPI(g), Headers: apigen.GetTagGroup200ResponseHeaders{ETag: etag(g.Version)}}, nil
}

func (h tags) PatchTagGroup(ctx context.Context, req apigen.PatchTagGroupRequestObject) (apigen.PatchTagGroupResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	g, err := h.svc.UpdateGroup(ctx, callOf(ctx), req.GroupID, expected, tag.GroupChange{Name: req.Body.Name,
		Color: req.Body.Color, Exclusive: req.Body.Exclusive, Position: req.Body.Position})
	if err != nil {
		return nil, err
	}
	return apigen.PatchTagGroup200JSONResponse{Body: tagGroupToAPI(g), Headers: apigen.PatchTagGroup200ResponseHeaders{ETag: etag(g.Version)}}, nil
}

func (h tags) DeleteTagGroup(ctx context.Context, req apigen.DeleteTagGroupRequestObject) (apigen.DeleteTagGroupResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.DeleteGroup(ctx, callOf(ctx), req.GroupID, expected); err != nil {
		return nil, err
	}
	return apigen.DeleteTagGroup204Response{}, nil
}

func (h tags) ListTags(ctx context.Context, req apigen.ListTagsRequestObject) (apigen.ListTagsResponseObject, error) {
	q := tag.Query{Group: req.Params.GroupID, Archived: or(req.Params.Archived, false)}
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[tag.Tag], error) {
		q.Page = r
		return h.svc.Tags(ctx, callOf(ctx).Tenant, q)
	}, "tags", or(q.Group, uuid.Nil).String(), fmt.Sprint(q.Archived))
	if err != nil {
		return nil, err
	}
	items, err := h.pack(ctx, p.Items...)
	return apigen.ListTags200JSONResponse{Items: items, NextCursor: next, HasMore: next != nil}, err
}

func (h tags) CreateTag(ctx context.Context, req apigen.CreateTagRequestObject) (apigen.CreateTagResponseObject, error) {
	b := req.Body
	node, err := h.filters.ruling(ctx, b.FilterText, b.Filter)
	if err != nil {
		return nil, err
	}
	t, _, err := h.svc.Create(ctx, callOf(ctx), tag.Draft{GroupID: b.GroupID, Key: b.Key, Name: b.Name,
		Description: or(b.Description, ""), Color: or(b.Color, ""), Position: or(b.Position, 0), Condition: node})
	if err != nil {
		return nil, asGiven(err, b.FilterText)
	}
	items, err := h.pack(ctx, t)
	if err != nil {
		return nil, err
	}
	return apigen.CreateTag201JSONResponse{Body: items[0], Headers: apigen.CreateTag201ResponseHeaders{
		ETag: tagETag(items[0]), Location: ptr("/v1/tags/" + t.ID.String())}}, nil
}

func (h tags) CreateTagPresets(ctx context.Context, req apigen.CreateTagPresetsRequestObject) (apigen.CreateTagPresetsResponseObject, error) {
	g, made, err := h.svc.Presets(ctx, callOf(ctx), tag.Preset(req.Body.Preset))
	if err != nil {
		return nil, err
	}
	items, err := h.pack(ctx, made...)
	return apigen.CreateTagPresets200JSONResponse{Group: tagGroupToAPI(g), Items: items}, err
}

func (h tags) GetTag(ctx context.Context, req apigen.GetTagRequestObject) (apigen.GetTagResponseObject, error) {
	t, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.TagID)
	if err != nil {
		return nil, err
	}
	items, err := h.pack(ctx, t)
	if err != nil {
		return nil, err
	}
	return apigen.GetTag200JSONResponse{Body: items[0], Headers: apigen.GetTag200ResponseHeaders{ETag: tagETag(items[0])}}, nil
}

func (h tags) PatchTag(ctx context.Context, req apigen.PatchTagRequestObject) (apigen.PatchTagResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	node, err := h.filters.ruling(ctx, b.FilterText, b.Filter)
	if err != nil {
		return nil, err
	}
	t, _, err := h.svc.Update(ctx, callOf(ctx), req.TagID, expected, tag.Change{Key: b.Key, Name: b.Name, Description: b.Description,
		GroupID: field(b.GroupID, same[uuid.UUID]), Color: field(b.Color, same[string]), Position: b.Position, Condition: node,
		Automatic: b.Automatic, Archived: b.Archived})
	if err != nil {
		return nil, asGiven(err, b.FilterText)
	}
	items, err := h.pack(ctx, t)
	if err != nil {
		return nil, err
	}
	return apigen.PatchTag200JSONResponse{Body: items[0], Headers: apigen.PatchTag200ResponseHeaders{ETag: tagETag(items[0])}}, nil
}

func (h tags) DeleteTag(ctx context.Context, req apigen.DeleteTagRequestObject) (apigen.DeleteTagResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.TagID, expected, or(req.Params.Force, false)); err != nil {
		return nil, err
	}
	return apigen.DeleteTag204Response{}, nil
}

func (h tags) BulkTag(ctx context.Context, req apigen.BulkTagRequestObject) (apigen.BulkTagResponseObject, error) {
	b, call := req.Body, callOf(ctx)
	_, node, err := h.filters.asked(ctx, b.FilterText, b.Filter)
	if err != nil {
		return nil, err
	}
	r, job, err := h.svc.Bulk(ctx, call, req.TagID, tag.Many{Target: bulk.Target{Customers: or(b.CustomerIds, nil), Condition: node},
		Adding: b.Action == apigen.TagBulkActionPut, Reason: or(b.Reason, "")}, or(req.Params.ValidateOnly, false))
	if err != nil {
		return nil, err
	}
	if job != nil {
		return apigen.BulkTag202JSONResponse{Body: jobToAPI(*job), Headers: apigen.BulkTag202ResponseHeaders{Location: jobLocation(job.ID.String())}}, nil
	}
	return apigen.BulkTag200JSONResponse(bulkToAPI(r, call.ChangeSet)), nil
}

func (h tags) MergeTag(ctx context.Context, req apigen.MergeTagRequestObject) (apigen.MergeTagResponseObject, error) {
	call := callOf(ctx)
	r, job, err := h.svc.Merge(ctx, call, req.TagID, req.Body.Into)
	if err != nil {
		return nil, err
	}
	if job != nil {
		return apigen.MergeTag202JSONResponse{Body: jobToAPI(*job), Headers: apigen.MergeTag202ResponseHeaders{Location: jobLocation(job.ID.String())}}, nil
	}
	return apigen.MergeTag200JSONResponse(bulkToAPI(r, call.ChangeSet)), nil
}

func (h tags) ListTagDependents(ctx context.Context, req apigen.ListTagDependentsRequestObject) (apigen.ListTagDependentsResponseObject, error) {
	found, err := h.svc.Dependents(ctx, callOf(ctx).Tenant, req.TagID)
	return apigen.ListTagDependents200JSONResponse{Items: each(found, dependentToAPI)}, err
}

func (h tags) ListTagHistory(ctx context.Context, req apigen.ListTagHistoryRequestObject) (apigen.ListTagHistoryResponseObject, error) {
	found, err := h.history(ctx, req.Params.Limit, req.Params.Cursor, "tag-history "+req.TagID.String(), func(r page.Request) (page.Of[tag.Entry], error) {
		return h.svc.History(ctx, callOf(ctx).Tenant, req.TagID, r)
	})
	return apigen.ListTagHistory200JSONResponse(found), err
}

func (h tags) ListCustomerTagHistory(ctx context.Context, req apigen.ListCustomerTagHistoryRequestObject) (apigen.ListCustomerTagHistoryResponseObject, error) {
	found, err := h.history(ctx, req.Params.Limit, req.Params.Cursor, "tag-history "+req.CustomerID.String(), func(r page.Request) (page.Of[tag.Entry], error) {
		return h.svc.HistoryOf(ctx, callOf(ctx).Tenant, req.CustomerID, r)
	})
	return apigen.ListCustomerTagHistory200JSONResponse(found), err
}

func (h tags) history(ctx context.Context, limit *int, cursor *string, scope string, read func(page.Request) (page.Of[tag.Entry], error)) (apigen.TagHistoryPage, error) {
	found, next, err := paged(ctx, h.lister, limit, cursor, read, scope)
	return apigen.TagHistoryPage{Items: each(found.Items, tagEntryToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h tags) ListCustomerTags(ctx context.Context, req apigen.ListCustomerTagsRequestObject) (apigen.ListCustomerTagsResponseObject, error) {
	found, suppressed, err := h.svc.Carried(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.ListCustomerTags200JSONResponse{Items: each(found, customerTagToAPI), Suppressed: each(suppressed, suppressedToAPI)}, nil
}

func (h tags) PutCustomerTag(ctx context.Context, req apigen.PutCustomerTagRequestObject) (apigen.PutCustomerTagResponseObject, error) {
	b := or(req.Body, apigen.CustomerTagPut{})
	a, err := h.svc.Put(ctx, callOf(ctx), req.CustomerID, req.TagID, tag.Terms{Reason: or(b.Reason, ""), ExpiresAt: b.ExpiresAt})
	if err != nil {
		return nil, err
	}
	return apigen.PutCustomerTag200JSONResponse(customerTagToAPI(a)), nil
}

func (h tags) DeleteCustomerTag(ctx context.Context, req apigen.DeleteCustomerTagRequestObject) (apigen.DeleteCustomerTagResponseObject, error) {
	if err := h.svc.Remove(ctx, callOf(ctx), req.CustomerID, req.TagID, or(req.Params.Reason, "")); err != nil {
		return nil, err
	}
	return apigen.DeleteCustomerTag204Response{}, nil
}

func (h tags) LiftCustomerTag(ctx context.Context, req apigen.LiftCustomerTagRequestObject) (apigen.LiftCustomerTagResponseObject, error) {
	if err := h.svc.Lift(ctx, callOf(ctx), req.CustomerID, req.TagID); err != nil {
		return nil, err
	}
	return apigen.LiftCustomerTag204Response{}, nil
}

// pack shows tags, automatic ones with how far they are evaluated.
func (h tags) pack(ctx context.Context, list ...tag.Tag) ([]apigen.Tag, error) {
	at, err := h.svc.Evaluations(ctx, callOf(ctx).Tenant, list...)
	if err != nil {
		return nil, err
	}
	items := make([]apigen.Tag, len(list))
	for i, t := range list {
		items[i] = apigen.Tag{ID: t.ID, Version: t.Version, GroupID: t.GroupID, Key: t.Key, Name: t.Name, Description: t.Description,
			Color: set(t.Color), Position: t.Position, Automatic: t.Automatic(), Archived: t.ArchivedAt != nil, ArchivedAt: t.ArchivedAt,
			Customers: t.Customers, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
		if !t.Automatic() {
			continue
		}
		if items[i].Filter, err = conditionToAPI(t.Condition); err != nil {
			return nil, err
		}
		items[i].FilterText, items[i].Relative = ptr(t.Condition.Text()), ptr(t.Relative())
		items[i].Evaluation = ptr(evaluationToAPI(at[t.ID]))
	}
	return items, nil
}

func tagGroupToAPI(g tag.Group) apigen.TagGroup {
	return apigen.TagGroup{ID: g.ID, Version: g.Version, Key: g.Key, Name: g.Name, Color: g.Color, Exclusive: g.Exclusive,
		Position: g.Position, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt}
}

// tagETag covers what is shown beside the tag's own fields too, which changes without raising the version.
func tagETag(t apigen.Tag) *string {
	if t.Evaluation == nil {
		return ptr(fmt.Sprintf(`"%d.%d"`, t.Version, t.Customers))
	}
	evaluated := or(t.Evaluation.EvaluatedAt, time.Time{}).UnixMicro()
	return ptr(fmt.Sprintf(`"%d.%d.%s.%d.%t"`, t.Version, t.Customers, t.Evaluation.AsOf, evaluated, t.Evaluation.JobID != nil))
}

func bulkToAPI(r bulk.Result, changeSet uuid.UUID) apigen.TagBulkResult {
	return apigen.TagBulkResult{Changed: r.Changed, Unchanged: r.Unchanged, Missing: r.Missing, ChangeSet: changeSet}
}

func customerTagToAPI(a tag.Assignment) apigen.CustomerTag {
	out := apigen.CustomerTag{TagID: a.TagID, Key: a.Key, Name: a.Name, Group: set(a.Group), Color: set(a.Color),
		Source: apigen.CustomerTagSource(a.Source), Actor: a.Actor, Reason: set(a.Reason), AssignedAt: a.AssignedAt, ExpiresAt: a.ExpiresAt}
	if a.Automatic {
		out.Automatic = ptr(true)
	}
	if a.Archived {
		out.Archived = ptr(true)
	}
	return out
}

func suppressedToAPI(x tag.Suppression) apigen.SuppressedTag {
	return apigen.SuppressedTag{TagID: x.TagID, Key: x.Key, Name: x.Name, Actor: x.Actor, Reason: set(x.Reason), SuppressedAt: x.At}
}

func tagEntryToAPI(e tag.Entry) apigen.TagHistoryEntry {
	return apigen.TagHistoryEntry{CustomerID: e.CustomerID, TagID: e.TagID, Key: e.Key, Name: e.Name, Action: apigen.TagHistoryEntryAction(e.Action),
		Source: apigen.TagHistoryEntrySource(e.Source), Cause: apigen.TagHistoryEntryCause(e.Cause), EventType: set(e.Event), Actor: e.Actor,
		Reason: set(e.Reason), ExpiresAt: e.ExpiresAt, ChangeSet: e.ChangeSet, OccurredAt: e.At}
}
