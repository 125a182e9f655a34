package httpapi

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/page"
)

type addresses struct {
	lister
	svc *address.Service
}

func (h addresses) ListAddresses(ctx context.Context, req apigen.ListAddressesRequestObject) (apigen.ListAddressesResponseObject, error) {
	where := map[string]any{}
	if req.Params.AreaType != nil {
		where["area_type"] = string(*req.Params.AreaType)
	}
	p, next, err := paged(ctx, h.lister, req.Params.Limit, req.Params.Cursor, func(r page.Request) (page.Of[address.Address], error) {
		return h.svc.List(ctx, callOf(ctx).Tenant, req.CustomerID, where, r)
	}, "addresses", req.CustomerID.String(), fmt.Sprint(where))
	return apigen.ListAddresses200JSONResponse{Items: each(p.Items, addressToAPI(ctx)), NextCursor: next, HasMore: next != nil}, err
}

func (h addresses) CreateAddress(ctx context.Context, req apigen.CreateAddressRequestObject) (apigen.CreateAddressResponseObject, error) {
	a, err := h.svc.Create(ctx, callOf(ctx), req.CustomerID, addressFromAPI(*req.Body))
	if err != nil {
		return nil, err
	}
	return apigen.CreateAddress201JSONResponse{Body: addressToAPI(ctx)(a), Headers: apigen.CreateAddress201ResponseHeaders{
		ETag: shownTag(ctx, a.Version), Location: ownedLocation(a.Base, "addresses")}}, nil
}

func (h addresses) GetAddress(ctx context.Context, req apigen.GetAddressRequestObject) (apigen.GetAddressResponseObject, error) {
	a, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.CustomerID, req.AddressID)
	if err != nil {
		return nil, err
	}
	return apigen.GetAddress200JSONResponse{Body: addressToAPI(ctx)(a),
		Headers: apigen.GetAddress200ResponseHeaders{ETag: shownTag(ctx, a.Version)}}, nil
}

func (h addresses) PatchAddress(ctx context.Context, req apigen.PatchAddressRequestObject) (apigen.PatchAddressResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	a, err := h.svc.Update(ctx, callOf(ctx), req.CustomerID, req.AddressID, expected, address.Change{Country: b.Country,
		Province: field(b.Province, same[string]), City: field(b.City, same[string]), District: field(b.District, same[string]),
		Street: field(b.Street, same[string]), PostalCode: field(b.PostalCode, same[string]), Label: field(b.Label, same[string]),
		Recipient: field(b.Recipient, same[string]), Primary: b.Primary,
		AreaType: field(b.AreaType, func(t apigen.AreaType) address.AreaType { return address.AreaType(t) })})
	if err != nil {
		return nil, err
	}
	return apigen.PatchAddress200JSONResponse{Body: addressToAPI(ctx)(a),
		Headers: apigen.PatchAddress200ResponseHeaders{ETag: shownTag(ctx, a.Version)}}, nil
}

func (h addresses) DeleteAddress(ctx context.Context, req apigen.DeleteAddressRequestObject) (apigen.DeleteAddressResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteAddress204Response{}, h.svc.Delete(ctx, callOf(ctx), req.CustomerID, req.AddressID, expected)
}

func addressFromAPI(b apigen.AddressCreate) address.Draft {
	return address.Draft{Place: address.Place{Country: or(b.Country, ""), Province: or(b.Province, ""), City: or(b.City, ""),
		District: or(b.District, "")}, Street: or(b.Street, ""), PostalCode: or(b.PostalCode, ""), Label: or(b.Label, ""),
		Recipient: or(b.Recipient, ""), AreaType: address.AreaType(or(b.AreaType, "")), Primary: b.Primary}
}

// addressToAPI packs addresses as the caller may see them.
func addressToAPI(ctx context.Context) func(address.Address) apigen.Address {
	full := unmasked(ctx)
	return func(a address.Address) apigen.Address {
		out := apigen.Address{ID: a.ID, CustomerID: a.CustomerID, Version: a.Version, Label: set(a.Label), Recipient: set(a.Recipient),
			Country: a.Country, Province: set(a.Province), City: set(a.City), District: set(a.District), Street: set(a.Street),
			PostalCode: set(a.PostalCode), AreaType: set(apigen.AreaType(a.AreaType)), Primary: a.Primary, CreatedAt: a.CreatedAt,
			UpdatedAt: a.UpdatedAt}
		if a.Given != (address.Place{}) {
			out.Given = &apigen.GivenPlace{Province: set(a.Given.Province), City: set(a.Given.City), District: set(a.Given.District)}
		}
		if !full && a.Street != "" {
			out.Street, out.Masked = ptr(address.Masked(a.Street)), ptr(true)
		}
		return out
	}
}
