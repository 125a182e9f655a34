package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/relation"
)

type relations struct {
	lister
	svc *relation.Service
}

func (h relations) ListRelations(ctx context.Context, req apigen.ListRelationsRequestObject) (apigen.ListRelationsResponseObject, error) {
	types := each(or(req.Params.Type, nil), func(t apigen.RelationType) relation.Type { return relation.Type(t) })
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[relation.Relation], error) {
		return h.svc.List(ctx, callOf(ctx).Tenant, req.CustomerID, types, r)
	}, "relations", req.CustomerID.String(), fmt.Sprint(types))
	return apigen.ListRelations200JSONResponse{Items: each(p.Items, relationToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h relations) CreateRelation(ctx context.Context, req apigen.CreateRelationRequestObject) (apigen.CreateRelationResponseObject, error) {
	b := req.Body
	r, err := h.svc.Create(ctx, callOf(ctx), req.CustomerID, relation.Draft{Type: relation.Type(b.Type), OtherID: b.OtherCustomerID,
		Note: or(b.Note, ""), Since: dayOrNil(b.Since)})
	if err != nil {
		return nil, err
	}
	return apigen.CreateRelation201JSONResponse{Body: relationToAPI(r), Headers: apigen.CreateRelation201ResponseHeaders{
		ETag: relationETag(r), Location: ownedLocation(r.Base, "relations")}}, nil
}

func (h relations) GetRelation(ctx context.Context, req apigen.GetRelationRequestObject) (apigen.GetRelationResponseObject, error) {
	r, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.CustomerID, req.RelationID)
	if err != nil {
		return nil, err
	}
	return apigen.GetRelation200JSONResponse{Body: relationToAPI(r), Headers: apigen.GetRelation200ResponseHeaders{ETag: relationETag(r)}}, nil
}

func (h relations) PatchRelation(ctx context.Context, req apigen.PatchRelationRequestObject) (apigen.PatchRelationResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	r, err := h.svc.Update(ctx, callOf(ctx), req.CustomerID, req.RelationID, expected, relation.Change{
		Note: field(req.Body.Note, same[string]), Since: field(req.Body.Since, dayFromAPI)})
	if err != nil {
		return nil, err
	}
	return apigen.PatchRelation200JSONResponse{Body: relationToAPI(r), Headers: apigen.PatchRelation200ResponseHeaders{ETag: relationETag(r)}}, nil
}

func (h relations) DeleteRelation(ctx context.Context, req apigen.DeleteRelationRequestObject) (apigen.DeleteRelationResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteRelation204Response{}, h.svc.Delete(ctx, callOf(ctx), req.CustomerID, req.RelationID, expected)
}

func (h relations) GetHierarchy(ctx context.Context, req apigen.GetHierarchyRequestObject) (apigen.GetHierarchyResponseObject, error) {
	g, err := h.svc.Hierarchy(ctx, callOf(ctx).Tenant, req.CustomerID)
	if err != nil {
		return nil, err
	}
	return apigen.GetHierarchy200JSONResponse{Path: g.Path, Truncated: g.Truncated, Items: each(g.Nodes, func(n relation.Node) apigen.HierarchyNode {
		return apigen.HierarchyNode{ID: n.ID, Name: n.Name, Kind: apigen.CustomerKind(n.Kind), ParentID: n.ParentID, Depth: n.Depth}
	})}, nil
}

// relationETag covers the other customer too, whose name may change without raising the relation's version.
func relationETag(r relation.Relation) *string {
	return ptr(fmt.Sprintf(`"%d.%d"`, r.Version, r.Other.Version))
}

func relationToAPI(r relation.Relation) apigen.Relation {
	out := apigen.Relation{ID: r.ID, Version: r.Version, CustomerID: r.CustomerID, Type: apigen.RelationType(r.Type), Note: set(r.Note),
		Other:     apigen.RelatedCustomer{ID: r.Other.ID, Kind: apigen.CustomerKind(r.Other.Kind), Name: r.Other.Name},
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	if r.Since != nil {
		out.Since = ptr(dayToAPI(*r.Since))
	}
	return out
}
