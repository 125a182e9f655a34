package httpapi

import (
	"context"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/page"
)

type contacts struct {
	lister
	svc *contact.Service
}

func (h contacts) ListContacts(ctx context.Context, req apigen.ListContactsRequestObject) (apigen.ListContactsResponseObject, error) {
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[contact.Contact], error) {
		return h.svc.List(ctx, callOf(ctx).Tenant, req.CustomerID, nil, r)
	}, "contacts", req.CustomerID.String())
	return apigen.ListContacts200JSONResponse{Items: each(p.Items, contactToAPI), NextCursor: next, HasMore: next != nil}, err
}

func (h contacts) CreateContact(ctx context.Context, req apigen.CreateContactRequestObject) (apigen.CreateContactResponseObject, error) {
	b := req.Body
	c, err := h.svc.Create(ctx, callOf(ctx), req.CustomerID, contact.Draft{Name: b.Name, Title: or(b.Title, ""),
		Department: or(b.Department, ""), Gender: string(or(b.Gender, "")), DecisionRole: contact.Role(or(b.DecisionRole, "")),
		Primary: or(b.Primary, false), Remark: or(b.Remark, ""), PersonID: b.PersonID})
	if err != nil {
		return nil, err
	}
	return apigen.CreateContact201JSONResponse{Body: contactToAPI(c), Headers: apigen.CreateContact201ResponseHeaders{
		ETag: etag(c.Version), Location: ownedLocation(c.Base, "contacts")}}, nil
}

func (h contacts) GetContact(ctx context.Context, req apigen.GetContactRequestObject) (apigen.GetContactResponseObject, error) {
	c, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.CustomerID, req.ContactID)
	if err != nil {
		return nil, err
	}
	return apigen.GetContact200JSONResponse{Body: contactToAPI(c), Headers: apigen.GetContact200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func (h contacts) PatchContact(ctx context.Context, req apigen.PatchContactRequestObject) (apigen.PatchContactResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	c, err := h.svc.Update(ctx, callOf(ctx), req.CustomerID, req.ContactID, expected, contact.Change{Name: b.Name,
		Title: field(b.Title, same[string]), Department: field(b.Department, same[string]),
		Gender:       field(b.Gender, func(g apigen.ContactPatchGender) string { return string(g) }),
		DecisionRole: field(b.DecisionRole, func(r apigen.ContactPatchDecisionRole) contact.Role { return contact.Role(r) }),
		Primary:      b.Primary, Remark: field(b.Remark, same[string]), PersonID: field(b.PersonID, same[uuid.UUID])})
	if err != nil {
		return nil, err
	}
	return apigen.PatchContact200JSONResponse{Body: contactToAPI(c), Headers: apigen.PatchContact200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func (h contacts) DeleteContact(ctx context.Context, req apigen.DeleteContactRequestObject) (apigen.DeleteContactResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteContact204Response{}, h.svc.Delete(ctx, callOf(ctx), req.CustomerID, req.ContactID, expected)
}

func contactToAPI(c contact.Contact) apigen.Contact {
	return apigen.Contact{ID: c.ID, Version: c.Version, CustomerID: c.CustomerID, Name: c.Name, Title: set(c.Title),
		Department: set(c.Department), Gender: set(apigen.ContactGender(c.Gender)), DecisionRole: set(apigen.DecisionRole(c.DecisionRole)),
		Primary: c.Primary, Remark: set(c.Remark), PersonID: c.PersonID, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
}
