package httpapi

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/tag"
)

type tags struct {
	lister
	svc *tag.Service
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
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	g, err := h.svc.UpdateGroup(ctx, callOf(ctx), req.GroupID, versions, tag.GroupChange{Name: req.Body.Name,
		Color: req.Body.Color, Exclusive: req.Body.Exclusive, Position: req.Body.Position})
	if err != nil {
		return nil, err
	}
	return apigen.PatchTagGroup200JSONResponse{Body: tagGroupToAPI(g), Headers: apigen.PatchTagGroup200ResponseHeaders{ETag: etag(g.Version)}}, nil
}

func (h tags) DeleteTagGroup(ctx context.Context, req apigen.DeleteTagGroupRequestObject) (apigen.DeleteTagGroupResponseObject, error) {
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.DeleteGroup(ctx, callOf(ctx), req.GroupID, versions); err != nil {
		return nil, err
	}
	return apigen.DeleteTagGroup204Response{}, nil
}

func (h tags) ListTags(ctx context.Context, req apigen.ListTagsRequestObject) (apigen.ListTagsResponseObject, error) {
	scope := []string{"tags", or(req.Params.GroupID, uuid.Nil).String()}
	request, err := h.request(ctx, req.Params.Limit, req.Params.Cursor, scope...)
	if err != nil {
		return nil, err
	}
	p, err := h.svc.Tags(ctx, callOf(ctx).Tenant, req.Params.GroupID, request)
	if err != nil {
		return nil, err
	}
	next, err := h.next(ctx, p.Next, scope...)
	return apigen.ListTags200JSONResponse{Items: each(p.Items, tagToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h tags) CreateTag(ctx context.Context, req apigen.CreateTagRequestObject) (apigen.CreateTagResponseObject, error) {
	b := req.Body
	t, err := h.svc.Create(ctx, callOf(ctx), tag.Draft{GroupID: b.GroupID, Key: b.Key, Name: b.Name,
		Description: or(b.Description, ""), Color: or(b.Color, "")})
	if err != nil {
		return nil, err
	}
	return apigen.CreateTag201JSONResponse{Body: tagToAPI(t), Headers: apigen.CreateTag201ResponseHeaders{
		ETag: tagETag(t), Location: ptr("/v1/tags/" + t.ID.String())}}, nil
}

func (h tags) GetTag(ctx context.Context, req apigen.GetTagRequestObject) (apigen.GetTagResponseObject, error) {
	t, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.TagID)
	if err != nil {
		return nil, err
	}
	return apigen.GetTag200JSONResponse{Body: tagToAPI(t), Headers: apigen.GetTag200ResponseHeaders{ETag: tagETag(t)}}, nil
}

func (h tags) PatchTag(ctx context.Context, req apigen.PatchTagRequestObject) (apigen.PatchTagResponseObject, error) {
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	t, err := h.svc.Update(ctx, callOf(ctx), req.TagID, versions, tag.Change{Name: b.Name, Description: b.Description,
		GroupID: field(b.GroupID, same[uuid.UUID]), Color: field(b.Color, same[string])})
	if err != nil {
		return nil, err
	}
	return apigen.PatchTag200JSONResponse{Body: tagToAPI(t), Headers: apigen.PatchTag200ResponseHeaders{ETag: tagETag(t)}}, nil
}

func (h tags) DeleteTag(ctx context.Context, req apigen.DeleteTagRequestObject) (apigen.DeleteTagResponseObject, error) {
	versions, err := expected(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.svc.Delete(ctx, callOf(ctx), req.TagID, versions, or(req.Params.Force, false)); err != nil {
		return nil, err
	}
	return apigen.DeleteTag204Response{}, nil
}

func (h tags) BulkTag(ctx context.Context, req apigen.BulkTagRequestObject) (apigen.BulkTagResponseObject, error) {
	call := callOf(ctx)
	var r tag.BulkResult
	var err error
	if req.Body.Action == apigen.TagBulkActionRemove {
		r, err = h.svc.RemoveFrom(ctx, call, req.TagID, req.Body.CustomerIds)
	} else {
		r, err = h.svc.PutOn(ctx, call, req.TagID, req.Body.CustomerIds, or(req.Body.Reason, ""))
	}
	if err != nil {
		return nil, err
	}
	return apigen.BulkTag200JSONResponse{Changed: r.Changed, Unchanged: r.Unchanged, Missing: r.Missing, ChangeSet: call.ChangeSet}, nil
}

func (h tags) ListCustomerTags(ctx context.Context, req apigen.ListCustomerTagsRequestObject) (apigen.ListCustomerTagsResponseObject, error) {
	found, err := h.svc.Carried(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.ListCustomerTags200JSONResponse{Items: each(found, customerTagToAPI)}, nil
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
	if err := h.svc.Remove(ctx, callOf(ctx), req.CustomerID, req.TagID); err != nil {
		return nil, err
	}
	return apigen.DeleteCustomerTag204Response{}, nil
}

func tagGroupToAPI(g tag.Group) apigen.TagGroup {
	return apigen.TagGroup{ID: g.ID, Version: g.Version, Key: g.Key, Name: g.Name, Color: g.Color, Exclusive: g.Exclusive,
		Position: g.Position, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt}
}

// tagETag covers the count too, which changes without raising the version.
func tagETag(t tag.Tag) *string {
	return ptr(fmt.Sprintf(`"%d.%d"`, t.Version, t.Customers))
}

func tagToAPI(t tag.Tag) apigen.Tag {
	return apigen.Tag{ID: t.ID, Version: t.Version, GroupID: t.GroupID, Key: t.Key, Name: t.Name, Description: t.Description,
		Color: set(t.Color), Customers: t.Customers, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
}

func customerTagToAPI(a tag.Assignment) apigen.CustomerTag {
	return apigen.CustomerTag{TagID: a.TagID, Key: a.Key, Name: a.Name, Group: set(a.Group), Color: set(a.Color),
		Source: apigen.CustomerTagSource(a.Source), Actor: a.Actor, Reason: set(a.Reason), AssignedAt: a.AssignedAt, ExpiresAt: a.ExpiresAt}
}
