package httpapi

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/page"
)

type contactPoints struct {
	lister
	svc       *contactpoint.Service
	customers customers
}

func (h contactPoints) ListContactPoints(ctx context.Context, req apigen.ListContactPointsRequestObject) (apigen.ListContactPointsResponseObject, error) {
	where := map[string]any{}
	if req.Params.Kind != nil {
		where["kind"] = string(*req.Params.Kind)
	}
	if req.Params.ContactID != nil {
		where["contact_id"] = *req.Params.ContactID
	}
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[contactpoint.ContactPoint], error) {
		return h.svc.List(ctx, callOf(ctx).Tenant, req.CustomerID, where, r)
	}, "contact_points", req.CustomerID.String(), fmt.Sprint(where))
	return apigen.ListContactPoints200JSONResponse{Items: each(p.Items, contactPointToAPI(ctx)), NextCursor: next, HasMore: next != nil}, err
}

func (h contactPoints) CreateContactPoint(ctx context.Context, req apigen.CreateContactPointRequestObject) (apigen.CreateContactPointResponseObject, error) {
	p, err := h.svc.Create(ctx, callOf(ctx), req.CustomerID, contactPointFromAPI(ctx)(*req.Body))
	if err != nil {
		return nil, err
	}
	return apigen.CreateContactPoint201JSONResponse{Body: contactPointToAPI(ctx)(p), Headers: apigen.CreateContactPoint201ResponseHeaders{
		ETag: shownTag(ctx, p.Version), Location: ownedLocation(p.Base, "contact-points")}}, nil
}

func (h contactPoints) GetContactPoint(ctx context.Context, req apigen.GetContactPointRequestObject) (apigen.GetContactPointResponseObject, error) {
	p, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.CustomerID, req.ContactPointID)
	if err != nil {
		return nil, err
	}
	return apigen.GetContactPoint200JSONResponse{Body: contactPointToAPI(ctx)(p),
		Headers: apigen.GetContactPoint200ResponseHeaders{ETag: shownTag(ctx, p.Version)}}, nil
}

func (h contactPoints) PatchContactPoint(ctx context.Context, req apigen.PatchContactPointRequestObject) (apigen.PatchContactPointResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	c := contactpoint.Change{Value: b.Value, Label: field(b.Label, same[string]), Source: field(b.Source, same[string]), Primary: b.Primary,
		Valid: b.Valid, VerifiedAt: field(b.VerifiedAt, same), ContactID: field(b.ContactID, same[uuid.UUID]), Blind: !unmasked(ctx)}
	if b.Consent != nil {
		c.Consent = ptr(contactpoint.Consent(*b.Consent))
	}
	p, err := h.svc.Update(ctx, callOf(ctx), req.CustomerID, req.ContactPointID, expected, c)
	if err != nil {
		return nil, err
	}
	return apigen.PatchContactPoint200JSONResponse{Body: contactPointToAPI(ctx)(p),
		Headers: apigen.PatchContactPoint200ResponseHeaders{ETag: shownTag(ctx, p.Version)}}, nil
}

func (h contactPoints) DeleteContactPoint(ctx context.Context, req apigen.DeleteContactPointRequestObject) (apigen.DeleteContactPointResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteContactPoint204Response{}, h.svc.Delete(ctx, callOf(ctx), req.CustomerID, req.ContactPointID, expected)
}

func (h contactPoints) LookupContactPoint(ctx context.Context, req apigen.LookupContactPointRequestObject) (apigen.LookupContactPointResponseObject, error) {
	b, t := req.Body, callOf(ctx).Tenant
	q := contactpoint.Query{Kind: contactpoint.Kind(or(b.Kind, "")), Platform: or(b.Platform, ""), Value: b.Value}
	p, next, err := paged(ctx, h.lister, b.Limit, b.Cursor, func(r page.Request) (page.Of[contactpoint.ContactPoint], error) {
		q.Page = r
		return h.svc.Holders(ctx, t, q)
	}, "lookup", string(q.Kind), q.Platform, b.Value)
	if err != nil {
		return nil, err
	}
	found, err := h.customers.Customers.Many(ctx, t, each(p.Items, func(p contactpoint.ContactPoint) uuid.UUID { return p.CustomerID }))
	if err != nil {
		return nil, err
	}
	shown, err := h.customers.pack(ctx, found, nil, nil)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]apigen.Customer, len(shown))
	for _, c := range shown {
		byID[c.ID] = c
	}
	items := []apigen.ContactPointMatch{}
	for _, p := range p.Items {
		if c, ok := byID[p.CustomerID]; ok { // not deleted in between
			items = append(items, apigen.ContactPointMatch{Customer: c, ContactPoint: contactPointToAPI(ctx)(p)})
		}
	}
	return apigen.LookupContactPoint200JSONResponse{Items: items, NextCursor: next, HasMore: next != nil}, nil
}

// contactPointFromAPI unpacks new contact points of a caller who may be shown values or not.
func contactPointFromAPI(ctx context.Context) func(apigen.ContactPointCreate) contactpoint.Draft {
	blind := !unmasked(ctx)
	return func(b apigen.ContactPointCreate) contactpoint.Draft {
		return contactpoint.Draft{Kind: contactpoint.Kind(b.Kind), Platform: or(b.Platform, ""), Value: b.Value, Label: or(b.Label, ""),
			Primary: b.Primary, Valid: b.Valid, VerifiedAt: b.VerifiedAt, Consent: contactpoint.Consent(or(b.Consent, "")),
			ContactID: b.ContactID, Source: or(b.Source, ""), Blind: blind}
	}
}

// contactPointToAPI packs contact points as the caller may see them.
func contactPointToAPI(ctx context.Context) func(contactpoint.ContactPoint) apigen.ContactPoint {
	full := unmasked(ctx)
	return func(p contactpoint.ContactPoint) apigen.ContactPoint {
		out := apigen.ContactPoint{ID: p.ID, CustomerID: p.CustomerID, Version: p.Version, Kind: apigen.ContactPointKind(p.Kind),
			Platform: set(p.Platform), Value: p.Value, Given: set(p.Given), NumberType: set(apigen.ContactPointNumberType(p.NumberType)),
			Label: set(p.Label), Primary: p.Primary, Valid: p.Valid, VerifiedAt: p.VerifiedAt, Consent: apigen.ContactConsent(p.Consent),
			ContactID: p.ContactID, Source: set(p.Source), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
		if !full {
			out.Value, out.Given, out.Masked = contactpoint.Masked(p.Kind, p.Value), nil, ptr(true)
		}
		return out
	}
}
